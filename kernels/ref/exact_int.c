/* The integer products of `ref_exact`: one row of x against one panel, 64 outputs. */
#include "kernels/ref/ref_exact.h"

#include <math.h>
#include <string.h>

#include "kernels/panels_int.h"
#include "kernels/ref/narrow.h"

/* Element i of row `row` of x in int8; `by`: what an f32 row is multiplied by, 0 where all values are 0. */
static int32_t int8_element(const struct ech_linear_args *a, int64_t row, int64_t i, float by)
{
    const int64_t at = row * a->ldx + i;
    if (a->x_type == ECH_A_Q8)
        return ((const uint8_t *)a->x)[at] - 128;
    return by > 0 ? (int32_t)rintf(fminf(fmaxf(((const float *)a->x)[at] * by, -127), 127)) : 0;
}

/* The scale of an f32 row, and what turns it into values. */
static float int8_scale(const struct ech_linear_args *a, int64_t row, float *by)
{
    const float most = ech_q8_most((const float *)a->x + row * a->ldx, a->k);
    const bool flat = most < ECH_Q8_LEAST && a->x_multiplier == 0;
    *by = a->x_multiplier > 0 ? a->x_multiplier : 127.0f / most;
    *by = flat || !isfinite(most) ? 0.0f : *by;
    if (a->x_multiplier > 0 && isfinite(most))
        return 1.0f;
    return flat ? 0.0f : a->x_multiplier > 0 ? most : most / 127.0f;
}

void ech_exact_int8(const struct ech_linear_args *a, int64_t row, const uint32_t *panel, float *sum)
{
    const int64_t words = (a->k + 3) / 4 * ECH_PANEL,
                  first = (panel - (const uint32_t *)a->packed) / words * ECH_PANEL;
    const float *scales = (const float *)a->packed + ech_panels(a->n) * words + first;
    const int8_t *w = (const int8_t *)panel;
    float by = 0;
    const float scale = a->x_type == ECH_A_Q8 ? a->x_scale[row] : int8_scale(a, row, &by);
    int32_t dot[ECH_PANEL] = {0};
    for (int64_t i = 0; i < a->k; i++) {
        const int32_t x = int8_element(a, row, i, by);
        for (int j = 0; j < ECH_PANEL; j++)
            dot[j] += x * w[(i / 4 * ECH_PANEL + j) * 4 + i % 4];
    }
    for (int j = 0; j < ECH_PANEL && first + j < a->n; j++)
        sum[j] = fmaf((float)dot[j], scale * scales[j], a->bias ? a->bias[first + j] : 0.0f);
}

/* Value of element i of a group of output j. */
static int32_t nibble_value(const uint8_t *group, int j, int i)
{
    const uint8_t byte = group[j / 16 * 4 * ECH_INT4_WORDS + i % 16 / 4 * 64 + j % 16 * 4 + i % 4];
    return (i < 16 ? byte & 15 : byte >> 4) - 8;
}

void ech_exact_int4(const struct ech_linear_args *a, int64_t row, const uint32_t *panel, float *sum)
{
    const float *x = (const float *)a->x + row * a->ldx;
    const uint8_t *group = (const uint8_t *)panel;
    for (int64_t k = 0; k < a->k; k += ECH_INT4_GROUP, group += 16 * ECH_INT4_WORDS) {
        uint8_t bytes[64];
        const float scale = ech_to_q8(x + k, a->k - k < ECH_INT4_GROUP ? a->k - k : ECH_INT4_GROUP, bytes);
        for (int j = 0; j < ECH_PANEL; j++) {
            int32_t dot = 0;
            for (int i = 0; i < ECH_INT4_GROUP; i++)
                dot += (bytes[i] - 128) * nibble_value(group, j, i);
            uint16_t half;
            memcpy(&half, group + (j / 16 * 4 * ECH_INT4_WORDS + 256 + j % 16 * 2), sizeof half);
            sum[j] = fmaf((float)dot, scale * ech_from_f16(half), sum[j]);
        }
    }
}
