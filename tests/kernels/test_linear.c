/* The product: every backend against ref and ref_exact over shapes around the tiles; packing; moved rows. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

#include "matrix.h"

struct linear_case {
    int64_t m, n, k, pad; /* pad: added to every stride */
    bool bias;
    enum ech_act act;
    int residual; /* 0: none, 1: a matrix of its own, 2: y itself */
};

/* 6, 8, 12 rows and 96 are tile and block heights; 16 and 64 widths; 384 the block of k. */
static const struct linear_case CASES[] = {
    {0, 5, 5, 0, true, ECH_ACT_NONE, 0},        {3, 0, 5, 0, false, ECH_ACT_NONE, 0},
    {3, 5, 0, 0, true, ECH_ACT_GELU, 1},        {3, 70, 0, 1, false, ECH_ACT_NONE, 0},
    {1, 1, 1, 0, true, ECH_ACT_NONE, 0},        {1, 1, 1, 3, false, ECH_ACT_RELU, 2},
    {1, 64, 7, 0, true, ECH_ACT_TANH, 0},       {2, 63, 16, 1, true, ECH_ACT_SILU, 1},
    {5, 65, 17, 0, false, ECH_ACT_NONE, 2},     {6, 15, 33, 2, true, ECH_ACT_GELU_TANH, 2},
    {7, 16, 31, 0, true, ECH_ACT_GELU, 2},      {8, 17, 64, 5, true, ECH_ACT_NONE, 1},
    {11, 31, 12, 0, true, ECH_ACT_NONE, 0},     {12, 32, 12, 1, true, ECH_ACT_GELU, 0},
    {13, 48, 48, 0, false, ECH_ACT_SILU, 0},    {16, 128, 20, 0, true, ECH_ACT_NONE, 2},
    {17, 129, 21, 7, true, ECH_ACT_GELU, 1},    {24, 127, 40, 0, true, ECH_ACT_RELU, 1},
    {3, 70, 383, 0, true, ECH_ACT_NONE, 2},     {4, 70, 384, 1, true, ECH_ACT_GELU, 2},
    {5, 70, 385, 0, true, ECH_ACT_NONE, 1},     {2, 33, 801, 3, true, ECH_ACT_GELU, 2},
    {95, 20, 10, 0, true, ECH_ACT_NONE, 0},     {96, 20, 10, 1, true, ECH_ACT_GELU, 2},
    {97, 20, 10, 0, false, ECH_ACT_NONE, 1},    {200, 66, 9, 0, true, ECH_ACT_GELU, 0},
    {40, 200, 500, 8, true, ECH_ACT_GELU, 1},   {3, 70, 769, 0, true, ECH_ACT_NONE, 2},
    {14, 200, 768, 0, true, ECH_ACT_NONE, 1},   {100, 130, 770, 4, true, ECH_ACT_SILU, 2},
    {200, 192, 1024, 0, true, ECH_ACT_NONE, 2},
};

/* Inputs of a case, the same for each backend; x in every type that a format may take. */
struct linear_data {
    struct matrix x[ECH_ATYPES];
    struct buffer w, bias, residual, start;
};

static struct linear_data make_data(const struct linear_case *c)
{
    struct linear_data d = {.w = buffer_make(c->n, c->k, c->k),
                            .bias = buffer_make(1, c->n, c->n),
                            .residual = buffer_make(c->m, c->n, c->n + 2 * c->pad),
                            .start = buffer_make(c->m, c->n, c->n)};
    for (int t = ECH_A_F32; t <= ECH_A_Q8; t++) {
        d.x[t] = matrix_make((enum ech_atype)t, c->m, c->k, c->pad);
        matrix_random(&d.x[t], 1);
    }
    buffer_random(&d.w, 1);
    buffer_random(&d.bias, 1);
    buffer_random(&d.residual, 1);
    buffer_random(&d.start, 1);
    return d;
}

static void free_data(struct linear_data *d)
{
    for (int t = ECH_A_F32; t <= ECH_A_Q8; t++)
        matrix_free(&d->x[t]);
    buffer_free(&d->w);
    buffer_free(&d->bias);
    buffer_free(&d->residual);
    buffer_free(&d->start);
}

/* What a run of a case is of: types, and who runs it. */
struct run {
    const struct ech_ops *ops;
    enum ech_format format;
    enum ech_atype x_type, y_type;
    int threads;
    char what[200];
};

