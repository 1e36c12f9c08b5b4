#include "plan/workers.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"
#include "plan/split.h"

#include <stdlib.h>
#include <string.h>

void ech_workers_fini(struct ech_workers *w)
{
    ech_free(w->member);
    ech_free(w->firsts);
    ech_free(w->list);
    ech_free(w->speed);
    *w = (struct ech_workers){0};
}

static int allocate(struct ech_workers *w, struct ech_err *err)
{
    w->member = ech_calloc((size_t)w->ranks, sizeof *w->member, err);
    w->firsts = ech_calloc((size_t)w->count + 1, sizeof *w->firsts, err);
    w->list = ech_calloc((size_t)w->ranks, sizeof *w->list, err);
    w->speed = ech_calloc((size_t)w->count, sizeof *w->speed, err);
    return w->member && w->firsts && w->list && w->speed ? ECH_OK : ECH_UNAVAILABLE;
}

struct seat {
    int major, minor, rank;
};

static int by_seat(const void *a, const void *b)
{
    const struct seat *x = a, *y = b;
    if (x->major != y->major)
        return x->major < y->major ? -1 : 1;
    if (x->minor != y->minor)
        return x->minor < y->minor ? -1 : 1;
    return x->rank < y->rank ? -1 : 1;
}

/* Ranks in the order in which they are cut into workers: place by place over the nodes, or node by node. */
static struct seat *seats(const struct ech_workers_view *v, struct ech_err *err)
{
    struct seat *seat = ech_calloc((size_t)v->ranks, sizeof *seat, err);
    int *filled = ech_calloc((size_t)v->ranks, sizeof *filled, err);
    for (int r = 0; seat && filled && r < v->ranks; r++) {
        int node = v->node_of[r], place = filled[node]++;
        seat[r] = (struct seat){v->across ? place : node, v->across ? node : place, r};
    }
    if (seat && filled)
        qsort(seat, (size_t)v->ranks, sizeof *seat, by_seat);
    ech_free(filled);
    if (filled)
        return seat;
    ech_free(seat);
    return NULL;
}

static int by_int(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return x < y ? -1 : x > y;
}

int ech_workers_group(const struct ech_workers_view *v, struct ech_workers *out, struct ech_err *err)
{
    if (v->per_worker < 1 || v->ranks < v->per_worker)
        return ech_fail(err, ECH_CONFIG, "resources.ranks_per_worker is %d, the job has %d rank%s",
                        v->per_worker, v->ranks, v->ranks == 1 ? "" : "s");
    struct ech_workers w = {.ranks = v->ranks, .count = v->ranks / v->per_worker};
    int code = allocate(&w, err);
    struct seat *seat = code ? NULL : seats(v, err);
    if (!seat) {
        ech_workers_fini(&w);
        return ECH_UNAVAILABLE;
    }
    for (int i = 0; i <= w.count; i++)
        w.firsts[i] = (int)((int64_t)v->ranks * i / w.count);
    for (int i = 0; i < v->ranks; i++)
        w.list[i] = seat[i].rank;
    for (int i = 0; i < w.count; i++) {
        int *list = w.list + w.firsts[i], size = w.firsts[i + 1] - w.firsts[i];
        qsort(list, (size_t)size, sizeof *list, by_int);
        for (int s = 0; s < size; s++)
            w.member[list[s]] = (struct ech_worker_member){.worker = i, .stage = s};
    }
    ech_free(seat);
    *out = w;
    return ECH_OK;
}

/* A worker by the nodes of its stages. */
struct shape {
    const int *list, *node_of;
    int size, worker;
};

static int by_nodes(const void *a, const void *b)
{
    const struct shape *x = a, *y = b;
    if (x->size != y->size)
        return x->size < y->size ? -1 : 1;
    for (int s = 0; s < x->size; s++) {
        int n = x->node_of[x->list[s]], m = y->node_of[y->list[s]];
        if (n != m)
            return n < m ? -1 : 1;
    }
    return 0;
}

static void take_cut(struct ech_workers *w, const struct ech_workers_model *m,
                     const struct ech_split_view *split, const int *ends, const struct shape *shape,
                     int sharers)
{
    double slowest = 0;
    for (int s = 0; s < shape->size; s++) {
        struct ech_worker_member *member = &w->member[shape->list[s]];
        double cost = 0;
        member->sharers = sharers;
        member->layer_first = s ? ends[s - 1] : 0;
        member->layer_end = ends[s];
        member->bytes = ech_split_bytes(split, s, member->layer_first, member->layer_end);
        for (int l = member->layer_first; l < member->layer_end; l++)
            cost += m->costs[l];
        double seconds = cost / m->speeds[shape->list[s]];
        slowest = seconds > slowest ? seconds : slowest;
    }
    w->speed[shape->worker] = slowest > 0 ? 1 / slowest : 0;
}

