/* Softmax, log-softmax, activations, gate, gather and pooling: every backend against ref and ref_exact. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rows_support.h"

static int call_softmax(const struct ech_ops *ops, const struct buffer *in, struct buffer *out, int mode)
{
    (void)mode;
    return ops->softmax(NULL, out->x, in->rows, in->cols, in->ld);
}

void test_softmax(void)
{
    compare_all(&(struct row_test){"softmax", call_softmax, 1e-12, false, true}, 0, 5);
    compare_all(&(struct row_test){"softmax", call_softmax, 1e-9, false, true}, 0,
                200); /* x - max is rounded */
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

static int call_log_softmax(const struct ech_ops *ops, const struct buffer *in, struct buffer *out, int mode)
{
    (void)mode;
    return ops->log_softmax(NULL, out->x, in->rows, in->cols, in->ld);
}

void test_log_softmax(void)
{
    const struct row_test test = {"log_softmax", call_log_softmax, 2e-14, false, true};
    compare_all(&test, 0, 5);
    compare_all(&test, 0, 200);
    struct buffer large = buffer_make(2, 30522, 30530);
    buffer_random(&large, 9);
    compare_rows(&test, &large, 0);
    buffer_free(&large);
    struct buffer b = buffer_make(4, 37, 37);
    buffer_random(&b, 3);
    for (int i = 0; i < 37; i++)
        buffer_row(&b, 0)[i] = -INFINITY;
    buffer_row(&b, 1)[36] = -INFINITY;
    buffer_row(&b, 2)[0] = INFINITY;
    buffer_row(&b, 3)[20] = NAN;
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++) {
        if (!usable(*o))
            continue;
        struct buffer out = result_of(*o, call_log_softmax, &b, 0, "log_softmax of infinities");
        for (int i = 0; i < 37; i++) {
            CHECK(buffer_row(&out, 0)[i] == -INFINITY, "%s: a row of -inf has changed", (*o)->name);
            CHECK(isnan(buffer_row(&out, 3)[i]), "%s: a NaN was lost at %d", (*o)->name, i);
        }
        CHECK(buffer_row(&out, 1)[36] == -INFINITY && buffer_row(&out, 1)[0] < 0, "%s: -inf is not kept",
              (*o)->name);
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
    for (int act = ECH_ACT_NONE; act < ECH_ACTS; act++) {
        const struct row_test test = {"activate", call_activate, 4e-7, true, true};
        compare_all(&test, act, 6);
        compare_all(&test, act, 0.01f);
        compare_all(&test, act, 150);
        /* The vector forms at floats of every exponent, bit by bit against the scalar ones. */
        struct buffer b = buffer_make(1, 40000, 40000);
        for (int i = 0; i < 40000; i++)
            b.x[i] = any_float(i);
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

/* mode: activation + 16 * (0: y apart; 1: y is gate; 2: y is up). up is the input turned round. */
static int call_gate(const struct ech_ops *ops, const struct buffer *in, struct buffer *out, int mode)
{
    struct buffer up = buffer_make(in->rows, in->cols, in->cols + 1);
    for (int64_t r = 0; r < in->rows; r++)
        for (int64_t c = 0; c < in->cols; c++)
            buffer_row(&up, r)[c] = buffer_row(in, r)[in->cols - 1 - c];
    struct ech_gate_args a = {.size = sizeof a,
                              .rows = in->rows,
                              .cols = in->cols,
                              .act = (enum ech_act)(mode % 16),
                              .gate = mode / 16 == 1 ? out->x : in->x,
                              .up = up.x,
                              .ldg = in->ld,
                              .ldu = up.ld,
                              .y = mode / 16 == 2 ? up.x : out->x,
                              .ldy = mode / 16 == 2 ? up.ld : out->ld};
    int rc = ops->gate(NULL, &a);
    buffer_check(&up, "gate: up");
    for (int64_t r = 0; r < in->rows && mode / 16 == 2; r++)
        memcpy(buffer_row(out, r), buffer_row(&up, r), (size_t)in->cols * sizeof(float));
    buffer_free(&up);
    return rc;
}

void test_gate(void)
{
    /* The activation's error is a share of its input (4e-7); up is below 4. */
    for (int act = ECH_ACT_NONE; act < ECH_ACTS; act++)
        for (int where = 0; where < 3; where++)
            compare_all(&(struct row_test){"gate", call_gate, 2e-6, true, true}, act + 16 * where, 4);
    struct buffer b = buffer_make(1, 40000, 40000);
    for (int i = 0; i < 40000; i++)
        b.x[i] = any_float(i);
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++)
        for (int act = ECH_ACT_NONE; exact(*o) && act < ECH_ACTS; act++) {
            struct buffer bits = result_of(named("ref_exact"), call_gate, &b, act, "gate");
            struct buffer out = result_of(*o, call_gate, &b, act, "gate");
            same_bits(&out, &bits, (*o)->name);
            buffer_free(&out), buffer_free(&bits);
        }
    buffer_free(&b);
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
        for (int c = 0; c < ROW_COLS_COUNT; c++)
            for (int64_t rows = 0; rows <= 5; rows = rows ? rows + 4 : 1) {
                struct buffer in = buffer_make(rows, ROW_COLS[c], ROW_COLS[c] ? ROW_COLS[c] : 1);
                if (ROW_COLS[c])
                    compare_rows(&(struct row_test){"embed", call_embed, 1e-12, false, false}, &in, tables);
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
        for (int c = 1; c < ROW_COLS_COUNT; c++)
            for (int special = 0; special < 2; special++) {
                struct buffer in = buffer_make(TOKENS, ROW_COLS[c], ROW_COLS[c] + special);
                buffer_random(&in, 2);
                if (special) { /* zeros, one infinity and one NaN, each in a sequence of its own */
                    memset(buffer_row(&in, 2), 0, (size_t)ROW_COLS[c] * sizeof(float));
                    buffer_row(&in, 5)[ROW_COLS[c] / 2] = mode < 3 ? INFINITY : 1;
                    buffer_row(&in, 9)[ROW_COLS[c] - 1] = NAN;
                }
                compare_rows(&(struct row_test){"pool", call_pool, 1e-12, false, false}, &in, mode);
                buffer_free(&in);
            }
}
