/* Products on the device: formats, types, moved rows, blocks of rows, refused algorithms. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_support.h"
#include "kernels/plugin.h"

struct linear_case {
    int64_t m, n, k, pad;
    bool bias;
    enum ech_act act;
    int residual; /* 0: none, 1: a matrix of its own, 2: y itself */
    size_t shift; /* bytes off the boundary, of x, y and bias */
};

static const struct linear_case CASES[] = {
    {0, 5, 5, 0, true, ECH_ACT_NONE, 0, 0},      {3, 0, 5, 0, false, ECH_ACT_NONE, 0, 0},
    {3, 5, 0, 0, true, ECH_ACT_GELU, 1, 0},      {1, 1, 1, 0, true, ECH_ACT_NONE, 0, 0},
    {1, 1, 1, 3, false, ECH_ACT_RELU, 2, 4},     {2, 63, 16, 4, true, ECH_ACT_SILU, 1, 0},
    {5, 65, 17, 0, false, ECH_ACT_NONE, 2, 0},   {7, 16, 31, 1, true, ECH_ACT_GELU_TANH, 2, 4},
    {8, 17, 64, 4, true, ECH_ACT_NONE, 0, 0},    {127, 20, 12, 0, true, ECH_ACT_TANH, 0, 0},
    {128, 36, 24, 0, true, ECH_ACT_NONE, 0, 0},  {128, 32, 64, 0, false, ECH_ACT_NONE, 0, 0},
    {129, 33, 33, 0, true, ECH_ACT_NONE, 0, 8},  {129, 40, 64, 8, true, ECH_ACT_GELU, 1, 0},
    {260, 130, 64, 0, true, ECH_ACT_NONE, 0, 0}, {3, 70, 385, 0, true, ECH_ACT_GELU, 1, 0},
};

static const enum ech_format FORMATS[] = {ECH_FMT_F32, ECH_FMT_BF16, ECH_FMT_F16, ECH_FMT_INT8};
enum { FORMAT_COUNT = 4, CASE_COUNT = sizeof CASES / sizeof CASES[0] };

/* Inputs here and on the device. */
struct linear_data {
    struct slab x, w, bias, residual, y;
    struct ech_mem packed;
    struct ech_linear_args args;
};

static struct linear_data make(const struct linear_case *c, enum ech_format format)
{
    struct linear_data d = {.x = slab_make(c->m, c->k, c->k + c->pad, ECH_A_F32, c->shift),
                            .w = slab_make(c->n, c->k, c->k, ECH_A_F32, 0),
                            .bias = slab_make(1, c->n, c->n, ECH_A_F32, c->shift),
                            .residual = slab_make(c->m, c->n, c->n + 2 * c->pad, ECH_A_F32, 0),
                            .y = slab_make(c->m, c->n, c->n + c->pad, ECH_A_F32, c->shift)};
    slab_random(&d.x, 1), slab_random(&d.w, 1), slab_random(&d.bias, 1), slab_random(&d.residual, 1);
    slab_random(&d.y, 1);
    slab_put(&d.x), slab_put(&d.bias), slab_put(&d.residual), slab_put(&d.y);
    size_t bytes;
    void *packed = pack_here(format, slab_row(&d.w, 0), c->n, c->k, &bytes);
    d.packed = upload(packed, bytes);
    sync_ok("inputs");
    free(packed);
    d.args = (struct ech_linear_args){.size = sizeof d.args,
                                      .m = c->m,
                                      .n = c->n,
                                      .k = c->k,
                                      .x = slab_at(&d.x),
                                      .ldx = c->k + c->pad,
                                      .packed = d.packed.at,
                                      .bias = c->bias ? slab_at(&d.bias) : NULL,
                                      .act = c->act,
                                      .y = slab_at(&d.y),
                                      .ldy = c->n + c->pad,
                                      .format = format};
    d.args.residual = c->residual == 1 ? slab_at(&d.residual) : c->residual == 2 ? slab_at(&d.y) : NULL;
    d.args.ldr = c->residual == 1 ? c->n + 2 * c->pad : c->n + c->pad;
    return d;
}

