/* What stands in the operands: a hash of block, row and column, so that a row is the same wherever it lies.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/bench/plan.h"
#include "kernels/convert.h"
#include "kernels/blocks.h"

static const uint32_t GUARD_WORD = 0x7fa5c3e1; /* a NaN: a stray read shows too */

static uint32_t hash(uint32_t salt, int64_t row, int64_t col)
{
    uint32_t h = salt * 0x9e3779b1u ^ (uint32_t)row * 0x85ebca77u ^ (uint32_t)col * 0xc2b2ae3du;
    h = (h ^ h >> 16) * 0x7feb352du;
    h = (h ^ h >> 15) * 0x846ca68bu;
    return h ^ h >> 16;
}

static float uniform(uint32_t h)
{
    return (float)(h >> 8) * 0x1p-23f - 1.0f;
}

/* Rows 1 to 6 of every 7 hold something that must not spread to others. */
static float spoil(float x, int64_t row, int64_t col, int64_t cols)
{
    int64_t where = (row * 5 + 3) % (cols > 0 ? cols : 1);
    switch (row % 7) {
    case 1:
        return col == where ? 1e-40f : x;
    case 2:
        return 0.0f;
    case 3:
        return col == where ? NAN : x;
    case 5:
        return col == where ? INFINITY : x;
    case 6:
        return col == where ? -INFINITY : x;
    default:
        return x;
    }
}

static float value(const struct ech_block *b, uint32_t salt, int64_t row, int64_t col)
{
    uint32_t h = hash(salt, row, col);
    float x = b->fill == ECH_FILL_FEW ? (float)(h % 5) - 2.0f : uniform(h) * b->scale;
    if (b->fill == ECH_FILL_COS || b->fill == ECH_FILL_SIN) {
        double angle = (double)row / (1.0 + (double)col);
        return (float)(b->fill == ECH_FILL_COS ? cos(angle) : sin(angle));
    }
    return b->special ? spoil(x, row, col, b->cols) : x;
}

