/* One attempt of a run: launch record, mpirun, progress, log, result; and the retries after it. */
#ifndef ECH_LAUNCHER_ATTEMPT_H
#define ECH_LAUNCHER_ATTEMPT_H

#include "launcher/job.h"
#include "launcher/session.h"
#include "launcher/view.h"

struct ech_outcome {
    bool has_result, stopped_by_us; /* a signal asked for the stop */
    int result_code;                /* where there is a result */
    const char *result_state;       /* "sealed", "stopped", "failed" */
    int64_t begun;                  /* ranks that said they had started */
    bool mpirun_ended;
    int mpirun_status; /* as from waitpid */
    bool given_up;     /* it was ended since no rank came, or a host was lost */
    bool hosts_lost;   /* a host does not answer: the next attempt leaves it out */
};
/* The exit status that an attempt means, and whether another attempt may finish the job. Pure. */
int ech_outcome_code(const struct ech_outcome *outcome, bool *retry);

/* Nodes none of whose ranks runs any more (all dead or ended): their guardians end MPI's daemons there. Pure.
 */
int ech_nodes_without_ranks(const struct ech_run_view *view);

/* Start attempts (the first is `attempt`) until the job has ended or its retries are used up. The caller
 * holds the run's lock and has blocked the signals. Writes report.html.
 * Errors   the ranks' agreed code with their text. */
int ech_attempts_run(const struct ech_ready *ready, const char *run_dir, int attempt, struct ech_err *err);

#endif
