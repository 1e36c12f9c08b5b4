/* Which ranks work together: decided by all ranks from the same numbers, before weights are packed. */
#include "base/log.h"
#include "base/mem.h"
#include "job/attempt.h"
#include "job/usage.h"

#include <inttypes.h>
#include <string.h>

#define PROBE_S 0.2
enum { PROBE_TOKENS = 64 };

/* What a rank tells the others. */
struct telling {
    int64_t budget, pieces; /* bytes: for weights; for pieces on their way */
    double speed;           /* tokens a second of one layer */
};

struct ground {
    struct telling *all;
    double *costs, *speeds;
    int64_t *bytes, *budgets;
    int *node_of;
    struct ech_workers_model model;
};

static void ground_fini(struct ground *g)
{
    ech_free(g->all);
    ech_free(g->costs);
    ech_free(g->speeds);
    ech_free(g->bytes);
    ech_free(g->budgets);
    ech_free(g->node_of);
}

int ech_workers_layers(const struct ech_engine *engine, double *costs, int64_t *bytes,
                       struct ech_workers_model *model, struct ech_err *err)
{
    size_t head, each, one;
    int code = ech_stage_bytes(engine, (struct ech_stage){.head = true}, &head, err);
    int64_t layers = ech_engine_layers(engine), sum = 0;
    for (int64_t l = 0; !code && l < layers; l++) {
        code = ech_stage_bytes(engine, (struct ech_stage){.first = l, .end = l + 1}, &one, err);
        if (code)
            return code;
        costs[l] = 1; /* layers of one specification are alike */
        bytes[l] = (int64_t)one;
        sum += (int64_t)one;
    }
    if (!code) /* what each stage holds in common with the others is counted in each layer: once is right */
        code = ech_stage_bytes(engine, (struct ech_stage){.first = 0, .end = layers}, &each, err);
    if (code)
        return code;
    int64_t common = layers > 1 ? (sum - (int64_t)each) / (layers - 1) : 0;
    for (int64_t l = 0; l < layers; l++)
        bytes[l] -= common;
    *model = (struct ech_workers_model){.layers = (int)layers,
                                        .costs = costs,
                                        .bytes = bytes,
                                        .head_bytes = (int64_t)head,
                                        .each_bytes = common};
    return ECH_OK;
}

static int ground_init(struct ground *g, int ranks, const struct ech_engine *engine, struct ech_err *err)
{
    size_t size = (size_t)ranks, layers = (size_t)ech_engine_layers(engine);
    g->all = ech_calloc(size, sizeof *g->all, err);
    g->costs = ech_calloc(layers, sizeof *g->costs, err);
    g->speeds = ech_calloc(size, sizeof *g->speeds, err);
    g->bytes = ech_calloc(layers, sizeof *g->bytes, err);
    g->budgets = ech_calloc(size, sizeof *g->budgets, err);
    g->node_of = ech_calloc(size, sizeof *g->node_of, err);
    if (!g->all || !g->costs || !g->speeds || !g->bytes || !g->budgets || !g->node_of)
        return ECH_UNAVAILABLE;
    int code = ech_workers_layers(engine, g->costs, g->bytes, &g->model, err);
    g->model.speeds = g->speeds;
    g->model.budgets = g->budgets;
    g->model.node_of = g->node_of;
    return code;
}

static int64_t pieces_bytes(const struct ech_engine *engine)
{
    return (int64_t)ECH_WORKER_PIECES * (int64_t)ech_stage_piece_bytes(engine);
}

/* Without looking closer. On one node a cut makes no room: its ranks hold the weights in common as it is. */
static bool stays_whole(const struct ech_engine *engine, int64_t asked, int64_t memory, int nodes)
{
    return asked == 1 || (asked == 0 && (memory <= 0 || (nodes == 1 && !ech_engine_on_device(engine))));
}

/* What this rank has left for weights, while it is a worker by itself. */
static int64_t budget(const struct ech_attempt *a)
{
    int64_t memory = a->memory / ech_comm_node_size(a->comm);
    if (a->memory <= 0)
        return INT64_MAX;
    return memory - (int64_t)a->kind->workspace_bytes(a->stream) - ech_usage_rss();
}

