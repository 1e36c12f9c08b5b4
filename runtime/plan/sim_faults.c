/* The simulator's faults: deaths and how they are noticed, nodes that slow down, nodes that come late. */
#include "plan/grant.h"
#include "plan/sim_model.h"

int ech_sim_die(struct ech_sim *s, int id)
{
    struct ech_sim_rank *k = &s->ranks[id];
    if (!k->alive)
        return ECH_OK;
    k->alive = false;
    s->r->deaths++;
    return ech_sim_after(s, s->now + s->o->heartbeat_s, ECH_SIM_RANK_MISSED, id);
}

/* Rows of a dead rank that are not sealed: to the node's others. */
static int to_pool(struct ech_sim *s, struct ech_sim_node *n, int64_t first, int64_t end)
{
    bool sealed;
    int code = ECH_OK;
    for (int64_t at = first, stop; !code && at < end; at = stop) {
        stop = ech_sim_unsealed_end(s, at, end, &sealed);
        if (!sealed)
            code = ech_rowset_add(&n->pool, at, stop, NULL, s->err);
    }
    return code;
}

static int64_t common(const struct ech_rowset *a, const struct ech_rowset *b)
{
    int64_t rows = 0;
    struct ech_range gap;
    for (size_t i = 0; i < a->count && b->count; i++) {
        struct ech_range r = a->ranges[i];
        rows += r.end - r.first;
        for (int64_t at = r.first; ech_rowset_gap(b, at, r.end, &gap); at = gap.end)
            rows -= gap.end - gap.first;
    }
    return rows;
}

/* The coordinator learns that nobody lives there. */
static int node_missed(struct ech_sim *s, int id)
{
    struct ech_sim_node *n = &s->nodes[id];
    s->living_nodes--;
    s->twice -= common(&n->held, &s->todo); /* a copy of what came back before */
    s->held -= n->held.rows;
    ech_backlog_set(&s->backlog, id, 0);
    ech_rowset_fini(&n->pool);
    if (s->o->mutation == ECH_SIM_LOSE_DEAD) {
        ech_rowset_fini(&n->held);
        return ECH_OK;
    }
    int code = ech_grant_put_back(&n->held, NULL, &s->todo, s->err);
    return code ? code : ech_sim_wake_all(s);
}

int ech_sim_missed(struct ech_sim *s, int id)
{
    struct ech_sim_rank *k = &s->ranks[id];
    struct ech_sim_node *n = &s->nodes[k->node];
    k->missed = true;
    s->living--;
    n->seen -= k->seen;
    s->seen -= k->seen;
    if (--n->living == 0)
        return node_missed(s, k->node);
    int code = k->runs ? to_pool(s, n, k->first, k->end) : ECH_OK;
    if (!code)
        code = to_pool(s, n, k->own, k->own_end);
    k->runs = false;
    k->own = k->own_end;
    return code || n->asks ? code : ech_sim_wake(s, k->node);
}

int ech_sim_slows(struct ech_sim *s, int id)
{
    const struct ech_sim_node *n = &s->nodes[id];
    int code = ECH_OK;
    for (int i = n->first; !code && i < n->first + n->ranks; i++) {
        struct ech_sim_rank *k = &s->ranks[i];
        k->real *= s->o->slow_to;
        if (k->runs && k->alive) {
            k->due = s->now + (k->due - s->now) / s->o->slow_to;
            code = ech_sim_after(s, k->due, ECH_SIM_FINISH, i);
        }
    }
    return code;
}

int ech_sim_joins(struct ech_sim *s, int id)
{
    const struct ech_sim_node *n = &s->nodes[id];
    int code = ECH_OK;
    if (!n->joined)
        ech_sim_enter(s, id);
    for (int i = n->first; !code && i < n->first + n->ranks; i++)
        code = s->ranks[i].alive ? ech_sim_next(s, i) : ECH_OK;
    return code;
}
