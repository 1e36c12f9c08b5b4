/* int4 tiles by products of bytes with sums in i16, for processors without VNNI: a nibble is at most 15, so
 * eight sums of two stay below 2^15 and nothing saturates. */
#ifndef ECH_KERNELS_CPU_INT4_MADD_H
#define ECH_KERNELS_CPU_INT4_MADD_H

INLINE struct w16 w16_nibble_sum(struct w16 start, const struct w16 nibbles[8], const float *x)
{
    struct w16 halves = w16_byte_pairs(nibbles[0], w16_set(x));
    FOR(i, 7) halves = w16_add_halves(halves, w16_byte_pairs(nibbles[i + 1], w16_set(x + i + 1)));
    return w16_add(start, w16_pairs(halves, w16_halves(1)));
}

#include "kernels/cpu/int4.h"

static const struct product_format FORMAT_INT4_MADD = INT4_FORMAT;

#endif
