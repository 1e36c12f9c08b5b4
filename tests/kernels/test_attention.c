/* Attention over packed sequences: every backend against ref and ref_exact, and a sequence moved. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

struct attention_case {
    int64_t lengths[4]; /* of the sequences; the first one starts at row 0 */
    int64_t heads, kv_heads, head_dim;
    bool causal, bias;
    int64_t pad;
};

/* 64 keys are a panel, 24 queries a block (12 past 2688 keys), 6 and 12 tiles. */
static const struct attention_case CASES[] = {
    {{0, 0, 0, 0}, 2, 2, 4, false, false, 0},     {{1, 0, 2, 3}, 1, 1, 1, false, false, 0},
    {{5, 1, 7, 16}, 2, 2, 8, false, false, 0},    {{5, 1, 7, 16}, 2, 1, 10, true, false, 1},
    {{17, 15, 0, 33}, 3, 1, 12, true, true, 0},   {{23, 24, 25, 1}, 4, 2, 15, false, true, 3},
    {{63, 64, 65, 2}, 2, 2, 32, false, false, 0}, {{63, 64, 65, 2}, 2, 1, 33, true, true, 0},
    {{130, 3, 0, 0}, 2, 2, 64, false, false, 5},  {{100, 12, 6, 13}, 2, 2, 20, true, false, 0},
    {{49, 0, 0, 0}, 1, 1, 100, true, true, 0},    {{2700, 0, 0, 0}, 1, 1, 2, true, false, 0},
};

struct attention_data {
    struct buffer q, k, v, bias;
    int64_t starts[5], longest;
};

static struct attention_data make_data(const struct attention_case *c)
{
    struct attention_data d = {.longest = 0};
    for (int s = 0; s < 4; s++) {
        d.starts[s + 1] = d.starts[s] + c->lengths[s];
        d.longest = c->lengths[s] > d.longest ? c->lengths[s] : d.longest;
    }
    int64_t tokens = d.starts[4], wide = c->heads * c->head_dim, narrow = c->kv_heads * c->head_dim;
    d.q = buffer_make(tokens, wide, wide + c->pad);
    d.k = buffer_make(tokens, narrow, narrow + 2 * c->pad);
    d.v = buffer_make(tokens, narrow, narrow + c->pad);
    d.bias = buffer_make(c->heads * (d.longest + 1), d.longest + 1, d.longest + 1);
    buffer_random(&d.q, 2), buffer_random(&d.k, 2), buffer_random(&d.v, 1), buffer_random(&d.bias, 1);
    return d;
}

static void free_data(struct attention_data *d)
{
    buffer_free(&d->q), buffer_free(&d->k), buffer_free(&d->v), buffer_free(&d->bias);
}

static struct buffer run_case(const struct ech_ops *ops, const struct attention_case *c,
                              const struct attention_data *d, const char *what)
{
    struct buffer out = buffer_make(d->starts[4], c->heads * c->head_dim, c->heads * c->head_dim + c->pad);
    size_t bytes = (ops->attention_workspace(ECH_FMT_F32, d->longest, c->head_dim, 1) + 63) / 64 * 64;
    char *work = aligned_alloc(64, bytes + 64);
    memset(work, 0xff, bytes + 64); /* NaNs: nothing may be read before it is written */
    struct ech_attention_args a = {.size = sizeof a,
                                   .sequences = 4,
                                   .heads = c->heads,
                                   .kv_heads = c->kv_heads,
                                   .head_dim = c->head_dim,
                                   .starts = d->starts,
                                   .q = d->q.x,
                                   .k = d->k.x,
                                   .v = d->v.x,
                                   .ldq = d->q.ld,
                                   .ldk = d->k.ld,
                                   .ldv = d->v.ld,
                                   .bias = c->bias ? d->bias.x : NULL,
                                   .bias_span = d->longest + 1,
                                   .scale = 0.3f,
                                   .causal = c->causal,
                                   .out = out.x,
                                   .ldo = out.ld,
                                   .workspace = work};
    int rc = ops->attention(NULL, &a);
    CHECK(rc == ECH_OP_OK, "%s: status %d", what, rc);
    buffer_check(&out, what);
    for (size_t i = bytes; i < bytes + 64; i++)
        CHECK(work[i] == (char)0xff, "%s: wrote past its workspace", what);
    free(work);
    return out;
}

