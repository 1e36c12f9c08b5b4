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

/* While a tile runs, its share of the f32 rows that lie a block further is asked for, a little every step:
 * when they are quantised they are near (2 % at 2048 rows; of the kinds of prefetch this one did best). */
struct ahead {
    const char *at;
    int64_t step;
};

INLINE struct ahead int8_ahead(const struct tile *t, const int rows, const int vectors)
{
    enum { BLOCK = 96 };
    const struct tile_end *e = t->end;
    if (!e || t->k == 0 || e->args->x_type != ECH_A_F32 || e->row + BLOCK + rows > e->args->m)
        return (struct ahead){(const char *)t->a, 0};
    const struct ech_linear_args *a = e->args;
    const double column = (double)(rows * a->ldx) * sizeof(float) / (double)a->n; /* bytes of x a column */
    const char *x = (const char *)((const float *)a->x + (e->row + BLOCK) * a->ldx);
    return (struct ahead){x + (int64_t)(column * (double)e->column),
                          (int64_t)(column * (16 * vectors) / (double)t->k)};
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
    struct ahead ahead = int8_ahead(t, rows, vectors);
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
        __builtin_prefetch(ahead.at, 0, 0);
        ahead.at += ahead.step;
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
