/* Sixteen floats into narrower types, lane masks and pairs, AVX-512 form. Same names and meaning as in
 * narrow_avx2.h; the narrow results are those of kernels/ref/narrow.h. */
#ifndef ECH_KERNELS_CPU_NARROW_AVX512_H
#define ECH_KERNELS_CPU_NARROW_AVX512_H

#include "kernels/cpu/v16_avx512.h"

/* The first n (1 to 16) of 16 halves. */
INLINE void v16_store_halves(uint16_t *p, __m256i halves, int64_t n)
{
    if (n >= 16)
        _mm256_storeu_si256((__m256i *)p, halves);
    else
        _mm256_mask_storeu_epi16(p, v16_mask(n), halves);
}

INLINE __m256i v16_f16_halves(struct v16 x)
{
    return _mm512_cvtps_ph(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* 64 bytes: round to even, plus 128, of values within [-128, 127]. */
INLINE void v16_store_q8(uint8_t *p, const struct v16 x[4])
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i a = _mm512_packs_epi32(_mm512_cvtps_epi32(x[0].v), _mm512_cvtps_epi32(x[1].v));
    __m512i b = _mm512_packs_epi32(_mm512_cvtps_epi32(x[2].v), _mm512_cvtps_epi32(x[3].v));
    __m512i bytes = _mm512_permutexvar_epi32(order, _mm512_packs_epi16(a, b));
    _mm512_storeu_si512(p, _mm512_xor_si512(bytes, _mm512_set1_epi8((char)0x80)));
}

/* The larger magnitude of each lane by its bits: a NaN beats infinity beats numbers. */
INLINE struct v16 v16_magnitude(struct v16 most, struct v16 x)
{
    __m512i u = _mm512_castps_si512(v16_abs(x).v);
    return (struct v16){_mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512(most.v), u))};
}

INLINE float v16_largest_magnitude(struct v16 most)
{
    return _mm_cvtss_f32(
        _mm_castsi128_ps(_mm_cvtsi32_si128(_mm512_reduce_max_epi32(_mm512_castps_si512(most.v)))));
}

/* Bit i: lane i is greater than `limit` or NaN. */
INLINE uint32_t v16_above(struct v16 x, struct v16 limit)
{
    return _mm512_cmp_ps_mask(x.v, limit.v, _CMP_NLE_UQ);
}

/* p[0] p[0] p[1] p[1] ...: n (1 to 8) floats are read, the lanes of the others are 0. */
INLINE struct v16 v16_load_twice(const float *p, int64_t n)
{
    const __m512i pairs = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    __m256 x = _mm256_maskz_loadu_ps((__mmask8)((1u << n) - 1), p);
    return (struct v16){_mm512_permutexvar_ps(pairs, _mm512_castps256_ps512(x))};
}

/* The lanes of each pair change places; the first lane of each pair changes its sign. */
INLINE struct v16 v16_swap_pairs(struct v16 x)
{
    return (struct v16){_mm512_permute_ps(x.v, 0xb1)};
}

INLINE struct v16 v16_negate_even(struct v16 x)
{
    return (struct v16){_mm512_xor_ps(x.v, _mm512_castsi512_ps(_mm512_set1_epi64(0x80000000)))};
}

#endif
