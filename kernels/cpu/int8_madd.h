/* int8 tiles by products of i16 pairs, for processors without VNNI: exact, nothing saturates. A step's four
 * bytes of a row are two words, bytes 0 and 2, then 1 and 3, as i16; the weights' bytes are parted likewise
 * as they are loaded. */
#ifndef ECH_KERNELS_CPU_INT8_MADD_H
#define ECH_KERNELS_CPU_INT8_MADD_H

#include "kernels/cpu/int8.h"

INLINE void tile_int8(const struct tile *t, const int rows, const int vectors)
{
    struct w16 sum[TILE_ROWS_MAX][4], column[4];
    const float *a = t->a, *b = t->b;
    const int64_t lda = t->lda, ldb = t->ldb;
    int64_t at[4];
    FOR(v, vectors) at[v] = tile_vector(t, v, vectors);
    int8_sums_load(t, rows, vectors, sum);
    for (int64_t k = t->k; k > 0; k--, a += 2, b += ldb) {
        FOR(v, vectors) column[v] = w16_even_bytes(w16_load(b + at[v]));
        FOR(r, rows)
        {
            struct w16 x = w16_set(a + r * lda);
            FOR(v, vectors) sum[r][v] = w16_add(sum[r][v], w16_pairs(x, column[v]));
        }
        FOR(v, vectors) column[v] = w16_odd_bytes(w16_load(b + at[v]));
        FOR(r, rows)
        {
            struct w16 x = w16_set(a + r * lda + 1);
            FOR(v, vectors) sum[r][v] = w16_add(sum[r][v], w16_pairs(x, column[v]));
        }
    }
    int8_finish(t, rows, vectors, sum);
}

TILE_SHAPES(tile_int8, TILES_INT8)

static bool int8_never_in_place(const struct ech_linear_args *a)
{
    (void)a;
    return false;
}

/* The bytes lie behind the place of their pairs, which never overtake them: a row has room for both. */
static void int8_bring(const struct ech_linear_args *a, int64_t row, int64_t rows, float *to, int64_t ld,
                       float *scale)
{
    const int64_t stride = ech_q8_stride(a->k);
    int8_rows(a, row, rows, (uint8_t *)to + stride, 4 * ld, scale);
    for (int64_t r = 0; r < rows; r++) {
        char *pairs = (char *)(to + r * ld);
        for (int64_t i = 0; i < stride; i += 64)
            w16_store_pairs(pairs + 2 * i, w16_load(pairs + stride + i));
    }
}

static const struct product_format FORMAT_INT8_MADD = {.unit = 4,
                                                       .lane_words = 16,
                                                       .row_words = 2,
                                                       .block = 384,
                                                       .tail = 2,
                                                       .tiles = &TILES_INT8,
                                                       .in_place = int8_never_in_place,
                                                       .bring = int8_bring};

#endif
