/* One submission: the runs of a job file (several with --each), or of a step, and their batch script. */
#ifndef ECH_LAUNCHER_SUBMIT_H
#define ECH_LAUNCHER_SUBMIT_H

#include "base/args.h"
#include "config/cluster.h"
#include "launcher/pipeline.h"
#include "launcher/slurm_cluster.h"

#include <limits.h>

struct ech_submission {
    const struct ech_args *args;
    const char *step;            /* of a file with steps, else NULL */
    bool fed;                    /* its input is made by a step before it: it need not be there */
    bool kept;                   /* run_dirs[0] is there already: the job goes on with it */
    struct ech_config **configs; /* one a run; those of --each differ in input and output */
    char **run_dirs;
    int64_t count, throttle;
    struct ech_str after;           /* "afterok:1:2", or empty */
    struct ech_cluster *cluster;    /* of --cluster, NULL: none */
    struct ech_cluster_shape shape; /* what it means to Slurm */
    char *left_out;                 /* nodes that earlier jobs of the run left out ("n2,n5"), NULL: none */
    char echelon[PATH_MAX];
    char partition[64];
    char id[32]; /* of the last job that was submitted */
};

/* Load and check everything; nothing is made or submitted. */
int ech_submission_prepare(struct ech_submission *submission, struct ech_err *err);
/* What sinfo says, one look for all that is submitted. *sinfo stays NULL with --dry-run where Slurm is not
 * here. Owner   *sinfo: the caller. */
int ech_submit_ask_site(const struct ech_args *args, char **sinfo, struct ech_err *err);
/* Choose a partition; sinfo NULL: none. */
int ech_submission_place(struct ech_submission *submission, const char *sinfo, struct ech_err *err);
/* Submit, or with --dry-run print the script. */
int ech_submission_send(struct ech_submission *submission, struct ech_err *err);
void ech_submission_fini(struct ech_submission *submission);

/* One Slurm job a step, each after those that its `after` names; steps that are sealed and unchanged are left
 * out, those in the queue stay there. Nothing is submitted before all of them are found good. */
int ech_submit_steps(const struct ech_args *args, const struct ech_pipeline *pipeline, struct ech_err *err);

#endif
