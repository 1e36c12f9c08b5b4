/* The simulator's invariants: each row is in one place until it is sealed, and is sealed by two only where it
 * was copied on purpose; nobody is idle while rows wait. Kept with sums, so that a check costs O(1). */
#include "plan/sim_model.h"

int64_t ech_sim_unsealed_end(const struct ech_sim *s, int64_t first, int64_t end, bool *sealed)
{
    int64_t stop = first;
    *sealed = s->sealed[first >> 6] >> (first & 63) & 1;
    while (stop < end && (bool)(s->sealed[stop >> 6] >> (stop & 63) & 1) == *sealed)
        stop++;
    return stop;
}

/* Marks rows as sealed; those that were not before. */
static int64_t seal(struct ech_sim *s, int64_t first, int64_t end)
{
    int64_t fresh = 0;
    for (int64_t at = first; at < end;) {
        int64_t stop = (at | 63) + 1 < end ? (at | 63) + 1 : end;
        uint64_t mask = (~0ull >> (64 - (stop - at))) << (at & 63), *word = &s->sealed[at >> 6];
        fresh += __builtin_popcountll(mask & ~*word);
        *word |= mask;
        at = stop;
    }
    s->r->rows_sealed += fresh;
    s->r->rows_twice += end - first - fresh;
    return fresh;
}

/* What is sealed already must have been copied. */
static bool may_be_sealed_twice(const struct ech_sim *s, int64_t first, int64_t end)
{
    bool sealed;
    for (int64_t at = first, stop; at < end; at = stop) {
        stop = ech_sim_unsealed_end(s, at, end, &sealed);
        if (sealed && !ech_rowset_has(&s->copied, at, stop))
            return false;
    }
    return true;
}

static int drop(struct ech_sim *s, struct ech_sim_node *n, int64_t first, int64_t end, int64_t *gone)
{
    int64_t before = n->held.rows;
    int code = ech_rowset_remove(&n->held, first, end, s->err);
    s->held -= before - n->held.rows;
    *gone += before - n->held.rows;
    return code;
}

/* Rows that somebody copied may be held by others and be in the queue. */
static int copies_done(struct ech_sim *s, int64_t first, int64_t end)
{
    int64_t gone = 0, before = s->todo.rows;
    int code = may_be_sealed_twice(s, first, end)
                   ? ECH_OK
                   : ech_sim_broken(s, "a row is sealed twice, nobody copied it");
    for (int n = 0; !code && n < s->nodes_count; n++)
        if (s->nodes[n].held.count)
            code = drop(s, &s->nodes[n], first, end, &gone);
    if (!code)
        code = ech_rowset_remove(&s->todo, first, end, s->err);
    s->twice -= gone + before - s->todo.rows - seal(s, first, end);
    return code;
}

int ech_sim_mark_done(struct ech_sim *s, int node, int64_t first, int64_t end)
{
    struct ech_range gap;
    int64_t gone = 0;
    bool sole = ech_rowset_gap(&s->copied, first, end, &gap) && gap.first == first && gap.end == end;
    if (!sole)
        return copies_done(s, first, end);
    if (seal(s, first, end) != end - first)
        return ech_sim_broken(s, "a row is sealed twice, nobody copied it");
    int code = drop(s, &s->nodes[node], first, end, &gone);
    return code || gone == end - first ? code
                                       : ech_sim_broken(s, "a row is sealed that its node does not hold");
}

int ech_sim_check(struct ech_sim *s)
{
    int64_t all = s->todo.rows + s->held - s->twice + s->r->rows_sealed;
    if (all != s->o->rows)
        return ech_sim_broken(s, all < s->o->rows ? "rows are lost" : "rows are in two places");
    /* Near the limit nothing starts that cannot end. */
    bool late = s->o->limit_s > 0 && s->now >= s->o->limit_s - 1 - s->o->tokens_a_row / s->o->tokens_per_s;
    if (s->todo.rows > 0 && s->stuck > 0 && !late)
        return ech_sim_broken(s, "a rank is idle while rows are left");
    return ECH_OK;
}
