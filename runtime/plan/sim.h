/* A simulator of the dispatcher on made-up clusters: the decisions of grant.h at the coordinator, of lease.h
 * and speed.h in the nodes' pools, driven by a heap of events. Not for: disks, networks beyond one latency,
 * memory. Invariants are checked at every event; a violation is ECH_BUG and names seed, time and event. Same
 * options, same run, byte for byte. */
#ifndef ECH_PLAN_SIM_H
#define ECH_PLAN_SIM_H

#include "base/err.h"

#include <stdint.h>

enum ech_sim_policy {
    ECH_SIM_EQUAL,     /* one part a rank, all equal */
    ECH_SIM_SPEED,     /* one part a rank, by its speed at the start */
    ECH_SIM_GUIDED,    /* left / ranks at each request */
    ECH_SIM_FACTORING, /* half of what is left / ranks */
    ECH_SIM_ADAPTIVE,  /* half of what is left by measured speed; copies at the tail */
    ECH_SIM_POLICIES
};
extern const char *const ech_sim_policy_names[ECH_SIM_POLICIES];

/* Wrong on purpose, so that tests see an invariant catch it. */
enum ech_sim_mutation {
    ECH_SIM_SOUND,
    ECH_SIM_GRANT_TWICE,
    ECH_SIM_LOSE_DEAD,
    ECH_SIM_LEAVE_IDLE,
    ECH_SIM_COPY_AGAIN,
    ECH_SIM_OVER_BUDGET,
    ECH_SIM_MUTATIONS
};

/* Nodes that are alike. */
struct ech_sim_class {
    int nodes, ranks_per_node;
    double tokens_per_s; /* of a rank */
};

struct ech_sim_options {
    int nodes, ranks_per_node;
    const struct ech_sim_class *classes; /* borrowed; NULL: `nodes` with speeds up to `spread` apart */
    int classes_count;
    int64_t rows;
    double tokens_a_row, tokens_per_s; /* the slowest nodes run tokens_per_s a rank */
    double spread;                     /* fastest node / slowest node, >= 1 */
    double probe_error;                /* of each rank's speed as it is known at the start, +- this part */
    double noise;                      /* of a batch's time, +- this part */
    int threads;                       /* of a rank: bounds of a batch, see lease.h */
    double small_nodes;                /* part of the nodes whose ranks have memory for rows_cap rows alone */
    int64_t rows_cap;
    double dead_ranks, dead_nodes, slow_nodes, late_nodes; /* parts of all, 0..1, at random times */
    double slow_to;                                        /* speed of a slowed node, part of its own */
    double latency_s, heartbeat_s, limit_s;
    uint64_t seed;
    enum ech_sim_policy policy;
    enum ech_sim_mutation mutation;
};
void ech_sim_defaults(struct ech_sim_options *options);

struct ech_sim_result {
    double makespan_s, optimum_s; /* optimum: a fluid that knows every event, W / sum of speeds over time */
    int64_t rows_sealed, rows_twice; /* twice: both the owner and the copy came to their end */
    int64_t rows_copied, leases, grants, copies, deaths, events;
    int64_t ranks, bytes; /* of the cluster; memory of the simulator */
    bool stopped;         /* by the limit, with rows left */
    double busy_s;        /* rank seconds in use */
};
/* Errors  ECH_USAGE (options out of range), ECH_UNAVAILABLE (memory), ECH_REQUEUE is no error here:
 * rows_sealed below rows means that the limit came or nobody lives; ECH_BUG: an invariant. */
int ech_sim_run(const struct ech_sim_options *options, struct ech_sim_result *out, struct ech_err *err);

#endif
