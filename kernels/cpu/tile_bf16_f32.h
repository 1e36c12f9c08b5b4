/* Tiles of bf16 weights and f32 rows: the f32 chain, two elements a step, the even one first. */
#ifndef ECH_KERNELS_CPU_TILE_BF16_F32_H
#define ECH_KERNELS_CPU_TILE_BF16_F32_H

#include "kernels/cpu/product_format.h"

INLINE void tile_bf16_f32(const struct tile *t, const int rows, const int vectors)
{
    struct v16 sum[TILE_ROWS_MAX][4], odd[4], even[4];
    const float *a = t->a, *b = t->b;
    const int64_t lda = t->lda, ldb = t->ldb;
    int64_t at[4];
    FOR(v, vectors) at[v] = tile_vector(t, v, vectors);
    tile_prefetch(t, rows, vectors);
    tile_sums_load(t, rows, vectors, sum);
    for (int64_t k = t->k; k > 0; k--, a += 2, b += ldb) {
        FOR(v, vectors)
        {
            struct v16 pair = v16_load(b + at[v]);
            odd[v] = v16_bf16_high(pair);
            even[v] = v16_bf16_low(pair);
        }
        FOR(r, rows)
        {
            struct v16 x = v16_set(a[r * lda]);
            FOR(v, vectors) sum[r][v] = v16_fma(x, even[v], sum[r][v]);
        }
        FOR(r, rows)
        {
            struct v16 x = v16_set(a[r * lda + 1]);
            FOR(v, vectors) sum[r][v] = v16_fma(x, odd[v], sum[r][v]);
        }
    }
    tile_finish(t, rows, vectors, sum);
}

TILE_SHAPES(tile_bf16_f32, TILES_BF16_F32)

static bool pairs_in_place(const struct ech_linear_args *a)
{
    return a->k % 2 == 0;
}

/* Rows of odd k, copied: the element that fills the last pair is -0, times the weights' 0 it changes no sum.
 */
static void pairs_bring(const struct ech_linear_args *a, int64_t row, int64_t rows, float *to, int64_t ld,
                        float *scale)
{
    (void)scale;
    for (int64_t r = 0; r < rows; r++) {
        memcpy(to + r * ld, (const float *)a->x + (row + r) * a->ldx, (size_t)a->k * sizeof(float));
        to[r * ld + a->k] = -0.0f;
    }
}

static const struct product_format FORMAT_BF16_F32 = {.unit = 2,
                                                      .lane_words = 16,
                                                      .row_words = 2,
                                                      .block = 192,
                                                      .tiles = &TILES_BF16_F32,
                                                      .in_place = pairs_in_place,
                                                      .bring = pairs_bring};

#endif
