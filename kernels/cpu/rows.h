/* The row operations over vectors: norm, softmax, activation, gather, pooling.
 * Included after a v16_*.h, mathv.h and rows_types.h. A row's tail is computed on vectors whose missing lanes
 * are 0 (or -inf for a maximum): adding +0 to a lane that began at +0 changes nothing, so the bits are
 * ref_exact's. */
#ifndef ECH_KERNELS_CPU_ROWS_H
#define ECH_KERNELS_CPU_ROWS_H

#include <math.h>

#include "kernels/check.h"
#include "kernels/convert.h"

static void norm_row(const struct ech_norm_args *a, const float *x, float *y)
{
    const int64_t cols = a->cols;
    struct v16 sum = v16_zero(), square = v16_zero();
    for (int64_t i = 0; i < cols; i += 16)
        sum = v16_add(sum, row_load(x, i, cols));
    const struct v16 mean = v16_set(v16_sum(sum) / (float)cols);
    for (int64_t i = 0; i < cols; i += 16) {
        struct v16 d = v16_sub(row_load(x, i, cols), mean);
        if (cols - i < 16)
            d = v16_keep(d, cols - i, v16_zero());
        square = v16_fma(d, d, square);
    }
    const struct v16 inverse = v16_set(1.0f / sqrtf(v16_sum(square) / (float)cols + a->eps));
    for (int64_t i = 0; i < cols; i += 16) {
        struct v16 d = v16_mul(v16_sub(row_load(x, i, cols), mean), inverse);
        struct v16 gain = row_load(a->gain, i, cols);
        d = a->shift ? v16_fma(d, gain, row_load(a->shift, i, cols)) : v16_mul(d, gain);
        row_store(y, i, cols, d);
    }
}

static int norm(struct ech_queue *queue, const struct ech_norm_args *a)
{
    (void)queue;
    int rc = ech_check_norm(a);
    if (rc || a->cols == 0)
        return rc;
    for (int64_t r = 0; r < a->rows; r++)
        norm_row(a, a->x + r * a->ldx, a->y + r * a->ldy);
    return ECH_OP_OK;
}

/* A group of a row, `cols` of it left: exp(x - max) in place, added to the 16 lanes of the sum. */
INLINE struct v16 exp_group(float *x, int64_t cols, struct v16 max, struct v16 sum)
{
    struct v16 e[GROUP];
    EACH(v)
    {
        int64_t lanes = cols - 16 * v;
        e[v] = lanes >= 16 ? v16_load(x + 16 * v) : v16_load_part(x + 16 * v, lanes < 0 ? 0 : lanes);
        e[v] = v16_sub(e[v], max);
    }
    v16_exp_below(e);
    EACH(v)
    {
        int64_t lanes = cols - 16 * v;
        if (lanes >= 16) {
            v16_store(x + 16 * v, e[v]);
            sum = v16_add(sum, e[v]);
        } else if (lanes > 0) {
            v16_store_part(x + 16 * v, e[v], lanes);
            sum = v16_add(sum, v16_keep(e[v], lanes, v16_zero()));
        }
    }
    return sum;
}

/* x (cols) becomes exp(x - max); returns the sum, 1 in place of 0 (every entry was -inf). */
static float softmax_row(float *x, int64_t cols)
{
    const struct v16 low = v16_set(-INFINITY);
    struct v16 most = low;
    for (int64_t i = 0; i < cols; i += 16) {
        struct v16 v = row_load(x, i, cols);
        most = v16_maximum(cols - i < 16 ? v16_keep(v, cols - i, low) : v, most);
    }
    float largest = v16_largest(most);
    const struct v16 max = v16_set(largest == -INFINITY ? 0.0f : largest);
    struct v16 sum = v16_zero();
    for (int64_t i = 0; i < cols; i += 16 * GROUP)
        sum = exp_group(x + i, cols - i, max, sum);
    float total = v16_sum(sum);
    return total == 0.0f ? 1.0f : total;
}

static void divide_row(float *x, int64_t cols, float by)
{
    for (int64_t i = 0; i < cols; i += 16)
        row_store(x, i, cols, v16_div(row_load(x, i, cols), v16_set(by)));
}