static void compare_case(const struct attention_case *c, const struct attention_data *d, double bound)
{
    struct buffer want = run_case(named("ref"), c, d, "ref attention");
    struct buffer bits = run_case(named("ref_exact"), c, d, "ref_exact attention");
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++) {
        if (!usable(*o))
            continue;
        char what[160];
        snprintf(what, sizeof what, "%s attention lengths %d %d %d %d heads %d/%d dim %d%s%s", (*o)->name,
                 (int)c->lengths[0], (int)c->lengths[1], (int)c->lengths[2], (int)c->lengths[3],
                 (int)c->heads, (int)c->kv_heads, (int)c->head_dim, c->causal ? " causal" : "",
                 c->bias ? " bias" : "");
        struct buffer out = run_case(*o, c, d, what);
        close_enough(&out, &want, bound, what);
        if (exact(*o))
            same_bits(&out, &bits, what);
        buffer_free(&out);
    }
    buffer_free(&want), buffer_free(&bits);
}

/* A NaN, an infinite value, a key whose scores are -inf by the bias: where a later key must not be seen. */
static void spoil(const struct attention_case *c, struct attention_data *d)
{
    int64_t last = c->lengths[0] - 1;
    buffer_row(&d->v, last)[0] = INFINITY;
    buffer_row(&d->k, last)[c->head_dim - 1] = NAN;
    for (int64_t j = 0; j <= d->longest; j++)
        buffer_row(&d->bias, 1)[j] = -INFINITY; /* query 1 of head 0 sees nothing */
}

void test_attention(void)
{
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct attention_data d = make_data(&CASES[i]);
        compare_case(&CASES[i], &d, 1e-11);
        if (CASES[i].lengths[0] > 4) {
            spoil(&CASES[i], &d);
            compare_case(&CASES[i], &d, 1e-11);
        }
        free_data(&d);
    }
}

/* A sequence alone, and between others: the same bits. Its queue's scratch serves where none is given. */
static void moved_case(const struct ech_ops *ops, int64_t length, bool causal)
{
    enum { HEADS = 2, DIM = 20, WIDE = HEADS * DIM, BEFORE = 19, AFTER = 70 };
    int64_t tokens = BEFORE + length + AFTER, starts[] = {0, BEFORE, BEFORE + length, tokens},
            own[] = {0, length};
    struct buffer qkv = buffer_make(tokens, 3 * WIDE, 3 * WIDE), out = buffer_make(tokens, WIDE, WIDE);
    struct buffer alone = buffer_make(length, WIDE, WIDE);
    buffer_random(&qkv, 2);
    struct ech_queue *queue =
        queue_open(ops, ops->attention_workspace(ECH_FMT_F32, length > AFTER ? length : AFTER, DIM, 1));
    struct ech_attention_args a = {.size = sizeof a,
                                   .sequences = 3,
                                   .heads = HEADS,
                                   .kv_heads = HEADS,
                                   .head_dim = DIM,
                                   .starts = starts,
                                   .q = qkv.x,
                                   .k = qkv.x + WIDE,
                                   .v = qkv.x + 2 * WIDE,
                                   .ldq = qkv.ld,
                                   .ldk = qkv.ld,
                                   .ldv = qkv.ld,
                                   .scale = 0.2f,
                                   .causal = causal,
                                   .out = out.x,
                                   .ldo = WIDE};
    CHECK(ops->attention(queue, &a) == ECH_OP_OK, "%s: attention", ops->name);
    float *at = buffer_row(&qkv, BEFORE);
    a.sequences = 1, a.starts = own, a.out = alone.x;
    a.q = at, a.k = at + WIDE, a.v = at + 2 * WIDE;
    CHECK(ops->attention(queue, &a) == ECH_OP_OK, "%s: attention", ops->name);
    struct buffer moved = out;
    moved.rows = length, moved.x = buffer_row(&out, BEFORE);
    char what[100];
    snprintf(what, sizeof what, "%s: a sequence of %d rows moved", ops->name, (int)length);
    same_bits(&moved, &alone, what);
    ech_queue_close(queue);
    buffer_free(&qkv), buffer_free(&out), buffer_free(&alone);
}

void test_attention_moved(void)
{
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++)
        for (int64_t length = 1; usable(*o) && length < 100; length += length < 4 ? 1 : 31)
            for (int causal = 0; causal < 2; causal++)
                moved_case(*o, length, causal);
}
