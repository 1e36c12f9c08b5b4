/* Top-k, argmax and rotary positions: every backend against ref and ref_exact. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rows_support.h"

/* What a row is made of. */
enum { NOISE, TIES, RISING, FALLING, NANS, ZEROS, SPARSE, PATTERNS };

static void fill_row(float *x, int64_t cols, int pattern)
{
    for (int64_t i = 0; i < cols; i++)
        switch (pattern) {
        case TIES:
            x[i] = (float)random_below(5);
            break;
        case RISING:
            x[i] = (float)i;
            break;
        case FALLING:
            x[i] = (float)-i;
            break;
        case NANS:
            x[i] = random_below(9) ? random_float(1) : i % 2 ? NAN : INFINITY;
            break;
        case ZEROS:
            x[i] = random_below(2) ? 0.0f : -0.0f;
            break;
        case SPARSE: /* numbers in one class of 8192 alone: no floor above -inf */
            x[i] = i % 8192 == 7 ? (float)i : -INFINITY;
            break;
        default:
            x[i] = random_float(1) * random_float(1);
        }
}

static void select_all(int64_t rows, int64_t cols, int64_t count, int pattern)
{
    struct buffer in = buffer_make(rows, cols, cols + 3),
                  values = buffer_make(rows, count, count ? count : 1);
    int32_t *want = calloc((size_t)(rows * count) + 1, sizeof *want);
    int32_t *got = calloc((size_t)(rows * count) + 2, sizeof *got);
    for (int64_t r = 0; r < rows; r++)
        fill_row(buffer_row(&in, r), cols, pattern);
    struct ech_topk_args a = {.size = sizeof a,
                              .rows = rows,
                              .cols = cols,
                              .count = count,
                              .x = in.x,
                              .ldx = in.ld,
                              .indices = want};
    CHECK(named("ref")->topk(NULL, &a) == ECH_OP_OK, "ref: topk");
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++) {
        if (!usable(*o))
            continue;
        got[rows * count] = 12345;
        a.indices = got, a.values = values.x;
        CHECK((*o)->topk(NULL, &a) == ECH_OP_OK, "%s: topk", (*o)->name);
        buffer_check(&values, "topk");
        CHECK(got[rows * count] == 12345 && memcmp(got, want, (size_t)(rows * count) * sizeof *got) == 0,
              "%s: the %d largest of (%d, %d), pattern %d, are others", (*o)->name, (int)count, (int)rows,
              (int)cols, pattern);
        for (int64_t i = 0; i < rows * count; i++)
            CHECK(bits_equal(values.x[i], buffer_row(&in, i / count)[want[i]]), "%s: topk: a wrong value",
                  (*o)->name);
        a.values = NULL;
        CHECK((*o)->topk(NULL, &a) == ECH_OP_OK &&
                  memcmp(got, want, (size_t)(rows * count) * sizeof *got) == 0,
              "%s: topk without values differs", (*o)->name);
    }
    buffer_free(&in), buffer_free(&values);
    free(want), free(got);
}

void test_topk(void)
{
    for (int pattern = 0; pattern < PATTERNS; pattern++) {
        for (int c = 0; c < ROW_COLS_COUNT; c++)
            for (int64_t count = 0; count <= ROW_COLS[c]; count = count < 3 ? count + 1 : 4 * count)
                select_all(3, ROW_COLS[c], count, pattern);
        select_all(2, 385, 385, pattern);
        /* From a floor at once, after patience was lost, and without one. */
        select_all(1, 30522, 1, pattern);
        select_all(1, 30522, 40, pattern);
        select_all(1, 30522, 700, pattern);
        select_all(1, 30522, 7000, pattern);
    }
    for (int64_t count = 1; count <= 6144; count *= 8)
        select_all(1, 100003, count, count == 8 ? RISING : NOISE);
}

/* mode: 0 halves, 1 interleaved; + 2 * what of head_dim does not turn. cols = heads of 2 x head_dim. */
static int call_rotary(const struct ech_ops *ops, const struct buffer *in, struct buffer *out, int mode)
{
    enum { TABLE = 7 };
    const int64_t still = mode / 2, heads = in->cols % 3 == 0 && in->cols ? 3 : 1, dim = in->cols / heads;
    const int64_t rotary = dim > still ? (dim - still) / 2 * 2 : 0;
    struct buffer table = buffer_make(2 * TABLE, rotary / 2, rotary / 2 ? rotary / 2 : 1);
    int32_t positions[8];
    for (int64_t r = 0; r < in->rows; r++)
        positions[r] = (int32_t)((int64_t)fabsf(buffer_row(in, r)[0] * 100) % TABLE);
    for (int64_t p = 0; p < TABLE; p++)
        for (int64_t i = 0; i < rotary / 2; i++) {
            double angle = (double)p * pow(10000, -2.0 * (double)i / (double)rotary);
            buffer_row(&table, p)[i] = (float)cos(angle);
            buffer_row(&table, TABLE + p)[i] = (float)sin(angle);
        }
    struct ech_rotary_args a = {.size = sizeof a,
                                .rows = in->rows,
                                .heads = heads,
                                .head_dim = dim,
                                .rotary = rotary,
                                .table_rows = TABLE,
                                .x = out->x,
                                .ldx = out->ld,
                                .cos = table.x,
                                .sin = buffer_row(&table, TABLE),
                                .positions = positions,
                                .interleaved = mode % 2};
    int rc = ops->rotary(NULL, &a);
    for (int64_t r = 0; r < in->rows && heads * dim > rotary; r++)
        for (int64_t h = 0; h < heads; h++)
            for (int64_t i = h * dim + rotary; i < (h + 1) * dim; i++)
                CHECK(buffer_row(out, r)[i] == buffer_row(in, r)[i], "%s: rotary turned what stands still",
                      ops->name);
    buffer_free(&table);
    return rc;
}

void test_rotary(void)
{
    for (int mode = 0; mode < 12; mode++)
        compare_all(&(struct row_test){"rotary", call_rotary, 1e-13, false, true}, mode, 2);
    struct buffer in = buffer_make(1, 4, 4), turned[2];
    for (int i = 0; i < 4; i++)
        in.x[i] = (float)(i + 1);
    for (int order = 0; order < 2; order++) { /* a quarter turn takes (a, b) to (-b, a) */
        turned[order] = copy_of(&in);
        struct ech_rotary_args a = {.size = sizeof a,
                                    .rows = 1,
                                    .heads = 1,
                                    .head_dim = 4,
                                    .rotary = 4,
                                    .table_rows = 1,
                                    .x = turned[order].x,
                                    .ldx = 4,
                                    .cos = (float[]){0, 0},
                                    .sin = (float[]){1, 1},
                                    .positions = (int32_t[]){0},
                                    .interleaved = order};
        CHECK(named("auto")->rotary(NULL, &a) == ECH_OP_OK, "rotary");
    }
    static const float HALVES[] = {-3, -4, 1, 2}, PAIRS[] = {-2, 1, -4, 3};
    CHECK(memcmp(turned[0].x, HALVES, sizeof HALVES) == 0, "halves turn wrongly");
    CHECK(memcmp(turned[1].x, PAIRS, sizeof PAIRS) == 0, "interleaved pairs turn wrongly");
    buffer_free(&in), buffer_free(&turned[0]), buffer_free(&turned[1]);
}
