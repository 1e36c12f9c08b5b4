/* `ref`: the oracle. Everything in double with libm's functions, rounded to f32 once at the end. Shares no
 * arithmetic with the other backends, so an error of theirs shows. */
#include <math.h>
#include <stdlib.h>

#include "kernels/backends.h"
#include "kernels/check.h"
#include "kernels/convert.h"
#include "kernels/ref/ref.h"

static int norm(struct ech_queue *queue, const struct ech_norm_args *a)
{
    (void)queue;
    int rc = ech_check_norm(a);
    if (rc)
        return rc;
    for (int64_t r = 0; r < a->rows; r++) {
        const float *x = a->x + r * a->ldx;
        double mean = 0, var = 0;
        for (int64_t i = 0; i < a->cols; i++)
            mean += (double)x[i] / (double)a->cols;
        for (int64_t i = 0; i < a->cols; i++)
            var += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)a->cols;
        for (int64_t i = 0; i < a->cols; i++) {
            double d = ((double)x[i] - mean) / sqrt(var + (double)a->eps);
            a->y[r * a->ldy + i] = (float)(d * (double)a->gain[i] + (a->shift ? (double)a->shift[i] : 0));
        }
    }
    return ECH_OP_OK;
}

/* x (cols) becomes exp(x - max); returns the sum, 1 in place of 0. */
static double soften(double *x, int64_t cols)
{
    double max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < cols; i++)
        max = fmax(max, x[i]);
    for (int64_t i = 0; i < cols; i++)
        sum += x[i] = x[i] == -INFINITY ? 0 : exp(x[i] - max);
    return sum == 0 ? 1 : sum;
}

static int softmax(struct ech_queue *queue, float *x, int64_t rows, int64_t cols, int64_t ld)
{
    (void)queue;
    int rc = ech_check_softmax(x, rows, cols, ld);
    if (rc || cols == 0)
        return rc;
    double *e = calloc((size_t)cols, sizeof *e);
    if (!e)
        return ECH_OP_MEMORY;
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < cols; i++)
            e[i] = (double)x[r * ld + i];
        double sum = soften(e, cols);
        for (int64_t i = 0; i < cols; i++)
            x[r * ld + i] = (float)(e[i] / sum);
    }
    free(e);
    return ECH_OP_OK;
}

static int embed(struct ech_queue *queue, const struct ech_embed_args *a)
{
    (void)queue;
    int rc = ech_check_embed(a);
    if (rc)
        return rc;
    for (int64_t i = 0; i < a->count; i++)
        for (int64_t c = 0; c < a->cols; c++) {
            double v = 0;
            for (int64_t t = 0; t < a->tables_count; t++)
                v += (double)ech_load_weight(a->tables[t], a->wtype[t], a->ids[t][i] * a->cols + c);
            a->y[i * a->cols + c] = (float)v;
        }
    return ECH_OP_OK;
}

/* One column of the rows of a sequence. */
static double pool_column(const struct ech_pool_args *a, const float *x, int64_t rows)
{
    if (rows == 0)
        return 0;
    double v = (double)x[0];
    for (int64_t r = 1; r < rows && a->kind != ECH_POOL_CLS; r++) {
        double o = (double)x[r * a->ldx];
        if (a->kind == ECH_POOL_MEAN)
            v += o;
        else if (isnan(o) || o > v)
            v = o;
    }
    return a->kind == ECH_POOL_MEAN ? v / (double)rows : v;
}

static int pool(struct ech_queue *queue, const struct ech_pool_args *a)
{
    (void)queue;
    int rc = ech_check_pool(a);
    if (rc)
        return rc;
    for (int64_t s = 0; s < a->sequences; s++) {
        int64_t rows = a->starts[s + 1] - a->starts[s];
        double square = 0;
        for (int64_t c = 0; c < a->cols; c++) {
            double v = pool_column(a, rows ? a->x + a->starts[s] * a->ldx + c : NULL, rows);
            square += v * v;
            a->out[s * a->cols + c] = (float)v;
        }
        double norm = sqrt(square);
        norm = norm < 1e-12 ? 1e-12 : norm;
        for (int64_t c = 0; c < a->cols && a->normalize; c++)
            a->out[s * a->cols + c] = (float)((double)a->out[s * a->cols + c] / norm);
    }
    return ECH_OP_OK;
}

static int activate(struct ech_queue *queue, enum ech_act kind, float *x, int64_t count)
{
    (void)queue;
    int rc = ech_check_activate(kind, x, count);
    if (rc)
        return rc;
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)ech_ref_act(kind, (double)x[i]);
    return ECH_OP_OK;
}

const struct ech_ops ech_ref_entries = {
    .name = "ref",
    .numerics = {[ECH_FMT_F32] = "ref-f64-1",
                 [ECH_FMT_BF16] = "ref-f64-bf16-1",
                 [ECH_FMT_BF16_F32] = "ref-f64-bf16-f32-1"},
    .linear_packed_bytes = ech_ref_packed_bytes,
    .linear_pack = ech_ref_pack,
    .attention_workspace = ech_ref_attention_workspace,
    .linear = ech_ref_linear,
    .norm = norm,
    .attention = ech_ref_attention,
    .embed = embed,
    .pool = pool,
    .activate = activate,
    .softmax = softmax,
};
