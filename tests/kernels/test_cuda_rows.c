/* Operations on rows on the device: against `ref` where it has them, else against their words in double. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_support.h"
#include "kernels/convert.h"

static const int64_t COLS[] = {1, 3, 5, 64, 127, 128, 130, 384, 385, 1024, 1100};
enum { COLS_COUNT = sizeof COLS / sizeof COLS[0] };
static const enum ech_atype TYPES[] = {ECH_A_F32, ECH_A_BF16, ECH_A_Q8, ECH_A_F16};

static int64_t stride_of(enum ech_atype type, int64_t cols, int64_t pad)
{
    return type == ECH_A_Q8 ? ech_q8_stride(cols) + 64 * pad : cols + pad;
}

/* f32 rows with a zero row, a tiny one and both infinities' neighbours: into each type and back. */
static void convert_case(enum ech_atype type, int64_t cols, int64_t pad)
{
    enum { ROWS = 6 };
    int64_t ld = stride_of(type, cols, pad);
    struct slab x = slab_make(ROWS, cols, cols + pad, ECH_A_F32, 0), got = slab_make(ROWS, cols, ld, type, 0),
                want = slab_make(ROWS, cols, ld, type, 0), back = slab_make(ROWS, cols, cols, ECH_A_F32, 0),
                scale = slab_make(2, ROWS, ROWS, ECH_A_F32, 0);
    slab_random(&x, 3);
    for (int64_t c = 0; c < cols; c++) {
        ((float *)slab_row(&x, 1))[c] = 0;
        ((float *)slab_row(&x, 2))[c] *= 0x1p-120f;
        ((float *)slab_row(&x, 3))[c] *= type == ECH_A_F16 ? 0x1p-15f : 0x1p-126f;
        ((float *)slab_row(&x, 4))[c] *= 1e4f;
    }
    slab_put(&x), slab_put(&got), slab_put(&back), slab_put(&scale);
    expect_rows(&x, cols, &want, slab_row(&scale, 1), type);
    struct ech_convert_args a = {
        .size = sizeof a, .rows = ROWS, .cols = cols, .x = slab_at(&x), .ldx = cols + pad};
    a.y = slab_at(&got), a.ldy = ld, a.y_type = type, a.y_scale = slab_at(&scale);
    char what[100];
    snprintf(what, sizeof what, "convert to type %d, %d columns", type, (int)cols);
    CHECK(cuda->convert(queue, &a) == ECH_OP_OK, "%s: %s", what, ech_queue_error(queue));
    slab_get(&got, what);
    slab_same(&got, &want, what);
    a = (struct ech_convert_args){.size = sizeof a,
                                  .rows = ROWS,
                                  .cols = cols,
                                  .x = slab_at(&got),
                                  .ldx = ld,
                                  .x_type = type,
                                  .x_scale = slab_at(&scale),
                                  .y = slab_at(&back),
                                  .ldy = cols};
    CHECK(cuda->convert(queue, &a) == ECH_OP_OK, "%s and back: %s", what, ech_queue_error(queue));
    slab_get(&back, what), slab_get(&scale, what);
    for (int64_t r = 0; r < ROWS; r++)
        for (int64_t c = 0; c < cols; c++)
            CHECK(bits_equal(slab_value(&back, r, c, ECH_A_F32, NULL),
                             slab_value(&got, r, c, type, slab_row(&scale, 0))),
                  "%s and back: (%d, %d)", what, (int)r, (int)c);
    slab_free(&x), slab_free(&got), slab_free(&want), slab_free(&back), slab_free(&scale);
}

void test_convert(void)
{
    for (int t = 0; t < ECH_ATYPES; t++)
        for (int64_t pad = 0; pad < 3; pad++) {
            convert_case(TYPES[t], 5, pad);
            convert_case(TYPES[t], 64, pad);
            convert_case(TYPES[t], 132, pad);
        }
    struct ech_convert_args bad = {.size = sizeof bad,
                                   .rows = 1,
                                   .cols = 4,
                                   .x = &bad,
                                   .ldx = 4,
                                   .y = &bad,
                                   .ldy = 4,
                                   .y_type = ECH_A_Q8};
    CHECK(cuda->convert(queue, &bad) == ECH_OP_SHAPE, "convert to Q8 without scales");
}

