#include "job/dispatch.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "comm/watchdog.h"
#include "job/lead.h"
#include "job/ranks.h"
#include "job/spans.h"
#include "job/usage.h"
#include "job/worker.h"
#include "plan/lease.h"
#include "plan/speed.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>

enum { LEASES_OPEN_MOST = 48, TOKENS_IN_FLIGHT = 1200, SPOOL_SYNCS_PENDING = 4 };
#define TURN_S       0.002 /* longest wait in a turn */
#define DRAIN_S      5.0   /* after a stop: how long begun work may still end */
#define COPY_EVERY_S 0.02  /* an idle rank looks for rows to copy */
#define PART_LEFT    0.25  /* of factoring's half: two leases open are at most a quarter of what is left */

struct loop {
    struct ech_dispatch *d;
    struct ech_spooled told;    /* safe, not yet in the ring */
    bool untold, flushed, lost; /* lost: this rank's worker is broken */
    int64_t in_flight_leases, in_flight_rows;
    int64_t least, most;
    double started, progress_at, busy_before, stop_at, last_turn, copied_at;
    int64_t tokens_before, errors_before; /* of this rank, before this round */
    int64_t epoch;                        /* deaths were told up to here */
    struct ech_spans spans;               /* not yet told */
    bool *living;                         /* by rank, on the coordinator's rank: whose death was not told */
    int code;                             /* this rank's first failure */
    struct ech_err *err;
};

/* A rank that lacks something (memory, its device) leaves as if it had died: others take its rows. Where all
 * lack it, the coordinator is the last to fail, and says so. */
static bool leaves_alone(struct loop *l, int code)
{
    struct ech_dispatch *d = l->d;
    if (code != ECH_UNAVAILABLE || d->coord || ech_comm_size(d->comm) == 1)
        return false;
    ech_log(ECH_LOG_WARN, "job", "rank %d on %s cannot go on and leaves, its rows go to others: %s",
            ech_comm_rank(d->comm), ech_comm_host(d->comm), l->err ? l->err->text : "");
    d->fenced = true;
    return true;
}

/* The first failure of this rank ends the job for all; the text travels by the agreement after the loop. */
static void failed(struct loop *l, int code)
{
    if (!code || l->d->fenced || leaves_alone(l, code))
        return;
    if (!l->code)
        l->code = code;
    ech_pool_fail(l->d->pool, code);
}

/* Threads that compute for this rank's leases: of all stages of its worker. */
static int64_t lanes(const struct ech_dispatch *d)
{
    return d->worker ? (int64_t)d->threads * ech_worker_stages(d->worker) : d->threads;
}

static void set_bounds(struct loop *l)
{
    struct ech_dispatch *d = l->d;
    struct ech_lease_bounds_view view = {.rows_asked = d->job->balance.lease_rows,
                                         .rows_most_asked = d->job->balance.lease_rows_max,
                                         .tokens_a_row = d->tokens_a_row,
                                         .speed = d->speed,
                                         .threads = lanes(d),
                                         .rows_cap = d->kind->rows_most ? d->kind->rows_most(d->stream) : 0};
    ech_lease_bounds(&view, &l->least, &l->most);
    ech_pool_set_speed(d->pool, d->speed, d->tokens_a_row > 0 ? d->speed / d->tokens_a_row : 0);
}

/* Of rows that are leased many may have ended: a kind whose rows do not end in order says itself what it
 * lacks, of what has come through the feeder. */
static bool is_hungry(const struct ech_dispatch *d)
{
    return d->kind->hungry && ech_feeder_idle(d->feeder) && d->kind->hungry(d->stream);
}

static bool wants_lease(const struct loop *l)
{
    if (l->d->rests || l->code || l->stop_at > 0 || *l->d->stop ||
        ech_pool_state(l->d->pool) != ECH_STATE_RUN)
        return false;
    if (l->d->worker && (l->lost || !ech_worker_heads(l->d->worker)))
        return false;
    /* A disk that cannot keep up: results wait in memory, so no more are made. */
    int64_t most = SPOOL_SYNCS_PENDING * l->d->job->limits.spool_sync_bytes;
    if (most > 0 && ech_spooler_pending_bytes(l->d->spooler) > most)
        return false;
    double tokens = (double)l->in_flight_rows * l->d->tokens_a_row;
    bool few = tokens < (double)(TOKENS_IN_FLIGHT * lanes(l->d)) || is_hungry(l->d);
    return l->in_flight_leases < 2 || (l->in_flight_leases < LEASES_OPEN_MOST && few);
}

