/* Steps of a file and their runs: see pipeline.h. */
#include "launcher/pipeline.h"

#include "launcher/job.h"
#include "launcher/rundirs.h"

#include "base/io.h"
#include "base/mem.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MANIFEST_BYTES = 64 << 20, DEPTH = 4 };
#define MANIFEST "dataset.yaml"

/* ---- loading ---- */

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static const struct ech_job *job_at(const struct ech_pipeline *p, int step)
{
    return ech_config_job(p->configs[step]);
}

static bool reads(const struct ech_job *job, const char *dataset)
{
    return same(job->input.dataset, dataset) || same(ech_job_index(job), dataset);
}

static int find_step(const struct ech_steps *steps, const char *name)
{
    int i = 0;
    while (i < steps->count && strcmp(steps->items[i].name, name) != 0)
        i++;
    return i;
}

/* Is `later` after `earlier`, by any number of steps between them? They are in order: the way leads back. */
static bool is_after(const struct ech_steps *steps, int later, int earlier)
{
    const struct ech_list *after = &steps->items[later].after;
    for (int i = 0; i < after->count; i++) {
        int before = find_step(steps, after->items[i]);
        if (before == earlier || (before < later && is_after(steps, before, earlier)))
            return true;
    }
    return false;
}

static int check_pair(const struct ech_pipeline *p, int a, int b, struct ech_err *err)
{
    const char *output = job_at(p, a)->output.dataset;
    if (a < b && same(output, job_at(p, b)->output.dataset))
        return ech_fail(err, ECH_CONFIG, "steps %s and %s both write %s", p->steps.items[a].name,
                        p->steps.items[b].name, output);
    if (ech_pipeline_reads(p, b, a) && !is_after(&p->steps, b, a))
        return ech_fail(err, ECH_CONFIG, "step %s reads %s, which step %s writes: it needs after: [%s]",
                        p->steps.items[b].name, output, p->steps.items[a].name, p->steps.items[a].name);
    return ECH_OK;
}

bool ech_pipeline_reads(const struct ech_pipeline *p, int step, int from)
{
    return step != from && reads(job_at(p, step), job_at(p, from)->output.dataset);
}

bool ech_pipeline_feeds(const struct ech_pipeline *p, int step)
{
    for (int i = 0; i < p->steps.count; i++)
        if (ech_pipeline_reads(p, step, i))
            return true;
    return false;
}

static int check(const struct ech_pipeline *p, struct ech_err *err)
{
    int code = ECH_OK;
    for (int a = 0; a < p->steps.count; a++)
        for (int b = 0; code == ECH_OK && b < p->steps.count; b++)
            code = check_pair(p, a, b, err);
    for (int i = 0; code == ECH_OK && i < p->steps.count; i++)
        if (!ech_pipeline_feeds(p, i) && (code = ech_job_check_inputs(job_at(p, i), err)) != ECH_OK)
            ech_prefix(err, "step %s", p->steps.items[i].name);
    return code;
}

int ech_pipeline_load(const char *path, const char *const *sets, struct ech_pipeline *out,
                      struct ech_err *err)
{
    *out = (struct ech_pipeline){0};
    int code = ech_steps_load(path, &out->steps, err);
    if (code != ECH_OK || !out->steps.count)
        return code;
    out->configs = ech_calloc((size_t)out->steps.count, sizeof(struct ech_config *), err);
    if (!out->configs)
        return ECH_UNAVAILABLE;
    for (int i = 0; i < out->steps.count; i++) {
        struct ech_config_request request = {.path = path,
                                             .sets = sets,
                                             .env = (const char *const *)environ,
                                             .step = out->steps.items[i].name};
        code = ech_config_load(&request, &out->configs[i], err);
        if (code != ECH_OK)
            return ech_prefix(err, "step %s", out->steps.items[i].name);
    }
    return check(out, err);
}

void ech_pipeline_fini(struct ech_pipeline *p)
{
    for (int i = 0; p->configs && i < p->steps.count; i++)
        ech_config_destroy(p->configs[i]);
    ech_free(p->configs);
    ech_steps_fini(&p->steps);
    *p = (struct ech_pipeline){0};
}

/* ---- the newest run of a step ---- */

static bool same_options(const struct ech_config *a, const struct ech_config *b)
{
    struct ech_str old, new;
    ech_str_init(&old);
    ech_str_init(&new);
    bool equal = ech_config_affecting(a, &old, NULL) == ECH_OK &&
                 ech_config_affecting(b, &new, NULL) == ECH_OK &&
                 same(old.data ? old.data : "", new.data ? new.data : "");
    ech_str_fini(&old);
    ech_str_fini(&new);
    return equal;
}

static bool same_job(const struct ech_config *a, const struct ech_config *b)
{
    const struct ech_job *x = ech_config_job(a), *y = ech_config_job(b);
    return same(x->name, y->name) && same(x->model, y->model) && same(x->adapter, y->adapter) &&
           same(x->input.dataset, y->input.dataset) && same(x->output.dataset, y->output.dataset) &&
           same(ech_job_index(x), ech_job_index(y)) && same_options(a, b);
}