/* One cut for `count` workers on the same nodes: their ranks of a stage add up. */
static int cut_cell(struct ech_workers *w, const struct ech_workers_model *m, const struct shape *shapes,
                    int count, struct ech_err *err)
{
    int stages = shapes->size, code = ECH_OK;
    double slowest, *speeds = ech_calloc((size_t)stages, sizeof *speeds, err);
    int64_t *budgets = ech_calloc((size_t)stages, sizeof *budgets, err);
    int *ends = ech_calloc((size_t)stages, sizeof *ends, err);
    if (!speeds || !budgets || !ends)
        code = ECH_UNAVAILABLE;
    for (int i = 0; !code && i < count; i++)
        for (int s = 0; s < stages; s++) {
            int64_t budget = ech_max64(m->budgets[shapes[i].list[s]], 0);
            speeds[s] += m->speeds[shapes[i].list[s]];
            budgets[s] = budget > INT64_MAX - budgets[s] ? INT64_MAX : budgets[s] + budget;
        }
    struct ech_split_view split = {.layers = m->layers,
                                   .stages = stages,
                                   .costs = m->costs,
                                   .bytes = m->bytes,
                                   .head_bytes = m->head_bytes,
                                   .each_bytes = m->each_bytes,
                                   .speeds = speeds,
                                   .budgets = budgets};
    if (!code)
        code = ech_split(&split, ends, &slowest, err);
    for (int i = 0; !code && i < count; i++)
        take_cut(w, m, &split, ends, &shapes[i], count);
    ech_free(speeds);
    ech_free(budgets);
    ech_free(ends);
    return code;
}

int ech_workers_cut(struct ech_workers *w, const struct ech_workers_model *m, struct ech_err *err)
{
    struct shape *shapes = ech_calloc((size_t)w->count, sizeof *shapes, err);
    int code = shapes ? ECH_OK : ECH_UNAVAILABLE;
    for (int i = 0; !code && i < w->count; i++)
        shapes[i] = (struct shape){w->list + w->firsts[i], m->node_of, w->firsts[i + 1] - w->firsts[i], i};
    if (!code)
        qsort(shapes, (size_t)w->count, sizeof *shapes, by_nodes);
    for (int i = 0, end; !code && i < w->count; i = end) {
        for (end = i + 1; end < w->count && by_nodes(&shapes[i], &shapes[end]) == 0;)
            end++;
        code = cut_cell(w, m, &shapes[i], end - i, err);
    }
    ech_free(shapes);
    return code;
}

int ech_workers_fit(const struct ech_workers_view *view, const struct ech_workers_model *model,
                    int *per_worker, struct ech_err *err)
{
    int most = view->ranks < model->layers + 1 ? view->ranks : model->layers + 1, nodes = 0;
    struct ech_err last = ECH_ERR_NONE;
    for (int r = 0; r < view->ranks; r++)
        nodes = view->node_of[r] + 1 > nodes ? view->node_of[r] + 1 : nodes;
    for (int n = 1; n <= most; n++) {
        struct ech_workers w;
        struct ech_workers_view v = *view;
        v.per_worker = n;
        int code = ech_workers_group(&v, &w, err);
        if (code)
            return code;
        /* A stage a node is the most that helps where a node's ranks share: its refusal says the most. */
        if (n == 1 || !view->across || n <= nodes)
            ech_err_clear(&last);
        code = ech_workers_cut(&w, model, &last);
        ech_workers_fini(&w);
        if (!code) {
            *per_worker = n;
            return ECH_OK;
        }
    }
    return ech_fail(err, ECH_UNAVAILABLE, "%s; give more memory or more nodes", last.text);
}

int ech_workers_next(const struct ech_workers *w, int rank)
{
    const struct ech_worker_member *m = &w->member[rank];
    for (int i = w->firsts[m->worker] + m->stage + 1; i < w->firsts[m->worker + 1]; i++) {
        const struct ech_worker_member *next = &w->member[w->list[i]];
        if (next->layer_end > next->layer_first)
            return w->list[i];
    }
    return -1;
}

int ech_workers_head(const struct ech_workers *w, int rank)
{
    return w->list[w->firsts[w->member[rank].worker]];
}

bool ech_workers_needs(const struct ech_workers *w, int rank)
{
    const struct ech_worker_member *m = &w->member[rank];
    return m->stage == 0 || m->layer_end > m->layer_first;
}

void ech_workers_print(const struct ech_workers *w, struct ech_str *out)
{
    char bytes[32], layers[32];
    ech_str_adds(out, "worker  stage  rank  layers       weights\n");
    for (int i = 0; i < w->count; i++)
        for (int at = w->firsts[i]; at < w->firsts[i + 1]; at++) {
            const struct ech_worker_member *m = &w->member[w->list[at]];
            if (m->layer_end > m->layer_first)
                snprintf(layers, sizeof layers, "%d to %d", m->layer_first, m->layer_end - 1);
            else
                snprintf(layers, sizeof layers, "%s", m->stage ? "none (spare)" : "tables alone");
            ech_str_addf(out, "%6d  %5d  %4d  %-12s %s\n", i, m->stage, w->list[at], layers,
                         ech_print_bytes(m->bytes, bytes, sizeof bytes));
        }
}

void ech_workers_print_json(const struct ech_workers *w, struct ech_str *out)
{
    ech_str_addc(out, '[');
    for (int i = 0; i < w->count; i++)
        for (int at = w->firsts[i]; at < w->firsts[i + 1]; at++) {
            const struct ech_worker_member *m = &w->member[w->list[at]];
            if (at)
                ech_str_addc(out, ',');
            ech_json_add_int(out, "worker", i);
            ech_json_add_int(out, "stage", m->stage);
            ech_json_add_int(out, "rank", w->list[at]);
            ech_json_add_int(out, "layer_first", m->layer_first);
            ech_json_add_int(out, "layer_end", m->layer_end);
            ech_json_add_int(out, "weights_bytes", m->bytes);
            ech_str_addc(out, '}');
        }
    ech_str_addc(out, ']');
}
