/* Half precisions to f32, exactly, and f32 to bf16. Scalar: used where weights are packed, rows are gathered,
 * and by ref_exact. */
#ifndef ECH_KERNELS_CONVERT_H
#define ECH_KERNELS_CONVERT_H

#include <stdint.h>
#include <string.h>

#include "kernels/ops.h"

static inline float ech_from_bits(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static inline uint32_t ech_to_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float ech_from_bf16(uint16_t h)
{
    return ech_from_bits((uint32_t)h << 16);
}

/* To nearest even, denormals too; a NaN stays one, quiet. How weights are rounded. */
static inline uint16_t ech_round_bf16(float x)
{
    uint32_t u = ech_to_bits(x);
    if ((u & 0x7fffffff) > 0x7f800000)
        return (uint16_t)((u | 0x400000) >> 16);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

/* The same with denormals to zero, as the processor's instruction does. How activations are rounded. */
static inline uint16_t ech_to_bf16(float x)
{
    uint32_t u = ech_to_bits(x);
    return u & 0x7f800000 ? ech_round_bf16(x) : (uint16_t)(u >> 16 & 0x8000);
}

static inline float ech_from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31, fraction = h & 0x3ff;
    if (exponent == 31) /* inf, NaN */
        return ech_from_bits(sign | 0x7f800000 | fraction << 13);
    if (exponent) /* 112 = 127 - 15 */
        return ech_from_bits(sign | (exponent + 112) << 23 | fraction << 13);
    float x = (float)fraction * 0x1p-24f; /* zero, denormal: exact */
    return sign ? -x : x;
}

static inline size_t ech_wtype_bytes(enum ech_wtype type)
{
    return type == ECH_W_F32 ? 4 : 2;
}

/* Element i of a stored array. */
static inline float ech_load_weight(const void *w, enum ech_wtype type, int64_t i)
{
    const char *p = (const char *)w + (size_t)i * ech_wtype_bytes(type);
    if (type == ECH_W_F32) {
        float x;
        memcpy(&x, p, sizeof x);
        return x;
    }
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return type == ECH_W_F16 ? ech_from_f16(h) : ech_from_bf16(h);
}

#endif
