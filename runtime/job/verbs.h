/* Verbs of the rank program that belong to jobs. argv: the words behind the verb's name; text for people or
 * machines goes to `out`. */
#ifndef ECH_JOB_VERBS_H
#define ECH_JOB_VERBS_H

#include "comm/comm.h"

#include <stdio.h>

/* plan JOB.yaml: what a run would do, measured on this machine; nothing is written. Calls   Local. */
int ech_plan_verb(int argc, char **argv, FILE *out, struct ech_err *err);
/* doctor: what is here, what is missing and how to mend it. Calls   Local. */
int ech_doctor_verb(int argc, char **argv, const char *version, FILE *out, struct ech_err *err);
/* eval WHAT: quality of an output in the field's own metrics. Calls   Local. */
int ech_eval_verb(int argc, char **argv, FILE *out, struct ech_err *err);
/* selftest: of three ranks the second kills itself; do the others go on, and can they still talk? Rank 0
 * says "selftest: started" and, where so, "selftest: survived". *leave: never finalise. Calls   Collective.
 */
int ech_selftest_verb(struct ech_comm *comm, bool *leave, FILE *out, struct ech_err *err);
/* bench embed|io|dispatch: with a ratio to a limit of the same run. Calls   Collective. */
int ech_bench_verb(int argc, char **argv, struct ech_comm *comm, FILE *out, struct ech_err *err);

#endif
