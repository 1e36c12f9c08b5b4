/* What plan.json of a run directory expected, by rank. */
#ifndef ECH_LAUNCHER_PLANNED_H
#define ECH_LAUNCHER_PLANNED_H

#include "base/json.h"

struct ech_planned_rank {
    bool there, rests;
    double speed, share, tokens, finish_s;
    int64_t rows, memory;
    char from[16]; /* where the speed comes from */
};
struct ech_planned {
    bool known;
    double optimum_s, makespan_s, time_limit_s, chance;
    struct ech_planned_rank *ranks; /* by number */
    size_t count, capacity;
};
/* From the file's content; what is damaged or of another attempt is not known. Pure. Owner: ech_planned_fini,
 * also after an error.
 * Errors  ECH_UNAVAILABLE (memory). */
int ech_planned_read(const json_t *plan, int attempt, struct ech_planned *out, struct ech_err *err);
void ech_planned_fini(struct ech_planned *planned);
/* NULL: nothing is known of the rank. */
const struct ech_planned_rank *ech_planned_of(const struct ech_planned *planned, int rank);

#endif
