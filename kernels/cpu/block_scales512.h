/* Scales and mins of 16 outputs, a superblock of 256 each, for block_vector.h: a vector of outputs for each
 * group, the bits of blocks_values.h. For files compiled for AVX-512; after block_bytes512.h. */
#ifndef ECH_KERNELS_CPU_BLOCK_SCALES512_H
#define ECH_KERNELS_CPU_BLOCK_SCALES512_H

#include "kernels/cpu/block_bytes512.h"

struct scales512 {
    __m512 scale[16], min[16];
};

/* Where the superblock of each of 16 outputs begins. */
struct rows512 {
    const uint8_t *at[16];
};

/* 16 bytes of each output, four outputs a register. */
struct lanes512 {
    __m512i v[4];
};

INLINE struct lanes512 lanes512(const struct rows512 *rows, int64_t at)
{
    struct lanes512 o;
    FOR(i, 4)
    {
        o.v[i] = z_same(rows->at[4 * i] + at);
        FOR(j, 3)
        o.v[i] = _mm512_mask_broadcast_i32x4(
            o.v[i], (__mmask16)(0xf0u << 4 * j),
            _mm_loadu_si128((const __m128i *)(const void *)(rows->at[4 * i + j + 1] + at)));
    }
    return o;
}

/* Word d of each output's 16 bytes. */
INLINE __m512i lanes512_word(const struct lanes512 *x, int d)
{
    const __m512i first = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
    const __m512i index = _mm512_add_epi32(first, _mm512_set1_epi32(d));
    const __m512i low = _mm512_permutex2var_epi32(x->v[0], index, x->v[1]);
    return _mm512_shuffle_i32x4(low, _mm512_permutex2var_epi32(x->v[2], index, x->v[3]), 0x44);
}

INLINE __m512 halves_low512(__m512i words)
{
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(words));
}

INLINE __m512 halves_high512(__m512i words)
{
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(words, 16)));
}

/* 16 bytes of 16 outputs turned: byte g of all outputs at to + 16 (g / 4 + g % 4 * 4). */
INLINE void lanes512_turn(const struct lanes512 *x, uint8_t *to)
{
    const __m512i words = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i bytes =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    __m512i z[4];
    FOR(i, 4) z[i] = _mm512_shuffle_epi8(_mm512_permutexvar_epi32(words, x->v[i]), bytes);
    const __m512i a = _mm512_unpacklo_epi32(z[0], z[1]), b = _mm512_unpackhi_epi32(z[0], z[1]);
    const __m512i c = _mm512_unpacklo_epi32(z[2], z[3]), d = _mm512_unpackhi_epi32(z[2], z[3]);
    _mm512_store_si512(to, _mm512_unpacklo_epi64(a, c));
    _mm512_store_si512(to + 64, _mm512_unpackhi_epi64(a, c));
    _mm512_store_si512(to + 128, _mm512_unpacklo_epi64(b, d));
    _mm512_store_si512(to + 192, _mm512_unpackhi_epi64(b, d));
}

/* Byte g of all outputs, from where lanes512_turn put it. */
INLINE __m512 turned512(const uint8_t *from, int g)
{
    const __m128i *at = (const __m128i *)(const void *)(from + 16 * (g / 4 + g % 4 * 4));
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_load_si128(at)));
}

/* `count` groups: by times the integer of each. */
INLINE void scales512_times(const struct lanes512 *integers, __m512 by, int first, const int count,
                            __m512 *to)
{
    _Alignas(64) uint8_t room[256];
    lanes512_turn(integers, room);
    FOR(g, count) to[g] = _mm512_mul_ps(by, turned512(room, first + g));
}

