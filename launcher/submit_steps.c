/* A file with steps as Slurm jobs that wait for each other: see submit.h. */
#include "launcher/submit.h"

#include "launcher/slurm.h"
#include "launcher/verbs.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/rundir.h"

#include <stdio.h>
#include <string.h>

struct step {
    struct ech_submission submission;
    enum ech_step_state state;
    char id[64]; /* of its job; empty: none, or not yet */
};

static int index_of(const struct ech_steps *steps, const char *name)
{
    int i = 0;
    while (i < steps->count && strcmp(steps->items[i].name, name) != 0)
        i++;
    return i;
}

static bool in_queue(const char *run_dir, char *id, size_t bytes)
{
    struct ech_queue_entry entry;
    static const char *const states[] = {"PENDING", "RUNNING", "CONFIGURING", "SUSPENDED", "REQUEUED", NULL};
    if (!ech_slurm_read_job(run_dir, id, bytes) || !ech_slurm_ask(run_dir, &entry))
        return false;
    for (int i = 0; states[i]; i++)
        if (strcmp(entry.state, states[i]) == 0)
            return true;
    return false;
}

/* Will its input be made again? Then what was made from the old one counts no more. */
static bool has_new_input(const struct ech_pipeline *pipeline, const struct step *all, int step)
{
    for (int i = 0; i < step; i++)
        if (ech_pipeline_reads(pipeline, step, i) && all[i].state != ECH_STEP_SEALED)
            return true;
    return false;
}

static bool has_begun(const char *run_dir)
{
    char *path = ech_run_path(NULL, run_dir, "%s", ECH_RUN_IDENTITY);
    bool begun = path && ech_path_exists(path);
    ech_free(path);
    return begun;
}

static int keep_run(struct ech_submission *s, char *run_dir, struct ech_err *err)
{
    s->run_dirs = ech_calloc(1, sizeof *s->run_dirs, err);
    if (!s->run_dirs) {
        ech_free(run_dir);
        return ECH_UNAVAILABLE;
    }
    s->run_dirs[0] = run_dir;
    s->kept = true;
    return ECH_OK;
}

static int look(const struct ech_pipeline *pipeline, struct step *all, int i, struct ech_err *err)
{
    char *run_dir = NULL;
    struct step *step = &all[i];
    int code = ech_step_look(pipeline->configs[i], &step->state, &run_dir, err);
    if (code != ECH_OK)
        return code;
    if (run_dir && has_begun(run_dir) && has_new_input(pipeline, all, i)) {
        step->state = ECH_STEP_NEW;
        ech_free(run_dir);
        return ECH_OK;
    }
    if (step->state == ECH_STEP_SEALED)
        ech_say("step %s: unchanged since %s, nothing to do", step->submission.step, run_dir);
    else if (run_dir && in_queue(run_dir, step->id, sizeof step->id))
        ech_say("step %s: is job %s already", step->submission.step, step->id);
    else {
        step->id[0] = '\0';
        return run_dir ? keep_run(&step->submission, run_dir, err) : ECH_OK;
    }
    if (!ech_args_given(step->submission.args, "dry-run"))
        printf("%s\n", run_dir);
    ech_free(run_dir);
    return ECH_OK;
}

/* What an earlier job of the run left for its batch script. */
static void forget_stops(const char *run_dir)
{
    static const char *const names[] = {ECH_RUN_SLURM_CANCELLED, ECH_RUN_SLURM_STOPPED,
                                        ECH_RUN_SLURM_PROGRESS};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *path = ech_run_path(NULL, run_dir, "%s", names[i]);
        if (path && ech_path_exists(path))
            remove(path);
        ech_free(path);
    }
}

static bool is_settled(const struct step *step)
{
    return step->state == ECH_STEP_SEALED || step->id[0];
}

static int send(const struct ech_steps *steps, struct step *all, int i, struct ech_err *err)
{
    struct step *step = &all[i];
    struct ech_submission *s = &step->submission;
    bool dry = ech_args_given(s->args, "dry-run");
    const struct ech_list *after = &steps->items[i].after;
    for (int a = 0; a < after->count; a++) {
        const struct step *before = &all[index_of(steps, after->items[a])];
        if (before->state != ECH_STEP_SEALED)
            ech_str_addf(&s->after, "%s:%s", s->after.length ? "" : "afterok",
                         before->id[0] ? before->id : "JOB-OF-THE-STEP-BEFORE");
    }
    int code = ech_str_check(&s->after, err);
    if (dry)
        printf("%s### step %s\n", i ? "\n" : "", s->step);
    else if (s->kept)
        forget_stops(s->run_dirs[0]);
    if (code == ECH_OK)
        code = ech_submission_send(s, err);
    if (code == ECH_OK && !dry)
        snprintf(step->id, sizeof step->id, "%s", s->id);
    return code;
}

static int prepare_all(const struct ech_pipeline *pipeline, struct step *all, struct ech_err *err)
{
    int code = ECH_OK;
    for (int i = 0; code == ECH_OK && i < pipeline->steps.count; i++) {
        code = look(pipeline, all, i, err);
        if (code == ECH_OK && !is_settled(&all[i]))
            code = ech_submission_prepare(&all[i].submission, err);
        if (code != ECH_OK)
            ech_prefix(err, "step %s", pipeline->steps.items[i].name);
    }
    return code;
}

static int place_all(const struct ech_pipeline *pipeline, struct step *all, struct ech_err *err)
{
    char *sinfo = NULL;
    bool any = false;
    for (int i = 0; i < pipeline->steps.count; i++)
        any = any || !is_settled(&all[i]);
    int code = any ? ech_submit_ask_site(all[0].submission.args, &sinfo, err) : ECH_OK;
    for (int i = 0; code == ECH_OK && i < pipeline->steps.count; i++)
        if (!is_settled(&all[i]) && (code = ech_submission_place(&all[i].submission, sinfo, err)) != ECH_OK)
            ech_prefix(err, "step %s", pipeline->steps.items[i].name);
    ech_free(sinfo);
    return code;
}

static int send_all(const struct ech_pipeline *pipeline, struct step *all, struct ech_err *err)
{
    int code = ECH_OK;
    for (int i = 0; code == ECH_OK && i < pipeline->steps.count; i++) {
        if (!is_settled(&all[i]))
            code = send(&pipeline->steps, all, i, err);
        if (code != ECH_OK)
            ech_prefix(err, "step %s (what was submitted before it stays)", pipeline->steps.items[i].name);
    }
    return code;
}

int ech_submit_steps(const struct ech_args *args, const struct ech_pipeline *pipeline, struct ech_err *err)
{
    int count = pipeline->steps.count;
    struct step *all = ech_calloc((size_t)count, sizeof *all, err);
    if (!all)
        return ECH_UNAVAILABLE;
    for (int i = 0; i < count; i++)
        all[i].submission = (struct ech_submission){
            .args = args, .step = pipeline->steps.items[i].name, .fed = ech_pipeline_feeds(pipeline, i)};
    int code = prepare_all(pipeline, all, err);
    if (code == ECH_OK)
        code = place_all(pipeline, all, err);
    if (code == ECH_OK)
        code = send_all(pipeline, all, err);
    for (int i = 0; i < count; i++)
        ech_submission_fini(&all[i].submission);
    ech_free(all);
    return code;
}
