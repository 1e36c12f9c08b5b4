/* Ranks that compute alike are a "way" (backend and precision: one, but for numerics mixed), whose speed is
 * measured once; ranks of a way with the same room on their node are a "fit", opened once for its memory. */
#include "job/plan_make.h"

#include "base/mem.h"
#include "base/num.h"
#include "config/each.h"
#include "job/sample.h"
#include "job/usage.h"
#include "job/within.h"
#include "plan/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    WAYS_MOST = 16,
    MPI_BYTES = 10 << 20 /* of a rank's process, which this one lacks: Open MPI 4.1, 2 to 4 ranks */
};

struct way {
    struct ech_job job; /* with its backend and precision */
    struct ech_stream *stream;
    char backend[32], precision[32], numerics[64];
    int threads; /* measured with so many */
    bool cached;
    double speed; /* of these threads here, 0: not measured */
};

struct fit {
    int way, threads, places, first; /* first: a rank of it */
    int64_t memory, workspace, unlimited, weights, ranks;
};

struct seat { /* a rank */
    int node, way, fit;
    bool works;
    double factor; /* its speed over the way's */
};

struct ech_planning {
    const struct ech_job *job;
    struct ech_plan_nodes *nodes;
    struct ech_dataset *input;
    struct ech_source *source;
    const struct ech_kind_ops *kind;
    struct way ways[WAYS_MOST];
    int ways_count;
    struct fit *fits;
    size_t fits_count, fits_capacity;
    struct seat *seats;
    double tokens, tokens_a_row;
    int64_t process;
    struct ech_workers workers;
    struct ech_str notes[5];
    const char *note_texts[5];
    struct ech_plan plan;
};

static int open_stream(struct ech_planning *p, struct way *w, int threads, struct ech_stream **out,
                       struct ech_err *err)
{
    struct ech_stream_env env = {.job = &w->job, .source = p->source, .threads = threads};
    return p->kind->open(&env, out, err);
}

static int find_way(struct ech_planning *p, int rank, const struct ech_plan_node *node, int *out,
                    struct ech_err *err)
{
    struct ech_job own = *p->job;
    ech_each_apply(&own.resources.each, node->name, rank, &own);
    for (int i = 0; i < p->ways_count; i++) {
        const struct ech_job *job = &p->ways[i].job;
        if (job->resources.backend == own.resources.backend &&
            job->precision.weights == own.precision.weights &&
            job->precision.compute == own.precision.compute) {
            *out = i;
            return ECH_OK;
        }
    }
    if (p->ways_count == WAYS_MOST)
        return ech_fail(err, ECH_CONFIG, "resources.each has more than %d ways to compute", WAYS_MOST);
    struct way *w = &p->ways[p->ways_count];
    *w = (struct way){.job = own, .threads = (int)ech_min64(node->threads, ech_usage_cores())};
    int code = open_stream(p, w, w->threads, &w->stream, err);
    if (code)
        return code;
    snprintf(w->backend, sizeof w->backend, "%s", p->kind->backend(w->stream));
    snprintf(w->precision, sizeof w->precision, "%s", p->kind->precision(w->stream));
    snprintf(w->numerics, sizeof w->numerics, "%s", p->kind->numerics(w->stream));
    *out = p->ways_count++;
    return ECH_OK;
}

static int sample(struct ech_planning *p, struct ech_err *err)
{
    struct ech_token_sums sums = {0};
    int64_t rows = ech_source_rows(p->source);
    int code = ech_sample_tokens(p->kind, p->ways[0].stream, p->source, 0, 1, &sums, err);
    p->tokens = ech_sample_estimate(&sums, p->source);
    p->tokens_a_row = rows > 0 ? p->tokens / (double)rows : 1;
    return code;
}

/* ---- memory ---- */

/* As a run opens it: without a limit, and within its part of the node. */
static int open_fit(struct ech_planning *p, struct fit *f, struct ech_err *err)
{
    struct way *w = &p->ways[f->way];
    struct ech_stream *stream;
    int code = open_stream(p, w, f->threads, &stream, err);
    if (code)
        return code;
    f->weights = (int64_t)p->kind->shared_bytes(stream);
    f->workspace = f->unlimited = (int64_t)p->kind->workspace_bytes(stream);
    p->kind->close(stream);
    if (f->memory <= 0)
        return ECH_OK;
    int64_t asked = p->job->resources.ranks_per_worker;
    struct ech_within within = {f->memory, p->process, f->places,
                                asked > 1 || (asked == 0 && p->nodes->count > 1)};
    struct ech_stream_env env = {.job = &w->job, .source = p->source, .threads = f->threads};
    if ((code = ech_open_within(p->kind, &env, &within, &stream, err)))
        return code;
    f->workspace = (int64_t)p->kind->workspace_bytes(stream);
    p->kind->close(stream);
    return ECH_OK;
}

