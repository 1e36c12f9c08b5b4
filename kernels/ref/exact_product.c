/* The product of `ref_exact`: the bits of the contract in plain loops. */
#include "kernels/ref/ref_exact.h"

#include <math.h>
#include <string.h>

#include "kernels/check.h"
#include "kernels/panels.h"
#include "kernels/ref/mathf.h"

/* One row against one panel: 64 chains of FMAs in ascending k. */
static void row_panel(const float *x, const float *panel, int64_t k, float *sum)
{
    memset(sum, 0, ECH_PANEL * sizeof *sum);
    for (int64_t i = 0; i < k; i++)
        for (int j = 0; j < ECH_PANEL; j++)
            sum[j] = fmaf(x[i], panel[i * ECH_PANEL + j], sum[j]);
}

/* Bias, activation, residual of columns [first, first + width) of a row. */
static void row_finish(const struct ech_linear_args *a, int64_t row, int64_t first, int64_t width,
                       const float *sum)
{
    for (int64_t j = 0; j < width; j++) {
        float v = sum[j];
        if (a->bias)
            v += a->bias[first + j];
        v = ech_actf(a->act, v);
        if (a->residual)
            v += a->residual[row * a->ldr + first + j];
        ((float *)a->y)[row * a->ldy + first + j] = v;
    }
}

int ech_exact_linear(struct ech_queue *queue, const struct ech_linear_args *a)
{
    (void)queue;
    int rc = ech_check_linear(a);
    if (rc)
        return rc;
    for (int64_t row = 0; row < a->m; row++)
        for (int64_t p = 0; p < ech_panels(a->n); p++) {
            float sum[ECH_PANEL];
            int64_t first = p * ECH_PANEL, left = a->n - first;
            row_panel(a->k ? (const float *)a->x + row * a->ldx : NULL,
                      a->k ? (const float *)a->packed + first * a->k : NULL, a->k, sum);
            row_finish(a, row, first, left < ECH_PANEL ? left : ECH_PANEL, sum);
        }
    return ECH_OP_OK;
}