static void release(struct linear_data *d)
{
    slab_free(&d->x), slab_free(&d->w), slab_free(&d->bias), slab_free(&d->residual), slab_free(&d->y);
    cuda->mem_free(&d->packed);
}

/* What `ref` makes of the operands as the format rounds them. */
static struct buffer expected(const struct linear_case *c, const struct linear_data *d,
                              enum ech_format format)
{
    struct buffer want = buffer_make(c->m, c->n, c->n), x = buffer_make(c->m, c->k, c->k + 1),
                  w = buffer_make(c->n, c->k, c->k);
    for (int64_t r = 0; r < c->m; r++) {
        memcpy(buffer_row(&x, r), slab_row(&d->x, r), d->x.width);
        memcpy(buffer_row(&want, r), slab_row(&d->y, r), d->y.width);
    }
    for (int64_t r = 0; r < c->n; r++)
        memcpy(buffer_row(&w, r), slab_row(&d->w, r), d->w.width);
    round_rows(x.x, c->m, c->k, x.ld, format);
    round_rows(w.x, c->n, c->k, w.ld, format);
    struct ech_linear_args a = d->args;
    a.format = ECH_FMT_F32;
    a.x = x.x, a.ldx = x.ld, a.y = want.x, a.ldy = want.ld;
    a.bias = c->bias ? slab_row(&d->bias, 0) : NULL;
    a.residual = c->residual == 1 ? slab_row(&d->residual, 0) : c->residual == 2 ? want.x : NULL;
    a.ldr = c->residual == 1 ? a.ldr : want.ld;
    a.packed = pack_whole(named("ref"), w.x, c->n, c->k);
    CHECK(named("ref")->linear(NULL, &a) == ECH_OP_OK, "ref");
    free((void *)a.packed);
    buffer_free(&x), buffer_free(&w);
    return want;
}

static void run_case(const struct linear_case *c, enum ech_format format)
{
    struct linear_data d = make(c, format);
    struct buffer want = expected(c, &d, format);
    char what[160];
    snprintf(what, sizeof what, "linear %s m %d n %d k %d pad %d act %d residual %d",
             ech_ops_format_name(format), (int)c->m, (int)c->n, (int)c->k, (int)c->pad, c->act, c->residual);
    int rc = cuda->linear(queue, &d.args);
    CHECK(rc == ECH_OP_OK, "%s: status %d: %s", what, rc, ech_queue_error(queue));
    slab_get(&d.y, what);
    struct buffer got = slab_view(&d.y);
    close_enough(&got, &want, 1e-11, what);
    buffer_free(&want);
    release(&d);
}

void test_linear_formats(void)
{
    for (int f = 0; f < FORMAT_COUNT; f++)
        for (int i = 0; i < CASE_COUNT; i++)
            run_case(&CASES[i], FORMATS[f]);
}

