/* What attention keeps in scratch, and how keys, values and queries come there.
 * Three forms share one layout of 32-bit units:
 *   plain    a unit is an f32; keys are panels of 64 columns as weights are, values rows
 *   rounded  compute BF16 without dpbf16: f32 holding bf16, each pair's odd element before its even one, so
 *            that a chain of FMAs takes them in dpbf16's order
 *   PAIRS    compute BF16 with dpbf16: a unit is a pair of bf16
 * Included after a v16_*.h. */
#ifndef ECH_KERNELS_CPU_ATTENTION_PACK_H
#define ECH_KERNELS_CPU_ATTENTION_PACK_H

#include <math.h>
#include <string.h>

#include "kernels/check.h"
#include "kernels/queue.h"

enum {
    KEY_PANEL = 64,
    BLOCK_QUERIES = 24, /* rows whose scores exist at once */
    STATE_ROWS = 192,   /* rows that share a packed block of keys where there are several blocks; */
    STATE_WIDE = 64     /* twice as many where a row of values is no wider than this */
};

#ifdef PAIRS
enum { PER_UNIT = 2 };
#else
enum { PER_UNIT = 1 };
#endif

/* Scratch of one thread. Counts and strides in units; each part begins on a cache line. */
struct scratch {
    int64_t units;  /* of a row of queries or keys: the length of a score's chain */
    int64_t width;  /* of a row of values: head_dim, rounded up to a vector */
    int64_t stride; /* of a staged row of queries or keys */
    int64_t span;   /* of a row of scores: keys of a block, rounded up to a panel */
    int64_t rows;   /* of the state */
    float *keys, *values, *scores, *queries, *staged, *tops;
    float *most, *lanes, *sums; /* the state of each row between key blocks: (), (16), (width) */
};

static int64_t up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

static size_t scratch_layout(struct scratch *s, bool rounded, int64_t longest, int64_t dim, float *base)
{
    int64_t keys = longest < ECH_KEY_BLOCK ? longest : ECH_KEY_BLOCK;
    s->units = rounded ? up(dim, 2) / PER_UNIT : dim;
    s->width = up(dim, 16);
    s->stride = s->width / PER_UNIT;
    s->span = up(keys, KEY_PANEL);
    s->rows = longest <= ECH_KEY_BLOCK ? BLOCK_QUERIES : s->width <= STATE_WIDE ? 2 * STATE_ROWS : STATE_ROWS;
    struct {
        float **at;
        int64_t units;
    } parts[] = {{&s->keys, s->span * s->units},
                 {&s->values, up(keys, 2) / PER_UNIT * s->width},
                 {&s->scores, BLOCK_QUERIES * s->span},
                 {&s->queries, rounded ? BLOCK_QUERIES * s->stride : 0},
                 {&s->staged, 16 * s->stride},
                 {&s->tops, BLOCK_QUERIES * 16},
                 {&s->most, s->rows},
                 {&s->lanes, s->rows * 16},
                 {&s->sums, s->rows * s->width}};
    int64_t used = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        *parts[i].at = base ? base + used : NULL;
        used += up(parts[i].units, 16);
    }
    return (size_t)used * sizeof(float);
}

/* Heads of one sequence that share keys, and which of them and of the queries are to be done. */
struct head {
    const struct ech_attention_args *args;
    struct scratch scratch;
    bool rounded; /* compute BF16 */
    int64_t queries, keys;
    int64_t query, key; /* the sequence's first rows of q and out, of k and v */
    int64_t head, kv_head;
    int64_t head_first, head_end, from, to;
};

/* With PAIRS a constant. */
INLINE bool is_rounded(const struct head *h)
{
    return PER_UNIT == 2 || h->rounded;
}

/* One block of keys, as it lies in scratch. */
struct key_block {
    int64_t first, keys;
    bool finite; /* all of its values */
};

static const void *element(const void *p, enum ech_atype type, int64_t at)
{
    return type == ECH_A_BF16 ? (const void *)((const uint16_t *)p + at)
                              : (const void *)((const float *)p + at);
}

