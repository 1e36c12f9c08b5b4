/* Integer weights in panels (panels.h).
 *
 * INT8  A step is 4 elements of k: [64 outputs][4] s8, zeros past n and k. Tail: the scale, then an i32, the
 *       start: -128 x the sum of the output's values, where sums begin that multiply Q8 bytes (value + 128).
 * INT4  A step is a group of 32: for each 16 outputs 256 bytes of nibbles, then 16 f16 scales. Byte
 *       [j][output][b], j and b below 4: k = 4j + b of the group in the low nibble, 16 + 4j + b in the high
 *       one, each value + 8. Past k: value 0; past n: scale 0.
 *
 * Values. INT8: an output's weights are quantised as a row of x is (ops.h, Q8). INT4: scale = (the element of
 * largest magnitude, the first of equals) / -8 as f16, value = round to even(w / scale) in [-8, 7]; 0 where
 * the scale is 0 or not finite: in the latter case every result of that output is NaN. ECH_W_S8: values and
 * scale as they are. */
#ifndef ECH_KERNELS_PANELS_INT_H
#define ECH_KERNELS_PANELS_INT_H

#include "kernels/panels.h"

enum { ECH_INT4_GROUP = 32, ECH_INT4_WORDS = 72 }; /* elements of k; words of 16 outputs */

/* A group of one output: the f16 scale, and values + 8. */
uint16_t ech_int4_quantise(const float *w, uint8_t *nibbles);

void ech_pack_int8(const struct ech_panel_source *from, uint32_t *panel, float *tail, int64_t stride);
void ech_pack_int4(const struct ech_panel_source *from, uint32_t *panel, float *tail, int64_t stride);

#endif