static bool x_taken(enum ech_format format, enum ech_atype x_type)
{
    return x_type == ECH_A_F32 || (x_type == ECH_A_BF16 && format == ECH_FMT_BF16) ||
           (x_type == ECH_A_Q8 && format == ECH_FMT_INT8);
}

static struct matrix run_case(struct run *run, const struct linear_case *c, const struct linear_data *d)
{
    static const char *const TYPES[] = {"f32", "bf16", "q8"};
    const struct ech_ops *ops = run->ops;
    struct matrix y = matrix_make(run->y_type, c->m, c->n, c->pad);
    for (int64_t r = 0; r < c->m && run->y_type == ECH_A_F32; r++)
        memcpy(matrix_row(&y, r), buffer_row(&d->start, r), (size_t)c->n * sizeof(float));
    void *packed = pack_as(ops, run->format, d->w.x, c->n, c->k);
    struct ech_queue *queue = queue_open_team(
        ops, ops->linear_workspace(run->format, c->m, c->n, c->k, run->threads), run->threads);
    const struct matrix *x = &d->x[run->x_type];
    const bool itself = c->residual == 2 && run->y_type == ECH_A_F32;
    struct ech_linear_args a = {.size = sizeof a,
                                .m = c->m,
                                .n = c->n,
                                .k = c->k,
                                .x = x->x,
                                .ldx = x->ld,
                                .packed = packed,
                                .bias = c->bias ? d->bias.x : NULL,
                                .act = c->act,
                                .residual = itself             ? y.x
                                            : c->residual == 1 ? d->residual.x
                                                               : NULL,
                                .ldr = itself ? y.ld : d->residual.ld,
                                .y = y.x,
                                .ldy = y.ld,
                                .format = run->format,
                                .x_type = run->x_type,
                                .y_type = run->y_type,
                                .x_scale = x->scale,
                                .y_scale = y.scale};
    if (c->residual == 2 && !itself)
        a.residual = d->start.x, a.ldr = d->start.ld;
    snprintf(run->what, sizeof run->what,
             "%s %s linear m %d n %d k %d pad %d act %d residual %d x %s y %s threads %d", ops->name,
             ech_ops_format_name(run->format), (int)c->m, (int)c->n, (int)c->k, (int)c->pad, c->act,
             c->residual, TYPES[run->x_type], TYPES[run->y_type], run->threads);
    int rc = ops->linear(queue, &a);
    CHECK(rc == ECH_OP_OK, "%s: status %d", run->what, rc);
    matrix_check(&y, run->what);
    ech_queue_close(queue);
    free(packed);
    return y;
}

/* Is y (bf16 or Q8) the f32 result, rounded as its type says? By arithmetic of the test's own. */
static uint8_t nearest_q8(float x, float by)
{
    return (uint8_t)((int)nearbyintf(x * by) + 128);
}

static void rounded(const struct matrix *y, const struct matrix *f32, const char *what)
{
    for (int64_t r = 0; r < y->rows; r++) {
        float most = 0;
        for (int64_t c = 0; c < y->cols; c++)
            most = fmaxf(most, fabsf(matrix_get(f32, r, c)));
        CHECK(y->type != ECH_A_Q8 || y->scale[r] == most / 127, "%s: scale of row %d is %g", what, (int)r,
              (double)y->scale[r]);
        for (int64_t c = 0; c < y->cols; c++) {
            float value = matrix_get(f32, r, c);
            bool right = y->type == ECH_A_BF16
                             ? ((const uint16_t *)matrix_row(y, r))[c] == nearest_bf16(value)
                             : ((const uint8_t *)matrix_row(y, r))[c] == nearest_q8(value, 127 / most);
            if (!right && most > 0) {
                fail("%s: (%d, %d) is %g, the f32 result is %.9g", what, (int)r, (int)c,
                     (double)matrix_get(y, r, c), (double)value);
                return;
            }
        }
    }
}

/* As a buffer, for close_enough. */
static struct buffer viewed(const struct matrix *m)
{
    return (struct buffer){NULL, m->x, m->rows, m->cols, m->ld};
}

