/* Tiles: the innermost loop of every product. A tile of C, `rows` by `vectors` of 16 columns, lives in
 * registers while k runs; its elements are chains in ascending k, so neither the tile's shape nor where k is
 * cut changes a bit. Included after a v16_*.h and mathv.h.
 *
 * Operands are words of 32 bits, whatever they hold: an f32, two bf16, four int8. A step of k takes one word
 * of each row of A and one word of each column of B. A format brings a `run` of its own (tile_f32.h,
 * tile_bf16.h) and stamps it out over all shapes with TILE_SHAPES. */
#ifndef ECH_KERNELS_CPU_TILE_H
#define ECH_KERNELS_CPU_TILE_H

#include "kernels/ops.h"

/* What becomes of a tile's sums once k is done. */
struct tile_end {
    const struct ech_linear_args *args;
    int64_t row, column; /* of the tile's first element in y */
    bool direct;     /* no activation, all columns exist, y f32 or bf16: the tile stores y itself; else c */
    char *y;         /* direct: that element, */
    int64_t y_bytes; /* bytes between rows, */
    const float *residual; /* and NULL or what is added to it; stride args->ldr */
    const float *x_scale;  /* of the tile's rows, where the format has one */
    const float *tail;     /* the packed weights' values a column (product_format.h), from packed column 0 */
    int64_t tail_stride;   /* between the first such value of a column and the second */
};

/* c (rows, 16 vectors) = [c +] a (rows, k) b (k, 16 vectors). */
struct tile {
    const float *a, *b; /* words */
    float *c;
    int64_t lda, ldb, ldc, k;   /* words; k: steps */
    bool resume;                /* the chains go on from c */
    int before;                 /* narrow tiles may straddle two panels: vectors from `before` on lie ... */
    int64_t jump;               /* ... so many words further */
    const struct tile_end *end; /* NULL: the sums themselves go to c */
};

enum { TILE_ROWS_MAX = 12 };

/* Every shape of one kind of tile. */
struct tile_table {
    void (*run[TILE_VECTORS][TILE_ROWS_MAX])(const struct tile *); /* [vectors - 1][rows - 1] */
};

/* Tallest tile for each width: what the registers hold (32 of 16 floats, or 16 of 8). */
static const int64_t TILE_ROWS[TILE_VECTORS] =
#if TILE_VECTORS == 4
    {12, 12, 8, 6};
#else
    {6};
#endif

#define TILE_ATTRIBUTES
#define TILE_SHAPE(run, rows, vectors)                                                                       \
    TILE_ATTRIBUTES static void run##_##rows##x##vectors(const struct tile *t)                               \
    {                                                                                                        \
        run(t, rows, vectors);                                                                               \
    }
#define TILE_SHAPES_6(run, vectors)                                                                          \
    TILE_SHAPE(run, 1, vectors)                                                                              \
    TILE_SHAPE(run, 2, vectors)                                                                              \
    TILE_SHAPE(run, 3, vectors)                                                                              \
    TILE_SHAPE(run, 4, vectors)                                                                              \
    TILE_SHAPE(run, 5, vectors)                                                                              \
    TILE_SHAPE(run, 6, vectors)
#define TILE_SHAPES_8(run, vectors)                                                                          \
    TILE_SHAPES_6(run, vectors) TILE_SHAPE(run, 7, vectors) TILE_SHAPE(run, 8, vectors)
#define TILE_SHAPES_12(run, vectors)                                                                         \
    TILE_SHAPES_8(run, vectors)                                                                              \
    TILE_SHAPE(run, 9, vectors)                                                                              \
    TILE_SHAPE(run, 10, vectors) TILE_SHAPE(run, 11, vectors) TILE_SHAPE(run, 12, vectors)
#define TILE_NAMES_6(run, v)  run##_1x##v, run##_2x##v, run##_3x##v, run##_4x##v, run##_5x##v, run##_6x##v
#define TILE_NAMES_8(run, v)  TILE_NAMES_6(run, v), run##_7x##v, run##_8x##v
#define TILE_NAMES_12(run, v) TILE_NAMES_8(run, v), run##_9x##v, run##_10x##v, run##_11x##v, run##_12x##v

