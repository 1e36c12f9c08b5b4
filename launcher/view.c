/* The folded run: see view.h. */
#include "launcher/view.h"

#include "base/mem.h"
#include "base/num.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PACE_S 10.0

/* A rank number beyond this is a damaged file, not a cluster; nor is a count beyond this one, and the sum of
 * all ranks' counts still fits. */
enum { MOST_RANKS = 1 << 20 };
#define MOST_COUNT INT64_C(4000000000000)

void ech_view_init(struct ech_run_view *view, const char *run, int attempt)
{
    *view = (struct ech_run_view){.attempt = attempt};
    snprintf(view->run, sizeof view->run, "%s", run);
}

void ech_view_fini(struct ech_run_view *view)
{
    for (size_t i = 0; i < view->rank_count; i++) {
        ech_free(view->ranks[i].samples);
        ech_free(view->ranks[i].spans);
    }
    for (size_t i = 0; i < view->note_count; i++)
        ech_free(view->notes[i].text);
    ech_free(view->ranks);
    ech_free(view->notes);
    ech_free(view->attempts);
    *view = (struct ech_run_view){0};
}

double ech_wall_parse(const char *text)
{
    struct tm tm = {0};
    int ms = 0;
    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec, &ms) < 6)
        return 0;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return (double)timegm(&tm) + ms * 1e-3;
}

static double float_of(const json_t *event, const char *key)
{
    const json_t *value = json_object_get(event, key);
    double number = json_is_number(value) ? json_number_value(value) : 0;
    return !(number > 0) ? 0 : number < MOST_COUNT ? number : MOST_COUNT;
}

/* A whole number, also where it is written with a point. */
static int64_t int_of(const json_t *event, const char *key)
{
    const json_t *value = json_object_get(event, key);
    int64_t number = json_is_integer(value) ? json_integer_value(value) : (int64_t)float_of(event, key);
    return number < 0 ? 0 : ech_min64(number, MOST_COUNT);
}

static const char *text_of(const json_t *event, const char *key)
{
    const char *text = json_string_value(json_object_get(event, key));
    return text ? text : "";
}

static void keep(char *out, size_t bytes, const json_t *event, const char *key)
{
    snprintf(out, bytes, "%s", text_of(event, key));
}

static struct ech_rank_view *rank_of(struct ech_run_view *view, int rank)
{
    size_t need = (size_t)rank + 1;
    if (need > view->rank_count) {
        if (ech_grow((void **)&view->ranks, &view->rank_capacity, need, sizeof *view->ranks, NULL) !=
            ECH_OK) {
            view->failed = true;
            return NULL;
        }
        memset(view->ranks + view->rank_count, 0, (need - view->rank_count) * sizeof *view->ranks);
        for (size_t i = view->rank_count; i < need; i++) {
            view->ranks[i].rank = (int)i;
            view->ranks[i].stride = 1;
        }
        view->rank_count = need;
    }
    return &view->ranks[rank];
}

struct ech_attempt_view *ech_view_attempt(struct ech_run_view *view, int attempt)
{
    size_t at = 0;
    while (at < view->attempt_count && view->attempts[at].attempt < attempt)
        at++;
    if (at < view->attempt_count && view->attempts[at].attempt == attempt)
        return &view->attempts[at];
    if (ech_grow((void **)&view->attempts, &view->attempt_capacity, view->attempt_count + 1,
                 sizeof *view->attempts, NULL) != ECH_OK) {
        view->failed = true;
        return NULL;
    }
    memmove(view->attempts + at + 1, view->attempts + at,
            (view->attempt_count - at) * sizeof *view->attempts);
    view->attempts[at] = (struct ech_attempt_view){.attempt = attempt};
    view->attempt_count++;
    return &view->attempts[at];
}

/* Common members of the event at hand. */
struct head {
    const json_t *event;
    double t;
    int attempt, rank;
};

/* Ranks that say the same in one attempt are one note. */
static bool joins(struct ech_run_view *view, const struct head *head, const char *text)
{
    for (size_t i = 0; i < view->note_count; i++) {
        struct ech_note *n = &view->notes[i];
        if (n->attempt != head->attempt || strcmp(n->text, text) != 0)
            continue;
        n->ranks++;
        n->rank = head->rank < n->rank ? head->rank : n->rank;
        n->t = head->t > n->t ? head->t : n->t;
        return true;
    }
    return false;
}

