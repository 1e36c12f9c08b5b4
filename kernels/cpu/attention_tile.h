/* The tiles of attention: those of the product, with scale and maximum at the end of a chain of scores.
 * A step is an FMA, or with PAIRS a dpbf16 of two bf16 in 32 bits. Included after a v16_*.h and mathv.h. */
#ifndef ECH_KERNELS_CPU_ATTENTION_TILE_H
#define ECH_KERNELS_CPU_ATTENTION_TILE_H

#include "kernels/cpu/tile.h"

/* most: NULL, or a vector a row: then the sums are multiplied by `scale`, and its lanes raised to them. */
struct attend_tile {
    struct tile tile; /* first: TILE_SHAPES hands on its address */
    float *most;
    float scale;
};

INLINE struct v16 attend_step(struct v16 x, struct v16 column, struct v16 sum)
{
#ifdef PAIRS
    return (struct v16){_mm512_dpbf16_ps(sum.v, (__m512bh)x.v, (__m512bh)column.v)};
#else
    return v16_fma(x, column, sum);
#endif
}

INLINE void attend_run(const struct tile *t, const int rows, const int vectors)
{
    const struct attend_tile *own = (const struct attend_tile *)t;
    struct v16 sum[TILE_ROWS_MAX][4], column[4];
    const float *a = t->a, *b = t->b;
    const int64_t lda = t->lda, ldb = t->ldb;
    tile_sums_load(t, rows, vectors, sum);
    for (int64_t k = t->k; k > 0; k--, a++, b += ldb) {
        FOR(v, vectors) column[v] = v16_load(b + 16 * v);
        FOR(r, rows)
        {
            struct v16 x = v16_set(a[r * lda]);
            FOR(v, vectors) sum[r][v] = attend_step(x, column[v], sum[r][v]);
        }
    }
    if (own->most) {
        const struct v16 scale = v16_set(own->scale);
        FOR(r, rows)
        {
            struct v16 most = v16_load(own->most + 16 * r);
            FOR(v, vectors)
            {
                sum[r][v] = v16_mul(sum[r][v], scale);
                most = v16_maximum(sum[r][v], most);
            }
            v16_store(own->most + 16 * r, most);
        }
    }
    tile_sums_store(t, rows, vectors, sum);
}

TILE_SHAPES(attend_run, TILES_ATTEND)

/* t over any number of rows and vectors, the rows split evenly. */
static void attend_tiles(const struct attend_tile *t, int64_t rows, int64_t vectors)
{
    struct attend_tile one = *t;
    for (int64_t v = 0; v < vectors; v += TILE_VECTORS) {
        int64_t width = vectors - v < TILE_VECTORS ? vectors - v : TILE_VECTORS;
        int64_t count = (rows + TILE_ROWS[width - 1] - 1) / TILE_ROWS[width - 1];
        one.tile.b = t->tile.b + 16 * v;
        for (int64_t i = 0; i < count; i++) {
            int64_t r0 = rows * i / count, r1 = rows * (i + 1) / count;
            one.tile.a = t->tile.a + r0 * t->tile.lda;
            one.tile.c = t->tile.c + r0 * t->tile.ldc + 16 * v;
            one.most = t->most ? t->most + 16 * r0 : NULL;
            TILES_ATTEND.run[width - 1][r1 - r0 - 1](&one.tile);
        }
    }
}

#endif
