/* Drawing tokens: see sampling.h. */
#include "model/sampling.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1024, LANES = 16 };

struct item {
    double weight; /* log weight, then weight */
    int32_t id;
};

struct ech_sampler {
    int64_t vocab;
    float *logits; /* after the penalty */
    struct item *items;
};

int ech_sampling_check(const struct ech_sampling *o, struct ech_err *err)
{
    const struct {
        const char *name;
        double value, least, most;
    } limits[] = {{"temperature", o->temperature, 0, 1e6},
                  {"top_k", (double)o->top_k, 0, 1e9},
                  {"top_p", o->top_p, 0, 1},
                  {"min_p", o->min_p, 0, 1},
                  {"repetition_penalty", o->repetition_penalty, 1e-3, 1e3}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (!(limits[i].value >= limits[i].least && limits[i].value <= limits[i].most))
            return ech_fail(err, ECH_CONFIG, "%s is %g, %g to %g was expected", limits[i].name,
                            limits[i].value, limits[i].least, limits[i].most);
    return ECH_OK;
}

int ech_sampler_create(int64_t vocab, struct ech_sampler **out, struct ech_err *err)
{
    struct ech_sampler *s = ech_calloc(1, sizeof *s, err);
    if (!s)
        return ECH_UNAVAILABLE;
    s->vocab = vocab;
    s->logits = ech_calloc((size_t)vocab, sizeof *s->logits, err);
    s->items = s->logits ? ech_calloc((size_t)vocab, sizeof *s->items, err) : NULL;
    if (s->items)
        *out = s;
    else
        ech_sampler_destroy(s);
    return s->items ? ECH_OK : ECH_UNAVAILABLE;
}

void ech_sampler_destroy(struct ech_sampler *s)
{
    if (!s)
        return;
    ech_free(s->logits);
    ech_free(s->items);
    ech_free(s);
}

double ech_uniform(uint64_t seed, uint64_t row, uint64_t position)
{
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t c[4] = {(uint32_t)position, (uint32_t)(position >> 32), (uint32_t)row, (uint32_t)(row >> 32)};
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c[0], b = (uint64_t)0xCD9E8D57u * c[2];
        uint32_t next[4] = {(uint32_t)(b >> 32) ^ c[1] ^ key[0], (uint32_t)b,
                            (uint32_t)(a >> 32) ^ c[3] ^ key[1], (uint32_t)a};
        memcpy(c, next, sizeof c);
        key[0] += 0x9E3779B9u;
        key[1] += 0xBB67AE85u;
    }
    return (double)(((uint64_t)c[0] << 32 | c[1]) >> 11) * 0x1p-53;
}

/* The largest of a block of logits: lanes that a compiler makes vectors of. NaN is never larger. */
static float largest(const float *logits)
{
    float lanes[LANES];
    for (int i = 0; i < LANES; i++)
        lanes[i] = -INFINITY;
    for (int64_t at = 0; at < BLOCK; at += LANES)
        for (int i = 0; i < LANES; i++)
            lanes[i] = logits[at + i] > lanes[i] ? logits[at + i] : lanes[i];
    for (int i = 1; i < LANES; i++)
        lanes[0] = lanes[i] > lanes[0] ? lanes[i] : lanes[0];
    return lanes[0];
}

/* Only blocks that hold something larger than all before are looked at one by one. */
int32_t ech_argmax(const float *logits, int64_t count)
{
    float most = -INFINITY;
    int32_t best = -1;
    for (int64_t at = 0; at < count; at += BLOCK) {
        if (count - at >= BLOCK && !(largest(logits + at) > most))
            continue;
        const int64_t end = count - at < BLOCK ? count : at + BLOCK;
        for (int64_t i = at; i < end; i++)
            if (logits[i] > most) {
                most = logits[i];
                best = (int32_t)i;
            }
    }
    return best;
}

double ech_log_probability(const float *logits, int64_t count, int64_t id)
{
    float most = -INFINITY;
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        most = logits[i] > most ? logits[i] : most;
    for (int64_t i = 0; i < count; i++)
        sum += exp((double)logits[i] - (double)most);
    return (double)logits[id] - (double)most - log(sum);
}

/* Each token of the sequence once, however often it stands there: from the raw value. */
static void penalise(struct ech_sampler *s, const float *logits, double penalty, const int32_t *seen,
                     int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        int32_t id = seen[i];
        if (id >= 0 && id < s->vocab)
            s->logits[id] =
                (float)(logits[id] > 0 ? (double)logits[id] / penalty : (double)logits[id] * penalty);
    }
}

static int by_weight(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight > y->weight ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Those that may be drawn, with weights exp((logit - best) / temperature). Where an order is needed, those
 * that cannot be among the first are left out before sorting. */
static int64_t collect(struct ech_sampler *s, const float *logits, const struct ech_sampling *o, float best)
{
    int64_t count = 0;
    for (int64_t i = 0; i < s->vocab; i++)
        if (logits[i] > -INFINITY)
            s->items[count++] =
                (struct item){exp(((double)logits[i] - (double)best) / o->temperature), (int32_t)i};
    return count;
}

static double total(const struct item *items, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += items[i].weight;
    return sum;
}

static int64_t keep_best(struct item *items, int64_t count, int64_t most)
{
    qsort(items, (size_t)count, sizeof *items, by_weight);
    return count < most ? count : most;
}

/* A token below (1 - p) / n of the whole cannot be in the nucleus: all that are smaller weigh less than 1 -
 * p. */
static int64_t nucleus(struct item *items, int64_t count, double p)
{
    double sum = total(items, count), least = (1 - p) / (double)count * sum, reached = 0;
    int64_t kept = 0;
    for (int64_t i = 0; i < count; i++)
        if (items[i].weight >= least)
            items[kept++] = items[i];
    if (kept == 0)
        return count;
    qsort(items, (size_t)kept, sizeof *items, by_weight);
    for (int64_t i = 0; i < kept; i++) {
        reached += items[i].weight;
        if (reached >= p * sum)
            return i + 1;
    }
    return kept;
}

static int64_t above(struct item *items, int64_t count, double share)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < count; i++)
        if (items[i].weight >= share) /* the best weighs 1 */
            items[kept++] = items[i];
    return kept;
}

int32_t ech_sampler_draw(struct ech_sampler *s, const float *logits, const struct ech_sampling *o,
                         const int32_t *seen, int64_t seen_count, uint64_t row, uint64_t position)
{
    if (o->repetition_penalty != 1) {
        memcpy(s->logits, logits, (size_t)s->vocab * sizeof *logits);
        penalise(s, logits, o->repetition_penalty, seen, seen_count);
        logits = s->logits;
    }
    int32_t best = ech_argmax(logits, s->vocab);
    if (best < 0 || o->temperature == 0 || logits[best] == INFINITY)
        return best;
    int64_t count = collect(s, logits, o, logits[best]);
    if (o->top_k > 0 && o->top_k < count)
        count = keep_best(s->items, count, o->top_k);
    if (o->top_p < 1)
        count = nucleus(s->items, count, o->top_p);
    if (o->min_p > 0)
        count = above(s->items, count, o->min_p);
    double left = ech_uniform(o->seed, row, position) * total(s->items, count);
    for (int64_t i = 0; i < count; i++) {
        left -= s->items[i].weight;
        if (left < 0)
            return s->items[i].id;
    }
    return s->items[count - 1].id;
}
