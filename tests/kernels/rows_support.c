/* See rows_support.h. */
#include "rows_support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const int64_t ROW_COLS[] = {0, 1, 2, 15, 16, 17, 31, 48, 63, 64, 65, 130, 383, 384, 385};
const int ROW_COLS_COUNT = sizeof ROW_COLS / sizeof ROW_COLS[0];

struct buffer copy_of(const struct buffer *b)
{
    struct buffer c = buffer_make(b->rows, b->cols, b->ld);
    for (int64_t r = 0; r < b->rows; r++)
        memcpy(buffer_row(&c, r), buffer_row(b, r), (size_t)b->cols * sizeof(float));
    return c;
}

struct buffer result_of(const struct ech_ops *ops, row_call call, const struct buffer *in, int mode,
                        const char *what)
{
    struct buffer out = copy_of(in);
    int rc = call(ops, in, &out, mode);
    CHECK(rc == ECH_OP_OK, "%s %s: status %d", ops->name, what, rc);
    buffer_check(&out, what);
    return out;
}

/* |got - want| <= bound * max(|in|, |want|), element by element. */
static void close_by_input(const struct buffer *got, const struct buffer *want, const struct buffer *in,
                           double bound, const char *what)
{
    for (int64_t r = 0; r < got->rows; r++)
        for (int64_t c = 0; c < got->cols; c++) {
            double x = (double)buffer_row(got, r)[c], y = (double)buffer_row(want, r)[c];
            double size = fmax(fabs(y), fabs((double)buffer_row(in, r)[c]));
            CHECK(fabs(x - y) <= bound * size, "%s: %.9g at (%d, %d), expected %.9g", what, x, (int)r, (int)c,
                  y);
        }
}

/* Each row by itself gives the bits it had among the others. */
static void rows_alone(const struct ech_ops *ops, const struct row_test *t, const struct buffer *in, int mode,
                       const struct buffer *batch, const char *what)
{
    for (int64_t r = 0; r < in->rows; r++) {
        struct buffer one = *in, want = *batch;
        one.rows = want.rows = 1;
        one.x = buffer_row(in, r), want.x = buffer_row(batch, r);
        struct buffer out = result_of(ops, t->call, &one, mode, what);
        same_bits(&out, &want, what);
        buffer_free(&out);
    }
}

void compare_rows(const struct row_test *t, const struct buffer *in, int mode)
{
    struct buffer want = result_of(named("ref"), t->call, in, mode, t->name);
    struct buffer bits = result_of(named("ref_exact"), t->call, in, mode, t->name);
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++) {
        if (!usable(*o))
            continue;
        char what[160];
        snprintf(what, sizeof what, "%s %s (%d, %d) stride %d mode %d", (*o)->name, t->name, (int)in->rows,
                 (int)in->cols, (int)in->ld, mode);
        struct buffer out = result_of(*o, t->call, in, mode, what);
        if (t->by_input)
            close_by_input(&out, &want, in, t->bound, what);
        else
            close_enough(&out, &want, t->bound, what);
        if (exact(*o))
            same_bits(&out, &bits, what);
        if (t->alone)
            rows_alone(*o, t, in, mode, &out, what);
        buffer_free(&out);
    }
    buffer_free(&want), buffer_free(&bits);
}

void compare_all(const struct row_test *t, int mode, float scale)
{
    for (int c = 0; c < ROW_COLS_COUNT; c++)
        for (int64_t rows = 0; rows <= 5; rows = rows ? rows + 4 : 1)
            for (int64_t pad = 0; pad <= 3; pad += 3) {
                int64_t cols = ROW_COLS[c];
                struct buffer in = buffer_make(rows, cols, cols + pad + (cols + pad == 0));
                buffer_random(&in, scale);
                compare_rows(t, &in, mode);
                buffer_free(&in);
            }
}

float any_float(int64_t i)
{
    uint32_t u = (uint32_t)i * 107374u + 17u;
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}
