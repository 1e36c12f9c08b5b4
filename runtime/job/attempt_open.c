/* Opening: the run directory's files, configuration, input, model, identity, the node's shared memory. */
#include "job/attempt.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/place.h"
#include "comm/watchdog.h"
#include "config/cluster.h"
#include "config/each.h"
#include "config/kinds/retrieve.h"
#include "job/check.h"
#include "job/usage.h"
#include "job/within.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct ech_comm *ech_attempt_comm(const struct ech_attempt *a)
{
    return a->survivors ? a->survivors : a->comm;
}

void ech_attempt_phase(struct ech_attempt *a, const char *name)
{
    ech_watchdog_phase(name, a->job ? a->job->limits.phase : 300);
    struct ech_str *s = ech_event_begin(a->events, "phase");
    if (s)
        ech_json_add_str(s, "name", name);
    ech_event_end(a->events);
    ech_log(ECH_LOG_INFO, "job", "phase %s", name);
}

const struct ech_list *ech_attempt_texts(const struct ech_job *job)
{
    if (strcmp(job->kind_name, "retrieve") != 0)
        return NULL;
    const struct ech_retrieve_options *options = job->options;
    return options->query.count ? &options->query : NULL;
}

const char *ech_attempt_index(const struct ech_job *job)
{
    const struct ech_retrieve_options *options = job->options;
    return strcmp(job->kind_name, "retrieve") == 0 ? options->index : NULL;
}

static int open_files(struct ech_attempt *a, struct ech_err *err)
{
    int rank = ech_comm_rank(a->comm), attempt = a->o->attempt;
    struct ech_event_source source = {ech_path_base(a->o->run_dir), attempt, ech_comm_node(a->comm), rank};
    a->node_dir = ech_run_path(err, a->o->run_dir, "%s/%s", ECH_RUN_NODES, ech_comm_host(a->comm));
    if (!a->node_dir)
        return ECH_UNAVAILABLE;
    int code = ech_mkdir_all(a->node_dir, err);
    if (!code && rank == 0)
        code = ech_run_result_reserve(a->o->run_dir, attempt, err);
    char *log = code ? NULL : ech_sprintf(err, "%s/log-%d-%d", a->node_dir, attempt, rank);
    char *events = code ? NULL : ech_sprintf(err, "%s/events-%d-%d.jsonl", a->node_dir, attempt, rank);
    if (!code && (!log || !events))
        code = ECH_UNAVAILABLE;
    if (!code)
        code = ech_open(log, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, &a->log_fd, err);
    if (!code) {
        ech_log_to(a->log_fd);
        code = ech_events_open(events, &source, &a->events, err);
    }
    ech_free(log);
    ech_free(events);
    return code;
}

/* What the cluster file says of this node's class: its threads go before what the job says of all, its memory
 * is a limit as resources.memory is. */
static int class_limits(struct ech_attempt *a, struct ech_err *err)
{
    struct ech_cluster *cluster = NULL;
    char *path = ech_run_path(err, a->o->run_dir, "%s", ECH_RUN_CLUSTER);
    int code = path ? ECH_OK : ECH_UNAVAILABLE;
    a->threads = (int)a->job->resources.threads;
    a->memory = a->job->resources.memory;
    if (path && ech_path_exists(path))
        code = ech_cluster_load(path, &cluster, err);
    const struct ech_node_class *c = cluster ? ech_cluster_class_of(cluster, ech_comm_host(a->comm)) : NULL;
    if (c && c->threads)
        a->threads = (int)c->threads;
    if (c && c->memory > 0)
        a->memory = a->memory > 0 ? ech_min64(a->memory, c->memory) : c->memory;
    ech_cluster_destroy(cluster);
    ech_free(path);
    return code;
}

/* Seconds from the attempt's start: what the job says, or until the allocation ends (Unix time, from the
 * launcher) where that is sooner. 0: none. */
static double time_limit(const struct ech_attempt *a)
{
    const char *text = getenv("ECH_END_TIME");
    double limit = a->job->resources.time;
    int64_t end = 0;
    struct timespec now;
    if (!text || !ech_parse_int(text, &end) || end <= 0)
        return limit;
    clock_gettime(CLOCK_REALTIME, &now);
    double left = (double)(end - now.tv_sec) + ech_mono_s() - a->started;
    left = left > 1 ? left : 1;
    return limit > 0 && limit < left ? limit : left;
}

