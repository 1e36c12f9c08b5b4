/* The row operations of `ref`, the oracle: double and libm, rounded to f32 at the end. */
#include "kernels/ref/ref_rows.h"

#include <math.h>
#include <stdlib.h>

#include "kernels/blocks.h"
#include "kernels/check.h"
#include "kernels/ref/narrow.h"
#include "kernels/ref/ref.h"

/* (x - mean) / sqrt(var + eps), or x / sqrt(mean of squares + eps), times gain, plus shift. */
static void norm_row(const struct ech_norm_args *a, const float *x, float *y)
{
    const double cols = (double)a->cols;
    double mean = 0, var = 0;
    for (int64_t i = 0; i < a->cols && a->kind == ECH_NORM_LAYER; i++)
        mean += (double)x[i] / cols;
    for (int64_t i = 0; i < a->cols; i++)
        var += ((double)x[i] - mean) * ((double)x[i] - mean) / cols;
    for (int64_t i = 0; i < a->cols; i++) {
        double gain = (double)a->gain[i] + (double)a->gain_offset;
        double d = ((double)x[i] - mean) / sqrt(var + (double)a->eps);
        y[i] = (float)(d * gain + (a->shift ? (double)a->shift[i] : 0));
    }
}

int ech_ref_norm(struct ech_queue *queue, const struct ech_norm_args *a)
{
    (void)queue;
    int rc = ech_check_norm(a);
    if (rc || a->cols == 0)
        return rc;
    for (int64_t r = 0; r < a->rows; r++) {
        float *y = a->y + r * a->ldy;
        for (int64_t c = 0; c < (a->parts ? a->parts : 1) * a->cols; c += a->cols)
            norm_row(a, a->x + r * a->ldx + c, y + c);
        if (a->also)
            ech_narrow_row(a->also_type, y, a->cols,
                           (char *)a->also + r * a->ld_also * (int64_t)ech_atype_bytes(a->also_type),
                           a->also_scale + r);
    }
    return ECH_OP_OK;
}

double ech_ref_soften(double *x, int64_t cols)
{
    double max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < cols; i++)
        max = fmax(max, x[i]);
    for (int64_t i = 0; i < cols; i++)
        sum += x[i] = x[i] == -INFINITY ? 0 : exp(x[i] - max);
    return sum == 0 ? 1 : sum;
}

int ech_ref_softmax(struct ech_queue *queue, float *x, int64_t rows, int64_t cols, int64_t ld)
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
        double sum = ech_ref_soften(e, cols);
        for (int64_t i = 0; i < cols; i++)
            x[r * ld + i] = (float)(e[i] / sum);
    }
    free(e);
    return ECH_OP_OK;
}

int ech_ref_embed(struct ech_queue *queue, const struct ech_embed_args *a)
{
    (void)queue;
    int rc = ech_check_embed(a);
    if (rc)
        return rc;
    for (int64_t i = 0; i < a->count; i++)
        for (int64_t c = 0; c < a->cols; c++) {
            double v = 0;
            for (int64_t t = 0; t < a->tables_count; t++) {
                float x;
                ech_block_decode(a->wtype[t],
                                 (const uint8_t *)a->tables[t] +
                                     ech_block_row_bytes(a->wtype[t], a->cols) * (size_t)a->ids[t][i],
                                 c, 1, &x);
                v += (double)x;
            }
            a->y[i * a->cols + c] = (float)v;
        }
    return ECH_OP_OK;
}

int ech_ref_combine(struct ech_queue *queue, const struct ech_combine_args *a)
{
    (void)queue;
    int rc = ech_check_combine(a);
    for (int64_t r = 0; !rc && r < a->rows; r++)
        for (int64_t c = 0; c < a->cols; c++) {
            double y = a->add ? (double)a->y[r * a->ldy + c] : 0;
            for (int64_t j = r * a->take; j < (r + 1) * a->take; j++)
                y += (a->weight ? (double)a->weight[j] : 1) * (double)a->x[a->index[j] * a->ldx + c];
            a->y[r * a->ldy + c] = (float)y;
        }
    return rc;
}

int ech_ref_ssru(struct ech_queue *queue, const struct ech_ssru_args *a)
{
    (void)queue;
    int rc = ech_check_ssru(a);
    for (int64_t r = 0; !rc && r < a->rows; r++)
        for (int64_t i = 0; i < a->cols; i++) {
            const double f = ech_ref_act(ECH_ACT_SIGMOID, (double)a->forget[r * a->ldf + i]);
            float *cell = &a->cell[r * a->ldc + i];
            *cell = (float)(f * (double)*cell + (1 - f) * (double)a->x[r * a->ldx + i]);
            a->y[r * a->ldy + i] = *cell < 0 ? 0 : *cell;
        }
    return rc;
}

