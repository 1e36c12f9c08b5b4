/* Sixteen floats at once, AVX2 form: two registers. Same names and meaning as v16_avx512.h. */
#ifndef ECH_KERNELS_CPU_V16_AVX2_H
#define ECH_KERNELS_CPU_V16_AVX2_H

#include <immintrin.h>
#include <stdint.h>

#include "kernels/cpu/inline.h"

struct v16 {
    __m256 lo, hi;
};

#define TILE_VECTORS 1

#define V16_PAIR(op, a, b)                                                                                   \
    (struct v16)                                                                                             \
    {                                                                                                        \
        op((a).lo, (b).lo), op((a).hi, (b).hi)                                                               \
    }

INLINE struct v16 v16_zero(void)
{
    return (struct v16){_mm256_setzero_ps(), _mm256_setzero_ps()};
}

INLINE struct v16 v16_set(float x)
{
    __m256 v = _mm256_set1_ps(x);
    return (struct v16){v, v};
}

INLINE struct v16 v16_load(const float *p)
{
    return (struct v16){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}

INLINE void v16_store(float *p, struct v16 x)
{
    _mm256_storeu_ps(p, x.lo);
    _mm256_storeu_ps(p + 8, x.hi);
}

/* All ones in the lanes below n of the eight from `first`. */
INLINE __m256i v16_mask(int64_t n, int first)
{
    __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n - first), lane);
}

INLINE struct v16 v16_load_part(const float *p, int64_t n)
{
    return (struct v16){_mm256_maskload_ps(p, v16_mask(n, 0)), _mm256_maskload_ps(p + 8, v16_mask(n, 8))};
}

INLINE void v16_store_part(float *p, struct v16 x, int64_t n)
{
    _mm256_maskstore_ps(p, v16_mask(n, 0), x.lo);
    _mm256_maskstore_ps(p + 8, v16_mask(n, 8), x.hi);
}

INLINE struct v16 v16_keep(struct v16 x, int64_t n, struct v16 rest)
{
    return (struct v16){_mm256_blendv_ps(rest.lo, x.lo, _mm256_castsi256_ps(v16_mask(n, 0))),
                        _mm256_blendv_ps(rest.hi, x.hi, _mm256_castsi256_ps(v16_mask(n, 8)))};
}

INLINE struct v16 v16_fma(struct v16 a, struct v16 b, struct v16 c)
{
    return (struct v16){_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}

INLINE struct v16 v16_add(struct v16 a, struct v16 b)
{
    return V16_PAIR(_mm256_add_ps, a, b);
}

INLINE struct v16 v16_sub(struct v16 a, struct v16 b)
{
    return V16_PAIR(_mm256_sub_ps, a, b);
}

INLINE struct v16 v16_mul(struct v16 a, struct v16 b)
{
    return V16_PAIR(_mm256_mul_ps, a, b);
}

INLINE struct v16 v16_div(struct v16 a, struct v16 b)
{
    return V16_PAIR(_mm256_div_ps, a, b);
}

INLINE struct v16 v16_maximum(struct v16 a, struct v16 b)
{
    return V16_PAIR(_mm256_max_ps, a, b);
}

INLINE struct v16 v16_minimum(struct v16 a, struct v16 b)
{
    return V16_PAIR(_mm256_min_ps, a, b);
}

INLINE __m256 v16_half_greater_or_nan(__m256 a, __m256 b)
{
    __m256 m = _mm256_or_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ), _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
    return _mm256_blendv_ps(b, a, m);
}

INLINE struct v16 v16_greater_or_nan(struct v16 a, struct v16 b)
{
    return V16_PAIR(v16_half_greater_or_nan, a, b);
}

INLINE struct v16 v16_abs(struct v16 x)
{
    __m256 sign = _mm256_set1_ps(-0.0f);
    return (struct v16){_mm256_andnot_ps(sign, x.lo), _mm256_andnot_ps(sign, x.hi)};
}

INLINE __m256 v16_half_copysign(__m256 x, __m256 s)
{
    __m256 sign = _mm256_set1_ps(-0.0f);
    return _mm256_or_ps(_mm256_andnot_ps(sign, x), _mm256_and_ps(sign, s));
}

INLINE struct v16 v16_copysign(struct v16 x, struct v16 s)
{
    return V16_PAIR(v16_half_copysign, x, s);
}

INLINE __m256 v16_half_power(__m256i n)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}

INLINE struct v16 v16_exp2(struct v16 n)
{
    return (struct v16){v16_half_power(_mm256_cvtps_epi32(n.lo)), v16_half_power(_mm256_cvtps_epi32(n.hi))};
}

