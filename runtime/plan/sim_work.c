/* The simulator's work: parts of static policies, grants to nodes, claims of ranks, copies at the tail. */
#include "base/num.h"
#include "plan/grant.h"
#include "plan/lease.h"
#include "plan/sim_model.h"
#include "plan/speed.h"

#define LOOK_EVERY_S 0.05 /* an idle node reports so often */

/* Of a batch of a rank or node: as many as can end before the limit. (The ranks themselves claim nothing in
 * the last limits.stop_margin.) */
static int64_t rows_before_limit(const struct ech_sim *s, int64_t rows, double rows_s)
{
    double fit = (s->o->limit_s - s->now) * rows_s;
    return s->o->limit_s > 0 && fit < (double)rows ? (fit >= 1 ? (int64_t)fit : 0) : rows;
}

static bool adapts(const struct ech_sim *s)
{
    return s->o->policy == ECH_SIM_ADAPTIVE;
}

void ech_sim_learn(struct ech_sim *s, int id, double seen)
{
    struct ech_sim_rank *k = &s->ranks[id];
    struct ech_sim_node *n = &s->nodes[k->node];
    struct ech_lease_bounds_view view = {.tokens_a_row = s->o->tokens_a_row,
                                         .speed = seen * s->o->tokens_a_row,
                                         .threads = s->o->threads,
                                         .rows_cap = s->o->mutation == ECH_SIM_OVER_BUDGET ? 0 : n->cap};
    ech_lease_bounds(&view, &k->least, &k->most);
    if (k->alive && n->joined) {
        n->seen += seen - k->seen;
        s->seen += seen - k->seen;
    }
    k->seen = seen;
}

static int hold(struct ech_sim *s, struct ech_sim_node *n, struct ech_range r, bool is_copy)
{
    int64_t added;
    int code = ech_rowset_add(&n->held, r.first, r.end, &added, s->err);
    s->held += added;
    s->twice += is_copy ? added : added - (r.end - r.first); /* it may hold a copy of what comes back */
    return code;
}

int ech_sim_give_parts(struct ech_sim *s)
{
    double sum = 0, part = 0;
    bool equal = s->o->policy == ECH_SIM_EQUAL;
    int64_t at = 0;
    int last = 0, code = ECH_OK;
    for (int i = 0; i < s->ranks_count; i++)
        sum += s->nodes[s->ranks[i].node].joined ? (equal ? 1 : s->ranks[i].seen) : 0;
    for (int i = 0; i < s->ranks_count; i++) {
        struct ech_sim_rank *k = &s->ranks[i];
        if (!s->nodes[k->node].joined)
            continue;
        part += equal ? 1 : k->seen;
        k->own = at;
        k->own_end = at = (int64_t)((double)s->o->rows * (part / sum));
        last = i;
    }
    s->ranks[last].own_end = s->o->rows;
    for (int i = 0; !code && i < s->ranks_count; i++)
        code = hold(s, &s->nodes[s->ranks[i].node], (struct ech_range){s->ranks[i].own, s->ranks[i].own_end},
                    false);
    return code;
}

static void weigh(struct ech_sim *s, int id)
{
    ech_backlog_set(&s->backlog, id, ech_backlog_s(s->nodes[id].held.rows, s->nodes[id].seen));
}

static int send(struct ech_sim *s, int id, struct ech_range r, bool is_copy)
{
    struct ech_sim_node *n = &s->nodes[id];
    n->flying = r;
    n->asks = true;
    s->stuck -= n->idle;
    s->r->grants++;
    int code = hold(s, n, r, is_copy);
    weigh(s, id);
    return code ? code : ech_sim_after(s, s->now + 2 * s->o->latency_s, ECH_SIM_GRANTED, id);
}

/* Rows that a node is granted. Guided and factoring know no speeds: a node has its ranks' part of what is
 * left, or half of that, when it has nothing. */
