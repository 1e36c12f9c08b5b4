/* Sixteen 32-bit words that hold integers, AVX2 form: two registers. Same names and meaning as in
 * w16_avx512.h. Included after v16_avx2.h. */
#ifndef ECH_KERNELS_CPU_W16_AVX2_H
#define ECH_KERNELS_CPU_W16_AVX2_H

#include "kernels/cpu/v16_avx2.h"

struct w16 {
    __m256i lo, hi;
};

#define W16_PAIR(op, a, b)                                                                                   \
    (struct w16)                                                                                             \
    {                                                                                                        \
        op((a).lo, (b).lo), op((a).hi, (b).hi)                                                               \
    }

INLINE struct w16 w16_both(__m256i x)
{
    return (struct w16){x, x};
}

INLINE struct w16 w16_zero(void)
{
    return w16_both(_mm256_setzero_si256());
}

INLINE struct w16 w16_load(const void *p)
{
    const __m256i *q = p;
    return (struct w16){_mm256_loadu_si256(q), _mm256_loadu_si256(q + 1)};
}

INLINE void w16_store(void *p, struct w16 x)
{
    __m256i *q = p;
    _mm256_storeu_si256(q, x.lo);
    _mm256_storeu_si256(q + 1, x.hi);
}

INLINE struct w16 w16_set(const float *p)
{
    return w16_both(_mm256_castps_si256(_mm256_set1_ps(*p)));
}

INLINE struct w16 w16_set_int(int32_t x)
{
    return w16_both(_mm256_set1_epi32(x));
}

INLINE struct w16 w16_add(struct w16 a, struct w16 b)
{
    return W16_PAIR(_mm256_add_epi32, a, b);
}

INLINE struct v16 w16_float(struct w16 x)
{
    return (struct v16){_mm256_cvtepi32_ps(x.lo), _mm256_cvtepi32_ps(x.hi)};
}

INLINE struct w16 w16_round(struct v16 x)
{
    return (struct w16){_mm256_cvtps_epi32(x.lo), _mm256_cvtps_epi32(x.hi)};
}

INLINE int32_t w16_sum(struct w16 x)
{
    __m256i e = _mm256_add_epi32(x.lo, x.hi);
    __m128i q = _mm_add_epi32(_mm256_castsi256_si128(e), _mm256_extracti128_si256(e, 1));
    q = _mm_add_epi32(q, _mm_shuffle_epi32(q, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(q, _mm_shuffle_epi32(q, 0xb1)));
}

INLINE void w16_store_bytes(void *p, struct w16 x)
{
    __m256i halves = _mm256_permute4x64_epi64(_mm256_packs_epi32(x.lo, x.hi), 0xd8);
    _mm_storeu_si128((__m128i *)p,
                     _mm_packs_epi16(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1)));
}

INLINE struct w16 w16_from_bytes(const uint8_t *p)
{
    return (struct w16){_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)),
                        _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(p + 8)))};
}

INLINE struct w16 w16_even_bytes(struct w16 x)
{
    return (struct w16){_mm256_srai_epi16(_mm256_slli_epi16(x.lo, 8), 8),
                        _mm256_srai_epi16(_mm256_slli_epi16(x.hi, 8), 8)};
}

INLINE struct w16 w16_odd_bytes(struct w16 x)
{
    return (struct w16){_mm256_srai_epi16(x.lo, 8), _mm256_srai_epi16(x.hi, 8)};
}

INLINE void w16_half_store_pairs(__m256i *p, __m256i x)
{
    const __m256i low = _mm256_set1_epi32(0x00ff00ff);
    const __m256i even = _mm256_and_si256(x, low), odd = _mm256_and_si256(_mm256_srli_epi32(x, 8), low);
    __m256i a = _mm256_unpacklo_epi32(even, odd), b = _mm256_unpackhi_epi32(even, odd);
    _mm256_storeu_si256(p, _mm256_permute2x128_si256(a, b, 0x20));
    _mm256_storeu_si256(p + 1, _mm256_permute2x128_si256(a, b, 0x31));
}

INLINE void w16_store_pairs(void *p, struct w16 x)
{
    __m256i *q = p;
    w16_half_store_pairs(q, x.lo);
    w16_half_store_pairs(q + 2, x.hi);
}

INLINE struct w16 w16_pairs(struct w16 a, struct w16 b)
{
    return W16_PAIR(_mm256_madd_epi16, a, b);
}

INLINE struct w16 w16_byte_pairs(struct w16 u, struct w16 s)
{
    return W16_PAIR(_mm256_maddubs_epi16, u, s);
}

INLINE struct w16 w16_add_halves(struct w16 a, struct w16 b)
{
    return W16_PAIR(_mm256_add_epi16, a, b);
}

INLINE struct w16 w16_halves(int16_t x)
{
    return w16_both(_mm256_set1_epi16(x));
}

INLINE struct w16 w16_byte(struct w16 x, const int b)
{
    struct w16 low = {_mm256_srli_epi32(x.lo, 8 * b), _mm256_srli_epi32(x.hi, 8 * b)};
    return W16_PAIR(_mm256_and_si256, low, w16_set_int(255));
}

INLINE struct w16 w16_low_nibbles(struct w16 x)
{
    return W16_PAIR(_mm256_and_si256, x, w16_both(_mm256_set1_epi8(15)));
}

INLINE struct w16 w16_high_nibbles(struct w16 x)
{
    struct w16 high = {_mm256_srli_epi16(x.lo, 4), _mm256_srli_epi16(x.hi, 4)};
    return w16_low_nibbles(high);
}

#endif
