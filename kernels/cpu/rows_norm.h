/* Layer and RMS norm over vectors, with the second output for the product that follows.
 * Included after a v16_*.h and rows_types.h.
 *
 * A row's mean and variance are one chain of additions a lane; NORM_ROWS rows go side by side, so that the
 * adders do not wait for one row's chain. The last pass has no chain: it runs row by row, writes y and its
 * narrow form together, and takes the largest magnitude for Q8 on the way. */
#ifndef ECH_KERNELS_CPU_ROWS_NORM_H
#define ECH_KERNELS_CPU_ROWS_NORM_H

#include <math.h>

#include "kernels/check.h"

enum { NORM_ROWS = 4 };

enum norm_form { NORM_SHIFTED, NORM_PLAIN, NORM_SQUARES };

/* sum of (x - mean) of each row, or of its square where `square`, over the 16 lanes. */
INLINE void norm_sums(const float *x, int64_t ldx, int64_t cols, const int rows, const struct v16 *mean,
                      const bool square, float *total)
{
    struct v16 sum[NORM_ROWS];
    FOR(r, rows) sum[r] = v16_zero();
    int64_t i = 0;
    for (; i + 16 <= cols; i += 16)
        FOR(r, rows)
        {
            struct v16 v = v16_load(x + r * ldx + i);
            struct v16 d = mean ? v16_sub(v, mean[r]) : v;
            sum[r] = square ? v16_fma(d, d, sum[r]) : v16_add(sum[r], d);
        }
    if (i < cols)
        FOR(r, rows)
        {
            struct v16 v = v16_load_part(x + r * ldx + i, cols - i);
            struct v16 d = mean ? v16_keep(v16_sub(v, mean[r]), cols - i, v16_zero()) : v;
            sum[r] = square ? v16_fma(d, d, sum[r]) : v16_add(sum[r], d);
        }
    FOR(r, rows) total[r] = v16_sum(sum[r]);
}

/* y of one row, and its narrow form. */
INLINE void norm_apply(const struct ech_norm_args *a, int64_t row, float mean, float inverse,
                       const enum norm_form form, const enum ech_atype also)
{
    const int64_t cols = a->cols;
    const float *x = a->x + row * a->ldx;
    float *y = a->y + row * a->ldy;
    uint16_t *half = also == ECH_A_BF16 || also == ECH_A_F16 ? (uint16_t *)a->also + row * a->ld_also : NULL;
    const struct v16 m = v16_set(mean), scale = v16_set(inverse), offset = v16_set(a->gain_offset);
    struct v16 most = v16_zero();
    for (int64_t i = 0; i < cols; i += 16) {
        struct v16 d = row_load(x, i, cols), gain = row_load(a->gain, i, cols);
        if (form == NORM_SQUARES)
            d = v16_mul(v16_mul(d, scale), v16_add(gain, offset));
        else if (form == NORM_PLAIN)
            d = v16_mul(v16_mul(v16_sub(d, m), scale), gain);
        else
            d = v16_fma(v16_mul(v16_sub(d, m), scale), gain, row_load(a->shift, i, cols));
        row_store(y, i, cols, d);
        if (also == ECH_A_BF16)
            v16_store_halves(half + i, v16_bf16_halves(d), cols - i);
        else if (also == ECH_A_F16)
            v16_store_halves(half + i, v16_f16_halves(d), cols - i);
        else if (also == ECH_A_Q8)
            most = v16_magnitude(most, cols - i < 16 ? v16_keep(d, cols - i, v16_zero()) : d);
    }
    if (also == ECH_A_Q8)
        a->also_scale[row] =
            q8_values(y, cols, v16_largest_magnitude(most), (uint8_t *)a->also + row * a->ld_also);
}

INLINE void norm_block(const struct ech_norm_args *a, int64_t row, const int rows, const enum norm_form form,
                       const enum ech_atype also)
{
    const float *x = a->x + row * a->ldx, count = (float)a->cols;
    float mean[NORM_ROWS] = {0}, total[NORM_ROWS];
    struct v16 m[NORM_ROWS];
    if (form != NORM_SQUARES) {
        norm_sums(x, a->ldx, a->cols, rows, NULL, false, total);
        FOR(r, rows) m[r] = v16_set(mean[r] = total[r] / count);
    }
    norm_sums(x, a->ldx, a->cols, rows, form == NORM_SQUARES ? NULL : m, true, total);
    FOR(r, rows) norm_apply(a, row + r, mean[r], 1.0f / sqrtf(total[r] / count + a->eps), form, also);
}

INLINE void norm_rows(const struct ech_norm_args *a, const enum norm_form form, const enum ech_atype also)
{
    int64_t row = 0;
    for (; row + NORM_ROWS <= a->rows; row += NORM_ROWS)
        norm_block(a, row, NORM_ROWS, form, also);
    for (; row < a->rows; row++)
        norm_block(a, row, 1, form, also);
}

#define NORM(name, form)                                                                                     \
    static void name##_f32(const struct ech_norm_args *a)                                                    \
    {                                                                                                        \
        norm_rows(a, form, ECH_A_F32);                                                                       \
    }                                                                                                        \
    static void name##_bf16(const struct ech_norm_args *a)                                                   \
    {                                                                                                        \
        norm_rows(a, form, ECH_A_BF16);                                                                      \
    }                                                                                                        \
    static void name##_q8(const struct ech_norm_args *a)                                                     \
    {                                                                                                        \
        norm_rows(a, form, ECH_A_Q8);                                                                        \
    }                                                                                                        \
    static void name##_f16(const struct ech_norm_args *a)                                                    \
    {                                                                                                        \
        norm_rows(a, form, ECH_A_F16);                                                                       \
    }
NORM(norm_shifted, NORM_SHIFTED)
NORM(norm_plain, NORM_PLAIN)
NORM(norm_squares, NORM_SQUARES)

static void (*const NORMS[3][ECH_ATYPES])(const struct ech_norm_args *) = {
    [NORM_SHIFTED] = {norm_shifted_f32, norm_shifted_bf16, norm_shifted_q8, norm_shifted_f16},
    [NORM_PLAIN] = {norm_plain_f32, norm_plain_bf16, norm_plain_q8, norm_plain_f16},
    [NORM_SQUARES] = {norm_squares_f32, norm_squares_bf16, norm_squares_q8, norm_squares_f16},
};

static int norm(struct ech_queue *queue, const struct ech_norm_args *a)
{
    (void)queue;
    int rc = ech_check_norm(a);
    if (rc || a->cols == 0)
        return rc;
    enum norm_form form = a->kind == ECH_NORM_RMS ? NORM_SQUARES : a->shift ? NORM_SHIFTED : NORM_PLAIN;
    NORMS[form][a->also ? a->also_type : ECH_A_F32](a);
    return ECH_OP_OK;
}

#endif
