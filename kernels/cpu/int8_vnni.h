/* int8 tiles by `vpdpbusd`: four products a word and step. In files compiled for AVX-512 with VNNI. */
#ifndef ECH_KERNELS_CPU_INT8_VNNI_H
#define ECH_KERNELS_CPU_INT8_VNNI_H

#include "kernels/cpu/int8.h"

/* sum += the four products of u8 and s8 of each word. gcc 12 copies and spills registers round the intrinsic.
 */
INLINE void w16_dot(struct w16 *sum, struct w16 u, struct w16 s)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum->v) : "v"(u.v), "v"(s.v));
}

INLINE void tile_int8(const struct tile *t, const int rows, const int vectors)
{
    struct w16 sum[TILE_ROWS_MAX][4], column[4];
    const float *a = t->a, *b = t->b;
    const int64_t lda = t->lda, ldb = t->ldb;
    int64_t at[4];
    FOR(v, vectors) at[v] = tile_vector(t, v, vectors);
    tile_prefetch(t, rows, vectors);
    int8_sums_load(t, rows, vectors, sum);
    for (int64_t k = t->k; k > 0; k--, a++, b += ldb) {
        FOR(v, vectors) column[v] = w16_load(b + at[v]);
        FOR(r, rows)
        {
            struct w16 x = w16_set(a + r * lda);
            FOR(v, vectors) w16_dot(&sum[r][v], x, column[v]);
        }
    }
    int8_finish(t, rows, vectors, sum);
}

TILE_SHAPES(tile_int8, TILES_INT8)

/* Q8 rows of whole, aligned words are A as they lie. */
static bool int8_in_place(const struct ech_linear_args *a)
{
    return a->x_type == ECH_A_Q8 && a->ldx % 4 == 0 && (uintptr_t)a->x % 4 == 0;
}

static void int8_bring(const struct ech_linear_args *a, int64_t row, int64_t rows, float *to, int64_t ld,
                       float *scale)
{
    for (int64_t r = 0; r < rows; r++)
        scale[r] = int8_row(a, row + r, (uint8_t *)(to + r * ld));
}

#endif
