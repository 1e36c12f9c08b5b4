/* Attention over packed sequences. Included after a v16_*.h, and mathv.h.
 *
 *   for heads that share keys
 *     for some hundred rows of queries       their state in L2
 *       for blocks of ECH_KEY_BLOCK keys     packed once, in L2
 *         for heads, for BLOCK_QUERIES rows  scores in L1: product, softmax, product with the values
 *
 * Up to one block of keys it is packed once for all queries and no state is kept. Keys that a row does not
 * see weigh 0 in a tile that other rows share: that adds nothing to a sum but a sign of 0, which the last
 * step drops. Not so beside an infinite value or a NaN: then each row goes alone over what it sees. */
#ifndef ECH_KERNELS_CPU_ATTENTION_H
#define ECH_KERNELS_CPU_ATTENTION_H

#ifdef _OPENMP
#include <omp.h>
#endif

#include "kernels/cpu/attention_tile.h"
#include "kernels/cpu/attention_pack.h"
#include "kernels/cpu/attention_soft.h"

static size_t attention_bytes(enum ech_format compute, int64_t longest, int64_t head_dim)
{
    struct scratch s;
    return scratch_layout(&s, compute == ECH_FMT_BF16, longest, head_dim, NULL);
}

static size_t attention_workspace(enum ech_format compute, int64_t longest, int64_t head_dim, int threads)
{
    size_t team = threads > 1 ? (size_t)threads : 1;
    return longest > 0 && head_dim > 0 ? team * attention_bytes(compute, longest, head_dim) : 0;
}

/* Nothing was seen yet. The sums need it only where strips go on from them. */
static void begin_rows(const struct scratch *s, int64_t state, int64_t rows, bool sums)
{
    for (int64_t r = state; r < state + rows; r++) {
        s->most[r] = -INFINITY;
        v16_store(s->lanes + 16 * r, v16_zero());
        if (sums)
            memset(s->sums + r * s->width, 0, (size_t)s->width * sizeof(float));
    }
}

/* sums / total of rows from query i on. A sum of -0 becomes 0. */
static void finish_rows(const struct head *h, int64_t i, int64_t rows, int64_t state)
{
    const struct ech_attention_args *a = h->args;
    const struct scratch *s = &h->scratch;
    for (int64_t r = 0; r < rows; r++) {
        float sum = v16_sum(v16_load(s->lanes + 16 * (state + r)));
        struct v16 total = v16_set(sum == 0.0f ? 1.0f : sum);
        const float *from = s->sums + (state + r) * s->width;
        int64_t at = (h->query + i + r) * a->ldo + h->head * a->head_dim;
        for (int64_t d = 0; d < a->head_dim; d += 16) {
            struct v16 x = v16_div(v16_add(v16_load(from + d), v16_zero()), total);
            int64_t left = a->head_dim - d;
            if (a->out_type == ECH_A_BF16)
                store_part_bf16((uint16_t *)a->out + at + d, x, left);
            else if (left >= 16)
                v16_store((float *)a->out + at + d, x);
            else
                v16_store_part((float *)a->out + at + d, x, left);
        }
    }
}

#include "kernels/cpu/attention_decode.h"

/* FMAs that stand for dpbf16 run without denormals, as it does. The compiler moves no arithmetic across the
 * calls, which go through a table. */
static void multiply(const struct head *h, const struct attend_tile *t, int64_t rows, int64_t vectors)
{
    if (PER_UNIT == 2 || !h->rounded) {
        attend_tiles(t, rows, vectors);
        return;
    }
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040); /* FTZ and DAZ */
    attend_tiles(t, rows, vectors);
    _mm_setcsr(before);
}

/* q k of all rows for keys [from, to), made into scores. */
static void score(const struct piece *p)
{
    const struct head *h = p->head;
    const struct scratch *s = &h->scratch;
    const struct ech_attention_args *a = h->args;
    struct attend_tile t = {.tile = {.ldb = KEY_PANEL, .ldc = s->span, .k = s->units}, .scale = a->scale};
    t.tile.a = take_queries(h, p->query, p->rows, &t.tile.lda);
    for (int64_t i = 0; i < p->rows * 16; i += 16)
        v16_store(s->tops + i, v16_set(-INFINITY));
    for (int64_t j = p->from / 16 * 16, next; j < p->to; j = next) {
        next = (j / KEY_PANEL + 1) * KEY_PANEL;
        int64_t vectors = (up(next < p->to ? next : p->to, 16) - j) / 16;
        bool plain = !a->bias && !a->slopes && a->softcap == 0 && p->shared_from <= j &&
                     j + 16 * vectors <= p->shared_to;
        t.tile.b = s->keys + j / KEY_PANEL * KEY_PANEL * s->units + j % KEY_PANEL;
        t.tile.c = s->scores + j;
        t.most = plain ? s->tops : NULL;
        multiply(h, &t, p->rows, vectors);
        if (!plain)
            dress(p, j, vectors);
    }
}

