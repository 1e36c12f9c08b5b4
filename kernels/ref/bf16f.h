/* bf16 in scalar form: rounding, and one step of a chain of pairs. What the processors' instructions give
 * (`vcvtneps2bf16`, `vdpbf16ps`), and what the vector forms without them repeat. */
#ifndef ECH_KERNELS_REF_BF16F_H
#define ECH_KERNELS_REF_BF16F_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/convert.h"

/* Round to even; denormals become zeros of their sign, NaNs quiet. */
static inline uint16_t ech_to_bf16(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    if (x != x)
        return (uint16_t)(u >> 16 | 0x40);
    if ((u & 0x7f800000) == 0)
        return (uint16_t)(u >> 16 & 0x8000);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static inline float ech_round_bf16(float x)
{
    return ech_from_bf16(ech_to_bf16(x));
}

/* a b + sum, rounded once, a denormal result to zero. The processor judges after rounding as if there were no
 * lowest exponent: just below the smallest normal number it flushes what plain arithmetic rounds up. */
static inline float ech_bf16_fma(float a, float b, float sum)
{
    float r = fmaf(a, b, sum);
    bool tiny = fabsf(r) < FLT_MIN;
    if (fabsf(r) == FLT_MIN)
        tiny = fabs((double)a * (double)b + (double)sum) < 0x1p-126 - 0x1p-151;
    return tiny ? copysignf(0.0f, r) : r;
}

/* One pair of a chain: the odd elements first. All of a and b are rounded to bf16 and no denormals. */
static inline float ech_bf16_pair(float even_a, float odd_a, float even_b, float odd_b, float sum)
{
    if (fabsf(sum) < FLT_MIN)
        sum = copysignf(0.0f, sum);
    return ech_bf16_fma(even_a, even_b, ech_bf16_fma(odd_a, odd_b, sum));
}

#endif