/* --- norm --- */

static void expect_norm(const struct ech_norm_args *a, const struct slab *x, const struct slab *gain,
                        const struct slab *shift, struct buffer *want)
{
    const float *g = slab_row(gain, 0), *s = slab_row(shift, 0);
    for (int64_t r = 0; r < a->rows; r++) {
        const float *in = slab_row(x, r);
        double mean = 0, square = 0;
        for (int64_t c = 0; c < a->cols && a->kind == ECH_NORM_LAYER; c++)
            mean += (double)in[c] / (double)a->cols;
        for (int64_t c = 0; c < a->cols; c++)
            square += ((double)in[c] - mean) * ((double)in[c] - mean) / (double)a->cols;
        for (int64_t c = 0; c < a->cols; c++) {
            double v = ((double)in[c] - mean) / sqrt(square + (double)a->eps);
            v *= (double)g[c] + (a->kind == ECH_NORM_RMS ? (double)a->gain_offset : 0);
            buffer_row(want, r)[c] = (float)(v + (a->shift && a->kind == ECH_NORM_LAYER ? (double)s[c] : 0));
        }
    }
}

static void norm_case(enum ech_norm kind, int64_t rows, int64_t cols, int64_t pad, bool shifted,
                      bool in_place)
{
    struct slab x = slab_make(rows, cols, cols + pad, ECH_A_F32, 0),
                y = slab_make(rows, cols, cols + pad, ECH_A_F32, 0),
                gain = slab_make(1, cols, cols, ECH_A_F32, pad ? 4 : 0),
                shift = slab_make(1, cols, cols, ECH_A_F32, 0);
    struct buffer want = buffer_make(rows, cols, cols);
    slab_random(&x, 2), slab_random(&gain, 1), slab_random(&shift, 1);
    for (int64_t c = 0; c < cols && rows > 1; c++)
        ((float *)slab_row(&x, 1))[c] += 300; /* a mean far from 0 */
    slab_put(&x), slab_put(&y), slab_put(&gain), slab_put(&shift);
    struct ech_norm_args a = {.size = sizeof a,
                              .rows = rows,
                              .cols = cols,
                              .x = slab_at(&x),
                              .ldx = cols + pad,
                              .gain = slab_at(&gain),
                              .shift = shifted ? slab_at(&shift) : NULL,
                              .eps = 1e-5f,
                              .y = in_place ? slab_at(&x) : slab_at(&y),
                              .ldy = cols + pad,
                              .kind = kind,
                              .gain_offset = kind == ECH_NORM_RMS && shifted ? 1.0f : 0.0f};
    expect_norm(&a, &x, &gain, &shift, &want);
    char what[100];
    snprintf(what, sizeof what, "norm %d of %d x %d, pad %d", kind, (int)rows, (int)cols, (int)pad);
    CHECK(cuda->norm(queue, &a) == ECH_OP_OK, "%s: %s", what, ech_queue_error(queue));
    slab_get(in_place ? &x : &y, what);
    struct buffer got = slab_view(in_place ? &x : &y);
    close_enough(&got, &want, 1e-9, what);
    buffer_free(&want);
    slab_free(&x), slab_free(&y), slab_free(&gain), slab_free(&shift);
}