/* One format and type of x: all backends against ref and ref_exact, each other y against the f32 one. */
static void compare_types(const struct linear_case *c, const struct linear_data *d, enum ech_format format,
                          enum ech_atype x_type)
{
    struct run want_run = {named("ref"), format, x_type, ECH_A_F32, 1, ""};
    struct run bits_run = {named("ref_exact"), format, x_type, ECH_A_F32, 1, ""};
    struct matrix want = run_case(&want_run, c, d), bits = run_case(&bits_run, c, d);
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++) {
        if (!usable(*o) || !(*o)->numerics[format])
            continue;
        struct run run = {*o, format, x_type, ECH_A_F32, 1, ""};
        struct matrix y = run_case(&run, c, d);
        struct buffer got = viewed(&y), expected = viewed(&want);
        close_enough(&got, &expected, 1e-12, run.what);
        if (same_class(*o, format))
            matrix_same(&y, &bits, run.what);
        for (int t = ECH_A_BF16; t <= ECH_A_Q8; t++) {
            run.y_type = (enum ech_atype)t;
            struct matrix half = run_case(&run, c, d);
            rounded(&half, &y, run.what);
            matrix_free(&half);
        }
        matrix_free(&y);
    }
    matrix_free(&want);
    matrix_free(&bits);
}

static void compare_case(const struct linear_case *c)
{
    struct linear_data d = make_data(c);
    for (int f = 0; f < ECH_FORMATS; f++)
        for (int t = ECH_A_F32; t <= ECH_A_Q8 && packs(named("ref"), (enum ech_format)f); t++)
            if (x_taken((enum ech_format)f, (enum ech_atype)t))
                compare_types(c, &d, (enum ech_format)f, (enum ech_atype)t);
    free_data(&d);
}

void test_linear(void)
{
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++)
        compare_case(&CASES[i]);
    for (int64_t m = 1; m <= 26; m++) /* every way to split rows over tiles */
        compare_case(&(struct linear_case){m, 68 + m, 5, 0, true, ECH_ACT_NONE, 0});
}

static void team_case(struct run *run, const struct linear_case *c, const struct linear_data *d)
{
    struct matrix alone = run_case(run, c, d);
    for (int threads = 2; threads <= 5; threads++) {
        run->threads = threads;
        struct matrix y = run_case(run, c, d);
        matrix_same(&y, &alone, run->what);
        matrix_free(&y);
    }
    matrix_free(&alone);
}

/* A team of any size gives the bits of one thread, whether it shares rows or panels. */
void test_team(void)
{
    static const struct linear_case SHAPES[] = {
        {1, 300, 40, 0, true, ECH_ACT_NONE, 0},
        {16, 130, 401, 1, true, ECH_ACT_GELU, 1},
        {7, 64, 33, 0, false, ECH_ACT_NONE, 2},
        {100, 70, 50, 3, true, ECH_ACT_NONE, 2},
        {211, 260, 20, 0, true, ECH_ACT_RELU, 0},
        {2, 1, 1, 0, true, ECH_ACT_NONE, 0},
        {1, 2100, 24, 0, true, ECH_ACT_NONE, 0},
        {5, 1090, 17, 1, true, ECH_ACT_SILU, 1}, /* piles of panels */
        {401, 70, 33, 0, true, ECH_ACT_NONE, 2},
        {1000, 66, 6, 2, true, ECH_ACT_GELU, 1}, /* and of rows */
    };
    for (size_t i = 0; i < sizeof SHAPES / sizeof SHAPES[0]; i++) {
        struct linear_data d = make_data(&SHAPES[i]);
        for (const struct ech_ops *const *o = ech_ops_all(); *o; o++)
            for (int f = 0; f < ECH_FORMATS; f++) {
                if (!usable(*o) || !packs(*o, (enum ech_format)f))
                    continue;
                for (int t = ECH_A_F32; t <= ECH_A_Q8; t++)
                    team_case(&(struct run){*o, (enum ech_format)f, ECH_A_F32, (enum ech_atype)t, 1, ""},
                              &SHAPES[i], &d);
            }
        free_data(&d);
    }
}