static void note(struct ech_run_view *view, const struct head *head, bool bad, const char *text)
{
    if (joins(view, head, text))
        return;
    if (view->note_count >= ECH_VIEW_NOTES) {
        view->notes_dropped++;
        return;
    }
    char *copy = ech_strdup(text, NULL);
    if (!copy || ech_grow((void **)&view->notes, &view->note_capacity, view->note_count + 1,
                          sizeof *view->notes, NULL) != ECH_OK) {
        ech_free(copy);
        view->failed = true;
        return;
    }
    view->notes[view->note_count++] = (struct ech_note){head->t, head->attempt, head->rank, 1, bad, copy};
}

/* ---- one function a type ---- */

static void on_start(struct ech_run_view *view, struct ech_rank_view *r, const struct head *h)
{
    (void)view;
    r->pid = int_of(h->event, "pid");
    r->threads = int_of(h->event, "threads");
    keep(r->host, sizeof r->host, h->event, "host");
    keep(r->backend, sizeof r->backend, h->event, "backend");
    keep(r->numerics, sizeof r->numerics, h->event, "numerics");
    keep(r->precision, sizeof r->precision, h->event, "precision");
    keep(r->cpu, sizeof r->cpu, h->event, "cpu");
    keep(r->version, sizeof r->version, h->event, "version");
}

static void on_phase(struct ech_run_view *view, struct ech_rank_view *r, const struct head *h)
{
    bool ran = strcmp(r->phase, "run") == 0;
    keep(r->phase, sizeof r->phase, h->event, "name");
    if (ran && strcmp(r->phase, "run") != 0 && (view->run_end <= 0 || h->t > view->run_end))
        view->run_end = h->t;
}

static void on_model(struct ech_run_view *view, struct ech_rank_view *r, const struct head *h)
{
    (void)view;
    r->packed_bytes = int_of(h->event, "packed_bytes");
    r->workspace_bytes = int_of(h->event, "workspace_bytes");
    r->rests = json_is_false(json_object_get(h->event, "works"));
}

static void on_plan(struct ech_run_view *view, struct ech_rank_view *r, const struct head *h)
{
    (void)r;
    view->planned = true;
    view->plan.rows = int_of(h->event, "rows");
    view->plan.rows_done = int_of(h->event, "rows_done");
    view->plan.tokens_estimated = int_of(h->event, "tokens_estimated");
    view->plan.ranks = int_of(h->event, "ranks");
    view->plan.nodes = int_of(h->event, "nodes");
}

static void on_probe(struct ech_run_view *view, struct ech_rank_view *r, const struct head *h)
{
    (void)view;
    r->probe = float_of(h->event, "tokens_per_s");
    r->probe_few = float_of(h->event, "few_tokens_per_s");
    r->probe_bytes = float_of(h->event, "weights_bytes_per_s");
    r->probe_cached = json_is_true(json_object_get(h->event, "cached"));
}

static void sample(struct ech_run_view *view, struct ech_rank_view *r, double t)
{
    if (++r->skipped < r->stride)
        return;
    r->skipped = 0;
    if (r->sample_count == ECH_VIEW_SAMPLES) {
        for (size_t i = 0; i < ECH_VIEW_SAMPLES / 2; i++)
            r->samples[i] = r->samples[2 * i + 1];
        r->sample_count = ECH_VIEW_SAMPLES / 2;
        r->stride *= 2;
    }
    if (ech_grow((void **)&r->samples, &r->sample_capacity, r->sample_count + 1, sizeof *r->samples, NULL) !=
        ECH_OK) {
        view->failed = true;
        return;
    }
    r->samples[r->sample_count++] = (struct ech_sample){t, r->rows, r->tokens, r->rss_bytes, r->speed};
}

/* Neighbours with the smallest gaps between them become one, until a quarter of the room is free. */
static void join_spans(struct ech_rank_view *r)
{
    double gap = (r->spans[r->span_count - 1].end - r->spans[0].begin) / (4 * ECH_VIEW_SPANS);
    for (gap = gap > 1e-3 ? gap : 1e-3; r->span_count > ECH_VIEW_SPANS * 3 / 4; gap *= 2) {
        size_t kept = 0;
        for (size_t i = 0; i < r->span_count; i++) {
            const struct ech_span next = r->spans[i];
            struct ech_span *last = kept ? &r->spans[kept - 1] : NULL;
            if (last && next.begin - last->end <= gap && next.end - last->begin <= 4 * gap) {
                last->end = next.end;
                last->rows += next.rows;
                last->leases += next.leases;
                last->copy = last->copy && next.copy;
            } else {
                r->spans[kept++] = next;
            }
        }
        r->span_count = kept;
    }
}

