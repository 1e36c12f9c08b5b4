/* Products and gathers on a file's own blocks, rows combined, the recurrence, norms by head, keys in a cache:
 * on the device, against ref and, moved, against themselves. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_support.h"
#include "kernels/blocks.h"

/* Any bytes; the floats in them tame: every f16 and exponent of a block begins at one of its first or last
 * words, so those get small ones. */
static unsigned char *blocks_make(enum ech_wtype type, int64_t count)
{
    static const int halves[ECH_WTYPES][2] = {
        [ECH_W_F16] = {0, -1},    [ECH_W_Q8_0] = {0, -1},   [ECH_W_Q4_0] = {0, -1},
        [ECH_W_Q4_1] = {0, 2},    [ECH_W_Q5_0] = {0, -1},   [ECH_W_Q5_1] = {0, 2},
        [ECH_W_Q2_K] = {80, 82},  [ECH_W_Q3_K] = {108, -1}, [ECH_W_Q4_K] = {0, 2},
        [ECH_W_Q5_K] = {0, 2},    [ECH_W_Q6_K] = {208, -1}, [ECH_W_IQ4_NL] = {0, -1},
        [ECH_W_IQ4_XS] = {0, -1}, [ECH_W_TQ1_0] = {52, -1}, [ECH_W_TQ2_0] = {64, -1}};
    const int64_t bytes = ech_block_type(type)->bytes;
    unsigned char *w = malloc((size_t)(count * bytes) + 1);
    for (int64_t i = 0; i < count * bytes; i++)
        w[i] = (unsigned char)random_below(256);
    for (int64_t b = 0; b < count; b++) {
        unsigned char *at = w + b * bytes;
        for (int i = 0; i < 2 && halves[type][1] != 0; i++)
            if (halves[type][i] >= 0)
                at[halves[type][i] + 1] = (unsigned char)(0x1c + random_below(8));
        if (type == ECH_W_MXFP4)
            at[0] = (unsigned char)(120 + random_below(8));
        if (type == ECH_W_F32 || type == ECH_W_BF16)
            at[bytes - 1] = (unsigned char)(0x3c + random_below(3));
    }
    return w;
}

struct product {
    enum ech_format format;
    enum ech_wtype type;
    int64_t m, n, k;
};

/* y of rows [first, first + rows) of x. */
static struct slab multiply(const struct product *p, const struct slab *x, const void *w, int64_t first,
                            int64_t rows, const float *bias, enum ech_atype y_type)
{
    struct slab y = slab_make(rows, p->n, p->n + 1, y_type, 0);
    slab_put(&y);
    const struct ech_linear_args a = {.size = sizeof a,
                                      .m = rows,
                                      .n = p->n,
                                      .k = p->k,
                                      .x = (char *)slab_at(x) + (size_t)first * x->stride,
                                      .ldx = (int64_t)(x->stride / 4),
                                      .packed = w,
                                      .bias = bias,
                                      .act = bias ? ECH_ACT_SILU : ECH_ACT_NONE,
                                      .y = slab_at(&y),
                                      .ldy = p->n + 1,
                                      .format = p->format,
                                      .y_type = y_type,
                                      .w_type = p->type};
    CHECK(cuda->linear(queue, &a) == ECH_OP_OK, "blocks: %s", ech_queue_error(queue));
    slab_get(&y, "a product on blocks");
    return y;
}

