/* The coordinator: which rows are done, which node holds which, who lives, when the job's state changes. A
 * pure state machine over reports: no clock, no MPI, no file; the dispatcher (and a simulator) feed it with
 * times.
 *
 * Nodes ask by reporting; each report is answered by a reply with granted ranges. How many rows, whose rows
 * are copied at the tail and what goes back after a death are functions of plan/grant.h, which the simulator
 * calls too. Cost: a report is O(ranges in it + log nodes); only rows that were copied, or that came back,
 * are looked for at every node. */
#ifndef ECH_JOB_COORD_H
#define ECH_JOB_COORD_H

#include "job/pool.h"

struct ech_coord;

struct ech_coord_options {
    int nodes, ranks;
    const int *node_of; /* ranks; copied */
    const bool *alive;  /* ranks, those that died in an earlier round are false; copied. NULL: all live */
    int64_t rows;
    const struct ech_rowset *done; /* from spools of earlier attempts; copied */
    bool equal;                    /* policy equal: one grant a node, by its number of ranks */
    int64_t errors_before, max_errors;
    double now, node_deadline; /* seconds without a report after which a node is dead */
};
int ech_coord_create(const struct ech_coord_options *options, struct ech_coord **out, struct ech_err *err);
void ech_coord_destroy(struct ech_coord *coord);

struct ech_report {
    int node;
    int64_t epoch;            /* the node knows the living up to here */
    int room;                 /* ranges that the node's pool can take */
    int64_t unclaimed;        /* rows in the node's pool that nobody has claimed */
    int64_t least, most;      /* bounds of a grant in rows: of all its ranks together */
    double speed;             /* tokens/s of the node's living ranks */
    double rows_s;            /* rows/s, 0 unknown */
    bool idle;                /* a rank has nothing to do and the pool is empty */
    bool stop;                /* a signal or the walltime asks to stop */
    int failed;               /* worst code of its ranks */
    struct ech_spooled *done; /* rows that became safe since the last report */
    int done_count;
    int *dead; /* ranks of the job found dead since the last report */
    int dead_count;
    /* A new leader, and one with nothing to do, tells all that the node's living ranks hold; what it does not
     * name goes back. */
    bool new_leader;
    struct ech_range *held;
    int held_count;
};

struct ech_reply {
    enum ech_state state;
    int64_t epoch;
    struct ech_range grants[8];
    int grants_count;
    int dead_count;  /* ranks that died since report.epoch, in the order of their deaths */
    const int *dead; /* borrowed from the coordinator, or from the message */
    bool fenced;     /* the reporting node was declared dead: leave */
};
/* Errors  ECH_UNAVAILABLE (memory): the coordinator's rank has failed. */
int ech_coord_report(struct ech_coord *coord, double now, const struct ech_report *report,
                     struct ech_reply *reply, struct ech_err *err);
/* Nodes silent past the deadline become dead. Returns a code. */
int ech_coord_tick(struct ech_coord *coord, double now, struct ech_err *err);

enum ech_state ech_coord_state(const struct ech_coord *coord);
int64_t ech_coord_epoch(const struct ech_coord *coord); /* deaths since it was created */
bool ech_coord_alive(const struct ech_coord *coord, int rank);
const struct ech_rowset *ech_coord_done(const struct ech_coord *coord);
int64_t ech_coord_tokens(const struct ech_coord *coord); /* of rows done in this attempt */
int64_t ech_coord_errors(const struct ech_coord *coord); /* rows in the errors column, all attempts */

#endif
