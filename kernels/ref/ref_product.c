/* The products of `ref`: weights row-major in f32, rounded as the format stores them; x rounded as the format
 * reads it; then all in double, rounded to y's type at the end. */
#include "kernels/ref/ref.h"

#include <math.h>

#include "kernels/check.h"
#include "kernels/convert.h"

static bool has(enum ech_format format)
{
    return format == ECH_FMT_F32 || format == ECH_FMT_BF16 || format == ECH_FMT_BF16_F32;
}

size_t ech_ref_packed_bytes(enum ech_format format, int64_t n, int64_t k)
{
    return has(format) && n > 0 && k > 0 ? (size_t)n * (size_t)k * sizeof(float) : 0;
}

int ech_ref_pack(enum ech_format format, const void *w, enum ech_wtype type, int64_t n, int64_t k,
                 void *packed, int64_t part, int64_t parts)
{
    int rc = ech_check_pack(format, w, type, n, k, packed, part, parts);
    if (rc || !has(format) || n == 0 || k == 0)
        return rc || has(format) ? rc : ECH_OP_UNSUPPORTED;
    for (int64_t i = n * part / parts * k; i < n * (part + 1) / parts * k; i++) {
        float v = ech_load_weight(w, type, i);
        ((float *)packed)[i] = format == ECH_FMT_F32 ? v : ech_from_bf16(ech_round_bf16(v));
    }
    return ECH_OP_OK;
}

double ech_ref_act(enum ech_act kind, double x)
{
    switch (kind) {
    case ECH_ACT_GELU:
        return 0.5 * x * erfc(-x * M_SQRT1_2);
    case ECH_ACT_GELU_TANH:
        return 0.5 * x * (1 + tanh(M_SQRT2 * M_2_SQRTPI * 0.5 * (x + 0.044715 * x * x * x)));
    case ECH_ACT_RELU:
        return x < 0 ? 0 : x;
    case ECH_ACT_SILU:
        return x / (1 + exp(-x));
    case ECH_ACT_TANH:
        return tanh(x);
    case ECH_ACT_NONE:
        break;
    }
    return x;
}

/* Element i of x as the format reads it. */
static double element(const struct ech_linear_args *a, int64_t i)
{
    if (a->x_type == ECH_A_BF16)
        return (double)ech_from_bf16(((const uint16_t *)a->x)[i]);
    float x = ((const float *)a->x)[i];
    return (double)(a->format == ECH_FMT_BF16 ? ech_from_bf16(ech_to_bf16(x)) : x);
}

int ech_ref_linear(struct ech_queue *queue, const struct ech_linear_args *a)
{
    (void)queue;
    int rc = ech_check_linear(a);
    if (rc || !has(a->format) || a->y_type > ECH_A_BF16)
        return rc ? rc : ECH_OP_UNSUPPORTED;
    for (int64_t i = 0; i < a->m; i++)
        for (int64_t j = 0; j < a->n; j++) {
            double sum = 0;
            for (int64_t c = 0; c < a->k; c++)
                sum += element(a, i * a->ldx + c) * (double)((const float *)a->packed)[j * a->k + c];
            sum = ech_ref_act(a->act, sum + (a->bias ? (double)a->bias[j] : 0));
            float y = (float)(sum + (a->residual ? (double)a->residual[i * a->ldr + j] : 0));
            if (a->y_type == ECH_A_F32)
                ((float *)a->y)[i * a->ldy + j] = y;
            else
                ((uint16_t *)a->y)[i * a->ldy + j] = ech_to_bf16(y);
        }
    return ECH_OP_OK;
}