/* x as the format's own type gives the bits of the f32 x; y of another type those of the f32 y, converted. */
static void types_case(const struct linear_case *c, enum ech_format format, enum ech_atype native)
{
    struct linear_data d = make(c, format);
    CHECK(cuda->linear(queue, &d.args) == ECH_OP_OK, "linear: %s", ech_queue_error(queue));
    struct slab y = slab_make(c->m, c->n, c->n + c->pad, ECH_A_F32, 0);
    slab_get(&d.y, "linear");
    if (native != ECH_A_F32) {
        int64_t ld = native == ECH_A_Q8 ? ech_q8_stride(c->k) : c->k + 3;
        struct slab x = slab_make(c->m, c->k, ld, native, 0), scale = slab_make(1, c->m, c->m, ECH_A_F32, 0);
        expect_rows(&d.x, c->k, &x, slab_row(&scale, 0), native);
        slab_put(&x), slab_put(&scale), slab_put(&y);
        struct ech_linear_args a = d.args;
        a.x = slab_at(&x), a.ldx = ld, a.x_type = native, a.x_scale = slab_at(&scale), a.y = slab_at(&y);
        CHECK(cuda->linear(queue, &a) == ECH_OP_OK, "linear of a native x: %s", ech_queue_error(queue));
        slab_get(&y, "linear of a native x");
        slab_same(&y, &d.y, "linear of a native x");
        slab_free(&x), slab_free(&scale);
    }
    for (int t = ECH_A_BF16; t < ECH_ATYPES; t++) {
        int64_t ld = t == ECH_A_Q8 ? ech_q8_stride(c->n) + 64 : c->n + 2;
        struct slab got = slab_make(c->m, c->n, ld, (enum ech_atype)t, 0),
                    want = slab_make(c->m, c->n, ld, (enum ech_atype)t, 0),
                    scale = slab_make(2, c->m, c->m, ECH_A_F32, 0);
        expect_rows(&d.y, c->n, &want, slab_row(&scale, 1), (enum ech_atype)t);
        slab_put(&got), slab_put(&scale);
        struct ech_linear_args a = d.args;
        a.y = slab_at(&got), a.ldy = ld, a.y_type = (enum ech_atype)t, a.y_scale = slab_at(&scale);
        CHECK(cuda->linear(queue, &a) == ECH_OP_OK, "linear into type %d: %s", t, ech_queue_error(queue));
        char what[100];
        snprintf(what, sizeof what, "linear %s into type %d", ech_ops_format_name(format), t);
        slab_get(&got, what), slab_get(&scale, what);
        slab_same(&got, &want, what);
        CHECK(t != ECH_A_Q8 || memcmp(slab_row(&scale, 0), slab_row(&scale, 1), (size_t)c->m * 4) == 0,
              "%s: other scales", what);
        slab_free(&got), slab_free(&want), slab_free(&scale);
    }
    slab_free(&y);
    release(&d);
}

void test_linear_types(void)
{
    static const enum ech_atype natives[] = {ECH_A_F32, ECH_A_BF16, ECH_A_F16, ECH_A_Q8};
    static const struct linear_case cases[] = {{5, 70, 33, 0, true, ECH_ACT_NONE, 0, 0},
                                               {131, 24, 64, 0, true, ECH_ACT_GELU, 1, 0},
                                               {128, 64, 32, 0, true, ECH_ACT_NONE, 0, 0}};
    for (int f = 0; f < FORMAT_COUNT; f++)
        for (int i = 0; i < 3; i++)
            types_case(&cases[i], FORMATS[f], natives[f]);
}

/* One row alone, then at other places of other batches: the same bits. */
static void moved_case(enum ech_format format, int64_t n, int64_t k, enum ech_act act)
{
    static const int64_t batches[] = {1, 2, 127, 128, 129, 300};
    struct slab alone = slab_make(1, n, n, ECH_A_F32, 0);
    float *row = malloc((size_t)k * sizeof *row);
    struct linear_case c = {300, n, k, 0, true, act, 0, 0};
    struct linear_data d = make(&c, format);
    for (int64_t i = 0; i < k; i++)
        row[i] = random_float(2);
    for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++) {
        int64_t m = batches[i], at = i ? random_below(m) : 0;
        slab_random(&d.x, 4);
        memcpy(slab_row(&d.x, at), row, (size_t)k * sizeof *row);
        slab_put(&d.x);
        d.args.m = m;
        CHECK(cuda->linear(queue, &d.args) == ECH_OP_OK, "linear: %s", ech_queue_error(queue));
        slab_get(&d.y, "linear");
        if (i == 0)
            memcpy(slab_row(&alone, 0), slab_row(&d.y, 0), (size_t)n * 4);
        CHECK(memcmp(slab_row(&alone, 0), slab_row(&d.y, at), (size_t)n * 4) == 0,
              "%s n %d k %d: a row moved to %d of %d has other bits", ech_ops_format_name(format), (int)n,
              (int)k, (int)at, (int)m);
    }
    free(row);
    slab_free(&alone);
    release(&d);
}

