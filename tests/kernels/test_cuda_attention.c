/* Attention on the device against `ref`: packed sequences, masks, scores, halves, moved sequences. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_support.h"
#include "kernels/convert.h"

struct attention_case {
    int64_t lengths[4], keys[4]; /* keys[0] < 0: the same */
    int64_t heads, kv_heads, head_dim;
    bool causal, bias, slopes;
    int64_t window;
    float softcap;
    int64_t pad;
    enum ech_format compute;
    enum ech_atype q_type, kv_type, out_type;
};

#define SAME                                                                                                 \
    {                                                                                                        \
        -1, 0, 0, 0                                                                                          \
    }

static const struct attention_case PLAIN[] = {
    {{0, 0, 0, 0}, SAME, 2, 2, 4, .pad = 0},     {{1, 0, 2, 3}, SAME, 1, 1, 1, .pad = 0},
    {{5, 1, 7, 16}, SAME, 2, 2, 8, .pad = 0},    {{5, 1, 7, 16}, SAME, 2, 1, 10, .pad = 1},
    {{31, 32, 33, 1}, SAME, 2, 2, 32, .pad = 0}, {{63, 0, 65, 64}, SAME, 2, 1, 33, .pad = 0},
    {{70, 3, 0, 0}, SAME, 1, 1, 64, .pad = 4},   {{9, 40, 0, 0}, SAME, 2, 2, 80, .pad = 0},
    {{40, 2, 0, 0}, SAME, 1, 1, 100, .pad = 1},  {{7, 33, 0, 0}, SAME, 1, 1, 130, .pad = 0},
    {{35, 0, 0, 0}, SAME, 1, 1, 256, .pad = 0},  {{5, 1, 2, 3}, {7, 0, 70, 3}, 2, 2, 16, .pad = 0},
};

static const struct attention_case MASKS[] = {
    {{5, 1, 7, 16}, SAME, 2, 2, 8, .causal = true},
    {{63, 64, 65, 2}, SAME, 2, 1, 32, .causal = true},
    {{17, 15, 0, 33}, SAME, 3, 1, 12, .bias = true},
    {{17, 15, 0, 70}, SAME, 2, 2, 12, .causal = true, .bias = true, .pad = 3},
    {{70, 1, 40, 0}, SAME, 2, 2, 16, .window = 5},
    {{90, 1, 40, 0}, SAME, 2, 2, 16, .window = 1},
    {{140, 3, 40, 0}, SAME, 2, 1, 16, .causal = true, .window = 33},
    {{33, 66, 1, 0}, SAME, 4, 2, 8, .slopes = true},
    {{33, 66, 1, 0}, SAME, 2, 2, 8, .softcap = 3.0f},
    {{20, 70, 1, 0},
     SAME,
     4,
     2,
     20,
     .causal = true,
     .bias = true,
     .slopes = true,
     .window = 30,
     .softcap = 2.0f},
    {{3, 40, 1, 0}, {80, 70, 1, 9}, 2, 2, 16, .causal = true},
    {{3, 40, 1, 0}, {80, 70, 1, 9}, 2, 2, 16, .causal = true, .window = 20, .bias = true},
    {{9, 40, 1, 0}, {4, 0, 70, 9}, 2, 2, 16, .causal = true},
};

struct attention_data {
    struct buffer q, k, v, bias, slopes;
    int64_t starts[5], key_starts[5], longest;
};

static struct attention_data make(const struct attention_case *c)
{
    struct attention_data d = {.longest = 0};
    for (int s = 0; s < 4; s++) {
        int64_t keys = c->keys[0] < 0 ? c->lengths[s] : c->keys[s];
        d.starts[s + 1] = d.starts[s] + c->lengths[s];
        d.key_starts[s + 1] = d.key_starts[s] + keys;
        d.longest = c->lengths[s] > d.longest ? c->lengths[s] : d.longest;
        d.longest = keys > d.longest ? keys : d.longest;
    }
    int64_t wide = c->heads * c->head_dim, narrow = c->kv_heads * c->head_dim;
    d.q = buffer_make(d.starts[4], wide, wide);
    d.k = buffer_make(d.key_starts[4], narrow, narrow);
    d.v = buffer_make(d.key_starts[4], narrow, narrow);
    d.bias = buffer_make(c->heads * (d.longest + 1), d.longest + 1, d.longest + 1);
    d.slopes = buffer_make(1, c->heads, c->heads);
    buffer_random(&d.q, 2), buffer_random(&d.k, 2), buffer_random(&d.v, 1), buffer_random(&d.bias, 1);
    buffer_random(&d.slopes, 0.2f);
    return d;
}

static void release(struct attention_data *d)
{
    buffer_free(&d->q), buffer_free(&d->k), buffer_free(&d->v), buffer_free(&d->bias),
        buffer_free(&d->slopes);
}

