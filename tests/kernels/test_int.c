/* int8 and int4 products beyond the shapes of test_linear.c: values by hand, hostile numbers, the deepest k,
 * packing, moved rows, Q8 rows that no word begins. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "matrix.h"

static const enum ech_format FORMATS[] = {ECH_FMT_INT8, ECH_FMT_INT4};
enum { COUNT = sizeof FORMATS / sizeof FORMATS[0] };

/* x (as it is) times w, packed for `format`. */
static struct matrix multiply(const struct ech_ops *ops, enum ech_format format, const struct matrix *x,
                              const struct buffer *w, const float *bias, enum ech_atype y_type)
{
    struct matrix y = matrix_make(y_type, x->rows, w->rows, 3);
    void *packed = pack_as(ops, format, w->x, w->rows, w->cols);
    struct ech_queue *queue = queue_open(ops, ops->linear_workspace(format, x->rows, w->rows, x->cols, 1));
    struct ech_linear_args a = {.size = sizeof a,
                                .m = x->rows,
                                .n = w->rows,
                                .k = w->cols,
                                .x = x->x,
                                .ldx = x->ld,
                                .packed = packed,
                                .bias = bias,
                                .y = y.x,
                                .ldy = y.ld,
                                .format = format,
                                .x_type = x->type,
                                .x_scale = x->scale,
                                .y_type = y_type,
                                .y_scale = y.scale};
    CHECK(ops->linear(queue, &a) == ECH_OP_OK, "%s %s: linear", ops->name, ech_ops_format_name(format));
    matrix_check(&y, ops->name);
    ech_queue_close(queue);
    free(packed);
    return y;
}

static void expect(enum ech_format format, const float *x, const float *w, int64_t k, float bias, float want,
                   const char *what)
{
    struct matrix row = matrix_make(ECH_A_F32, 1, k, 0);
    struct buffer weights = buffer_make(1, k, k);
    memcpy(row.x, x, (size_t)k * sizeof *x);
    memcpy(weights.x, w, (size_t)k * sizeof *w);
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++) {
        if (!usable(*o) || !(*o)->numerics[format])
            continue;
        struct matrix y = multiply(*o, format, &row, &weights, bias != 0 ? &bias : NULL, ECH_A_F32);
        float got = *(float *)y.x;
        bool right =
            same_class(*o, format) ? bits_equal(got, want) : fabsf(got - want) <= 1e-6f * fabsf(want);
        CHECK(right || (isnan(got) && isnan(want)), "%s %s, %s: %.9g, expected %.9g", (*o)->name,
              ech_ops_format_name(format), what, (double)got, (double)want);
        matrix_free(&y);
    }
    matrix_free(&row);
    buffer_free(&weights);
}