static void product_case(const struct product *p, bool finished)
{
    const struct ech_block_type *type = ech_block_type(p->type);
    const size_t bytes = (size_t)p->n * ech_block_row_bytes(p->type, p->k);
    unsigned char *w = blocks_make(p->type, p->n * (p->k / type->elements));
    struct ech_mem there = upload(w, bytes + 1);
    struct slab x = slab_make(p->m, p->k, p->k + 2, ECH_A_F32, 0);
    struct buffer bias = buffer_make(1, p->n, p->n), want = buffer_make(p->m, p->n, p->n);
    slab_random(&x, 2);
    buffer_random(&bias, 1);
    slab_put(&x);
    struct ech_mem bias_there = upload(bias.x, (size_t)p->n * 4);
    const struct ech_linear_args a = {.size = sizeof a,
                                      .m = p->m,
                                      .n = p->n,
                                      .k = p->k,
                                      .x = slab_row(&x, 0),
                                      .ldx = p->k + 2,
                                      .packed = w,
                                      .bias = finished ? bias.x : NULL,
                                      .act = finished ? ECH_ACT_SILU : ECH_ACT_NONE,
                                      .y = want.x,
                                      .ldy = p->n,
                                      .format = p->format,
                                      .w_type = p->type};
    CHECK(named("ref")->linear(NULL, &a) == ECH_OP_OK, "ref");
    const float *added = finished ? bias_there.at : NULL;
    struct slab y = multiply(p, &x, there.at, 0, p->m, added, ECH_A_F32);
    struct buffer got = slab_view(&y);
    char what[80];
    snprintf(what, sizeof what, "%s %s (%d, %d, %d)", ech_ops_format_name(p->format), type->name, (int)p->m,
             (int)p->n, (int)p->k);
    close_enough(&got, &want, 1e-10, what);
    for (int64_t r = 0; r < p->m; r += 1 + p->m / 3) {
        struct slab one = multiply(p, &x, there.at, r, 1, added, ECH_A_F32);
        CHECK(memcmp(slab_row(&one, 0), slab_row(&y, r), one.width) == 0, "%s: row %d alone differs", what,
              (int)r);
        slab_free(&one);
    }
    sync_ok(what);
    slab_free(&x), slab_free(&y);
    buffer_free(&bias), buffer_free(&want);
    cuda->mem_free(&there), cuda->mem_free(&bias_there);
    free(w);
}

void test_blocks(void)
{
    for (int type = 0; type < ECH_WTYPES; type++)
        for (int f = 0; f < 2; f++) {
            const struct ech_block_type *t = ech_block_type((enum ech_wtype)type);
            const enum ech_format format = f ? ECH_FMT_BLOCK_INT8 : ECH_FMT_BLOCK;
            const int64_t k = t->elements == 256 ? 512 : t->elements == 32 ? 352 : 70;
            if (f && !t->group)
                continue;
            product_case(&(struct product){format, (enum ech_wtype)type, 1, 33, k}, false);
            product_case(&(struct product){format, (enum ech_wtype)type, 9, 40, k}, true);
        }
    struct ech_linear_args a = {.size = sizeof a, .m = 1, .n = 1, .k = 250, .format = ECH_FMT_BLOCK_INT8};
    a.w_type = ECH_W_Q4_K;
    CHECK(cuda->linear(queue, &a) == ECH_OP_SHAPE, "k of no whole blocks");
    a.k = 256, a.w_type = ECH_W_F16;
    CHECK(cuda->linear(queue, &a) == ECH_OP_UNSUPPORTED, "integers of f16");
    a.w_type = ECH_WTYPES;
    CHECK(cuda->linear(queue, &a) == ECH_OP_SHAPE, "no such type");
    CHECK(cuda->linear_packed_bytes(ECH_FMT_BLOCK, 4, 256) == 0, "blocks are packed");
}

void test_blocks_embed(void)
{
    enum { IDS = 5, ROWS = 7, COLS = 512 };
    static const int32_t ids[IDS] = {6, 0, 3, 3, 1}, bad[IDS] = {6, 7, 0, 0, 0};
    struct ech_mem at = upload(ids, sizeof ids), outside = upload(bad, sizeof bad);
    for (int type = ECH_W_Q8_0; type < ECH_WTYPES; type++) {
        const enum ech_wtype t = (enum ech_wtype)type;
        unsigned char *w = blocks_make(t, ROWS * (COLS / ech_block_type(t)->elements));
        float places[ROWS * COLS];
        for (int i = 0; i < ROWS * COLS; i++)
            places[i] = random_float(1);
        struct ech_mem there = upload(w, ROWS * ech_block_row_bytes(t, COLS)),
                       added = upload(places, sizeof places);
        struct slab y = slab_make(IDS, COLS, COLS, ECH_A_F32, 0);
        struct buffer want = buffer_make(IDS, COLS, COLS);
        slab_put(&y);
        struct ech_embed_args a = {.size = sizeof a,
                                   .count = IDS,
                                   .cols = COLS,
                                   .tables_count = 2,
                                   .tables = {there.at, added.at},
                                   .wtype = {t, ECH_W_F32},
                                   .rows = {ROWS, ROWS},
                                   .ids = {at.at, at.at},
                                   .y = slab_at(&y)};
        CHECK(cuda->embed(queue, &a) == ECH_OP_OK, "embed: %s", ech_queue_error(queue));
        slab_get(&y, "embed");
        a.ids[1] = outside.at;
        CHECK(cuda->embed(queue, &a) == ECH_OP_OK && ech_queue_sync(queue) == ECH_OP_SHAPE, "a bad id");
        a.tables[0] = w, a.tables[1] = places, a.ids[0] = a.ids[1] = ids, a.y = want.x;
        CHECK(named("ref_exact")->embed(NULL, &a) == ECH_OP_OK, "ref_exact");
        struct buffer got = slab_view(&y);
        same_bits(&got, &want, ech_block_type(t)->name);
        slab_free(&y), buffer_free(&want);
        cuda->mem_free(&there), cuda->mem_free(&added);
        free(w);
    }
    cuda->mem_free(&at), cuda->mem_free(&outside);
}

