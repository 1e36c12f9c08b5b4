/* Blocks of GGUF taken apart (blocks.h), one function a type. In a header, because the fast backends compile
 * it again with their instructions: its loops are written so that a compiler makes vectors of them, and where
 * it cannot, AVX2 is spelled out. Integers only, so all forms agree. */
#ifndef ECH_KERNELS_BLOCKS_VALUES_H
#define ECH_KERNELS_BLOCKS_VALUES_H

#ifdef __AVX2__
#include <immintrin.h>
#endif
#include <string.h>

#include "kernels/blocks.h"
#include "kernels/convert.h"

/* Also device code where nvcc or the emulator reads this. */
#ifndef ECH_BV_FUNCTION
#define ECH_BV_FUNCTION static inline
#endif

/* What nibbles stand for, offset added. */
#define ECH_UNEVEN                                                                                           \
    {                                                                                                        \
        1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241                              \
    }
#define ECH_E2M1                                                                                             \
    {                                                                                                        \
        12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0                                            \
    }

ECH_BV_FUNCTION float ech_bv_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

ECH_BV_FUNCTION float ech_bv_half_at(const uint8_t *p)
{
    const uint16_t word = (uint16_t)(p[0] | p[1] << 8);
#ifdef ECH_BV_HALF
    return ECH_BV_HALF(word);
#elif defined(__F16C__)
    return _cvtsh_ss(word);
#else
    return ech_from_f16(word);
#endif
}

ECH_BV_FUNCTION void ech_bv_scales_all(struct ech_block_values *out, int groups, float scale)
{
    for (int g = 0; g < groups; g++) {
        out->scale[g] = scale;
        out->min[g] = 0;
    }
}

/* Sixteen bytes of nibbles: elements 0 to 15 low, 16 to 31 high. */
ECH_BV_FUNCTION void ech_bv_nibbles_32(const uint8_t *__restrict from, uint8_t *__restrict to)
{
#ifdef __AVX2__
    const __m128i both = _mm_loadu_si128((const __m128i *)(const void *)from);
    const __m256i apart = _mm256_inserti128_si256(_mm256_castsi128_si256(both), _mm_srli_epi16(both, 4), 1);
    _mm256_storeu_si256((__m256i *)(void *)to, _mm256_and_si256(apart, _mm256_set1_epi8(15)));
#else
    for (int j = 0; j < 16; j++) {
        to[j] = from[j] & 15;
        to[16 + j] = from[j] >> 4;
    }
#endif
}

/* Bit j of 32 becomes the fifth of element j. */
ECH_BV_FUNCTION void ech_bv_fifth_bits(const uint8_t *__restrict bits, uint8_t *__restrict to)
{
#ifdef __AVX2__
    int32_t all;
    memcpy(&all, bits, sizeof all);
    const __m256i byte = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i bit = _mm256_set1_epi64x((int64_t)0x8040201008040201);
    const __m256i spread = _mm256_shuffle_epi8(_mm256_set1_epi32(all), byte);
    const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit);
    __m256i *at = (__m256i *)(void *)to;
    _mm256_storeu_si256(at,
                        _mm256_or_si256(_mm256_loadu_si256(at), _mm256_and_si256(set, _mm256_set1_epi8(16))));
#else
    for (int j = 0; j < 32; j++)
        to[j] = (uint8_t)(to[j] | (bits[j / 8] >> j % 8 & 1) << 4);
#endif
}

/* Each of 32 nibbles becomes what it stands for. */
ECH_BV_FUNCTION void ech_bv_look_up(const uint8_t values[16], uint8_t *to)
{
#ifdef __AVX2__
    const __m256i table = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)values));
    __m256i *at = (__m256i *)(void *)to;
    _mm256_storeu_si256(at, _mm256_shuffle_epi8(table, _mm256_loadu_si256(at)));
#else
    for (int j = 0; j < 32; j++)
        to[j] = values[to[j]];
