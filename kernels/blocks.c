/* Blocks of GGUF taken apart (blocks.h), one element at a time: what the fast forms are compared with, and
 * what reads a file's tensors where speed does not matter. */
#include "kernels/blocks.h"

#include <assert.h>
#include <string.h>

#include "kernels/convert.h"

static const int8_t UNEVEN[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
static const int8_t E2M1[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

static float half_at(const uint8_t *p)
{
    return ech_from_f16((uint16_t)(p[0] | p[1] << 8));
}

static void scales_all(struct ech_block_values *out, int groups, float scale)
{
    for (int g = 0; g < groups; g++) {
        out->scale[g] = scale;
        out->min[g] = 0;
    }
}

/* Sixteen bytes of nibbles: elements 0 to 15 low, 16 to 31 high. */
static void nibbles_32(const uint8_t *from, uint8_t *to)
{
    for (int j = 0; j < 16; j++) {
        to[j] = from[j] & 15;
        to[16 + j] = from[j] >> 4;
    }
}

static void fifth_bits(const uint8_t *bits, uint8_t *to)
{
    for (int j = 0; j < 32; j++)
        to[j] = (uint8_t)(to[j] | (bits[j / 8] >> j % 8 & 1) << 4);
}

static void q8_0(const uint8_t *b, struct ech_block_values *out)
{
    scales_all(out, 1, half_at(b));
    for (int j = 0; j < 32; j++)
        out->bytes[j] = b[2 + j] ^ 0x80;
}

static void q4_0(const uint8_t *b, struct ech_block_values *out)
{
    scales_all(out, 1, half_at(b));
    nibbles_32(b + 2, out->bytes);
}

static void q4_1(const uint8_t *b, struct ech_block_values *out)
{
    scales_all(out, 1, half_at(b));
    out->min[0] = -half_at(b + 2);
    nibbles_32(b + 4, out->bytes);
}

static void q5_0(const uint8_t *b, struct ech_block_values *out)
{
    scales_all(out, 1, half_at(b));
    nibbles_32(b + 6, out->bytes);
    fifth_bits(b + 2, out->bytes);
}

static void q5_1(const uint8_t *b, struct ech_block_values *out)
{
    scales_all(out, 1, half_at(b));
    out->min[0] = -half_at(b + 2);
    nibbles_32(b + 8, out->bytes);
    fifth_bits(b + 4, out->bytes);
}

/* Two bits an element: of each 32 bytes, elements 0 to 31 are the lowest pairs, 32 to 63 the next, ... */
static void crumbs_256(const uint8_t *from, uint8_t *to)
{
    for (int i = 0; i < 256; i++)
        to[i] = from[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
}

static void q2_k(const uint8_t *b, struct ech_block_values *out)
{
    const float d = half_at(b + 80), dmin = half_at(b + 82);
    crumbs_256(b + 16, out->bytes);
    for (int g = 0; g < 16; g++) {
        out->scale[g] = d * (float)(b[g] & 15);
        out->min[g] = dmin * (float)(b[g] >> 4);
    }
}

static void q3_k(const uint8_t *b, struct ech_block_values *out)
{
    const uint8_t *scales = b + 96;
    const float d = half_at(b + 108);
    crumbs_256(b + 32, out->bytes);
    for (int i = 0; i < 256; i++)
        out->bytes[i] = (uint8_t)(out->bytes[i] | (b[i % 32] >> i / 32 & 1) << 2);
    for (int g = 0; g < 16; g++) {
        const int low = scales[g % 8] >> g / 8 * 4 & 15, high = scales[8 + g % 4] >> g / 4 * 2 & 3;
        out->scale[g] = d * (float)((low | high << 4) - 32);
        out->min[g] = 0;
    }
}

/* Eight scales and eight mins of six bits in twelve bytes. */
static void scales_k(const uint8_t *p, float d, float dmin, struct ech_block_values *out)
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
static void nibbles_256(const uint8_t *from, uint8_t *to)
{
    for (int i = 0; i < 256; i++)
        to[i] = from[i / 64 * 32 + i % 32] >> i % 64 / 32 * 4 & 15;
}

static void q4_k(const uint8_t *b, struct ech_block_values *out)
{
    scales_k(b + 4, half_at(b), half_at(b + 2), out);
    nibbles_256(b + 16, out->bytes);
}

static void q5_k(const uint8_t *b, struct ech_block_values *out)
{
    scales_k(b + 4, half_at(b), half_at(b + 2), out);
    nibbles_256(b + 48, out->bytes);
    for (int i = 0; i < 256; i++)
        out->bytes[i] = (uint8_t)(out->bytes[i] | (b[16 + i % 32] >> i / 32 & 1) << 4);
}

/* Of each 64 bytes of nibbles: 64 elements low, 64 high. */
static void q6_k(const uint8_t *b, struct ech_block_values *out)
{
    const float d = half_at(b + 208);
    crumbs_256(b + 128, out->bytes);
    for (int i = 0; i < 256; i++)
        out->bytes[i] =
            (uint8_t)((b[i / 128 * 64 + i % 64] >> i % 128 / 64 * 4 & 15) | out->bytes[i] << 4);
    for (int g = 0; g < 16; g++) {
        out->scale[g] = d * (float)(int8_t)b[192 + g];
        out->min[g] = 0;
    }
}

static void uneven_32(const uint8_t *from, uint8_t *to)
{
    nibbles_32(from, to);
    for (int j = 0; j < 32; j++)
        to[j] = (uint8_t)(UNEVEN[to[j]] + 128);
}

static void iq4_nl(const uint8_t *b, struct ech_block_values *out)
{
    scales_all(out, 1, half_at(b));
    uneven_32(b + 2, out->bytes);
}

static void iq4_xs(const uint8_t *b, struct ech_block_values *out)
{
    const int high = b[2] | b[3] << 8;
    for (int g = 0; g < 8; g++) {
        const int scale = (b[4 + g / 2] >> g % 2 * 4 & 15) | (high >> 2 * g & 3) << 4;
        out->scale[g] = half_at(b) * (float)(scale - 32);
        out->min[g] = 0;
        uneven_32(b + 8 + 16 * g, out->bytes + 32 * g);
    }
}

static void mxfp4(const uint8_t *b, struct ech_block_values *out)
{
    scales_all(out, 1, ech_from_bits(b[0] < 2 ? 0x200000u << b[0] : (uint32_t)(b[0] - 1) << 23));
    nibbles_32(b + 1, out->bytes);
    for (int j = 0; j < 32; j++)
        out->bytes[j] = (uint8_t)(E2M1[out->bytes[j]] + 12);
}

/* Digit n of a byte that holds the fraction digits / 3^5, rounded up. */
static uint8_t ternary(uint8_t byte, int n)
{
    static const uint8_t POWER[5] = {1, 3, 9, 27, 81};
    return (uint8_t)((uint8_t)(byte * POWER[n]) * 3 >> 8);
}

static void tq1_0(const uint8_t *b, struct ech_block_values *out)
{
    scales_all(out, 8, half_at(b + 52));
    for (int i = 0; i < 160; i++)
        out->bytes[i] = ternary(b[i % 32], i / 32);
    for (int i = 0; i < 80; i++)
        out->bytes[160 + i] = ternary(b[32 + i % 16], i / 16);
    for (int i = 0; i < 16; i++)
        out->bytes[240 + i] = ternary(b[48 + i % 4], i / 4);
}

static void tq2_0(const uint8_t *b, struct ech_block_values *out)
{
    scales_all(out, 8, half_at(b + 64));
    crumbs_256(b, out->bytes);
}

static const struct type {
    struct ech_block_type type;
    void (*values)(const uint8_t *block, struct ech_block_values *out);
} TYPES[ECH_WTYPES] = {
    [ECH_W_F32] = {{"F32", 1, 4, 0, 0, false}, NULL},
    [ECH_W_F16] = {{"F16", 1, 2, 0, 0, false}, NULL},
    [ECH_W_BF16] = {{"BF16", 1, 2, 0, 0, false}, NULL},
    [ECH_W_Q8_0] = {{"Q8_0", 32, 34, 32, 128, false}, q8_0},
    [ECH_W_Q4_0] = {{"Q4_0", 32, 18, 32, 8, false}, q4_0},
    [ECH_W_Q4_1] = {{"Q4_1", 32, 20, 32, 0, true}, q4_1},
    [ECH_W_Q5_0] = {{"Q5_0", 32, 22, 32, 16, false}, q5_0},
    [ECH_W_Q5_1] = {{"Q5_1", 32, 24, 32, 0, true}, q5_1},
    [ECH_W_Q2_K] = {{"Q2_K", 256, 84, 16, 0, true}, q2_k},
    [ECH_W_Q3_K] = {{"Q3_K", 256, 110, 16, 4, false}, q3_k},
    [ECH_W_Q4_K] = {{"Q4_K", 256, 144, 32, 0, true}, q4_k},
    [ECH_W_Q5_K] = {{"Q5_K", 256, 176, 32, 0, true}, q5_k},
    [ECH_W_Q6_K] = {{"Q6_K", 256, 210, 16, 32, false}, q6_k},
    [ECH_W_IQ4_NL] = {{"IQ4_NL", 32, 18, 32, 128, false}, iq4_nl},
    [ECH_W_IQ4_XS] = {{"IQ4_XS", 256, 136, 32, 128, false}, iq4_xs},
    [ECH_W_MXFP4] = {{"MXFP4", 32, 17, 32, 12, false}, mxfp4},
    [ECH_W_TQ1_0] = {{"TQ1_0", 256, 54, 32, 1, false}, tq1_0},
    [ECH_W_TQ2_0] = {{"TQ2_0", 256, 66, 32, 1, false}, tq2_0},
};

const struct ech_block_type *ech_block_type(enum ech_wtype type)
{
    return (int)type >= 0 && type < ECH_WTYPES ? &TYPES[type].type : NULL;
}

size_t ech_block_row_bytes(enum ech_wtype type, int64_t cols)
{
    const struct ech_block_type *t = ech_block_type(type);
    if (!t || cols < 0 || cols > (int64_t)1 << 40 || cols % t->elements != 0)
        return 0;
    return (size_t)(cols / t->elements * t->bytes);
}

void ech_block_values(enum ech_wtype type, const void *block, struct ech_block_values *out)
{
    assert(ech_block_type(type) && TYPES[type].values);
    TYPES[type].values(block, out);
}

/* Elements [from, to) of a block. */
static void decode_block(const struct type *t, const uint8_t *block, int64_t from, int64_t to, float *out)
{
    struct ech_block_values v;
    t->values(block, &v);
    for (int64_t i = from; i < to; i++) {
        const int64_t g = i / t->type.group;
        const float x = v.scale[g] * (float)(v.bytes[i] - t->type.offset);
        out[i - from] = t->type.mins ? x - v.min[g] : x;
    }
}

void ech_block_decode(enum ech_wtype type, const void *row, int64_t first, int64_t count, float *out)
{
    assert(ech_block_type(type));
    const struct type *t = &TYPES[type];
    if (!t->values) {
        for (int64_t i = 0; i < count; i++)
            out[i] = ech_load_weight(row, type, first + i);
        return;
    }
    const int64_t elements = t->type.elements, end = first + count;
    for (int64_t i = first, stop; i < end; i = stop) {
        const int64_t block = i / elements, start = block * elements;
        stop = start + elements < end ? start + elements : end;
        decode_block(t, (const uint8_t *)row + block * t->type.bytes, i - start, stop - start,
                     out + (i - first));
    }
}