/* x rounded to bf16, in f32. */
INLINE struct v16 v16_rounded(struct v16 x)
{
    uint16_t lanes[16];
    v16_store_bf16(lanes, x);
    return v16_from_bf16(lanes);
}

INLINE struct v16 load_part_bf16(const uint16_t *p, int64_t n)
{
    uint16_t lanes[16] = {0};
    if (n >= 16)
        return v16_from_bf16(p);
    memcpy(lanes, p, (size_t)n * sizeof *p);
    return v16_from_bf16(lanes);
}

INLINE void store_part_bf16(uint16_t *p, struct v16 x, int64_t n)
{
    if (n >= 16)
        v16_store_bf16(p, x);
    else
        v16_store_bf16_part(p, x, n);
}

/* Elements [d, d + 16) of a row of `dim`, 0 past its end. */
INLINE struct v16 load_lanes(const void *row, enum ech_atype type, int64_t d, int64_t dim)
{
    const void *p = element(row, type, d);
    if (type == ECH_A_BF16)
        return load_part_bf16(p, dim - d);
    return dim - d >= 16 ? v16_load(p) : v16_load_part(p, dim - d);
}

/* 16 elements, rounded, where element d of a row belongs. */
INLINE void store_rounded(float *row, int64_t d, struct v16 x)
{
#ifdef PAIRS
    v16_store_bf16((uint16_t *)row + d, x);
#else
    v16_store(row + d, v16_swapped(v16_rounded(x)));
#endif
}

/* A row of queries or keys, in the form of the product. dpbf16 flushes denormals itself: bf16 is copied. */
INLINE void stage_row(float *to, const void *from, enum ech_atype type, int64_t dim, bool rounded)
{
    int64_t d = 0;
    if (PER_UNIT == 2 && type == ECH_A_BF16) {
        memcpy(to, from, (size_t)dim * sizeof(uint16_t));
        memset((uint16_t *)to + dim, 0, (size_t)(up(dim, 16) - dim) * sizeof(uint16_t));
        return;
    }
    for (; type == ECH_A_F32 && rounded && d + 16 <= dim; d += 16)
        store_rounded(to, d, v16_load((const float *)from + d));
    for (; d < dim; d += 16) {
        struct v16 x = load_lanes(from, type, d, dim);
        if (rounded)
            store_rounded(to, d, x);
        else
            v16_store(to + d, x);
    }
}

/* Are rows of this address and stride units already? */
static bool in_place(const void *p, enum ech_atype type, int64_t dim, int64_t ld, bool rounded)
{
    if (PER_UNIT == 2)
        return type == ECH_A_BF16 && dim % 2 == 0 && ld % 2 == 0 && (uintptr_t)p % sizeof(float) == 0;
    return type == ECH_A_F32 && !rounded;
}

/* 16 rows of `units` become columns of a panel. */
static void transpose(float *to, const float *from, int64_t ld, int64_t units)
{
    int64_t d = 0;
    for (; d + 4 <= units; d += 4)
        v16_transpose4(to + d * KEY_PANEL, KEY_PANEL, from + d, ld);
    for (; d < units; d++)
        for (int64_t i = 0; i < 16; i++)
            to[d * KEY_PANEL + i] = from[i * ld + d];
}

/* Keys become panels [64 keys][units][64], zero up to a whole vector of keys. */
static void pack_keys(const struct head *h, const struct key_block *b)
{
    const struct ech_attention_args *a = h->args;
    const struct scratch *s = &h->scratch;
    const enum ech_atype type = a->kv_type;
    int64_t at = (h->key + b->first) * a->ldk + h->kv_head * a->head_dim;
    const bool ready = in_place(element(a->k, type, at), type, a->head_dim, a->ldk, is_rounded(h));
    for (int64_t j = 0; j < b->keys; j += 16, at += 16 * a->ldk) {
        float *to = s->keys + j / KEY_PANEL * KEY_PANEL * s->units + j % KEY_PANEL;
        int64_t rows = b->keys - j < 16 ? b->keys - j : 16;
        if (ready && rows == 16) {
            transpose(to, element(a->k, type, at), a->ldk / PER_UNIT, s->units);
            continue;
        }
        for (int64_t i = 0; i < rows; i++)
            stage_row(s->staged + i * s->stride, element(a->k, type, at + i * a->ldk), type, a->head_dim,
                      is_rounded(h));
        memset(s->staged + rows * s->stride, 0, (size_t)((16 - rows) * s->stride) * sizeof(float));
        transpose(to, s->staged, s->stride, s->units);
    }
}