void test_norm(void)
{
    for (int i = 0; i < COLS_COUNT; i++)
        for (int kind = ECH_NORM_LAYER; kind <= ECH_NORM_RMS; kind++) {
            norm_case((enum ech_norm)kind, 5, COLS[i], 0, true, false);
            norm_case((enum ech_norm)kind, 3, COLS[i], 3, false, true);
        }
    norm_case(ECH_NORM_LAYER, 0, 8, 0, true, false);
    norm_case(ECH_NORM_LAYER, 3, 0, 0, true, false);
    struct ech_norm_args bad = {
        .size = sizeof bad, .rows = 1, .cols = 4, .x = &bad.eps, .ldx = 4, .y = &bad.eps, .ldy = 4};
    CHECK(cuda->norm(queue, &bad) == ECH_OP_SHAPE, "norm without a gain");
}

/* The second result is the first one converted; a row alone, off its boundary, has the same bits. */
static void also_case(enum ech_atype type, int64_t cols)
{
    enum { ROWS = 5 };
    int64_t ld = stride_of(type, cols, 1);
    struct slab x = slab_make(ROWS, cols, cols, ECH_A_F32, 0), y = slab_make(ROWS, cols, cols, ECH_A_F32, 0),
                gain = slab_make(1, cols, cols, ECH_A_F32, 0), also = slab_make(ROWS, cols, ld, type, 0),
                want = slab_make(ROWS, cols, ld, type, 0), scale = slab_make(2, ROWS, ROWS, ECH_A_F32, 0),
                alone = slab_make(1, cols, cols, ECH_A_F32, 4);
    slab_random(&x, 2), slab_random(&gain, 1);
    memcpy(slab_row(&alone, 0), slab_row(&x, 3), x.width);
    slab_put(&x), slab_put(&y), slab_put(&gain), slab_put(&also), slab_put(&scale), slab_put(&alone);
    struct ech_norm_args a = {.size = sizeof a,
                              .rows = ROWS,
                              .cols = cols,
                              .x = slab_at(&x),
                              .ldx = cols,
                              .gain = slab_at(&gain),
                              .eps = 1e-5f,
                              .y = slab_at(&y),
                              .ldy = cols,
                              .also = slab_at(&also),
                              .ld_also = ld,
                              .also_type = type,
                              .also_scale = slab_at(&scale)};
    CHECK(cuda->norm(queue, &a) == ECH_OP_OK, "norm: %s", ech_queue_error(queue));
    a.rows = 1, a.x = a.y = slab_at(&alone), a.also = NULL;
    CHECK(cuda->norm(queue, &a) == ECH_OP_OK, "norm: %s", ech_queue_error(queue));
    char what[100];
    snprintf(what, sizeof what, "norm of %d columns, also in type %d", (int)cols, type);
    slab_get(&y, what), slab_get(&also, what), slab_get(&scale, what), slab_get(&alone, what);
    expect_rows(&y, cols, &want, slab_row(&scale, 1), type);
    slab_same(&also, &want, what);
    CHECK(type != ECH_A_Q8 || memcmp(slab_row(&scale, 0), slab_row(&scale, 1), ROWS * 4) == 0, "%s: scales",
          what);
    CHECK(memcmp(slab_row(&alone, 0), slab_row(&y, 3), y.width) == 0, "%s: a row alone has other bits", what);
    slab_free(&x), slab_free(&y), slab_free(&gain), slab_free(&also), slab_free(&want), slab_free(&scale);
    slab_free(&alone);
}

void test_norm_also(void)
{
    static const int64_t cols[] = {5, 64, 130, 384, 1028};
    for (int t = 0; t < ECH_ATYPES; t++)
        for (int i = 0; i < 5; i++)
            also_case(TYPES[t], cols[i]);
}

/* --- embed --- */

enum { TABLES = 4, COUNT = 9 };
static const int64_t TABLE_ROWS[TABLES] = {11, 3, 7, 2};

struct embed_data {
    struct ech_mem tables[TABLES], ids[TABLES];
    void *own[TABLES];
    int32_t *own_ids[TABLES];
};

