/* The cut of a model over the stages of a worker: contiguous layers to ranks in a given order, so that the
 * slowest stage is as fast as it can be while every stage keeps its memory budget. Exact, by dynamic
 * programming over (stage, layer): O(stages x layers^2). */
#ifndef ECH_PLAN_SPLIT_H
#define ECH_PLAN_SPLIT_H

#include "base/err.h"

#include <stdint.h>

struct ech_split_view {
    int layers, stages;   /* both >= 1 */
    const double *costs;  /* [layers] of one token, > 0; any unit */
    const int64_t *bytes; /* [layers] packed weights */
    int64_t head_bytes;   /* what the first stage holds besides, whatever layers it gets (embedding tables) */
    int64_t each_bytes;   /* what every stage with layers holds besides */
    const double *speeds; /* [stages] unit of cost a second, > 0 */
    const int64_t *budgets; /* [stages] bytes for weights, INT64_MAX: no limit */
};

/* Stage s gets the layers [ends[s - 1], ends[s]), the first from 0; a stage may get none. *slowest: seconds a
 * token of the slowest stage. Of equally good cuts the one whose earlier stages hold more: fewer stages are
 * used. Errors  ECH_UNAVAILABLE: no cut fits; the text says what is needed, what is there, and how much each
 * stage lacks. */
int ech_split(const struct ech_split_view *view, int *ends, double *slowest, struct ech_err *err);

/* Bytes of one stage; the seconds a token of it. */
int64_t ech_split_bytes(const struct ech_split_view *view, int stage, int first, int end);
double ech_split_seconds(const struct ech_split_view *view, int stage, int first, int end);

#endif
