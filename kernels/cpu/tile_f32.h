/* f32 tiles: one FMA an element and step. ECH_FMT_F32 in the product, and attention. */
#ifndef ECH_KERNELS_CPU_TILE_F32_H
#define ECH_KERNELS_CPU_TILE_F32_H

#include "kernels/cpu/product_format.h"

INLINE void tile_f32(const struct tile *t, const int rows, const int vectors)
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
            FOR(v, vectors) sum[r][v] = v16_fma(x, column[v], sum[r][v]);
        }
    }
    tile_finish(t, rows, vectors, sum);
}

TILE_SHAPES(tile_f32, TILES_F32)

static void tile_strip(struct tile t, int64_t rows, int64_t vectors)
{
    tile_strip_of(&TILES_F32, &t, rows, vectors);
}

static bool f32_in_place(const struct ech_linear_args *a)
{
    (void)a;
    return true;
}

static const struct product_format FORMAT_F32 = {
    .unit = 1, .lane_words = 16, .row_words = 1, .block = 384, .tiles = &TILES_F32, .in_place = f32_in_place};

#endif