static struct embed_data embed_make(int64_t cols, const enum ech_wtype *types)
{
    struct embed_data d;
    for (int t = 0; t < TABLES; t++) {
        size_t count = (size_t)(TABLE_ROWS[t] * cols), bytes = count * ech_wtype_bytes(types[t]);
        d.own[t] = malloc(bytes);
        d.own_ids[t] = malloc(COUNT * sizeof(int32_t));
        for (size_t i = 0; i < count; i++)
            if (types[t] == ECH_W_F32)
                ((float *)d.own[t])[i] = random_float(1);
            else
                ((uint16_t *)d.own[t])[i] = (uint16_t)(0x3800 + random_below(0x400)); /* 0.5 to 1 in f16 */
        for (int i = 0; i < COUNT; i++)
            d.own_ids[t][i] = (int32_t)random_below(TABLE_ROWS[t]);
        d.tables[t] = upload(d.own[t], bytes);
        d.ids[t] = upload(d.own_ids[t], COUNT * sizeof(int32_t));
    }
    return d;
}

static void embed_free(struct embed_data *d)
{
    sync_ok("embed");
    for (int t = 0; t < TABLES; t++) {
        cuda->mem_free(&d->tables[t]), cuda->mem_free(&d->ids[t]);
        free(d->own[t]), free(d->own_ids[t]);
    }
}

static struct ech_embed_args embed_args(struct embed_data *d, int64_t cols, const enum ech_wtype *types,
                                        int64_t tables, float *y, bool device)
{
    struct ech_embed_args a = {
        .size = sizeof a, .count = COUNT, .cols = cols, .tables_count = tables, .y = y};
    for (int t = 0; t < tables; t++) {
        a.tables[t] = device ? d->tables[t].at : d->own[t];
        a.ids[t] = device ? d->ids[t].at : d->own_ids[t];
        a.wtype[t] = types[t];
        a.rows[t] = TABLE_ROWS[t];
    }
    return a;
}

void test_embed(void)
{
    static const enum ech_wtype types[TABLES] = {ECH_W_F32, ECH_W_F16, ECH_W_BF16, ECH_W_F32};
    static const int64_t cols[] = {1, 5, 64, 130, 384};
    for (int i = 0; i < 5; i++)
        for (int64_t tables = 1; tables <= TABLES; tables++) {
            struct embed_data d = embed_make(cols[i], types);
            struct slab y = slab_make(COUNT, cols[i], cols[i], ECH_A_F32, 0);
            struct buffer want = buffer_make(COUNT, cols[i], cols[i]);
            slab_put(&y);
            struct ech_embed_args a = embed_args(&d, cols[i], types, tables, slab_at(&y), true);
            CHECK(cuda->embed(queue, &a) == ECH_OP_OK, "embed: %s", ech_queue_error(queue));
            a = embed_args(&d, cols[i], types, tables, want.x, false);
            CHECK(named("ref")->embed(NULL, &a) == ECH_OP_OK, "ref");
            slab_get(&y, "embed");
            struct buffer got = slab_view(&y);
            close_enough(&got, &want, 1e-13, "embed");
            buffer_free(&want), slab_free(&y), embed_free(&d);
        }
}

/* An id outside of its table is told at sync, once; the other rows are right, and the queue goes on. */
void test_embed_fault(void)
{
    enum { COLS_HERE = 8 };
    static const enum ech_wtype types[TABLES] = {ECH_W_F32, ECH_W_F32, ECH_W_F32, ECH_W_F32};
    static const int32_t bad[] = {11, -1, INT32_MAX};
    for (int i = 0; i < 3; i++) {
        struct embed_data d = embed_make(COLS_HERE, types);
        struct slab y = slab_make(COUNT, COLS_HERE, COLS_HERE, ECH_A_F32, 0);
        slab_put(&y);
        d.own_ids[0][4] = bad[i];
        CHECK(cuda->put(queue, d.ids[0].at, d.own_ids[0], COUNT * 4) == ECH_OP_OK, "put");
        struct ech_embed_args a = embed_args(&d, COLS_HERE, types, 1, slab_at(&y), true);
        CHECK(cuda->embed(queue, &a) == ECH_OP_OK, "embed: %s", ech_queue_error(queue));
        int rc = ech_queue_sync(queue);
        CHECK(rc == ECH_OP_SHAPE && strstr(ech_queue_error(queue), "id is outside"),
              "id %d: sync gave %d, '%s'", bad[i], rc, ech_queue_error(queue));
        slab_get(&y, "embed after a bad id");
        for (int r = 0; r < COUNT; r++)
            for (int c = 0; c < COLS_HERE && r != 4; c++)
                CHECK(slab_value(&y, r, c, ECH_A_F32, NULL) ==
                          ((float *)d.own[0])[d.own_ids[0][r] * COLS_HERE + c],
                      "embed beside a bad id: (%d, %d)", r, c);
        slab_free(&y), embed_free(&d);
    }
}

