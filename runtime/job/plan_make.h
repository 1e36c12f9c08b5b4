/* A plan without a run: what ranks that need not be there would get, by the rules of a run. */
#ifndef ECH_JOB_PLAN_MAKE_H
#define ECH_JOB_PLAN_MAKE_H

#include "job/plan_nodes.h"
#include "job/attempt.h"

struct ech_planning;

/* Reads job, input and model; samples tokens; finds who works within its node's memory; measures the speed of
 * this machine (or takes it from the cache), where the nodes do not say theirs.
 * Owner   *out: ech_planning_close; `job` and `nodes` are borrowed, and settled. Calls   Local. */
int ech_planning_open(const struct ech_job *job, struct ech_plan_nodes *nodes, struct ech_planning **out,
                      struct ech_err *err);
/* The plan, filled. Borrowed. */
const struct ech_plan *ech_planning_plan(const struct ech_planning *planning);
void ech_planning_close(struct ech_planning *planning);

#endif
