/* Dots of blocks by `vpdpbusd`, x from memory: kept in registers it would drive the sums out of theirs. In
 * files compiled for AVX-512 with VNNI, after int8_vnni.h. */
#ifndef ECH_KERNELS_CPU_BLOCK_VNNI_H
#define ECH_KERNELS_CPU_BLOCK_VNNI_H

INLINE struct w16 block_dot(struct w16 start, const struct w16 *bytes, const float *x, const int words,
                            const bool wide)
{
    (void)wide;
    FOR(i, words) __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(start.v) : "v"(bytes[i].v), "m"(x[i]));
    return start;
}

#define BLOCK_BYTES_WIDE
#include "kernels/cpu/block_tile.h"

#endif