void test_combine(void)
{
    enum { ROWS = 6, X_ROWS = 9, COLS = 70, TAKE = 3 };
    int32_t index[ROWS * TAKE];
    float weight[ROWS * TAKE];
    for (int i = 0; i < ROWS * TAKE; i++) {
        index[i] = (int32_t)random_below(X_ROWS);
        weight[i] = random_float(1);
    }
    struct slab x = slab_make(X_ROWS, COLS, COLS + 3, ECH_A_F32, 0);
    struct ech_mem at = upload(index, sizeof index), by = upload(weight, sizeof weight);
    slab_random(&x, 2);
    slab_put(&x);
    for (int mode = 0; mode < 8; mode++) {
        struct slab y = slab_make(ROWS, COLS, COLS + 1, ECH_A_F32, 0);
        struct buffer want = buffer_make(ROWS, COLS, COLS);
        slab_random(&y, 1);
        for (int r = 0; r < ROWS; r++)
            memcpy(buffer_row(&want, r), slab_row(&y, r), COLS * sizeof(float));
        slab_put(&y);
        struct ech_combine_args a = {.size = sizeof a,
                                     .rows = ROWS,
                                     .cols = COLS,
                                     .take = mode & 4 ? 1 : TAKE,
                                     .x_rows = X_ROWS,
                                     .x = slab_at(&x),
                                     .ldx = COLS + 3,
                                     .index = at.at,
                                     .weight = mode & 1 ? by.at : NULL,
                                     .add = mode & 2,
                                     .y = slab_at(&y),
                                     .ldy = COLS + 1};
        CHECK(cuda->combine(queue, &a) == ECH_OP_OK, "combine: %s", ech_queue_error(queue));
        slab_get(&y, "combine");
        a.x = slab_row(&x, 0), a.index = index, a.weight = mode & 1 ? weight : NULL;
        a.y = want.x, a.ldy = COLS;
        CHECK(named("ref_exact")->combine(NULL, &a) == ECH_OP_OK, "ref_exact");
        struct buffer got = slab_view(&y);
        same_bits(&got, &want, "combine");
        slab_free(&y), buffer_free(&want);
    }
    struct slab y = slab_make(1, COLS, COLS, ECH_A_F32, 0);
    slab_put(&y);
    const struct ech_combine_args bad = {.size = sizeof bad,
                                         .rows = 1,
                                         .cols = COLS,
                                         .take = TAKE,
                                         .x_rows = 0,
                                         .x = slab_at(&x),
                                         .ldx = COLS,
                                         .index = at.at,
                                         .y = slab_at(&y),
                                         .ldy = COLS};
    CHECK(cuda->combine(queue, &bad) == ECH_OP_OK && ech_queue_sync(queue) == ECH_OP_SHAPE,
          "an index of no row: %s", ech_queue_error(queue));
    slab_free(&x), slab_free(&y);
    cuda->mem_free(&at), cuda->mem_free(&by);
}