static struct ech_attention_args arguments(const struct attention_case *c, const struct attention_data *d)
{
    int64_t wide = c->heads * c->head_dim, narrow = c->kv_heads * c->head_dim;
    return (struct ech_attention_args){.size = sizeof(struct ech_attention_args),
                                       .sequences = 4,
                                       .heads = c->heads,
                                       .kv_heads = c->kv_heads,
                                       .head_dim = c->head_dim,
                                       .starts = d->starts,
                                       .key_starts = c->keys[0] < 0 ? NULL : d->key_starts,
                                       .q = d->q.x,
                                       .k = d->k.x,
                                       .v = d->v.x,
                                       .ldq = wide,
                                       .ldk = narrow,
                                       .ldv = narrow,
                                       .bias = c->bias ? d->bias.x : NULL,
                                       .bias_span = d->longest + 1,
                                       .slopes = c->slopes ? d->slopes.x : NULL,
                                       .window = c->window,
                                       .softcap = c->softcap,
                                       .scale = 0.3f,
                                       .causal = c->causal};
}

/* `ref` over the operands as the device rounds them. */
static struct buffer expected(const struct attention_case *c, const struct attention_data *d)
{
    struct buffer *in[] = {(struct buffer *)&d->q, (struct buffer *)&d->k, (struct buffer *)&d->v};
    for (int i = 0; i < 3; i++) {
        enum ech_atype type = i ? c->kv_type : c->q_type;
        enum ech_format round = type == ECH_A_BF16  ? ECH_FMT_BF16
                                : type == ECH_A_F16 ? ECH_FMT_F16
                                                    : c->compute;
        round_rows(in[i]->x, in[i]->rows, in[i]->cols, in[i]->ld, round);
    }
    struct buffer out = buffer_make(d->starts[4], c->heads * c->head_dim, c->heads * c->head_dim);
    struct ech_attention_args a = arguments(c, d);
    a.out = out.x, a.ldo = out.ld;
    double *work = calloc((size_t)d->longest + 1, sizeof *work);
    a.workspace = work;
    CHECK(named("ref")->attention(NULL, &a) == ECH_OP_OK, "ref attention");
    free(work);
    return out;
}

static struct slab place(const struct buffer *b, int64_t pad, enum ech_atype type)
{
    struct slab own = slab_make(b->rows, b->cols, b->cols, ECH_A_F32, 0),
                out = slab_make(b->rows, b->cols, b->cols + pad, type, 0);
    for (int64_t r = 0; r < b->rows; r++)
        memcpy(slab_row(&own, r), buffer_row(b, r), own.width);
    expect_rows(&own, b->cols, &out, NULL, type);
    slab_put(&out);
    slab_free(&own);
    return out;
}

static void run_case(const struct attention_case *c, double bound, bool spoiled)
{
    struct attention_data d = make(c);
    if (spoiled) { /* what a causal or windowed row must not see, and a row that sees nothing */
        int64_t last = c->lengths[0] - 1;
        buffer_row(&d.v, last)[0] = INFINITY;
        buffer_row(&d.k, last)[c->head_dim - 1] = NAN;
        for (int64_t j = 0; j <= d.longest; j++)
            buffer_row(&d.bias, 1)[j] = -INFINITY;
    }
    struct buffer want = expected(c, &d);
    struct slab q = place(&d.q, c->pad, c->q_type), k = place(&d.k, 2 * c->pad, c->kv_type),
                v = place(&d.v, c->pad, c->kv_type), bias = place(&d.bias, 0, ECH_A_F32),
                slopes = place(&d.slopes, 0, ECH_A_F32),
                out = slab_make(want.rows, want.cols, want.cols + c->pad, c->out_type, 0);
    slab_put(&out);
    struct ech_attention_args a = arguments(c, &d);
    a.q = slab_at(&q), a.k = slab_at(&k), a.v = slab_at(&v), a.out = slab_at(&out);
    a.ldq += c->pad, a.ldk += 2 * c->pad, a.ldv += c->pad, a.ldo = want.cols + c->pad;
    a.bias = c->bias ? slab_at(&bias) : NULL, a.slopes = c->slopes ? slab_at(&slopes) : NULL;
    a.compute = c->compute, a.q_type = c->q_type, a.kv_type = c->kv_type, a.out_type = c->out_type;
    char what[200];
    snprintf(what, sizeof what, "attention %d %d %d %d heads %d/%d dim %d%s%s window %d compute %d",
             (int)c->lengths[0], (int)c->lengths[1], (int)c->lengths[2], (int)c->lengths[3], (int)c->heads,
             (int)c->kv_heads, (int)c->head_dim, c->causal ? " causal" : "", c->bias ? " bias" : "",
             (int)c->window, c->compute);
    int rc = cuda->attention(queue, &a);
    CHECK(rc == ECH_OP_OK, "%s: status %d: %s", what, rc, ech_queue_error(queue));
    slab_get(&out, what);
    struct buffer got = buffer_make(want.rows, want.cols, want.cols);
    for (int64_t r = 0; r < want.rows; r++)
        for (int64_t x = 0; x < want.cols; x++)
            buffer_row(&got, r)[x] = slab_value(&out, r, x, c->out_type, NULL);
    close_enough(&got, &want, bound, what);
    buffer_free(&got), buffer_free(&want);
    slab_free(&q), slab_free(&k), slab_free(&v), slab_free(&bias), slab_free(&slopes), slab_free(&out);
    release(&d);
}