static int softmax(struct ech_queue *queue, float *x, int64_t rows, int64_t cols, int64_t ld)
{
    (void)queue;
    int rc = ech_check_softmax(x, rows, cols, ld);
    if (rc || cols == 0)
        return rc;
    for (int64_t r = 0; r < rows; r++)
        divide_row(x + r * ld, cols, softmax_row(x + r * ld, cols));
    return ECH_OP_OK;
}

INLINE void activate_all(const enum ech_act act, float *x, int64_t count)
{
    for (int64_t i = 0; i < count; i += 16 * GROUP) {
        struct v16 g[GROUP];
        EACH(v) g[v] = count - i >= 16 * GROUP ? v16_load(x + i + 16 * v) : v16_zero();
        if (count - i < 16 * GROUP)
            EACH(v) if (count - i > 16 * v) g[v] = row_load(x, i + 16 * v, count);
        v16_act(act, g);
        EACH(v) if (count - i > 16 * v) row_store(x, i + 16 * v, count, g[v]);
    }
}

static int activate(struct ech_queue *queue, enum ech_act act, float *x, int64_t count)
{
    (void)queue;
    int rc = ech_check_activate(act, x, count);
    if (rc)
        return rc;
    switch (act) {
    case ECH_ACT_NONE:
        break;
    case ECH_ACT_GELU:
        activate_all(ECH_ACT_GELU, x, count);
        break;
    case ECH_ACT_GELU_TANH:
        activate_all(ECH_ACT_GELU_TANH, x, count);
        break;
    case ECH_ACT_RELU:
        activate_all(ECH_ACT_RELU, x, count);
        break;
    case ECH_ACT_SILU:
        activate_all(ECH_ACT_SILU, x, count);
        break;
    case ECH_ACT_TANH:
        activate_all(ECH_ACT_TANH, x, count);
        break;
    }
    return ECH_OP_OK;
}

/* y = or += row `id` of table t. */
static void embed_row(const struct ech_embed_args *a, int64_t t, int64_t i, float *y)
{
    const enum ech_wtype type = a->wtype[t];
    const int64_t first = a->ids[t][i] * a->cols, whole = a->cols / 16 * 16;
    const float *f = (const float *)a->tables[t] + first;
    const uint16_t *h = (const uint16_t *)a->tables[t] + first;
    for (int64_t c = 0; c < whole; c += 16) {
        struct v16 v = type == ECH_W_F32   ? v16_load(f + c)
                       : type == ECH_W_F16 ? v16_from_f16(h + c)
                                           : v16_from_bf16(h + c);
        v16_store(y + c, t ? v16_add(v16_load(y + c), v) : v);
    }
    for (int64_t c = whole; c < a->cols; c++) {
        float v = ech_load_weight(a->tables[t], type, first + c);
        y[c] = t ? y[c] + v : v;
    }
}

static int embed(struct ech_queue *queue, const struct ech_embed_args *a)
{
    (void)queue;
    int rc = ech_check_embed(a);
    if (rc)
        return rc;
    for (int64_t i = 0; i < a->count; i++)
        for (int64_t t = 0; t < a->tables_count; t++)
            embed_row(a, t, i, a->y + i * a->cols);
    return ECH_OP_OK;
}

/* One row of a sequence joins its vector. */
static void pool_row(enum ech_pool kind, const float *x, float *out, int64_t cols)
{
    for (int64_t c = 0; c < cols; c += 16) {
        struct v16 v = row_load(x, c, cols), o = row_load(out, c, cols);
        row_store(out, c, cols, kind == ECH_POOL_MEAN ? v16_add(o, v) : v16_greater_or_nan(v, o));
    }
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
        int64_t r0 = a->starts[s], r1 = a->starts[s + 1];
        float *out = a->out + s * a->cols;
        bool copy = r1 > r0 && a->kind != ECH_POOL_MEAN;
        for (int64_t c = 0; c < a->cols; c++)
            out[c] = copy ? a->x[r0 * a->ldx + c] : 0.0f;
        for (int64_t r = copy ? r0 + 1 : r0; r < r1 && a->kind != ECH_POOL_CLS; r++)
            pool_row(a->kind, a->x + r * a->ldx, out, a->cols);
        if (a->kind == ECH_POOL_MEAN && r1 > r0)
            divide_row(out, a->cols, (float)(r1 - r0));
        if (a->normalize)
            pool_normalize(out, a->cols);
    }
    return ECH_OP_OK;
}

#endif