static int exchange(struct ech_attempt *a, struct ground *g, struct telling mine, struct ech_err *err)
{
    int code = ech_allgather(a->comm, &mine, sizeof mine, g->all, err);
    for (int r = 0; !code && r < ech_comm_size(a->comm); r++) {
        g->budgets[r] = g->all[r].budget;
        g->speeds[r] = g->all[r].speed > 0 ? g->all[r].speed : 1;
    }
    return code;
}

/* Pieces on their way need memory as well. */
static void count_pieces(struct ground *g, int ranks)
{
    for (int r = 0; r < ranks; r++)
        if (g->budgets[r] != INT64_MAX)
            g->budgets[r] -= g->all[r].pieces;
}

static bool fits_whole(const struct ground *g, const struct ech_workers_view *view)
{
    struct ech_workers_view one = *view;
    struct ech_workers w;
    one.per_worker = 1;
    bool fits = ech_workers_group(&one, &w, NULL) == ECH_OK;
    if (fits) {
        fits = ech_workers_cut(&w, &g->model, NULL) == ECH_OK;
        ech_workers_fini(&w);
    }
    return fits;
}

/* Equal on all ranks: they decide from the same numbers. 1: nothing is split. */
static int choose(int64_t asked, struct ground *g, struct ech_workers_view *view, struct ech_err *err)
{
    view->per_worker = (int)asked;
    if (asked == 0 && fits_whole(g, view)) {
        view->per_worker = 1;
        return ECH_OK;
    }
    count_pieces(g, view->ranks);
    return asked == 0 ? ech_workers_fit(view, &g->model, &view->per_worker, err) : ECH_OK;
}

static void tell(struct ech_attempt *a)
{
    const struct ech_worker_member *m = &a->workers.member[ech_comm_rank(a->comm)];
    struct ech_str *s = ech_event_begin(a->events, "worker");
    if (s) {
        ech_json_add_int(s, "worker", m->worker);
        ech_json_add_int(s, "stage", m->stage);
        ech_json_add_int(s, "layer_first", m->layer_first);
        ech_json_add_int(s, "layer_end", m->layer_end);
        ech_json_add_int(s, "weights_bytes", m->bytes);
    }
    ech_event_end(a->events);
    if (ech_comm_rank(a->comm) != 0)
        return;
    ech_log(ECH_LOG_INFO, "job", "%d workers of %" PRId64 " ranks or more share the model's layers",
            a->workers.count, (int64_t)(a->workers.firsts[1] - a->workers.firsts[0]));
    if (a->job->balance.policy == ECH_POLICY_EQUAL)
        ech_log(ECH_LOG_WARN, "job",
                "balance.policy equal speaks of ranks: workers of several ranks are balanced by speed");
}

/* The cut by measured speeds, this rank's stage of it, and the worker's communicator. */
static int cut(struct ech_attempt *a, struct ground *g, const struct ech_workers_view *view,
               struct ech_engine *engine, struct telling mine, struct ech_err *err)
{
    if (a->job->balance.probe)
        ech_stage_probe(engine, PROBE_TOKENS, PROBE_S, &mine.speed, err);
    int code = ech_agree(a->comm, err);
    if (!code)
        code = exchange(a, g, mine, err);
    if (code)
        return code;
    count_pieces(g, view->ranks);
    if (!ech_workers_group(view, &a->workers, err) && !ech_workers_cut(&a->workers, &g->model, err)) {
        int rank = ech_comm_rank(a->comm);
        const struct ech_worker_member *m = &a->workers.member[rank];
        struct ech_stage stage = {m->layer_first, m->layer_end, m->stage == 0,
                                  ech_workers_next(&a->workers, rank) < 0};
        ech_engine_narrow(engine, stage, err);
    }
    if ((code = ech_agree(a->comm, err)))
        return code;
    code = ech_comm_split(a->comm, a->workers.member[ech_comm_rank(a->comm)].worker, &a->worker_comm, err);
    if (!code) {
        struct ech_worker_options options = {a->worker_comm, engine, &a->workers, ech_comm_rank(a->comm),
                                             a->threads};
        code = ech_worker_open(&options, &a->worker, err);
    }
    if (!code)
        a->kind->join(a->stream, a->worker);
    code = ech_agree(a->comm, err);
    if (!code)
        tell(a);
    return code;
}

