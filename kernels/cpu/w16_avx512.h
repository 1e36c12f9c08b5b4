/* Sixteen 32-bit words that hold integers (one i32, two i16 or four bytes a word), AVX-512 form. Same names
 * and meaning as in w16_avx2.h. Included after v16_avx512.h. */
#ifndef ECH_KERNELS_CPU_W16_AVX512_H
#define ECH_KERNELS_CPU_W16_AVX512_H

#include "kernels/cpu/v16_avx512.h"

struct w16 {
    __m512i v;
};

INLINE struct w16 w16_zero(void)
{
    return (struct w16){_mm512_setzero_si512()};
}

/* Words at p, whatever type they were stored as. */
INLINE struct w16 w16_load(const void *p)
{
    return (struct w16){_mm512_loadu_si512(p)};
}

INLINE void w16_store(void *p, struct w16 x)
{
    _mm512_storeu_si512(p, x.v);
}

/* The word at p in every lane. */
INLINE struct w16 w16_set(const float *p)
{
    return (struct w16){_mm512_castps_si512(_mm512_set1_ps(*p))};
}

INLINE struct w16 w16_set_int(int32_t x)
{
    return (struct w16){_mm512_set1_epi32(x)};
}

INLINE struct w16 w16_add(struct w16 a, struct w16 b)
{
    return (struct w16){_mm512_add_epi32(a.v, b.v)};
}

INLINE struct v16 w16_float(struct w16 x)
{
    return (struct v16){_mm512_cvtepi32_ps(x.v)};
}

/* To nearest even. */
INLINE struct w16 w16_round(struct v16 x)
{
    return (struct w16){_mm512_cvtps_epi32(x.v)};
}

INLINE int32_t w16_sum(struct w16 x)
{
    return _mm512_reduce_add_epi32(x.v);
}

/* Words in [-128, 127] as 16 bytes. */
INLINE void w16_store_bytes(void *p, struct w16 x)
{
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(x.v));
}

/* 16 bytes, unsigned. */
INLINE struct w16 w16_from_bytes(const uint8_t *p)
{
    return (struct w16){_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p))};
}

/* Bytes 0 and 2 of each word as two i16; bytes 1 and 3 likewise. */
INLINE struct w16 w16_even_bytes(struct w16 x)
{
    return (struct w16){_mm512_srai_epi16(_mm512_slli_epi16(x.v, 8), 8)};
}

INLINE struct w16 w16_odd_bytes(struct w16 x)
{
    return (struct w16){_mm512_srai_epi16(x.v, 8)};
}

/* 16 words become 32: of each, bytes 0 and 2 as two u16, then bytes 1 and 3. */
INLINE void w16_store_pairs(void *p, struct w16 x)
{
    const __m512i low = _mm512_set1_epi32(0x00ff00ff);
    const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
    const __m512i even = _mm512_and_si512(x.v, low), odd = _mm512_and_si512(_mm512_srli_epi32(x.v, 8), low);
    _mm512_storeu_si512(p, _mm512_permutex2var_epi32(even, first, odd));
    _mm512_storeu_si512((char *)p + 64, _mm512_permutex2var_epi32(even, second, odd));
}

/* i16 pairs: the sum of both products, an i32. */
INLINE struct w16 w16_pairs(struct w16 a, struct w16 b)
{
    return (struct w16){_mm512_madd_epi16(a.v, b.v)};
}

/* u8 times s8, the sums of neighbours as i16 (saturating: the caller's are small enough). */
INLINE struct w16 w16_byte_pairs(struct w16 u, struct w16 s)
{
    return (struct w16){_mm512_maddubs_epi16(u.v, s.v)};
}

INLINE struct w16 w16_add_halves(struct w16 a, struct w16 b)
{
    return (struct w16){_mm512_add_epi16(a.v, b.v)};
}

INLINE struct w16 w16_halves(int16_t x)
{
    return (struct w16){_mm512_set1_epi16(x)};
}

/* Byte b of each word, unsigned. */
INLINE struct w16 w16_byte(struct w16 x, const int b)
{
    return (struct w16){_mm512_and_si512(_mm512_srli_epi32(x.v, (unsigned)(8 * b)), _mm512_set1_epi32(255))};
}

INLINE struct w16 w16_low_nibbles(struct w16 x)
{
    return (struct w16){_mm512_and_si512(x.v, _mm512_set1_epi8(15))};
}

INLINE struct w16 w16_high_nibbles(struct w16 x)
{
    return (struct w16){_mm512_and_si512(_mm512_srli_epi16(x.v, 4), _mm512_set1_epi8(15))};
}

#endif