/* Weights packed in parts are those packed whole; half precisions are their f32 values. */
static void pack_case(const struct ech_ops *ops, enum ech_format format, int64_t n, int64_t k, int64_t parts)
{
    size_t bytes = ops->linear_packed_bytes(format, n, k);
    struct buffer w = buffer_make(n, k, k);
    buffer_random(&w, 1);
    char *whole = pack_as(ops, format, w.x, n, k), *pieces = aligned_alloc(64, (bytes + 64) / 64 * 64);
    memset(pieces, 0x55, (bytes + 64) / 64 * 64);
    for (int64_t p = parts - 1; p >= 0; p--)
        CHECK(ops->linear_pack(format, w.x, ECH_W_F32, n, k, pieces, p, parts) == ECH_OP_OK, "%s: part",
              ops->name);
    CHECK(memcmp(whole, pieces, bytes) == 0, "%s: (%d, %d) as %s in %d parts differs", ops->name, (int)n,
          (int)k, ech_ops_format_name(format), (int)parts);
    for (size_t i = bytes; i < (bytes + 64) / 64 * 64; i++)
        CHECK(pieces[i] == 0x55, "%s: packing wrote past linear_packed_bytes", ops->name);
    uint16_t *half = calloc((size_t)(n * k) + 1, sizeof *half);
    for (int64_t i = 0; i < n * k; i++) { /* bf16: the upper half of the float */
        uint32_t u;
        memcpy(&u, w.x + i, sizeof u);
        half[i] = (uint16_t)(u >> 16);
        u &= 0xffff0000;
        memcpy(w.x + i, &u, sizeof u);
    }
    CHECK(ops->linear_pack(format, w.x, ECH_W_F32, n, k, whole, 0, 1) == ECH_OP_OK, "%s: pack", ops->name);
    CHECK(ops->linear_pack(format, half, ECH_W_BF16, n, k, pieces, 0, 1) == ECH_OP_OK, "%s: pack bf16",
          ops->name);
    CHECK(memcmp(whole, pieces, bytes) == 0, "%s: bf16 weights differ from their f32 values", ops->name);
    free(half), free(whole), free(pieces);
    buffer_free(&w);
}

/* Every finite half, infinity and NaN, by arithmetic on its parts. */
static void pack_f16(const struct ech_ops *ops)
{
    enum { N = 65536 };
    uint16_t *half = calloc(N, sizeof *half);
    float *value = calloc(N, sizeof *value);
    for (int i = 0; i < N; i++) {
        int exponent = i >> 10 & 31, fraction = i & 1023;
        double v = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
        if (exponent == 31)
            v = fraction ? (double)NAN : (double)INFINITY;
        half[i] = (uint16_t)i;
        value[i] = (float)(i & 0x8000 ? -v : v);
    }
    float *a = pack_whole(ops, value, 1, N),
          *b = aligned_alloc(64, ops->linear_packed_bytes(ECH_FMT_F32, 1, N));
    CHECK(ops->linear_pack(ECH_FMT_F32, half, ECH_W_F16, 1, N, b, 0, 1) == ECH_OP_OK, "%s: pack f16",
          ops->name);
    for (size_t i = 0; i < ops->linear_packed_bytes(ECH_FMT_F32, 1, N) / sizeof(float); i++)
        if (!bits_equal(a[i], b[i])) {
            fail("%s: f16 element %zu is %g, expected %g", ops->name, i, (double)b[i], (double)a[i]);
            break;
        }
    free(half), free(value), free(a), free(b);
}

void test_pack(void)
{
    static const int64_t SHAPES[][3] = {{1, 1, 1},   {1, 9, 3},    {64, 5, 2},
                                        {65, 33, 2}, {200, 70, 7}, {130, 40, 300}};
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++) {
        if (!usable(*o))
            continue;
        for (size_t i = 0; i < sizeof SHAPES / sizeof SHAPES[0]; i++)
            for (int f = 0; f < ECH_FORMATS; f++)
                if (packs(*o, (enum ech_format)f))
                    pack_case(*o, (enum ech_format)f, SHAPES[i][0], SHAPES[i][1], SHAPES[i][2]);
        pack_f16(*o);
    }
}

/* One row alone, then in batches of other sizes at other places: the same bits each time. `ref` is an oracle,
 * not a backend of the contract, but keeps it too. */
