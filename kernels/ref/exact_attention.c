/* The attention of `ref_exact`: the bits of the contract (ops.h, struct ech_attention_args) in plain loops.
 * One query of one head at a time, key block by key block. */
#include "kernels/ref/ref_exact.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/check.h"
#include "kernels/queue.h"
#include "kernels/ref/flush.h"
#include "kernels/ref/mathf.h"

/* Scratch: the scores of a block and the value sums. */
size_t ech_exact_attention_workspace(enum ech_format compute, int64_t longest, int64_t head_dim, int threads)
{
    (void)compute, (void)threads;
    return longest > 0 && head_dim > 0 ? (size_t)(ECH_KEY_BLOCK + head_dim) * sizeof(float) : 0;
}

/* One query of one head. position: of the query among the keys. */
struct row {
    const struct ech_attention_args *args;
    int64_t head, kv_head, query, position, first_key, keys;
    float *e, *sums;
    float most, lanes[ECH_LANES];
};

static float rounded(float x)
{
    return ech_from_bf16(ech_to_bf16(x));
}

/* A step of a chain of pairs: the odd elements first. */
static float pair(float even_a, float odd_a, float even_b, float odd_b, float sum)
{
    return ech_fma_flush(even_a, even_b, ech_fma_flush(odd_a, odd_b, ech_flush(sum)));
}

static bool sees(const struct row *r, int64_t j)
{
    const struct ech_attention_args *a = r->args;
    if (j >= r->keys || (a->causal && j > r->position))
        return false;
    return a->window == 0 || llabs(r->position - j) < a->window;
}

/* Element of q, k or v as the product takes it. */
static float element(const struct ech_attention_args *a, const void *p, enum ech_atype type, int64_t at)
{
    float x = type == ECH_A_BF16 ? ech_from_bf16(((const uint16_t *)p)[at]) : ((const float *)p)[at];
    return a->compute == ECH_FMT_BF16 ? rounded(x) : x;
}

static float query(const struct row *r, int64_t d)
{
    const struct ech_attention_args *a = r->args;
    return d < a->head_dim ? element(a, a->q, a->q_type, r->query * a->ldq + r->head * a->head_dim + d)
                           : 0.0f;
}

static float key(const struct row *r, int64_t j, int64_t d)
{
    const struct ech_attention_args *a = r->args;
    int64_t at = (r->first_key + j) * a->ldk + r->kv_head * a->head_dim + d;
    return d < a->head_dim ? element(a, a->k, a->kv_type, at) : 0.0f;
}

static float value(const struct row *r, int64_t j, int64_t d)
{
    const struct ech_attention_args *a = r->args;
    return element(a, a->v, a->kv_type, (r->first_key + j) * a->ldv + r->kv_head * a->head_dim + d);
}

static float score(const struct row *r, int64_t j)
{
    const struct ech_attention_args *a = r->args;
    float s = 0.0f;
    if (a->compute == ECH_FMT_BF16)
        for (int64_t d = 0; d < a->head_dim; d += 2)
            s = pair(query(r, d), query(r, d + 1), key(r, j, d), key(r, j, d + 1), s);
    else
        for (int64_t d = 0; d < a->head_dim; d++)
            s = fmaf(query(r, d), key(r, j, d), s);
    s *= a->scale;
    if (a->softcap > 0)
        s = a->softcap * ech_tanhf(s / a->softcap);
    if (a->bias)
        s += a->bias[(r->head * a->bias_span + r->position) * a->bias_span + j];
    if (a->slopes)
        s += a->slopes[r->head] * -(float)llabs(r->position - j);
    return s;
}

