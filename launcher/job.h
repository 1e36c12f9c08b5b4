/* What a run needs before mpirun starts: the checked job, programs, layout. */
#ifndef ECH_LAUNCHER_JOB_H
#define ECH_LAUNCHER_JOB_H

#include "config/config.h"
#include "launcher/nodes.h"

struct ech_ready {
    struct ech_config *config;
    const struct ech_job *job; /* borrowed from config */
    char *mpirun, *rank_program;
    struct ech_place place;
    struct ech_layout layout;
    struct ech_nodes nodes;
    bool srun;                /* `mpirun` is srun: it starts the ranks */
    struct ech_argv settings; /* of the ranks: when the allocation ends, what they are bound to */
};

struct ech_ready_request {
    struct ech_config_request config;
    int64_t ranks;               /* --ranks, -1: not given */
    const char *hosts, *cluster; /* --hosts, --cluster, NULL: not given */
    bool kept;                   /* these two are those of the run directory, not said now */
    bool ask;                    /* hosts are asked what they have; without it they are like this one */
};
/* Load, find programs, decide the nodes and the layout. */
int ech_ready_make(const struct ech_ready_request *request, struct ech_ready *out, struct ech_err *err);
void ech_ready_fini(struct ech_ready *ready);

/* The other dataset that a job reads (options.index); NULL: none. */
const char *ech_job_index(const struct ech_job *job);

/* Model and datasets are there (ECH_NOINPUT), the output is not and can be made (ECH_EXISTS). Nothing is
 * made. */
int ech_job_check_inputs(const struct ech_job *job, struct ech_err *err);
int ech_job_check_output(const struct ech_job *job, struct ech_err *err);
/* The folders above the output. */
int ech_job_make_parent(const struct ech_job *job, struct ech_err *err);

/* job.yaml of a new run directory: effective values with their origins. */
int ech_job_write(const char *run_dir, const struct ech_config *config, struct ech_err *err);

/* Compares two texts of ech_config_affecting; ECH_CONFIG names the first line that differs. */
int ech_job_same(const char *before, const char *after, struct ech_err *err);

#endif
