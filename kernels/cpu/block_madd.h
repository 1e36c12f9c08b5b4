/* Dots of blocks by products of bytes with sums in i16, for processors without VNNI. Nothing saturates: four
 * words of bytes up to 31, or two of bytes up to 63, stay below 2^15; wider bytes are two nibbles. */
#ifndef ECH_KERNELS_CPU_BLOCK_MADD_H
#define ECH_KERNELS_CPU_BLOCK_MADD_H

#include "kernels/cpu/block_tile.h"

/* The products of `run` words as i16 sums, widened, times `by`. */
INLINE struct w16 block_dot_run(const struct w16 *bytes, const float *x, const int run, int16_t by)
{
    struct w16 halves = w16_byte_pairs(bytes[0], w16_set(x));
    FOR(i, run - 1) halves = w16_add_halves(halves, w16_byte_pairs(bytes[i + 1], w16_set(x + i + 1)));
    return w16_pairs(halves, w16_halves(by));
}

/* start + the sum over i below `words` of the four products of bytes[i] (u8) and those of word x[i] (s8). */
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

/* One group of 16 outputs against all rows. */
INLINE void block_group(const float *w, const float *a, int64_t lda, const int rows, int v, const int g,
                        const int groups, const bool mins, const bool wide, struct v16 sum[][4])
{
    const int words = 8 / groups;
    struct w16 bytes[8];
    __asm__ volatile("" ::: "memory"); /* what rows share between columns is loaded again, not spilled */
    FOR(i, words) bytes[i] = w16_load(w + 16 * (g * words + i));
    const struct v16 scale = v16_load(w + BLOCK_BYTES + 16 * g);
    const struct v16 min = mins ? v16_load(w + BLOCK_BYTES + 16 * (groups + g)) : v16_zero();
    FOR(r, rows)
    {
        const float *x = a + r * lda;
        struct w16 start = mins ? w16_zero() : w16_set(x + BLOCK_START + g);
        struct w16 dot = block_dot(start, bytes, x + g * words, words, wide);
        sum[r][v] = v16_fma(w16_float(dot), v16_mul(v16_set(x[BLOCK_SCALE]), scale), sum[r][v]);
        if (mins)
            sum[r][v] = v16_fma(min, v16_set(x[BLOCK_MIN + g]), sum[r][v]);
    }
}

INLINE void block_step(const float *w, int64_t lane, const float *a, int64_t lda, const int rows,
                       const int vectors, const int groups, const bool mins, const bool wide,
                       struct v16 sum[][4])
{
    FOR(v, vectors)
    {
        FOR(g, groups) block_group(w + lane * v, a, lda, rows, v, g, groups, mins, wide, sum);
    }
}

#endif
