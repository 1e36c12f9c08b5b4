/* Packing of weights into int8 and int4 panels (panels_int.h): once at model load. */
#include "kernels/panels_int.h"

#include <math.h>
#include <string.h>

#include "kernels/convert.h"
#include "kernels/ref/narrow.h"

enum { RUN = 256 }; /* of k at a time: whole steps */

/* Elements [k0, k0 + RUN) of output j, zeros past k and past the panel's outputs. */
static void load_run(const struct ech_panel_source *s, int64_t j, int64_t k0, float *out)
{
    int64_t left = s->k - k0, count = j >= s->width ? 0 : left < RUN ? left : RUN;
    for (int64_t i = 0; i < count; i++)
        out[i] = ech_load_weight(s->w, s->type, (s->first + j) * s->k + k0 + i);
    memset(out + count, 0, (size_t)(RUN - count) * sizeof *out);
}

/* To nearest even, |x| < 2^22, without a call. */
static int32_t rounded(float x)
{
    const float magic = 0x1.8p23f;
    return (int32_t)((x + magic) - magic);
}

static float int8_most(const struct ech_panel_source *s, int64_t j)
{
    float x[RUN], most = 0;
    for (int64_t k0 = 0; k0 < s->k; k0 += RUN) {
        load_run(s, j, k0, x);
        float here = ech_q8_most(x, RUN);
        most = ech_to_bits(here) > ech_to_bits(most) ? here : most;
    }
    return most;
}

/* Output j; `bytes`: its first four. Returns the sum of its values. */
static int32_t int8_values(const struct ech_panel_source *s, int64_t j, float by, int8_t *bytes)
{
    float x[RUN];
    int32_t sum = 0;
    for (int64_t k0 = 0; k0 < s->k; k0 += RUN) {
        int64_t left = (s->k - k0 + 3) / 4 * 4;
        load_run(s, j, k0, x);
        for (int64_t i = 0; i < RUN && i < left; i++) {
            int32_t value = by > 0 ? rounded(x[i] * by) : 0;
            bytes[(k0 + i) / 4 * 4 * ECH_PANEL + i % 4] = (int8_t)value;
            sum += value;
        }
    }
    return sum;
}

/* Outputs as a file has them, four values of k a word. */
static void keep_int8(const struct ech_panel_source *s, uint32_t *panel, float *tail, int64_t stride)
{
    const char *scales = (const char *)s->w + ech_s8_scales(s->n, s->k);
    memset(panel, 0, (size_t)((s->k + 3) / 4 * ECH_PANEL) * sizeof *panel);
    for (int64_t j = 0; j < ECH_PANEL; j++) {
        int32_t sum = 0;
        tail[j] = 0;
        if (j < s->width) {
            const int8_t *row = (const int8_t *)s->w + (s->first + j) * s->k;
            for (int64_t i = 0; i < s->k; i++)
                sum += row[i];
            for (int64_t i = 0; i + 4 <= s->k; i += 4)
                memcpy(panel + i / 4 * ECH_PANEL + j, row + i, 4);
            memcpy(panel + s->k / 4 * ECH_PANEL + j, row + s->k / 4 * 4, (size_t)(s->k % 4));
            memcpy(&tail[j], scales + (size_t)(s->first + j) * sizeof *tail, sizeof *tail);
        }
        sum *= -128;
        memcpy(tail + stride + j, &sum, sizeof sum);
    }
}

void ech_pack_int8(const struct ech_panel_source *from, uint32_t *panel, float *tail, int64_t stride)
{
    if (from->type == ECH_W_S8) {
        keep_int8(from, panel, tail, stride);
        return;
    }
    for (int64_t j = 0; j < ECH_PANEL; j++) {
        const float most = int8_most(from, j);
        const bool flat = most < ECH_Q8_LEAST;
        float by = flat || !isfinite(most) ? 0.0f : 127.0f / most;
        int32_t start = -128 * int8_values(from, j, by, (int8_t *)(panel + j));
        tail[j] = flat ? 0.0f : most / 127.0f;
        memcpy(tail + stride + j, &start, sizeof start);
    }
}

uint16_t ech_int4_quantise(const float *w, uint8_t *nibbles)
{
    float most = w[0];
    for (int i = 1; i < ECH_INT4_GROUP; i++)
        if ((ech_to_bits(w[i]) & 0x7fffffff) > (ech_to_bits(most) & 0x7fffffff))
            most = w[i];
    const uint16_t half = most == 0 ? 0 : ech_to_f16(most / -8.0f);
    const float scale = ech_from_f16(half);
    for (int i = 0; i < ECH_INT4_GROUP; i++) {
        float q = scale != 0 && isfinite(scale) ? w[i] / scale : 0.0f;
        nibbles[i] = (uint8_t)(rounded(q > 7 ? 7 : q < -8 ? -8 : q) + 8);
    }
    return half;
}

void ech_pack_int4(const struct ech_panel_source *from, uint32_t *panel, float *tail, int64_t stride)
{
    (void)tail, (void)stride;
    float x[RUN];
    for (int64_t j = 0; j < ECH_PANEL; j++)
        for (int64_t k0 = 0; k0 < from->k; k0 += ECH_INT4_GROUP) {
            uint8_t nibble[ECH_INT4_GROUP];
            if (k0 % RUN == 0)
                load_run(from, j, k0, x);
            const uint16_t half = ech_int4_quantise(x + k0 % RUN, nibble);
            char *to = (char *)(panel + (k0 / ECH_INT4_GROUP * 4 + j / 16) * ECH_INT4_WORDS);
            for (int i = 0; i < 16; i++)
                to[i / 4 * 64 + j % 16 * 4 + i % 4] = (char)(nibble[i] | nibble[16 + i] << 4);
            memcpy(to + 256 + 2 * (j % 16), &half, sizeof half);
        }
}
