/* The tiles of attention: sums of a few rows by a few vectors, held in registers.
 * An element is one chain over ascending units, whatever the tile. A unit is one element of the chain; with
 * PAIRS it is two bf16 in 32 bits, and a step is dpbf16. Included after a v16_*.h. */
#ifndef ECH_KERNELS_CPU_ATTENTION_TILE_H
#define ECH_KERNELS_CPU_ATTENTION_TILE_H

#include <stdbool.h>

/* c (rows, 16 vectors) = [c +] a (rows, units) b (units, 16 vectors); strides in units of 32 bits.
 * most: NULL, or a vector a row: then c is multiplied by `scale`, and each lane of `most` raised to it. */
struct strip {
    const float *a, *b;
    float *c, *most;
    int64_t lda, ldb, ldc, units;
    float scale;
    bool resume; /* the chains go on from c */
};

INLINE struct v16 strip_step(struct v16 x, struct v16 column, struct v16 sum)
{
#ifdef PAIRS
    return (struct v16){_mm512_dpbf16_ps(sum.v, (__m512bh)x.v, (__m512bh)column.v)};
#else
    return v16_fma(x, column, sum);
#endif
}

INLINE void strip_run(const struct strip *t, const int rows, const int vectors)
{
    struct v16 sum[12][4], column[4];
    const float *a = t->a, *b = t->b;
    const int64_t lda = t->lda, ldb = t->ldb, ldc = t->ldc;
    FOR(r, rows)
    {
        FOR(v, vectors) sum[r][v] = t->resume ? v16_load(t->c + r * ldc + 16 * v) : v16_zero();
    }
    for (int64_t k = t->units; k > 0; k--, a++, b += ldb) {
        FOR(v, vectors) column[v] = v16_load(b + 16 * v);
        FOR(r, rows)
        {
            struct v16 x = v16_set(a[r * lda]);
            FOR(v, vectors) sum[r][v] = strip_step(x, column[v], sum[r][v]);
        }
    }
    if (t->most) {
        const struct v16 scale = v16_set(t->scale);
        FOR(r, rows)
        {
            struct v16 most = v16_load(t->most + 16 * r);
            FOR(v, vectors)
            {
                sum[r][v] = v16_mul(sum[r][v], scale);
                most = v16_maximum(sum[r][v], most);
            }
            v16_store(t->most + 16 * r, most);
        }
    }
    FOR(r, rows)
    {
        FOR(v, vectors) v16_store(t->c + r * ldc + 16 * v, sum[r][v]);
    }
}

#define STRIP(rows, vectors)                                                                                 \
    static void strip_##rows##x##vectors(const struct strip *t)                                              \
    {                                                                                                        \
        strip_run(t, rows, vectors);                                                                         \
    }
#define STRIPS_6(vectors)                                                                                    \
    STRIP(1, vectors)                                                                                        \
    STRIP(2, vectors) STRIP(3, vectors) STRIP(4, vectors) STRIP(5, vectors) STRIP(6, vectors)
#define STRIPS_12(vectors)                                                                                   \
    STRIPS_6(vectors)                                                                                        \
    STRIP(7, vectors)                                                                                        \
    STRIP(8, vectors) STRIP(9, vectors) STRIP(10, vectors) STRIP(11, vectors) STRIP(12, vectors)

/* Tallest strip for each width: what the registers hold (32 of 16 floats, or 16 of 8). */
#if TILE_VECTORS == 4
STRIPS_12(1)
STRIPS_12(2)
STRIPS_6(3)
STRIP(7, 3)
STRIP(8, 3)
STRIPS_6(4)
static void (*const STRIP_TABLE[TILE_VECTORS][12])(const struct strip *) = {
    {strip_1x1, strip_2x1, strip_3x1, strip_4x1, strip_5x1, strip_6x1, strip_7x1, strip_8x1, strip_9x1,
     strip_10x1, strip_11x1, strip_12x1},
    {strip_1x2, strip_2x2, strip_3x2, strip_4x2, strip_5x2, strip_6x2, strip_7x2, strip_8x2, strip_9x2,
     strip_10x2, strip_11x2, strip_12x2},
    {strip_1x3, strip_2x3, strip_3x3, strip_4x3, strip_5x3, strip_6x3, strip_7x3, strip_8x3},
    {strip_1x4, strip_2x4, strip_3x4, strip_4x4, strip_5x4, strip_6x4}};
static const int64_t STRIP_ROWS[TILE_VECTORS] = {12, 12, 8, 6};
#else
STRIPS_6(1)
static void (*const STRIP_TABLE[TILE_VECTORS][6])(const struct strip *) = {
    {strip_1x1, strip_2x1, strip_3x1, strip_4x1, strip_5x1, strip_6x1}};
static const int64_t STRIP_ROWS[TILE_VECTORS] = {6};
#endif

/* s over any number of rows and vectors, the rows split evenly. */
static void strips(struct strip s, int64_t rows, int64_t vectors)
{
    for (int64_t v = 0; v < vectors; v += TILE_VECTORS) {
        int64_t width = vectors - v < TILE_VECTORS ? vectors - v : TILE_VECTORS;
        int64_t count = (rows + STRIP_ROWS[width - 1] - 1) / STRIP_ROWS[width - 1];
        for (int64_t i = 0; i < count; i++) {
            int64_t r0 = rows * i / count, r1 = rows * (i + 1) / count;
            struct strip one = s;
            one.a += r0 * s.lda;
            one.b += 16 * v;
            one.c += r0 * s.ldc + 16 * v;
            one.most = s.most ? s.most + 16 * r0 : NULL;
            STRIP_TABLE[width - 1][r1 - r0 - 1](&one);
        }
    }
}

#endif