static int64_t grant_size(const struct ech_sim *s, const struct ech_sim_node *n)
{
    int64_t most = 0, least = 0;
    const struct ech_sim_rank *k = &s->ranks[n->first];
    for (int i = 0; i < n->living; i++) {
        least += k->least;
        most += 4 * k->most;
    }
    least = rows_before_limit(s, least, n->seen);
    if (least < 1)
        return 0;
    struct ech_grant_view view = {.left = s->todo.rows,
                                  .unclaimed = n->pool.rows,
                                  .least = least,
                                  .most = most,
                                  .rows_s = n->seen,
                                  .share = ech_grant_share(n->seen, s->seen, n->living, s->living),
                                  .alone = s->living_nodes == 1};
    if (adapts(s))
        return ech_grant_rows(&view);
    double share = (double)n->living / s->living;
    struct ech_lease_view plain = {s->todo.rows, s->o->policy == ECH_SIM_GUIDED ? 2 * share : share, least,
                                   s->o->rows};
    return n->pool.rows > 0 ? 0 : ech_lease_rows(&plain);
}

int ech_sim_ask(struct ech_sim *s, int id)
{
    struct ech_sim_node *n = &s->nodes[id];
    struct ech_range range;
    if (n->asks || n->living == 0 || s->todo.rows == 0 || s->o->mutation == ECH_SIM_LEAVE_IDLE)
        return ECH_OK;
    if (!ech_rowset_take(&s->todo, grant_size(s, n), &range))
        return ECH_OK;
    if (s->o->mutation == ECH_SIM_GRANT_TWICE && s->r->grants == 7 &&
        ech_rowset_add(&s->todo, range.first, range.end, NULL, s->err))
        return ECH_UNAVAILABLE;
    return send(s, id, range, false);
}

/* A node with nothing to do is granted rows of the slowest. */
static int ask_copy(struct ech_sim *s, int id)
{
    struct ech_sim_node *n = &s->nodes[id];
    int slowest = ech_backlog_most(&s->backlog, id);
    struct ech_range copy;
    if (n->asks || n->living == 0 || slowest < 0)
        return ECH_OK;
    struct ech_tail_view view = {.held = &s->nodes[slowest].held,
                                 .copied = &s->copied,
                                 .mine = n->seen,
                                 .theirs = s->nodes[slowest].seen,
                                 .least = s->ranks[n->first].least * n->living};
    if (!ech_tail_copy(&view, &copy))
        return ECH_OK;
    s->r->copies++;
    int code = s->o->mutation == ECH_SIM_COPY_AGAIN
                   ? ECH_OK
                   : ech_rowset_add(&s->copied, copy.first, copy.end, NULL, s->err);
    return code ? code : send(s, id, copy, true);
}

static int start(struct ech_sim *s, int id, struct ech_range r)
{
    struct ech_sim_rank *k = &s->ranks[id];
    int64_t cap = s->nodes[k->node].cap;
    if (cap > 0 && r.end - r.first > cap)
        return ech_sim_broken(s, "a batch does not fit its rank's memory");
    double noise = 1 + s->o->noise * (2 * ech_sim_uniform(s) - 1);
    k->first = r.first;
    k->end = r.end;
    k->start = s->now;
    k->due = s->now + (double)(r.end - r.first) / k->real * noise;
    k->runs = true;
    k->copied = false;
    s->r->leases++;
    return ech_sim_after(s, k->due, ECH_SIM_FINISH, id);
}

/* A neighbour's batch that an idle rank would end soonest before its owner, as ech_pool_copy does. */
static int copy_neighbour(struct ech_sim *s, int id, bool *did)
{
    const struct ech_sim_rank *k = &s->ranks[id];
    const struct ech_sim_node *n = &s->nodes[k->node];
    struct ech_sim_rank *best = NULL;
    double most = 0;
    for (int i = n->first; i < n->first + n->ranks; i++) {
        struct ech_sim_rank *w = &s->ranks[i];
        double rows = (double)(w->end - w->first);
        if (i == id || !w->runs || w->copied || w->missed)
            continue;
        struct ech_copy_view view = {rows / w->seen, s->now - w->start, rows / k->seen};
        double gain = ech_copy_gain(&view);
        if (gain > most) {
            most = gain;
            best = w;
        }
    }
    if (!best)
        return ECH_OK;
    struct ech_range r = {best->first, best->end};
    *did = best->copied = true;
    s->r->copies++;
    int code = ech_rowset_add(&s->copied, r.first, r.end, NULL, s->err);
    code = code ? code : start(s, id, r);
    s->ranks[id].copied = true;
    return code;
}

