/* bf16 over vectors: rounding as the processors' own instruction does it (kernels/ref/bf16f.h says what that
 * is), and the mode in which two FMAs are one step of `dpbf16`. Included after a v16_*.h. */
#ifndef ECH_KERNELS_CPU_BF16_H
#define ECH_KERNELS_CPU_BF16_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

/* dpbf16 takes and gives no denormals. Where it is missing, its FMAs run between these two; they stand
 * around calls through pointers, across which the compiler moves no arithmetic. */
enum { FLUSH_DENORMALS = 0x8040 }; /* MXCSR: FTZ and DAZ */

INLINE unsigned flush_begin(void)
{
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | FLUSH_DENORMALS);
    return before;
}

INLINE void flush_end(unsigned before)
{
    _mm_setcsr(before);
}

#if TILE_VECTORS == 4

/* x rounded to bf16, as f32: to even, denormals to zero, NaNs quiet. */
INLINE struct v16 v16_round_bf16(struct v16 x)
{
    const __m512i high = _mm512_set1_epi32((int)0xffff0000);
    __m512i u = _mm512_castps_si512(x.v);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i r = _mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    __mmask16 nan = _mm512_cmp_ps_mask(x.v, x.v, _CMP_UNORD_Q);
    __mmask16 tiny = _mm512_testn_epi32_mask(u, _mm512_set1_epi32(0x7f800000));
    r = _mm512_mask_or_epi32(r, nan, u, _mm512_set1_epi32(0x00400000));
    r = _mm512_mask_and_epi32(r, tiny, u, _mm512_set1_epi32((int)0x80000000));
    return (struct v16){_mm512_castsi512_ps(_mm512_and_si512(r, high))};
}

/* Lanes 2i and 2i + 1 change places. */
INLINE struct v16 v16_swap_pairs(struct v16 x)
{
    return (struct v16){_mm512_permute_ps(x.v, 0xb1)};
}

/* The upper halves of the lanes: bf16 of values that v16_round_bf16 gave. */
INLINE void v16_store_bf16(void *to, struct v16 x)
{
    __m512i u = _mm512_srli_epi32(_mm512_castps_si512(x.v), 16);
    _mm256_storeu_si256((__m256i *)to, _mm512_cvtepi32_epi16(u));
}

#else

INLINE __m256 v16_half_round_bf16(__m256 x)
{
    const __m256i zero = _mm256_setzero_si256(), high = _mm256_set1_epi32((int)0xffff0000);
    const __m256i sign = _mm256_set1_epi32((int)0x80000000), exponent = _mm256_set1_epi32(0x7f800000);
    __m256i u = _mm256_castps_si256(x);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    __m256i r = _mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    __m256i tiny = _mm256_cmpeq_epi32(_mm256_and_si256(u, exponent), zero);
    r = _mm256_blendv_epi8(r, _mm256_or_si256(u, _mm256_set1_epi32(0x00400000)), nan);
    r = _mm256_blendv_epi8(r, _mm256_and_si256(u, sign), tiny);
    return _mm256_castsi256_ps(_mm256_and_si256(r, high));
}

INLINE struct v16 v16_round_bf16(struct v16 x)
{
    return (struct v16){v16_half_round_bf16(x.lo), v16_half_round_bf16(x.hi)};
}

INLINE struct v16 v16_swap_pairs(struct v16 x)
{
    return (struct v16){_mm256_permute_ps(x.lo, 0xb1), _mm256_permute_ps(x.hi, 0xb1)};
}

INLINE void v16_store_bf16(void *to, struct v16 x)
{
    __m256i lo = _mm256_srli_epi32(_mm256_castps_si256(x.lo), 16);
    __m256i hi = _mm256_srli_epi32(_mm256_castps_si256(x.hi), 16);
    _mm256_storeu_si256((__m256i *)to, _mm256_permute4x64_epi64(_mm256_packus_epi32(lo, hi), 0xd8));
}

#endif

INLINE struct v16 v16_load_part_bf16(const uint16_t *p, int64_t n)
{
    uint16_t lanes[16] = {0};
    if (n >= 16)
        return v16_from_bf16(p);
    memcpy(lanes, p, (size_t)n * sizeof *p);
    return v16_from_bf16(lanes);
}

INLINE void v16_store_part_bf16(uint16_t *p, struct v16 x, int64_t n)
{
    uint16_t lanes[16];
    if (n >= 16) {
        v16_store_bf16(p, x);
        return;
    }
    v16_store_bf16(lanes, x);
    memcpy(p, lanes, (size_t)n * sizeof *p);
}

#endif
