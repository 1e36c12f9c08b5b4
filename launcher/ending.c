/* Ending: see ending.h. */
#include "launcher/ending.h"

#define RESULT_GRACE_S 3.0
#define RESULT_TERM_S  2.0
#define STOP_TERM_S    3.0

static enum ech_step after_result(double waited)
{
    return waited >= RESULT_GRACE_S + RESULT_TERM_S ? ECH_STEP_KILL
           : waited >= RESULT_GRACE_S               ? ECH_STEP_TERM
                                                    : ECH_STEP_NONE;
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
    enum ech_step result = e->result_at > 0 ? after_result(now - e->result_at) : ECH_STEP_NONE;
    enum ech_step stop = e->stop_at > 0 ? after_stop(e, now) : ECH_STEP_NONE;
    return result > stop ? result : stop;
}