/* Defines the functions of `run` (INLINE void run(const struct tile *, const int rows, const int vectors))
 * and `table` of them. */
#if TILE_VECTORS == 4
#define TILE_SHAPES(run, table)                                                                              \
    TILE_SHAPES_12(run, 1)                                                                                   \
    TILE_SHAPES_12(run, 2)                                                                                   \
    TILE_SHAPES_8(run, 3)                                                                                    \
    TILE_SHAPES_6(run, 4)                                                                                    \
    static const struct tile_table table = {                                                                 \
        {{TILE_NAMES_12(run, 1)}, {TILE_NAMES_12(run, 2)}, {TILE_NAMES_8(run, 3)}, {TILE_NAMES_6(run, 4)}}};
#else
#define TILE_SHAPES(run, table)                                                                              \
    TILE_SHAPES_6(run, 1)                                                                                    \
    static const struct tile_table table = {{{TILE_NAMES_6(run, 1)}}};
#endif

/* Words from t->b to vector v of a step. Tiles of four never straddle: a constant. */
INLINE int64_t tile_vector(const struct tile *t, int v, const int vectors)
{
    return 16 * v + (vectors < 4 && v >= t->before ? t->jump : 0);
}

INLINE void tile_sums_load(const struct tile *t, const int rows, const int vectors, struct v16 sum[][4])
{
    FOR(r, rows)
    {
        FOR(v, vectors) sum[r][v] = t->resume ? v16_load(t->c + r * t->ldc + 16 * v) : v16_zero();
    }
}

INLINE void tile_sums_store(const struct tile *t, const int rows, const int vectors, struct v16 sum[][4])
{
    FOR(r, rows)
    {
        FOR(v, vectors) v16_store(t->c + r * t->ldc + 16 * v, sum[r][v]);
    }
}

/* Row r of results to y itself. */
INLINE void tile_row_direct(const struct tile_end *e, int r, const int vectors, struct v16 x[4])
{
    if (e->residual) {
        const float *residual = e->residual + r * e->args->ldr;
        FOR(v, vectors) x[v] = v16_add(x[v], v16_load(residual + 16 * v));
    }
    char *y = e->y + r * e->y_bytes;
    if (e->args->y_type == ECH_A_F32) {
        FOR(v, vectors) v16_store((float *)y + 16 * v, x[v]);
    } else {
        FOR(v, vectors) v16_store_bf16((uint16_t *)y + 16 * v, x[v]);
    }
}

/* f32 results of a tile, bias included: to y, or to c for what is left to do. */
INLINE void tile_results(const struct tile *t, const int rows, const int vectors, struct v16 x[][4])
{
    if (!t->end->direct) {
        tile_sums_store(t, rows, vectors, x);
        return;
    }
    FOR(r, rows) tile_row_direct(t->end, r, vectors, x[r]);
}

/* Vector v of a value a column (the bias): the columns that exist. */
INLINE struct v16 tile_column(const struct tile_end *e, const float *values, int v)
{
    int64_t lanes = e->direct ? 16 : e->args->n - e->column - 16 * v;
    return lanes >= 16 ? v16_load(values + e->column + 16 * v)
                       : v16_load_part(values + e->column + 16 * v, lanes < 0 ? 0 : lanes);
}

/* The end of formats whose sums are f32: to c, or bias and out. */
INLINE void tile_finish(const struct tile *t, const int rows, const int vectors, struct v16 sum[][4])
{
    if (!t->end) {
        tile_sums_store(t, rows, vectors, sum);
        return;
    }
    if (t->end->args->bias) {
        FOR(v, vectors)
        {
            struct v16 bias = tile_column(t->end, t->end->args->bias, v);
            FOR(r, rows) sum[r][v] = v16_add(sum[r][v], bias);
        }
    }
    tile_results(t, rows, vectors, sum);
}

/* The lines of y that the tile will write: asked for before k runs, they are there when it ends. */
INLINE void tile_prefetch(const struct tile *t, const int rows, const int vectors)
{
    const struct tile_end *e = t->end;
    if (!e || !e->direct)
        return;
    FOR(r, rows)
    {
        FOR(v, vectors) __builtin_prefetch(e->y + r * e->y_bytes + 64 * v, 1);
    }
}

#endif