static int find_fit(struct ech_planning *p, int rank, const struct ech_plan_node *node, struct seat *seat,
                    struct ech_err *err)
{
    for (size_t i = 0; i < p->fits_count; i++) {
        struct fit *f = &p->fits[i];
        if (f->way == seat->way && f->threads == node->threads && f->places == node->ranks &&
            f->memory == node->memory) {
            f->ranks++;
            seat->fit = (int)i;
            return ECH_OK;
        }
    }
    int code = ech_grow((void **)&p->fits, &p->fits_capacity, p->fits_count + 1, sizeof *p->fits, err);
    if (code)
        return code;
    struct fit *f = &p->fits[p->fits_count];
    *f = (struct fit){.way = seat->way,
                      .threads = node->threads,
                      .places = node->ranks,
                      .first = rank,
                      .memory = node->memory,
                      .ranks = 1};
    seat->fit = (int)p->fits_count++;
    return open_fit(p, f, err);
}

static void share_node(struct ech_planning *p, struct ech_memory_rank *ranks, int first,
                       const struct ech_plan_node *node)
{
    for (int i = 0; i < node->ranks; i++) {
        const struct seat *s = &p->seats[first + i];
        ranks[i] = (struct ech_memory_rank){.process = p->process,
                                            .workspace = p->fits[s->fit].workspace,
                                            .weights = p->fits[s->fit].weights,
                                            .group = s->way,
                                            .fits = true};
    }
    ech_memory_share(ranks, node->ranks, node->memory);
    for (int i = 0; i < node->ranks; i++)
        p->seats[first + i].works = ranks[i].works;
}

static int refuse_memory(const struct ech_planning *p, struct ech_err *err)
{
    const struct fit *f = &p->fits[0];
    char need[32], has[32], weights[32], workspace[32], process[32];
    return ech_fail(
        err, ECH_UNAVAILABLE,
        "no rank can work within resources.memory (%s a node): one working rank needs %s (weights "
        "%s, its workspace %s, %d processes of %s): give more memory, fewer threads or fewer ranks "
        "a node",
        ech_print_bytes(f->memory, has, sizeof has),
        ech_print_bytes(f->weights + f->workspace + p->process * f->places, need, sizeof need),
        ech_print_bytes(f->weights, weights, sizeof weights),
        ech_print_bytes(f->workspace, workspace, sizeof workspace), f->places,
        ech_print_bytes(p->process, process, sizeof process));
}

static int share_memory(struct ech_planning *p, struct ech_err *err)
{
    int most = 1, working = 0;
    for (int n = 0; n < p->nodes->count; n++)
        most = p->nodes->items[n].ranks > most ? p->nodes->items[n].ranks : most;
    struct ech_memory_rank *ranks = ech_calloc((size_t)most, sizeof *ranks, err);
    if (!ranks)
        return ECH_UNAVAILABLE;
    for (int n = 0, first = 0; n < p->nodes->count; first += p->nodes->items[n++].ranks)
        share_node(p, ranks, first, &p->nodes->items[n]);
    ech_free(ranks);
    for (int r = 0; r < p->nodes->ranks; r++)
        working += p->seats[r].works;
    return working ? ECH_OK : refuse_memory(p, err);
}

/* ---- speed ---- */

/* Threads of the rank whose speed is 1 (or nearest below it in the file's order), and its speed. */
static const struct ech_plan_node *reference(const struct ech_plan_nodes *nodes)
{
    const struct ech_plan_node *found = NULL;
    char here[64] = "";
    gethostname(here, sizeof here - 1);
    for (int i = 0; i < nodes->count; i++) {
        const struct ech_plan_node *n = &nodes->items[i];
        if (n->speed > 0 && strcmp(n->name, here) == 0)
            return n;
        if (n->speed > 0 && (!found || (n->speed == 1 && found->speed != 1)))
            found = n;
    }
    return found;
}

