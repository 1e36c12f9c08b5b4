/* The row operations of `ref_exact` that move rows: gather, pooling, rotary positions, top-k. */
#include "kernels/ref/ref_exact.h"

#include <math.h>

#include "kernels/blocks.h"
#include "kernels/check.h"
#include "kernels/ref/select.h"

static float table_element(const struct ech_embed_args *a, int64_t t, int64_t i, int64_t c)
{
    const size_t bytes = ech_block_row_bytes(a->wtype[t], a->cols);
    float x;
    ech_block_decode(a->wtype[t], (const uint8_t *)a->tables[t] + bytes * (size_t)a->ids[t][i], c, 1, &x);
    return x;
}

int ech_exact_embed(struct ech_queue *queue, const struct ech_embed_args *a)
{
    (void)queue;
    int rc = ech_check_embed(a);
    if (rc)
        return rc;
    for (int64_t i = 0; i < a->count; i++)
        for (int64_t c = 0; c < a->cols; c++) {
            float v = table_element(a, 0, i, c);
            for (int64_t t = 1; t < a->tables_count; t++)
                v += table_element(a, t, i, c);
            a->y[i * a->cols + c] = v;
        }
    return ECH_OP_OK;
}

/* Column c of row r. */
static float combine_element(const struct ech_combine_args *a, int64_t r, int64_t c)
{
    float y = a->add ? a->y[r * a->ldy + c] : 0.0f;
    for (int64_t j = r * a->take; j < (r + 1) * a->take; j++) {
        const float x = a->x[a->index[j] * a->ldx + c];
        if (a->weight)
            y = fmaf(a->weight[j], x, y);
        else
            y = a->take == 1 && !a->add ? x : y + x;
    }
    return y;
}

int ech_exact_combine(struct ech_queue *queue, const struct ech_combine_args *a)
{
    (void)queue;
    int rc = ech_check_combine(a);
    for (int64_t r = 0; !rc && r < a->rows; r++)
        for (int64_t c = 0; c < a->cols; c++)
            a->y[r * a->ldy + c] = combine_element(a, r, c);
    return rc;
}

/* Rows [first, end) of y: of each key, so many neighbouring distances lie in a cache line or two. */
static void relative_block(const struct ech_relative_args *a, int64_t first, int64_t end)
{
    for (int64_t j = 0; j < a->rows; j++) {
        const int32_t *index = a->index + a->centre - j;
        for (int64_t i = first; i < end; i++) {
            const int64_t d = index[i];
            float v = a->content ? a->content[i * a->ldc + d] : a->position[j * a->ldp + d];
            if (a->content && a->position)
                v += a->position[j * a->ldp + d];
            a->y[i * a->ldy + j] = v * a->scale;
        }
    }
}

int ech_exact_relative(struct ech_queue *queue, const struct ech_relative_args *a)
{
    enum { BLOCK = 16 };
    (void)queue;
    int rc = ech_check_relative(a);
    for (int64_t i = 0; !rc && i < a->rows; i += BLOCK)
        relative_block(a, i, i + BLOCK < a->rows ? i + BLOCK : a->rows);
    return rc;
}

/* Column c of rows [0, rows) at x; no rows: 0. */
static float pool_column(const struct ech_pool_args *a, const float *x, int64_t rows)
{
    if (rows == 0)
        return 0.0f;
    float v = x[0];
    if (a->kind == ECH_POOL_CLS)
        return v;
    if (a->kind == ECH_POOL_MAX) {
        for (int64_t r = 1; r < rows; r++) {
            float o = x[r * a->ldx];
            v = o > v || o != o ? o : v; /* a NaN wins and stays */
        }
        return v;
    }
    v = 0.0f;
    for (int64_t r = 0; r < rows; r++)
        v += x[r * a->ldx];
    return v / (float)rows;
}

static void normalize(float *x, int64_t cols)
{
    float lane[ECH_LANES] = {0};
    for (int64_t i = 0; i < cols; i++)
        lane[i % ECH_LANES] = fmaf(x[i], x[i], lane[i % ECH_LANES]);
    float norm = sqrtf(ech_lanes_sum(lane));
    norm = 1e-12f > norm ? 1e-12f : norm;
    for (int64_t i = 0; i < cols; i++)
        x[i] /= norm;
}

int ech_exact_pool(struct ech_queue *queue, const struct ech_pool_args *a)
{
    (void)queue;
    int rc = ech_check_pool(a);
    if (rc || a->cols == 0)
        return rc;
    for (int64_t s = 0; s < a->sequences; s++) {
        int64_t rows = a->starts[s + 1] - a->starts[s];
        for (int64_t c = 0; c < a->cols; c++)
            a->out[s * a->cols + c] = pool_column(a, rows ? a->x + a->starts[s] * a->ldx + c : NULL, rows);
        if (a->normalize)
            normalize(a->out + s * a->cols, a->cols);
    }
    return ECH_OP_OK;
}

/* One head: pairs (i, i + half), or (2i, 2i + 1). */
static void rotate(float *x, const float *cosine, const float *sine, int64_t half, bool interleaved)
{
    for (int64_t i = 0; i < half; i++) {
        float *first = x + (interleaved ? 2 * i : i), *second = first + (interleaved ? 1 : half);
        float a = *first, b = *second;
        *first = fmaf(a, cosine[i], -(b * sine[i]));
        *second = fmaf(b, cosine[i], a * sine[i]);
    }
}

int ech_exact_rotary(struct ech_queue *queue, const struct ech_rotary_args *a)
{
    (void)queue;
    int rc = ech_check_rotary(a);
    if (rc || a->rotary == 0)
        return rc;
    const int64_t half = a->rotary / 2;
    for (int64_t r = 0; r < a->rows; r++)
        for (int64_t h = 0; h < a->heads; h++)
            rotate(a->x + r * a->ldx + h * a->head_dim, a->cos + a->positions[r] * half,
                   a->sin + a->positions[r] * half, half, a->interleaved);
    return ECH_OP_OK;
}

static void select_row(const float *x, int64_t cols, int64_t count, int32_t *heap)
{
    for (int64_t i = 0; i < count; i++)
        heap[i] = (int32_t)i;
    ech_heap_make(x, heap, count);
    for (int64_t i = count; i < cols; i++)
        ech_heap_offer(x, heap, count, (int32_t)i);
    ech_heap_sort(x, heap, count);
}

int ech_exact_topk(struct ech_queue *queue, const struct ech_topk_args *a)
{
    (void)queue;
    int rc = ech_check_topk(a);
    if (rc || a->count == 0)
        return rc;
    for (int64_t r = 0; r < a->rows; r++) {
        const float *x = a->x + r * a->ldx;
        int32_t *indices = a->indices + r * a->count;
        select_row(x, a->cols, a->count, indices);
        for (int64_t i = 0; a->values && i < a->count; i++)
            a->values[r * a->count + i] = x[indices[i]];
    }
    return ECH_OP_OK;
}
