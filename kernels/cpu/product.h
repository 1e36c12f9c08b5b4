/* The packed product over vectors: tiles of C held in registers, one chain of FMAs an element in ascending k,
 * whatever the tile, so a row's bits do not depend on the rows beside it.
 * Included after a v16_*.h and mathv.h.
 *
 *   for blocks of BLOCK_ROWS rows          x block in L2
 *     for panels of 64 columns             panel in L2, once from memory
 *       for blocks of BLOCK_K              its part of the panel from L1 or L2
 *         for row tiles                    in registers; between blocks of k in `sums` (exact: f32 either
 * way) finish: bias, activation, residual, store */
#ifndef ECH_KERNELS_CPU_PRODUCT_H
#define ECH_KERNELS_CPU_PRODUCT_H

#include "kernels/check.h"
#include "kernels/panels.h"

enum { BLOCK_ROWS = 96, BLOCK_K = 384 };

/* c (rows, 16 vectors) = [c +] a (rows, k) b (k, 16 vectors); strides in floats. */
struct tile {
    const float *a, *b;
    float *c;
    int64_t lda, ldb, ldc, k;
    bool resume; /* the chains go on from c */
};

INLINE void tile_run(const struct tile *t, const int rows, const int vectors)
{
    struct v16 sum[12][4], column[4];
    const float *a = t->a, *b = t->b;
    const int64_t lda = t->lda, ldb = t->ldb;
    FOR(r, rows)
    {
        FOR(v, vectors) sum[r][v] = t->resume ? v16_load(t->c + r * t->ldc + 16 * v) : v16_zero();
    }
    for (int64_t k = t->k; k > 0; k--, a++, b += ldb) {
        FOR(v, vectors) column[v] = v16_load(b + 16 * v);
        FOR(r, rows)
        {
            struct v16 x = v16_set(a[r * lda]);
            FOR(v, vectors) sum[r][v] = v16_fma(x, column[v], sum[r][v]);
        }
    }
    FOR(r, rows)
    {
        FOR(v, vectors) v16_store(t->c + r * t->ldc + 16 * v, sum[r][v]);
    }
}

#define TILE(rows, vectors)                                                                                  \
    static void tile_##rows##x##vectors(const struct tile *t)                                                \
    {                                                                                                        \
        tile_run(t, rows, vectors);                                                                          \
    }
#define TILES_6(vectors)                                                                                     \
    TILE(1, vectors) TILE(2, vectors) TILE(3, vectors) TILE(4, vectors) TILE(5, vectors) TILE(6, vectors)
#define TILES_12(vectors)                                                                                    \
    TILES_6(vectors)                                                                                         \
    TILE(7, vectors) TILE(8, vectors) TILE(9, vectors) TILE(10, vectors) TILE(11, vectors) TILE(12, vectors)

/* Tallest tile for each width: what the registers hold (32 of 16 floats, or 16 of 8). */
#if TILE_VECTORS == 4
TILES_12(1)
TILES_12(2)
TILES_6(3)
TILE(7, 3)
TILE(8, 3)
TILES_6(4)
static void (*const TILE_TABLE[TILE_VECTORS][12])(const struct tile *) = {
    {tile_1x1, tile_2x1, tile_3x1, tile_4x1, tile_5x1, tile_6x1, tile_7x1, tile_8x1, tile_9x1, tile_10x1,
     tile_11x1, tile_12x1},
    {tile_1x2, tile_2x2, tile_3x2, tile_4x2, tile_5x2, tile_6x2, tile_7x2, tile_8x2, tile_9x2, tile_10x2,
     tile_11x2, tile_12x2},
    {tile_1x3, tile_2x3, tile_3x3, tile_4x3, tile_5x3, tile_6x3, tile_7x3, tile_8x3},
    {tile_1x4, tile_2x4, tile_3x4, tile_4x4, tile_5x4, tile_6x4}};
static const int64_t TILE_ROWS[TILE_VECTORS] = {12, 12, 8, 6};
#else
TILES_6(1)
static void (*const TILE_TABLE[TILE_VECTORS][6])(const struct tile *) = {
    {tile_1x1, tile_2x1, tile_3x1, tile_4x1, tile_5x1, tile_6x1}};
static const int64_t TILE_ROWS[TILE_VECTORS] = {6};
#endif

