/* Attention over packed sequences: for each sequence and head, blocks of query rows against all keys.
 * Included after a v16_*.h, mathv.h, product.h and rows.h.
 *
 * The keys of a head are transposed into panels as weights are, the values copied side by side; then scores
 * and the value product are the product's own tiles (chains over ascending head_dim and ascending key), and
 * only BLOCK_QUERIES rows of scores exist at a time. A causal row stops at its own key: nothing is added for
 * later ones, since 0 times an infinite value would not be 0. */
#ifndef ECH_KERNELS_CPU_ATTENTION_H
#define ECH_KERNELS_CPU_ATTENTION_H

#include <math.h>

#include "kernels/queue.h"

enum { BLOCK_QUERIES = 24, CAUSAL_ROWS = 6 };

/* Scratch of one head, in floats; each part begins on a cache line. */
struct scratch {
    int64_t span;  /* keys, rounded up to a panel: row stride of the scores */
    int64_t width; /* head_dim, rounded up to a vector: row stride of the values */
    float *keys, *values, *scores, *out;
};

static size_t scratch_layout(struct scratch *s, int64_t longest, int64_t head_dim, float *base)
{
    s->span = (longest + ECH_PANEL - 1) / ECH_PANEL * ECH_PANEL;
    s->width = (head_dim + 15) / 16 * 16;
    s->keys = base;
    int64_t keys = s->span * head_dim, values = longest * s->width, scores = BLOCK_QUERIES * s->span;
    int64_t out = BLOCK_QUERIES * s->width;
    if (base) {
        s->values = s->keys + keys;
        s->scores = s->values + values;
        s->out = s->scores + scores;
    }
    return (size_t)(keys + values + scores + out) * sizeof(float);
}

static size_t attention_workspace(enum ech_format compute, int64_t longest, int64_t head_dim, int threads)
{
    (void)compute, (void)threads;
    struct scratch s;
    return longest > 0 && head_dim > 0 ? scratch_layout(&s, longest, head_dim, NULL) : 0;
}

/* What one head of one sequence reads and writes. */
struct head {
    const struct ech_attention_args *args;
    struct scratch scratch;
    int64_t length;
    const float *q, *k, *v, *bias; /* at the sequence's first row; bias: this head's matrix or NULL */
    float *out;
};

/* Keys (length, head_dim) become panels [64 keys][head_dim][64], zero up to a whole vector of keys. */
static void pack_keys(const struct head *h)
{
    const int64_t dim = h->args->head_dim, ld = h->args->ldk;
    for (int64_t j = 0; j < h->length; j += 16) {
        float *to = h->scratch.keys + j / ECH_PANEL * ECH_PANEL * dim + j % ECH_PANEL;
        const float *from = h->k + j * ld;
        int64_t rows = h->length - j < 16 ? h->length - j : 16, d = 0;
        for (; rows == 16 && d + 4 <= dim; d += 4)
            v16_transpose4(to + d * ECH_PANEL, from + d, ld);
        for (; d < dim; d++)
            for (int64_t i = 0; i < 16; i++)
                to[d * ECH_PANEL + i] = i < rows ? from[i * ld + d] : 0.0f;
    }
}

static void pack_values(const struct head *h)
{
    const int64_t dim = h->args->head_dim, width = h->scratch.width;
    for (int64_t j = 0; j < h->length; j++)
        for (int64_t d = 0; d < width; d += 16)
            v16_store(h->scratch.values + j * width + d, row_load(h->v + j * h->args->ldv, d, dim));
}

/* How many keys query i sees. */
INLINE int64_t keys_of(const struct head *h, int64_t i)
{
    return h->args->causal ? i + 1 : h->length;
}

/* q k of rows [i, i + rows) for keys below `keys`. */
static void score(const struct head *h, int64_t i, int64_t rows, int64_t keys)
{
    const int64_t dim = h->args->head_dim;
    for (int64_t j = 0; j < keys; j += ECH_PANEL) {
        int64_t left = keys - j < ECH_PANEL ? keys - j : ECH_PANEL;
        struct tile t = {.a = h->q + i * h->args->ldq,
                         .b = h->scratch.keys + j * dim,
                         .c = h->scratch.scores + j,
                         .lda = h->args->ldq,
                         .ldb = ECH_PANEL,
                         .ldc = h->scratch.span,
                         .k = dim};
        tile_strip(t, rows, (left + 15) / 16);
    }
}

/* Vector j of the scores of a row that sees `keys` keys: scaled, biased, -inf past its keys. */
INLINE struct v16 scaled(const float *x, const float *bias, int64_t left, struct v16 scale)
{
    struct v16 s = v16_mul(v16_load(x), scale);
    int64_t lanes = left < 0 ? 0 : left;
    if (lanes >= 16)
        return bias ? v16_add(s, v16_load(bias)) : s;
    if (bias)
        s = v16_add(s, v16_load_part(bias, lanes));
    return v16_keep(s, lanes, v16_set(-INFINITY));
}