/* Q4_K, Q5_K: words (d, dmin), scales, mins, more of both. */
INLINE void scales512_k(const struct rows512 *rows, struct scales512 *o)
{
    const __m512i low =
        _mm512_broadcast_i32x4(_mm_setr_epi32(0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f));
    const __m512i high = _mm512_broadcast_i32x4(_mm_setr_epi32(0, 0x30303030, 0, 0x30303030));
    const __m512i by = _mm512_broadcast_i32x4(_mm_setr_epi32(0, 0, 0, 4));
    struct lanes512 x = lanes512(rows, 0);
    const __m512i d = lanes512_word(&x, 0);
    FOR(i, 4)
    {
        const __m512i a = _mm512_and_si512(
            _mm512_srlv_epi32(_mm512_shuffle_epi32(x.v[i], (_MM_PERM_ENUM)0xed), by), low); /* 1 3 2 3 */
        const __m512i b =
            _mm512_srli_epi32(_mm512_shuffle_epi32(x.v[i], (_MM_PERM_ENUM)0xa5), 2); /* 1 1 2 2 */
        x.v[i] = _mm512_ternarylogic_epi32(a, b, high, 0xf8);
    }
    _Alignas(64) uint8_t room[256];
    lanes512_turn(&x, room);
    const __m512 scale = halves_low512(d), min = halves_high512(d);
    FOR(g, 8)
    {
        o->scale[g] = _mm512_mul_ps(scale, turned512(room, g));
        o->min[g] = _mm512_mul_ps(min, turned512(room, 8 + g));
    }
}

INLINE void scales512_q2_k(const struct rows512 *rows, struct scales512 *o)
{
    struct lanes512 x = lanes512(rows, 0), tail = lanes512(rows, 68), high = x;
    const __m512i d = lanes512_word(&tail, 3);
    FOR(i, 4)
    {
        x.v[i] = z_low(x.v[i]);
        high.v[i] = z_high(high.v[i]);
    }
    scales512_times(&x, halves_low512(d), 0, 16, o->scale);
    scales512_times(&high, halves_high512(d), 0, 16, o->min);
}

/* The last 16 bytes of a block: two that belong elsewhere, twelve of scales, d. */
INLINE void scales512_q3_k(const struct rows512 *rows, struct scales512 *o)
{
    const __m512i align =
        _mm512_broadcast_i32x4(_mm_setr_epi8(2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 14, 15));
    const __m512i by = _mm512_broadcast_i32x4(_mm_setr_epi32(0, 0, 4, 4));
    const __m512i turn = _mm512_broadcast_i32x4(_mm_setr_epi32(4, 2, 0, 30));
    struct lanes512 x = lanes512(rows, 94);
    FOR(i, 4) x.v[i] = _mm512_shuffle_epi8(x.v[i], align);
    const __m512i d = lanes512_word(&x, 3);
    FOR(i, 4)
    {
        const __m512i a = _mm512_srlv_epi32(_mm512_shuffle_epi32(x.v[i], (_MM_PERM_ENUM)0x44), by);
        const __m512i b = _mm512_rolv_epi32(_mm512_shuffle_epi32(x.v[i], (_MM_PERM_ENUM)0xaa), turn);
        const __m512i six = _mm512_ternarylogic_epi32(z_low(a), b, z_set(0x30), 0xf8);
        x.v[i] = _mm512_sub_epi8(six, z_set(32));
    }
    scales512_times(&x, halves_low512(d), 0, 16, o->scale);
}

INLINE void scales512_q6_k(const struct rows512 *rows, struct scales512 *o)
{
    const struct lanes512 x = lanes512(rows, 192), tail = lanes512(rows, 194);
    scales512_times(&x, halves_high512(lanes512_word(&tail, 3)), 0, 16, o->scale);
}

/* Words (d, high bits), low nibbles. */
INLINE void scales512_iq4_xs(const struct rows512 *rows, struct scales512 *o)
{
    const __m512i low_of =
        _mm512_broadcast_i32x4(_mm_setr_epi8(4, 4, 5, 5, 6, 6, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0));
    const __m512i high_of =
        _mm512_broadcast_i32x4(_mm_setr_epi8(2, 2, 2, 2, 3, 3, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0));
    struct lanes512 x = lanes512(rows, 0);
    const __m512i d = lanes512_word(&x, 0);
    FOR(i, 4)
    {
        const __m512i l = _mm512_shuffle_epi8(x.v[i], low_of), h = _mm512_shuffle_epi8(x.v[i], high_of);
        __m512i low = _mm512_mask_mov_epi8(z_low(l), 0xaaaaaaaaaaaaaaaa, z_high(l));
        __m512i high = _mm512_mask_mov_epi8(h, 0x1111111111111111, _mm512_slli_epi16(h, 4));
        high = _mm512_mask_mov_epi8(high, 0x2222222222222222, _mm512_slli_epi16(h, 2));
        high = _mm512_mask_mov_epi8(high, 0x8888888888888888, _mm512_srli_epi16(h, 2));
        x.v[i] = _mm512_sub_epi8(_mm512_ternarylogic_epi32(low, high, z_set(0x30), 0xf8), z_set(32));
    }
    scales512_times(&x, halves_low512(d), 0, 8, o->scale);
}