/* t over any number of rows and vectors, the rows split evenly over tiles. */
static void tile_strip(struct tile t, int64_t rows, int64_t vectors)
{
    for (int64_t v = 0; v < vectors; v += TILE_VECTORS) {
        int64_t width = vectors - v < TILE_VECTORS ? vectors - v : TILE_VECTORS;
        int64_t tiles = (rows + TILE_ROWS[width - 1] - 1) / TILE_ROWS[width - 1];
        for (int64_t i = 0; i < tiles; i++) {
            int64_t r0 = rows * i / tiles, r1 = rows * (i + 1) / tiles;
            struct tile one = t;
            one.a += r0 * t.lda;
            one.b += 16 * v;
            one.c += r0 * t.ldc + 16 * v;
            TILE_TABLE[width - 1][r1 - r0 - 1](&one);
        }
    }
}

/* Where a block of sums goes: rows [row, row + rows), columns [column, column + width). */
struct finish {
    const struct ech_linear_args *args;
    const float *sums; /* (rows, 64) */
    int64_t row, rows, column, width;
};

/* Vector v of a row: the lanes that exist; a whole vector without masks. */
INLINE struct v16 finish_load(const float *p, int64_t lanes)
{
    return lanes >= 16 ? v16_load(p) : v16_load_part(p, lanes);
}

INLINE int64_t finish_lanes(int64_t width, int v)
{
    int64_t lanes = width - 16 * v;
    return lanes < 0 ? 0 : lanes;
}

INLINE void finish_act(const struct finish *f, const enum ech_act act)
{
    const struct ech_linear_args *a = f->args;
    for (int64_t r = 0; r < f->rows; r++) {
        const float *residual = a->residual ? a->residual + (f->row + r) * a->ldr + f->column : NULL;
        float *y = (float *)a->y + (f->row + r) * a->ldy + f->column;
        struct v16 x[GROUP];
        EACH(v) x[v] = v16_load(f->sums + r * ECH_PANEL + 16 * v);
        if (a->bias)
            EACH(v)
        x[v] = v16_add(x[v], finish_load(a->bias + f->column + 16 * v, finish_lanes(f->width, v)));
        v16_act(act, x);
        if (residual)
            EACH(v) x[v] = v16_add(x[v], finish_load(residual + 16 * v, finish_lanes(f->width, v)));
        EACH(v)
        {
            int64_t lanes = finish_lanes(f->width, v);
            if (lanes >= 16)
                v16_store(y + 16 * v, x[v]);
            else if (lanes > 0)
                v16_store_part(y + 16 * v, x[v], lanes);
        }
    }
}

static void finish(const struct finish *f)
{
    switch (f->args->act) {
    case ECH_ACT_NONE:
        finish_act(f, ECH_ACT_NONE);
        break;
    case ECH_ACT_GELU:
        finish_act(f, ECH_ACT_GELU);
        break;
    case ECH_ACT_GELU_TANH:
        finish_act(f, ECH_ACT_GELU_TANH);
        break;
    case ECH_ACT_RELU:
        finish_act(f, ECH_ACT_RELU);
        break;
    case ECH_ACT_SILU:
        finish_act(f, ECH_ACT_SILU);
        break;
    case ECH_ACT_TANH:
        finish_act(f, ECH_ACT_TANH);
        break;
    }
}

/* One panel against one block of rows. */
static void panel_run(const struct ech_linear_args *a, int64_t row, int64_t rows, int64_t panel)
{
    _Alignas(64) float sums[BLOCK_ROWS * ECH_PANEL];
    int64_t column = panel * ECH_PANEL, left = a->n - column;
    int64_t k = 0;
    do { /* once for k = 0: the sums are then 0 */
        struct tile t = {.a = a->k ? (const float *)a->x + row * a->ldx + k : NULL,
                         .b = a->k ? (const float *)a->packed + column * a->k + k * ECH_PANEL : NULL,
                         .c = sums,
                         .lda = a->ldx,
                         .ldb = ECH_PANEL,
                         .ldc = ECH_PANEL,
                         .k = a->k - k < BLOCK_K ? a->k - k : BLOCK_K,
                         .resume = k > 0};
        tile_strip(t, rows, ECH_PANEL / 16);
        k += BLOCK_K;
    } while (k < a->k);
    finish(&(struct finish){a, sums, row, rows, column, left < ECH_PANEL ? left : ECH_PANEL});
}

static int linear(struct ech_queue *queue, const struct ech_linear_args *a)
{
    (void)queue;
    int rc = ech_check_linear(a);
    if (rc)
        return rc;
    for (int64_t row = 0; row < a->m; row += BLOCK_ROWS) {
        int64_t rows = a->m - row < BLOCK_ROWS ? a->m - row : BLOCK_ROWS;
        for (int64_t p = 0; p < ech_panels(a->n); p++)
            panel_run(a, row, rows, p);
    }
    return ECH_OP_OK;
}

#endif
