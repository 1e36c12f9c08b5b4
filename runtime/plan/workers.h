/* Workers: which ranks run a model together, and which layers each of them holds. Pure.
 *
 * Ranks are grouped across nodes (the members of a worker on different nodes, as far as there are nodes) or
 * within them. Across is right for processors: the weights that ranks of a node hold in common lie there
 * once, so only another node's memory makes room. Within is right for devices, each with its own memory.
 * Workers whose members lie on the same nodes, stage by stage, get the same cut, and share each node's
 * segment of it. */
#ifndef ECH_PLAN_WORKERS_H
#define ECH_PLAN_WORKERS_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct ech_worker_member {
    int worker;
    int stage; /* 0: the worker's head, that claims rows, embeds them and gets the vectors back */
    int layer_first, layer_end; /* none: the rank is a spare, out of the pipeline (but for a head) */
    int64_t bytes;              /* of its weights */
    int sharers;                /* ranks of its node that hold the same weights in common, itself too */
};
struct ech_workers {
    int ranks, count;
    struct ech_worker_member *member; /* [ranks] */
    int *firsts;                      /* [count + 1] */
    int *list;     /* [ranks] ranks of worker w in order of the stages: firsts[w] .. firsts[w + 1] */
    double *speed; /* [count] 1 / seconds a token of the slowest stage, in the unit of the speeds */
};

/* Workers of `per_worker` ranks; ranks that are left over lengthen workers (5 ranks by 2: one of 2, one of
 * 3). Errors  ECH_CONFIG: fewer ranks than a worker needs. */
struct ech_workers_view {
    int ranks, per_worker;
    const int *node_of; /* [ranks] */
    bool across;
};
int ech_workers_group(const struct ech_workers_view *view, struct ech_workers *out, struct ech_err *err);
void ech_workers_fini(struct ech_workers *workers);

/* Cut the layers for every worker (plan/split.h). */
struct ech_workers_model {
    int layers;
    const double *costs;
    const int64_t *bytes;
    int64_t head_bytes, each_bytes;
    const double *speeds; /* [ranks] */
    const int64_t
        *budgets; /* [ranks] bytes for weights: the rank's part of what its node has; INT64_MAX: any */
    const int *node_of;
};
int ech_workers_cut(struct ech_workers *workers, const struct ech_workers_model *model, struct ech_err *err);

/* Ranks a worker: the smallest number, from 1, whose cut fits. ECH_UNAVAILABLE: none does, even all ranks
 * together. */
int ech_workers_fit(const struct ech_workers_view *view, const struct ech_workers_model *model,
                    int *per_worker, struct ech_err *err);

/* The next stage that holds layers after this rank's, by rank; -1: this one is the last. */
int ech_workers_next(const struct ech_workers *workers, int rank);
int ech_workers_head(const struct ech_workers *workers, int rank);
/* Is the rank needed: has it layers, or is it the head? */
bool ech_workers_needs(const struct ech_workers *workers, int rank);

void ech_workers_print(const struct ech_workers *workers, struct ech_str *out);      /* for people */
void ech_workers_print_json(const struct ech_workers *workers, struct ech_str *out); /* an array */

#endif
