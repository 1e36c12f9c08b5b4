/* A file of several jobs (config/steps.h): each step is a run of its own. A step whose run is sealed and
 * whose inputs, model, options and output are as they were then is not run again; one that was stopped goes
 * on. */
#ifndef ECH_LAUNCHER_PIPELINE_H
#define ECH_LAUNCHER_PIPELINE_H

#include "config/steps.h"

enum ech_step_state { ECH_STEP_NEW, ECH_STEP_UNFINISHED, ECH_STEP_SEALED };

struct ech_pipeline {
    struct ech_steps steps;
    struct ech_config **configs; /* one a step */
};

/* *out has no steps where the file is one job. `sets`: of every step.
 * Owner   ech_pipeline_fini, also after an error.
 * Errors  as ech_config_load, with the step's name; ECH_CONFIG: two steps write the same dataset, or one
 * reads what another writes without being `after` it; ECH_NOINPUT: an input that no step makes is missing. */
int ech_pipeline_load(const char *path, const char *const *sets, struct ech_pipeline *out,
                      struct ech_err *err);
void ech_pipeline_fini(struct ech_pipeline *pipeline);

/* Does the step read what `from`, or any step, writes? */
bool ech_pipeline_reads(const struct ech_pipeline *pipeline, int step, int from);
bool ech_pipeline_feeds(const struct ech_pipeline *pipeline, int step);

/* What has become of a step, from its newest run of the same job below `runs`. The model counts as unchanged
 * while none of its files is newer than that run.
 * Owner   *run_dir: the caller; NULL where the step is new.  Errors  ECH_UNAVAILABLE. */
int ech_step_look(const struct ech_config *config, enum ech_step_state *state, char **run_dir,
                  struct ech_err *err);

#endif