static void by_hand(void)
{
    const float ties[] = {127, 0.5f, 1.5f, -2.5f, -3.5f}, ones[] = {1, 1, 1, 1, 1}; /* 127 0 2 -2 -4 */
    expect(ECH_FMT_INT8, ties, ones, 5, 0, 123 * 127.0f * (1 * (1 / 127.0f)), "ties to even");
    const float down[] = {-254, 1, -1, 3, 5}; /* halved: -127 0 0 2 2 */
    expect(ECH_FMT_INT8, down, ones, 5, 0.25f, fmaf(-123 * 127.0f, 2 * (1 / 127.0f), 0.25f), "ties, bias");
    const float tiny[] = {0x1p-101f, -0x1p-149f}, least[] = {0x1p-100f, -0x1p-101f};
    expect(ECH_FMT_INT8, tiny, ones, 2, 0, 0, "a row below 2^-100");
    expect(ECH_FMT_INT8, ones, tiny, 2, 0, 0, "an output below 2^-100");
    expect(ECH_FMT_INT8, least, ones, 2, 0, 63 * 127.0f * (0x1p-100f / 127 * (1 / 127.0f)),
           "a row of 2^-100");
    const float zeros[] = {0, -0.0f, 0, 0, 0};
    expect(ECH_FMT_INT8, zeros, ones, 5, 7, 7, "a row of zeros");
    expect(ECH_FMT_INT4, zeros, ones, 5, 7, 7, "a row of zeros");
    expect(ECH_FMT_INT4, ones, zeros, 5, 0, 0, "weights of zeros");
    const float nibbles[] = {-8, 7.5f, 2.5f, 3.5f, -0.5f}, row[] = {127, 1, 2, 3, 4}; /* -8 7 2 4 0 */
    expect(ECH_FMT_INT4, row, nibbles, 5, 0, -8 * 127 + 7 + 4 + 12, "nibbles");
    const float up[] = {8, -8, 7, 0, 1}; /* the first of equals: scale -1, values -8 7 -7 0 -1 */
    expect(ECH_FMT_INT4, row, up, 5, 0.5f, 8 * 127 - 7 + 14 + 4 + 0.5f, "a positive largest");
    const float infinite[] = {1, INFINITY}, nan[] = {INFINITY, NAN}, huge[] = {1, 1e6f};
    for (int f = 0; f < COUNT; f++) {
        expect(FORMATS[f], infinite, ones, 2, 1, NAN, "an infinite x");
        expect(FORMATS[f], nan, ones, 2, 0, NAN, "a NaN in x");
        expect(FORMATS[f], ones, infinite, 2, 1, NAN, "an infinite weight");
        expect(FORMATS[f], ones, nan, 2, 0, NAN, "a NaN weight");
    }
    expect(ECH_FMT_INT4, ones, huge, 2, 0, NAN, "a weight beyond f16");
}

/* The deepest k with the largest sums of both signs; one more is refused. */
static void deepest(void)
{
    const int64_t k = ECH_INT8_K_MAX;
    struct matrix x = matrix_make(ECH_A_F32, 2, k, 0);
    struct buffer w = buffer_make(1, k, k);
    for (int64_t i = 0; i < k; i++) {
        ((float *)matrix_row(&x, 0))[i] = w.x[i] = 127;
        ((float *)matrix_row(&x, 1))[i] = -127;
    }
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++) {
        if (!usable(*o) || !(*o)->numerics[ECH_FMT_INT8])
            continue;
        struct matrix y = multiply(*o, ECH_FMT_INT8, &x, &w, NULL, ECH_A_F32);
        for (int r = 0; r < 2; r++) {
            float got = matrix_get(&y, r, 0), want = (float)(127 * 127 * k) * (r ? -1.0f : 1.0f);
            CHECK(got == want, "%s: k %d, row %d: %.9g, expected %.9g", (*o)->name, (int)k, r, (double)got,
                  (double)want);
        }
        int rc = (*o)->linear_pack(ECH_FMT_INT8, w.x, ECH_W_F32, 1, k + 1, x.x, 0, 1);
        CHECK(rc == ECH_OP_SHAPE, "%s: packing k %d gave %d", (*o)->name, (int)k + 1, rc);
        struct ech_linear_args a = {.size = sizeof a,
                                    .m = 1,
                                    .n = 1,
                                    .k = k + 1,
                                    .x = x.x,
                                    .ldx = k + 1,
                                    .packed = w.x,
                                    .y = y.x,
                                    .ldy = 1,
                                    .format = ECH_FMT_INT8};
        rc = (*o)->linear(NULL, &a);
        CHECK(rc == ECH_OP_SHAPE, "%s: linear with k %d gave %d", (*o)->name, (int)k + 1, rc);
        matrix_free(&y);
    }
    matrix_free(&x);
    buffer_free(&w);
}

void test_int_values(void)
{
    by_hand();
    deepest();
}