/* The chains of rows [r, r + rows) go on over `units` of the exponentials and as many rows of values. */
static void weigh_units(const struct piece *p, int64_t r, int64_t rows, int64_t unit, int64_t units,
                        const float *values)
{
    const struct scratch *s = &p->head->scratch;
    struct attend_tile t = {.tile = {.a = s->scores + r * s->span + unit,
                                     .b = values,
                                     .c = s->sums + (p->state + r) * s->width,
                                     .lda = s->span,
                                     .ldb = s->width,
                                     .ldc = s->width,
                                     .k = units,
                                     .resume = p->resume}};
    multiply(p->head, &t, rows, s->width / 16);
}

/* One key that stands in a pair whose other key the row does not see: that one is a zero. */
static void weigh_edge(const struct piece *p, int64_t r, int64_t key)
{
    const struct scratch *s = &p->head->scratch;
#ifdef PAIRS
    const __m512i half = _mm512_set1_epi32(key % 2 ? (int)0xffff0000 : 0xffff);
    const float *pair = s->values + key / 2 * s->width;
    for (int64_t d = 0; d < s->width; d += 16)
        _mm512_storeu_si512(s->staged + d, _mm512_and_si512(_mm512_loadu_si512(pair + d), half));
    weigh_units(p, r, 1, key / 2, 1, s->staged);
#else
    int64_t unit = is_rounded(p->head) ? key ^ 1 : key;
    weigh_units(p, r, 1, unit, 1, s->values + unit * s->width);
#endif
}

/* Beside values that are not finite: one row, over what it sees alone. */
static void weigh_alone(struct piece *p, int64_t r)
{
    const struct scratch *s = &p->head->scratch;
    int64_t lo = p->lo[r], hi = p->hi[r], from = up(lo, 2), to = hi / 2 * 2;
    if (!p->resume)
        memset(s->sums + (p->state + r) * s->width, 0, (size_t)s->width * sizeof(float));
    bool resume = p->resume;
    p->resume = true;
    if (lo % 2 && lo < hi)
        weigh_edge(p, r, lo);
    if (from < to)
        weigh_units(p, r, 1, from / PER_UNIT, (to - from) / PER_UNIT, s->values + from / PER_UNIT * s->width);
    if (hi % 2 && lo < hi)
        weigh_edge(p, r, hi - 1);
    p->resume = resume;
}

/* The value sums of all rows. Rows of one strip go together over what any of them sees. */
static void weigh(struct piece *p)
{
    const struct head *h = p->head;
    const struct scratch *s = &h->scratch;
    const bool even = p->shared_from <= p->from && p->to <= p->shared_to;
    const int64_t vectors = s->width / 16;
    int64_t step = TILE_ROWS[(vectors < TILE_VECTORS ? vectors : TILE_VECTORS) - 1], from, to;
    if (!even && !p->block->finite) {
        for (int64_t r = 0; r < p->rows; r++)
            weigh_alone(p, r);
        return;
    }
    step = even ? p->rows : step;
    for (int64_t r = 0; r < p->rows; r += step) {
        int64_t rows = p->rows - r < step ? p->rows - r : step;
        piece_union(p, r, rows, &from, &to);
        if (is_rounded(h)) {
            from = from / 2 * 2 / PER_UNIT;
            to = up(to, 2) / PER_UNIT;
        }
        weigh_units(p, r, rows, from, to - from, s->values + from * s->width);
    }
}

static void attend(const struct head *h, const struct key_block *b, int64_t query, int64_t rows,
                   int64_t state, bool resume)
{
    struct piece p = {.head = h, .block = b, .query = query, .rows = rows, .state = state, .resume = resume};
    piece_ranges(&p);
    if (resume && p.from == p.to)
        return;
    score(&p);
    soften(&p);
    weigh(&p);
}

static struct key_block pack_block(const struct head *h, int64_t first)
{
    int64_t left = h->keys - first;
    struct key_block b = {.first = first, .keys = left < ECH_KEY_BLOCK ? left : ECH_KEY_BLOCK};
    pack_keys(h, &b);
    pack_values(h, &b);
    return b;
}

/* All keys in one block, or none. */
static void attend_short(struct head *h)
{
    struct key_block b = pack_block(h, 0);
    for (h->head = h->head_first; h->head < h->head_end; h->head++)
        for (int64_t i = h->from; i < h->to; i += BLOCK_QUERIES) {
            int64_t rows = h->to - i < BLOCK_QUERIES ? h->to - i : BLOCK_QUERIES;
            begin_rows(&h->scratch, 0, rows, false);
            attend(h, &b, i, rows, 0, false);
            finish_rows(h, i, rows, 0);
        }
}

/* Heads [first, first + heads) of one group and queries [query, query + rows), no more than the state holds,
 * over all blocks of keys that any of them sees. */