static int load_config(struct ech_attempt *a, struct ech_err *err)
{
    char *path = ech_run_path(err, a->o->run_dir, "%s", ECH_RUN_JOB);
    if (!path)
        return ECH_UNAVAILABLE;
    struct ech_config_request request = {.path = path, .saved = true};
    int code = ech_config_load(&request, &a->config, err);
    ech_free(path);
    if (code)
        return code;
    a->own = *ech_config_job(a->config);
    a->job = &a->own;
    ech_each_apply(&a->own.resources.each, ech_comm_host(a->comm), ech_comm_rank(a->comm), &a->own);
    ech_watchdog_phase("open", a->job->limits.phase); /* until here its value was not known */
    if ((code = class_limits(a, err)))
        return code;
    if (a->threads == 0) { /* auto: this rank's part of what the node's ranks may use */
        a->threads = ech_usage_cores() / ech_comm_node_size(a->comm);
        a->threads = a->threads < 1 ? 1 : a->threads;
    }
    double time = time_limit(a);
    if (time > 0) {
        double margin = a->job->limits.stop_margin, most = time / 2;
        a->deadline = a->started + time - (margin < most ? margin : most);
    }
    return ECH_OK;
}

static int open_input(struct ech_attempt *a, struct ech_err *err)
{
    const struct ech_job *job = a->job;
    if (job->input.dataset) {
        char *kept = ech_run_path(err, a->o->run_dir, "%s", ECH_RUN_INPUT);
        int code = kept ? ech_dataset_open_frozen(job->input.dataset, kept, &a->input, err) : ECH_UNAVAILABLE;
        ech_free(kept);
        if (code)
            return ech_prefix(err, "input.dataset");
    }
    for (int i = 0; i < job->output.keep.count; i++) {
        if (!a->input)
            return ech_fail(err, ECH_CONFIG, "output.keep: there is no input dataset to keep columns of");
        int code = ech_dataset_find(a->input, job->output.keep.items[i], &a->keep[a->keep_count++], err);
        if (code)
            return ech_prefix(err, "output.keep");
    }
    return ech_source_open(job, a->input, ech_attempt_texts(job), &a->source, err);
}

static int freeze(const struct ech_attempt *a, const char *dataset, const char *name, const char *key,
                  struct ech_err *err)
{
    if (!dataset)
        return ECH_OK;
    char *copy = ech_run_path(err, a->o->run_dir, "%s", name);
    int code = copy ? ech_dataset_freeze(dataset, copy, err) : ECH_UNAVAILABLE;
    ech_free(copy);
    return code ? ech_prefix(err, "%s", key) : ECH_OK;
}

/* All that every rank can do by itself before the datasets are opened. Rank 0 keeps their manifests, which
 * all ranks of all attempts then believe. */
static int open_first(struct ech_attempt *a, struct ech_err *err)
{
    int code = open_files(a, err);
    if (!code)
        code = load_config(a, err);
    if (code || ech_comm_rank(a->comm) != 0)
        return code;
    code = freeze(a, a->job->input.dataset, ECH_RUN_INPUT, "input.dataset", err);
    return code ? code : freeze(a, ech_attempt_index(a->job), ECH_RUN_INDEX, "options.index", err);
}

static bool mixed(const struct ech_attempt *a)
{
    return a->job->numerics == ECH_NUMERICS_MIXED;
}

/* Then several ranks may hold the weights together: who holds what is decided later. */
static bool may_split(const struct ech_attempt *a)
{
    int64_t asked = a->job->resources.ranks_per_worker;
    return asked > 1 || (asked == 0 && ech_comm_nodes(a->comm) > 1);
}

static int open_kind(struct ech_attempt *a, struct ech_err *err)
{
    a->kind = ech_kind_ops_find(a->job->kind_name);
    if (!a->kind)
        return ech_fail(err, ECH_BUG, "kind %s has a table and no code", a->job->kind_name);
    char *index = ech_run_path(err, a->o->run_dir, "%s", ECH_RUN_INDEX);
    struct ech_stream_env env = {.job = a->job,
                                 .source = a->source,
                                 .threads = a->threads,
                                 .device = ech_comm_node_rank(a->comm),
                                 .model = a->staging ? ech_staging_folder(a->staging) : NULL,
                                 .index = index};
    struct ech_within within = {a->memory, ech_usage_rss(), ech_comm_node_size(a->comm), may_split(a)};
    int code = index ? ech_open_within(a->kind, &env, &within, &a->stream, err) : ECH_UNAVAILABLE;
    ech_free(index);
    return code;
}

