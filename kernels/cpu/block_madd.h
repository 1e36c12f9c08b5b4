/* Dots of blocks by products of bytes with sums in i16, for processors without VNNI. Nothing saturates: four
 * words of bytes up to 31, or two of bytes up to 63, stay below 2^15; wider bytes are two nibbles. */
#ifndef ECH_KERNELS_CPU_BLOCK_MADD_H
#define ECH_KERNELS_CPU_BLOCK_MADD_H

/* The products of `run` words as i16 sums, widened, times `by`. */
INLINE struct w16 block_dot_run(const struct w16 *bytes, const float *x, const int run, int16_t by)
{
    struct w16 halves = w16_byte_pairs(bytes[0], w16_set(x));
    FOR(i, run - 1) halves = w16_add_halves(halves, w16_byte_pairs(bytes[i + 1], w16_set(x + i + 1)));
    return w16_pairs(halves, w16_halves(by));
}

INLINE struct w16 block_dot(struct w16 start, const struct w16 *bytes, const float *x, const int words,
                            const bool wide)
{
    const int run = words / 2;
    if (wide) {
        struct w16 low[8], high[8];
        FOR(i, words)
        {
            low[i] = w16_low_nibbles(bytes[i]);
            high[i] = w16_high_nibbles(bytes[i]);
        }
        start = w16_add(start, block_dot_run(low, x, words, 1));
        return w16_add(start, block_dot_run(high, x, words, 16));
    }
    start = w16_add(start, block_dot_run(bytes, x, run, 1));
    return w16_add(start, block_dot_run(bytes + run, x + run, run, 1));
}

#include "kernels/cpu/block_tile.h"

#endif
