/* Packing of weights into int8 and int4 panels (panels_int.h): once at model load. */
#include "kernels/panels_int.h"

#include <math.h>
#include <string.h>

#include "kernels/convert.h"
#include "kernels/ref/narrow.h"

enum { RUN = 256 }; /* of k at a time; whole groups and units */

/* Elements [k0, k0 + RUN) of a row of w, zeros past k; returns how many exist. */
static int64_t load_run(const void *w, enum ech_wtype type, int64_t row, int64_t k, int64_t k0, float *out)
{
    int64_t count = k - k0 < RUN ? k - k0 : RUN;
    for (int64_t i = 0; i < count; i++)
        out[i] = ech_load_weight(w, type, row * k + k0 + i);
    memset(out + count, 0, (size_t)(RUN - count) * sizeof *out);
    return count;
}

/* Round to even, |x| < 2^22, without a call. */
static int32_t rounded(float x)
{
    const float magic = 0x1.8p23f;
    return (int32_t)((x + magic) - magic);
}

size_t ech_int8_bytes(int64_t n, int64_t k)
{
    size_t outputs = (size_t)(ech_panels(n) * ECH_PANEL);
    return outputs * (4 * (size_t)ech_int8_units(k) + sizeof(float) + sizeof(int32_t));
}

/* Row `row` of w becomes output j of a panel. */
static void int8_row(const void *w, enum ech_wtype type, int64_t row, int64_t k, int8_t *panel, float *scale,
                     int32_t *start)
{
    float x[RUN];
    uint32_t bits = 0;
    for (int64_t k0 = 0; k0 < k; k0 += RUN) {
        uint32_t here = ech_to_bits(ech_q8_most(x, load_run(w, type, row, k, k0, x)));
        bits = here > bits ? here : bits;
    }
    const float most = ech_from_bits(bits);
    const bool flat = most < ECH_Q8_LEAST;
    const float by = flat || !isfinite(most) ? 0.0f : 127.0f / most;
    int32_t sum = 0;
    for (int64_t k0 = 0; k0 < k; k0 += RUN) {
        int64_t count = load_run(w, type, row, k, k0, x);
        for (int64_t i = 0; i < (count + 3) / 4 * 4; i++) {
            int32_t value = by > 0 ? rounded(x[i] * by) : 0;
            panel[(k0 + i) / 4 * 4 * ECH_PANEL + i % 4] = (int8_t)value;
            sum += value;
        }
    }
    *scale = flat ? 0.0f : most / 127.0f;
    *start = -128 * sum;
}

void ech_int8_pack(const void *w, enum ech_wtype type, int64_t n, int64_t k, void *packed, int64_t p,
                   int64_t end)
{
    const int64_t units = ech_int8_units(k);
    float *scale = (float *)packed + ech_panels(n) * ECH_PANEL * units;
    int32_t *start = (int32_t *)(scale + ech_panels(n) * ECH_PANEL);
    for (int64_t j = p * ECH_PANEL; j < end * ECH_PANEL; j++) {
        int8_t *panel = (int8_t *)packed + j / ECH_PANEL * ECH_PANEL * units * 4 + j % ECH_PANEL * 4;
        if (j < n) {
            int8_row(w, type, j, k, panel, scale + j, start + j);
            continue;
        }
        scale[j] = 0, start[j] = 0;
        for (int64_t u = 0; u < units; u++)
            memset(panel + u * 4 * ECH_PANEL, 0, 4);
    }
}

size_t ech_int4_bytes(int64_t n, int64_t k)
{
    return (size_t)(ech_panels(n) * ech_int4_groups(k)) * (ECH_PANEL / 16) * ECH_INT4_BYTES;
}

/* The f16 scale of a group. */
static uint16_t int4_scale(const float *x)
{
    float most = x[0];
    for (int i = 1; i < ECH_INT4_GROUP; i++)
        if ((ech_to_bits(x[i]) & 0x7fffffff) > (ech_to_bits(most) & 0x7fffffff))
            most = x[i];
    return ech_to_f16(most / -8.0f);
}

/* A group becomes output `lane` of 16. */
static void int4_group(const float *x, uint8_t *to, int64_t lane)
{
    const uint16_t half = int4_scale(x);
    const float scale = ech_from_f16(half);
    uint8_t nibble[ECH_INT4_GROUP];
    for (int i = 0; i < ECH_INT4_GROUP; i++) {
        float q = scale != 0 && isfinite(scale) ? x[i] / scale : 0.0f;
        q = q > 7 ? 7 : q < -8 ? -8 : q;
        nibble[i] = (uint8_t)(rounded(q) + 8);
    }
    for (int i = 0; i < 16; i++)
        to[i / 4 * 64 + lane * 4 + i % 4] = (uint8_t)(nibble[i] | nibble[16 + i] << 4);
    memcpy(to + 256 + 2 * lane, &half, sizeof half);
}

void ech_int4_pack(const void *w, enum ech_wtype type, int64_t n, int64_t k, void *packed, int64_t p,
                   int64_t end)
{
    const int64_t groups = ech_int4_groups(k);
    float x[RUN] = {0};
    for (int64_t j = p * ECH_PANEL; j < end * ECH_PANEL; j++) {
        uint8_t *panel = (uint8_t *)packed + (j / ECH_PANEL * groups * 4 + j % ECH_PANEL / 16) * ECH_INT4_BYTES;
        for (int64_t g = 0; g < groups; g++) {
            int64_t k0 = g * ECH_INT4_GROUP, at = k0 % RUN;
            if (at == 0 && j < n)
                load_run(w, type, j, k, k0, x);
            else if (at == 0)
                memset(x, 0, sizeof x);
            int4_group(x + at, panel + g * 4 * ECH_INT4_BYTES, j % 16);
        }
    }
}