static void took(struct loop *l, struct ech_range range, bool copy)
{
    struct ech_dispatch *d = l->d;
    if (d->leases++ == 0) {
        struct ech_str *s = ech_event_begin(d->events, "lease");
        if (s) {
            ech_json_add_int(s, "first", range.first);
            ech_json_add_int(s, "rows", range.end - range.first);
        }
        ech_event_end(d->events);
    }
    ech_spans_claim(&l->spans, range.first, copy, ech_mono_s());
    l->in_flight_leases++;
    l->in_flight_rows += range.end - range.first;
    l->flushed = false;
    failed(l, ech_feeder_put(l->d->feeder, range, l->err));
}

static bool may_copy(struct loop *l)
{
    struct ech_dispatch *d = l->d;
    double now = ech_mono_s();
    if (d->job->balance.policy != ECH_POLICY_ADAPTIVE || l->in_flight_leases > 0 || !wants_lease(l) ||
        !(d->tokens_a_row > 0) || now - l->copied_at < COPY_EVERY_S)
        return false;
    l->copied_at = now;
    return true;
}

/* Claims until enough is in flight; with nothing left to claim, a copy of a slow neighbour's rows. */
static bool claim(struct loop *l)
{
    struct ech_pool *pool = l->d->pool;
    struct ech_range range;
    bool any = false;
    while (wants_lease(l)) {
        struct ech_lease_view view = {ech_pool_unclaimed(pool), PART_LEFT * ech_pool_share(pool), l->least,
                                      l->most};
        if (!ech_pool_claim(pool, ech_lease_rows(&view), &range))
            break;
        took(l, range, false);
        any = true;
    }
    if (any || !may_copy(l) || !ech_pool_copy(pool, l->d->speed / l->d->tokens_a_row, &range))
        return any;
    took(l, range, true);
    return true;
}

static void first_bad_row(struct loop *l, const struct ech_block *block)
{
    const struct ech_cells *errors = &block->columns[block->columns_count - 1];
    for (int64_t i = 0; i < block->rows; i++) {
        int length = (int)ech_min64((int64_t)(errors->offsets[i + 1] - errors->offsets[i]), 400);
        if (length == 0)
            continue;
        ech_fail(l->err, ECH_DATA, "row %" PRId64 ": %.*s (more bad rows than max_errors: %" PRId64 ")",
                 block->first + i, length, (const char *)errors->bytes + errors->offsets[i],
                 l->d->job->max_errors);
        return;
    }
}

/* Speed while computing: tokens over seconds of all threads. Batches of a few tokens say little: they are
 * summed. */
static void learn_speed(struct loop *l)
{
    struct ech_dispatch *d = l->d;
    double busy = d->busy_s - l->busy_before;
    int64_t tokens = d->done_tokens - l->tokens_before;
    if (busy < 0.25 || tokens <= 0)
        return;
    d->speed = ech_speed_learn(d->speed, (double)tokens, busy);
    if (d->done_rows > 0)
        d->tokens_a_row = (double)d->done_tokens / (double)d->done_rows;
    l->busy_before = d->busy_s;
    l->tokens_before = d->done_tokens;
    set_bounds(l);
}

static bool collect(struct loop *l)
{
    struct ech_dispatch *d = l->d;
    struct ech_finished f;
    bool any = false;
    for (;;) {
        int code = d->kind->poll(d->stream, &f, l->err);
        failed(l, code);
        if (code || !f.block)
            return any;
        any = true;
        /* Rows begun in an earlier round, too late to be cancelled, may end in this one. */
        l->in_flight_leases = ech_max64(l->in_flight_leases - 1, 0);
        l->in_flight_rows = ech_max64(l->in_flight_rows - f.block->rows, 0);
        d->done_rows += f.block->rows;
        d->done_tokens += f.block->tokens;
        d->done_errors += f.block->errors;
        d->busy_s += f.seconds / d->threads;
        ech_spans_done(&l->spans, f.block->first, f.block->rows, ech_mono_s());
        ech_pool_computed(d->pool, f.block->first, f.block->rows);
        learn_speed(l);
        int64_t errors = d->errors_before + d->done_errors - l->errors_before;
        if (errors > d->job->max_errors && f.block->errors && !l->code) {
            first_bad_row(l, f.block);
            failed(l, ECH_DATA);
        }
        if (d->numerics)
            failed(l, ech_block_add_text(f.block, d->numerics, l->err));
        failed(l, ech_spooler_put(d->spooler, f.block, ech_pool_epoch(d->pool), l->err));
    }
}

/* A rank that this worker needs is dead: what it held goes back (job/lead.c), this rank stays without rows.
 */
