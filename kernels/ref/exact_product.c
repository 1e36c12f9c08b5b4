/* The product of `ref_exact`: the bits of the contract in plain loops. */
#include "kernels/ref/ref_exact.h"

#include <math.h>
#include <stdlib.h>

#include "kernels/check.h"
#include "kernels/ref/flush.h"
#include "kernels/panels.h"
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

/* Bias: int8 has it already. */
float ech_exact_finish(const struct ech_linear_args *a, int64_t row, int64_t j, float sum)
{
    if (a->bias && !(a->format == ECH_FMT_INT8 && a->k > 0))
        sum += a->bias[j];
    sum = ech_actf(a->act, sum);
    return a->residual ? sum + a->residual[row * a->ldr + j] : sum;
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
        for (int64_t j = 0; j < ECH_PANEL && j < left; j++)
            to[first + j] = ech_exact_finish(a, row, first + j, sum[j]);
    }
}

int ech_exact_linear(struct ech_queue *queue, const struct ech_linear_args *a)
{
    (void)queue;
    int rc = ech_check_linear(a);
    if (rc || a->m == 0 || a->n == 0)
        return rc;
    if (ech_format_in_place(a->format))
        return ech_exact_block(a);
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
