/* Rows of x as pairs of bf16. Included after a v16_*.h. */
#ifndef ECH_KERNELS_CPU_BF16_ROWS_H
#define ECH_KERNELS_CPU_BF16_ROWS_H

#include <string.h>

#include "kernels/convert.h"
#include "kernels/cpu/product_format.h"

/* bf16 rows of whole, aligned pairs are A as they lie. */
static bool bf16_in_place(const struct ech_linear_args *a)
{
    return a->x_type == ECH_A_BF16 && a->k % 2 == 0 && a->ldx % 2 == 0 && (uintptr_t)a->x % 4 == 0;
}

static void bf16_row(const float *x, uint16_t *to, int64_t k)
{
    int64_t i = 0;
    for (; i + 16 <= k; i += 16)
        v16_store_bf16(to + i, v16_load(x + i));
    if (i < k)
        v16_store_bf16_part(to + i, v16_load_part(x + i, k - i), k - i);
}

/* The element that fills the last pair is -0: times the weights' 0 it changes no sum, not even -0. */
static void bf16_bring(const struct ech_linear_args *a, int64_t row, int64_t rows, float *to, int64_t ld,
                       float *scale)
{
    (void)scale;
    for (int64_t r = 0; r < rows; r++) {
        uint16_t *pairs = (uint16_t *)(to + r * ld);
        const int64_t at = (row + r) * a->ldx;
        if (a->x_type == ECH_A_F32)
            bf16_row((const float *)a->x + at, pairs, a->k);
        else
            memcpy(pairs, (const uint16_t *)a->x + at, (size_t)a->k * sizeof *pairs);
        if (a->k % 2)
            pairs[a->k] = 0x8000;
    }
}

#endif
