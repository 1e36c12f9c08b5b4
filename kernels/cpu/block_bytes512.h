/* A superblock of 256 elements of one output, as four registers of bytes (value + offset) for block_vector.h.
 * Register 2h holds the first half of each group of 32, register 2h + 1 the second: lane p of them belongs to
 * elements 128h + 32p .. + 16 and .. + 32. `w`: the superblock, or eight blocks of 32.
 * For files compiled for AVX-512. */
#ifndef ECH_KERNELS_CPU_BLOCK_BYTES512_H
#define ECH_KERNELS_CPU_BLOCK_BYTES512_H

#include "kernels/blocks_values.h"
#include "kernels/cpu/inline.h"

struct bytes512 {
    __m512i v[4];
};

INLINE __m512i z_set(int x)
{
    return _mm512_set1_epi8((char)x);
}

/* Sixteen bytes of four places, a lane each; of one place, in every lane. */
INLINE __m512i z_lanes(const uint8_t *p, int64_t stride)
{
    __m512i x = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)p));
    FOR(i, 3)
    x = _mm512_mask_broadcast_i32x4(x, (__mmask16)(0xf0u << 4 * i),
                                    _mm_loadu_si128((const __m128i *)(const void *)(p + stride * (i + 1))));
    return x;
}

INLINE __m512i z_same(const uint8_t *p)
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)p));
}

INLINE __m512i z_load(const uint8_t *p)
{
    return _mm512_loadu_si512(p);
}

/* A value for each lane. */
INLINE __m512i z_each(int a, int b, int c, int d)
{
    const __m512i x = _mm512_castsi128_si512(_mm_set1_epi32(a));
    return _mm512_inserti32x4(
        _mm512_inserti32x4(_mm512_inserti32x4(x, _mm_set1_epi32(b), 1), _mm_set1_epi32(c), 2),
        _mm_set1_epi32(d), 3);
}

INLINE __m512i z_low(__m512i x)
{
    return _mm512_and_si512(x, z_set(15));
}

INLINE __m512i z_high(__m512i x)
{
    return _mm512_and_si512(_mm512_srli_epi16(x, 4), z_set(15));
}

/* `bit` is added where x has a bit of `mask`. */
INLINE __m512i z_add_bit(__m512i to, __m512i x, __m512i mask, int bit)
{
    return _mm512_mask_add_epi8(to, _mm512_test_epi8_mask(x, mask), to, z_set(bit));
}

/* Types of 32 with 16 bytes of nibbles each, `at` bytes from the block's first. */
INLINE struct bytes512 nibbles512(const uint8_t *w, int64_t at, int64_t stride, const int count)
{
    struct bytes512 o;
    FOR(h, count)
    {
        const __m512i z = z_lanes(w + at + 4 * h * stride, stride);
        o.v[2 * h] = z_low(z);
        o.v[2 * h + 1] = z_high(z);
    }
    return o;
}

INLINE struct bytes512 looked_up512(struct bytes512 o, const uint8_t values[16], const int count)
{
    const __m512i table = z_same(values);
    FOR(i, 2 * count) o.v[i] = _mm512_shuffle_epi8(table, o.v[i]);
    return o;
}

/* And 32 fifth bits `at` bytes from the block's first. */
INLINE struct bytes512 fifths512(struct bytes512 o, const uint8_t *w, int64_t at, int64_t stride,
                                 const int count)
{
    const __m512i bit = _mm512_set1_epi64((int64_t)0x8040201008040201);
    const __m512i first = _mm512_broadcast_i32x4(_mm_set_epi64x(0x0101010101010101, 0));
    FOR(h, count)
    {
        const __m512i z = z_lanes(w + at + 4 * h * stride, stride);
        o.v[2 * h] = z_add_bit(o.v[2 * h], _mm512_shuffle_epi8(z, first), bit, 16);
        const __m512i second = _mm512_add_epi8(first, z_set(2));
        o.v[2 * h + 1] = z_add_bit(o.v[2 * h + 1], _mm512_shuffle_epi8(z, second), bit, 16);
    }
    return o;
}

INLINE struct bytes512 bytes512_q8_0(const uint8_t *w, const int count)
{
    struct bytes512 o;
    FOR(i, 2 * count) o.v[i] = _mm512_xor_si512(z_lanes(w + 2 + i / 2 * 136 + i % 2 * 16, 34), z_set(0x80));
    return o;
}

/* 32 bytes of nibbles for each 64 elements: low the first 32, high the others. */
INLINE struct bytes512 chunks512(const uint8_t *w)
{
    const __m512i even = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
    const __m512i odd = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
    struct bytes512 o;
    FOR(h, 2)
    {
        const __m512i z = z_load(w + 64 * h), low = z_low(z), high = z_high(z);
        o.v[2 * h] = _mm512_permutex2var_epi64(low, even, high);
        o.v[2 * h + 1] = _mm512_permutex2var_epi64(low, odd, high);
    }
    return o;
}