/* The model's files on the nodes, where the job asks for it. Collective. */
static int stage_model(struct ech_attempt *a, struct ech_err *err)
{
    const struct ech_job *job = a->job;
    if (!job->model || job->staging.how == ECH_STAGING_NONE)
        return ECH_OK;
    struct ech_staging_options options = {.comm = a->comm,
                                          .model = job->model,
                                          .folder = job->staging.folder,
                                          .keep = job->staging.how == ECH_STAGING_NODE,
                                          .most = job->staging.most};
    ech_attempt_phase(a, "stage");
    int code = ech_staging_open(&options, &a->staging, err);
    struct ech_str *s = code ? NULL : ech_event_begin(a->events, "stage");
    if (s) {
        ech_json_add_str(s, "folder", ech_staging_folder(a->staging));
        ech_json_add_int(s, "read_bytes", ech_staging_read_bytes(a->staging));
        ech_event_end(a->events);
    }
    if (!code)
        ech_attempt_phase(a, "open");
    return code;
}

static void start_event(struct ech_attempt *a)
{
    char cpu[96];
    struct ech_str *s = ech_event_begin(a->events, "start");
    if (s) {
        ech_json_add_str(s, "host", ech_comm_host(a->comm));
        ech_json_add_int(s, "pid", getpid());
        ech_json_add_int(s, "threads", a->threads);
        ech_json_add_str(s, "backend", a->kind->backend(a->stream));
        ech_json_add_str(s, "precision", a->kind->precision(a->stream));
        ech_json_add_str(s, "numerics", a->kind->numerics(a->stream));
        ech_json_add_str(s, "cpu", ech_usage_cpu_name(cpu, sizeof cpu));
        const struct ech_placement *place = ech_place_get();
        if (place) {
            ech_json_add_str(s, "cores", place->bound ? place->text : "not bound");
            ech_json_add_int(s, "numa", place->numa);
            ech_json_add_bool(s, "memory_bound", place->memory);
            if (place->device >= 0)
                ech_json_add_int(s, "near_device", place->device);
        }
        ech_json_add_str(s, "version", a->o->version);
    }
    ech_event_end(a->events);
}

/* One numerics class for all ranks: otherwise equal bytes could not be promised. */
static int agree_numerics(struct ech_attempt *a, struct ech_err *err)
{
    int size = ech_comm_size(a->comm);
    char mine[64] = "", *all = ech_calloc((size_t)size, sizeof mine, err);
    int code = all ? ECH_OK : ECH_UNAVAILABLE;
    code = ech_agree(a->comm, err);
    if (mixed(a)) { /* asked for: each row says how it was computed */
        ech_free(all);
        return code;
    }
    snprintf(mine, sizeof mine, "%s", a->kind->numerics(a->stream));
    if (!code)
        code = ech_allgather(a->comm, mine, sizeof mine, all, err);
    for (int r = 1; !code && r < size; r++)
        if (strcmp(all, all + (size_t)r * sizeof mine) != 0)
            code =
                ech_fail(err, ECH_UNAVAILABLE,
                         "rank 0 computes in class %.60s, rank %d in %.60s: their bytes would differ; choose "
                         "resources.backend or nodes alike",
                         all, r, all + (size_t)r * sizeof mine);
    ech_free(all);
    return code;
}

static int add_input_parts(struct ech_attempt *a, struct ech_identity *id, struct ech_err *err)
{
    char text[64], hex[ECH_HASH_HEX];
    snprintf(text, sizeof text, "%" PRId64, ech_source_rows(a->source));
    int code = ech_identity_add(id, "rows", text, err);
    if (!code && a->input)
        code = ech_identity_add(id, "input", ech_hash_print(ech_dataset_identity(a->input), hex), err);
    return code;
}

/* "key=value" lines become parts of their own, so that a difference is named by its key. */
static int add_options(struct ech_attempt *a, struct ech_identity *id, struct ech_err *err)
{
    struct ech_str lines;
    ech_str_init(&lines);
    int code = ech_config_affecting(a->config, &lines, err);
    for (char *at = lines.data; !code && at && *at;) {
        char *end = strchr(at, '\n'), *equals = strchr(at, '=');
        if (end)
            *end = 0;
        if (equals) {
            *equals = 0;
            code = ech_identity_add(id, at, equals + 1, err);
        }
        at = end ? end + 1 : NULL;
    }
    ech_str_fini(&lines);
    return code;
}

