/* How integer weights are packed, for ref_exact, avx2 and avx512 alike; in panels of 64 outputs (panels.h).
 *
 * ECH_FMT_INT8  [panel][unit of 4 of k][64][4] s8, zeros past n and k; then, over all panels' outputs, the f32
 *               scales and the i32 starts: -128 x the sum of an output's values, where an accumulator begins
 *               that multiplies Q8 bytes (value + 128). k <= ECH_INT8_K_MAX: no sum leaves i32.
 * ECH_FMT_INT4  [panel][group of 32 of k][16 outputs at a time]: 256 bytes of nibbles, then 16 f16 scales.
 *               Byte (j, output, b), j and b below 4: k = 4j + b of the group in the low nibble, 16 + 4j + b in
 *               the high one, each value + 8. Past n and k: value 0; past n: scale 0.
 *
 * Values. INT8: a row of W is quantised as a row of x is (ops.h, Q8). INT4: scale = (the element of largest
 * magnitude, the first of equals) / -8 as f16, value = round to even(w / scale) in [-8, 7]; 0 where the scale
 * is 0 or not finite (then every result of that output is NaN). */
#ifndef ECH_KERNELS_PANELS_INT_H
#define ECH_KERNELS_PANELS_INT_H

#include "kernels/panels.h"

enum { ECH_INT4_GROUP = 32, ECH_INT4_BYTES = 288 }; /* of k; of a group of 16 outputs */

static inline int64_t ech_int8_units(int64_t k)
{
    return (k + 3) / 4;
}

static inline int64_t ech_int4_groups(int64_t k)
{
    return (k + ECH_INT4_GROUP - 1) / ECH_INT4_GROUP;
}

/* Where the scales begin, and after `ech_panels(n) * 64` of them the starts. */
static inline const float *ech_int8_scales(const void *packed, int64_t n, int64_t k)
{
    return (const float *)packed + ech_panels(n) * ECH_PANEL * ech_int8_units(k);
}

size_t ech_int8_bytes(int64_t n, int64_t k);
size_t ech_int4_bytes(int64_t n, int64_t k);
/* Panels [p, end) of (n, k) weights, n and k > 0. */
void ech_int8_pack(const void *w, enum ech_wtype type, int64_t n, int64_t k, void *packed, int64_t p,
                   int64_t end);
void ech_int4_pack(const void *w, enum ech_wtype type, int64_t n, int64_t k, void *packed, int64_t p,
                   int64_t end);

#endif
