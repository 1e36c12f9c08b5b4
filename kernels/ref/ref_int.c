/* The integer products of `ref`: weights and x quantised as the formats say, then all in double.
 * An output's packed weights: int8 the scale and k values; int4 a scale and 32 values for each group. */
#include "kernels/ref/ref.h"

#include <math.h>
#include <string.h>

#include "kernels/convert.h"
#include "kernels/panels_int.h"
#include "kernels/ref/narrow.h"

static int64_t group_of(enum ech_format format, int64_t k)
{
    return format == ECH_FMT_INT4 ? ECH_INT4_GROUP : k;
}

int64_t ech_ref_int_floats(enum ech_format format, int64_t k)
{
    const int64_t group = group_of(format, k);
    return (k + group - 1) / group * (group + 1);
}

/* Scale of `count` elements at `at` by the Q8 rule; `by` turns them into values, 0: all are 0. */
static float scale_of(const void *w, enum ech_wtype type, int64_t at, int64_t count, float *by)
{
    float most = 0;
    for (int64_t i = 0; i < count; i++) {
        const float v = fabsf(ech_load_weight(w, type, at + i));
        most = !(v <= most) && !isnan(most) ? v : most;
    }
    *by = most >= ECH_Q8_LEAST && isfinite(most) ? 127.0f / most : 0.0f;
    return most < ECH_Q8_LEAST ? 0.0f : most / 127.0f;
}

/* Values and scale as a file has them. */
static void keep_int8(const void *w, int64_t row, int64_t n, int64_t k, float *out)
{
    memcpy(out, (const char *)w + ech_s8_scales(n, k) + (size_t)row * sizeof *out, sizeof *out);
    for (int64_t i = 0; i < k; i++)
        out[1 + i] = (float)((const int8_t *)w)[row * k + i];
}

static void pack_int8(const void *w, enum ech_wtype type, int64_t at, int64_t k, float *out)
{
    float by;
    out[0] = scale_of(w, type, at, k, &by);
    for (int64_t i = 0; i < k; i++)
        out[1 + i] = by > 0 ? rintf(ech_load_weight(w, type, at + i) * by) : 0.0f;
}

static void pack_int4(const void *w, enum ech_wtype type, int64_t at, int64_t k, float *out)
{
    for (int64_t k0 = 0; k0 < k; k0 += ECH_INT4_GROUP, out += ECH_INT4_GROUP + 1) {
        float x[ECH_INT4_GROUP] = {0};
        uint8_t nibble[ECH_INT4_GROUP];
        for (int64_t i = 0; i < ECH_INT4_GROUP && k0 + i < k; i++)
            x[i] = ech_load_weight(w, type, at + k0 + i);
        out[0] = ech_from_f16(ech_int4_quantise(x, nibble));
        for (int i = 0; i < ECH_INT4_GROUP; i++)
            out[1 + i] = (float)(nibble[i] - 8);
    }
}

void ech_ref_int_pack(enum ech_format format, const void *w, enum ech_wtype type, int64_t row, int64_t n,
                      int64_t k, float *packed)
{
    float *out = packed + row * ech_ref_int_floats(format, k);
    if (type == ECH_W_S8)
        keep_int8(w, row, n, k, out);
    else
        (format == ECH_FMT_INT4 ? pack_int4 : pack_int8)(w, type, row * k, k, out);
}

/* Of an f32 row of x: its own, or the one that is fixed. */
static float scale_of_x(const struct ech_linear_args *a, const float *x, int64_t count, float *by)
{
    const float own = scale_of(x, ECH_W_F32, 0, count, by);
    if (a->x_multiplier == 0)
        return own;
    *by = isfinite(own) ? a->x_multiplier : 0;
    return isfinite(own) ? 1 : own;
}

double ech_ref_int_dot(const struct ech_linear_args *a, int64_t row, int64_t output)
{
    const int64_t group = group_of(a->format, a->k);
    const float *w = (const float *)a->packed + output * ech_ref_int_floats(a->format, a->k);
    double sum = 0;
    for (int64_t k0 = 0; k0 < a->k; k0 += group, w += group + 1) {
        const int64_t count = a->k - k0 < group ? a->k - k0 : group, at = row * a->ldx + k0;
        const float *x = (const float *)a->x + (a->x_type == ECH_A_F32 ? at : 0);
        float by = 0;
        double scale = (double)(a->x_type == ECH_A_Q8 ? a->x_scale[row] : scale_of_x(a, x, count, &by));
        double dot = 0;
        for (int64_t i = 0; i < count; i++) {
            double value = a->x_type == ECH_A_Q8 ? (double)((const uint8_t *)a->x)[at + i] - 128
                           : by > 0              ? rint((double)fminf(fmaxf(x[i] * by, -127), 127))
                                                 : 0;
            dot += value * (double)w[1 + i];
        }
        sum += dot * scale * (double)w[0];
    }
    return sum;
}
