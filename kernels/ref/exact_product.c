/* The product and the attention of `ref_exact`: the bits of the contract in plain loops. */
#include "kernels/ref/ref_exact.h"

#include <math.h>
#include <stdlib.h>

#include "kernels/check.h"
#include "kernels/ref/flush.h"
#include "kernels/panels.h"
#include "kernels/queue.h"
#include "kernels/ref/mathf.h"
#include "kernels/ref/narrow.h"

/* One row of x against one panel: 64 chains in ascending k, one function a format. */
static void chain_f32(const struct ech_linear_args *a, int64_t row, const uint32_t *panel, float *sum)
{
    const float *x = (const float *)a->x + row * a->ldx, *w = (const float *)panel;
    for (int64_t i = 0; i < a->k; i++)
        for (int j = 0; j < ECH_PANEL; j++)
            sum[j] = fmaf(x[i], w[i * ECH_PANEL + j], sum[j]);
}

/* Element i of output j of a panel of bf16 pairs. */
static float pair_weight(const uint32_t *panel, int64_t i, int j)
{
    return ech_from_bf16((uint16_t)(panel[i / 2 * ECH_PANEL + j] >> (i % 2 * 16)));
}

static void chain_bf16_f32(const struct ech_linear_args *a, int64_t row, const uint32_t *panel, float *sum)
{
    const float *x = (const float *)a->x + row * a->ldx;
    for (int64_t i = 0; i < a->k; i++)
        for (int j = 0; j < ECH_PANEL; j++)
            sum[j] = fmaf(x[i], pair_weight(panel, i, j), sum[j]);
}

/* Element i of row `row` of x as the processor's bf16 product reads it. */
static float bf16_element(const struct ech_linear_args *a, int64_t row, int64_t i)
{
    const int64_t at = row * a->ldx + i;
    if (a->x_type == ECH_A_BF16)
        return ech_flush(ech_from_bf16(((const uint16_t *)a->x)[at]));
    return ech_from_bf16(ech_to_bf16(((const float *)a->x)[at]));
}

static void chain_bf16(const struct ech_linear_args *a, int64_t row, const uint32_t *panel, float *sum)
{
    for (int64_t i = 0; i < a->k; i += 2)
        for (int64_t o = i + 1 < a->k ? i + 1 : i; o >= i; o--) { /* the odd element first */
            const float x = bf16_element(a, row, o);
            for (int j = 0; j < ECH_PANEL; j++)
                sum[j] = ech_fma_flush(x, ech_flush(pair_weight(panel, o, j)), sum[j]);
        }
}

static void (*const CHAINS[ECH_FORMATS])(const struct ech_linear_args *a, int64_t row, const uint32_t *panel,
                                         float *sum) = {[ECH_FMT_F32] = chain_f32,
                                                        [ECH_FMT_BF16] = chain_bf16,
                                                        [ECH_FMT_BF16_F32] = chain_bf16_f32,
                                                        [ECH_FMT_INT8] = ech_exact_int8,
                                                        [ECH_FMT_INT4] = ech_exact_int4};

/* Bias (int8 has it already), activation, residual of columns [first, first + width) of a row. */
static void row_finish(const struct ech_linear_args *a, int64_t row, int64_t first, int64_t width,
                       const float *sum, float *to)
{
    for (int64_t j = 0; j < width; j++) {
        float v = sum[j];
        if (a->bias && !(a->format == ECH_FMT_INT8 && a->k > 0))
            v += a->bias[first + j];
        v = ech_actf(a->act, v);
        if (a->residual)
            v += a->residual[row * a->ldr + first + j];
        to[first + j] = v;
    }
}