/* This machine's threads, as many as the rank has, while its node has cores for all of them. */
static double factor_of(const struct ech_plan_node *n, int measured_threads)
{
    double crowd = (double)n->cores / ((double)n->ranks * n->threads);
    return (double)n->threads / measured_threads * (crowd < 1 ? crowd : 1);
}

static void find_factors(struct ech_planning *p)
{
    const struct ech_plan_node *one = reference(p->nodes);
    for (int r = 0; r < p->nodes->ranks; r++) {
        struct seat *s = &p->seats[r];
        const struct ech_plan_node *n = &p->nodes->items[s->node];
        int threads = p->ways[s->way].threads;
        s->factor = n->speed > 0 ? n->speed / one->speed * factor_of(one, threads) : factor_of(n, threads);
    }
}

static bool needs_speed(const struct ech_planning *p, int way)
{
    for (int r = 0; r < p->nodes->ranks; r++)
        if (p->seats[r].way == way && p->seats[r].works &&
            !(p->nodes->items[p->seats[r].node].tokens_per_s > 0))
            return true;
    return false;
}

static int measure_way(struct ech_planning *p, struct way *w, struct ech_err *err)
{
    char here[64] = "";
    size_t shared = p->kind->shared_bytes(w->stream);
    struct ech_probe probe = {0};
    struct ech_probe_ask ask = {.kind = p->kind,
                                .stream = w->stream,
                                .host = here,
                                .threads = w->threads,
                                .places = 1,
                                .tokens_a_row = p->tokens_a_row};
    gethostname(here, sizeof here - 1);
    if (ech_probe_known(&ask, &probe)) {
        w->cached = true;
        w->speed = probe.tokens_s;
        return ECH_OK;
    }
    void *weights = ech_alloc_aligned(shared ? shared : 64, err);
    int code = weights ? p->kind->pack(w->stream, weights, 0, 1, err) : ECH_UNAVAILABLE;
    if (!code)
        code = p->kind->start(w->stream, err);
    if (!code && ech_source_rows(p->source) > 0)
        code = ech_probe_get(&ask, &probe, &w->cached, err);
    w->speed = probe.tokens_s;
    p->kind->close(w->stream);
    w->stream = NULL;
    ech_free(weights);
    return code;
}

/* ---- workers of several ranks ---- */

static int imagine(struct ech_planning *p, struct ech_engine *engine, int *node_of, int64_t *budgets,
                   double *speeds, struct ech_err *err)
{
    for (int r = 0; r < p->nodes->ranks; r++) {
        const struct seat *s = &p->seats[r];
        const struct ech_plan_node *n = &p->nodes->items[s->node];
        node_of[r] = s->node;
        speeds[r] = s->factor;
        budgets[r] =
            n->memory > 0 ? n->memory / n->ranks - p->fits[s->fit].workspace - p->process : INT64_MAX;
    }
    struct ech_workers_wish wish = {.ranks_per_worker = p->job->resources.ranks_per_worker,
                                    .memory = p->job->resources.memory,
                                    .ranks = p->nodes->ranks,
                                    .nodes = p->nodes->count,
                                    .node_of = node_of,
                                    .budgets = budgets,
                                    .speeds = speeds};
    return ech_workers_imagine(engine, &wish, &p->workers, err);
}

/* From a layer's speed: the model may not fit this machine as a whole. */
static int find_workers(struct ech_planning *p, struct ech_err *err)
{
    struct ech_engine *engine = p->kind->engine ? p->kind->engine(p->ways[0].stream) : NULL;
    if (!engine)
        return ECH_OK;
    size_t n = (size_t)p->nodes->ranks;
    int *node_of = ech_calloc(n, sizeof *node_of, err);
    int64_t *budgets = ech_calloc(n, sizeof *budgets, err);
    double *speeds = ech_calloc(n, sizeof *speeds, err), layer = 0;
    int code = node_of && budgets && speeds ? ECH_OK : ECH_UNAVAILABLE;
    if (!code)
        code = imagine(p, engine, node_of, budgets, speeds, err);
    if (!code && p->workers.count)
        code = ech_stage_probe(engine, (int64_t)(p->tokens_a_row + 0.5), 0.5, &layer, err);
    for (int w = 0; !code && w < p->workers.count; w++)
        p->workers.speed[w] *= layer;
    ech_free(node_of);
    ech_free(budgets);
    ech_free(speeds);
    return code;
}

/* ---- the plan ---- */