/* --- pool --- */

static void pool_case(const int64_t *starts, int64_t sequences, int64_t cols, int64_t pad, enum ech_pool kind,
                      bool normalize)
{
    int64_t tokens = starts[sequences];
    struct slab x = slab_make(tokens, cols, cols + pad, ECH_A_F32, 0),
                out = slab_make(sequences, cols, cols, ECH_A_F32, 0);
    struct buffer want = buffer_make(sequences, cols, cols);
    slab_random(&x, 2);
    slab_put(&x), slab_put(&out);
    struct ech_pool_args a = {.size = sizeof a,
                              .sequences = sequences,
                              .cols = cols,
                              .starts = starts,
                              .x = slab_at(&x),
                              .ldx = cols + pad,
                              .kind = kind,
                              .normalize = normalize,
                              .out = slab_at(&out)};
    CHECK(cuda->pool(queue, &a) == ECH_OP_OK, "pool: %s", ech_queue_error(queue));
    a.x = slab_row(&x, 0), a.out = want.x;
    CHECK(named("ref")->pool(NULL, &a) == ECH_OP_OK, "ref");
    char what[100];
    snprintf(what, sizeof what, "pool %d of %d sequences of %d columns", kind, (int)sequences, (int)cols);
    slab_get(&out, what);
    struct buffer got = slab_view(&out);
    close_enough(&got, &want, 1e-12, what);
    buffer_free(&want);
    slab_free(&x), slab_free(&out);
}

void test_pool(void)
{
    enum { MANY = 611 };
    static const int64_t few[] = {0, 1, 1, 4, 37};
    static const int64_t cols[] = {1, 5, 64, 384, 516};
    int64_t many[MANY + 1] = {3};
    for (int i = 0; i < MANY; i++)
        many[i + 1] = many[i] + random_below(3);
    for (int kind = ECH_POOL_MEAN; kind <= ECH_POOL_MAX; kind++)
        for (int i = 0; i < 5; i++) {
            pool_case(few, 4, cols[i], 0, (enum ech_pool)kind, i % 2);
            pool_case(few, 4, cols[i], 3, (enum ech_pool)kind, !(i % 2));
        }
    pool_case(many, MANY, 12, 0, ECH_POOL_MEAN, true);
    static const int64_t falling[] = {2, 0};
    struct ech_pool_args bad = {.size = sizeof bad, .sequences = 1, .cols = 4, .starts = falling};
    CHECK(cuda->pool(queue, &bad) == ECH_OP_SHAPE, "pool: falling starts");
}

/* --- softmax, elements, rotary --- */