static float hostile(int64_t kind)
{
    static const float BORDER[] = {0.0f,      -0.0f,        INFINITY,  -INFINITY,  NAN,
                                   0x1p-100f, 0x1p-149f,    0x1p-126f, 0x1p127f,   -0x1.fffffep127f,
                                   0.5f,      0x1.fcp-101f, 0x1p-24f,  65504 * 8.f};
    uint32_t u = (uint32_t)random_below(65536) << 16 | (uint32_t)random_below(65536);
    float any;
    switch (kind) {
    case 0: /* any bits */
        memcpy(&any, &u, sizeof any);
        return any;
    case 1:
        return BORDER[random_below(sizeof BORDER / sizeof BORDER[0])];
    case 2: /* halves: ties of rounding */
        return (float)(random_below(255) - 127) * 0.5f;
    case 3: /* wide range */
        return ldexpf(random_float(1), (int)random_below(60) - 30);
    case 4: /* about the row that becomes zeros */
        return ldexpf(random_float(1), -98 - (int)random_below(5));
    default:
        return random_float(1);
    }
}

/* Each row of its own kind, so that one spoilt row does not hide the others. */
static void hostile_turn(int64_t k)
{
    enum { M = 13, N = 70 };
    struct matrix x = matrix_make(ECH_A_F32, M, k, random_below(3));
    struct buffer w = buffer_make(N, k, k), bias = buffer_make(1, N, N);
    for (int64_t r = 0; r < M; r++)
        for (int64_t i = 0, kind = random_below(8); i < k; i++)
            ((float *)matrix_row(&x, r))[i] = hostile(kind);
    for (int64_t j = 0; j < N; j++)
        for (int64_t i = 0, kind = random_below(8); i < k; i++)
            buffer_row(&w, j)[i] = hostile(kind);
    buffer_random(&bias, 1);
    for (int f = 0; f < COUNT; f++)
        for (int t = ECH_A_F32; t <= ECH_A_BF16; t++) {
            struct matrix want = multiply(named("ref_exact"), FORMATS[f], &x, &w, bias.x, (enum ech_atype)t);
            for (const struct ech_ops *const *o = ech_ops_all(); *o; o++)
                if (usable(*o) && same_class(*o, FORMATS[f])) {
                    struct matrix y = multiply(*o, FORMATS[f], &x, &w, bias.x, (enum ech_atype)t);
                    matrix_same(&y, &want, (*o)->name);
                    matrix_free(&y);
                }
            matrix_free(&want);
        }
    matrix_free(&x);
    buffer_free(&w), buffer_free(&bias);
}

void test_int_hostile(void)
{
    for (int turn = 0; turn < 150; turn++)
        hostile_turn(1 + random_below(turn % 3 ? 10 : 140));
}

/* What quantising costs: the product beside the one in f32, with weights and x uniform. */
void test_int_quality(void)
{
    enum { M = 8, N = 70, K = 300 };
    static const double BOUNDS[COUNT] = {1e-4,
                                         1e-2}; /* twice a step^2 / 12 over a variance of 1/3, doubled */
    struct matrix x = matrix_make(ECH_A_F32, M, K, 0);
    struct buffer w = buffer_make(N, K, K);
    matrix_random(&x, 1);
    buffer_random(&w, 1);
    struct matrix want = multiply(named("ref"), ECH_FMT_F32, &x, &w, NULL, ECH_A_F32);
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++)
        for (int f = 0; f < COUNT; f++) {
            if (!usable(*o) || !(*o)->numerics[FORMATS[f]])
                continue;
            struct matrix y = multiply(*o, FORMATS[f], &x, &w, NULL, ECH_A_F32);
            struct buffer got = {NULL, y.x, M, N, y.ld}, expected = {NULL, want.x, M, N, want.ld};
            char what[80];
            snprintf(what, sizeof what, "%s %s beside f32", (*o)->name, ech_ops_format_name(FORMATS[f]));
            close_enough(&got, &expected, BOUNDS[f], what);
            matrix_free(&y);
        }
    matrix_free(&want), matrix_free(&x);
    buffer_free(&w);
}