int ech_attempt_workers(struct ech_attempt *a, struct ech_err *err)
{
    int64_t asked = a->job->resources.ranks_per_worker;
    struct ech_engine *engine = a->kind->engine ? a->kind->engine(a->stream) : NULL;
    if (!engine || ech_comm_size(a->comm) == 1 ||
        stays_whole(engine, asked, a->job->resources.memory, ech_comm_nodes(a->comm))) {
        if (asked > 1) /* the same on all ranks */
            return ech_fail(err, ECH_CONFIG,
                            engine ? "resources.ranks_per_worker is %d, the job has 1 rank"
                                   : "resources.ranks_per_worker is %d: this kind runs on one "
                                     "rank a worker",
                            (int)asked);
        return ECH_OK;
    }
    struct ground g = {0};
    struct telling mine = {.budget = budget(a), .pieces = pieces_bytes(engine), .speed = 1};
    struct ech_workers_view view = {.ranks = ech_comm_size(a->comm)};
    ground_init(&g, view.ranks, engine, err);
    int code = ech_agree(a->comm, err);
    for (int r = 0; !code && r < view.ranks; r++)
        g.node_of[r] = ech_comm_node_of(a->comm, r);
    if (!code)
        code = exchange(a, &g, mine, err);
    if (!code) {
        view.node_of = g.node_of;
        view.across = !ech_engine_on_device(engine);
        choose(asked, &g, &view, err);
        code = ech_agree(a->comm, err);
    }
    if (!code && view.per_worker > 1)
        code = cut(a, &g, &view, engine, mine, err);
    ground_fini(&g);
    return code;
}

int ech_workers_imagine(const struct ech_engine *engine, const struct ech_workers_wish *wish,
                        struct ech_workers *out, struct ech_err *err)
{
    struct ground g = {0};
    struct ech_workers_view view = {.ranks = wish->ranks,
                                    .per_worker = (int)wish->ranks_per_worker,
                                    .across = !ech_engine_on_device(engine)};
    out->count = 0;
    if ((wish->ranks == 1 && view.per_worker == 0) ||
        stays_whole(engine, wish->ranks_per_worker, wish->memory, wish->nodes))
        return ECH_OK;
    int code = ground_init(&g, wish->ranks, engine, err);
    for (int r = 0; !code && r < wish->ranks; r++) {
        g.node_of[r] = wish->node_of[r];
        g.speeds[r] = wish->speeds[r];
        g.budgets[r] = wish->budgets[r];
        g.all[r].pieces = pieces_bytes(engine);
    }
    view.node_of = g.node_of;
    if (!code)
        code = choose(wish->ranks_per_worker, &g, &view, err);
    if (!code && view.per_worker > 1)
        code = ech_workers_group(&view, out, err);
    if (!code && out->count)
        code = ech_workers_cut(out, &g.model, err);
    ground_fini(&g);
    return code;
}

void ech_attempt_segment(const struct ech_attempt *a, struct ech_segment *out)
{
    int node = ech_comm_node(a->comm), places = ech_comm_node_size(a->comm);
    const struct ech_worker_member *member = a->workers.member;
    int me = ech_comm_rank(a->comm);
    *out = (struct ech_segment){.parts = 0};
    for (int p = 0; p < places; p++) {
        int rank = ech_comm_rank_at(a->comm, node, p);
        const struct ech_worker_member *m = &member[rank], *same = NULL;
        for (int q = 0; q < p && !same; q++) {
            const struct ech_worker_member *other = &member[ech_comm_rank_at(a->comm, node, q)];
            if (other->layer_first == m->layer_first && other->layer_end == m->layer_end &&
                (other->stage == 0) == (m->stage == 0))
                same = other;
        }
        bool mine = m->layer_first == member[me].layer_first && m->layer_end == member[me].layer_end &&
                    (m->stage == 0) == (member[me].stage == 0);
        if (mine && !same)
            out->offset = out->bytes;
        if (mine && rank == me)
            out->part = out->parts;
        out->parts += mine;
        if (!same)
            out->bytes += ((size_t)m->bytes + 63) / 64 * 64;
    }
}
