/* Norm, softmax, activations, gather and pooling: every backend against ref and ref_exact. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

static const int64_t COLS[] = {0, 1, 2, 15, 16, 17, 31, 48, 63, 64, 65, 130, 384};
enum { COLS_COUNT = sizeof COLS / sizeof COLS[0] };

/* One way to fill a result: `run` calls the backend on `in` and writes into `out`, a copy of `in`. */
typedef int (*row_call)(const struct ech_ops *ops, const struct buffer *in, struct buffer *out, int mode);

/* How a result is judged: normalised error, or, by_input, each element's error beside its input and result.
 */
struct row_test {
    const char *name;
    row_call call;
    double bound;
    bool by_input;
};

static struct buffer copy_of(const struct buffer *b)
{
    struct buffer c = buffer_make(b->rows, b->cols, b->ld);
    for (int64_t r = 0; r < b->rows; r++)
        memcpy(buffer_row(&c, r), buffer_row(b, r), (size_t)b->cols * sizeof(float));
    return c;
}

static struct buffer result_of(const struct ech_ops *ops, row_call call, const struct buffer *in, int mode,
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

static void compare_rows(const struct row_test *t, const struct buffer *in, int mode)
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
        buffer_free(&out);
    }
    buffer_free(&want), buffer_free(&bits);
}

/* Over all widths: 0, 1 and 5 rows, dense and strided. */
static void compare_all(const struct row_test *t, int mode, float scale)
{
    for (int c = 0; c < COLS_COUNT; c++)
        for (int64_t rows = 0; rows <= 5; rows = rows ? rows + 4 : 1)
            for (int64_t pad = 0; pad <= 3; pad += 3) {
                struct buffer in = buffer_make(rows, COLS[c], COLS[c] + pad + (COLS[c] + pad == 0));
                buffer_random(&in, scale);
                compare_rows(t, &in, mode);
                buffer_free(&in);
            }
}

static float gain_and_shift[2][512];

/* mode 1: without shift; 2: in place. */
static int call_norm(const struct ech_ops *ops, const struct buffer *in, struct buffer *out, int mode)
{
    struct ech_norm_args a = {.size = sizeof a,
                              .rows = in->rows,
                              .cols = in->cols,
                              .x = mode == 2 ? out->x : in->x,
                              .ldx = in->ld,
                              .gain = gain_and_shift[0],
                              .shift = mode == 1 ? NULL : gain_and_shift[1],
                              .eps = 1e-5f,
                              .y = out->x,
                              .ldy = out->ld};
    return ops->norm(NULL, &a);
}

void test_norm(void)
{
    for (int i = 0; i < 512; i++)
        gain_and_shift[0][i] = random_float(2), gain_and_shift[1][i] = random_float(1);
    /* x - mean cancels where a row's few columns are nearly equal: the bound is for those. */
    for (int mode = 0; mode < 3; mode++)
        compare_all(&(struct row_test){"norm", call_norm, 1e-10, false}, mode, 3);
}

static int call_softmax(const struct ech_ops *ops, const struct buffer *in, struct buffer *out, int mode)
{
    (void)mode;
    return ops->softmax(NULL, out->x, in->rows, in->cols, in->ld);
}

void test_softmax(void)
{
    compare_all(&(struct row_test){"softmax", call_softmax, 1e-12, false}, 0, 5);
    compare_all(&(struct row_test){"softmax", call_softmax, 1e-9, false}, 0, 200); /* x - max is rounded */
    struct buffer b = buffer_make(4, 37, 40);
    buffer_random(&b, 3);
    for (int i = 0; i < 37; i++)
        buffer_row(&b, 0)[i] = -INFINITY;
    buffer_row(&b, 1)[36] = -INFINITY;
    buffer_row(&b, 2)[0] = INFINITY;
    buffer_row(&b, 3)[20] = NAN;
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++) {
        if (!usable(*o))
            continue;
        struct buffer out = result_of(*o, call_softmax, &b, 0, "softmax of infinities");
        for (int i = 0; i < 37; i++) {
            CHECK(buffer_row(&out, 0)[i] == 0, "%s: a row of -inf is not zeros", (*o)->name);
            CHECK(isnan(buffer_row(&out, 3)[i]), "%s: a NaN was lost at %d", (*o)->name, i);
        }
        CHECK(buffer_row(&out, 1)[36] == 0 && buffer_row(&out, 1)[0] > 0, "%s: -inf is not 0", (*o)->name);
        CHECK(isnan(buffer_row(&out, 2)[0]), "%s: +inf gives no NaN", (*o)->name);
        buffer_free(&out);
    }
    buffer_free(&b);
}

static int call_activate(const struct ech_ops *ops, const struct buffer *in, struct buffer *out, int mode)
{
    for (int64_t r = 0; r < in->rows; r++) {
        int rc = ops->activate(NULL, (enum ech_act)mode, buffer_row(out, r), in->cols);
        if (rc)
            return rc;
    }
    return ECH_OP_OK;
}

