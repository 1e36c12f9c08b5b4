/* The parts of the verbs `run` and `resume` that steps of a file take, too. */
#ifndef ECH_LAUNCHER_RUN_H
#define ECH_LAUNCHER_RUN_H

#include "base/args.h"
#include "launcher/job.h"

/* A new run directory (its path is a line on stdout) and its attempts. */
int ech_run_start(const struct ech_ready *ready, struct ech_err *err);
/* The command that it would start, on stdout. */
int ech_run_dry(const struct ech_ready *ready, struct ech_err *err);
/* Go on with a run; args: --set, --hosts, --cluster. `ranks`: --ranks, -1 where not given. */
int ech_run_go_on(const char *run_dir, const struct ech_args *args, int64_t ranks, struct ech_err *err);

/* The steps of args' file, one after the other, until one fails. `sets`: what --set and other options change.
 * *done: the file has steps (else it is one job and nothing was done). */
int ech_run_steps(const struct ech_args *args, const char *const *sets, int64_t ranks, bool *done,
                  struct ech_err *err);

#endif