void test_ssru(void)
{
    enum { ROWS = 3, COLS = 45 };
    struct slab s[4];
    struct buffer want[2];
    for (int i = 0; i < 4; i++) {
        s[i] = slab_make(ROWS, COLS, COLS + i, ECH_A_F32, 0);
        slab_random(&s[i], 3);
        slab_put(&s[i]);
    }
    for (int i = 0; i < 2; i++) {
        want[i] = buffer_make(ROWS, COLS, COLS);
        for (int r = 0; r < ROWS; r++)
            memcpy(buffer_row(&want[i], r), slab_row(&s[2], r), COLS * sizeof(float));
    }
    struct ech_ssru_args a = {.size = sizeof a,
                              .rows = ROWS,
                              .cols = COLS,
                              .forget = slab_row(&s[0], 0),
                              .x = slab_row(&s[1], 0),
                              .ldf = COLS,
                              .ldx = COLS + 1,
                              .cell = want[0].x,
                              .ldc = COLS,
                              .y = want[1].x,
                              .ldy = COLS};
    CHECK(named("ref")->ssru(NULL, &a) == ECH_OP_OK, "ref");
    a.forget = slab_at(&s[0]), a.x = slab_at(&s[1]), a.cell = slab_at(&s[2]), a.ldc = COLS + 2;
    a.y = slab_at(&s[3]), a.ldy = COLS + 3;
    CHECK(cuda->ssru(queue, &a) == ECH_OP_OK, "ssru: %s", ech_queue_error(queue));
    slab_get(&s[2], "ssru: cell"), slab_get(&s[3], "ssru: y");
    struct buffer cell = slab_view(&s[2]), y = slab_view(&s[3]);
    close_enough(&cell, &want[0], 1e-12, "ssru: cell"), close_enough(&y, &want[1], 1e-12, "ssru: y");
    for (int i = 0; i < 4; i++)
        slab_free(&s[i]);
    buffer_free(&want[0]), buffer_free(&want[1]);
}

void test_relative(void)
{
    enum { ROWS = 40, COLS = 24, CENTRE = 50 };
    int32_t index[2 * CENTRE + 1];
    struct slab content = slab_make(ROWS, COLS, COLS + 1, ECH_A_F32, 0),
                position = slab_make(ROWS, COLS, COLS + 2, ECH_A_F32, 0);
    for (int i = 0; i < 2 * CENTRE + 1; i++)
        index[i] = (int32_t)random_below(COLS);
    struct ech_mem at = upload(index, sizeof index);
    slab_random(&content, 2), slab_random(&position, 2);
    slab_put(&content), slab_put(&position);
    for (int mode = 0; mode < 3; mode++) {
        struct slab y = slab_make(ROWS, ROWS, ROWS + 1, ECH_A_F32, 0);
        struct buffer want = buffer_make(ROWS, ROWS, ROWS);
        slab_put(&y);
        struct ech_relative_args a = {.size = sizeof a,
                                      .rows = ROWS,
                                      .cols = COLS,
                                      .content = mode == 1 ? NULL : slab_at(&content),
                                      .position = mode == 2 ? NULL : slab_at(&position),
                                      .ldc = COLS + 1,
                                      .ldp = COLS + 2,
                                      .index = at.at,
                                      .centre = CENTRE,
                                      .scale = 0.125f,
                                      .y = slab_at(&y),
                                      .ldy = ROWS + 1};
        CHECK(cuda->relative(queue, &a) == ECH_OP_OK, "relative: %s", ech_queue_error(queue));
        slab_get(&y, "relative");
        a.content = a.content ? slab_row(&content, 0) : NULL;
        a.position = a.position ? slab_row(&position, 0) : NULL;
        a.index = index, a.y = want.x, a.ldy = ROWS;
        CHECK(named("ref_exact")->relative(NULL, &a) == ECH_OP_OK, "ref_exact");
        struct buffer got = slab_view(&y);
        same_bits(&got, &want, "relative");
        a.content = slab_at(&content), a.position = NULL, a.index = at.at, a.y = slab_at(&y),
        a.ldy = ROWS + 1;
        a.cols = 1;
        CHECK(cuda->relative(queue, &a) == ECH_OP_OK && ech_queue_sync(queue) == ECH_OP_SHAPE,
              "a distance outside: %s", ech_queue_error(queue));
        slab_free(&y), buffer_free(&want);
    }
    slab_free(&content), slab_free(&position);
    cuda->mem_free(&at);
}

