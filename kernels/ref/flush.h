/* The arithmetic of `dpbf16` in plain C: denormals in and out are zeros (of their sign). */
#ifndef ECH_KERNELS_REF_FLUSH_H
#define ECH_KERNELS_REF_FLUSH_H

#include <math.h>

static inline float ech_flush(float x)
{
    return fabsf(x) < 0x1p-126f ? copysignf(0.0f, x) : x;
}

/* fma(a, b, c), 0 where it is tiny once rounded to 24 bits; a and b are bf16, no operand is denormal.
 * fmaf rounds a tiny result to fewer bits, and so may call 2^-126 what is less: the sum, exact in double
 * there (16 bits of product, at most 2^-40 below c), decides. */
static inline float ech_fma_flush(float a, float b, float c)
{
    float r = fmaf(a, b, c);
    if (fabsf(r) == 0x1p-126f && fabs((double)a * (double)b + (double)c) < 0x1.ffffffp-127)
        return copysignf(0.0f, r);
    return ech_flush(r);
}

#endif
