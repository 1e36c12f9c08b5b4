/* `convert`: rows of one type into another, by way of f32. Included after rows_types.h and a w16_*.h. */
#ifndef ECH_KERNELS_CPU_ROWS_CONVERT_H
#define ECH_KERNELS_CPU_ROWS_CONVERT_H

#include "kernels/check.h"

/* Elements [first, first + cols) of a row as f32; the last vector of halves by element. */
static void widen_halves(enum ech_atype type, const uint16_t *x, int64_t cols, float *y)
{
    int64_t i = 0;
    for (; i + 16 <= cols; i += 16)
        v16_store(y + i, type == ECH_A_F16 ? v16_from_f16(x + i) : v16_from_bf16(x + i));
    for (; i < cols; i++)
        y[i] = type == ECH_A_F16 ? ech_from_f16(x[i]) : ech_from_bf16(x[i]);
}

static void widen_q8(const uint8_t *x, float scale, int64_t cols, float *y)
{
    for (int64_t i = 0; i < cols; i += 16) {
        struct w16 value = w16_add(w16_from_bytes(x + i), w16_set_int(-128));
        row_store(y, i, cols, v16_mul(w16_float(value), v16_set(scale)));
    }
}

static void widen(const struct ech_convert_args *a, int64_t row, int64_t first, int64_t cols, float *y)
{
    const int64_t at = row * a->ldx + first;
    if (a->x_type == ECH_A_F32)
        memcpy(y, (const float *)a->x + at, (size_t)cols * sizeof *y);
    else if (a->x_type == ECH_A_Q8)
        widen_q8((const uint8_t *)a->x + at, a->x_scale[row], cols, y);
    else
        widen_halves(a->x_type, (const uint16_t *)a->x + at, cols, y);
}

/* One row from bf16, f16 or Q8 into another of them, a piece at a time. */
static void convert_pieces(const struct ech_convert_args *a, int64_t row, void *y)
{
    enum { PIECE = 1024 }; /* whole padded blocks of Q8 */
    _Alignas(64) float piece[PIECE];
    float most = 0;
    for (int64_t i = 0; a->y_type == ECH_A_Q8 && i < a->cols; i += PIECE) {
        int64_t count = a->cols - i < PIECE ? a->cols - i : PIECE;
        widen(a, row, i, count, piece);
        float here = q8_most(piece, count);
        most = ech_to_bits(here) > ech_to_bits(most) ? here : most;
    }
    for (int64_t i = 0; i < a->cols; i += PIECE) {
        int64_t count = a->cols - i < PIECE ? a->cols - i : PIECE;
        widen(a, row, i, count, piece);
        if (a->y_type == ECH_A_Q8)
            a->y_scale[row] = q8_values(piece, count, most, (uint8_t *)y + i);
        else
            narrow_row(a->y_type, piece, count, (uint16_t *)y + i, NULL);
    }
}

static int convert(struct ech_queue *queue, const struct ech_convert_args *a)
{
    (void)queue;
    int rc = ech_check_convert(a);
    if (rc)
        return rc;
    const size_t bytes = ech_atype_bytes(a->y_type);
    for (int64_t row = 0; row < a->rows; row++) {
        char *y = a->cols ? (char *)a->y + (size_t)(row * a->ldy) * bytes : NULL;
        float *scale = a->y_scale ? a->y_scale + row : NULL;
        if (a->y_type == ECH_A_F32)
            widen(a, row, 0, a->cols, (float *)y);
        else if (a->x_type == ECH_A_F32)
            narrow_row(a->y_type, (const float *)a->x + row * a->ldx, a->cols, y, scale);
        else
            convert_pieces(a, row, y);
    }
    return ECH_OP_OK;
}

#endif