static uint16_t to_bf16(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    if (isnan(x))
        return (uint16_t)(u >> 16 | 0x40);
    if ((u & 0x7f800000) == 0)
        return (uint16_t)(u >> 16 & 0x8000);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static uint16_t to_f16(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    uint16_t sign = (uint16_t)(u >> 16 & 0x8000);
    float a = fabsf(x);
    if (isnan(x))
        return 0x7e00;
    if (a < 0x1p-14f) /* a denormal: units of 2^-24 */
        return (uint16_t)(sign | (uint16_t)nearbyintf(a * 0x1p24f));
    if (a >= 65520.0f)
        return (uint16_t)(sign | 0x7c00);
    u = (u & 0x7fffffff) - ((uint32_t)112 << 23);
    return (uint16_t)(sign | (u + 0xfff + (u >> 13 & 1)) >> 13);
}

/* A row of Q8 as ops.h defines it; a row that is not finite has the scale NaN. */
static float to_q8(const float *x, int64_t cols, int64_t width, unsigned char *out)
{
    float most = 0;
    bool finite = true;
    for (int64_t i = 0; i < cols; i++) {
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
        finite = finite && isfinite(x[i]);
    }
    memset(out, 128, (size_t)width);
    if (!finite || most < 0x1p-100f)
        return finite ? 0.0f : NAN;
    for (int64_t i = 0; i < cols; i++)
        out[i] = (unsigned char)(128 + (int)nearbyintf(x[i] * (127.0f / most)));
    return most / 127.0f;
}

static void store(const struct ech_block *b, unsigned char *at, const float *x, int64_t cols)
{
    for (int64_t i = 0; i < cols; i++) {
        uint16_t half = b->type == ECH_A_BF16 ? to_bf16(x[i]) : to_f16(x[i]);
        if (b->type == ECH_A_F32)
            memcpy(at + 4 * i, x + i, 4);
        else
            memcpy(at + 2 * i, &half, 2);
    }
}

static void fill_ids(const struct ech_block *b, uint32_t salt, int64_t row, unsigned char *at)
{
    for (int64_t i = 0; i < b->cols; i++) {
        int32_t id = (int32_t)(hash(salt, row, i) % (uint32_t)b->limit);
        memcpy(at + 4 * i, &id, 4);
    }
}

static void fill_row(const struct ech_trial *t, const struct ech_block *b, int64_t r, float *row,
                     unsigned char *image)
{
    uint32_t salt = (uint32_t)(b - t->blocks) + 1;
    int64_t source = b->source ? b->source[r] : r;
    unsigned char *at = image + b->offset + (size_t)(r * b->ld) * ech_block_element(b);
    if (b->fill == ECH_FILL_IDS) {
        fill_ids(b, salt, source, at);
        return;
    }
    for (int64_t i = 0; i < b->cols; i++)
        row[i] = value(b, salt, source, i);
    if (b->type == ECH_A_Q8) {
        float scale = to_q8(row, b->cols, ech_block_width(b), at);
        memcpy(image + t->blocks[b->scales].offset + 4 * (size_t)r, &scale, 4);
    } else {
        store(b, at, row, b->cols);
    }
}

int ech_fill_image(const struct ech_trial *t, unsigned char *image)
{
    int64_t widest = 1;
    for (size_t i = 0; i + 4 <= t->bytes; i += 4)
        memcpy(image + i, &GUARD_WORD, 4);
    for (int i = 0; i < t->count; i++)
        widest = t->blocks[i].cols > widest ? t->blocks[i].cols : widest;
    float *row = malloc((size_t)widest * sizeof *row);
    if (!row)
        return ECH_OP_MEMORY;
    for (int i = 0; i < t->count; i++)
        for (int64_t r = 0; r < t->blocks[i].rows; r++)
            if (t->blocks[i].fill != ECH_FILL_NONE && t->blocks[i].fill != ECH_FILL_WITH_X)
                fill_row(t, &t->blocks[i], r, row, image);
    free(row);
    return ECH_OP_OK;
}

void ech_fill_weights(float *w, int64_t n, int64_t k)
{
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = 0; i < k; i++)
            w[j * k + i] = uniform(hash(99, j, i));
}

/* Where the f16s of a block lie; -1: none. MXFP4 has an exponent instead. */
static const int HALVES[ECH_WTYPES][2] = {
    [ECH_W_F16] = {0, -1},    [ECH_W_Q8_0] = {0, -1},   [ECH_W_Q4_0] = {0, -1},   [ECH_W_Q4_1] = {0, 2},
    [ECH_W_Q5_0] = {0, -1},   [ECH_W_Q5_1] = {0, 2},    [ECH_W_Q2_K] = {80, 82},  [ECH_W_Q3_K] = {108, -1},
    [ECH_W_Q4_K] = {0, 2},    [ECH_W_Q5_K] = {0, 2},    [ECH_W_Q6_K] = {208, -1}, [ECH_W_IQ4_NL] = {0, -1},
    [ECH_W_IQ4_XS] = {0, -1}, [ECH_W_TQ1_0] = {52, -1}, [ECH_W_TQ2_0] = {64, -1}};

void ech_fill_blocks(enum ech_wtype type, unsigned char *w, int64_t count)
{
    const int64_t bytes = ech_block_type(type)->bytes;
    for (int64_t b = 0; b < count; b++, w += bytes) {
        for (int64_t i = 0; i < bytes; i++)
            w[i] = (unsigned char)hash(98, b, i);
        for (int i = 0; i < 2; i++)
            if (HALVES[type][i] >= 0 && HALVES[type][1] != 0)
                w[HALVES[type][i] + 1] = (unsigned char)(0x1c + hash(97, b, i) % 8); /* 2^-8 to 2^-6 */
        if (type == ECH_W_MXFP4)
            w[0] = (unsigned char)(120 + w[0] % 8);
        if (type == ECH_W_F32 || type == ECH_W_BF16)
            w[bytes - 1] = (unsigned char)(0x3c + w[bytes - 1] % 4);
    }
}
