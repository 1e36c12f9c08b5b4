/* The nodes that `echelon plan` plans for: as the launcher describes them (--nodes FILE), or all like this
 * one. */
#ifndef ECH_JOB_PLAN_NODES_H
#define ECH_JOB_PLAN_NODES_H

#include "config/job.h"

struct ech_plan_node {
    char name[64], class_name[64];
    int ranks, threads, cores;  /* threads: of a rank; cores 0: as here */
    int64_t memory;             /* bytes, 0: no limit */
    double speed, tokens_per_s; /* of a rank; 0: not known (config/cluster.h) */
};
struct ech_plan_nodes {
    struct ech_plan_node *items;
    int count, ranks;
    bool described; /* by a cluster or a list of hosts, not this machine over and over */
};
/* {"nodes": [{"name", "class", "ranks", "threads", "cores", "memory", "speed", "tokens_per_s"}]}, all but
 * name and ranks optional. Owner: ech_plan_nodes_fini. */
int ech_plan_nodes_load(const char *path, struct ech_plan_nodes *out, struct ech_err *err);
/* resources.nodes like this one; `ranks` in all, 0: as a run decides it (ech_machine_ranks). */
int ech_plan_nodes_here(const struct ech_job *job, int64_t ranks, struct ech_plan_nodes *out,
                        struct ech_err *err);
void ech_plan_nodes_fini(struct ech_plan_nodes *nodes);
/* What is left open, as a run decides it: threads of each rank, and the job's limit of memory. */
void ech_plan_nodes_settle(struct ech_plan_nodes *nodes, const struct ech_job *job);

#endif