void test_activate(void)
{
    for (int act = ECH_ACT_NONE; act <= ECH_ACT_TANH; act++) {
        const struct row_test test = {"activate", call_activate, 4e-7, true};
        compare_all(&test, act, 6);
        compare_all(&test, act, 0.01f);
        compare_all(&test, act, 150);
        /* The vector forms at floats of every exponent, bit by bit against the scalar ones. */
        struct buffer b = buffer_make(1, 40000, 40000);
        for (int i = 0; i < 40000; i++) {
            uint32_t u = (uint32_t)i * 107374u + 17u;
            memcpy(b.x + i, &u, sizeof u);
        }
        struct buffer bits = result_of(named("ref_exact"), call_activate, &b, act, "activate");
        for (const struct ech_ops *const *o = ech_ops_all(); *o; o++)
            if (exact(*o)) {
                struct buffer out = result_of(*o, call_activate, &b, act, "activate");
                same_bits(&out, &bits, (*o)->name);
                buffer_free(&out);
            }
        buffer_free(&b), buffer_free(&bits);
    }
}

enum { TABLE_ROWS = 9 };

/* mode: the number of tables; their types rotate. `in` lends the shape. */
static int call_embed(const struct ech_ops *ops, const struct buffer *in, struct buffer *out, int mode)
{
    struct ech_embed_args a = {
        .size = sizeof a, .count = in->rows, .cols = in->cols, .tables_count = mode, .y = out->x};
    uint32_t *words[4];
    int32_t ids[4][8];
    for (int t = 0; t < mode; t++) {
        size_t count = (size_t)(TABLE_ROWS * in->cols) + 1;
        words[t] = calloc(count, sizeof **words);
        a.wtype[t] = (enum ech_wtype)((t + mode) % 3);
        for (size_t i = 0; i < count; i++) { /* small halves in both 16-bit parts; good floats too */
            float x = (float)(int)((i * 37 + (size_t)t * 11) % 64) / 32 - 1;
            memcpy(&words[t][i], &x, sizeof x);
            if (a.wtype[t] != ECH_W_F32)
                words[t][i] = 0x3c013800u + (uint32_t)(i * 131 % 1024);
        }
        a.tables[t] = words[t];
        a.rows[t] = TABLE_ROWS;
        for (int i = 0; i < 8; i++)
            ids[t][i] = (i * 5 + t) % TABLE_ROWS;
        a.ids[t] = ids[t];
    }
    int rc = ops->embed(NULL, &a);
    for (int t = 0; t < mode; t++)
        free(words[t]);
    return rc;
}

void test_embed(void)
{
    for (int tables = 1; tables <= 4; tables++)
        for (int c = 0; c < COLS_COUNT; c++)
            for (int64_t rows = 0; rows <= 5; rows = rows ? rows + 4 : 1) {
                struct buffer in = buffer_make(rows, COLS[c], COLS[c] ? COLS[c] : 1);
                if (COLS[c])
                    compare_rows(&(struct row_test){"embed", call_embed, 1e-12, false}, &in, tables);
                buffer_free(&in);
            }
}

static const int64_t STARTS[] = {2, 2, 3, 9, 9, 26};
enum { SEQUENCES = 5, TOKENS = 26 };

/* mode: kind + 3 * normalize. The vectors land in the first rows of out. */
static int call_pool(const struct ech_ops *ops, const struct buffer *in, struct buffer *out, int mode)
{
    struct buffer vectors = buffer_make(SEQUENCES, in->cols, in->cols ? in->cols : 1);
    struct ech_pool_args a = {.size = sizeof a,
                              .sequences = SEQUENCES,
                              .cols = in->cols,
                              .starts = STARTS,
                              .x = in->x,
                              .ldx = in->ld,
                              .kind = (enum ech_pool)(mode % 3),
                              .normalize = mode >= 3,
                              .out = vectors.x};
    int rc = ops->pool(NULL, &a);
    buffer_check(&vectors, ops->name);
    for (int64_t r = 0; r < SEQUENCES; r++)
        memcpy(buffer_row(out, r), buffer_row(&vectors, r), (size_t)in->cols * sizeof(float));
    buffer_free(&vectors);
    return rc;
}

void test_pool(void)
{
    for (int mode = 0; mode < 6; mode++)
        for (int c = 1; c < COLS_COUNT; c++)
            for (int special = 0; special < 2; special++) {
                struct buffer in = buffer_make(TOKENS, COLS[c], COLS[c] + special);
                buffer_random(&in, 2);
                if (special) { /* zeros, one infinity and one NaN, each in a sequence of its own */
                    memset(buffer_row(&in, 2), 0, (size_t)COLS[c] * sizeof(float));
                    buffer_row(&in, 5)[COLS[c] / 2] = mode < 3 ? INFINITY : 1;
                    buffer_row(&in, 9)[COLS[c] - 1] = NAN;
                }
                compare_rows(&(struct row_test){"pool", call_pool, 1e-12, false}, &in, mode);
                buffer_free(&in);
            }
}