static void parts_case(int64_t rows, int64_t parts, int64_t cols)
{
    struct slab x = slab_make(rows, parts * cols, parts * cols + 4, ECH_A_F32, 0),
                y = slab_make(rows, parts * cols, parts * cols + 4, ECH_A_F32, 0);
    struct buffer gain = buffer_make(1, cols, cols), want = buffer_make(rows, parts * cols, parts * cols);
    slab_random(&x, 2), buffer_random(&gain, 1);
    slab_put(&x), slab_put(&y);
    struct ech_mem by = upload(gain.x, (size_t)cols * 4);
    struct ech_norm_args a = {.size = sizeof a,
                              .rows = rows,
                              .cols = cols,
                              .x = slab_at(&x),
                              .ldx = parts * cols + 4,
                              .gain = by.at,
                              .eps = 1e-6f,
                              .y = slab_at(&y),
                              .ldy = parts * cols + 4,
                              .kind = ECH_NORM_RMS,
                              .parts = parts};
    CHECK(cuda->norm(queue, &a) == ECH_OP_OK, "norm by parts: %s", ech_queue_error(queue));
    slab_get(&y, "norm by parts");
    a.x = slab_row(&x, 0), a.gain = gain.x, a.y = want.x, a.ldy = parts * cols;
    CHECK(named("ref")->norm(NULL, &a) == ECH_OP_OK, "ref");
    struct buffer got = slab_view(&y);
    close_enough(&got, &want, 1e-11, "norm by parts");
    slab_free(&x), slab_free(&y);
    buffer_free(&gain), buffer_free(&want);
    cuda->mem_free(&by);
}

void test_norm_parts(void)
{
    parts_case(3, 4, 64);
    parts_case(1, 9, 33);
    parts_case(5, 2, 1);
}

/* Keys in a cache, out of order, NaNs in the room behind them. */
void test_attention_cache(void)
{
    enum { SEQUENCES = 3, HEADS = 4, KV = 2, DIM = 20, PLACES = 200 };
    static const int64_t starts[SEQUENCES + 1] = {0, 1, 4, 5}, first[SEQUENCES] = {150, 3, 90},
                                            counts[SEQUENCES] = {37, 80, 1};
    struct slab q = slab_make(5, HEADS * DIM, HEADS * DIM, ECH_A_F32, 0),
                k = slab_make(PLACES, KV * DIM, KV * DIM, ECH_A_F32, 0),
                v = slab_make(PLACES, KV * DIM, KV * DIM, ECH_A_F32, 0),
                out = slab_make(5, HEADS * DIM, HEADS * DIM, ECH_A_F32, 0);
    slab_random(&q, 1), slab_random(&k, 1), slab_random(&v, 1);
    for (int64_t r = 0; r < PLACES; r++) {
        bool used = false;
        for (int s = 0; s < SEQUENCES; s++)
            used = used || (r >= first[s] && r < first[s] + counts[s]);
        for (int c = 0; c < KV * DIM && !used; c++)
            ((float *)slab_row(&k, r))[c] = ((float *)slab_row(&v, r))[c] = NAN;
    }
    slab_put(&q), slab_put(&k), slab_put(&v), slab_put(&out);
    struct buffer want = buffer_make(5, HEADS * DIM, HEADS * DIM);
    double scratch[128];
    struct ech_attention_args a = {.size = sizeof a,
                                   .sequences = SEQUENCES,
                                   .heads = HEADS,
                                   .kv_heads = KV,
                                   .head_dim = DIM,
                                   .starts = starts,
                                   .q = slab_at(&q),
                                   .k = slab_at(&k),
                                   .v = slab_at(&v),
                                   .ldq = HEADS * DIM,
                                   .ldk = KV * DIM,
                                   .ldv = KV * DIM,
                                   .scale = 0.3f,
                                   .causal = true,
                                   .window = 50,
                                   .out = slab_at(&out),
                                   .ldo = HEADS * DIM,
                                   .key_starts = first,
                                   .key_counts = counts};
    CHECK(cuda->attention(queue, &a) == ECH_OP_OK, "attention: %s", ech_queue_error(queue));
    slab_get(&out, "attention over a cache");
    a.q = slab_row(&q, 0), a.k = slab_row(&k, 0), a.v = slab_row(&v, 0), a.out = want.x,
    a.workspace = scratch;
    CHECK(named("ref")->attention(NULL, &a) == ECH_OP_OK, "ref");
    struct buffer got = slab_view(&out);
    close_enough(&got, &want, 1e-11, "attention over a cache");
    a.key_starts = NULL;
    CHECK(cuda->attention(queue, &a) == ECH_OP_SHAPE, "counts without starts");
    slab_free(&q), slab_free(&k), slab_free(&v), slab_free(&out);
    buffer_free(&want);
}
