/* `convert`: every type into every other, on each backend, with the bits of ref_exact and of ref; guards;
 * every half; numbers about the ties and borders of rounding. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "matrix.h"

static struct matrix converted(const struct ech_ops *ops, const struct matrix *x, enum ech_atype type,
                               int64_t pad)
{
    static const char *const TYPES[ECH_ATYPES] = {"f32", "bf16", "q8", "f16"};
    struct matrix y = matrix_make(type, x->rows, x->cols, pad);
    struct ech_convert_args a = {.size = sizeof a,
                                 .rows = x->rows,
                                 .cols = x->cols,
                                 .x = x->x,
                                 .ldx = x->ld,
                                 .x_type = x->type,
                                 .x_scale = x->scale,
                                 .y = y.x,
                                 .ldy = y.ld,
                                 .y_type = type,
                                 .y_scale = y.scale};
    char what[120];
    snprintf(what, sizeof what, "%s: %s into %s, (%d, %d)", ops->name, TYPES[x->type], TYPES[type],
             (int)x->rows, (int)x->cols);
    CHECK(ops->convert(NULL, &a) == ECH_OP_OK, "%s", what);
    matrix_check(&y, what);
    return y;
}

static void compare(const struct matrix *x, int64_t pad)
{
    for (int t = 0; t < ECH_ATYPES; t++) {
        struct matrix want = converted(named("ref"), x, (enum ech_atype)t, pad);
        for (const struct ech_ops *const *o = ech_ops_all(); *o; o++) {
            if (!usable(*o))
                continue;
            char what[80];
            snprintf(what, sizeof what, "%s: type %d into %d, cols %d", (*o)->name, x->type, t, (int)x->cols);
            struct matrix y = converted(*o, x, (enum ech_atype)t, pad);
            matrix_same(&y, &want, what);
            matrix_free(&y);
        }
        matrix_free(&want);
    }
}

static float any_float(int64_t kind)
{
    uint32_t u = (uint32_t)random_below(65536) << 16 | (uint32_t)random_below(65536);
    if (kind == 1) /* ties of bf16, and one beside them */
        u = (u & 0xffff0000) + 0x8000 + (uint32_t)random_below(3) - 1;
    if (kind == 2) /* ties of f16 in its range, denormals included */
        u = (u & 0x80ffe000) + ((uint32_t)(101 + random_below(44)) << 23) + 0x1000 +
            (uint32_t)random_below(3) - 1;
    if (kind == 3) /* of one magnitude: rows of Q8 */
        u = (u & 0x80ffffff) | 0x3f000000;
    if (kind == 4) /* about the least row */
        u = (u & 0x80ffffff) | 0x0d000000;
    float x;
    memcpy(&x, &u, sizeof x);
    return kind == 5 ? (float)(random_below(255) - 127) * 0.5f : x;
}

/* Each row of one kind. */
static void fill(struct matrix *x)
{
    matrix_random(x, 1);
    for (int64_t r = 0; r < x->rows; r++)
        for (int64_t c = 0, kind = random_below(7); c < x->cols; c++)
            if (x->type == ECH_A_F32)
                ((float *)matrix_row(x, r))[c] = any_float(kind);
            else if (x->type != ECH_A_Q8)
                ((uint16_t *)matrix_row(x, r))[c] = (uint16_t)random_below(kind ? 0x7000 : 65536);
}

void test_convert(void)
{
    static const int64_t COLS[] = {0, 1, 7, 15, 16, 17, 31, 63, 64, 65, 200, 1023, 1024, 1025, 2100};
    for (size_t i = 0; i < sizeof COLS / sizeof COLS[0]; i++)
        for (int t = 0; t < ECH_ATYPES; t++) {
            struct matrix x = matrix_make((enum ech_atype)t, COLS[i] % 9, COLS[i], COLS[i] % 4);
            fill(&x);
            compare(&x, COLS[i] % 3);
            matrix_free(&x);
        }
    for (int turn = 0; turn < 60; turn++) {
        struct matrix x = matrix_make(ECH_A_F32, 16, 130, 0);
        fill(&x);
        compare(&x, 0);
        matrix_free(&x);
    }
}

/* Every half into f32 and back is itself, NaN and (bf16) denormals apart. */
static void round_trip(const struct ech_ops *ops, enum ech_atype type)
{
    enum { ROWS = 16, COLS = 4096 };
    struct matrix x = matrix_make(type, ROWS, COLS, 0);
    for (int i = 0; i < ROWS * COLS; i++)
        ((uint16_t *)matrix_row(&x, i / COLS))[i % COLS] = (uint16_t)i;
    struct matrix wide = converted(ops, &x, ECH_A_F32, 0), back = converted(ops, &wide, type, 0);
    const int infinite = type == ECH_A_F16 ? 0x7c00 : 0x7f80;
    for (int i = 0; i < ROWS * COLS; i++) {
        int got = ((uint16_t *)matrix_row(&back, i / COLS))[i % COLS], magnitude = i & 0x7fff, want = i;
        if (type == ECH_A_BF16 && magnitude < 0x80)
            want = i & 0x8000;
        if (magnitude > infinite ? (got & 0x7fff) <= infinite : got != want) {
            fail("%s: half %04x of type %d came back as %04x", ops->name, i, type, got);
            break;
        }
    }
    matrix_free(&x), matrix_free(&wide), matrix_free(&back);
}

static void refused(const struct ech_ops *ops)
{
    static float memory[512], scale[2];
    const struct ech_convert_args good = {.size = sizeof good,
                                          .rows = 2,
                                          .cols = 70,
                                          .x = memory,
                                          .ldx = 70,
                                          .y = memory + 256,
                                          .ldy = 128,
                                          .y_type = ECH_A_Q8,
                                          .y_scale = scale};
    struct ech_convert_args a = good;
#define WITH(change, what)                                                                                   \
    do {                                                                                                     \
        a = good;                                                                                            \
        change;                                                                                              \
        int rc = ops->convert(NULL, &a);                                                                     \
        CHECK(rc == ECH_OP_SHAPE, "%s: convert: %s gave %d", ops->name, what, rc);                           \
    } while (0)
    WITH(a.size = 8, "a struct too small");
    WITH(a.rows = -1, "rows < 0");
    WITH(a.cols = -1, "cols < 0");
    WITH(a.ldx = 69, "ldx < cols");
    WITH(a.ldy = 127, "a Q8 stride without padding");
    WITH(a.y_scale = NULL, "no scales");
    WITH(a.x = NULL, "no x");
    WITH(a.y = NULL, "no y");
    WITH(a.x_type = (enum ech_atype)9, "an unknown type");
    WITH((a.x_type = ECH_A_Q8, a.ldx = 128), "no scales of x");
#undef WITH
    CHECK(ops->convert(NULL, NULL) == ECH_OP_SHAPE, "%s: convert: nothing", ops->name);
    CHECK(ops->convert(NULL, &good) == ECH_OP_OK, "%s: convert", ops->name);
}

void test_convert_edges(void)
{
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++)
        if (usable(*o)) {
            round_trip(*o, ECH_A_F16);
            round_trip(*o, ECH_A_BF16);
            refused(*o);
        }
}
