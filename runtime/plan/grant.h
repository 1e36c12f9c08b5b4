/* What the coordinator decides: rows for a node that reports, rows of a straggler that an idle one runs as
 * well, what goes back to the queue. The dispatcher (job/coord.c) and the simulator (plan/sim.h) call the
 * same functions. Speeds are sums over the living ranks of a node; pure.
 *
 * Nothing is revoked: a straggler keeps what it holds, and what it has in common with a copy costs less than
 * 0.1 % of the work (README.md, with the measurements). */
#ifndef ECH_PLAN_GRANT_H
#define ECH_PLAN_GRANT_H

#include "base/rowset.h"

#include <stdbool.h>
#include <stdint.h>

/* A node's part of all, 0..1: by speed where it is known, else by its number of ranks. */
double ech_grant_share(double speed, double speed_all, int ranks, int ranks_all);

struct ech_grant_view {
    int64_t left;        /* rows that nobody was granted */
    int64_t unclaimed;   /* rows at the node that no rank has claimed */
    int64_t least, most; /* bounds of a grant: of all ranks of the node together */
    double rows_s;       /* of the node; 0: not known */
    double share;        /* ech_grant_share */
    bool alone;          /* no other node lives */
};
/* All that is left where the node is alone; nothing while it has about two seconds of work unclaimed; else
 * half of what is left times the share (plan/lease.h). */
int64_t ech_grant_rows(const struct ech_grant_view *view);

/* Rows held by a node or rank that are not in `done` go to `todo`; held is empty then. done NULL: held has
 * none of it. Errors  ECH_UNAVAILABLE (memory). */
int ech_grant_put_back(struct ech_rowset *held, const struct ech_rowset *done, struct ech_rowset *todo,
                       struct ech_err *err);

/* Seconds that `rows` take; 0 where the speed is not known. */
double ech_backlog_s(int64_t rows, double rows_s);

struct ech_tail_view {
    const struct ech_rowset *held;   /* what the straggler holds */
    const struct ech_rowset *copied; /* rows that were copied before: never a second time */
    double mine, theirs;             /* rows/s of the idle node and of the straggler */
    int64_t least;                   /* of a copy, rows */
};
/* Rows to copy: the end of the last rows that were not copied, so that both would be done at the same time.
 * false: nothing to copy, less than 0.25 s to win by it, or a speed is not known. */
bool ech_tail_copy(const struct ech_tail_view *view, struct ech_range *out);

#endif
