/* The products of `ref`: weights row-major in f32, rounded as the format stores them; x rounded as the format
 * reads it; then all in double, rounded to y's type at the end. */
#include "kernels/ref/ref.h"

#include <math.h>
#include <stdlib.h>

#include "kernels/check.h"
#include "kernels/convert.h"
#include "kernels/ref/narrow.h"

static bool is_int(enum ech_format format)
{
    return format == ECH_FMT_INT8 || format == ECH_FMT_INT4;
}

static bool has(enum ech_format format)
{
    return format == ECH_FMT_F32 || format == ECH_FMT_BF16 || format == ECH_FMT_BF16_F32 || is_int(format);
}

/* Weights of a file's own blocks are multiplied there: ref_block.c. */
static bool computes(enum ech_format format)
{
    return has(format) || ech_format_in_place(format);
}

size_t ech_ref_packed_bytes(enum ech_format format, int64_t n, int64_t k)
{
    if (!has(format) || n <= 0 || k <= 0)
        return 0;
    return (size_t)n * (size_t)(is_int(format) ? ech_ref_int_floats(format, k) : k) * sizeof(float);
}

int ech_ref_pack(enum ech_format format, const void *w, enum ech_wtype type, int64_t n, int64_t k,
                 void *packed, int64_t part, int64_t parts)
{
    int rc = ech_check_pack(format, w, type, n, k, packed, part, parts);
    if (rc || !has(format) || n == 0 || k == 0)
        return rc || has(format) ? rc : ECH_OP_UNSUPPORTED;
    for (int64_t row = n * part / parts; is_int(format) && row < n * (part + 1) / parts; row++)
        ech_ref_int_pack(format, w, type, row, n, k, packed);
    for (int64_t i = n * part / parts * k; !is_int(format) && i < n * (part + 1) / parts * k; i++) {
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
    case ECH_ACT_QUICK_GELU:
        return x / (1 + exp(-1.702 * x));
    case ECH_ACT_RELU2:
        return x < 0 ? 0 : x * x;
    case ECH_ACT_SIGMOID:
        return 1 / (1 + exp(-x));
    case ECH_ACT_NONE:
    case ECH_ACTS:
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

/* Element (i, j) of the results. */
static float result(const struct ech_linear_args *a, int64_t i, int64_t j)
{
    double sum = 0;
    if (is_int(a->format) && a->k > 0)
        sum = ech_ref_int_dot(a, i, j);
    else if (ech_format_in_place(a->format) && a->k > 0)
        sum = ech_ref_block_dot(a, i, j);
    for (int64_t c = 0; c < a->k && !is_int(a->format) && !ech_format_in_place(a->format); c++)
        sum += element(a, i * a->ldx + c) * (double)((const float *)a->packed)[j * a->k + c];
    sum = ech_ref_act(a->act, sum + (a->bias ? (double)a->bias[j] : 0));
    return (float)(sum + (a->residual ? (double)a->residual[i * a->ldr + j] : 0));
}

int ech_ref_linear(struct ech_queue *queue, const struct ech_linear_args *a)
{
    (void)queue;
    int rc = ech_check_linear(a);
    if (rc || a->m == 0 || a->n == 0)
        return rc;
    if (!computes(a->format) || a->y_type > ECH_A_Q8)
        return ECH_OP_UNSUPPORTED;
    float *row = malloc((size_t)a->n * sizeof *row);
    if (!row)
        return ECH_OP_MEMORY;
    for (int64_t i = 0; i < a->m; i++) {
        for (int64_t j = 0; j < a->n; j++)
            row[j] = result(a, i, j);
        ech_narrow_row(a->y_type, row, a->n, (char *)a->y + (size_t)(i * a->ldy) * ech_atype_bytes(a->y_type),
                       a->y_scale ? a->y_scale + i : NULL);
    }
    free(row);
    return ECH_OP_OK;
}
