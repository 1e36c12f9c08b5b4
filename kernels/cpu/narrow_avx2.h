/* Sixteen floats into narrower types, lane masks and pairs, AVX2 form. Same names and meaning as in
 * narrow_avx512.h. */
#ifndef ECH_KERNELS_CPU_NARROW_AVX2_H
#define ECH_KERNELS_CPU_NARROW_AVX2_H

#include <string.h>

#include "kernels/cpu/v16_avx2.h"

INLINE void v16_store_halves(uint16_t *p, __m256i halves, int64_t n)
{
    if (n >= 16) {
        _mm256_storeu_si256((__m256i *)p, halves);
        return;
    }
    uint16_t all[16];
    _mm256_storeu_si256((__m256i *)all, halves);
    memcpy(p, all, (size_t)n * sizeof *p);
}

INLINE __m256i v16_f16_halves(struct v16 x)
{
    __m128i lo = _mm256_cvtps_ph(x.lo, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m128i hi = _mm256_cvtps_ph(x.hi, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(lo), hi, 1);
}

/* 32 bytes of two vectors. */
INLINE __m256i v16_q8_half(struct v16 x, struct v16 y)
{
    __m256i a = _mm256_packs_epi32(_mm256_cvtps_epi32(x.lo), _mm256_cvtps_epi32(x.hi));
    __m256i b = _mm256_packs_epi32(_mm256_cvtps_epi32(y.lo), _mm256_cvtps_epi32(y.hi));
    __m256i bytes =
        _mm256_permutevar8x32_epi32(_mm256_packs_epi16(a, b), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    return _mm256_xor_si256(bytes, _mm256_set1_epi8((char)0x80));
}

INLINE void v16_store_q8(uint8_t *p, const struct v16 x[4])
{
    _mm256_storeu_si256((__m256i *)p, v16_q8_half(x[0], x[1]));
    _mm256_storeu_si256((__m256i *)(p + 32), v16_q8_half(x[2], x[3]));
}

INLINE __m256 v16_half_magnitude(__m256 most, __m256 x)
{
    __m256i u = _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffffff));
    return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(most), u));
}

INLINE struct v16 v16_magnitude(struct v16 most, struct v16 x)
{
    return V16_PAIR(v16_half_magnitude, most, x);
}

INLINE float v16_largest_magnitude(struct v16 most)
{
    __m256i e = _mm256_max_epi32(_mm256_castps_si256(most.lo), _mm256_castps_si256(most.hi));
    __m128i q = _mm_max_epi32(_mm256_castsi256_si128(e), _mm256_extracti128_si256(e, 1));
    q = _mm_max_epi32(q, _mm_shuffle_epi32(q, 0x4e));
    q = _mm_max_epi32(q, _mm_shuffle_epi32(q, 0xb1));
    return _mm_cvtss_f32(_mm_castsi128_ps(q));
}

INLINE uint32_t v16_above(struct v16 x, struct v16 limit)
{
    int lo = _mm256_movemask_ps(_mm256_cmp_ps(x.lo, limit.lo, _CMP_NLE_UQ));
    int hi = _mm256_movemask_ps(_mm256_cmp_ps(x.hi, limit.hi, _CMP_NLE_UQ));
    return (uint32_t)(lo | hi << 8);
}

INLINE struct v16 v16_load_twice(const float *p, int64_t n)
{
    const __m256i low = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3),
                  high = _mm256_add_epi32(low, _mm256_set1_epi32(4));
    __m256 x = _mm256_maskload_ps(p, v16_mask(n, 0));
    return (struct v16){_mm256_permutevar8x32_ps(x, low), _mm256_permutevar8x32_ps(x, high)};
}

INLINE struct v16 v16_swap_pairs(struct v16 x)
{
    return (struct v16){_mm256_permute_ps(x.lo, 0xb1), _mm256_permute_ps(x.hi, 0xb1)};
}

INLINE struct v16 v16_negate_even(struct v16 x)
{
    const __m256 sign = _mm256_castsi256_ps(_mm256_set1_epi64x(0x80000000));
    return (struct v16){_mm256_xor_ps(x.lo, sign), _mm256_xor_ps(x.hi, sign)};
}

#endif