/* Row `row` of the results, in f32. */
static void row_results(const struct ech_linear_args *a, const struct ech_panel_format *f, int64_t row,
                        float *to)
{
    const int64_t words = (a->k + f->unit - 1) / f->unit * f->step_words;
    for (int64_t p = 0; p < ech_panels(a->n); p++) {
        float sum[ECH_PANEL] = {0};
        int64_t first = p * ECH_PANEL, left = a->n - first;
        if (a->k > 0)
            CHAINS[a->format](a, row, (const uint32_t *)a->packed + p * words, sum);
        row_finish(a, row, first, left < ECH_PANEL ? left : ECH_PANEL, sum, to);
    }
}

int ech_exact_linear(struct ech_queue *queue, const struct ech_linear_args *a)
{
    (void)queue;
    int rc = ech_check_linear(a);
    if (rc || a->m == 0 || a->n == 0)
        return rc;
    const struct ech_panel_format *f = ech_panel_format(a->format);
    if (!f || !CHAINS[a->format] || a->y_type > ECH_A_Q8)
        return ECH_OP_UNSUPPORTED;
    float *wide = a->y_type == ECH_A_F32 ? NULL : malloc((size_t)a->n * sizeof *wide);
    if (a->y_type != ECH_A_F32 && !wide)
        return ECH_OP_MEMORY;
    for (int64_t row = 0; row < a->m; row++) {
        char *y = (char *)a->y + (size_t)(row * a->ldy) * ech_atype_bytes(a->y_type);
        row_results(a, f, row, wide ? wide : (float *)y);
        if (wide)
            ech_narrow_row(a->y_type, wide, a->n, y, a->y_scale ? a->y_scale + row : NULL);
    }
    free(wide);
    return ECH_OP_OK;
}

size_t ech_exact_attention_workspace(enum ech_format compute, int64_t longest, int64_t head_dim, int threads)
{
    (void)compute, (void)head_dim, (void)threads;
    return longest > 0 ? (size_t)longest * sizeof(float) : 0;
}

/* Query i of head h in the sequence of `length` rows that starts at row `start`; e: scratch of that length.
 */
static void attend(const struct ech_attention_args *a, int64_t start, int64_t length, int64_t h, int64_t i,
                   float *e)
{
    int64_t keys = a->causal ? i + 1 : length, kv = h / (a->heads / a->kv_heads);
    const float *q = (const float *)a->q + (start + i) * a->ldq + h * a->head_dim;
    const float *k = (const float *)a->k + start * a->ldk + kv * a->head_dim;
    const float *v = (const float *)a->v + start * a->ldv + kv * a->head_dim;
    float *out = (float *)a->out + (start + i) * a->ldo + h * a->head_dim;
    for (int64_t j = 0; j < keys; j++) {
        float s = 0.0f;
        for (int64_t d = 0; d < a->head_dim; d++)
            s = fmaf(q[d], k[j * a->ldk + d], s);
        s *= a->scale;
        if (a->bias)
            s += a->bias[(h * a->bias_span + i) * a->bias_span + j];
        e[j] = s;
    }
    float sum = ech_exact_softmax_row(e, keys);
    for (int64_t d = 0; d < a->head_dim; d++) {
        float o = 0.0f;
        for (int64_t j = 0; j < keys; j++)
            o = fmaf(e[j], v[j * a->ldv + d], o);
        out[d] = o / sum;
    }
}

int ech_exact_attention(struct ech_queue *queue, const struct ech_attention_args *a)
{
    int rc = ech_check_attention(a);
    if (rc)
        return rc;
    int64_t longest = ech_longest(a->starts, a->sequences);
    if (longest == 0)
        return ECH_OP_OK;
    float *e =
        ech_attention_scratch(queue, a, ech_exact_attention_workspace(a->compute, longest, a->head_dim, 1));
    if (!e)
        return ECH_OP_MEMORY;
    for (int64_t s = 0; s < a->sequences; s++)
        for (int64_t h = 0; h < a->heads; h++)
            for (int64_t i = 0; i < a->starts[s + 1] - a->starts[s]; i++)
                attend(a, a->starts[s], a->starts[s + 1] - a->starts[s], h, i, e);
    return ECH_OP_OK;
}
