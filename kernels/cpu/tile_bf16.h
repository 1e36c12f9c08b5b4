/* bf16 tiles by `dpbf16`: a pair of products a step, the odd element's first. In files compiled for it. */
#ifndef ECH_KERNELS_CPU_TILE_BF16_H
#define ECH_KERNELS_CPU_TILE_BF16_H

#include "kernels/cpu/tile.h"

INLINE void tile_bf16(const struct tile *t, const int rows, const int vectors)
{
    struct v16 sum[TILE_ROWS_MAX][4], column[4];
    const float *a = t->a, *b = t->b;
    const int64_t lda = t->lda, ldb = t->ldb;
    int64_t at[4];
    FOR(v, vectors) at[v] = tile_vector(t, v, vectors);
    tile_prefetch(t, rows, vectors);
    tile_sums_load(t, rows, vectors, sum);
    for (int64_t k = t->k; k > 0; k--, a++, b += ldb) {
        FOR(v, vectors) column[v] = v16_load(b + at[v]);
        FOR(r, rows)
        {
            struct v16 x = v16_set(a[r * lda]);
            FOR(v, vectors) sum[r][v].v = _mm512_dpbf16_ps(sum[r][v].v, (__m512bh)x.v, (__m512bh)column[v].v);
        }
    }
    tile_finish(t, rows, vectors, sum);
}

TILE_SHAPES(tile_bf16, TILES_BF16)

#endif