static bool is_run_of(const struct ech_config *config, const char *job_path)
{
    struct ech_config_request request = {.path = job_path, .saved = true};
    struct ech_config *saved = NULL;
    bool is = ech_config_load(&request, &saved, NULL) == ECH_OK && same_job(saved, config);
    ech_config_destroy(saved);
    return is;
}

static bool is_later(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec);
}

/* NULL: the job has no run. */
static char *newest_run(const struct ech_config *config, struct timespec *when)
{
    const struct ech_job *job = ech_config_job(config);
    size_t length = strlen(job->name);
    DIR *dir = opendir(job->runs);
    struct dirent *entry;
    char *best = NULL;
    *when = (struct timespec){0, 0};
    while (dir && (entry = readdir(dir))) {
        struct stat st;
        if (strncmp(entry->d_name, job->name, length) != 0 || entry->d_name[length] != '-')
            continue;
        char *path = ech_path_join(job->runs, entry->d_name, NULL);
        char *job_path = path ? ech_path_join(path, ECH_RUN_JOB, NULL) : NULL;
        if (job_path && stat(job_path, &st) == 0 && (!best || is_later(&st.st_mtim, when)) &&
            is_run_of(config, job_path)) {
            ech_free(best);
            best = path;
            path = NULL;
            *when = st.st_mtim;
        }
        ech_free(job_path);
        ech_free(path);
    }
    if (dir)
        closedir(dir);
    return best;
}

/* ---- is it as it was? ---- */

/* The part of a manifest that its identity comes from: above `provenance`. */
static char *read_manifest(const char *folder, const char *name)
{
    char *path = ech_path_join(folder, name, NULL), *text = NULL, *end;
    if (path && ech_path_exists(path))
        ech_read_file(path, MANIFEST_BYTES, &text, NULL, NULL);
    ech_free(path);
    if (text && (end = strstr(text, "\nprovenance:")))
        *end = '\0';
    return text;
}

/* A dataset beside the copy of its manifest that the run took. A run that took none has not begun. */
static bool same_dataset(const char *dataset, const char *run_dir, const char *copy, bool begun)
{
    if (!dataset)
        return true;
    char *then = read_manifest(run_dir, copy), *now = read_manifest(dataset, MANIFEST);
    bool equal = then ? same(then, now) : !begun;
    ech_free(then);
    ech_free(now);
    return equal;
}

/* A model's folder has files and folders of files. */
static bool has_newer(const char *path, const struct timespec *when, int depth)
{
    struct stat st;
    struct dirent *entry;
    if (stat(path, &st) != 0)
        return true;
    if (!S_ISDIR(st.st_mode))
        return is_later(&st.st_mtim, when);
    DIR *dir = depth ? opendir(path) : NULL;
    bool newer = false;
    while (dir && !newer && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        char *below = ech_path_join(path, entry->d_name, NULL);
        newer = !below || has_newer(below, when, depth - 1);
        ech_free(below);
    }
    if (dir)
        closedir(dir);
    return newer;
}

/* Does the dataset say that this run made it? */
static bool is_output_of(const char *dataset, const char *run_dir)
{
    char *path = ech_path_join(dataset, MANIFEST, NULL), *text = NULL;
    char *line = ech_sprintf(NULL, "\n    run: %s\n", ech_path_base(run_dir));
    if (path && line)
        ech_read_file(path, MANIFEST_BYTES, &text, NULL, NULL);
    bool is = text && strstr(text, line);
    ech_free(path);
    ech_free(line);
    ech_free(text);
    return is;
}

static bool is_sealed(const char *run_dir, int attempts)
{
    struct ech_run_result result;
    for (int n = attempts; n > 0; n--)
        if (ech_run_result_read(run_dir, n, &result, NULL) == ECH_OK && strcmp(result.state, "sealed") == 0)
            return true;
    return false;
}

static enum ech_step_state judge(const struct ech_job *job, const char *run_dir, const struct timespec *when)
{
    int attempts = 0;
    bool sealed = ech_run_attempts(run_dir, &attempts, NULL) == ECH_OK && is_sealed(run_dir, attempts);
    bool unchanged = same_dataset(job->input.dataset, run_dir, ECH_RUN_INPUT, sealed) &&
                     same_dataset(ech_job_index(job), run_dir, ECH_RUN_INDEX, sealed) &&
                     (!job->model || !has_newer(job->model, when, DEPTH)) &&
                     (!job->adapter || !has_newer(job->adapter, when, DEPTH));
    if (!unchanged)
        return ECH_STEP_NEW;
    if (!sealed || !ech_path_exists(job->output.dataset))
        return ECH_STEP_UNFINISHED;
    return is_output_of(job->output.dataset, run_dir) ? ECH_STEP_SEALED : ECH_STEP_NEW;
}

int ech_step_look(const struct ech_config *config, enum ech_step_state *state, char **run_dir,
                  struct ech_err *err)
{
    struct timespec when;
    char *found = newest_run(config, &when);
    *run_dir = NULL;
    *state = found ? judge(ech_config_job(config), found, &when) : ECH_STEP_NEW;
    if (*state != ECH_STEP_NEW) {
        int code = ech_rundir_find(found, run_dir, err);
        ech_free(found);
        return code;
    }
    ech_free(found);
    return ECH_OK;
}