static int64_t number_at(const json_t *list, size_t i)
{
    const json_t *value = json_array_get(list, i);
    int64_t number = json_is_integer(value) ? json_integer_value(value) : 0;
    return number < 0 ? 0 : ech_min64(number, MOST_COUNT);
}

/* [begun, done, rows, leases, copy], milliseconds before t. Spans that overlap are cut. */
static void span(struct ech_run_view *view, struct ech_rank_view *r, double t, const json_t *one)
{
    struct ech_span s = {.begin = t - (double)number_at(one, 0) / 1e3,
                         .end = t - (double)number_at(one, 1) / 1e3,
                         .rows = number_at(one, 2),
                         .leases = number_at(one, 3),
                         .copy = number_at(one, 4) > 0};
    double last = r->span_count ? r->spans[r->span_count - 1].end : 0;
    s.begin = s.begin > last ? s.begin : last;
    if (!(s.end >= s.begin) || s.leases < 1)
        return;
    if (r->span_count == ECH_VIEW_SPANS)
        join_spans(r);
    if (ech_grow((void **)&r->spans, &r->span_capacity, r->span_count + 1, sizeof *r->spans, NULL) !=
        ECH_OK) {
        view->failed = true;
        return;
    }
    r->spans[r->span_count++] = s;
    r->computed = s.end;
}

static void on_progress(struct ech_run_view *view, struct ech_rank_view *r, const struct head *h)
{
    enum { SPANS_MOST = 64 }; /* of one event */
    const json_t *spans = json_object_get(h->event, "spans");
    int64_t rows = r->rows;
    r->has_progress = true;
    r->rows = int_of(h->event, "rows");
    if (!spans && r->rows > rows)
        r->computed = h->t;
    for (size_t i = 0; i < json_array_size(spans) && i < SPANS_MOST; i++)
        span(view, r, h->t, json_array_get(spans, i));
    r->tokens = int_of(h->event, "tokens");
    r->errors = int_of(h->event, "errors");
    r->leases = int_of(h->event, "leases");
    r->busy_s = float_of(h->event, "busy_s");
    r->speed = float_of(h->event, "speed");
    r->share = float_of(h->event, "share");
    r->rss_bytes = int_of(h->event, "rss_bytes");
    r->rss_peak = ech_max64(r->rss_peak, r->rss_bytes);
    r->spool_bytes = int_of(h->event, "spool_bytes");
    sample(view, r, h->t);
}

static void on_lease(struct ech_run_view *view, struct ech_rank_view *r, const struct head *h)
{
    (void)view;
    if (r->first_lease <= 0 || h->t < r->first_lease)
        r->first_lease = h->t;
}

void ech_pace_add(struct ech_pace *p, double t, int64_t rows, int64_t tokens)
{
    enum { MOST = sizeof p->marks / sizeof p->marks[0] };
    if (p->count && t <= p->marks[p->count - 1].t)
        return;
    while (p->count == MOST || (p->count > 1 && t - p->marks[1].t >= PACE_S)) {
        memmove(p->marks, p->marks + 1, (size_t)(p->count - 1) * sizeof p->marks[0]);
        p->count--;
    }
    p->marks[p->count].t = t;
    p->marks[p->count].rows = rows;
    p->marks[p->count++].tokens = tokens;
    double seconds = t - p->marks[0].t;
    p->rows_s = seconds > 0 ? (double)(rows - p->marks[0].rows) / seconds : 0;
    p->tokens_s = seconds > 0 ? (double)(tokens - p->marks[0].tokens) / seconds : 0;
}

static void on_todo(struct ech_run_view *view, struct ech_rank_view *r, const struct head *h)
{
    (void)r;
    if (view->has_todo && h->t < view->todo.t)
        return;
    view->has_todo = true;
    view->todo.t = h->t;
    view->todo.rows = int_of(h->event, "rows");
    view->todo.rows_done = int_of(h->event, "rows_done");
    view->todo.tokens = int_of(h->event, "tokens");
    view->todo.tokens_done = int_of(h->event, "tokens_done");
    view->todo.left_s = float_of(h->event, "left_s");
    ech_pace_add(&view->pace, h->t, view->todo.rows_done, view->todo.tokens_done);
}