INLINE uint16_t half_at512(const uint8_t *p)
{
    uint16_t half;
    memcpy(&half, p, sizeof half);
    return half;
}

/* The f16 `at` bytes from each output's first. */
INLINE __m512 halves512(const struct rows512 *rows, int64_t at)
{
    __m128i low = _mm_setzero_si128(), high = low;
#define PUT(j) /* the number of a lane is a constant, before anything is unrolled too */                     \
    low = _mm_insert_epi16(low, (short)half_at512(rows->at[j] + at), j);                                     \
    high = _mm_insert_epi16(high, (short)half_at512(rows->at[j + 8] + at), j)
    PUT(0);
    PUT(1);
    PUT(2);
    PUT(3);
    PUT(4);
    PUT(5);
    PUT(6);
    PUT(7);
#undef PUT
    return _mm512_cvtph_ps(_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1));
}

INLINE void scales512_one(const struct rows512 *rows, int64_t at, struct scales512 *o)
{
    const __m512 d = halves512(rows, at);
    FOR(g, 8) o->scale[g] = d;
}

/* Blocks of 32, `bytes` each, that begin with an f16, or with one for the min too. */
INLINE void scales512_blocks(const struct rows512 *rows, int64_t groups, int64_t bytes, const bool mins,
                             struct scales512 *o)
{
    for (int64_t g = 0; g < groups; g++) {
        o->scale[g] = halves512(rows, bytes * g);
        if (mins)
            o->min[g] = _mm512_sub_ps(_mm512_set1_ps(-0.0f), halves512(rows, bytes * g + 2));
    }
}

INLINE void scales512_mxfp4(const struct rows512 *rows, int64_t groups, struct scales512 *o)
{
    for (int64_t g = 0; g < groups; g++) {
        _Alignas(64) int32_t e[16];
        FOR(j, 16) e[j] = rows->at[j][17 * g];
        const __m512i x = _mm512_load_si512(e), less = _mm512_sub_epi32(x, _mm512_set1_epi32(1));
        const __m512i small = _mm512_sllv_epi32(_mm512_set1_epi32(0x200000), x);
        const __mmask16 tiny = _mm512_cmplt_epi32_mask(x, _mm512_set1_epi32(2));
        o->scale[g] = _mm512_castsi512_ps(_mm512_mask_mov_epi32(_mm512_slli_epi32(less, 23), tiny, small));
    }
}

/* The first `groups` groups of a superblock; `type` is a constant. */
INLINE void scales512_of(const enum ech_wtype type, const struct rows512 *rows, int64_t groups,
                         struct scales512 *o)
{
    switch ((int)type) {
    case ECH_W_Q8_0:
        scales512_blocks(rows, groups, 34, false, o);
        break;
    case ECH_W_Q4_0:
    case ECH_W_IQ4_NL:
        scales512_blocks(rows, groups, 18, false, o);
        break;
    case ECH_W_Q4_1:
        scales512_blocks(rows, groups, 20, true, o);
        break;
    case ECH_W_Q5_0:
        scales512_blocks(rows, groups, 22, false, o);
        break;
    case ECH_W_Q5_1:
        scales512_blocks(rows, groups, 24, true, o);
        break;
    case ECH_W_MXFP4:
        scales512_mxfp4(rows, groups, o);
        break;
    case ECH_W_Q2_K:
        scales512_q2_k(rows, o);
        break;
    case ECH_W_Q3_K:
        scales512_q3_k(rows, o);
        break;
    case ECH_W_Q4_K:
    case ECH_W_Q5_K:
        scales512_k(rows, o);
        break;
    case ECH_W_Q6_K:
        scales512_q6_k(rows, o);
        break;
    case ECH_W_IQ4_XS:
        scales512_iq4_xs(rows, o);
        break;
    case ECH_W_TQ1_0:
        scales512_one(rows, 52, o);
        break;
    case ECH_W_TQ2_0:
        scales512_one(rows, 64, o);
        break;
    }
}

#endif