static struct ech_plan_rank rank_of(const struct ech_planning *p, int r)
{
    const struct seat *s = &p->seats[r];
    const struct ech_plan_node *n = &p->nodes->items[s->node];
    const struct way *w = &p->ways[s->way];
    const struct fit *f = &p->fits[s->fit];
    struct ech_plan_rank out = {.rank = r, .node = s->node, .host = n->name, .rests = !s->works};
    if (p->workers.count) {
        const struct ech_worker_member *m = &p->workers.member[r];
        out.speed = p->workers.speed[m->worker];
        out.memory = f->workspace + m->bytes / m->sharers;
        out.rests = false;
    } else if (s->works) {
        out.speed = n->tokens_per_s > 0 ? n->tokens_per_s : w->speed * s->factor;
        out.memory = f->workspace + f->weights / n->ranks;
    }
    if (out.speed > 0)
        out.speed_from = !p->workers.count && n->tokens_per_s > 0 ? "known"
                         : n->speed > 0                           ? "relative"
                         : p->nodes->described                    ? "assumed"
                         : w->cached                              ? "cached"
                                                                  : "measured";
    return out;
}

static struct ech_str *new_note(struct ech_planning *p)
{
    return &p->notes[p->plan.notes_count++];
}

static void note_rests(struct ech_planning *p)
{
    int count = 0, first = -1;
    for (int r = 0; r < p->nodes->ranks && !p->workers.count; r++)
        if (!p->seats[r].works) {
            first = first < 0 ? r : first;
            count++;
        }
    if (!count)
        return;
    const struct fit *f = &p->fits[p->seats[first].fit];
    char has[32], workspace[32];
    ech_str_addf(
        new_note(p),
        "%d rank%s no work (the first is rank %d on %s): the node has %s for its %d processes and the "
        "weights, one more workspace of %s does not fit: give more memory, fewer threads or fewer "
        "ranks a node",
        count, count == 1 ? " gets" : "s get", first, p->nodes->items[p->seats[first].node].name,
        ech_print_bytes(f->memory, has, sizeof has), f->places,
        ech_print_bytes(f->workspace, workspace, sizeof workspace));
}

static void note_batches(struct ech_planning *p)
{
    int64_t ranks = 0;
    const struct fit *first = NULL;
    for (size_t i = 0; i < p->fits_count; i++)
        if (p->fits[i].workspace < p->fits[i].unlimited) {
            first = first ? first : &p->fits[i];
            ranks += p->fits[i].ranks;
        }
    char a[32], b[32];
    if (first)
        ech_str_addf(new_note(p),
                     "%lld rank%s with smaller batches to stay within memory (rank %d: a workspace of %s "
                     "instead of %s)",
                     (long long)ranks, ranks == 1 ? " works" : "s work", first->first,
                     ech_print_bytes(first->workspace, a, sizeof a),
                     ech_print_bytes(first->unlimited, b, sizeof b));
}

static void note_speeds(struct ech_planning *p)
{
    int64_t assumed = 0, relative = 0;
    for (int i = 0; i < p->plan.ranks_count; i++) {
        const char *from = p->plan.ranks[i].speed_from;
        assumed += from && strcmp(from, "assumed") == 0;
        relative += from && strcmp(from, "relative") == 0;
    }
    if (assumed)
        ech_str_addf(new_note(p),
                     "speeds of %lld rank%s are not known: assumed to be this machine's, thread for thread",
                     (long long)assumed, assumed == 1 ? "" : "s");
    const struct ech_plan_node *one = relative ? reference(p->nodes) : NULL;
    char here[64] = "";
    gethostname(here, sizeof here - 1);
    if (one && strcmp(one->name, here) != 0)
        ech_str_addf(
            new_note(p),
            "speeds of %lld rank%s are known against each other: a rank of %s (speed %g) is assumed to "
            "be as fast as %d thread%s of this machine",
            (long long)relative, relative == 1 ? "" : "s", one->class_name[0] ? one->class_name : one->name,
            one->speed, one->threads, one->threads == 1 ? "" : "s");
}

static double time_left(const struct ech_job *job)
{
    double time = job->resources.time;
    return time > 0 ? time - fmin(job->limits.stop_margin, time / 2) : 0;
}

