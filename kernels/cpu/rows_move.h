/* Gather, pooling and rotary positions over vectors. Included after a v16_*.h, its narrow_*.h and rows.h. */
#ifndef ECH_KERNELS_CPU_ROWS_MOVE_H
#define ECH_KERNELS_CPU_ROWS_MOVE_H

#include <math.h>

#include "kernels/blocks.h"
#include "kernels/check.h"
#include "kernels/convert.h"

/* 16 elements of a table, from element `at` on. */
INLINE struct v16 embed_load(const void *table, enum ech_wtype type, int64_t at)
{
    if (type == ECH_W_F32)
        return v16_load((const float *)table + at);
    const uint16_t *half = (const uint16_t *)table + at;
    return type == ECH_W_F16 ? v16_from_f16(half) : v16_from_bf16(half);
}

static bool embed_blocks(const struct ech_embed_args *a)
{
    bool blocks = false;
    for (int64_t t = 0; t < a->tables_count; t++)
        blocks = blocks || a->wtype[t] > ECH_W_BF16;
    return blocks;
}

/* Where a table has blocks: each taken apart, 256 elements at a time. */
static void embed_row_blocks(const struct ech_embed_args *a, int64_t i, float *y)
{
    float part[ECH_BLOCK_MAX];
    for (int64_t c = 0; c < a->cols; c += ECH_BLOCK_MAX) {
        const int64_t count = a->cols - c < ECH_BLOCK_MAX ? a->cols - c : ECH_BLOCK_MAX;
        for (int64_t t = 0; t < a->tables_count; t++) {
            const size_t bytes = ech_block_row_bytes(a->wtype[t], a->cols);
            const uint8_t *row = (const uint8_t *)a->tables[t] + bytes * (size_t)a->ids[t][i];
            ech_block_decode(a->wtype[t], row, c, count, t ? part : y + c);
            for (int64_t j = 0; t && j < count; j++)
                y[c + j] += part[j];
        }
    }
}

static void embed_row(const struct ech_embed_args *a, int64_t i, float *y)
{
    int64_t first[4] = {0}, c = 0;
    for (int64_t t = 0; t < a->tables_count; t++)
        first[t] = a->ids[t][i] * a->cols;
    for (; c + 16 <= a->cols; c += 16) {
        struct v16 v = embed_load(a->tables[0], a->wtype[0], first[0] + c);
        for (int64_t t = 1; t < a->tables_count; t++)
            v = v16_add(v, embed_load(a->tables[t], a->wtype[t], first[t] + c));
        v16_store(y + c, v);
    }
    for (; c < a->cols; c++) {
        float v = ech_load_weight(a->tables[0], a->wtype[0], first[0] + c);
        for (int64_t t = 1; t < a->tables_count; t++)
            v += ech_load_weight(a->tables[t], a->wtype[t], first[t] + c);
        y[c] = v;
    }
}

static int embed(struct ech_queue *queue, const struct ech_embed_args *a)
{
    (void)queue;
    int rc = ech_check_embed(a);
    if (rc)
        return rc;
    const bool blocks = embed_blocks(a);
    for (int64_t i = 0; i < a->count; i++)
        (blocks ? embed_row_blocks : embed_row)(a, i, a->y + i * a->cols);
    return ECH_OP_OK;
}

/* A vector of columns of one row of y. */
INLINE struct v16 combine_vector(const struct ech_combine_args *a, int64_t r, int64_t c)
{
    struct v16 y = a->add ? row_load(a->y + r * a->ldy, c, a->cols) : v16_zero();
    for (int64_t j = r * a->take; j < (r + 1) * a->take; j++) {
        const struct v16 x = row_load(a->x + a->index[j] * a->ldx, c, a->cols);
        if (a->weight)
            y = v16_fma(v16_set(a->weight[j]), x, y);
        else
            y = a->take == 1 && !a->add ? x : v16_add(y, x);
    }
    return y;
}

static int combine(struct ech_queue *queue, const struct ech_combine_args *a)
{
    (void)queue;
    int rc = ech_check_combine(a);
    for (int64_t r = 0; !rc && r < a->rows; r++)
        for (int64_t c = 0; c < a->cols; c += 16)
            row_store(a->y + r * a->ldy, c, a->cols, combine_vector(a, r, c));
    return rc;
}

INLINE struct v16 pool_join(enum ech_pool kind, struct v16 o, struct v16 v)
{
    return kind == ECH_POOL_MEAN ? v16_add(o, v) : v16_greater_or_nan(v, o);
}

