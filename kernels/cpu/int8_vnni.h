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

/* Rows are reached from every fourth one: few registers hold addresses, or they end up in vectors. */
INLINE void tile_int8(const struct tile *t, const int rows, const int vectors)
{
    struct w16 sum[TILE_ROWS_MAX][4], column[4];
    const int64_t lda = t->lda, ldb = t->ldb;
    const float *b = t->b, *a[3];
    int64_t at[4];
    FOR(i, 3) a[i] = 4 * i < rows ? t->a + 4 * i * lda : t->a;
    FOR(v, vectors) at[v] = tile_vector(t, v, vectors);
    int8_sums_load(t, rows, vectors, sum);
    for (int64_t k = t->k; k > 0; k--, b += ldb) {
        FOR(i, (rows + 3) / 4) __asm__("" : "+r"(a[i])); /* an address of its own */
        FOR(v, vectors) column[v] = w16_load(b + at[v]);
        FOR(r, rows)
        {
            struct w16 x = w16_set(a[r / 4] + r % 4 * lda);
            FOR(v, vectors) w16_dot(&sum[r][v], x, column[v]);
        }
        FOR(i, (rows + 3) / 4) a[i]++;
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
    int8_rows(a, row, rows, (uint8_t *)to, 4 * ld, scale);
}

#endif
