/* Sixteen floats at once, AVX-512 form. The names and the meaning of every operation are those of
 * v16_avx2.h; the kernels are written once over them. Each is one IEEE operation a lane, so both forms and
 * plain C give the same bits. maximum(a, b) is a > b ? a : b and minimum a < b ? a : b: b where one is NaN.
 */
#ifndef ECH_KERNELS_CPU_V16_AVX512_H
#define ECH_KERNELS_CPU_V16_AVX512_H

#include <immintrin.h>
#include <stdint.h>

#include "kernels/cpu/inline.h"

struct v16 {
    __m512 v;
};

/* Tile of the product: rows by vectors held in registers at once (product.h). */
#define TILE_VECTORS 4

INLINE struct v16 v16_zero(void)
{
    return (struct v16){_mm512_setzero_ps()};
}

INLINE struct v16 v16_set(float x)
{
    return (struct v16){_mm512_set1_ps(x)};
}

INLINE struct v16 v16_load(const float *p)
{
    return (struct v16){_mm512_loadu_ps(p)};
}

INLINE void v16_store(float *p, struct v16 x)
{
    _mm512_storeu_ps(p, x.v);
}

INLINE __mmask16 v16_mask(int64_t n)
{
    return (__mmask16)((1u << n) - 1);
}

/* The first n lanes (0 to 16); the others are 0 and their memory is not touched. */
INLINE struct v16 v16_load_part(const float *p, int64_t n)
{
    return (struct v16){_mm512_maskz_loadu_ps(v16_mask(n), p)};
}

INLINE void v16_store_part(float *p, struct v16 x, int64_t n)
{
    _mm512_mask_storeu_ps(p, v16_mask(n), x.v);
}

/* The first n lanes of x, `rest` in the others. */
INLINE struct v16 v16_keep(struct v16 x, int64_t n, struct v16 rest)
{
    return (struct v16){_mm512_mask_mov_ps(rest.v, v16_mask(n), x.v)};
}

INLINE struct v16 v16_fma(struct v16 a, struct v16 b, struct v16 c)
{
    return (struct v16){_mm512_fmadd_ps(a.v, b.v, c.v)};
}

INLINE struct v16 v16_add(struct v16 a, struct v16 b)
{
    return (struct v16){_mm512_add_ps(a.v, b.v)};
}

INLINE struct v16 v16_sub(struct v16 a, struct v16 b)
{
    return (struct v16){_mm512_sub_ps(a.v, b.v)};
}

INLINE struct v16 v16_mul(struct v16 a, struct v16 b)
{
    return (struct v16){_mm512_mul_ps(a.v, b.v)};
}

INLINE struct v16 v16_div(struct v16 a, struct v16 b)
{
    return (struct v16){_mm512_div_ps(a.v, b.v)};
}

INLINE struct v16 v16_maximum(struct v16 a, struct v16 b)
{
    return (struct v16){_mm512_max_ps(a.v, b.v)};
}

INLINE struct v16 v16_minimum(struct v16 a, struct v16 b)
{
    return (struct v16){_mm512_min_ps(a.v, b.v)};
}

/* a where it is greater or NaN, else b. */
INLINE struct v16 v16_greater_or_nan(struct v16 a, struct v16 b)
{
    __mmask16 m = _mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ) | _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q);
    return (struct v16){_mm512_mask_mov_ps(b.v, m, a.v)};
}

INLINE struct v16 v16_abs(struct v16 x)
{
    return (struct v16){_mm512_abs_ps(x.v)};
}

/* |x| with the sign of s. */
INLINE struct v16 v16_copysign(struct v16 x, struct v16 s)
{
    __m512i sign = _mm512_set1_epi32((int)0x80000000);
    __m512i r = _mm512_ternarylogic_epi32(sign, _mm512_castps_si512(s.v), _mm512_castps_si512(x.v), 0xca);
    return (struct v16){_mm512_castsi512_ps(r)};
}

/* 2^n of whole n in [-126, 127]. */
INLINE struct v16 v16_exp2(struct v16 n)
{
    __m512i i = _mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127));
    return (struct v16){_mm512_castsi512_ps(_mm512_slli_epi32(i, 23))};
}

/* x 2^n for whole n, rounded once. */
INLINE struct v16 v16_scale2(struct v16 x, struct v16 n)
{
    return (struct v16){_mm512_scalef_ps(x.v, n.v)};
}

