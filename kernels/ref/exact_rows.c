/* The row operations of `ref_exact`: norm, softmax, activation, gather, pooling. */
#include "kernels/ref/ref_exact.h"

#include <math.h>

#include "kernels/check.h"
#include "kernels/convert.h"
#include "kernels/ref/mathf.h"

static void norm_row(const struct ech_norm_args *a, const float *x, float *y)
{
    float lane[ECH_LANES] = {0};
    for (int64_t i = 0; i < a->cols; i++)
        lane[i % ECH_LANES] += x[i];
    float mean = ech_lanes_sum(lane) / (float)a->cols;
    float square[ECH_LANES] = {0};
    for (int64_t i = 0; i < a->cols; i++) {
        float d = x[i] - mean;
        square[i % ECH_LANES] = fmaf(d, d, square[i % ECH_LANES]);
    }
    float inverse = 1.0f / sqrtf(ech_lanes_sum(square) / (float)a->cols + a->eps);
    for (int64_t i = 0; i < a->cols; i++) {
        float d = (x[i] - mean) * inverse;
        y[i] = a->shift ? fmaf(d, a->gain[i], a->shift[i]) : d * a->gain[i];
    }
}

int ech_exact_norm(struct ech_queue *queue, const struct ech_norm_args *a)
{
    (void)queue;
    int rc = ech_check_norm(a);
    if (rc || a->cols == 0)
        return rc;
    for (int64_t r = 0; r < a->rows; r++)
        norm_row(a, a->x + r * a->ldx, a->y + r * a->ldy);
    return ECH_OP_OK;
}

float ech_exact_softmax_row(float *x, int64_t cols)
{
    float max = -INFINITY, lane[ECH_LANES] = {0};
    for (int64_t i = 0; i < cols; i++)
        max = x[i] > max ? x[i] : max;
    max = max == -INFINITY ? 0.0f : max; /* -inf - -inf would be NaN */
    for (int64_t i = 0; i < cols; i++) {
        x[i] = ech_expf(x[i] - max);
        lane[i % ECH_LANES] += x[i];
    }
    float sum = ech_lanes_sum(lane);
    return sum == 0.0f ? 1.0f : sum;
}

int ech_exact_softmax(struct ech_queue *queue, float *x, int64_t rows, int64_t cols, int64_t ld)
{
    (void)queue;
    int rc = ech_check_softmax(x, rows, cols, ld);
    if (rc || cols == 0)
        return rc;
    for (int64_t r = 0; r < rows; r++) {
        float sum = ech_exact_softmax_row(x + r * ld, cols);
        for (int64_t i = 0; i < cols; i++)
            x[r * ld + i] /= sum;
    }
    return ECH_OP_OK;
}

int ech_exact_activate(struct ech_queue *queue, enum ech_act act, float *x, int64_t count)
{
    (void)queue;
    int rc = ech_check_activate(act, x, count);
    if (rc)
        return rc;
    for (int64_t i = 0; i < count; i++)
        x[i] = ech_actf(act, x[i]);
    return ECH_OP_OK;
}

int ech_exact_embed(struct ech_queue *queue, const struct ech_embed_args *a)
{
    (void)queue;
    int rc = ech_check_embed(a);
    if (rc)
        return rc;
    for (int64_t i = 0; i < a->count; i++)
        for (int64_t c = 0; c < a->cols; c++) {
            float v = ech_load_weight(a->tables[0], a->wtype[0], a->ids[0][i] * a->cols + c);
            for (int64_t t = 1; t < a->tables_count; t++)
                v += ech_load_weight(a->tables[t], a->wtype[t], a->ids[t][i] * a->cols + c);
            a->y[i * a->cols + c] = v;
        }
    return ECH_OP_OK;
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
