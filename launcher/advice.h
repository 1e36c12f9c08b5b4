/* What an ended run teaches for the next one, in plain words. Pure, but for ech_advice_of_run. */
#ifndef ECH_LAUNCHER_ADVICE_H
#define ECH_LAUNCHER_ADVICE_H

#include "base/str.h"
#include "launcher/view.h"

#define ECH_ADVICE "advice: "

struct ech_advice {
    double time_s, used_s;     /* asked for (0: nothing) and used */
    int64_t memory, memory_at; /* of a node: asked for (0: nothing), most in use on one host */
    int idle_rank;             /* the one that was idle longest, -1: unknown, or a rank was lost */
    double idle_share;         /* of the computing time */
    int rested;                /* ranks without a place in memory */
};
/* From the ranks of the newest attempt and what the job asked for. */
struct ech_advice ech_advice_of(const struct ech_run_view *view, double time_s, int64_t memory,
                                double used_s);
/* The same of a run directory, whose job.yaml says what was asked for; nothing where that cannot be read. */
void ech_advice_of_run(const struct ech_run_view *view, const char *run_dir, double used_s,
                       struct ech_str *out);
/* The next finding of such a text, without ECH_ADVICE, up to the end of its line; *text moves on. NULL: none.
 */
const char *ech_advice_next(const char **text);
/* One line a finding, each behind ECH_ADVICE; nothing where what was asked for fits (within a half). */
void ech_advice_print(const struct ech_advice *advice, struct ech_str *out);

#endif
