#include "plan/sim.h"

#include "base/mem.h"
#include "plan/sim_model.h"

const char *const ech_sim_policy_names[ECH_SIM_POLICIES] = {"equal", "speed", "guided", "factoring",
                                                            "adaptive"};

void ech_sim_defaults(struct ech_sim_options *o)
{
    *o = (struct ech_sim_options){.nodes = 16,
                                  .ranks_per_node = 8,
                                  .rows = 10000000,
                                  .tokens_a_row = 100,
                                  .tokens_per_s = 10000,
                                  .spread = 4,
                                  .probe_error = 0.2,
                                  .noise = 0.1,
                                  .threads = 1,
                                  .rows_cap = 64,
                                  .slow_to = 0.25,
                                  .latency_s = 0.0005,
                                  .heartbeat_s = 10,
                                  .seed = 1,
                                  .policy = ECH_SIM_ADAPTIVE};
}

double ech_sim_uniform(struct ech_sim *s)
{
    uint64_t z = s->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

int ech_sim_after(struct ech_sim *s, double at, enum ech_sim_kind kind, int id)
{
    return ech_sim_push(&s->heap, (struct ech_sim_event){at, (uint32_t)kind, (uint32_t)id}, s->err);
}

int ech_sim_broken(struct ech_sim *s, const char *what)
{
    return ech_fail(s->err, ECH_BUG, "seed %llu, event %lld at %.6f s: %s", (unsigned long long)s->o->seed,
                    (long long)s->r->events, s->now, what);
}

static int handle(struct ech_sim *s, const struct ech_sim_event *e)
{
    static int (*const handlers[])(struct ech_sim *, int) = {
        [ECH_SIM_FINISH] = ech_sim_finish,    [ECH_SIM_GRANTED] = ech_sim_granted,
        [ECH_SIM_RANK_DIES] = ech_sim_die,    [ECH_SIM_RANK_MISSED] = ech_sim_missed,
        [ECH_SIM_NODE_SLOWS] = ech_sim_slows, [ECH_SIM_NODE_JOINS] = ech_sim_joins,
        [ECH_SIM_NODE_LOOKS] = ech_sim_looks};
    return handlers[e->kind](s, (int)e->id);
}

static int run(struct ech_sim *s)
{
    struct ech_sim_event e;
    int code = ech_sim_plan_cluster(s);
    s->r->optimum_s = ech_sim_optimum(s);
    if (!code && (s->o->policy == ECH_SIM_EQUAL || s->o->policy == ECH_SIM_SPEED))
        code = ech_sim_give_parts(s);
    else if (!code)
        code = ech_rowset_add(&s->todo, 0, s->o->rows, NULL, s->err);
    while (!code && s->r->rows_sealed < s->o->rows && ech_sim_pop(&s->heap, &e)) {
        if (s->o->limit_s > 0 && e.at > s->o->limit_s) {
            s->now = s->o->limit_s;
            s->r->stopped = true;
            break;
        }
        s->now = e.at;
        s->r->events++;
        code = handle(s, &e);
        if (!code)
            code = ech_sim_check(s);
    }
    if (!code && s->r->rows_sealed < s->o->rows && !s->r->stopped) {
        s->r->stopped = s->o->limit_s > 0; /* nothing that is left could end in time */
        if (!s->r->stopped && s->living > 0)
            code = ech_sim_broken(s, "ranks live, rows are left and nothing happens");
    }
    s->r->makespan_s = s->now;
    s->r->rows_copied = s->copied.rows;
    return code;
}

static bool good(const struct ech_sim_options *o)
{
    for (int c = 0; o->classes && c < o->classes_count; c++)
        if (o->classes[c].nodes < 1 || o->classes[c].ranks_per_node < 1 || !(o->classes[c].tokens_per_s > 0))
            return false;
    return o->nodes > 0 && o->ranks_per_node > 0 && o->rows > 0 && o->rows <= 100000000000 &&
           o->tokens_a_row > 0 && o->tokens_per_s > 0 && o->spread >= 1 && o->probe_error >= 0 &&
           o->probe_error < 1 && o->noise >= 0 && o->noise < 1 && o->threads > 0 && o->rows_cap > 0 &&
           o->slow_to > 0 && o->latency_s >= 0 && o->heartbeat_s > 2 * o->latency_s;
}

static int allocate(struct ech_sim *s)
{
    const struct ech_sim_options *o = s->o;
    size_t ranks = (size_t)s->ranks_count, nodes = (size_t)s->nodes_count, words = (size_t)(o->rows / 64 + 1);
    s->ranks = ech_calloc(ranks, sizeof *s->ranks, s->err);
    s->nodes = ech_calloc(nodes, sizeof *s->nodes, s->err);
    s->changes = ech_calloc(3 * ranks, sizeof *s->changes, s->err);
    s->sealed = ech_calloc(words, sizeof *s->sealed, s->err);
    s->r->bytes = (int64_t)(ranks * (sizeof *s->ranks + 3 * sizeof *s->changes) + nodes * sizeof *s->nodes +
                            words * sizeof *s->sealed);
    s->r->ranks = s->ranks_count;
    if (!s->ranks || !s->nodes || !s->changes || !s->sealed)
        return ECH_UNAVAILABLE;
    return ech_backlog_init(&s->backlog, s->nodes_count, s->err);
}

static void release(struct ech_sim *s)
{
    s->r->bytes += (int64_t)(s->heap.capacity * sizeof *s->heap.events);
    for (int n = 0; s->nodes && n < s->nodes_count; n++) {
        s->r->bytes +=
            (int64_t)((s->nodes[n].pool.capacity + s->nodes[n].held.capacity) * sizeof(struct ech_range));
        ech_rowset_fini(&s->nodes[n].pool);
        ech_rowset_fini(&s->nodes[n].held);
    }
    ech_rowset_fini(&s->todo);
    ech_rowset_fini(&s->copied);
    ech_backlog_fini(&s->backlog);
    ech_free(s->heap.events);
    ech_free(s->ranks);
    ech_free(s->nodes);
    ech_free(s->changes);
    ech_free(s->sealed);
}

int ech_sim_run(const struct ech_sim_options *o, struct ech_sim_result *out, struct ech_err *err)
{
    int64_t nodes = o->classes ? 0 : o->nodes, ranks = nodes * o->ranks_per_node;
    for (int c = 0; o->classes && c < o->classes_count; c++) {
        nodes += o->classes[c].nodes;
        ranks += (int64_t)o->classes[c].nodes * o->classes[c].ranks_per_node;
    }
    if (!good(o) || ranks > 1000000)
        return ech_fail(err, ECH_USAGE, "a made-up cluster or job is out of range");
    struct ech_sim_result r = {0};
    struct ech_sim s = {
        .o = o, .r = &r, .err = err, .random = o->seed, .nodes_count = (int)nodes, .ranks_count = (int)ranks};
    int code = allocate(&s);
    if (!code)
        code = run(&s);
    release(&s);
    if (!code)
        *out = r;
    return code;
}
