/* Before the start: see job.h. */
#include "launcher/job.h"

#include "launcher/allocation.h"
#include "launcher/origins.h"
#include "launcher/survey.h"
#include "launcher/verbs.h"

#include "base/io.h"
#include "base/mem.h"
#include "config/each.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANIFEST "dataset.yaml"
enum { JOB_BYTES = 32 << 20 };

void ech_ready_fini(struct ech_ready *ready)
{
    ech_config_destroy(ready->config);
    ech_nodes_fini(&ready->nodes);
    ech_argv_fini(&ready->settings);
    ech_free(ready->mpirun);
    ech_free(ready->rank_program);
    *ready = (struct ech_ready){0};
}

/* mpirun, or srun where the job says so; the components of a heterogeneous job are srun's alone. */
static int find_starter(struct ech_ready *ready, struct ech_err *err)
{
    ready->srun = ready->job->resources.launcher == ECH_LAUNCHER_SRUN;
    if (!ready->srun && ready->place.components)
        ech_say(
            "mpirun sees the first of the job's components alone: resources.launcher: srun takes them all");
    if (!ready->srun)
        return ech_find_mpirun(&ready->mpirun, err);
    if (!ready->place.allocation)
        return ech_fail(err, ECH_UNAVAILABLE,
                        "resources.launcher is srun, and this is no Slurm job: echelon submit makes one");
    if (ready->nodes.hosts.count && (ready->nodes.cluster || !ready->nodes.slurms))
        return ech_fail(err, ECH_USAGE, "--hosts and --cluster choose hosts for mpirun, not for srun");
    if (!(ready->mpirun = ech_find_program("srun")))
        return ech_fail(err, ECH_UNAVAILABLE, "srun is not in PATH");
    return ready->place.components ? ech_layout_components(&ready->place, &ready->layout, err) : ECH_OK;
}

/* Does a --set name this key? */
static bool is_set(const struct ech_config_request *request, const char *key)
{
    size_t length = strlen(key);
    for (const char *const *set = request->sets; set && *set; set++)
        if (strncmp(*set, key, length) == 0 && (*set)[length] == '=')
            return true;
    return false;
}

/* Was resources.nodes said? A run directory's job.yaml has every value, with who said it in a comment. */
static int find_nodes_given(const struct ech_config_request *request, const struct ech_config *config,
                            bool *given, struct ech_err *err)
{
    char *saved = NULL;
    *given = ech_config_given(config, "resources.nodes");
    if (is_set(request, "resources.nodes") || !request->saved || !*given)
        return ECH_OK;
    int code = ech_read_file(request->path, JOB_BYTES, &saved, NULL, err);
    if (code == ECH_OK)
        *given = !ech_origin_is_default(saved, "resources", "nodes");
    ech_free(saved);
    return code;
}

/* What the ranks are told by the environment. Slurm is asked for the end where the job does not say its time.
 */
static int find_settings(struct ech_ready *ready, bool ask, struct ech_err *err)
{
    double end = ready->place.allocation ? ech_allocation_end(ask && !(ready->job->resources.time > 0)) : 0;
    if (end > 0)
        ech_argv_addf(&ready->settings, "ECH_END_TIME=%.0f", end);
    if (ech_job_on_gpus(ready->job) && !getenv("ECH_BIND"))
        ech_argv_add(&ready->settings, "ECH_BIND=device");
    return ready->settings.failed ? ech_fail(err, ECH_UNAVAILABLE, "no memory for an environment") : ECH_OK;
}

static int find_nodes(const struct ech_ready_request *q, struct ech_ready *ready, struct ech_err *err)
{
    const struct ech_job *job = ready->job;
    bool srun = job->resources.launcher == ECH_LAUNCHER_SRUN, allocation = ready->place.allocation;
    bool slurms =
        srun && allocation && q->kept; /* a cluster file of submit's: its nodes are Slurm's by now */
    struct ech_asked asked = {.ranks = q->ranks,
                              .nodes = job->resources.nodes,
                              .ranks_per_node = job->resources.ranks_per_node,
                              .threads = job->resources.threads,
                              .devices = ech_job_on_gpus(job)};
    struct ech_nodes_request nodes = {.hosts_path = q->hosts,
                                      .cluster_path = slurms ? NULL : q->cluster,
                                      .node_list = allocation ? getenv("SLURM_JOB_NODELIST") : NULL,
                                      .said_anew =
                                          q->kept && (is_set(&q->config, "resources.ranks_per_node") ||
                                                      is_set(&q->config, "resources.threads")),
                                      .look = !q->ask      ? NULL
                                              : allocation ? ech_allocation_look
                                                           : ech_survey};
    int code = find_nodes_given(&q->config, ready->config, &nodes.nodes_given, err);
    if (code == ECH_OK)
        code = ech_nodes_find(&nodes, &ready->place, &asked, &ready->nodes, &ready->layout, err);
    if (code == ECH_OK && ready->nodes.hosts.count == 0 && q->ask)
        code = ech_allocation_spread(&asked, &ready->place, &ready->nodes, &ready->layout, err);
    if (code == ECH_OK && ready->nodes.hosts.count == 0)
        code = ech_layout_decide(&ready->place, &asked, &ready->layout, err);
    return code;
}