int ech_ref_relative(struct ech_queue *queue, const struct ech_relative_args *a)
{
    (void)queue;
    int rc = ech_check_relative(a);
    for (int64_t i = 0; !rc && i < a->rows; i++)
        for (int64_t j = 0; j < a->rows; j++) {
            const int64_t d = a->index[a->centre + i - j];
            double v = a->content ? (double)a->content[i * a->ldc + d] : 0;
            v += a->position ? (double)a->position[j * a->ldp + d] : 0;
            a->y[i * a->ldy + j] = (float)(v * (double)a->scale);
        }
    return rc;
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

int ech_ref_pool(struct ech_queue *queue, const struct ech_pool_args *a)
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

int ech_ref_activate(struct ech_queue *queue, enum ech_act kind, float *x, int64_t count)
{
    (void)queue;
    int rc = ech_check_activate(kind, x, count);
    if (rc)
        return rc;
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)ech_ref_act(kind, (double)x[i]);
    return ECH_OP_OK;
}

int ech_ref_log_softmax(struct ech_queue *queue, float *x, int64_t rows, int64_t cols, int64_t ld)
{
    (void)queue;
    int rc = ech_check_softmax(x, rows, cols, ld);
    if (rc)
        return rc;
    for (int64_t r = 0; r < rows; r++) {
        double max = -INFINITY, sum = 0;
        for (int64_t i = 0; i < cols; i++)
            max = fmax(max, (double)x[r * ld + i]);
        for (int64_t i = 0; i < cols; i++)
            sum += exp((double)x[r * ld + i] - max);
        for (int64_t i = 0; i < cols && max != -INFINITY; i++)
            x[r * ld + i] = (float)((double)x[r * ld + i] - max - log(sum));
    }
    return ECH_OP_OK;
}

int ech_ref_gate(struct ech_queue *queue, const struct ech_gate_args *a)
{
    (void)queue;
    int rc = ech_check_gate(a);
    if (rc)
        return rc;
    for (int64_t r = 0; r < a->rows; r++)
        for (int64_t i = 0; i < a->cols; i++)
            a->y[r * a->ldy + i] =
                (float)(ech_ref_act(a->act, (double)a->gate[r * a->ldg + i]) * (double)a->up[r * a->ldu + i]);
    return ECH_OP_OK;
}

int ech_ref_rotary(struct ech_queue *queue, const struct ech_rotary_args *a)
{
    (void)queue;
    int rc = ech_check_rotary(a);
    if (rc)
        return rc;
    const int64_t half = a->rotary / 2, second = a->interleaved ? 1 : half, step = a->interleaved ? 2 : 1;
    for (int64_t r = 0; r < a->rows; r++)
        for (int64_t h = 0; h < a->heads; h++)
            for (int64_t i = 0; i < half; i++) {
                float *x = a->x + r * a->ldx + h * a->head_dim + step * i;
                double c = (double)a->cos[a->positions[r] * half + i];
                double s = (double)a->sin[a->positions[r] * half + i];
                double u = (double)x[0], v = (double)x[second];
                x[0] = (float)(u * c - v * s);
                x[second] = (float)(v * c + u * s);
            }
    return ECH_OP_OK;
}

struct ranked {
    float value;
    int32_t index;
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *u = a, *v = b;
    if (isnan(u->value) != isnan(v->value))
        return isnan(u->value) ? -1 : 1;
    if (u->value != v->value && !isnan(u->value))
        return u->value > v->value ? -1 : 1;
    return u->index < v->index ? -1 : 1;
}

/* By sorting the whole row. */
int ech_ref_topk(struct ech_queue *queue, const struct ech_topk_args *a)
{
    (void)queue;
    int rc = ech_check_topk(a);
    if (rc || a->rows == 0 || a->count == 0)
        return rc;
    struct ranked *all = calloc((size_t)a->cols, sizeof *all);
    if (!all)
        return ECH_OP_MEMORY;
    for (int64_t r = 0; r < a->rows; r++) {
        for (int64_t i = 0; i < a->cols; i++)
            all[i] = (struct ranked){a->x[r * a->ldx + i], (int32_t)i};
        qsort(all, (size_t)a->cols, sizeof *all, by_rank);
        for (int64_t i = 0; i < a->count; i++) {
            a->indices[r * a->count + i] = all[i].index;
            if (a->values)
                a->values[r * a->count + i] = all[i].value;
        }
    }
    free(all);
    return ECH_OP_OK;
}
