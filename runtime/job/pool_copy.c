/* Copies of claims in a node (pool.h): an idle rank runs what a slow, stopped or dead neighbour has not
 * computed. The owner is not told and loses nothing: it may run the same rows, the seal takes one copy. That
 * is why a claim is never taken away from its owner: what both ran was at most 0.05 % of all rows
 * (plan/README.md). */
#include "base/clock.h"
#include "job/pool_layout.h"
#include "plan/speed.h"

static bool claim_read(struct claim *c, struct ech_range *out)
{
    uint32_t before = atomic_load(&c->seq);
    *out = (struct ech_range){atomic_load(&c->first), atomic_load(&c->end)};
    return (before & 1) == 0 && atomic_load(&c->seq) == before && out->end > out->first;
}

/* Of a place's claims that are neither computed nor copied the one its owner comes to last, and the rows that
 * the owner computes until that one is done. */
static struct claim *last_claim(struct place *pl, int64_t *rows_until, struct ech_range *range)
{
    struct claim *last = NULL;
    uint64_t order = 0;
    struct ech_range r;
    *rows_until = 0;
    for (int i = 0; i < CLAIMS && atomic_load(&pl->open) > 0; i++) {
        struct claim *c = &pl->claims[i];
        if (!claim_read(c, &r) || atomic_load(&c->computed) || atomic_load(&c->copied))
            continue;
        if (!last || atomic_load(&c->order) > order) {
            last = c;
            order = atomic_load(&c->order);
            *range = r;
        }
    }
    for (int i = 0; last && i < CLAIMS; i++)
        if (claim_read(&pl->claims[i], &r) && !atomic_load(&pl->claims[i].computed) &&
            atomic_load(&pl->claims[i].order) <= order)
            *rows_until += r.end - r.first;
    return last;
}

/* Seconds gained by a copy of that claim. */
static double copy_gain(const struct place *pl, int64_t rows_until, const struct ech_range *r,
                        double my_speed)
{
    double speed = atomic_load(&pl->rows_s);
    struct ech_copy_view view = {.owner_s = speed > 0 ? (double)rows_until / speed : 0,
                                 .quiet_s = ech_mono_s() - atomic_load(&pl->moved_at),
                                 .copy_s = my_speed > 0 ? (double)(r->end - r->first) / my_speed : 0};
    return ech_copy_gain(&view);
}

bool ech_pool_copy(struct ech_pool *p, double my_speed, struct ech_range *out)
{
    struct claim *best = NULL;
    double most = 0;
    for (int i = 0; i < p->node_size; i++) {
        struct place *pl = &p->places[i];
        struct ech_range r = {0, 0};
        int64_t until = 0;
        struct claim *c = i == p->place || atomic_load(&pl->dead) ? NULL : last_claim(pl, &until, &r);
        double gain = c ? copy_gain(pl, until, &r, my_speed) : 0;
        if (gain > most) {
            most = gain;
            best = c;
            *out = r;
        }
    }
    int fresh = 0;
    return best && atomic_compare_exchange_strong(&best->copied, &fresh, 1);
}

void ech_pool_computed(struct ech_pool *p, int64_t first, int64_t rows)
{
    struct place *mine = &p->places[p->place];
    for (int i = 0; i < CLAIMS && p->open > 0; i++) {
        struct claim *c = &mine->claims[(p->oldest + i) % CLAIMS];
        int64_t end = atomic_load(&c->end);
        if (end == 0 || first < atomic_load(&c->first) || first + rows > end)
            continue;
        atomic_store(&c->computed, 1);
        atomic_store(&mine->moved_at, ech_mono_s());
        return;
    }
}