static void moved_case(const struct ech_ops *ops, enum ech_format format, int64_t n, int64_t k)
{
    enum { ROWS = 40 };
    struct buffer w = buffer_make(n, k, k), row = buffer_make(1, k, k), x = buffer_make(ROWS, k, k);
    struct buffer alone = buffer_make(1, n, n), y = buffer_make(ROWS, n, n);
    buffer_random(&w, 1);
    buffer_random(&row, 1);
    void *packed = pack_as(ops, format, w.x, n, k);
    struct ech_queue *queue = queue_open(ops, ops->linear_workspace(format, ROWS, n, k, 1));
    struct ech_linear_args a = {.size = sizeof a,
                                .m = 1,
                                .n = n,
                                .k = k,
                                .x = row.x,
                                .ldx = k,
                                .packed = packed,
                                .act = ECH_ACT_GELU,
                                .y = alone.x,
                                .ldy = n,
                                .format = format};
    CHECK(ops->linear(queue, &a) == ECH_OP_OK, "%s: linear", ops->name);
    for (int64_t m = 1; m <= ROWS; m += m < 14 ? 1 : 13) {
        int64_t at = random_below(m);
        buffer_random(&x, 4);
        memcpy(buffer_row(&x, at), row.x, (size_t)k * sizeof(float));
        a.m = m, a.x = x.x, a.y = y.x;
        CHECK(ops->linear(queue, &a) == ECH_OP_OK, "%s: linear", ops->name);
        struct buffer moved = y;
        moved.rows = 1, moved.x = buffer_row(&y, at);
        char what[120];
        snprintf(what, sizeof what, "%s %s: row moved to %d of %d (n %d k %d)", ops->name,
                 ech_ops_format_name(format), (int)at, (int)m, (int)n, (int)k);
        same_bits(&moved, &alone, what);
    }
    ech_queue_close(queue);
    free(packed);
    buffer_free(&w), buffer_free(&row), buffer_free(&x), buffer_free(&alone), buffer_free(&y);
}

void test_moved(void)
{
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++)
        for (int f = 0; f < ECH_FORMATS; f++)
            if (usable(*o) && packs(*o, (enum ech_format)f)) {
                moved_case(*o, (enum ech_format)f, 70, 33);
                moved_case(*o, (enum ech_format)f, 33, 400);
                moved_case(*o, (enum ech_format)f, 192, 96);
            }
}

/* Two threads with a queue each, on the same weights at the same time: the bits of one thread alone. */
struct thread_job {
    const struct ech_ops *ops;
    const void *packed;
    const struct buffer *x, *want;
    bool right;
};

static int thread_run(void *arg)
{
    struct thread_job *job = arg;
    const int64_t m = job->x->rows, k = job->x->cols, n = job->want->cols;
    struct buffer y = buffer_make(m, n, n);
    struct ech_queue *queue = queue_open(job->ops, job->ops->linear_workspace(ECH_FMT_F32, m, n, k, 1));
    struct ech_linear_args a = {.size = sizeof a,
                                .m = m,
                                .n = n,
                                .k = k,
                                .x = job->x->x,
                                .ldx = k,
                                .packed = job->packed,
                                .act = ECH_ACT_GELU,
                                .y = y.x,
                                .ldy = n};
    job->right = true;
    for (int turn = 0; turn < 10; turn++) {
        job->right = job->right && job->ops->linear(queue, &a) == ECH_OP_OK;
        for (int64_t i = 0; i < m * n; i++)
            job->right = job->right && bits_equal(y.x[i], job->want->x[i]);
    }
    ech_queue_close(queue);
    buffer_free(&y);
    return 0;
}

void test_threads(void)
{
    enum { M = 20, N = 100, K = 64, THREADS = 2 };
    struct buffer x = buffer_make(M, K, K), w = buffer_make(N, K, K), y = buffer_make(M, N, N);
    buffer_random(&x, 1), buffer_random(&w, 1);
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++) {
        if (!usable(*o))
            continue;
        void *packed = pack_whole(*o, w.x, N, K);
        struct ech_queue *queue = queue_open(*o, (*o)->linear_workspace(ECH_FMT_F32, M, N, K, 1));
        struct ech_linear_args a = {.size = sizeof a,
                                    .m = M,
                                    .n = N,
                                    .k = K,
                                    .x = x.x,
                                    .ldx = K,
                                    .packed = packed,
                                    .act = ECH_ACT_GELU,
                                    .y = y.x,
                                    .ldy = N};
        CHECK((*o)->linear(queue, &a) == ECH_OP_OK, "%s: linear", (*o)->name);
        struct thread_job jobs[THREADS];
        thrd_t threads[THREADS];
        for (int i = 0; i < THREADS; i++) {
            jobs[i] = (struct thread_job){*o, packed, &x, &y, false};
            if (thrd_create(&threads[i], thread_run, &jobs[i]) != thrd_success)
                abort();
        }
        for (int i = 0; i < THREADS; i++) {
            thrd_join(threads[i], NULL);
            CHECK(jobs[i].right, "%s: thread %d of %d got other bits", (*o)->name, i, THREADS);
        }
        ech_queue_close(queue);
        free(packed);
    }
    buffer_free(&x), buffer_free(&w), buffer_free(&y);
}