static void check_worker(struct loop *l)
{
    struct ech_dispatch *d = l->d;
    int worker = d->worker ? d->workers->member[ech_comm_rank(d->comm)].worker : 0;
    if (d->worker && !ech_worker_heads(d->worker))
        d->busy_s = ech_worker_busy(d->worker);
    if (!d->worker || l->lost || ech_worker_whole(d->workers, worker, d->pool))
        return;
    l->lost = true;
    ech_log(ECH_LOG_WARN, "job", "worker %d has lost a rank: it takes no more rows, its own go to others",
            worker);
    ech_feeder_cancel(d->feeder);
    ech_worker_break(d->worker);
    l->in_flight_leases = l->in_flight_rows = 0;
    ech_pool_set_speed(d->pool, 0, 0);
    if (d->coord && !ech_workers_any_whole(d->workers, d->pool))
        failed(l, ech_fail(l->err, ECH_REQUEUE,
                           "no worker has all its ranks any more: resume the run, it groups "
                           "those that are left anew"));
}

static bool tell_safe(struct loop *l)
{
    struct ech_dispatch *d = l->d;
    bool any = false;
    while (l->untold || ech_spooler_poll(d->spooler, &l->told)) {
        l->untold = !ech_pool_done(d->pool, &l->told);
        if (l->untold)
            break;
        any = true;
    }
    return any;
}

static void check_threads(struct loop *l)
{
    if (!l->code)
        failed(l, ech_feeder_failed(l->d->feeder, l->err));
    if (!l->code)
        failed(l, ech_spooler_failed(l->d->spooler, l->err));
}

static void progress_event(struct loop *l, double now)
{
    struct ech_dispatch *d = l->d;
    struct ech_str *s = ech_event_begin(d->events, "progress");
    if (s) {
        ech_json_add_int(s, "rows", d->done_rows);
        ech_json_add_int(s, "tokens", d->done_tokens);
        ech_json_add_int(s, "errors", d->done_errors);
        ech_json_add_int(s, "leases", d->leases);
        ech_json_add_float(s, "busy_s", d->busy_s);
        ech_json_add_float(s, "speed", d->speed);
        ech_json_add_float(s, "share", ech_pool_share(d->pool));
        ech_json_add_int(s, "rss_bytes", ech_usage_rss());
        ech_json_add_int(s, "spool_bytes", ech_spooler_written_bytes(d->spooler));
        ech_spans_tell(&l->spans, now, s);
    }
    ech_event_end(d->events);
    if (d->coord && (s = ech_event_begin(d->events, "todo")) != NULL) {
        int64_t tokens = ech_coord_tokens(d->coord), rows = ech_coord_done(d->coord)->rows;
        double rate = now > l->started ? (double)tokens / (now - l->started) : 0;
        ech_json_add_int(s, "rows_done", rows);
        ech_json_add_int(s, "rows", d->rows);
        ech_json_add_int(s, "tokens_done", tokens);
        ech_json_add_float(s, "tokens", d->tokens_job);
        ech_json_add_float(s, "left_s", rate > 0 ? fmax(0, d->tokens_job - (double)tokens) / rate : NAN);
        ech_event_end(d->events);
    }
    l->progress_at = now;
}

/* Main's loop turns: told to the node's other ranks, the spooler's fence and the watchdog. */
static void beat(struct ech_dispatch *d, double now)
{
    atomic_store(d->beat_at, now);
    ech_pool_beat(d->pool);
    ech_watchdog_beat();
}

/* Signals, the walltime, and this process having been stopped itself (SIGSTOP): then others took over. */
static void watch_self(struct loop *l, double now)
{
    struct ech_dispatch *d = l->d;
    bool late = now - l->last_turn > d->job->limits.heartbeat && ech_comm_size(d->comm) > 1;
    if (late || ech_pool_fenced(d->pool)) {
        ech_log(ECH_LOG_WARN, "job",
                "this rank was silent for %.1f s and counts as dead: leaving, writing nothing",
                now - l->last_turn);
        d->fenced = true;
        return;
    }
    l->last_turn = now;
    beat(d, now);
    if ((*d->stop || (d->deadline > 0 && now > d->deadline)) && l->stop_at == 0) {
        ech_pool_ask_stop(d->pool);
        l->stop_at = now;
    }
}

static void dead_event(struct ech_dispatch *d, int rank)
{
    struct ech_str *s = ech_event_begin(d->events, "dead");
    if (s) {
        ech_json_add_int(s, "who", rank);
        ech_json_add_str(s, "host", d->hosts ? d->hosts[rank] : "");
        ech_json_add_str(
            s, "reason",
            "its process ended or was silent for longer than limits.heartbeat: its rows went to others");
    }
    ech_event_end(d->events);
}

/* Rank 0 tells who was lost, for status and report; all events carry the epoch. */
static void tell_deaths(struct loop *l)
{
    struct ech_dispatch *d = l->d;
    ech_events_epoch(d->events, ech_pool_epoch(d->pool));
    if (!d->coord || !l->living || ech_coord_epoch(d->coord) == l->epoch)
        return;
    l->epoch = ech_coord_epoch(d->coord);
    for (int r = 0; r < ech_comm_size(d->comm); r++)
        if (l->living[r] && !ech_coord_alive(d->coord, r)) {
            l->living[r] = false;
            dead_event(d, r);
        }
}

