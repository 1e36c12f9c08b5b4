/* The row operations of `ref_exact` that compute: norm, softmax, log-softmax, activation, gate. */
#include "kernels/ref/ref_exact.h"

#include <math.h>

#include "kernels/check.h"
#include "kernels/ref/mathf.h"
#include "kernels/ref/narrow.h"

static void layer_row(const struct ech_norm_args *a, const float *x, float *y)
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

static void rms_row(const struct ech_norm_args *a, const float *x, float *y)
{
    float square[ECH_LANES] = {0};
    for (int64_t i = 0; i < a->cols; i++)
        square[i % ECH_LANES] = fmaf(x[i], x[i], square[i % ECH_LANES]);
    float inverse = 1.0f / sqrtf(ech_lanes_sum(square) / (float)a->cols + a->eps);
    for (int64_t i = 0; i < a->cols; i++)
        y[i] = x[i] * inverse * (a->gain[i] + a->gain_offset);
}

int ech_exact_norm(struct ech_queue *queue, const struct ech_norm_args *a)
{
    (void)queue;
    int rc = ech_check_norm(a);
    if (rc || a->cols == 0)
        return rc;
    for (int64_t r = 0; r < a->rows; r++) {
        float *y = a->y + r * a->ldy;
        for (int64_t c = 0; c < (a->parts ? a->parts : 1) * a->cols; c += a->cols)
            (a->kind == ECH_NORM_RMS ? rms_row : layer_row)(a, a->x + r * a->ldx + c, y + c);
        if (a->also)
            ech_narrow_row(a->also_type, y, a->cols,
                           (char *)a->also + r * a->ld_also * (int64_t)ech_atype_bytes(a->also_type),
                           a->also_scale + r);
    }
    return ECH_OP_OK;
}

/* The largest that is no NaN, 0 in place of -inf (-inf - -inf would be NaN). */
static float row_max(const float *x, int64_t cols)
{
    float max = -INFINITY;
    for (int64_t i = 0; i < cols; i++)
        max = x[i] > max ? x[i] : max;
    return max == -INFINITY ? 0.0f : max;
}

float ech_exact_softmax_row(float *x, int64_t cols)
{
    float max = row_max(x, cols), lane[ECH_LANES] = {0};
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

int ech_exact_log_softmax(struct ech_queue *queue, float *x, int64_t rows, int64_t cols, int64_t ld)
{
    (void)queue;
    int rc = ech_check_softmax(x, rows, cols, ld);
    if (rc || cols == 0)
        return rc;
    for (int64_t r = 0; r < rows; r++) {
        float max = row_max(x + r * ld, cols), lane[ECH_LANES] = {0};
        for (int64_t i = 0; i < cols; i++)
            lane[i % ECH_LANES] += ech_expf(x[r * ld + i] - max);
        float sum = ech_lanes_sum(lane), log = ech_logf(sum);
        for (int64_t i = 0; i < cols && sum != 0.0f; i++)
            x[r * ld + i] = x[r * ld + i] - max - log;
    }
    return ECH_OP_OK;
}

int ech_exact_ssru(struct ech_queue *queue, const struct ech_ssru_args *a)
{
    (void)queue;
    int rc = ech_check_ssru(a);
    for (int64_t r = 0; !rc && r < a->rows; r++)
        for (int64_t i = 0; i < a->cols; i++) {
            const float f = ech_sigmoidf(a->forget[r * a->ldf + i]);
            float *cell = &a->cell[r * a->ldc + i];
            *cell = fmaf(f, *cell, (1.0f - f) * a->x[r * a->ldx + i]);
            a->y[r * a->ldy + i] = ech_actf(ECH_ACT_RELU, *cell);
        }
    return rc;
}

int ech_exact_gate(struct ech_queue *queue, const struct ech_gate_args *a)
{
    (void)queue;
    int rc = ech_check_gate(a);
    if (rc)
        return rc;
    for (int64_t r = 0; r < a->rows; r++)
        for (int64_t i = 0; i < a->cols; i++)
            a->y[r * a->ldy + i] = ech_actf(a->act, a->gate[r * a->ldg + i]) * a->up[r * a->ldu + i];
    return ECH_OP_OK;
}
