/* The products of `ref` on a file's own blocks: weights decoded, x as it is or quantised by groups of 32,
 * then all in double. */
#include "kernels/ref/ref.h"

#include <math.h>

#include "kernels/blocks.h"
#include "kernels/ref/narrow.h"

enum { GROUP = 32 };

/* x becomes what its int8 values stand for. */
static void quantised(const float *x, double *to)
{
    float most = 0;
    for (int i = 0; i < GROUP; i++)
        most = !(fabsf(x[i]) <= most) && !isnan(most) ? fabsf(x[i]) : most;
    const bool values = most >= ECH_Q8_LEAST && isfinite(most);
    const double scale = most < ECH_Q8_LEAST ? 0 : (double)(most / 127.0f);
    for (int i = 0; i < GROUP; i++)
        to[i] = (values ? rint((double)(x[i] * (127.0f / most))) : 0) * scale;
}

double ech_ref_block_dot(const struct ech_linear_args *a, int64_t row, int64_t output)
{
    const uint8_t *w = (const uint8_t *)a->packed + ech_block_row_bytes(a->w_type, a->k) * (size_t)output;
    const float *x = (const float *)a->x + row * a->ldx;
    double sum = 0;
    for (int64_t k = 0; k < a->k; k += GROUP) {
        const int64_t count = a->k - k < GROUP ? a->k - k : GROUP;
        float weight[GROUP];
        double value[GROUP];
        ech_block_decode(a->w_type, w, k, count, weight);
        for (int64_t i = 0; i < count; i++)
            value[i] = (double)x[k + i];
        if (a->format == ECH_FMT_BLOCK_INT8)
            quantised(x + k, value);
        for (int64_t i = 0; i < count; i++)
            sum += value[i] * (double)weight[i];
    }
    return sum;
}