static int park(struct ech_sim *s, int id)
{
    struct ech_sim_rank *k = &s->ranks[id];
    struct ech_sim_node *n = &s->nodes[k->node];
    k->next_idle = n->idle_head;
    n->idle_head = id;
    n->idle++;
    s->stuck += !n->asks;
    if (n->looks || !adapts(s))
        return ECH_OK;
    n->looks = true;
    return ech_sim_after(s, s->now + LOOK_EVERY_S, ECH_SIM_NODE_LOOKS, k->node);
}

/* Rows from the rank's own part, else from its node's. */
static bool claim(struct ech_sim *s, struct ech_sim_rank *k, struct ech_range *range)
{
    struct ech_sim_node *n = &s->nodes[k->node];
    const struct ech_sim_options *o = s->o;
    if (k->own < k->own_end) {
        int64_t rows = rows_before_limit(s, ech_min64(k->most, k->own_end - k->own), k->seen);
        *range = (struct ech_range){k->own, k->own + rows};
        k->own += rows;
        return rows > 0;
    }
    double share = adapts(s) ? ech_grant_share(k->seen, n->seen, 1, n->living) : 1.0 / n->living;
    share *= o->policy == ECH_SIM_GUIDED ? 2 : 1;
    int64_t most = adapts(s) || n->cap > 0 ? k->most : INT64_MAX;
    struct ech_lease_view view = {n->pool.rows, share, k->least, most};
    return ech_rowset_take(&n->pool, rows_before_limit(s, ech_lease_rows(&view), k->seen), range);
}

int ech_sim_next(struct ech_sim *s, int id)
{
    struct ech_sim_rank *k = &s->ranks[id];
    const struct ech_sim_node *n = &s->nodes[k->node];
    struct ech_range range;
    if (claim(s, k, &range)) {
        int code = start(s, id, range);
        return code ? code : ech_sim_ask(s, k->node);
    }
    bool did = false;
    int code = ech_sim_ask(s, k->node);
    if (!code && !n->asks && adapts(s) && s->todo.rows == 0 && n->pool.rows == 0)
        code = copy_neighbour(s, id, &did);
    if (!code && !did && !n->asks && adapts(s) && s->todo.rows == 0 && n->pool.rows == 0)
        code = ask_copy(s, k->node);
    return code || did ? code : park(s, id);
}

int ech_sim_wake(struct ech_sim *s, int id)
{
    struct ech_sim_node *n = &s->nodes[id];
    int code = ECH_OK, head = n->idle_head, count = n->idle;
    s->stuck -= n->asks ? 0 : count;
    n->idle_head = -1;
    n->idle = 0;
    while (!code && count-- > 0) {
        int rank = head;
        head = s->ranks[rank].next_idle;
        if (s->ranks[rank].alive)
            code = ech_sim_next(s, rank);
    }
    return code;
}

int ech_sim_wake_all(struct ech_sim *s)
{
    int code = ECH_OK;
    for (int n = 0; !code && s->todo.rows > 0 && n < s->nodes_count; n++)
        if (s->nodes[n].idle && !s->nodes[n].asks)
            code = ech_sim_wake(s, n);
    return code;
}

int ech_sim_looks(struct ech_sim *s, int id)
{
    struct ech_sim_node *n = &s->nodes[id];
    n->looks = false;
    return n->asks ? ECH_OK : ech_sim_wake(s, id);
}

int ech_sim_granted(struct ech_sim *s, int id)
{
    struct ech_sim_node *n = &s->nodes[id];
    s->stuck += n->idle;
    n->asks = false;
    if (n->living == 0) /* its rows went back with what it held */
        return ECH_OK;
    int code = ech_rowset_add(&n->pool, n->flying.first, n->flying.end, NULL, s->err);
    return code ? code : ech_sim_wake(s, id);
}

int ech_sim_finish(struct ech_sim *s, int id)
{
    struct ech_sim_rank *k = &s->ranks[id];
    if (!k->runs || !k->alive || k->due < s->now || k->due > s->now)
        return ECH_OK; /* an event that was moved, or its rank died */
    double took = s->now - k->start;
    s->r->busy_s += took;
    k->runs = false;
    ech_sim_learn(s, id, ech_speed_learn(k->seen, (double)(k->end - k->first), took));
    int code = ech_sim_mark_done(s, k->node, k->first, k->end);
    weigh(s, k->node);
    return code ? code : ech_sim_next(s, id);
}
