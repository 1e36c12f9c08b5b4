/* Talking to Slurm: starting its programs (no shell), and what a run directory knows of its job. */
#ifndef ECH_LAUNCHER_SLURM_H
#define ECH_LAUNCHER_SLURM_H

#include "launcher/slurm_site.h"

#define ECH_RUN_SLURM           "slurm.json"      /* {"job": "12"} or "12_3" */
#define ECH_RUN_SLURM_CANCELLED "slurm-cancelled" /* the script does not put the job back */
#define ECH_RUN_SLURM_STOPPED   "slurm-stopped"   /* why the script gave up */
#define ECH_RUN_SLURM_PROGRESS  "slurm-progress"  /* its judgement of the attempts */
#define ECH_RUN_SLURM_EXCLUDE                                                                                \
    "slurm-exclude" /* nodes that failed too often: "n2,n5" (launcher/allocation.h) */

/* stdout and stderr of a program of Slurm. ECH_UNAVAILABLE: it is not here, or failed (its words in the
 * message).  Owner  *out: the caller. */
int ech_slurm_call(char *const *argv, char **out, struct ech_err *err);

int ech_slurm_write_job(const char *run_dir, const char *id, struct ech_err *err);
/* False: the run was not submitted. */
bool ech_slurm_read_job(const char *run_dir, char *id, size_t bytes);

/* What Slurm says of the run's job, by one squeue for all jobs of the user whose answer is kept beside the
 * runs for a few seconds. False: no job, or Slurm does not know it (any more). */
bool ech_slurm_ask(const char *run_dir, struct ech_queue_entry *out);

struct ech_slurm_word {
    char job[64], state[32], why[256]; /* state "": not known to the scheduler */
    int64_t restarts;
};
/* False: the run was not submitted. */
bool ech_slurm_word(const char *run_dir, struct ech_slurm_word *out);

/* Stop the job of a run: a queued one leaves the queue; a running one saves (signal to its script), and is
 * ended after `wait_s`. *was_there: it had not ended before. ECH_UNAVAILABLE where Slurm refuses. */
int ech_slurm_cancel(const char *run_dir, const char *id, double wait_s, bool *was_there,
                     struct ech_err *err);

#endif