int ech_ready_make(const struct ech_ready_request *request, struct ech_ready *out, struct ech_err *err)
{
    struct ech_ready ready = {0};
    int code = ech_config_load(&request->config, &ready.config, err);
    if (code != ECH_OK)
        return code;
    ready.job = ech_config_job(ready.config);
    ech_argv_init(&ready.settings);
    ech_place_find(&ready.place);
    code = find_nodes(request, &ready, err);
    if (code == ECH_OK)
        code = ech_find_rank_program(&ready.rank_program, err);
    if (code == ECH_OK)
        code = find_starter(&ready, err);
    if (code == ECH_OK)
        code = find_settings(&ready, request->ask, err);
    if (code != ECH_OK)
        ech_ready_fini(&ready);
    else
        *out = ready;
    return code;
}

static int check_dataset(const char *key, const char *path, struct ech_err *err)
{
    char *manifest = ech_path_join(path, MANIFEST, err);
    int code = manifest ? ECH_OK : ECH_UNAVAILABLE;
    if (manifest && !ech_path_exists(path))
        code = ech_fail(err, ECH_NOINPUT, "%s: %s does not exist (echelon data import makes a dataset)", key,
                        path);
    else if (manifest && !ech_path_exists(manifest))
        code = ech_fail(err, ECH_NOINPUT,
                        "%s: %s is not a dataset, it has no %s (echelon data import makes one)", key, path,
                        MANIFEST);
    ech_free(manifest);
    return code;
}

/* The value of a path option of the job's kind; NULL where it has none. */
static const char *path_option(const struct ech_job *job, const char *path)
{
    for (const struct ech_field *f = job->kind->options; f && f->path; f++)
        if (f->type == ECH_F_PATH && strcmp(f->path, path) == 0)
            return *(char *const *)(const void *)((const char *)job->options + f->offset);
    return NULL;
}

const char *ech_job_index(const struct ech_job *job)
{
    return path_option(job, "options.index");
}

int ech_job_check_inputs(const struct ech_job *job, struct ech_err *err)
{
    const char *index = ech_job_index(job);
    if (job->model && !ech_path_exists(job->model))
        return ech_fail(err, ECH_NOINPUT,
                        "model: %s does not exist (ci/get-model NAME fetches one; any local folder will do)",
                        job->model);
    if (job->adapter && !ech_path_exists(job->adapter))
        return ech_fail(err, ECH_NOINPUT, "model.adapter: %s does not exist", job->adapter);
    int code = job->input.dataset ? check_dataset("input.dataset", job->input.dataset, err) : ECH_OK;
    if (code == ECH_OK && index)
        code = check_dataset("options.index", index, err);
    return code;
}

/* Can a folder be made in `parent`? Tried, since permission bits do not tell (root, read-only mounts). */
static int try_folder(const char *parent, const char *output, struct ech_err *err)
{
    char *probe = ech_sprintf(err, "%s/.echelon-probe-%d", parent, (int)getpid());
    if (!probe)
        return ECH_UNAVAILABLE;
    int code = ECH_OK;
    if (mkdir(probe, 0700) != 0)
        code = ech_fail_errno(err, errno == ENOSPC || errno == EDQUOT ? ECH_IO : ECH_EXISTS, errno,
                              "output.dataset %s cannot be created in %s", output, parent);
    else
        rmdir(probe);
    ech_free(probe);
    return code;
}

/* The nearest folder above `path` that is there. Owner: the caller. */
static char *nearest_folder(const char *path, struct ech_err *err)
{
    char *folder = ech_path_dir(path, err);
    while (folder && !ech_path_exists(folder)) {
        char *above = ech_path_dir(folder, err);
        ech_free(folder);
        folder = above;
    }
    return folder;
}

/* Only a dataset is replaced: told before the rows are computed, not after. */
static int check_replaced(const char *output, struct ech_err *err)
{
    char *manifest = ech_path_join(output, MANIFEST, err);
    int code = manifest ? ECH_OK : ECH_UNAVAILABLE;
    if (manifest && !ech_path_exists(manifest))
        code =
            ech_fail(err, ECH_EXISTS,
                     "output.dataset %s exists and is not a dataset: it is not replaced; remove it or name "
                     "another output",
                     output);
    ech_free(manifest);
    return code;
}

int ech_job_check_output(const struct ech_job *job, struct ech_err *err)
{
    const char *output = job->output.dataset;
    if (ech_path_exists(output) && job->output.exists == ECH_EXISTS_ERROR)
        return ech_fail(err, ECH_EXISTS,
                        "output.dataset %s exists already: name another one, remove it, or set output.exists "
                        "to replace",
                        output);
    int code = ech_path_exists(output) ? check_replaced(output, err) : ECH_OK;
    if (code != ECH_OK)
        return code;
    char *folder = nearest_folder(output, err);
    code = folder ? try_folder(folder, output, err) : ECH_UNAVAILABLE;
    ech_free(folder);
    return code;
}

int ech_job_make_parent(const struct ech_job *job, struct ech_err *err)
{
    char *parent = ech_path_dir(job->output.dataset, err);
    int code = parent ? ech_mkdir_all(parent, err) : ECH_UNAVAILABLE;
    ech_free(parent);
    return code;
}

int ech_job_same(const char *before, const char *after, struct ech_err *err)
{
    while (*before || *after) {
        size_t a = strcspn(before, "\n"), b = strcspn(after, "\n");
        if (a != b || memcmp(before, after, a) != 0)
            return ech_fail(
                err, ECH_CONFIG,
                "the run began with %.*s, now it is %.*s: an option that changes the result cannot "
                "change on resume; start a new run",
                a ? (int)a : 7, a ? before : "nothing", b ? (int)b : 7, b ? after : "nothing");
        before += a + (before[a] == '\n');
        after += b + (after[b] == '\n');
    }
    return ECH_OK;
}