void test_linear_moved(void)
{
    for (int f = 0; f < FORMAT_COUNT; f++) {
        moved_case(FORMATS[f], 70, 33, ECH_ACT_NONE);
        moved_case(FORMATS[f], 64, 96, ECH_ACT_GELU);
    }
}

/* A queue with little scratch does a product in more blocks of rows, with the same bits; with none it says
 * so. */
void test_linear_blocks(void)
{
    struct linear_case c = {700, 48, 64, 0, true, ECH_ACT_GELU, 1, 0};
    for (int f = 0; f < FORMAT_COUNT; f++) {
        struct linear_data d = make(&c, FORMATS[f]);
        struct slab small = slab_make(c.m, c.n, c.n, ECH_A_F32, 0);
        slab_put(&small);
        CHECK(cuda->linear(queue, &d.args) == ECH_OP_OK, "linear: %s", ech_queue_error(queue));
        slab_get(&d.y, "linear");
        struct ech_queue_options o = {.size = sizeof o};
        o.workspace_bytes = cuda->linear_workspace(FORMATS[f], 130, c.n, c.k, 1);
        struct ech_queue *narrow = ech_queue_open(cuda, &o, NULL);
        o.workspace_bytes = cuda->linear_workspace(FORMATS[f], 1, c.n, c.k, 1) - 1;
        struct ech_queue *none = ech_queue_open(cuda, &o, NULL);
        d.args.y = slab_at(&small);
        CHECK(cuda->linear(narrow, &d.args) == ECH_OP_OK, "linear: %s", ech_queue_error(narrow));
        CHECK(ech_queue_sync(narrow) == ECH_OP_OK, "sync: %s", ech_queue_error(narrow));
        int rc = cuda->linear(none, &d.args);
        CHECK(rc == ECH_OP_MEMORY && strstr(ech_queue_error(none), "scratch"), "no scratch: %d, '%s'", rc,
              ech_queue_error(none));
        slab_get(&small, "linear in blocks");
        slab_same(&small, &d.y, "linear in blocks");
        ech_queue_close(narrow), ech_queue_close(none);
        slab_free(&small);
        release(&d);
    }
}