/* 16 values of keys j and j + 1 from element d on. */
struct two {
    struct v16 even, odd;
};

INLINE struct two load_values(const struct head *h, const struct key_block *b, int64_t j, int64_t d)
{
    const struct ech_attention_args *a = h->args;
    int64_t at = (h->key + b->first + j) * a->ldv + h->kv_head * a->head_dim;
    struct two x = {load_lanes(element(a->v, a->kv_type, at), a->kv_type, d, a->head_dim), v16_zero()};
    if (j + 1 < b->keys)
        x.odd = load_lanes(element(a->v, a->kv_type, at + a->ldv), a->kv_type, d, a->head_dim);
    return x;
}

/* Where they belong; returns what was stored, in f32. */
INLINE struct two store_values(const struct head *h, int64_t j, int64_t d, struct two x)
{
    float *to = h->scratch.values + j / PER_UNIT * h->scratch.width + d;
#ifdef PAIRS
    static const uint16_t FROM[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    __m512i halves = (__m512i)_mm512_cvtne2ps_pbh(x.odd.v, x.even.v);
    struct v16 pairs = {_mm512_castsi512_ps(_mm512_permutexvar_epi16(_mm512_loadu_si512(FROM), halves))};
    v16_store(to, pairs);
    return (struct two){v16_bf16_low(pairs), v16_bf16_high(pairs)};
#else
    if (h->rounded)
        x = (struct two){v16_rounded(x.even), v16_rounded(x.odd)};
    v16_store(to, h->rounded ? x.odd : x.even);
    v16_store(to + h->scratch.width, h->rounded ? x.even : x.odd);
    return x;
#endif
}

/* Values, two keys at a time; an odd last one beside zeros. Whether they are finite is asked only where some
 * row does not see all of them. */
static void pack_values(const struct head *h, struct key_block *b)
{
    const bool ask = h->args->causal || h->args->window > 0;
    struct two spoilt = {v16_zero(), v16_zero()}; /* 0 times a value is NaN where that is infinite or NaN */
    for (int64_t j = 0; j < b->keys; j += 2)
        for (int64_t d = 0; d < h->scratch.width; d += 16) {
            struct two x = store_values(h, j, d, load_values(h, b, j, d));
            if (ask) {
                spoilt.even = v16_fma(x.even, v16_zero(), spoilt.even);
                spoilt.odd = v16_fma(x.odd, v16_zero(), spoilt.odd);
            }
        }
    float sum = v16_sum(v16_add(spoilt.even, spoilt.odd));
    b->finite = sum == sum;
}

/* Rows [i, i + rows) of the queries, as a product takes them: staged where they are not so already. */
static const float *take_queries(const struct head *h, int64_t i, int64_t rows, int64_t *stride)
{
    const struct ech_attention_args *a = h->args;
    const struct scratch *s = &h->scratch;
    int64_t at = (h->query + i) * a->ldq + h->head * a->head_dim;
    const void *first = element(a->q, a->q_type, at);
    if (in_place(first, a->q_type, a->head_dim, a->ldq, is_rounded(h))) {
        *stride = a->ldq / PER_UNIT;
        return first;
    }
    *stride = s->stride;
    for (int64_t r = 0; r < rows; r++)
        stage_row(s->queries + r * s->stride, element(a->q, a->q_type, at + r * a->ldq), a->q_type,
                  a->head_dim, true);
    return s->queries;
}

#endif