/* A strip of columns of the rows of a sequence (at least one), in registers. `lanes` of the last vector. */
INLINE void pool_strip(const struct ech_pool_args *a, const float *x, int64_t rows, float *out,
                       const int vectors, int64_t lanes)
{
    struct v16 o[GROUP];
    FOR(v, vectors)
    {
        struct v16 first = row_load(x, 16 * v, 16 * v + lanes);
        o[v] = a->kind == ECH_POOL_MEAN ? v16_add(v16_zero(), first) : first;
    }
    for (int64_t r = 1; r < rows && a->kind != ECH_POOL_CLS; r++)
        FOR(v, vectors) o[v] = pool_join(a->kind, o[v], row_load(x + r * a->ldx, 16 * v, 16 * v + lanes));
    if (a->kind == ECH_POOL_MEAN)
        FOR(v, vectors) o[v] = v16_div(o[v], v16_set((float)rows));
    FOR(v, vectors) row_store(out, 16 * v, 16 * v + lanes, o[v]);
}

static void pool_rows(const struct ech_pool_args *a, const float *x, int64_t rows, float *out)
{
    int64_t c = 0;
    for (; c + 16 * GROUP <= a->cols; c += 16 * GROUP)
        pool_strip(a, x + c, rows, out + c, GROUP, 16);
    for (; c + 16 <= a->cols; c += 16)
        pool_strip(a, x + c, rows, out + c, 1, 16);
    if (c < a->cols)
        pool_strip(a, x + c, rows, out + c, 1, a->cols - c);
}

static void pool_normalize(float *x, int64_t cols)
{
    struct v16 square = v16_zero();
    for (int64_t c = 0; c < cols; c += 16) {
        struct v16 v = row_load(x, c, cols);
        square = v16_fma(v, v, square);
    }
    float norm = sqrtf(v16_sum(square));
    divide_row(x, cols, 1e-12f > norm ? 1e-12f : norm);
}

static int pool(struct ech_queue *queue, const struct ech_pool_args *a)
{
    (void)queue;
    int rc = ech_check_pool(a);
    if (rc || a->cols == 0)
        return rc;
    for (int64_t s = 0; s < a->sequences; s++) {
        int64_t first = a->starts[s], rows = a->starts[s + 1] - first;
        float *out = a->out + s * a->cols;
        if (rows == 0)
            memset(out, 0, (size_t)a->cols * sizeof *out);
        else
            pool_rows(a, a->x + first * a->ldx, rows, out);
        if (a->normalize)
            pool_normalize(out, a->cols);
    }
    return ECH_OP_OK;
}

/* Pairs (i, i + half) of one head. */
INLINE void rotate_halves(float *x, const float *cosine, const float *sine, int64_t half)
{
    for (int64_t i = 0; i < half; i += 16) {
        struct v16 a = row_load(x, i, half), b = row_load(x + half, i, half);
        struct v16 c = row_load(cosine, i, half), s = row_load(sine, i, half);
        struct v16 turned = v16_mul(b, s);
        row_store(x, i, half, v16_fma(a, c, v16_sub(v16_set(-0.0f), turned)));
        row_store(x + half, i, half, v16_fma(b, c, v16_mul(a, s)));
    }
}

/* Pairs (2i, 2i + 1) of one head. */
INLINE void rotate_pairs(float *x, const float *cosine, const float *sine, int64_t half)
{
    for (int64_t i = 0; i < half; i += 8) {
        int64_t pairs = half - i < 8 ? half - i : 8;
        struct v16 v = row_load(x, 2 * i, 2 * half);
        struct v16 c = v16_load_twice(cosine + i, pairs), s = v16_load_twice(sine + i, pairs);
        struct v16 turned = v16_negate_even(v16_mul(v16_swap_pairs(v), s));
        row_store(x, 2 * i, 2 * half, v16_fma(v, c, turned));
    }
}

static int rotary(struct ech_queue *queue, const struct ech_rotary_args *a)
{
    (void)queue;
    int rc = ech_check_rotary(a);
    if (rc || a->rotary == 0)
        return rc;
    const int64_t half = a->rotary / 2;
    for (int64_t r = 0; r < a->rows; r++) {
        const float *cosine = a->cos + a->positions[r] * half, *sine = a->sin + a->positions[r] * half;
        float *x = a->x + r * a->ldx;
        for (int64_t h = 0; h < a->heads; h++, x += a->head_dim)
            if (a->interleaved)
                rotate_pairs(x, cosine, sine, half);
            else
                rotate_halves(x, cosine, sine, half);
    }
    return ECH_OP_OK;
}

#endif
