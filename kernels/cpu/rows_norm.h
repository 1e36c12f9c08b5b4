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

/* What one row is written with. */
struct norm_row {
    const float *x, *gain, *shift;
    float *y;
    uint16_t *half;
    struct v16 mean, inverse, offset, most;
};

/* 16 columns from i on, or the `lanes` that are left. */
INLINE void norm_vector(struct norm_row *n, int64_t i, const bool whole, int64_t lanes,
                        const enum norm_form form, const enum ech_atype also)
{
    struct v16 d = whole ? v16_load(n->x + i) : v16_load_part(n->x + i, lanes);
    struct v16 gain = whole ? v16_load(n->gain + i) : v16_load_part(n->gain + i, lanes);
    if (form != NORM_SQUARES)
        d = v16_sub(d, n->mean);
    else
        gain = v16_add(gain, n->offset);
    d = v16_mul(d, n->inverse);
    if (form == NORM_SHIFTED)
        d = v16_fma(d, gain, whole ? v16_load(n->shift + i) : v16_load_part(n->shift + i, lanes));
    else
        d = v16_mul(d, gain);
    if (whole)
        v16_store(n->y + i, d);
    else
        v16_store_part(n->y + i, d, lanes);
    if (also == ECH_A_BF16 && whole)
        v16_store_bf16(n->half + i, d);
    else if (also == ECH_A_BF16)
        v16_store_bf16_part(n->half + i, d, lanes);
    else if (also == ECH_A_F16)
        v16_store_halves(n->half + i, v16_f16_halves(d), whole ? 16 : lanes);
    else if (also == ECH_A_Q8)
        n->most = v16_magnitude(n->most, whole ? d : v16_keep(d, lanes, v16_zero()));
}

/* y of one row and its bf16 or f16 form; returns the largest magnitude where Q8 wants it. */
INLINE struct v16 norm_apply(const struct ech_norm_args *a, int64_t row, float mean, float inverse,
                             const enum norm_form form, const enum ech_atype also)
{
    const int64_t cols = a->cols;
    struct norm_row n = {.x = a->x + row * a->ldx,
                         .gain = a->gain,
                         .shift = a->shift,
                         .y = a->y + row * a->ldy,
                         .mean = v16_set(mean),
                         .inverse = v16_set(inverse),
                         .offset = v16_set(a->gain_offset),
                         .most = v16_zero()};
    if (also == ECH_A_BF16 || also == ECH_A_F16)
        n.half = (uint16_t *)a->also + row * a->ld_also;
    int64_t i = 0;
    for (; i + 16 <= cols; i += 16)
        norm_vector(&n, i, true, 16, form, also);
    if (i < cols)
        norm_vector(&n, i, false, cols - i, form, also);
    return n.most;
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
    FOR(r, rows) m[r] = norm_apply(a, row + r, mean[r], 1.0f / sqrtf(total[r] / count + a->eps), form, also);
    for (int64_t r = row; also == ECH_A_Q8 && r < row + rows; r++)
        a->also_scale[r] = q8_values(a->y + r * a->ldy, a->cols, v16_largest_magnitude(m[r - row]),
                                     (uint8_t *)a->also + r * a->ld_also);
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

/* Rows of parts: whichever there are more of go side by side. */
static void norm_parts(const struct ech_norm_args *a, void (*run)(const struct ech_norm_args *))
{
    struct ech_norm_args b = *a;
    if (a->rows < a->parts) {
        b.rows = a->parts;
        b.ldx = b.ldy = a->cols;
    }
    for (int64_t i = 0, n = a->rows < a->parts ? a->rows : a->parts; i < n; i++) {
        b.x = a->x + i * (a->rows < a->parts ? a->ldx : a->cols);
        b.y = a->y + i * (a->rows < a->parts ? a->ldy : a->cols);
        run(&b);
    }
}

static int norm(struct ech_queue *queue, const struct ech_norm_args *a)
{
    (void)queue;
    int rc = ech_check_norm(a);
    if (rc || a->cols == 0)
        return rc;
    enum norm_form form = a->kind == ECH_NORM_RMS ? NORM_SQUARES : a->shift ? NORM_SHIFTED : NORM_PLAIN;
    void (*const run)(const struct ech_norm_args *) = NORMS[form][a->also ? a->also_type : ECH_A_F32];
    if (a->parts > 1)
        norm_parts(a, run);
    else
        run(a);
    return ECH_OP_OK;
}

#endif