/* In two steps, the first exact: rounded once, denormal results too. */
INLINE __m256 v16_half_scale2(__m256 x, __m256 n)
{
    __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    x = _mm256_mul_ps(x, v16_half_power(half));
    return _mm256_mul_ps(x, v16_half_power(_mm256_sub_epi32(whole, half)));
}

INLINE struct v16 v16_scale2(struct v16 x, struct v16 n)
{
    return V16_PAIR(v16_half_scale2, x, n);
}

INLINE float v16_sum(struct v16 x)
{
    __m256 e = _mm256_add_ps(x.lo, x.hi);
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(e), _mm256_extractf128_ps(e, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

INLINE float v16_largest(struct v16 x)
{
    __m256 e = _mm256_max_ps(x.lo, x.hi);
    __m128 q = _mm_max_ps(_mm256_castps256_ps128(e), _mm256_extractf128_ps(e, 1));
    q = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}

INLINE struct v16 v16_from_f16(const uint16_t *p)
{
    return (struct v16){_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)),
                        _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 8)))};
}

INLINE __m256 v16_half_from_bf16(const uint16_t *p)
{
    __m256i i = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(i, 16));
}

INLINE struct v16 v16_from_bf16(const uint16_t *p)
{
    return (struct v16){v16_half_from_bf16(p), v16_half_from_bf16(p + 8)};
}

INLINE struct v16 v16_swapped(struct v16 x)
{
    return (struct v16){_mm256_permute_ps(x.lo, 0xb1), _mm256_permute_ps(x.hi, 0xb1)};
}

INLINE __m256 v16_half_shift(__m256 x)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(x), 16));
}

INLINE struct v16 v16_bf16_low(struct v16 x)
{
    return (struct v16){v16_half_shift(x.lo), v16_half_shift(x.hi)};
}

INLINE struct v16 v16_bf16_high(struct v16 x)
{
    const __m256 high = _mm256_castsi256_ps(_mm256_set1_epi32((int)0xffff0000));
    return (struct v16){_mm256_and_ps(x.lo, high), _mm256_and_ps(x.hi, high)};
}

INLINE __m256i v16_half_to_bf16(__m256 x)
{
    const __m256i u = _mm256_castps_si256(x), exponent = _mm256_set1_epi32(0x7f800000);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    __m256i r = _mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), odd);
    __m256i tiny = _mm256_cmpeq_epi32(_mm256_and_si256(u, exponent), _mm256_setzero_si256());
    r = _mm256_blendv_epi8(r, _mm256_and_si256(u, _mm256_set1_epi32((int)0x80000000)), tiny);
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    r = _mm256_blendv_epi8(r, _mm256_or_si256(u, _mm256_set1_epi32(0x400000)), nan);
    return _mm256_srli_epi32(r, 16);
}

INLINE void v16_store_bf16(uint16_t *p, struct v16 x)
{
    __m256i h = _mm256_packus_epi32(v16_half_to_bf16(x.lo), v16_half_to_bf16(x.hi));
    _mm256_storeu_si256((__m256i *)p, _mm256_permute4x64_epi64(h, 0xd8));
}

INLINE void v16_store_bf16_part(uint16_t *p, struct v16 x, int64_t n)
{
    uint16_t all[16];
    v16_store_bf16(all, x);
    for (int64_t i = 0; i < n; i++)
        p[i] = all[i];
}

/* The same for 8 rows. */
INLINE void v16_half_transpose4(float *to, int64_t stride, const float *from, int64_t ld)
{
    __m256 r[4];
    for (int i = 0; i < 4; i++)
        r[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(from + i * ld)),
                                    _mm_loadu_ps(from + (i + 4) * ld), 1);
    __m256 a = _mm256_unpacklo_ps(r[0], r[1]), b = _mm256_unpackhi_ps(r[0], r[1]);
    __m256 c = _mm256_unpacklo_ps(r[2], r[3]), d = _mm256_unpackhi_ps(r[2], r[3]);
    _mm256_storeu_ps(to, _mm256_shuffle_ps(a, c, 0x44));
    _mm256_storeu_ps(to + stride, _mm256_shuffle_ps(a, c, 0xee));
    _mm256_storeu_ps(to + 2 * stride, _mm256_shuffle_ps(b, d, 0x44));
    _mm256_storeu_ps(to + 3 * stride, _mm256_shuffle_ps(b, d, 0xee));
}

/* to[j * stride + i] = from[i * ld + j] for 16 x 4: four columns of 16 rows become rows of a panel. */
INLINE void v16_transpose4(float *to, int64_t stride, const float *from, int64_t ld)
{
    v16_half_transpose4(to, stride, from, ld);
    v16_half_transpose4(to + 8, stride, from + 8 * ld, ld);
}

#endif