#endif
}

ECH_BV_FUNCTION void ech_bv_q8_0(const uint8_t *__restrict b, struct ech_block_values *__restrict out)
{
    ech_bv_scales_all(out, 1, ech_bv_half_at(b));
    for (int j = 0; j < 32; j++)
        out->bytes[j] = b[2 + j] ^ 0x80;
}

ECH_BV_FUNCTION void ech_bv_q4_0(const uint8_t *__restrict b, struct ech_block_values *__restrict out)
{
    ech_bv_scales_all(out, 1, ech_bv_half_at(b));
    ech_bv_nibbles_32(b + 2, out->bytes);
}

ECH_BV_FUNCTION void ech_bv_q4_1(const uint8_t *__restrict b, struct ech_block_values *__restrict out)
{
    ech_bv_scales_all(out, 1, ech_bv_half_at(b));
    out->min[0] = -ech_bv_half_at(b + 2);
    ech_bv_nibbles_32(b + 4, out->bytes);
}

ECH_BV_FUNCTION void ech_bv_q5_0(const uint8_t *__restrict b, struct ech_block_values *__restrict out)
{
    ech_bv_scales_all(out, 1, ech_bv_half_at(b));
    ech_bv_nibbles_32(b + 6, out->bytes);
    ech_bv_fifth_bits(b + 2, out->bytes);
}

ECH_BV_FUNCTION void ech_bv_q5_1(const uint8_t *__restrict b, struct ech_block_values *__restrict out)
{
    ech_bv_scales_all(out, 1, ech_bv_half_at(b));
    out->min[0] = -ech_bv_half_at(b + 2);
    ech_bv_nibbles_32(b + 8, out->bytes);
    ech_bv_fifth_bits(b + 4, out->bytes);
}

/* Two bits an element: of each 32 bytes, elements 0 to 31 are the lowest pairs, 32 to 63 the next, ... */
ECH_BV_FUNCTION void ech_bv_crumbs_256(const uint8_t *__restrict from, uint8_t *__restrict to)
{
    for (int side = 0; side < 2; side++)
        for (int part = 0; part < 4; part++)
            for (int i = 0; i < 32; i++)
                to[128 * side + 32 * part + i] = from[32 * side + i] >> 2 * part & 3;
}

/* 32 bytes of bits: bit n belongs to elements 32 n to 32 n + 31, at place `to_bit`. */
ECH_BV_FUNCTION void ech_bv_add_bits(const uint8_t *__restrict bits, int to_bit, uint8_t *__restrict to)
{
    for (int n = 0; n < 8; n++)
        for (int i = 0; i < 32; i++)
            to[32 * n + i] = (uint8_t)(to[32 * n + i] | (bits[i] >> n & 1) << to_bit);
}

ECH_BV_FUNCTION void ech_bv_q2_k(const uint8_t *__restrict b, struct ech_block_values *__restrict out)
{
    const float d = ech_bv_half_at(b + 80), dmin = ech_bv_half_at(b + 82);
    ech_bv_crumbs_256(b + 16, out->bytes);
    for (int g = 0; g < 16; g++) {
        out->scale[g] = d * (float)(b[g] & 15);
        out->min[g] = dmin * (float)(b[g] >> 4);
    }
}

ECH_BV_FUNCTION void ech_bv_q3_k(const uint8_t *__restrict b, struct ech_block_values *__restrict out)
{
    const uint8_t *scales = b + 96;
    const float d = ech_bv_half_at(b + 108);
    ech_bv_crumbs_256(b + 32, out->bytes);
    ech_bv_add_bits(b, 2, out->bytes);
    for (int g = 0; g < 16; g++) {
        const int low = scales[g % 8] >> g / 8 * 4 & 15, high = scales[8 + g % 4] >> g / 4 * 2 & 3;
        out->scale[g] = d * (float)((low | high << 4) - 32);
        out->min[g] = 0;
    }
}

