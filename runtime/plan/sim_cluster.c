/* The simulator's cluster: who is how fast, who dies, slows down or joins, and what a fluid that knows all of
 * it would need. */
#include "plan/sim_model.h"

#include <math.h>
#include <stdlib.h>

void ech_sim_enter(struct ech_sim *s, int id)
{
    struct ech_sim_node *n = &s->nodes[id];
    n->joined = true;
    s->living_nodes++;
    for (int i = n->first; i < n->first + n->ranks; i++) {
        s->ranks[i].alive = true;
        n->living++;
        s->living++;
        n->seen += s->ranks[i].seen;
        s->seen += s->ranks[i].seen;
    }
}

static void make_node(struct ech_sim *s, int id, int first, int ranks, double speed)
{
    const struct ech_sim_options *o = s->o;
    struct ech_sim_node *n = &s->nodes[id];
    n->idle_head = -1;
    n->first = first;
    n->ranks = ranks;
    n->cap = ech_sim_uniform(s) < o->small_nodes ? o->rows_cap : 0;
    for (int i = first; i < first + ranks; i++) {
        struct ech_sim_rank *k = &s->ranks[i];
        k->node = id;
        k->real = speed * (0.95 + 0.1 * ech_sim_uniform(s));
        ech_sim_learn(s, i, k->real * (1 + o->probe_error * (2 * ech_sim_uniform(s) - 1)));
    }
}

static double make_nodes(struct ech_sim *s)
{
    const struct ech_sim_options *o = s->o;
    int node = 0, rank = 0;
    double sum = 0;
    for (int c = 0; o->classes && c < o->classes_count; c++)
        for (int i = 0; i < o->classes[c].nodes; i++, rank += o->classes[c].ranks_per_node)
            make_node(s, node++, rank, o->classes[c].ranks_per_node,
                      o->classes[c].tokens_per_s / o->tokens_a_row);
    for (; node < s->nodes_count; node++, rank += o->ranks_per_node)
        make_node(s, node, rank, o->ranks_per_node,
                  o->tokens_per_s / o->tokens_a_row * pow(o->spread, ech_sim_uniform(s)));
    for (int i = 0; i < s->ranks_count; i++)
        sum += s->ranks[i].real;
    return sum;
}

static void change(struct ech_sim *s, double at, double speed)
{
    s->changes[s->changes_count++] = (struct ech_sim_change){at, speed};
}

static int plan_rank(struct ech_sim *s, int id, double joins_at, double slows_at, double dies_at)
{
    double v = s->ranks[id].real;
    change(s, joins_at, v);
    if (slows_at < dies_at) {
        change(s, slows_at, v * (s->o->slow_to - 1));
        v *= s->o->slow_to;
    }
    if (!(dies_at < INFINITY))
        return ECH_OK;
    change(s, dies_at, -v);
    return ech_sim_after(s, dies_at, ECH_SIM_RANK_DIES, id);
}

/* When, in a job of `horizon` seconds, or never. */
static double some_time(struct ech_sim *s, double part, double horizon)
{
    double whether = ech_sim_uniform(s), at = horizon * (0.1 + 0.8 * ech_sim_uniform(s));
    return whether < part ? at : INFINITY;
}

static int plan_node(struct ech_sim *s, int id, double horizon)
{
    const struct ech_sim_options *o = s->o;
    const struct ech_sim_node *n = &s->nodes[id];
    double dies = some_time(s, id > 0 ? o->dead_nodes : 0, horizon);
    double slow = some_time(s, o->slow_nodes, horizon);
    double late = ech_sim_uniform(s), join = 0.3 * horizon * ech_sim_uniform(s);
    join = id > 0 && late < o->late_nodes ? join : 0;
    dies = dies < join ? INFINITY : dies;
    slow = slow < join ? join : slow;
    int code = ECH_OK;
    for (int i = n->first; !code && i < n->first + n->ranks; i++) {
        double own = some_time(s, o->dead_ranks, horizon);
        own = own < join ? INFINITY : own;
        code = plan_rank(s, i, join, slow, own < dies ? own : dies);
    }
    if (!code && slow < INFINITY)
        code = ech_sim_after(s, slow, ECH_SIM_NODE_SLOWS, id);
    if (join <= 0) /* known to the coordinator before the first report */
        ech_sim_enter(s, id);
    return code ? code : ech_sim_after(s, join, ECH_SIM_NODE_JOINS, id);
}

int ech_sim_plan_cluster(struct ech_sim *s)
{
    double horizon = (double)s->o->rows / make_nodes(s);
    int code = ECH_OK;
    for (int n = 0; !code && n < s->nodes_count; n++)
        code = plan_node(s, n, horizon);
    return code;
}

static int by_time(const void *a, const void *b)
{
    const struct ech_sim_change *x = a, *y = b;
    if (x->at < y->at || x->at > y->at)
        return x->at < y->at ? -1 : 1;
    return (x->speed > y->speed) - (x->speed < y->speed);
}

double ech_sim_optimum(struct ech_sim *s)
{
    double left = (double)s->o->rows, at = 0, v = 0;
    qsort(s->changes, s->changes_count, sizeof *s->changes, by_time);
    for (size_t i = 0; i < s->changes_count; i++) {
        double step = v * (s->changes[i].at - at);
        if (step >= left)
            break;
        left -= step;
        at = s->changes[i].at;
        v += s->changes[i].speed;
    }
    return v > 0 ? at + left / v : INFINITY;
}