/* 32 bytes of bits: bit n belongs to elements 32 n to 32 n + 31. */
INLINE struct bytes512 bits512(struct bytes512 o, const uint8_t *bits, int bit)
{
    const __m512i first = z_same(bits), second = z_same(bits + 16);
    const __m512i low = z_each(0x01010101, 0x02020202, 0x04040404, 0x08080808);
    const __m512i high = _mm512_slli_epi16(low, 4);
    o.v[0] = z_add_bit(o.v[0], first, low, bit);
    o.v[1] = z_add_bit(o.v[1], second, low, bit);
    o.v[2] = z_add_bit(o.v[2], first, high, bit);
    o.v[3] = z_add_bit(o.v[3], second, high, bit);
    return o;
}

INLINE struct bytes512 crumbs512(const uint8_t *w)
{
    const __m512i by = z_each(0, 0x00020002, 0x00040004, 0x00060006);
    struct bytes512 o;
    FOR(i, 4) o.v[i] = _mm512_and_si512(_mm512_srlv_epi16(z_same(w + 16 * i), by), z_set(3));
    return o;
}

INLINE struct bytes512 bytes512_q6_k(const uint8_t *w)
{
    const __m512i turn = z_each(4, 2, 0, 30), pair = z_set(0x30);
    struct bytes512 o;
    FOR(h, 2)
    {
        const __m512i z = z_load(w + 64 * h), low = z_low(z), high = z_high(z);
        const __m512i first = _mm512_rolv_epi32(z_same(w + 128 + 32 * h), turn);
        const __m512i second = _mm512_rolv_epi32(z_same(w + 144 + 32 * h), turn);
        const __m512i even = _mm512_shuffle_i32x4(low, high, 0x88);
        const __m512i odd = _mm512_shuffle_i32x4(low, high, 0xdd);
        o.v[2 * h] = _mm512_ternarylogic_epi32(even, first, pair, 0xf8); /* a | (b & c) */
        o.v[2 * h + 1] = _mm512_ternarylogic_epi32(odd, second, pair, 0xf8);
    }
    return o;
}

INLINE struct bytes512 bytes512_iq4_xs(const uint8_t *w)
{
    struct bytes512 o;
    FOR(h, 2)
    {
        const __m512i z = z_load(w + 8 + 64 * h);
        o.v[2 * h] = z_low(z);
        o.v[2 * h + 1] = z_high(z);
    }
    return o;
}

/* Any type, by way of memory. */
INLINE struct bytes512 bytes512_stored(const uint8_t *bytes)
{
    struct bytes512 o;
    FOR(h, 2)
    {
        const __m512i a = z_load(bytes + 128 * h), b = z_load(bytes + 128 * h + 64);
        o.v[2 * h] = _mm512_shuffle_i32x4(a, b, 0x88);
        o.v[2 * h + 1] = _mm512_shuffle_i32x4(a, b, 0xdd);
    }
    return o;
}

/* `type` is a constant; types of 32: `count` halves of the superblock are there. */
INLINE struct bytes512 bytes512_of(const enum ech_wtype type, const uint8_t *w, const int count)
{
    static const uint8_t UNEVEN[16] = ECH_UNEVEN, E2M1[16] = ECH_E2M1;
    switch ((int)type) {
    case ECH_W_Q8_0:
        return bytes512_q8_0(w, count);
    case ECH_W_Q4_0:
        return nibbles512(w, 2, 18, count);
    case ECH_W_Q4_1:
        return nibbles512(w, 4, 20, count);
    case ECH_W_Q5_0:
        return fifths512(nibbles512(w, 6, 22, count), w, 2, 22, count);
    case ECH_W_Q5_1:
        return fifths512(nibbles512(w, 8, 24, count), w, 4, 24, count);
    case ECH_W_IQ4_NL:
        return looked_up512(nibbles512(w, 2, 18, count), UNEVEN, count);
    case ECH_W_MXFP4:
        return looked_up512(nibbles512(w, 1, 17, count), E2M1, count);
    case ECH_W_Q2_K:
        return crumbs512(w + 16);
    case ECH_W_Q3_K:
        return bits512(crumbs512(w + 32), w, 4);
    case ECH_W_Q4_K:
        return chunks512(w + 16);
    case ECH_W_Q5_K:
        return bits512(chunks512(w + 48), w + 16, 16);
    case ECH_W_Q6_K:
        return bytes512_q6_k(w);
    case ECH_W_IQ4_XS:
        return looked_up512(bytes512_iq4_xs(w), UNEVEN, count);
    case ECH_W_TQ2_0:
        return crumbs512(w);
    default:
        break;
    }
    struct ech_block_values v;
    ech_bv_values(type, w, &v);
    return bytes512_stored(v.bytes);
}

#endif