/* Eight scales and eight mins of six bits in twelve bytes. */
ECH_BV_FUNCTION void ech_bv_scales_k(const uint8_t *p, float d, float dmin, struct ech_block_values *out)
{
    for (int g = 0; g < 8; g++) {
        int scale = p[g % 4] & 63, min = p[4 + g % 4] & 63;
        if (g >= 4) {
            scale = (p[4 + g] & 15) | p[g - 4] >> 6 << 4;
            min = p[4 + g] >> 4 | p[g] >> 6 << 4;
        }
        out->scale[g] = d * (float)scale;
        out->min[g] = dmin * (float)min;
    }
}

/* Of each 32 bytes, elements 0 to 31 low, 32 to 63 high. */
ECH_BV_FUNCTION void ech_bv_nibbles_256(const uint8_t *__restrict from, uint8_t *__restrict to)
{
    for (int part = 0; part < 4; part++)
        for (int i = 0; i < 32; i++) {
            to[64 * part + i] = from[32 * part + i] & 15;
            to[64 * part + 32 + i] = from[32 * part + i] >> 4;
        }
}

ECH_BV_FUNCTION void ech_bv_q4_k(const uint8_t *__restrict b, struct ech_block_values *__restrict out)
{
    ech_bv_scales_k(b + 4, ech_bv_half_at(b), ech_bv_half_at(b + 2), out);
    ech_bv_nibbles_256(b + 16, out->bytes);
}

ECH_BV_FUNCTION void ech_bv_q5_k(const uint8_t *__restrict b, struct ech_block_values *__restrict out)
{
    ech_bv_scales_k(b + 4, ech_bv_half_at(b), ech_bv_half_at(b + 2), out);
    ech_bv_nibbles_256(b + 48, out->bytes);
    ech_bv_add_bits(b + 16, 4, out->bytes);
}

/* Of each 64 bytes of nibbles: 64 elements low, 64 high. */
ECH_BV_FUNCTION void ech_bv_q6_k(const uint8_t *__restrict b, struct ech_block_values *__restrict out)
{
    const float d = ech_bv_half_at(b + 208);
    ech_bv_crumbs_256(b + 128, out->bytes);
    for (int side = 0; side < 2; side++)
        for (int i = 0; i < 64; i++) {
            uint8_t *low = out->bytes + 128 * side + i, *high = low + 64;
            *low = (uint8_t)((b[64 * side + i] & 15) | *low << 4);
            *high = (uint8_t)(b[64 * side + i] >> 4 | *high << 4);
        }
    for (int g = 0; g < 16; g++) {
        out->scale[g] = d * (float)(int8_t)b[192 + g];
        out->min[g] = 0;
    }
}

ECH_BV_FUNCTION void ech_bv_uneven_32(const uint8_t *__restrict from, uint8_t *__restrict to)
{
    static const uint8_t VALUES[16] = ECH_UNEVEN;
    ech_bv_nibbles_32(from, to);
    ech_bv_look_up(VALUES, to);
}

ECH_BV_FUNCTION void ech_bv_iq4_nl(const uint8_t *__restrict b, struct ech_block_values *__restrict out)
{
    ech_bv_scales_all(out, 1, ech_bv_half_at(b));
    ech_bv_uneven_32(b + 2, out->bytes);
}

ECH_BV_FUNCTION void ech_bv_iq4_xs(const uint8_t *__restrict b, struct ech_block_values *__restrict out)
{
    const int high = b[2] | b[3] << 8;
    for (int g = 0; g < 8; g++) {
        const int scale = (b[4 + g / 2] >> g % 2 * 4 & 15) | (high >> 2 * g & 3) << 4;
        out->scale[g] = ech_bv_half_at(b) * (float)(scale - 32);
        out->min[g] = 0;
        ech_bv_uneven_32(b + 8 + 16 * g, out->bytes + 32 * g);
    }
}