static void softmax_case(int64_t rows, int64_t cols, int64_t pad, bool logarithm)
{
    struct slab x = slab_make(rows, cols, cols + pad, ECH_A_F32, 0);
    struct buffer want = buffer_make(rows, cols, cols);
    slab_random(&x, 20);
    for (int64_t c = 0; c < cols && rows > 2; c++) {
        ((float *)slab_row(&x, 1))[c] = -INFINITY;
        if (c > 0)
            ((float *)slab_row(&x, 2))[c] = -INFINITY;
    }
    slab_put(&x);
    for (int64_t r = 0; r < rows; r++) {
        const float *in = slab_row(&x, r);
        double most = -(double)INFINITY, sum = 0;
        for (int64_t c = 0; c < cols; c++)
            most = fmax(most, (double)in[c]);
        for (int64_t c = 0; c < cols; c++)
            sum += isinf(in[c]) ? 0 : exp((double)in[c] - most);
        for (int64_t c = 0; c < cols; c++)
            buffer_row(&want, r)[c] = isinf(in[c]) ? (logarithm ? in[c] : 0)
                                      : logarithm  ? (float)((double)in[c] - most - log(sum))
                                                   : (float)(exp((double)in[c] - most) / sum);
    }
    int rc = logarithm ? cuda->log_softmax(queue, slab_at(&x), rows, cols, cols + pad)
                       : cuda->softmax(queue, slab_at(&x), rows, cols, cols + pad);
    CHECK(rc == ECH_OP_OK, "softmax: %s", ech_queue_error(queue));
    slab_get(&x, "softmax");
    struct buffer got = slab_view(&x);
    close_enough(&got, &want, 1e-11, logarithm ? "log_softmax" : "softmax");
    buffer_free(&want), slab_free(&x);
}

void test_softmax(void)
{
    for (int logarithm = 0; logarithm < 2; logarithm++) {
        softmax_case(0, 4, 0, logarithm);
        softmax_case(1, 1, 0, logarithm);
        softmax_case(4, 7, 2, logarithm);
        softmax_case(5, 128, 0, logarithm);
        softmax_case(3, 1025, 1, logarithm);
    }
    CHECK(cuda->softmax(queue, NULL, 2, 4, 4) == ECH_OP_SHAPE, "softmax of nothing");
}

static void elements_case(enum ech_act act, int64_t rows, int64_t cols, int64_t pad)
{
    struct slab g = slab_make(rows, cols, cols + pad, ECH_A_F32, 0),
                u = slab_make(rows, cols, cols, ECH_A_F32, 0),
                y = slab_make(rows, cols, cols + pad, ECH_A_F32, 0),
                flat = slab_make(1, cols, cols, ECH_A_F32, pad ? 4 : 0);
    struct buffer want = buffer_make(rows, cols, cols), line = buffer_make(1, cols, cols);
    slab_random(&g, 6), slab_random(&u, 2), slab_random(&flat, 8);
    slab_put(&g), slab_put(&u), slab_put(&y), slab_put(&flat);
    for (int64_t r = 0; r < rows; r++) {
        memcpy(buffer_row(&want, r), slab_row(&g, r), g.width);
        CHECK(named("ref")->activate(NULL, act, buffer_row(&want, r), cols) == ECH_OP_OK, "ref");
        for (int64_t c = 0; c < cols; c++)
            buffer_row(&want, r)[c] *= slab_value(&u, r, c, ECH_A_F32, NULL);
    }
    memcpy(line.x, slab_row(&flat, 0), flat.width);
    CHECK(named("ref")->activate(NULL, act, line.x, cols) == ECH_OP_OK, "ref");
    struct ech_gate_args a = {.size = sizeof a,
                              .rows = rows,
                              .cols = cols,
                              .act = act,
                              .gate = slab_at(&g),
                              .up = slab_at(&u),
                              .ldg = cols + pad,
                              .ldu = cols,
                              .y = slab_at(&y),
                              .ldy = cols + pad};
    CHECK(cuda->gate(queue, &a) == ECH_OP_OK, "gate: %s", ech_queue_error(queue));
    CHECK(cuda->activate(queue, act, slab_at(&flat), cols) == ECH_OP_OK, "activate: %s",
          ech_queue_error(queue));
    slab_get(&y, "gate"), slab_get(&flat, "activate");
    struct buffer got = slab_view(&y), flat_got = slab_view(&flat);
    close_enough(&got, &want, 1e-12, "gate"), close_enough(&flat_got, &line, 1e-12, "activate");
    buffer_free(&want), buffer_free(&line);
    slab_free(&g), slab_free(&u), slab_free(&y), slab_free(&flat);
}