void test_attention(void)
{
    for (size_t i = 0; i < sizeof PLAIN / sizeof PLAIN[0]; i++)
        run_case(&PLAIN[i], 1e-11, false);
}

void test_attention_masks(void)
{
    for (size_t i = 0; i < sizeof MASKS / sizeof MASKS[0]; i++)
        run_case(&MASKS[i], 1e-11, false);
}

void test_attention_special(void)
{
    for (size_t i = 0; i < sizeof MASKS / sizeof MASKS[0]; i++)
        if (MASKS[i].keys[0] < 0 && (MASKS[i].causal || MASKS[i].window))
            run_case(&MASKS[i], 1e-11, true);
}

/* Halves in memory, in the products, or both. The exponentials are rounded too: hence the bound. */
void test_attention_halves(void)
{
    static const enum ech_format computes[] = {ECH_FMT_F32, ECH_FMT_BF16, ECH_FMT_F16};
    static const enum ech_atype types[] = {ECH_A_F32, ECH_A_BF16, ECH_A_F16};
    for (int i = 0; i < 3; i++)
        for (int t = 0; t < 3; t++)
            for (int o = 0; o < 3; o += 2) {
                struct attention_case c = {{17, 40, 1, 2},        SAME, 2, 1, 32, .pad = 4 * (t % 2),
                                           .compute = computes[i]};
                c.q_type = types[t], c.kv_type = types[(t + i) % 3], c.out_type = types[(o + t) % 3];
                run_case(&c, 2e-5, false);
            }
}

/* A sequence alone, and between others: the same bits. */
void test_attention_moved(void)
{
    enum { HEADS = 2, DIM = 20, WIDE = HEADS * DIM, BEFORE = 19, AFTER = 70 };
    for (int64_t length = 1; length < 140; length += length < 4 ? 1 : 45)
        for (int causal = 0; causal < 2; causal++) {
            int64_t tokens = BEFORE + length + AFTER, starts[] = {0, BEFORE, BEFORE + length, tokens},
                    own[] = {0, length};
            struct slab qkv = slab_make(tokens, 3 * WIDE, 3 * WIDE, ECH_A_F32, 0),
                        part = slab_make(length, 3 * WIDE, 3 * WIDE + 1, ECH_A_F32, 4),
                        out = slab_make(tokens, WIDE, WIDE, ECH_A_F32, 0),
                        alone = slab_make(length, WIDE, WIDE + 1, ECH_A_F32, 0);
            slab_random(&qkv, 2);
            for (int64_t r = 0; r < length; r++)
                memcpy(slab_row(&part, r), slab_row(&qkv, BEFORE + r), part.width);
            slab_put(&qkv), slab_put(&part), slab_put(&out), slab_put(&alone);
            float *at = slab_at(&qkv);
            struct ech_attention_args a = {.size = sizeof a,
                                           .sequences = 3,
                                           .heads = HEADS,
                                           .kv_heads = HEADS,
                                           .head_dim = DIM,
                                           .starts = starts,
                                           .q = at,
                                           .k = at + WIDE,
                                           .v = at + 2 * WIDE,
                                           .ldq = 3 * WIDE,
                                           .ldk = 3 * WIDE,
                                           .ldv = 3 * WIDE,
                                           .scale = 0.2f,
                                           .causal = causal,
                                           .out = slab_at(&out),
                                           .ldo = WIDE};
            CHECK(cuda->attention(queue, &a) == ECH_OP_OK, "attention: %s", ech_queue_error(queue));
            at = slab_at(&part);
            a.sequences = 1, a.starts = own, a.q = at, a.k = at + WIDE, a.v = at + 2 * WIDE;
            a.ldq = a.ldk = a.ldv = 3 * WIDE + 1, a.out = slab_at(&alone), a.ldo = WIDE + 1;
            CHECK(cuda->attention(queue, &a) == ECH_OP_OK, "attention: %s", ech_queue_error(queue));
            slab_get(&out, "attention"), slab_get(&alone, "attention of one sequence");
            for (int64_t r = 0; r < length; r++)
                CHECK(memcmp(slab_row(&alone, r), slab_row(&out, BEFORE + r), WIDE * 4) == 0,
                      "row %d of a sequence of %d has other bits between others", (int)r, (int)length);
            slab_free(&qkv), slab_free(&part), slab_free(&out), slab_free(&alone);
        }
}
