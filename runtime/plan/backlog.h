/* Which node will be done last: a heap over nodes by the seconds of work that each holds. A change costs
 * O(log nodes), the answer O(1). */
#ifndef ECH_PLAN_BACKLOG_H
#define ECH_PLAN_BACKLOG_H

#include "base/err.h"

struct ech_backlog {
    int count;
    int *order;      /* heap of nodes */
    int *place;      /* of a node in it */
    double *seconds; /* by node */
};
/* All nodes with 0 s. Owner  ech_backlog_fini. */
int ech_backlog_init(struct ech_backlog *backlog, int nodes, struct ech_err *err);
void ech_backlog_fini(struct ech_backlog *backlog);
void ech_backlog_set(struct ech_backlog *backlog, int node, double seconds);
/* The node with the most but for `not_this`; -1: no other has any. */
int ech_backlog_most(const struct ech_backlog *backlog, int not_this);

#endif