/* The scores of keys [from, to) and their exponentials; what was there is scaled to the new maximum. */
static void soften(struct row *r, int64_t from, int64_t to)
{
    float most = r->most;
    for (int64_t j = from; j < to; j++) {
        r->e[j - from] = sees(r, j) ? score(r, j) : -INFINITY;
        most = r->e[j - from] > most ? r->e[j - from] : most;
    }
    if (most > r->most) {
        float factor = ech_expf(r->most - most);
        for (int i = 0; i < ECH_LANES; i++)
            r->lanes[i] *= factor;
        for (int64_t d = 0; d < r->args->head_dim; d++)
            r->sums[d] *= factor;
        r->most = most;
    }
    most = most == -INFINITY ? 0.0f : most; /* -inf - -inf would be NaN */
    for (int64_t j = from; j < to; j++) {
        float *e = &r->e[j - from];
        *e = sees(r, j) ? ech_expf(*e - most) : 0.0f;
        r->lanes[j % ECH_LANES] += *e;
    }
}

/* The chains of value sums go on over keys [from, to). A key not seen is not touched: 0 times an infinite
 * value would not be 0. */
static void weigh(struct row *r, int64_t from, int64_t to)
{
    for (int64_t d = 0; d < r->args->head_dim; d++) {
        float sum = r->sums[d];
        if (r->args->compute == ECH_FMT_BF16) {
            for (int64_t j = from; j < to; j += 2) {
                bool even = sees(r, j), odd = sees(r, j + 1);
                if (even || odd)
                    sum =
                        pair(even ? rounded(r->e[j - from]) : 0.0f, odd ? rounded(r->e[j + 1 - from]) : 0.0f,
                             even ? value(r, j, d) : 0.0f, odd ? value(r, j + 1, d) : 0.0f, sum);
            }
        } else {
            for (int64_t j = from; j < to; j++)
                if (sees(r, j))
                    sum = fmaf(r->e[j - from], value(r, j, d), sum);
        }
        r->sums[d] = sum;
    }
}

/* Adding 0 makes a sum of -0 a 0: its sign would tell whether a hidden key was added as a zero. */
static void finish(const struct row *r)
{
    const struct ech_attention_args *a = r->args;
    float total = ech_lanes_sum(r->lanes);
    total = total == 0.0f ? 1.0f : total;
    for (int64_t d = 0; d < a->head_dim; d++) {
        float x = (r->sums[d] + 0.0f) / total;
        int64_t at = r->query * a->ldo + r->head * a->head_dim + d;
        if (a->out_type == ECH_A_BF16)
            ((uint16_t *)a->out)[at] = ech_to_bf16(x);
        else
            ((float *)a->out)[at] = x;
    }
}

static void attend(struct row *r)
{
    r->most = -INFINITY;
    memset(r->lanes, 0, sizeof r->lanes);
    memset(r->sums, 0, (size_t)r->args->head_dim * sizeof(float));
    for (int64_t from = 0; from < r->keys; from += ECH_KEY_BLOCK) {
        int64_t to = r->keys - from < ECH_KEY_BLOCK ? r->keys : from + ECH_KEY_BLOCK;
        soften(r, from, to);
        weigh(r, from, to);
    }
    finish(r);
}

int ech_exact_attention(struct ech_queue *queue, const struct ech_attention_args *a)
{
    int rc = ech_check_attention(a);
    int64_t longest = rc ? 0 : ech_attention_longest(a);
    if (longest == 0)
        return rc;
    float *e =
        ech_attention_scratch(queue, a, ech_exact_attention_workspace(a->compute, longest, a->head_dim, 1));
    if (!e)
        return ECH_OP_MEMORY;
    struct row r = {.args = a, .e = e, .sums = e + ECH_KEY_BLOCK};
    for (int64_t s = 0; s < a->sequences; s++) {
        r.keys = ech_attention_keys(a, s, &r.first_key);
        for (r.head = 0; r.head < a->heads; r.head++)
            for (r.query = a->starts[s]; r.query < a->starts[s + 1]; r.query++) {
                r.kv_head = r.head / (a->heads / a->kv_heads);
                r.position = r.query - a->starts[s + 1] + r.keys;
                attend(&r);
            }
    }
    return ECH_OP_OK;
}