void test_elements(void)
{
    for (int act = ECH_ACT_NONE; act < ECH_ACTS; act++) {
        elements_case((enum ech_act)act, 3, 1, 0);
        elements_case((enum ech_act)act, 5, 130, 1);
        elements_case((enum ech_act)act, 6, 512, 0);
    }
    CHECK(cuda->activate(queue, ECH_ACT_GELU, NULL, 4) == ECH_OP_SHAPE, "activate: no x");
    CHECK(cuda->activate(queue, (enum ech_act)17, NULL, 0) == ECH_OP_SHAPE,
          "activate: an unknown activation");
}

static void rotary_case(int64_t rotary, bool interleaved)
{
    enum { ROWS = 5, HEADS = 3, DIM = 10, LD = HEADS * DIM + 2, PLACES = 7 };
    int64_t half = rotary / 2;
    struct slab x = slab_make(ROWS, HEADS * DIM, LD, ECH_A_F32, 0),
                cs = slab_make(PLACES, half, half, ECH_A_F32, 0),
                sn = slab_make(PLACES, half, half, ECH_A_F32, 0);
    struct buffer want = buffer_make(ROWS, HEADS * DIM, HEADS * DIM);
    static const int32_t positions[ROWS] = {6, 0, 3, 3, 1}, outside[ROWS] = {0, 7, 0, 0, 0};
    slab_random(&x, 2), slab_random(&cs, 1), slab_random(&sn, 1);
    slab_put(&x), slab_put(&cs), slab_put(&sn);
    for (int r = 0; r < ROWS; r++) {
        memcpy(buffer_row(&want, r), slab_row(&x, r), x.width);
        for (int64_t p = 0; p < HEADS * half; p++) {
            float *a = buffer_row(&want, r) + p / half * DIM + (interleaved ? p % half * 2 : p % half);
            float *b = a + (interleaved ? 1 : half), u = *a, v = *b;
            float c = slab_value(&cs, positions[r], p % half, ECH_A_F32, NULL),
                  s = slab_value(&sn, positions[r], p % half, ECH_A_F32, NULL);
            *a = fmaf(u, c, -(v * s)), *b = fmaf(v, c, u * s);
        }
    }
    struct ech_mem at = upload(positions, sizeof positions), bad = upload(outside, sizeof outside);
    struct ech_rotary_args a = {.size = sizeof a,
                                .rows = ROWS,
                                .heads = HEADS,
                                .head_dim = DIM,
                                .rotary = rotary,
                                .table_rows = PLACES,
                                .x = slab_at(&x),
                                .ldx = LD,
                                .cos = slab_at(&cs),
                                .sin = slab_at(&sn),
                                .positions = at.at,
                                .interleaved = interleaved};
    CHECK(cuda->rotary(queue, &a) == ECH_OP_OK, "rotary: %s", ech_queue_error(queue));
    slab_get(&x, "rotary");
    struct buffer got = slab_view(&x);
    same_bits(&got, &want, "rotary");
    a.positions = bad.at;
    CHECK(cuda->rotary(queue, &a) == ECH_OP_OK, "rotary: %s", ech_queue_error(queue));
    int rc = ech_queue_sync(queue);
    CHECK(rotary == 0 ? rc == ECH_OP_OK : rc == ECH_OP_SHAPE, "a position outside: sync gave %d", rc);
    cuda->mem_free(&at), cuda->mem_free(&bad), buffer_free(&want);
    slab_free(&x), slab_free(&cs), slab_free(&sn);
}

void test_rotary(void)
{
    for (int64_t rotary = 0; rotary <= 10; rotary += 2) {
        rotary_case(rotary, false);
        rotary_case(rotary, true);
    }
}
