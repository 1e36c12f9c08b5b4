/* ECH_FMT_INT4: tiles over groups of 32, and x as groups. A group of a row of A is ten words: 32 s8, its f32
 * scale, and -8 x the sum of its values (i32): where the sums of nibbles (value + 8) begin. Sums are exact in
 * i32; one FMA a group. Included after a v16_*.h, its narrow_*.h and w16_*.h, mathv.h, rows_types.h, and the
 * w16_nibble_sum of the instruction set:
 *   struct w16 w16_nibble_sum(struct w16 start, const struct w16 nibbles[8], const float *x)
 *   start + the sum over i below 8 of the four products of nibbles[i] (u8) and the bytes of word x[i] (s8).
 */
#ifndef ECH_KERNELS_CPU_INT4_H
#define ECH_KERNELS_CPU_INT4_H

#include <string.h>

#include "kernels/cpu/group32.h"
#include "kernels/cpu/product_format.h"
#include "kernels/panels_int.h"

enum { INT4_SCALE = 8, INT4_START = 9, INT4_ROW_WORDS = 10 };

INLINE void int4_nibbles(const float *b, struct w16 nibbles[8])
{
    FOR(i, 4)
    {
        struct w16 both = w16_load(b + 16 * i);
        nibbles[i] = w16_low_nibbles(both);
        nibbles[4 + i] = w16_high_nibbles(both);
    }
}

INLINE void tile_int4(const struct tile *t, const int rows, const int vectors)
{
    struct v16 sum[TILE_ROWS_MAX][4];
    const float *a = t->a, *b = t->b;
    const int64_t lda = t->lda, ldb = t->ldb;
    int64_t at[4];
    FOR(v, vectors) at[v] = ECH_INT4_WORDS * v + (vectors < 4 && v >= t->before ? t->jump : 0);
    tile_prefetch(t, rows, vectors);
    tile_sums_load(t, rows, vectors, sum);
    for (int64_t k = t->k; k > 0; k--, a += INT4_ROW_WORDS, b += ldb) {
        FOR(v, vectors)
        {
            struct w16 nibbles[8];
            int4_nibbles(b + at[v], nibbles);
            const struct v16 scale = v16_from_f16((const uint16_t *)(b + at[v] + 64));
            FOR(r, rows)
            {
                const float *x = a + r * lda;
                struct w16 dot = w16_nibble_sum(w16_set(x + INT4_START), nibbles, x);
                struct v16 both = v16_mul(v16_set(x[INT4_SCALE]), scale);
                sum[r][v] = v16_fma(w16_float(dot), both, sum[r][v]);
            }
        }
    }
    tile_finish(t, rows, vectors, sum);
}

TILE_SHAPES(tile_int4, TILES_INT4)

/* 32 elements, missing ones 0, as a group of A. */
INLINE void int4_group(struct v16 x0, struct v16 x1, float *to)
{
    int32_t sums[2];
    to[INT4_SCALE] = group32_values(x0, x1, to, sums);
    const int32_t start = -8 * (sums[0] + sums[1]);
    memcpy(to + INT4_START, &start, sizeof start);
}

static void int4_bring(const struct ech_linear_args *a, int64_t row, int64_t rows, float *to, int64_t ld,
                       float *scale)
{
    (void)scale;
    for (int64_t r = 0; r < rows; r++) {
        const float *x = (const float *)a->x + (row + r) * a->ldx;
        float *group = to + r * ld;
        for (int64_t i = 0; i < a->k; i += ECH_INT4_GROUP, group += INT4_ROW_WORDS)
            int4_group(row_load(x, i, a->k), i + 16 < a->k ? row_load(x, i + 16, a->k) : v16_zero(), group);
    }
}

static bool int4_in_place(const struct ech_linear_args *a)
{
    (void)a;
    return false;
}

#define INT4_FORMAT                                                                                          \
    {                                                                                                        \
        .unit = ECH_INT4_GROUP, .lane_words = ECH_INT4_WORDS, .row_words = INT4_ROW_WORDS, .block = 96,      \
        .tiles = &TILES_INT4, .in_place = int4_in_place, .bring = int4_bring                                 \
    }

#endif