void test_linear_shapes(void)
{
    struct linear_case c = {2, 3, 4, 0, true, ECH_ACT_NONE, 0, 0};
    struct linear_data d = make(&c, ECH_FMT_F32);
    const struct ech_linear_args good = d.args;
    struct ech_linear_args a;
#define WITH(change, status)                                                                                 \
    do {                                                                                                     \
        a = good;                                                                                            \
        change;                                                                                              \
        int rc = cuda->linear(queue, &a);                                                                    \
        CHECK(rc == (status), #change " gave %d", rc);                                                       \
    } while (0)
    WITH(a.size = 8, ECH_OP_SHAPE);
    WITH(a.m = -1, ECH_OP_SHAPE);
    WITH(a.k = INT64_MAX, ECH_OP_SHAPE);
    WITH(a.ldx = 3, ECH_OP_SHAPE);
    WITH(a.ldy = 2, ECH_OP_SHAPE);
    WITH(a.x = NULL, ECH_OP_SHAPE);
    WITH(a.packed = NULL, ECH_OP_SHAPE);
    WITH(a.packed = (const char *)good.packed + 4, ECH_OP_SHAPE);
    WITH(a.act = (enum ech_act)99, ECH_OP_SHAPE);
    WITH(a.format = (enum ech_format)77, ECH_OP_SHAPE);
    WITH(a.y_type = ECH_A_Q8, ECH_OP_SHAPE);
    WITH((a.residual = a.y, a.ldr = a.ldy, a.y_type = ECH_A_BF16), ECH_OP_SHAPE);
    WITH(a.format = ECH_FMT_INT4, ECH_OP_UNSUPPORTED);
    WITH(a.x_type = ECH_A_BF16, ECH_OP_UNSUPPORTED);
#undef WITH
    CHECK(cuda->linear(NULL, &good) == ECH_OP_MEMORY, "linear without a queue");
    CHECK(cuda->linear_pack(ECH_FMT_INT4, slab_row(&d.w, 0), ECH_W_F32, 3, 4, slab_row(&d.w, 0), 0, 1) ==
              ECH_OP_UNSUPPORTED,
          "packing int4");
    CHECK(cuda->linear_packed_bytes(ECH_FMT_F32, -1, 4) == 0, "bytes of nothing");
    release(&d);
}

/* A NaN or an infinity spoils its own row as it must, and no other. */
void test_linear_special(void)
{
    enum { M = 9, N = 70, K = 40, ROW = 4 };
    struct linear_case c = {M, N, K, 0, true, ECH_ACT_NONE, 0, 0};
    for (int f = 0; f < FORMAT_COUNT; f++)
        for (int i = 0; i < 2; i++) {
            struct linear_data d = make(&c, FORMATS[f]);
            CHECK(cuda->linear(queue, &d.args) == ECH_OP_OK, "linear");
            slab_get(&d.y, "special");
            struct slab clean = slab_make(M, N, N, ECH_A_F32, 0);
            memcpy(clean.host, d.y.host, d.y.bytes);
            ((float *)slab_row(&d.x, ROW))[7] = i ? INFINITY : NAN;
            slab_put(&d.x);
            CHECK(cuda->linear(queue, &d.args) == ECH_OP_OK, "linear");
            slab_get(&d.y, "special");
            for (int r = 0; r < M; r++)
                for (int j = 0; j < N; j++) {
                    float got = slab_value(&d.y, r, j, ECH_A_F32, NULL);
                    bool right = r == ROW ? (i ? !isfinite(got) : isnan(got))
                                          : bits_equal(got, slab_value(&clean, r, j, ECH_A_F32, NULL));
                    CHECK(right, "%s, a bad number in row %d: (%d, %d) is %g",
                          ech_ops_format_name(FORMATS[f]), ROW, r, j, (double)got);
                }
            slab_free(&clean);
            release(&d);
        }
}

/* cuBLASLt's algorithms whose bits depend on a row's place: the others are taken, at last our own. */
void test_algorithms_refused(void)
{
    void (*set_variant)(uint32_t) = NULL;
    *(void **)&set_variant = emulator("ech_emu_set_variant");
    static const uint32_t masks[] = {1, 0xffffffff};
    if (!set_variant)
        return;
    for (int i = 0; i < 2; i++) {
        set_variant(masks[i]);
        for (int f = 0; f < FORMAT_COUNT; f++) {
            moved_case(FORMATS[f], 40 + 8 * i, 48, ECH_ACT_NONE);
            run_case(&(struct linear_case){130, 40 + 8 * i, 48, 0, true, ECH_ACT_GELU, 1, 0}, FORMATS[f]);
            run_case(&(struct linear_case){5, 41 + 8 * i, 33, 1, true, ECH_ACT_NONE, 0, 0}, FORMATS[f]);
        }
        char line[512] = "";
        int theirs = 0, own = -1;
        ech_cuda_describe(line, sizeof line);
        const char *products = strstr(line, "products: ");
        CHECK(products && sscanf(products, "products: %d by cuBLASLt, %d by our own", &theirs, &own) == 2,
              "%s", line);
        CHECK(theirs >= 6 && (i ? own >= 6 : own == 0), "mask %x: %d by cuBLASLt, %d by our own", masks[i],
              theirs, own);
    }
    set_variant(0);
}