/* The fixed tree over the 16 lanes: 8+8, 4+4, 2+2, 1+1. */
INLINE float v16_sum(struct v16 x)
{
    __m256 e = _mm256_add_ps(_mm512_castps512_ps256(x.v), _mm512_extractf32x8_ps(x.v, 1));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(e), _mm256_extractf128_ps(e, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

/* The largest lane; no lane is NaN. */
INLINE float v16_largest(struct v16 x)
{
    __m256 e = _mm256_max_ps(_mm512_castps512_ps256(x.v), _mm512_extractf32x8_ps(x.v, 1));
    __m128 q = _mm_max_ps(_mm256_castps256_ps128(e), _mm256_extractf128_ps(e, 1));
    q = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}

INLINE struct v16 v16_from_f16(const uint16_t *p)
{
    return (struct v16){_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p))};
}

INLINE struct v16 v16_from_bf16(const uint16_t *p)
{
    __m512i i = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return (struct v16){_mm512_castsi512_ps(_mm512_slli_epi32(i, 16))};
}

/* Lanes 2i and 2i + 1 change places. */
INLINE struct v16 v16_swapped(struct v16 x)
{
    return (struct v16){_mm512_permute_ps(x.v, 0xb1)};
}

/* The low and the high half of each lane as bf16. */
INLINE struct v16 v16_bf16_low(struct v16 x)
{
    return (struct v16){_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(x.v), 16))};
}

INLINE struct v16 v16_bf16_high(struct v16 x)
{
    return (struct v16){
        _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(x.v), _mm512_set1_epi32((int)0xffff0000)))};
}

/* To bf16: to nearest even, denormals to zero, a NaN quiet. */
INLINE __m256i v16_to_bf16(struct v16 x)
{
#ifdef __AVX512BF16__
    return (__m256i)_mm512_cvtneps_pbh(x.v);
#else
    const __m512i u = _mm512_castps_si512(x.v), sign = _mm512_set1_epi32((int)0x80000000);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i r = _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd);
    __mmask16 tiny = _mm512_testn_epi32_mask(u, _mm512_set1_epi32(0x7f800000));
    r = _mm512_mask_and_epi32(r, tiny, u, sign);
    __mmask16 nan = _mm512_cmp_ps_mask(x.v, x.v, _CMP_UNORD_Q);
    r = _mm512_mask_or_epi32(r, nan, u, _mm512_set1_epi32(0x400000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(r, 16));
#endif
}

INLINE void v16_store_bf16(uint16_t *p, struct v16 x)
{
    _mm256_storeu_si256((__m256i *)p, v16_to_bf16(x));
}

INLINE void v16_store_bf16_part(uint16_t *p, struct v16 x, int64_t n)
{
    _mm256_mask_storeu_epi16(p, v16_mask(n), v16_to_bf16(x));
}

/* r[i]: the first four floats of rows i, i+4, i+8, i+12. */
INLINE void v16_quarters(__m512 r[4], const float *p, int64_t ld)
{
    for (int i = 0; i < 4; i++) {
        __m512 x = _mm512_castps128_ps512(_mm_loadu_ps(p + i * ld));
        x = _mm512_insertf32x4(x, _mm_loadu_ps(p + (i + 4) * ld), 1);
        x = _mm512_insertf32x4(x, _mm_loadu_ps(p + (i + 8) * ld), 2);
        r[i] = _mm512_insertf32x4(x, _mm_loadu_ps(p + (i + 12) * ld), 3);
    }
}

/* to[j * stride + i] = from[i * ld + j] for 16 x 4: four columns of 16 rows become rows of a panel. */
INLINE void v16_transpose4(float *to, int64_t stride, const float *from, int64_t ld)
{
    __m512 r[4];
    v16_quarters(r, from, ld);
    __m512 a = _mm512_unpacklo_ps(r[0], r[1]), b = _mm512_unpackhi_ps(r[0], r[1]);
    __m512 c = _mm512_unpacklo_ps(r[2], r[3]), d = _mm512_unpackhi_ps(r[2], r[3]);
    _mm512_storeu_ps(to, _mm512_shuffle_ps(a, c, 0x44));
    _mm512_storeu_ps(to + stride, _mm512_shuffle_ps(a, c, 0xee));
    _mm512_storeu_ps(to + 2 * stride, _mm512_shuffle_ps(b, d, 0x44));
    _mm512_storeu_ps(to + 3 * stride, _mm512_shuffle_ps(b, d, 0xee));
}

#endif