/* Softmax of GROUP rows from query i on, those past `rows` seeing nothing; sums, 1 in place of 0. */
static void soften(const struct head *h, int64_t i, int64_t rows, float *x, float sums[GROUP])
{
    const struct v16 scale = v16_set(h->args->scale);
    const int64_t span = h->scratch.span, last = keys_of(h, i + rows - 1);
    struct v16 most[GROUP], sum[GROUP];
    int64_t keys[GROUP];
    const float *bias[GROUP];
    EACH(r)
    {
        keys[r] = r < rows ? keys_of(h, i + r) : 0;
        bias[r] = h->bias && r < rows ? h->bias + (i + r) * h->args->bias_span : NULL;
        most[r] = v16_set(-INFINITY);
        sum[r] = v16_zero();
    }
    for (int64_t j = 0; j < last; j += 16)
        EACH(r)
        {
            struct v16 s = scaled(x + r * span + j, bias[r] ? bias[r] + j : NULL, keys[r] - j, scale);
            v16_store(x + r * span + j, s);
            most[r] = v16_maximum(s, most[r]);
        }
    EACH(r)
    {
        float largest = v16_largest(most[r]);
        most[r] = v16_set(largest == -INFINITY ? 0.0f : largest);
    }
    for (int64_t j = 0; j < last; j += 16) {
        struct v16 e[GROUP];
        EACH(r) e[r] = v16_sub(v16_load(x + r * span + j), most[r]);
        v16_exp_below(e);
        EACH(r)
        {
            v16_store(x + r * span + j, e[r]);
            sum[r] = v16_add(sum[r], e[r]);
        }
    }
    EACH(r)
    {
        sums[r] = v16_sum(sum[r]);
        sums[r] = sums[r] == 0.0f ? 1.0f : sums[r];
    }
}

/* sum_j e_j v_j of rows [first, first + rows) of the block that begins at query i. */
static void weigh(const struct head *h, int64_t i, int64_t first, int64_t rows)
{
    const struct scratch *s = &h->scratch;
    int64_t shared = keys_of(h, i + first), vectors = s->width / 16;
    struct tile t = {.a = s->scores + first * s->span,
                     .b = s->values,
                     .c = s->out + first * s->width,
                     .lda = s->span,
                     .ldb = s->width,
                     .ldc = s->width,
                     .k = shared};
    tile_strip(t, rows, vectors);
    if (!h->args->causal)
        return;
    t.resume = true;
    for (int64_t r = 1; r < rows; r++) {
        t.a = s->scores + (first + r) * s->span + shared;
        t.b = s->values + shared * s->width;
        t.c = s->out + (first + r) * s->width;
        t.k = r;
        tile_strip(t, 1, vectors);
    }
}

static void attend_block(const struct head *h, int64_t i, int64_t rows)
{
    const struct ech_attention_args *a = h->args;
    float sums[BLOCK_QUERIES];
    score(h, i, rows, keys_of(h, i + rows - 1));
    for (int64_t r = 0; r < rows; r += GROUP)
        soften(h, i + r, rows - r < GROUP ? rows - r : GROUP, h->scratch.scores + r * h->scratch.span,
               sums + r);
    int64_t step = a->causal ? CAUSAL_ROWS : rows;
    for (int64_t r = 0; r < rows; r += step)
        weigh(h, i, r, rows - r < step ? rows - r : step);
    for (int64_t r = 0; r < rows; r++) {
        const float *o = h->scratch.out + r * h->scratch.width;
        for (int64_t d = 0; d < a->head_dim; d += 16)
            row_store(h->out + (i + r) * a->ldo, d, a->head_dim, v16_div(v16_load(o + d), v16_set(sums[r])));
    }
}

/* Fewer rows at a time where they are long, so that a block of scores stays in cache. */
static int64_t block_queries(int64_t span)
{
    return span <= 2688 ? BLOCK_QUERIES : span <= 8192 ? BLOCK_QUERIES / 2 : BLOCK_QUERIES / 4;
}

static void attend_sequence(const struct ech_attention_args *a, int64_t sequence, float *base)
{
    const int64_t start = a->starts[sequence], group = a->heads / a->kv_heads, dim = a->head_dim;
    struct head h = {.args = a, .length = a->starts[sequence + 1] - start};
    scratch_layout(&h.scratch, h.length, dim, base);
    const int64_t step = block_queries(h.scratch.span);
    for (int64_t kv = 0; kv < a->kv_heads && h.length > 0; kv++) {
        h.k = (const float *)a->k + start * a->ldk + kv * dim;
        h.v = (const float *)a->v + start * a->ldv + kv * dim;
        pack_keys(&h);
        pack_values(&h);
        for (int64_t head = kv * group; head < (kv + 1) * group; head++) {
            h.q = (const float *)a->q + start * a->ldq + head * dim;
            h.out = (float *)a->out + start * a->ldo + head * dim;
            h.bias = a->bias ? a->bias + head * a->bias_span * a->bias_span : NULL;
            for (int64_t i = 0; i < h.length; i += step)
                attend_block(&h, i, h.length - i < step ? h.length - i : step);
        }
    }
}

static int attention(struct ech_queue *queue, const struct ech_attention_args *a)
{
    int rc = ech_check_attention(a);
    int64_t longest = rc ? 0 : ech_longest(a->starts, a->sequences);
    if (longest == 0)
        return rc;
    float *base = ech_attention_scratch(queue, a, attention_workspace(a->compute, longest, a->head_dim, 1));
    if (!base)
        return ECH_OP_MEMORY;
    for (int64_t s = 0; s < a->sequences; s++)
        attend_sequence(a, s, base);
    return ECH_OP_OK;
}

#endif