static void on_dead(struct ech_run_view *view, struct ech_rank_view *r, const struct head *h)
{
    (void)r;
    int64_t who = json_is_integer(json_object_get(h->event, "who")) ? int_of(h->event, "who") : -1;
    struct ech_rank_view *lost = who >= 0 && who < MOST_RANKS ? rank_of(view, (int)who) : NULL;
    if (!lost)
        return;
    lost->seen = lost->dead = true;
    keep(lost->reason, sizeof lost->reason, h->event, "reason");
    if (!lost->host[0])
        keep(lost->host, sizeof lost->host, h->event, "host");
}

static void on_seal(struct ech_run_view *view, struct ech_rank_view *r, const struct head *h)
{
    (void)r;
    view->sealed = true;
    view->seal.t = h->t;
    view->seal.shards = int_of(h->event, "shards");
    view->seal.bytes = int_of(h->event, "bytes");
    view->seal.rows = int_of(h->event, "rows");
    view->seal.seconds = float_of(h->event, "seconds");
}

static void on_end(struct ech_run_view *view, struct ech_rank_view *r, const struct head *h)
{
    (void)view;
    r->ended = true;
    r->code = (int)int_of(h->event, "code");
    r->cpu_s = float_of(h->event, "cpu_s");
    r->rss_peak = ech_max64(r->rss_peak, int_of(h->event, "rss_peak_bytes"));
    keep(r->reason, sizeof r->reason, h->event, "text");
}

/* Events worth telling, of any attempt; the ranks that say it are named by who prints it. */
static void tell(struct ech_run_view *view, const char *type, const struct head *h)
{
    char text[768], bytes[32], rows[32];
    int64_t code = int_of(h->event, "code"), shards = int_of(h->event, "shards");
    if (strcmp(type, "dead") == 0) {
        struct head lost = *h;
        lost.rank = (int)ech_min64(int_of(h->event, "who"), MOST_RANKS);
        snprintf(text, sizeof text, "lost on %.64s: %.400s", text_of(h->event, "host"),
                 text_of(h->event, "reason"));
        note(view, &lost, true, text);
    } else if (strcmp(type, "end") == 0 && code != 0) {
        snprintf(text, sizeof text, "ended with %lld (%s): %.500s", (long long)code,
                 ech_code_name((int)ech_min64(code, 255)), text_of(h->event, "text"));
        note(view, h, code != ECH_REQUEUE, text);
    } else if (strcmp(type, "seal") == 0) {
        snprintf(text, sizeof text, "sealed %s rows, %s in %lld shard%s",
                 ech_print_count(int_of(h->event, "rows"), rows, sizeof rows),
                 ech_print_bytes(int_of(h->event, "bytes"), bytes, sizeof bytes), (long long)shards,
                 shards == 1 ? "" : "s");
        note(view, h, false, text);
    }
}

static const struct {
    const char *type;
    void (*fold)(struct ech_run_view *, struct ech_rank_view *, const struct head *);
} folds[] = {{"start", on_start}, {"phase", on_phase},       {"model", on_model}, {"plan", on_plan},
             {"probe", on_probe}, {"progress", on_progress}, {"lease", on_lease}, {"todo", on_todo},
             {"dead", on_dead},   {"seal", on_seal},         {"end", on_end}};

void ech_view_event(struct ech_run_view *view, const json_t *event)
{
    const json_t *number = json_object_get(event, "rank");
    int64_t rank = json_is_integer(number) ? json_integer_value(number) : -1;
    struct head h = {event, ech_wall_parse(text_of(event, "wall")),
                     (int)ech_min64(int_of(event, "attempt"), 1000000),
                     (int)ech_min64(ech_max64(rank, -1), MOST_RANKS)};
    const char *type = text_of(event, "type");
    if (rank < 0 || rank >= MOST_RANKS || h.t <= 0 || h.attempt < 1 || !*type) {
        view->unreadable++;
        return;
    }
    tell(view, type, &h);
    if (h.attempt != view->attempt)
        return;
    struct ech_rank_view *r = rank_of(view, (int)rank);
    if (!r)
        return;
    r->seen = true;
    r->node = (int)ech_min64(int_of(event, "node"), MOST_RANKS);
    r->last_seen = h.t > r->last_seen ? h.t : r->last_seen;
    view->first = view->first <= 0 || h.t < view->first ? h.t : view->first;
    view->last = h.t > view->last ? h.t : view->last;
    for (size_t i = 0; i < sizeof folds / sizeof folds[0]; i++)
        if (strcmp(folds[i].type, type) == 0)
            folds[i].fold(view, r, &h);
}

