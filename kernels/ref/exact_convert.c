/* `convert` of `ref_exact`: element by element, by way of f32 (narrow.h, convert.h). */
#include "kernels/ref/ref_exact.h"

#include "kernels/check.h"
#include "kernels/ref/narrow.h"

static float element(const struct ech_convert_args *a, int64_t row, int64_t i)
{
    const int64_t at = row * a->ldx + i;
    switch (a->x_type) {
    case ECH_A_BF16:
        return ech_from_bf16(((const uint16_t *)a->x)[at]);
    case ECH_A_F16:
        return ech_from_f16(((const uint16_t *)a->x)[at]);
    case ECH_A_Q8:
        return (float)(((const uint8_t *)a->x)[at] - 128) * a->x_scale[row];
    default:
        return ((const float *)a->x)[at];
    }
}

static void row_q8(const struct ech_convert_args *a, int64_t row)
{
    float most = 0;
    for (int64_t i = 0; i < a->cols; i++) {
        const float magnitude = fabsf(element(a, row, i));
        most = ech_to_bits(magnitude) > ech_to_bits(most) ? magnitude : most;
    }
    const bool flat = most < ECH_Q8_LEAST, zeros = flat || !isfinite(most);
    uint8_t *y = (uint8_t *)a->y + row * a->ldy;
    for (int64_t i = 0; i < ech_q8_stride(a->cols); i++)
        y[i] =
            (uint8_t)(i < a->cols && !zeros ? (int)rintf(element(a, row, i) * (127.0f / most)) + 128 : 128);
    a->y_scale[row] = flat ? 0.0f : most / 127.0f;
}

int ech_exact_convert(struct ech_queue *queue, const struct ech_convert_args *a)
{
    (void)queue;
    int rc = ech_check_convert(a);
    if (rc)
        return rc;
    for (int64_t row = 0; row < a->rows; row++) {
        if (a->y_type == ECH_A_Q8) {
            row_q8(a, row);
            continue;
        }
        for (int64_t i = 0; i < a->cols; i++) {
            const float x = element(a, row, i);
            const int64_t at = row * a->ldy + i;
            if (a->y_type == ECH_A_F32)
                ((float *)a->y)[at] = x;
            else
                ((uint16_t *)a->y)[at] = a->y_type == ECH_A_F16 ? ech_to_f16(x) : ech_to_bf16(x);
        }
    }
    return ECH_OP_OK;
}
