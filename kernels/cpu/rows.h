/* The row operations over vectors that apply a function to each element: softmax, log-softmax, activation,
 * gate. Included after a v16_*.h, mathv.h and rows_types.h. A row's tail is computed on vectors whose missing
 * lanes are 0 (or -inf for a maximum): adding +0 to a lane that began at +0 changes nothing, so the bits are
 * ref_exact's. */
#ifndef ECH_KERNELS_CPU_ROWS_H
#define ECH_KERNELS_CPU_ROWS_H

#include <math.h>

#include "kernels/check.h"

/* The largest of a row that is no NaN, 0 in place of -inf (-inf - -inf would be NaN). */
static float row_largest(const float *x, int64_t cols)
{
    struct v16 most[GROUP];
    EACH(v) most[v] = v16_set(-INFINITY);
    int64_t i = 0;
    for (; i + 16 * GROUP <= cols; i += 16 * GROUP)
        EACH(v) most[v] = v16_maximum(v16_load(x + i + 16 * v), most[v]);
    for (; i < cols; i += 16) {
        struct v16 v = row_load(x, i, cols);
        most[0] = v16_maximum(cols - i < 16 ? v16_keep(v, cols - i, most[0]) : v, most[0]);
    }
    EACH(v) most[0] = v16_maximum(most[v], most[0]);
    float largest = v16_largest(most[0]);
    return largest == -INFINITY ? 0.0f : largest;
}

/* A whole group of a row: exp(x - max), written where `write`, added to the 16 lanes of the sum. */
INLINE struct v16 exp_group(float *x, struct v16 max, struct v16 sum, const bool write)
{
    struct v16 e[GROUP];
    EACH(v) e[v] = v16_sub(v16_load(x + 16 * v), max);
    v16_exp_below(e);
    EACH(v)
    {
        if (write)
            v16_store(x + 16 * v, e[v]);
        sum = v16_add(sum, e[v]);
    }
    return sum;
}

/* The same for the last `left` < 16 * GROUP columns. */
INLINE struct v16 exp_tail(float *x, int64_t left, struct v16 max, struct v16 sum, const bool write)
{
    struct v16 e[GROUP];
    EACH(v) e[v] = left > 16 * v ? v16_sub(row_load(x, 16 * v, left), max) : v16_zero();
    v16_exp_below(e);
    EACH(v) if (left > 16 * v)
    {
        if (write)
            row_store(x, 16 * v, left, e[v]);
        int64_t lanes = left - 16 * v;
        sum = v16_add(sum, lanes < 16 ? v16_keep(e[v], lanes, v16_zero()) : e[v]);
    }
    return sum;
}

/* sum exp(x - max), and exp(x - max) in place of x where `write`. */
INLINE float exp_row(float *x, int64_t cols, float max, const bool write)
{
    const struct v16 most = v16_set(max);
    struct v16 sum = v16_zero();
    int64_t i = 0;
    for (; i + 16 * GROUP <= cols; i += 16 * GROUP)
        sum = exp_group(x + i, most, sum, write);
    if (i < cols)
        sum = exp_tail(x + i, cols - i, most, sum, write);
    return v16_sum(sum);
}

static void divide_row(float *x, int64_t cols, float by)
{
    const struct v16 divisor = v16_set(by);
    int64_t i = 0;
    for (; i + 16 <= cols; i += 16)
        v16_store(x + i, v16_div(v16_load(x + i), divisor));
    if (i < cols)
        v16_store_part(x + i, v16_div(v16_load_part(x + i, cols - i), divisor), cols - i);
}

static int softmax(struct ech_queue *queue, float *x, int64_t rows, int64_t cols, int64_t ld)
{
    (void)queue;
    int rc = ech_check_softmax(x, rows, cols, ld);
    if (rc || cols == 0)
        return rc;
    for (int64_t r = 0; r < rows; r++) {
        float *row = x + r * ld, sum = exp_row(row, cols, row_largest(row, cols), true);
        divide_row(row, cols, sum == 0.0f ? 1.0f : sum);
    }
    return ECH_OP_OK;
}

/* x - max - log(sum); a row of -inf has the sum 0 and stays. */
static void log_softmax_row(float *x, int64_t cols)
{
    const float max = row_largest(x, cols), sum = exp_row(x, cols, max, false);
    if (sum == 0.0f)
        return;
    const struct v16 most = v16_set(max), log = v16_set(ech_logf(sum));
    for (int64_t i = 0; i < cols; i += 16)
        row_store(x, i, cols, v16_sub(v16_sub(row_load(x, i, cols), most), log));
}

