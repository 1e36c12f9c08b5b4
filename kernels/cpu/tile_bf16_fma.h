/* bf16 tiles by two FMAs, for processors without `dpbf16`: the same bits.
 *
 * `dpbf16` takes denormals for zero, gives zero for denormals, and rounds after each of its two FMAs, the odd
 * element's first; that is what FMAs do while MXCSR says so. The compiler knows nothing of MXCSR: so the loop
 * is a function of its own, never inlined, that speaks to its caller through memory. */
#ifndef ECH_KERNELS_CPU_TILE_BF16_FMA_H
#define ECH_KERNELS_CPU_TILE_BF16_FMA_H

#include "kernels/cpu/bf16_rows.h"

enum { MXCSR_FLUSH = 0x8040 }; /* results (bit 15) and inputs (bit 6) */

INLINE void tile_bf16_sums(const struct tile *t, const int rows, const int vectors)
{
    struct v16 sum[TILE_ROWS_MAX][4], odd[4], even[4];
    const float *a = t->a, *b = t->b;
    const int64_t lda = t->lda, ldb = t->ldb;
    int64_t at[4];
    FOR(v, vectors) at[v] = tile_vector(t, v, vectors);
    tile_sums_load(t, rows, vectors, sum);
    for (int64_t k = t->k; k > 0; k--, a++, b += ldb) {
        FOR(v, vectors)
        {
            struct v16 pair = v16_load(b + at[v]);
            odd[v] = v16_bf16_high(pair);
            even[v] = v16_bf16_low(pair);
        }
        FOR(r, rows)
        {
            struct v16 x = v16_set(a[r * lda]), x_odd = v16_bf16_high(x), x_even = v16_bf16_low(x);
            FOR(v, vectors) sum[r][v] = v16_fma(x_odd, odd[v], sum[r][v]);
            FOR(v, vectors) sum[r][v] = v16_fma(x_even, even[v], sum[r][v]);
        }
    }
    tile_sums_store(t, rows, vectors, sum);
}

#undef TILE_ATTRIBUTES
#define TILE_ATTRIBUTES __attribute__((noinline))
TILE_SHAPES(tile_bf16_sums, TILES_BF16_SUMS)
#undef TILE_ATTRIBUTES
#define TILE_ATTRIBUTES

INLINE void tile_bf16(const struct tile *t, const int rows, const int vectors)
{
    struct v16 sum[TILE_ROWS_MAX][4];
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | MXCSR_FLUSH);
    __asm__ volatile("" ::: "memory");
    TILES_BF16_SUMS.run[vectors - 1][rows - 1](t);
    __asm__ volatile("" ::: "memory");
    _mm_setcsr(before);
    if (!t->end)
        return;
    struct tile done = *t;
    done.resume = true;
    tile_sums_load(&done, rows, vectors, sum);
    tile_finish(t, rows, vectors, sum);
}

TILE_SHAPES(tile_bf16, TILES_BF16)

static const struct product_format FORMAT_BF16_FMA = {.unit = 2,
                                                      .lane_words = 16,
                                                      .row_words = 1,
                                                      .block = 384,
                                                      .tiles = &TILES_BF16,
                                                      .in_place = bf16_in_place,
                                                      .bring = bf16_bring};

#endif
