/* `run` of a file with steps: see run.h. */
#include "launcher/pipeline.h"
#include "launcher/recovery.h"
#include "launcher/run.h"
#include "launcher/session.h"
#include "launcher/verbs.h"

#include "base/mem.h"

#include <stdio.h>
#include <unistd.h>

struct chain {
    const struct ech_args *args;
    const char *const *sets;
    const struct ech_pipeline *pipeline;
    int64_t ranks;
    bool dry;
};

static int begin_step(const struct chain *c, int step, struct ech_err *err)
{
    struct ech_ready_request request = {.config = {.path = c->args->operands[0],
                                                   .sets = c->sets,
                                                   .env = (const char *const *)environ,
                                                   .step = c->pipeline->steps.items[step].name},
                                        .ranks = c->ranks,
                                        .hosts = ech_args_get(c->args, "hosts"),
                                        .cluster = ech_args_get(c->args, "cluster"),
                                        .ask = !c->dry};
    struct ech_ready ready = {0};
    bool later = c->dry && ech_pipeline_feeds(c->pipeline, step); /* its input will be made before it */
    int code = ech_ready_make(&request, &ready, err);
    if (code == ECH_OK && !later)
        code = ech_job_check_inputs(ready.job, err);
    if (code == ECH_OK)
        code = ech_job_check_output(ready.job, err);
    if (code == ECH_OK)
        code = c->dry ? ech_run_dry(&ready, err) : ech_run_start(&ready, err);
    ech_ready_fini(&ready);
    return code;
}

static int run_step(const struct chain *c, int step, struct ech_err *err)
{
    const char *name = c->pipeline->steps.items[step].name;
    enum ech_step_state state;
    char *run_dir = NULL;
    int code = ech_step_look(c->pipeline->configs[step], &state, &run_dir, err);
    if (code == ECH_OK && state == ECH_STEP_SEALED) {
        printf("%s\n", run_dir);
        ech_say("step %s: unchanged since %s, nothing to do", name, run_dir);
    } else if (code == ECH_OK && state == ECH_STEP_UNFINISHED) {
        ech_say("step %s: %s %s", name, c->dry ? "would go on with" : "goes on with", run_dir);
        code = c->dry ? ECH_OK : ech_run_go_on(run_dir, c->args, c->ranks, err);
    } else if (code == ECH_OK) {
        ech_say("step %s (%d of %d)", name, step + 1, c->pipeline->steps.count);
        code = begin_step(c, step, err);
    }
    fflush(stdout);
    ech_free(run_dir);
    return code == ECH_OK ? code : ech_prefix(err, "step %s", name);
}

/* What would be refused in hours is refused now. Where a step's input is still to be made, its turn decides:
 * made again with the same bytes, it leaves the step as it was. */
static int check_outputs(const struct chain *c, struct ech_err *err)
{
    int code = ECH_OK;
    for (int i = 0; code == ECH_OK && i < c->pipeline->steps.count; i++) {
        enum ech_step_state state;
        char *run_dir = NULL;
        code = ech_step_look(c->pipeline->configs[i], &state, &run_dir, err);
        ech_free(run_dir);
        const struct ech_job *job = ech_config_job(c->pipeline->configs[i]);
        if (code == ECH_OK && state == ECH_STEP_NEW && ech_job_check_inputs(job, NULL) == ECH_OK)
            code = ech_job_check_output(job, err);
        if (code != ECH_OK)
            ech_prefix(err, "step %s", c->pipeline->steps.items[i].name);
    }
    return code;
}

static int stopped_before(const struct chain *c, int step, struct ech_err *err)
{
    return ech_fail(err, ECH_REQUEUE, "stopped before step %s; the same command goes on",
                    c->pipeline->steps.items[step].name);
}

int ech_run_steps(const struct ech_args *args, const char *const *sets, int64_t ranks, bool *done,
                  struct ech_err *err)
{
    struct ech_pipeline pipeline;
    struct chain c = {.args = args,
                      .sets = sets,
                      .pipeline = &pipeline,
                      .ranks = ranks,
                      .dry = ech_args_given(args, "dry-run")};
    int code = ech_pipeline_load(args->operands[0], sets, &pipeline, err);
    *done = pipeline.steps.count > 0;
    if (code == ECH_OK)
        code = check_outputs(&c, err);
    if (code == ECH_OK && *done)
        ech_recovery_say();
    for (int i = 0; code == ECH_OK && i < pipeline.steps.count; i++)
        code = i > 0 && ech_session_pending_signal() ? stopped_before(&c, i, err) : run_step(&c, i, err);
    if (code == ECH_OK && *done && !c.dry)
        ech_say("%d step%s done", pipeline.steps.count, pipeline.steps.count == 1 ? "" : "s");
    ech_pipeline_fini(&pipeline);
    return code;
}
