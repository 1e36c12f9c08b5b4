/* The leader of a node: gathers finished rows and heartbeats of its ranks, reports to the coordinator, puts
 * granted rows into the pool. The coordinator's rank also answers the other leaders. Messages: job/wire.h. */
#ifndef ECH_JOB_LEAD_H
#define ECH_JOB_LEAD_H

#include "comm/comm.h"
#include "job/coord.h"

struct ech_lead;
struct ech_lead_options {
    struct ech_comm *comm; /* borrowed, as all here */
    struct ech_pool *pool;
    struct ech_coord *coord; /* rank 0, else NULL */
    double heartbeat;        /* seconds of silence after which a rank of the node is dead */
    bool equal;
    const struct ech_workers *workers; /* of several ranks; NULL: every rank claims for itself */
};
int ech_lead_open(const struct ech_lead_options *options, struct ech_lead **out, struct ech_err *err);
void ech_lead_close(struct ech_lead *lead);

/* What the dispatcher knows of the moment. */
struct ech_lead_view {
    bool idle;           /* this rank has nothing to do */
    bool stop;           /* a signal or the walltime */
    int64_t least, most; /* lease bounds of this rank */
    double tokens_a_row;
};
/* One turn: cheap, never blocks. *finished: the job's state has left RUN and (on rank 0) all living leaders
 * know. *silent: the coordinator was not heard for too long. */
int ech_lead_turn(struct ech_lead *lead, const struct ech_lead_view *view, bool *finished, bool *silent,
                  struct ech_err *err);

#endif