static int fill_plan(struct ech_planning *p, struct ech_err *err)
{
    const struct way *w = &p->ways[0];
    bool equal = p->job->balance.policy == ECH_POLICY_EQUAL, mixed = p->ways_count > 1;
    p->plan = (struct ech_plan){.kind = p->job->kind_name,
                                .backend = w->backend,
                                .precision = mixed ? "mixed" : w->precision,
                                .numerics = mixed ? "mixed" : w->numerics,
                                .policy = equal ? "equal" : "adaptive",
                                .rows = ech_source_rows(p->source),
                                .tokens = p->tokens,
                                .time_limit = p->job->resources.time,
                                .time_left = time_left(p->job),
                                .workers = p->workers.count ? &p->workers : NULL,
                                .nodes = p->nodes->count};
    if (!(p->plan.ranks = ech_calloc((size_t)p->nodes->ranks, sizeof *p->plan.ranks, err)))
        return ECH_UNAVAILABLE;
    for (int r = 0; r < p->nodes->ranks; r++)
        if (!p->workers.count || p->workers.member[r].stage == 0) /* heads stand for their workers */
            p->plan.ranks[p->plan.ranks_count++] = rank_of(p, r);
    ech_plan_fill(&p->plan, equal);
    note_rests(p);
    note_batches(p);
    note_speeds(p);
    if (p->job->resources.launcher == ECH_LAUNCHER_SRUN)
        ech_str_adds(new_note(p), "launcher srun: a rank's death ends the attempt; the Slurm job goes back "
                                  "into the queue");
    int code = ECH_OK;
    for (int i = 0; i < p->plan.notes_count; i++) {
        p->note_texts[i] = p->notes[i].data;
        code = code ? code : ech_str_check(&p->notes[i], err);
    }
    p->plan.notes = p->note_texts;
    return code;
}

static int make(struct ech_planning *p, struct ech_err *err)
{
    int code = ECH_OK, rank = 0;
    for (int n = 0; !code && n < p->nodes->count; n++)
        for (int i = 0; !code && i < p->nodes->items[n].ranks; i++, rank++) {
            p->seats[rank].node = n;
            code = find_way(p, rank, &p->nodes->items[n], &p->seats[rank].way, err);
        }
    if (!code)
        code = sample(p, err);
    p->process = ech_usage_rss() + MPI_BYTES;
    for (rank = 0; !code && rank < p->nodes->ranks; rank++)
        code = find_fit(p, rank, &p->nodes->items[p->seats[rank].node], &p->seats[rank], err);
    if (code)
        return code;
    find_factors(p);
    if ((code = find_workers(p, err)))
        return code;
    if (p->workers.count)
        return fill_plan(p, err);
    code = share_memory(p, err);
    for (int w = 0; !code && w < p->ways_count; w++)
        if (needs_speed(p, w))
            code = measure_way(p, &p->ways[w], err);
    return code ? code : fill_plan(p, err);
}

int ech_planning_open(const struct ech_job *job, struct ech_plan_nodes *nodes, struct ech_planning **out,
                      struct ech_err *err)
{
    struct ech_planning *p = ech_calloc(1, sizeof *p, err);
    if (!p)
        return ECH_UNAVAILABLE;
    p->job = job;
    p->nodes = nodes;
    for (size_t i = 0; i < sizeof p->notes / sizeof p->notes[0]; i++)
        ech_str_init(&p->notes[i]);
    ech_plan_nodes_settle(nodes, job);
    p->kind = ech_kind_ops_find(job->kind_name);
    p->seats = ech_calloc((size_t)nodes->ranks, sizeof *p->seats, err);
    int code = p->seats ? ECH_OK : ECH_UNAVAILABLE;
    if (!code && job->input.dataset)
        code = ech_dataset_open(job->input.dataset, &p->input, err);
    if (!code)
        code = ech_source_open(job, p->input, ech_attempt_texts(job), &p->source, err);
    if (!code)
        code = make(p, err);
    if (code)
        ech_planning_close(p);
    else
        *out = p;
    return code;
}

const struct ech_plan *ech_planning_plan(const struct ech_planning *p)
{
    return &p->plan;
}

void ech_planning_close(struct ech_planning *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->ways_count; i++)
        if (p->ways[i].stream)
            p->kind->close(p->ways[i].stream);
    ech_source_close(p->source);
    if (p->input)
        ech_dataset_close(p->input);
    for (size_t i = 0; i < sizeof p->notes / sizeof p->notes[0]; i++)
        ech_str_fini(&p->notes[i]);
    ech_workers_fini(&p->workers);
    ech_free(p->plan.ranks);
    ech_free(p->seats);
    ech_free(p->fits);
    ech_free(p);
}
