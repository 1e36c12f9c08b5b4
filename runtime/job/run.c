#include "job/run.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "comm/watchdog.h"
#include "job/attempt.h"
#include "job/usage.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ROUNDS_MOST = 5 };

/* Which rows are safe on disk: by reading all spools, whoever wrote them. */
static int verify(struct ech_attempt *a, struct ech_err *err)
{
    struct ech_comm *comm = ech_attempt_comm(a);
    ech_attempt_phase(a, "verify");
    ech_spool_files_fini(&a->files);
    ech_spool_index_fini(&a->index);
    ech_rowset_fini(&a->done);
    memset(&a->files, 0, sizeof a->files);
    memset(&a->index, 0, sizeof a->index);
    ech_rowset_init(&a->done);
    int code = ech_spool_files_list(comm, a->o->run_dir, &a->files, err);
    if (!code)
        code = ech_spool_verify(comm, &a->files, &a->head, &a->index, &a->done, err);
    return code;
}

static bool may_write(void *context)
{
    const struct ech_attempt *a = context;
    bool alone = ech_comm_size(a->comm) == 1;
    return !ech_pool_fenced(a->pool) &&
           (alone || ech_mono_s() - atomic_load(&a->beat_at) <= a->job->limits.heartbeat);
}

static int open_spooler(struct ech_attempt *a, struct ech_spooler **out, struct ech_err *err)
{
    int slot = ech_comm_rank(a->comm) + a->round * ech_comm_size(a->comm);
    char *path = ech_sprintf(err, "%s/spool-%d-%d", a->node_dir, a->o->attempt, slot);
    if (!path)
        return ECH_UNAVAILABLE;
    struct ech_spooler_options options = {.path = path,
                                          .head = a->head,
                                          .sync_seconds = a->job->limits.spool_sync,
                                          .sync_bytes = a->job->limits.spool_sync_bytes,
                                          .full_seconds = a->job->limits.disk_full,
                                          .may_write = may_write,
                                          .context = a};
    int code = ech_spooler_open(&options, out, err);
    ech_free(path);
    return code;
}

static int open_coord(struct ech_attempt *a, int64_t errors_before, struct ech_coord **out,
                      struct ech_err *err)
{
    int size = ech_comm_size(a->comm);
    *out = NULL;
    if (ech_comm_rank(a->comm) != 0)
        return ECH_OK;
    int *node_of = ech_calloc((size_t)size, sizeof *node_of, err);
    bool *alive = ech_calloc((size_t)size, sizeof *alive, err);
    for (int r = 0; node_of && alive && r < size; r++) {
        node_of[r] = ech_comm_node_of(a->comm, r);
        alive[r] = ech_pool_alive(a->pool, r);
    }
    struct ech_coord_options options = {.nodes = ech_comm_nodes(a->comm),
                                        .ranks = size,
                                        .node_of = node_of,
                                        .alive = alive,
                                        .rows = ech_source_rows(a->source),
                                        .done = &a->done,
                                        .equal = a->job->balance.policy == ECH_POLICY_EQUAL && !a->worker,
                                        .errors_before = errors_before,
                                        .max_errors = a->job->max_errors,
                                        .now = ech_mono_s(),
                                        .node_deadline = 2 * a->job->limits.heartbeat};
    int code = node_of && alive ? ech_coord_create(&options, out, err) : ECH_UNAVAILABLE;
    ech_free(node_of);
    ech_free(alive);
    return code;
}

/* Rows in the errors column over all records; of rows recorded twice (re-executed) only one counts. */
static int64_t errors_in(const struct ech_spool_index *index)
{
    int64_t errors = 0, end = 0;
    for (size_t i = 0; i < index->count; i++) { /* sorted by first row */
        const struct ech_spool_entry *e = &index->entries[i];
        if (e->first >= end)
            errors += e->errors;
        end = e->first + e->rows > end ? e->first + e->rows : end;
    }
    return errors;
}

/* The living ranks go on among themselves: who is alive was told before the state changed. */
static int gather_survivors(struct ech_attempt *a, struct ech_err *err)
{
    int size = ech_comm_size(a->comm), dead = 0;
    for (int r = 0; r < size; r++)
        dead += !ech_pool_alive(a->pool, r);
    if (!dead)
        return ECH_OK;
    bool *alive = ech_calloc((size_t)size, sizeof *alive, err);
    if (!alive)
        return ECH_UNAVAILABLE;
    for (int r = 0; r < size; r++)
        alive[r] = ech_pool_alive(a->pool, r);
    struct ech_comm *now = NULL;
    int code = ech_comm_survivors(a->comm, alive, &now, err);
    if (!code) {
        if (a->survivors)
            ech_comm_close(a->survivors);
        a->survivors = now;
    }
    ech_free(alive);
    return code;
}