/* Packed in parts, and from the halves that hold the same values. */
static void pack_case(const struct ech_ops *ops, enum ech_format format, int64_t n, int64_t k, int64_t parts)
{
    const size_t bytes = ops->linear_packed_bytes(format, n, k), room = (bytes + 127) / 64 * 64;
    struct buffer w = buffer_make(n, k, k);
    buffer_random(&w, 1);
    uint16_t *half = calloc((size_t)(n * k), sizeof *half);
    for (int64_t i = 0; i < n * k; i++) {
        uint32_t u;
        memcpy(&u, w.x + i, sizeof u);
        half[i] = (uint16_t)(u >> 16);
        u &= 0xffff0000;
        memcpy(w.x + i, &u, sizeof u);
    }
    unsigned char *whole = pack_as(ops, format, w.x, n, k), *pieces = aligned_alloc(64, room);
    memset(pieces, 0x55, room);
    for (int64_t p = parts - 1; p >= 0; p--)
        CHECK(ops->linear_pack(format, half, ECH_W_BF16, n, k, pieces, p, parts) == ECH_OP_OK, "%s: part",
              ops->name);
    CHECK(memcmp(whole, pieces, bytes) == 0, "%s %s: (%d, %d) of bf16 in %d parts differs", ops->name,
          ech_ops_format_name(format), (int)n, (int)k, (int)parts);
    for (size_t i = bytes; i < room; i++)
        CHECK(pieces[i] == 0x55, "%s %s: packing wrote past linear_packed_bytes", ops->name,
              ech_ops_format_name(format));
    free(half), free(whole), free(pieces);
    buffer_free(&w);
}

void test_int_pack(void)
{
    static const int64_t SHAPES[][3] = {{1, 1, 1},   {1, 9, 3},     {64, 5, 2},
                                        {65, 33, 2}, {200, 257, 7}, {130, 513, 300}};
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++)
        for (int f = 0; f < COUNT; f++)
            for (size_t i = 0; i < sizeof SHAPES / sizeof SHAPES[0]; i++)
                if (usable(*o) && (*o)->numerics[FORMATS[f]])
                    pack_case(*o, FORMATS[f], SHAPES[i][0], SHAPES[i][1], SHAPES[i][2]);
}

/* One row of a matrix. */
static struct matrix row_of(const struct matrix *m, int64_t row)
{
    struct matrix one = *m;
    one.x = matrix_row(m, row);
    one.scale = m->scale + row;
    one.rows = 1;
    return one;
}

/* Every row alone gives its bits in the batch; so do Q8 rows where no word begins. */
static void moved_case(const struct ech_ops *ops, enum ech_format format, enum ech_atype x_type, int64_t m,
                       int64_t n, int64_t k)
{
    struct matrix x = matrix_make(x_type, m, k, 0);
    struct buffer w = buffer_make(n, k, k);
    matrix_random(&x, 2);
    buffer_random(&w, 1);
    struct matrix y = multiply(ops, format, &x, &w, NULL, ECH_A_F32);
    for (int64_t r = 0; r < m; r += 1 + m / 9) {
        struct matrix one = row_of(&x, r), want = row_of(&y, r);
        struct matrix got = multiply(ops, format, &one, &w, NULL, ECH_A_F32);
        matrix_same(&got, &want, ops->name);
        matrix_free(&got);
    }
    struct matrix shifted = matrix_make(x_type, m, k, 5), moved = shifted;
    if (x_type == ECH_A_Q8) {
        moved.x = (char *)shifted.x + 1; /* into the gap: rows end before the next */
        matrix_copy(&moved, &x);
        struct matrix got = multiply(ops, format, &moved, &w, NULL, ECH_A_F32);
        matrix_same(&got, &y, ops->name);
        matrix_free(&got);
    }
    matrix_free(&shifted), matrix_free(&x), matrix_free(&y);
    buffer_free(&w);
}

void test_int_moved(void)
{
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++)
        for (int f = 0; f < COUNT; f++)
            for (int t = ECH_A_F32; t <= (f ? ECH_A_F32 : ECH_A_Q8); t += ECH_A_Q8 - ECH_A_F32)
                if (usable(*o) && (*o)->numerics[FORMATS[f]]) {
                    moved_case(*o, FORMATS[f], (enum ech_atype)t, 40, 70, 33);
                    moved_case(*o, FORMATS[f], (enum ech_atype)t, 7, 33, 1601);
                    moved_case(*o, FORMATS[f], (enum ech_atype)t, 110, 192, 96);
                }
}
