/* The batch script of a run, as text: pure functions over plain structs. The script starts `echelon resume`
 * on whatever nodes the allocation has, passes the signal before the time limit on, and puts itself back into
 * the queue while the run gets on. */
#ifndef ECH_LAUNCHER_SLURM_SCRIPT_H
#define ECH_LAUNCHER_SLURM_SCRIPT_H

#include "base/str.h"
#include "config/config.h"
#include "launcher/slurm_cluster.h"

struct ech_batch {
    const struct ech_job *job;
    const char *run_dir, *echelon;         /* absolute paths */
    const char *partition;                 /* chosen by limits, NULL: as the job says */
    const char *after;                     /* "afterok:7:9", NULL: none */
    const struct ech_cluster_shape *shape; /* of a cluster file; NULL: the job says all */
    const char *left_out;   /* nodes that failed too often in earlier jobs of the run, "n2,n5"; NULL: none */
    int64_t array_tasks;    /* 0: no array; else run directories are lines of run_dir/slurm-runs */
    int64_t array_throttle; /* tasks at a time, 0: no limit */
};

/* Texts that sbatch or the shell would misread, options that have a key of their own, components without
 * srun. ECH_CONFIG names the key. */
int ech_batch_check(const struct ech_batch *batch, struct ech_err *err);
/* Of a checked batch. */
void ech_batch_script(const struct ech_batch *batch, struct ech_str *out);
/* Seconds before the time limit at which Slurm is to signal: the stop margin and half a minute (its clock is
 * coarse), at most a third of the time. */
int64_t ech_batch_notice(const struct ech_job *job);
/* "1:30:00" or "2-00:00:00", as sbatch --time reads it; rounded up to seconds. */
void ech_slurm_time(double seconds, char *out, size_t bytes);
/* A word of the shell in single quotes. */
void ech_shell_quote(const char *text, struct ech_str *out);

#endif