/* Rows run until the job's state changes. *state: what it became. `leave`: this rank must not go on. */
static int run_rows(struct ech_attempt *a, enum ech_state *state, bool *leave, struct ech_err *err)
{
    struct ech_spooler *spooler = NULL;
    struct ech_coord *coord = NULL;
    struct ech_dispatch *d = &a->dispatch;
    atomic_store(&a->beat_at, ech_mono_s());
    int64_t errors_before = errors_in(&a->index);
    int code = open_spooler(a, &spooler, err);
    if (!code)
        code = open_coord(a, errors_before, &coord, err);
    d->comm = a->comm;
    d->pool = a->pool;
    d->coord = coord;
    d->kind = a->kind;
    d->stream = a->stream;
    d->source = a->source;
    d->worker = a->worker;
    d->workers = a->worker ? &a->workers : NULL;
    d->spooler = spooler;
    d->events = a->events;
    d->job = a->job;
    d->hosts = a->hosts;
    d->threads = a->threads;
    d->rests = !a->part.works;
    d->numerics = a->job->numerics == ECH_NUMERICS_MIXED ? a->kind->numerics(a->stream) : NULL;
    d->rows = ech_source_rows(a->source);
    d->errors_before = errors_before;
    d->deadline = a->deadline;
    d->stop = a->o->stop;
    d->beat_at = &a->beat_at;
    if (!code)
        code = ech_dispatch_open(d, err);
    code = ech_agree(ech_attempt_comm(a), err);
    if (!code) {
        ech_attempt_phase(a, "run");
        code = ech_dispatch_run(d, err);
        *leave = d->fenced;
        *state = ech_pool_state(a->pool);
        a->seen_rows = coord ? ech_coord_done(coord)->rows : 0;
        a->seen_errors = coord ? ech_coord_errors(coord) : 0;
    }
    ech_dispatch_close(d);
    if (!code && !*leave && !a->worker) {
        struct ech_probe_ask ask = ech_attempt_probe_ask(a);
        ech_probe_seen(&ask, &a->probe, (double)d->done_tokens, d->busy_s);
    }
    if (*leave)
        return code;                     /* the process ends at once; its threads with it */
    atomic_store(&a->beat_at, INFINITY); /* main waits for the disk now: its silence says nothing */
    ech_watchdog_phase("spool", a->job->limits.phase + a->job->limits.disk_full);
    int closed = ech_spooler_close(spooler, err);
    code = code ? code : closed;
    ech_coord_destroy(coord);
    return code;
}

static int seal(struct ech_attempt *a, struct ech_sealed *sealed, struct ech_err *err)
{
    struct ech_str provenance;
    char hex[ECH_HASH_HEX];
    ech_str_init(&provenance);
    ech_attempt_phase(a, "seal");
    ech_str_addf(&provenance,
                 "  run: %s\n  kind: %s\n  kind_version: %d\n  numerics: %s\n  identity: %s\n  version: %s\n",
                 ech_path_base(a->o->run_dir), a->job->kind_name, a->job->kind->version, a->head.numerics,
                 ech_hash_print(a->head.identity, hex), a->o->version);
    struct ech_seal_job job = {.files = &a->files,
                               .head = &a->head,
                               .index = &a->index,
                               .rows = ech_source_rows(a->source),
                               .input = a->input,
                               .keep = a->keep,
                               .keep_count = a->keep_count,
                               .shard_bytes = a->job->output.shard_bytes,
                               .target = a->job->output.dataset,
                               .tag = ech_path_base(a->o->run_dir),
                               .replace = a->job->output.exists == ECH_EXISTS_REPLACE,
                               .provenance = provenance.data};
    double start = ech_mono_s();
    ech_str_check(&provenance, err);
    int code = ech_agree(ech_attempt_comm(a), err);
    if (!code)
        code = ech_seal(ech_attempt_comm(a), &job, sealed, err);
    ech_str_fini(&provenance);
    struct ech_str *s = code || ech_comm_rank(a->comm) != 0 ? NULL : ech_event_begin(a->events, "seal");
    if (s) {
        ech_json_add_int(s, "shards", sealed->shards);
        ech_json_add_int(s, "bytes", sealed->bytes);
        ech_json_add_int(s, "rows", sealed->rows);
        ech_json_add_float(s, "seconds", ech_mono_s() - start);
        ech_event_end(a->events);
    }
    return code;
}

static int too_many_errors(const struct ech_attempt *a, struct ech_err *err)
{
    return ech_fail(err, ECH_DATA,
                    "more bad rows than max_errors (%" PRId64
                    "): see the errors column, or resume with a higher value",
                    a->job->max_errors);
}

/* After the state changed: an error that all agree on, or ECH_OK to go on with. What a rank has to say of
 * its own failure goes before what the coordinator has counted. */
static int outcome(struct ech_attempt *a, enum ech_state state, int code, struct ech_err *err)
{
    a->stopped = state == ECH_STATE_STOP;
    if (!code && a->stopped)
        ech_fail(err, ECH_REQUEUE, "stopped as asked");
    code = ech_agree(ech_attempt_comm(a), err);
    if (code)
        return code;
    if (state == ECH_STATE_FAIL && ech_comm_rank(a->comm) == 0) {
        if (a->seen_errors > a->job->max_errors)
            too_many_errors(a, err);
        else
            ech_fail(err, ECH_REQUEUE, "a rank failed and was lost before it could say why");
    }
    return ech_agree(ech_attempt_comm(a), err);
}

