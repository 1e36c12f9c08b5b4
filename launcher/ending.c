/* Ending: see ending.h. */
#include "launcher/ending.h"

#define RESULT_GRACE_S 3.0
#define LOST_GRACE_S   1.0
#define END_TERM_S     2.0
#define STOP_TERM_S    3.0

/* `at`: since when there is nothing more to wait for. */
static enum ech_step after_end(double at, double grace_s, double now)
{
    double waited = at > 0 ? now - at : 0;
    return waited >= grace_s + END_TERM_S ? ECH_STEP_KILL : waited >= grace_s ? ECH_STEP_TERM : ECH_STEP_NONE;
}

static enum ech_step after_stop(const struct ech_ending *e, double now)
{
    double term_at = e->asks ? e->stop_at + e->grace_s : e->stop_at;
    if (e->stop_again > 0 && e->stop_again < term_at)
        term_at = e->stop_again;
    return now >= term_at + STOP_TERM_S ? ECH_STEP_KILL : now >= term_at ? ECH_STEP_TERM : ECH_STEP_ASK;
}

enum ech_step ech_ending_step(const struct ech_ending *e, double now)
{
    enum ech_step result = after_end(e->result_at, RESULT_GRACE_S, now);
    enum ech_step lost = after_end(e->lost_at, LOST_GRACE_S, now);
    enum ech_step stop = e->stop_at > 0 ? after_stop(e, now) : ECH_STEP_NONE;
    result = lost > result ? lost : result;
    return result > stop ? result : stop;
}
