/* int8 products on what a file stores: its own integers (ECH_W_S8) and a multiplier of x that it fixes. What
 * is expected is worked out here, by the words of ops.h, not by a backend. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "matrix.h"

/* Integers and scales as ECH_W_S8 has them, at an odd address. */
struct stored {
    char *base, *at;
    int64_t n, k;
};

static struct stored stored_make(int64_t n, int64_t k)
{
    struct stored s = {.base = calloc((size_t)(n * k + 4 * n) + 8, 1), .n = n, .k = k};
    s.at = s.base + 1;
    for (int64_t i = 0; i < n * k; i++)
        s.at[i] = (char)(random_below(255) - 127);
    for (int64_t j = 0; j < n; j++) {
        float scale = 0.001f + fabsf(random_float(0.01f));
        memcpy(s.at + (n * k + 3) / 4 * 4 + 4 * j, &scale, sizeof scale);
    }
    return s;
}

static float stored_scale(const struct stored *s, int64_t j)
{
    float scale;
    memcpy(&scale, s->at + (s->n * s->k + 3) / 4 * 4 + 4 * j, sizeof scale);
    return scale;
}

/* Row r, output j, by ops.h. */
static float expected(const struct stored *s, const float *x, int64_t j, float multiplier, float bias)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < s->k; i++) {
        if (!isfinite(x[i]))
            return NAN;
        float value = x[i] * multiplier;
        value = value > 127 ? 127 : value < -127 ? -127 : value;
        sum += (int64_t)rintf(value) * (signed char)s->at[j * s->k + i];
    }
    return fmaf((float)sum, stored_scale(s, j), bias);
}

static struct ech_linear_args arguments(const struct matrix *x, const struct stored *s, const void *packed,
                                        const float *bias, struct matrix *y, float multiplier)
{
    return (struct ech_linear_args){.size = sizeof(struct ech_linear_args),
                                    .m = x->rows,
                                    .n = s->n,
                                    .k = s->k,
                                    .x = x->x,
                                    .ldx = x->ld,
                                    .packed = packed,
                                    .bias = bias,
                                    .y = y->x,
                                    .ldy = y->ld,
                                    .format = ECH_FMT_INT8,
                                    .x_type = x->type,
                                    .x_scale = x->scale,
                                    .y_type = y->type,
                                    .x_multiplier = multiplier};
}

static void *pack(const struct ech_ops *ops, const struct stored *s, int64_t parts)
{
    size_t bytes = ops->linear_packed_bytes(ECH_FMT_INT8, s->n, s->k);
    void *packed = aligned_alloc(64, (bytes + 63) / 64 * 64);
    memset(packed, 0x55, bytes);
    for (int64_t p = parts - 1; p >= 0; p--)
        CHECK(ops->linear_pack(ECH_FMT_INT8, s->at, ECH_W_S8, s->n, s->k, packed, p, parts) == ECH_OP_OK,
              "%s: packing a file's integers", ops->name);
    return packed;
}

static void compare(const struct ech_ops *ops, const struct stored *s, const struct matrix *x,
                    const struct buffer *bias, float multiplier)
{
    struct matrix y = matrix_make(ECH_A_F32, x->rows, s->n, 3);
    void *packed = pack(ops, s, 1 + random_below(3));
    struct ech_queue *queue = queue_open(ops, ops->linear_workspace(ECH_FMT_INT8, x->rows, s->n, s->k, 1));
    struct ech_linear_args a = arguments(x, s, packed, bias->x, &y, multiplier);
    CHECK(ops->linear(queue, &a) == ECH_OP_OK, "%s: linear with a multiplier", ops->name);
    matrix_check(&y, ops->name);
    for (int64_t r = 0; r < x->rows; r++)
        for (int64_t j = 0; j < s->n; j++) {
            float want = expected(s, matrix_row(x, r), j, multiplier, bias->x[j]), got = matrix_get(&y, r, j);
            bool right = same_class(ops, ECH_FMT_INT8) ? bits_equal(got, want)
                                                       : fabsf(got - want) <= 1e-5f * (1 + fabsf(want));
            CHECK(right || (isnan(want) && !isfinite(got)), "%s: row %d, output %d: %.9g, expected %.9g",
                  ops->name, (int)r, (int)j, (double)got, (double)want);
        }
    ech_queue_close(queue);
    free(packed);
    matrix_free(&y);
}