static bool asked_to_stop(struct ech_attempt *a, struct ech_err *err)
{
    if (*a->o->stop)
        ech_fail(err, ECH_REQUEUE, "stopped as asked");
    a->stopped = ech_agree(ech_attempt_comm(a), err) != ECH_OK;
    return a->stopped;
}

/* One round: what is missing runs, then the spools are read again. */
static int round_of_rows(struct ech_attempt *a, bool *leave, struct ech_err *err)
{
    enum ech_state state = ECH_STATE_DONE;
    ech_pool_reset(a->pool);
    if (ech_comm_node_rank(a->comm) == ech_pool_leader(a->pool))
        ech_pool_set_state(a->pool, ECH_STATE_OPEN, ech_pool_epoch(a->pool));
    int code = ech_agree(ech_attempt_comm(a), err);
    if (!code)
        code = run_rows(a, &state, leave, err);
    if (*leave)
        return code ? code
                    : ech_fail(err, ECH_REQUEUE,
                               "this rank was declared dead, or the coordinator fell silent: it leaves, the "
                               "run goes on without it or can be resumed");
    if (gather_survivors(a, err) != ECH_OK) {
        *leave = true; /* without a communicator nothing can be agreed */
        return ECH_REQUEUE;
    }
    code = outcome(a, state, code, err);
    return code ? code : verify(a, err);
}

static int run_phases(struct ech_attempt *a, bool *leave, struct ech_sealed *sealed, struct ech_err *err)
{
    int code = ech_attempt_open(a, err);
    if (!code)
        code = verify(a, err);
    if (!code)
        code = ech_attempt_memory(a, err);
    if (!code)
        code = ech_attempt_plan(a, err);
    if (!code && asked_to_stop(a, err))
        code = ECH_REQUEUE;
    int64_t rows = code ? 0 : ech_source_rows(a->source);
    for (a->round = 0; !code && a->done.rows < rows; a->round++) {
        if (a->round >= ROUNDS_MOST)
            return ech_fail(err, ECH_IO,
                            "%" PRId64 " rows are missing in the spools again and again: is %s a good disk?",
                            rows - a->done.rows, a->o->run_dir);
        code = round_of_rows(a, leave, err);
    }
    if (!code && asked_to_stop(a, err))
        code = ECH_REQUEUE;
    /* All rows may have been safe already when an earlier attempt failed for them; equal on all ranks. */
    if (!code && errors_in(&a->index) > a->job->max_errors)
        code = too_many_errors(a, err);
    return code ? code : seal(a, sealed, err);
}

static int write_result(struct ech_attempt *a, int code, const struct ech_sealed *sealed, struct ech_err *err)
{
    struct ech_run_result result = {
        .attempt = a->o->attempt, .code = code, .seconds = ech_mono_s() - a->started};
    bool stopped = code == ECH_REQUEUE && a->stopped; /* else `retries` may try again */
    snprintf(result.state, sizeof result.state, "%s", !code ? "sealed" : stopped ? "stopped" : "failed");
    if (code)
        ech_err_print(err, result.text, sizeof result.text);
    if (a->job)
        snprintf(result.dataset, sizeof result.dataset, "%s", a->job->output.dataset);
    result.rows = code ? ech_max64(a->done.rows, a->seen_rows) : sealed->rows;
    result.errors = code ? ech_max64(errors_in(&a->index), a->seen_errors) : errors_in(&a->index);
    return ech_run_result_write(a->o->run_dir, &result, code ? NULL : err);
}

static void end_event(struct ech_attempt *a, int code, const struct ech_err *err)
{
    struct ech_str *s = ech_event_begin(a->events, "end");
    if (s) {
        ech_json_add_int(s, "code", code);
        ech_json_add_str(s, "text", code && err ? err->text : "");
        ech_json_add_float(s, "cpu_s", ech_usage_cpu());
        ech_json_add_int(s, "rss_peak_bytes", ech_usage_rss_peak());
    }
    ech_event_end(a->events);
}

int ech_run_attempt(const struct ech_run_options *options, struct ech_run_end *end, struct ech_err *err)
{
    struct ech_attempt *a = ech_calloc(1, sizeof *a, err);
    struct ech_sealed sealed = {0};
    end->leave = false;
    int code = ech_agree(options->comm, err);
    if (code) {
        ech_free(a);
        return code;
    }
    a->o = options;
    a->comm = options->comm;
    a->log_fd = -1;
    a->started = ech_mono_s();
    code = run_phases(a, &end->leave, &sealed, err);
    if (end->leave)
        return code; /* its threads may still run: nothing is freed, the process ends now */
    ech_watchdog_phase("end", a->job ? a->job->limits.phase : 60);
    if (ech_comm_rank(a->comm) == 0) {
        int written = write_result(a, code, &sealed, err);
        code = code ? code : written;
    }
    end_event(a, code, err);
    end->leave = a->survivors != NULL;
    if (!end->leave)
        ech_attempt_close(a);
    ech_watchdog_clear();
    ech_free(end->leave ? NULL : a);
    return code;
}