static int add_columns(struct ech_attempt *a, struct ech_identity *id, struct ech_err *err)
{
    int code = ECH_OK;
    for (int i = 0; !code && i < a->columns_count; i++) {
        const struct ech_column *c = &a->columns[i];
        char name[ECH_NAME_MAX + 16], type[64];
        snprintf(name, sizeof name, "column %s", c->name);
        snprintf(type, sizeof type, "%s %s %" PRId64, ech_ctype_name(c->type), ech_dtype_name(c->dtype),
                 c->dim);
        code = ech_identity_add(id, name, type, err);
    }
    return code;
}

/* Rank 0 keeps the identity of the first attempt; later ones must be the same. */
static int compare_identity(struct ech_attempt *a, struct ech_err *err)
{
    struct ech_identity saved = {0};
    char *path = ech_run_path(err, a->o->run_dir, "%s", ECH_RUN_IDENTITY);
    int code = path ? ECH_OK : ECH_UNAVAILABLE;
    if (!code && !ech_path_exists(path))
        code = ech_identity_save(path, &a->identity, err);
    else if (!code) {
        code = ech_identity_load(path, &saved, err);
        if (!code)
            code = ech_identity_compare(&saved, &a->identity, err);
    }
    ech_identity_fini(&saved);
    ech_free(path);
    return code;
}

static int make_identity(struct ech_attempt *a, struct ech_err *err)
{
    struct ech_identity *id = &a->identity;
    a->columns_count = a->kind->columns(a->stream, a->columns);
    const char *numerics = mixed(a) ? "mixed" : a->kind->numerics(a->stream);
    if (mixed(a)) {
        a->columns[a->columns_count] = a->columns[a->columns_count - 1];
        a->columns[a->columns_count++ - 1] = (struct ech_column){"numerics", ECH_TEXT, ECH_U8, 0};
    }
    int code = ech_identity_add(id, "numerics class", numerics, err);
    if (!code)
        code = add_input_parts(a, id, err);
    if (!code)
        code = add_options(a, id, err);
    if (!code)
        code = add_columns(a, id, err);
    if (!(code = ech_agree(a->comm, err)))
        code = a->kind->identify(a->stream, a->comm, id, err);
    if (!(code = ech_agree(a->comm, err)) && ech_comm_rank(a->comm) == 0)
        code = compare_identity(a, err);
    if ((code = ech_agree(a->comm, err)))
        return code;
    a->head = (struct ech_spool_head){.identity = ech_identity_hash(id),
                                      .attempt = a->o->attempt,
                                      .rank = ech_comm_rank(a->comm),
                                      .columns = a->columns,
                                      .columns_count = a->columns_count};
    snprintf(a->head.numerics, sizeof a->head.numerics, "%s", numerics);
    return ECH_OK;
}

int ech_attempt_open(struct ech_attempt *a, struct ech_err *err)
{
    ech_attempt_phase(a, "open");
    open_first(a, err);
    int code = ech_agree(a->comm, err);
    if (code)
        return code;
    if ((code = stage_model(a, err)))
        return code;
    if (open_input(a, err) == ECH_OK)
        open_kind(a, err);
    if ((code = ech_agree(a->comm, err)))
        return code;
    start_event(a);
    agree_numerics(a, err);
    if ((code = ech_agree(a->comm, err)))
        return code;
    if (a->input && a->job->input.verify &&
        (code = ech_check_dataset(a->comm, a->input, "input.dataset", err)))
        return code;
    return make_identity(a, err);
}

void ech_attempt_close(struct ech_attempt *a)
{
    if (a->stream)
        a->kind->close(a->stream);
    ech_staging_close(a->staging);
    ech_worker_close(a->worker);
    if (a->worker_comm)
        ech_comm_close(a->worker_comm);
    ech_workers_fini(&a->workers);
    ech_source_close(a->source);
    if (a->input)
        ech_dataset_close(a->input);
    ech_pool_close(a->pool);
    if (a->pool_memory)
        ech_shm_close(a->pool_memory, a->pool_bytes);
    if (a->shared)
        ech_shm_close(a->shared, a->shared_bytes ? a->shared_bytes : 64);
    ech_spool_files_fini(&a->files);
    ech_spool_index_fini(&a->index);
    ech_rowset_fini(&a->done);
    ech_identity_fini(&a->identity);
    if (a->survivors)
        ech_comm_close(a->survivors);
    if (a->config)
        ech_config_destroy(a->config);
    ech_events_close(a->events);
    ech_free(a->node_dir);
    ech_free(a->hosts);
    if (a->log_fd > 0) {
        ech_log_to(-1);
        close(a->log_fd);
    }
}
