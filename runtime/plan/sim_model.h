/* What the simulator's parts share: the state of the made-up cluster and the calls between them. */
#ifndef ECH_PLAN_SIM_MODEL_H
#define ECH_PLAN_SIM_MODEL_H

#include "base/rowset.h"
#include "plan/backlog.h"
#include "plan/sim.h"
#include "plan/sim_heap.h"

enum ech_sim_kind {
    ECH_SIM_FINISH,
    ECH_SIM_GRANTED,
    ECH_SIM_RANK_DIES,
    ECH_SIM_RANK_MISSED,
    ECH_SIM_NODE_SLOWS,
    ECH_SIM_NODE_JOINS,
    ECH_SIM_NODE_LOOKS /* its leader reports that a rank is idle */
};

struct ech_sim_rank {
    int64_t first, end;            /* its batch */
    int64_t own, own_end;          /* static policies: the part that is this rank's alone */
    int64_t least, most;           /* rows of a batch, by what is known of it (lease.h) */
    double start, due, real, seen; /* rows/s: as it is, as it is measured */
    int node, next_idle;
    bool alive, runs, copied, missed;
};
struct ech_sim_node {
    struct ech_rowset pool, held; /* not claimed; granted and not sealed, as the coordinator knows it */
    struct ech_range flying;      /* a grant on its way */
    double seen;
    int64_t cap;         /* rows of a batch that fit a rank's memory, 0: any */
    int first, ranks;    /* of the cluster's ranks */
    int living;          /* as its leader knows it */
    int idle, idle_head; /* ranks with nothing to do */
    bool asks, looks, joined;
};
struct ech_sim_change {
    double at, speed;
};
struct ech_sim {
    const struct ech_sim_options *o;
    struct ech_sim_result *r;
    struct ech_err *err;
    struct ech_sim_heap heap;
    struct ech_sim_rank *ranks;
    struct ech_sim_node *nodes;
    struct ech_sim_change *changes; /* of the sum of speeds, for the optimum */
    uint64_t *sealed;               /* a bit a row */
    struct ech_rowset todo, copied; /* not granted; run by two on purpose */
    struct ech_backlog backlog;
    double now, seen;
    int64_t held, twice; /* sums over the nodes' held; rows of it that two hold */
    int64_t stuck;       /* idle ranks whose node waits for nothing */
    int nodes_count, ranks_count, living, living_nodes;
    size_t changes_count;
    uint64_t random;
};

int ech_sim_after(struct ech_sim *s, double at, enum ech_sim_kind kind, int id);
double ech_sim_uniform(struct ech_sim *s);
int ech_sim_broken(struct ech_sim *s, const char *what);

/* sim_cluster.c */
int ech_sim_plan_cluster(struct ech_sim *s); /* speeds and events; fills nodes and ranks */
double ech_sim_optimum(struct ech_sim *s);
void ech_sim_enter(struct ech_sim *s, int node); /* it lives, and is known to the coordinator */

/* sim_work.c */
int ech_sim_give_parts(struct ech_sim *s);     /* static policies */
int ech_sim_ask(struct ech_sim *s, int node);  /* a report to the coordinator */
int ech_sim_next(struct ech_sim *s, int rank); /* it claims, copies or is idle */
int ech_sim_wake(struct ech_sim *s, int node); /* its idle ranks look again */
int ech_sim_wake_all(struct ech_sim *s);
int ech_sim_finish(struct ech_sim *s, int rank);
int ech_sim_granted(struct ech_sim *s, int node);
int ech_sim_looks(struct ech_sim *s, int node);
void ech_sim_learn(struct ech_sim *s, int rank, double seen);

/* sim_faults.c */
int ech_sim_die(struct ech_sim *s, int rank);
int ech_sim_missed(struct ech_sim *s, int rank);
int ech_sim_slows(struct ech_sim *s, int node);
int ech_sim_joins(struct ech_sim *s, int node);

/* sim_check.c */
int64_t ech_sim_unsealed_end(const struct ech_sim *s, int64_t first, int64_t end, bool *sealed);
int ech_sim_mark_done(struct ech_sim *s, int node, int64_t first, int64_t end);
int ech_sim_check(struct ech_sim *s);

#endif