static int by_time(const void *a, const void *b)
{
    const struct ech_note *x = a, *y = b;
    return x->t < y->t ? -1 : x->t > y->t ? 1 : x->rank < y->rank ? -1 : x->rank > y->rank;
}

void ech_view_finish(struct ech_run_view *view)
{
    if (view->note_count)
        qsort(view->notes, view->note_count, sizeof *view->notes, by_time);
}

static double speed_of(const struct ech_rank_view *r)
{
    return r->busy_s > 0 ? (double)r->tokens / r->busy_s : 0;
}

/* Tokens that all ranks compute within so many seconds, the lost ones until they are lost. */
static double tokens_within(const struct ech_run_view *view, double first_lease, double seconds)
{
    double tokens = 0;
    for (size_t i = 0; i < view->rank_count; i++) {
        const struct ech_rank_view *r = &view->ranks[i];
        double lives = r->dead ? r->last_seen - first_lease : seconds;
        tokens += speed_of(r) * (lives < 0 ? 0 : lives < seconds ? lives : seconds);
    }
    return tokens;
}

/* 0: the living ones compute nothing. */
static double fluid_with_losses(const struct ech_run_view *view, const struct ech_view_sum *sum)
{
    double low = sum->fluid_s, high = 2 * sum->fluid_s;
    int doublings = 0;
    while (tokens_within(view, sum->first_lease, high) < (double)sum->tokens && ++doublings < 64)
        high *= 2;
    for (int i = 0; i < 40 && doublings < 64; i++) {
        double middle = (low + high) / 2;
        bool enough = tokens_within(view, sum->first_lease, middle) >= (double)sum->tokens;
        low = enough ? low : middle;
        high = enough ? middle : high;
    }
    return doublings < 64 ? high : 0;
}

void ech_view_sum(const struct ech_run_view *view, struct ech_view_sum *out)
{
    struct ech_view_sum sum = {0};
    double speeds = 0;
    for (size_t i = 0; i < view->rank_count; i++) {
        const struct ech_rank_view *r = &view->ranks[i];
        sum.ranks += r->seen;
        sum.dead += r->dead;
        sum.rows += r->rows;
        sum.tokens += r->tokens;
        sum.errors += r->errors;
        sum.rss_bytes += r->ended || r->dead ? 0 : r->rss_bytes;
        sum.rss_peak += r->rss_peak;
        sum.busy_s += r->busy_s;
        sum.speed += r->dead || r->ended ? 0 : r->speed;
        speeds += speed_of(r);
        if (r->first_lease > 0 && (sum.first_lease <= 0 || r->first_lease < sum.first_lease))
            sum.first_lease = r->first_lease;
    }
    /* Rows that ran twice count once: the coordinator's word goes before the sum of what ranks computed. */
    if (view->has_todo && view->todo.tokens_done > 0 && view->todo.tokens_done < sum.tokens)
        sum.tokens = view->todo.tokens_done;
    sum.run_end = view->run_end > 0 ? view->run_end : sum.first_lease > 0 ? view->last : 0;
    sum.fluid_s = speeds > 0 ? (double)sum.tokens / speeds : 0;
    sum.fluid_lost_s = sum.dead && sum.fluid_s > 0 && sum.first_lease > 0 ? fluid_with_losses(view, &sum) : 0;
    *out = sum;
}

enum ech_run_state ech_view_state(const struct ech_run_view *view, bool alive)
{
    const struct ech_run_result *newest = NULL;
    for (size_t i = 0; i < view->attempt_count; i++) {
        const struct ech_attempt_view *a = &view->attempts[i];
        if (a->has_result && strcmp(a->result.state, "sealed") == 0)
            return ECH_RUN_SEALED;
        if (a->has_result && a->attempt == view->attempt)
            newest = &a->result;
    }
    return alive                                   ? ECH_RUN_RUNNING
           : !newest                               ? ECH_RUN_DIED
           : strcmp(newest->state, "stopped") == 0 ? ECH_RUN_STOPPED
                                                   : ECH_RUN_FAILED;
}

const char *ech_run_state_name(enum ech_run_state state)
{
    static const char *const names[] = {"running", "sealed", "stopped", "failed", "died"};
    return names[state];
}
