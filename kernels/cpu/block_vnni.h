/* Dots of blocks by `vpdpbusd`. In files compiled for AVX-512 with VNNI, after int8_vnni.h. */
#ifndef ECH_KERNELS_CPU_BLOCK_VNNI_H
#define ECH_KERNELS_CPU_BLOCK_VNNI_H

INLINE struct w16 block_dot(struct w16 start, const struct w16 *bytes, const float *x, const int words,
                            const bool wide)
{
    (void)wide;
    FOR(i, words) w16_dot(&start, bytes[i], w16_set(x + i));
    return start;
}

#include "kernels/cpu/block_tile.h"

#endif
