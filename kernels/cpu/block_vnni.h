/* Steps of blocks by `vpdpbusd`: a word of each row, in every lane, times the bytes of all its columns; the
 * dots of a group stay in registers beside the sums. In files compiled for AVX-512 with VNNI, after
 * int8_vnni.h. */
#ifndef ECH_KERNELS_CPU_BLOCK_VNNI_H
#define ECH_KERNELS_CPU_BLOCK_VNNI_H

#define BLOCK_BYTES_WIDE
#define BLOCK_DOTS_IN_REGISTERS
#include "kernels/cpu/block_tile.h"

/* Rows are reached from every fourth one: few registers hold addresses. */
struct block_rows_at {
    const float *every[2];
    int64_t lda;
};

INLINE const float *block_row_at(const struct block_rows_at *a, int r)
{
    return a->every[r / 4] + r % 4 * a->lda;
}

/* The dots of a group. The barriers keep the loads of a word beside its products: many at once are spilled.
 */
INLINE void block_dots(const float *w, int64_t lane, const struct block_rows_at *a, const int rows,
                       const int vectors, const int g, const int words, const bool mins, struct w16 dot[][2])
{
    FOR(r, rows)
    {
        const struct w16 start = mins ? w16_zero() : w16_set(block_row_at(a, r) + BLOCK_START + g);
        FOR(v, vectors) dot[r][v] = start;
    }
    FOR(i, words)
    {
        struct w16 bytes[2];
        __asm__ volatile("" ::: "memory");
        FOR(v, vectors) bytes[v] = w16_load(w + lane * v + 16 * (g * words + i));
        FOR(r, rows)
        {
            const struct w16 x = w16_set(block_row_at(a, r) + g * words + i);
            FOR(v, vectors) w16_dot(&dot[r][v], bytes[v], x);
        }
    }
    __asm__ volatile("" ::: "memory");
}

INLINE void block_step(const float *w, int64_t lane, const float *a, int64_t lda, const int rows,
                       const int vectors, const int groups, const bool mins, const bool wide,
                       struct v16 sum[][4])
{
    (void)wide;
    const struct block_rows_at at = {{a, rows > 4 ? a + 4 * lda : a}, lda};
    FOR(g, groups)
    {
        struct w16 dot[TILE_ROWS_MAX][2];
        block_dots(w, lane, &at, rows, vectors, g, 8 / groups, mins, dot);
        FOR(v, vectors)
        {
            const struct v16 scale = v16_load(w + lane * v + BLOCK_BYTES + 16 * g);
            FOR(r, rows)
            {
                const struct v16 by = v16_mul(v16_set(block_row_at(&at, r)[BLOCK_SCALE]), scale);
                sum[r][v] = v16_fma(w16_float(dot[r][v]), by, sum[r][v]);
            }
            if (!mins)
                continue;
            const struct v16 min = v16_load(w + lane * v + BLOCK_BYTES + 16 * (groups + g));
            FOR(r, rows) sum[r][v] = v16_fma(min, v16_set(block_row_at(&at, r)[BLOCK_MIN + g]), sum[r][v]);
        }
    }
}

#endif
