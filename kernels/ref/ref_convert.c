/* `convert` of `ref`: values in double, rounded by arithmetic instead of by bits. */
#include "kernels/ref/ref.h"

#include <math.h>
#include <string.h>

#include "kernels/check.h"

/* The value of a half with `fraction` bits of fraction and exponents from `lowest` (of denormals) on. */
static double from_half(uint16_t h, int fraction, int lowest)
{
    const int all = 1 << (15 - fraction), exponent = (h & 0x7fff) >> fraction,
              rest = h & ((1 << fraction) - 1);
    double v = exponent ? ldexp((1 << fraction) + rest, lowest + exponent - 1) : ldexp(rest, lowest);
    if (exponent == all - 1)
        v = rest ? (double)NAN : (double)INFINITY;
    return h & 0x8000 ? -v : v;
}

/* The nearest half, ties to even. */
static uint16_t to_half(double x, int fraction, int lowest)
{
    const int all = 1 << (15 - fraction), sign = signbit(x) ? 0x8000 : 0;
    const double magnitude = fabs(x), top = ldexp(1, lowest + fraction + all - 2);
    if (isnan(x))
        return (uint16_t)(sign | (all - 1) << fraction | 1 << (fraction - 1));
    int exponent, quantum = lowest; /* of the last bit */
    frexp(isinf(magnitude) ? top : magnitude, &exponent);
    if (magnitude > 0 && exponent - 1 - fraction > lowest)
        quantum = exponent - 1 - fraction;
    double units = nearbyint(ldexp(isinf(magnitude) ? top : magnitude, -quantum));
    if (ldexp(units, quantum) >= top)
        return (uint16_t)(sign | (all - 1) << fraction);
    return (uint16_t)(sign | (((quantum - lowest) << fraction) + (int)units));
}

enum { BF16_LOWEST = -133, F16_LOWEST = -24 };

static double element(const struct ech_convert_args *a, int64_t row, int64_t i)
{
    const int64_t at = row * a->ldx + i;
    switch (a->x_type) {
    case ECH_A_BF16:
        return from_half(((const uint16_t *)a->x)[at], 7, BF16_LOWEST);
    case ECH_A_F16:
        return from_half(((const uint16_t *)a->x)[at], 10, F16_LOWEST);
    case ECH_A_Q8: /* rounded to f32: what lies between two types is f32 */
        return (double)(float)((((const uint8_t *)a->x)[at] - 128) * (double)a->x_scale[row]);
    default:
        return (double)((const float *)a->x)[at];
    }
}

/* The value's two roundings are the format's own: in double a tie would fall elsewhere. */
static void row_q8(const struct ech_convert_args *a, int64_t row)
{
    double most = 0;
    bool finite = true;
    for (int64_t i = 0; i < a->cols; i++) {
        const double v = element(a, row, i);
        if (isfinite(v))
            most = fmax(most, fabs(v));
        else if (finite || isnan(v))
            a->y_scale[row] = (float)fabs(v), finite = false;
    }
    const bool flat = most < 0x1p-100;
    const float by = 127.0f / (float)most;
    uint8_t *y = (uint8_t *)a->y + row * a->ldy;
    memset(y, 128, (size_t)ech_q8_stride(a->cols));
    for (int64_t i = 0; i < a->cols && finite && !flat; i++)
        y[i] = (uint8_t)(nearbyint((double)((float)element(a, row, i) * by)) + 128);
    if (finite)
        a->y_scale[row] = flat ? 0.0f : (float)(most / 127);
}

int ech_ref_convert(struct ech_queue *queue, const struct ech_convert_args *a)
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
            const double v = element(a, row, i);
            const int64_t at = row * a->ldy + i;
            if (a->y_type == ECH_A_F32)
                ((float *)a->y)[at] = (float)v;
            else if (a->y_type == ECH_A_F16)
                ((uint16_t *)a->y)[at] = to_half(v, 10, F16_LOWEST);
            else
                ((uint16_t *)a->y)[at] = to_half(fabs(v) < 0x1p-126 ? copysign(0, v) : v, 7, BF16_LOWEST);
        }
    }
    return ECH_OP_OK;
}