static void attend_state(struct head *h, int64_t first, int64_t heads, int64_t query, int64_t rows)
{
    int64_t from, to, unused, position = query + h->keys - h->queries;
    visible(h->args, position, h->keys, &from, &unused);
    visible(h->args, position + rows - 1, h->keys, &unused, &to);
    begin_rows(&h->scratch, 0, heads * rows, true);
    for (int64_t j = from / ECH_KEY_BLOCK * ECH_KEY_BLOCK; j < to; j += ECH_KEY_BLOCK) {
        struct key_block b = pack_block(h, j);
        for (h->head = first; h->head < first + heads; h->head++)
            for (int64_t i = 0; i < rows; i += BLOCK_QUERIES)
                attend(h, &b, query + i, rows - i < BLOCK_QUERIES ? rows - i : BLOCK_QUERIES,
                       (h->head - first) * rows + i, true);
    }
    for (h->head = first; h->head < first + heads; h->head++)
        finish_rows(h, query, rows, (h->head - first) * rows);
}

static void attend_long(struct head *h)
{
    const int64_t most = h->scratch.rows / BLOCK_QUERIES, heads = h->head_end - h->head_first,
                  together = heads < most ? heads : most;
    const int64_t step = h->scratch.rows / together / BLOCK_QUERIES * BLOCK_QUERIES, end = h->head_end;
    for (int64_t head = h->head_first; head < end; head += together)
        for (int64_t i = h->from; i < h->to; i += step)
            attend_state(h, head, end - head < together ? end - head : together, i,
                         h->to - i < step ? h->to - i : step);
}

/* How the heads that share keys, and a sequence's queries, are cut for a team: each part packs its keys. */
struct cut {
    int64_t heads, queries;
};

/* Part of the work of one head of keys and values of one sequence. */
static void attend_item(const struct ech_attention_args *a, int64_t item, const struct cut *cut, float *base)
{
    const int64_t parts = cut->heads * cut->queries, part = item % parts,
                  sequence = item / parts / a->kv_heads, i = part / cut->queries, j = part % cut->queries,
                  group = a->heads / a->kv_heads;
    struct head h = {.args = a,
                     .rounded = a->compute == ECH_FMT_BF16,
                     .queries = a->starts[sequence + 1] - a->starts[sequence],
                     .query = a->starts[sequence],
                     .kv_head = item / parts % a->kv_heads};
    h.head_first = h.kv_head * group + group * i / cut->heads;
    h.head_end = h.kv_head * group + group * (i + 1) / cut->heads;
    h.from = h.queries * j / cut->queries;
    h.to = h.queries * (j + 1) / cut->queries;
    if (h.from == h.to)
        return;
    h.keys = ech_attention_keys(a, sequence, &h.key);
    int64_t longest = h.queries > h.keys ? h.queries : h.keys;
    scratch_layout(&h.scratch, h.rounded, longest, a->head_dim, base);
    if (h.queries == 1 && !is_rounded(&h))
        attend_query(&h);
    else if (h.keys <= ECH_KEY_BLOCK)
        attend_short(&h);
    else
        attend_long(&h);
}

/* A pass over less than this is over before a team is awake. */
static bool attention_small(const struct ech_attention_args *a)
{
    enum { ALONE = 1 << 19 }; /* products of queries and keys */
    double scores = 0;
    for (int64_t s = 0; s < a->sequences; s++) {
        int64_t first;
        scores += (double)(a->starts[s + 1] - a->starts[s]) * (double)ech_attention_keys(a, s, &first);
    }
    return scores * (double)(a->heads * a->head_dim) < ALONE;
}

static struct cut attention_cut(const struct ech_attention_args *a, int threads)
{
    const int64_t items = a->sequences * a->kv_heads, group = a->heads / a->kv_heads;
    struct cut cut = {1, 1};
    if (items == 0 || items >= 2 * threads)
        return cut;
    const int64_t parts = threads % items == 0 ? threads / items : (2 * threads + items - 1) / items;
    int64_t most = ech_longest(a->starts, a->sequences) / BLOCK_QUERIES;
    most = most > 1 ? most : 1;
    cut.heads = parts < group ? parts : group;
    cut.queries = (parts + cut.heads - 1) / cut.heads;
    cut.queries = cut.queries < most ? cut.queries : most;
    return cut;
}

/* Checked arguments. Members of the team take one part at a time, each with its own scratch: who takes which
 * does not change a bit. */
static int attention(struct ech_queue *queue, const struct ech_attention_args *a)
{
    const int64_t longest = ech_attention_longest(a);
    if (longest == 0)
        return ECH_OP_OK;
    const int threads = !queue || attention_small(a) ? 1 : queue->threads;
    const struct cut cut = attention_cut(a, threads);
    const int64_t items = a->sequences * a->kv_heads * cut.heads * cut.queries;
    const size_t each = attention_bytes(a->compute, longest, a->head_dim);
    char *base = ech_attention_scratch(queue, a, (size_t)threads * each);
    if (!base)
        return ECH_OP_MEMORY;
#ifdef _OPENMP
    if (threads > 1 && items > 1) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
        for (int64_t i = 0; i < items; i++)
            attend_item(a, i, &cut, (float *)(void *)(base + each * (size_t)omp_get_thread_num()));
        return ECH_OP_OK;
    }
#endif
    for (int64_t i = 0; i < items; i++)
        attend_item(a, i, &cut, (float *)(void *)base);
    return ECH_OP_OK;
}

#endif