ECH_BV_FUNCTION void ech_bv_mxfp4(const uint8_t *__restrict b, struct ech_block_values *__restrict out)
{
    static const uint8_t VALUES[16] = ECH_E2M1;
    ech_bv_scales_all(out, 1, ech_bv_float(b[0] < 2 ? 0x200000u << b[0] : (uint32_t)(b[0] - 1) << 23));
    ech_bv_nibbles_32(b + 1, out->bytes);
    ech_bv_look_up(VALUES, out->bytes);
}

/* Digit n of a byte that holds the fraction digits / 3^5, rounded up. */
ECH_BV_FUNCTION uint8_t ech_bv_ternary(uint8_t byte, int n)
{
    static const uint8_t POWER[5] = {1, 3, 9, 27, 81};
    return (uint8_t)((uint8_t)(byte * POWER[n]) * 3 >> 8);
}

ECH_BV_FUNCTION void ech_bv_tq1_0(const uint8_t *__restrict b, struct ech_block_values *__restrict out)
{
    ech_bv_scales_all(out, 8, ech_bv_half_at(b + 52));
    for (int n = 0; n < 5; n++) {
        for (int i = 0; i < 32; i++)
            out->bytes[32 * n + i] = ech_bv_ternary(b[i], n);
        for (int i = 0; i < 16; i++)
            out->bytes[160 + 16 * n + i] = ech_bv_ternary(b[32 + i], n);
    }
    for (int i = 0; i < 16; i++)
        out->bytes[240 + i] = ech_bv_ternary(b[48 + i % 4], i / 4);
}

ECH_BV_FUNCTION void ech_bv_tq2_0(const uint8_t *__restrict b, struct ech_block_values *__restrict out)
{
    ech_bv_scales_all(out, 8, ech_bv_half_at(b + 64));
    ech_bv_crumbs_256(b, out->bytes);
}

/* One block of a type with groups: `type` is a constant where speed matters. */
ECH_BV_FUNCTION void ech_bv_values(enum ech_wtype type, const void *block, struct ech_block_values *out)
{
    switch ((int)type) {
    case ECH_W_Q8_0:
        ech_bv_q8_0((const uint8_t *)block, out);
        break;
    case ECH_W_Q4_0:
        ech_bv_q4_0((const uint8_t *)block, out);
        break;
    case ECH_W_Q4_1:
        ech_bv_q4_1((const uint8_t *)block, out);
        break;
    case ECH_W_Q5_0:
        ech_bv_q5_0((const uint8_t *)block, out);
        break;
    case ECH_W_Q5_1:
        ech_bv_q5_1((const uint8_t *)block, out);
        break;
    case ECH_W_Q2_K:
        ech_bv_q2_k((const uint8_t *)block, out);
        break;
    case ECH_W_Q3_K:
        ech_bv_q3_k((const uint8_t *)block, out);
        break;
    case ECH_W_Q4_K:
        ech_bv_q4_k((const uint8_t *)block, out);
        break;
    case ECH_W_Q5_K:
        ech_bv_q5_k((const uint8_t *)block, out);
        break;
    case ECH_W_Q6_K:
        ech_bv_q6_k((const uint8_t *)block, out);
        break;
    case ECH_W_IQ4_NL:
        ech_bv_iq4_nl((const uint8_t *)block, out);
        break;
    case ECH_W_IQ4_XS:
        ech_bv_iq4_xs((const uint8_t *)block, out);
        break;
    case ECH_W_MXFP4:
        ech_bv_mxfp4((const uint8_t *)block, out);
        break;
    case ECH_W_TQ1_0:
        ech_bv_tq1_0((const uint8_t *)block, out);
        break;
    case ECH_W_TQ2_0:
        ech_bv_tq2_0((const uint8_t *)block, out);
        break;
    }
}

#endif
