/* f32 into bf16, f16 and Q8, in scalar form: the definition that kernels/cpu/rows_types.h repeats over
 * vectors, bit by bit. NaN payloads are not promised; a NaN stays a NaN. */
#ifndef ECH_KERNELS_REF_NARROW_H
#define ECH_KERNELS_REF_NARROW_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/convert.h"
#include "kernels/ops.h"

/* A row whose largest magnitude is below this is all zeros in Q8: 127 / most would overflow. */
#define ECH_Q8_LEAST 0x1p-100f

/* Round to even, denormal results too (what `vcvtps2ph` does). */
static inline uint16_t ech_to_f16(float x)
{
    uint32_t u = ech_to_bits(x), sign = u >> 16 & 0x8000, magnitude = u & 0x7fffffff;
    if (magnitude > 0x7f800000)
        return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x1ff));
    if (magnitude >= 0x477ff000) /* 65520: halfway to 2^16 */
        return (uint16_t)(sign | 0x7c00);
    if (magnitude < 0x38800000) /* in units of 2^-24; the sum rounds */
        return (uint16_t)(sign | (ech_to_bits(fabsf(x) * 0x1p24f + 0x1p23f) & 0x7ff));
    return (uint16_t)(sign | (magnitude + 0xfff + (magnitude >> 13 & 1) - 0x38000000) >> 13);
}

/* The largest magnitude by its bits: an infinity beats numbers, a NaN beats all. */
static inline float ech_q8_most(const float *x, int64_t cols)
{
    uint32_t most = 0;
    for (int64_t i = 0; i < cols; i++) {
        uint32_t magnitude = ech_to_bits(x[i]) & 0x7fffffff;
        most = magnitude > most ? magnitude : most;
    }
    return ech_from_bits(most);
}

/* Bytes up to the 64th multiple; returns the scale. A row with a NaN or an infinity: zeros, and that NaN or
 * infinity as the scale, so every result is 0 times it: NaN. */
static inline float ech_to_q8(const float *x, int64_t cols, uint8_t *y)
{
    const float most = ech_q8_most(x, cols), by = 127.0f / most;
    const bool flat = most < ECH_Q8_LEAST;
    const bool zeros = flat || !isfinite(most);
    for (int64_t i = 0; i < ech_q8_stride(cols); i++)
        y[i] = (uint8_t)(i < cols && !zeros ? (int)rintf(x[i] * by) + 128 : 128);
    return flat ? 0.0f : most / 127.0f;
}

/* One row of f32 into `type`; `scale` is written for Q8 only. */
static inline void ech_narrow_row(enum ech_atype type, const float *x, int64_t cols, void *y, float *scale)
{
    switch (type) {
    case ECH_A_BF16:
        for (int64_t i = 0; i < cols; i++)
            ((uint16_t *)y)[i] = ech_to_bf16(x[i]);
        break;
    case ECH_A_F16:
        for (int64_t i = 0; i < cols; i++)
            ((uint16_t *)y)[i] = ech_to_f16(x[i]);
        break;
    case ECH_A_Q8:
        *scale = ech_to_q8(x, cols, y);
        break;
    default:
        if (cols > 0)
            memcpy(y, x, (size_t)cols * sizeof *x);
        break;
    }
}

#endif