static int log_softmax(struct ech_queue *queue, float *x, int64_t rows, int64_t cols, int64_t ld)
{
    (void)queue;
    int rc = ech_check_softmax(x, rows, cols, ld);
    if (rc || cols == 0)
        return rc;
    for (int64_t r = 0; r < rows; r++)
        log_softmax_row(x + r * ld, cols);
    return ECH_OP_OK;
}

/* y = act(x), times `up` where that is not NULL. */
INLINE void act_span(const enum ech_act act, const float *x, const float *up, float *y, int64_t count)
{
    struct v16 g[GROUP];
    int64_t i = 0;
    for (; i + 16 * GROUP <= count; i += 16 * GROUP) {
        EACH(v) g[v] = v16_load(x + i + 16 * v);
        v16_act(act, g);
        if (up)
            EACH(v) g[v] = v16_mul(g[v], v16_load(up + i + 16 * v));
        EACH(v) v16_store(y + i + 16 * v, g[v]);
    }
    if (i == count)
        return;
    EACH(v) g[v] = count - i > 16 * v ? row_load(x, i + 16 * v, count) : v16_zero();
    v16_act(act, g);
    EACH(v) if (count - i > 16 * v)
    {
        if (up)
            g[v] = v16_mul(g[v], row_load(up, i + 16 * v, count));
        row_store(y, i + 16 * v, count, g[v]);
    }
}

static void act_any(enum ech_act act, const float *x, const float *up, float *y, int64_t count)
{
    switch (act) {
    case ECH_ACT_NONE:
        act_span(ECH_ACT_NONE, x, up, y, count);
        break;
    case ECH_ACT_GELU:
        act_span(ECH_ACT_GELU, x, up, y, count);
        break;
    case ECH_ACT_GELU_TANH:
        act_span(ECH_ACT_GELU_TANH, x, up, y, count);
        break;
    case ECH_ACT_RELU:
        act_span(ECH_ACT_RELU, x, up, y, count);
        break;
    case ECH_ACT_SILU:
        act_span(ECH_ACT_SILU, x, up, y, count);
        break;
    case ECH_ACT_TANH:
        act_span(ECH_ACT_TANH, x, up, y, count);
        break;
    case ECH_ACT_QUICK_GELU:
        act_span(ECH_ACT_QUICK_GELU, x, up, y, count);
        break;
    case ECH_ACT_RELU2:
        act_span(ECH_ACT_RELU2, x, up, y, count);
        break;
    case ECH_ACT_SIGMOID:
        act_span(ECH_ACT_SIGMOID, x, up, y, count);
        break;
    case ECH_ACTS:
        break;
    }
}

static int activate(struct ech_queue *queue, enum ech_act act, float *x, int64_t count)
{
    (void)queue;
    int rc = ech_check_activate(act, x, count);
    if (rc == ECH_OP_OK && act != ECH_ACT_NONE)
        act_any(act, x, NULL, x, count);
    return rc;
}

/* Columns [i, i + 16 GROUP) of a row of the recurrence. */
INLINE void ssru_group(const struct ech_ssru_args *a, int64_t row, int64_t i)
{
    const float *forget = a->forget + row * a->ldf, *x = a->x + row * a->ldx;
    float *cell = a->cell + row * a->ldc, *y = a->y + row * a->ldy;
    struct v16 f[GROUP];
    EACH(v) f[v] = a->cols - i > 16 * v ? row_load(forget, i + 16 * v, a->cols) : v16_zero();
    v16_sigmoid(f);
    EACH(v) if (a->cols - i > 16 * v)
    {
        const int64_t at = i + 16 * v;
        const struct v16 in = v16_mul(v16_sub(v16_set(1.0f), f[v]), row_load(x, at, a->cols));
        const struct v16 next = v16_fma(f[v], row_load(cell, at, a->cols), in);
        row_store(cell, at, a->cols, next);
        row_store(y, at, a->cols, v16_maximum(v16_zero(), next));
    }
}

static int ssru(struct ech_queue *queue, const struct ech_ssru_args *a)
{
    (void)queue;
    int rc = ech_check_ssru(a);
    for (int64_t r = 0; !rc && r < a->rows; r++)
        for (int64_t i = 0; i < a->cols; i += 16 * GROUP)
            ssru_group(a, r, i);
    return rc;
}

static int gate(struct ech_queue *queue, const struct ech_gate_args *a)
{
    (void)queue;
    int rc = ech_check_gate(a);
    if (rc || a->cols == 0)
        return rc;
    for (int64_t r = 0; r < a->rows; r++)
        act_any(a->act, a->gate + r * a->ldg, a->up + r * a->ldu, a->y + r * a->ldy, a->cols);
    return ECH_OP_OK;
}

#endif