/* Rows that are clipped, that round at ties, that are flat, that hold what is no number. */
static void fill(struct matrix *x, float multiplier)
{
    matrix_random(x, 180 / multiplier);
    for (int64_t i = 0; i < x->cols; i++) {
        ((float *)matrix_row(x, 0))[i] = (float)(random_below(600) - 300) * 0.5f / multiplier;
        if (x->rows > 2)
            ((float *)matrix_row(x, 1))[i] = 0x1p-120f;
    }
    if (x->rows > 3)
        ((float *)matrix_row(x, 2))[random_below(x->cols)] = NAN;
    if (x->rows > 4)
        ((float *)matrix_row(x, 3))[random_below(x->cols)] = -INFINITY;
}

static void stored_case(int64_t m, int64_t n, int64_t k, float multiplier)
{
    struct matrix x = matrix_make(ECH_A_F32, m, k, random_below(3));
    struct stored s = stored_make(n, k);
    struct buffer bias = buffer_make(1, n, n);
    fill(&x, multiplier);
    buffer_random(&bias, 1);
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++)
        if (usable(*o) && (*o)->numerics[ECH_FMT_INT8])
            compare(*o, &s, &x, &bias, multiplier);
    matrix_free(&x);
    buffer_free(&bias);
    free(s.base);
}

void test_int_stored(void)
{
    static const int64_t SHAPES[][3] = {{1, 1, 1},    {1, 400, 256}, {3, 64, 4},    {5, 65, 33},
                                        {7, 130, 63}, {33, 96, 512}, {98, 70, 1536}};
    static const float MULTIPLIERS[] = {8.778423f, 1, 0x1p-100f, 0x1p100f};
    for (size_t i = 0; i < sizeof SHAPES / sizeof SHAPES[0]; i++)
        for (size_t f = 0; f < sizeof MULTIPLIERS / sizeof MULTIPLIERS[0]; f++)
            stored_case(SHAPES[i][0], SHAPES[i][1], SHAPES[i][2], MULTIPLIERS[f]);
}

/* A multiplier elsewhere than with int8 and f32 rows, or whose inverse is no number; integers elsewhere. */
void test_int_stored_refused(void)
{
    struct matrix x = matrix_make(ECH_A_F32, 1, 4, 0), y = matrix_make(ECH_A_F32, 1, 2, 0);
    struct stored s = stored_make(2, 4);
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++) {
        if (!usable(*o) || !(*o)->numerics[ECH_FMT_INT8])
            continue;
        static const float WRONG[] = {-1, 0x1p-101f, 0x1p101f, INFINITY, NAN};
        void *packed = pack(*o, &s, 1);
        struct ech_linear_args a;
        for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++) {
            a = arguments(&x, &s, packed, NULL, &y, WRONG[i]);
            CHECK((*o)->linear(NULL, &a) == ECH_OP_SHAPE, "%s took a multiplier of %g", (*o)->name,
                  (double)WRONG[i]);
        }
        a = arguments(&x, &s, packed, NULL, &y, 2);
        a.format = ECH_FMT_F32;
        CHECK((*o)->linear(NULL, &a) == ECH_OP_SHAPE, "%s took a multiplier with f32", (*o)->name);
        CHECK((*o)->linear_pack(ECH_FMT_F32, s.at, ECH_W_S8, 2, 4, packed, 0, 1) == ECH_OP_SHAPE,
              "%s packed int8 as f32", (*o)->name);
        free(packed);
    }
    matrix_free(&x), matrix_free(&y);
    free(s.base);
}