static bool idle(struct loop *l)
{
    bool nothing = !l->d->rests || ech_pool_quiet(l->d->pool); /* a resting leader speaks for the others */
    return nothing && l->in_flight_leases == 0 && ech_pool_unclaimed(l->d->pool) == 0;
}

static bool turn(struct loop *l, bool *finished)
{
    struct ech_dispatch *d = l->d;
    if (ech_fault(ECH_FAULT_TURN))
        failed(l, ech_fail(l->err, ECH_UNAVAILABLE, "out of memory (injected)"));
    bool any = collect(l);
    any |= tell_safe(l);
    check_worker(l);
    any |= claim(l);
    check_threads(l);
    if (!l->flushed && (idle(l) || ech_pool_claims(d->pool) > ECH_POOL_CLAIMS / 2)) {
        ech_spooler_flush(d->spooler);
        l->flushed = true;
    }
    struct ech_lead_view view = {idle(l), l->stop_at > 0, l->least, l->most, d->tokens_a_row};
    bool silent;
    failed(l, ech_lead_turn(l->d->lead, &view, finished, &silent, l->err));
    if (silent) {
        ech_log(ECH_LOG_WARN, "job",
                "the coordinator (rank 0) was not heard for too long: leaving, the run can be resumed");
        d->fenced = true;
    }
    tell_deaths(l);
    return any;
}

/* After the last turn: what has begun may end (a stop), the rest is dropped. What is finished is spooled. */
static void drain(struct loop *l)
{
    struct ech_dispatch *d = l->d;
    double until = ech_mono_s() + (ech_pool_state(d->pool) == ECH_STATE_STOP ? DRAIN_S : 0);
    while (!l->code && (l->in_flight_leases > 0 || (d->worker && ech_worker_serves(d->worker))) &&
           ech_mono_s() < until) {
        d->kind->step(d->stream, 0.01);
        collect(l);
        check_threads(l);
        beat(d, ech_mono_s());
    }
    ech_feeder_cancel(l->d->feeder);
    d->kind->cancel(d->stream);
    if (d->worker)
        failed(l, ech_worker_end(d->worker, l->err));
    double quiet =
        ech_mono_s() + DRAIN_S; /* a range that is being read is submitted still: cancel it as well */
    while (!ech_feeder_idle(l->d->feeder) && ech_mono_s() < quiet)
        ech_sleep_us(1000);
    d->kind->cancel(d->stream);
}

int ech_dispatch_open(struct ech_dispatch *d, struct ech_err *err)
{
    struct ech_lead_options lead = {d->comm,
                                    d->pool,
                                    d->coord,
                                    d->job->limits.heartbeat,
                                    d->job->balance.policy == ECH_POLICY_EQUAL && !d->worker,
                                    d->workers};
    int code = ech_feeder_open(d->kind, d->stream, d->source, &d->feeder, err);
    return code ? code : ech_lead_open(&lead, &d->lead, err);
}

void ech_dispatch_close(struct ech_dispatch *d)
{
    ech_feeder_close(d->feeder);
    ech_lead_close(d->lead);
    d->feeder = NULL;
    d->lead = NULL;
}

int ech_dispatch_run(struct ech_dispatch *d, struct ech_err *err)
{
    double now = ech_mono_s();
    struct loop l = {.d = d,
                     .err = err,
                     .started = now,
                     .progress_at = now,
                     .last_turn = now,
                     .busy_before = d->busy_s,
                     .tokens_before = d->done_tokens,
                     .errors_before = d->done_errors};
    int size = ech_comm_size(d->comm);
    if (d->coord && (l.living = ech_calloc((size_t)size, sizeof *l.living, NULL)))
        for (int r = 0; r < size; r++)
            l.living[r] = ech_coord_alive(d->coord, r);
    if (d->worker)
        ech_worker_begin(d->worker);
    set_bounds(&l);
    bool finished = false;
    ech_events_write_behind(d->events, true);
    while (!finished && !d->fenced) {
        watch_self(&l, ech_mono_s());
        bool any = d->fenced || turn(&l, &finished);
        now = ech_mono_s();
        if (now - l.progress_at >= 1)
            progress_event(&l, now);
        if (!any && !finished) {
            d->kind->step(d->stream, TURN_S);
            if (ech_mono_s() - now < TURN_S / 2)
                ech_sleep_us((int64_t)(TURN_S * 5e5));
        }
    }
    if (!d->fenced) {
        drain(&l);
        progress_event(&l, ech_mono_s());
        ech_events_write_behind(d->events, false); /* a fenced rank waits for no disk: it leaves */
    }
    ech_free(l.living);
    return l.code;
}
