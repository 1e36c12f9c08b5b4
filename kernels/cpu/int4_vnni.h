/* int4 tiles by `vpdpbusd`. In files compiled for AVX-512 with VNNI, after int8_vnni.h. */
#ifndef ECH_KERNELS_CPU_INT4_VNNI_H
#define ECH_KERNELS_CPU_INT4_VNNI_H

INLINE struct w16 w16_nibble_sum(struct w16 start, const struct w16 nibbles[8], const float *x)
{
    FOR(i, 8) w16_dot(&start, nibbles[i], w16_set(x + i));
    return start;
}

#include "kernels/cpu/int4.h"

#endif
