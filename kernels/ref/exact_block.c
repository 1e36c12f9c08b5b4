/* The products of `ref_exact` on a file's own blocks: one output at a time, its weights taken apart once. */
#include <math.h>
#include <stdlib.h>

#include "kernels/blocks.h"
#include "kernels/ref/narrow.h"
#include "kernels/ref/ref_exact.h"

enum { GROUP = 32 }; /* of x */

/* 32 elements of x: values, their scale. */
struct group {
    int8_t value[GROUP];
    float scale;
};

static void quantise(const float *x, struct group *to)
{
    uint8_t bytes[64];
    to->scale = ech_to_q8(x, GROUP, bytes);
    for (int i = 0; i < GROUP; i++)
        to->value[i] = (int8_t)(bytes[i] - 128);
}

/* A row of x (k / 32 groups) and an output. */
static float chain_int8(const struct ech_linear_args *a, const struct ech_block_type *type,
                        const struct group *x, const uint8_t *w)
{
    struct ech_block_values v;
    float sum = 0;
    for (int64_t k = 0; k < a->k; k += type->group) {
        const int64_t at = k % type->elements, first = k % GROUP;
        if (at == 0)
            ech_block_values(a->w_type, w + k / type->elements * type->bytes, &v);
        const struct group *g = &x[k / GROUP];
        int32_t dot = 0, values = 0;
        for (int64_t i = 0; i < type->group; i++) {
            dot += g->value[first + i] * (v.bytes[at + i] - type->offset);
            values += g->value[first + i];
        }
        sum = fmaf((float)dot, g->scale * v.scale[at / type->group], sum);
        if (type->mins)
            sum = fmaf(v.min[at / type->group], -(g->scale * (float)values), sum);
    }
    return sum;
}

static float chain_f32(const struct ech_linear_args *a, const float *x, const float *w)
{
    float sum = 0;
    for (int64_t i = 0; i < a->k; i++)
        sum = fmaf(x[i], w[i], sum);
    return sum;
}

static void store(const struct ech_linear_args *a, int64_t row, int64_t j, float sum)
{
    const float y = ech_exact_finish(a, row, j, sum);
    const int64_t at = row * a->ldy + j;
    if (a->y_type == ECH_A_BF16)
        ((uint16_t *)a->y)[at] = ech_to_bf16(y);
    else
        ((float *)a->y)[at] = y;
}

static int block_f32(const struct ech_linear_args *a, size_t bytes)
{
    float *w = malloc((size_t)(a->k + 1) * sizeof *w);
    if (!w)
        return ECH_OP_MEMORY;
    for (int64_t j = 0; j < a->n; j++) {
        ech_block_decode(a->w_type, (const uint8_t *)a->packed + bytes * (size_t)j, 0, a->k, w);
        for (int64_t row = 0; row < a->m; row++)
            store(a, row, j, chain_f32(a, (const float *)a->x + row * a->ldx, w));
    }
    free(w);
    return ECH_OP_OK;
}

static int block_int8(const struct ech_linear_args *a, size_t bytes)
{
    struct group *x = malloc((size_t)(a->k / GROUP + 1) * sizeof *x);
    if (!x)
        return ECH_OP_MEMORY;
    for (int64_t row = 0; row < a->m; row++) {
        for (int64_t k = 0; k < a->k; k += GROUP)
            quantise((const float *)a->x + row * a->ldx + k, &x[k / GROUP]);
        for (int64_t j = 0; j < a->n; j++)
            store(
                a, row, j,
                chain_int8(a, ech_block_type(a->w_type), x, (const uint8_t *)a->packed + bytes * (size_t)j));
    }
    free(x);
    return ECH_OP_OK;
}

int ech_exact_block(const struct ech_linear_args *a)
{
    const size_t bytes = ech_block_row_bytes(a->w_type, a->k);
    return a->format == ECH_FMT_BLOCK ? block_f32(a, bytes) : block_int8(a, bytes);
}
