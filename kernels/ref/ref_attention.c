/* The attention of `ref`: a plain softmax over all keys that a query sees, in double. With compute BF16 the
 * operands are rounded as the others round them; the exponentials are not. */
#include "kernels/ref/ref.h"

#include <math.h>
#include <stdlib.h>

#include "kernels/check.h"
#include "kernels/convert.h"
#include "kernels/queue.h"

size_t ech_ref_attention_workspace(enum ech_format compute, int64_t longest, int64_t head_dim, int threads)
{
    (void)compute, (void)head_dim, (void)threads;
    return longest > 0 ? (size_t)longest * sizeof(double) : 0;
}

/* One sequence's rows of q, k and v begin at these. */
struct sequence {
    int64_t query, queries, key, keys;
};

static bool sees(const struct ech_attention_args *a, int64_t i, int64_t j)
{
    if (a->causal && j > i)
        return false;
    return a->window == 0 || llabs(i - j) < a->window;
}

static double element(const struct ech_attention_args *a, const void *p, enum ech_atype type, int64_t at)
{
    float x = type == ECH_A_BF16 ? ech_from_bf16(((const uint16_t *)p)[at]) : ((const float *)p)[at];
    return (double)(a->compute == ECH_FMT_BF16 ? ech_from_bf16(ech_to_bf16(x)) : x);
}

static void store(const struct ech_attention_args *a, int64_t at, double x)
{
    if (a->out_type == ECH_A_BF16)
        ((uint16_t *)a->out)[at] = ech_to_bf16((float)x);
    else
        ((float *)a->out)[at] = (float)x;
}

/* Head h, row i of the sequence's queries, key j; position: of the query. */
static double score(const struct ech_attention_args *a, const struct sequence *s, int64_t h, int64_t i,
                    int64_t j)
{
    int64_t kv = h / (a->heads / a->kv_heads), position = i + s->keys - s->queries;
    double x = 0;
    for (int64_t d = 0; d < a->head_dim; d++)
        x += element(a, a->q, a->q_type, (s->query + i) * a->ldq + h * a->head_dim + d) *
             element(a, a->k, a->kv_type, (s->key + j) * a->ldk + kv * a->head_dim + d);
    x *= (double)a->scale;
    if (a->softcap > 0)
        x = (double)a->softcap * tanh(x / (double)a->softcap);
    if (a->bias)
        x += (double)a->bias[(h * a->bias_span + position) * a->bias_span + j];
    if (a->slopes)
        x -= (double)a->slopes[h] * (double)llabs(position - j);
    return x;
}

static void attend(const struct ech_attention_args *a, const struct sequence *s, int64_t h, int64_t i,
                   double *e)
{
    int64_t kv = h / (a->heads / a->kv_heads), position = i + s->keys - s->queries;
    double most = -INFINITY, total = 0;
    for (int64_t j = 0; j < s->keys; j++) {
        e[j] = sees(a, position, j) ? score(a, s, h, i, j) : -INFINITY;
        most = fmax(most, e[j]);
    }
    for (int64_t j = 0; j < s->keys; j++)
        total += e[j] = e[j] == -INFINITY ? 0 : exp(e[j] - most);
    for (int64_t d = 0; d < a->head_dim; d++) {
        double o = 0;
        for (int64_t j = 0; j < s->keys; j++)
            if (sees(a, position, j))
                o += e[j] * element(a, a->v, a->kv_type, (s->key + j) * a->ldv + kv * a->head_dim + d);
        store(a, (s->query + i) * a->ldo + h * a->head_dim + d, total == 0 ? o : o / total);
    }
}

int ech_ref_attention(struct ech_queue *queue, const struct ech_attention_args *a)
{
    int rc = ech_check_attention(a);
    if (rc)
        return rc;
    int64_t longest = ech_attention_longest(a);
    if (longest == 0)
        return ECH_OP_OK;
    double *e =
        ech_attention_scratch(queue, a, ech_ref_attention_workspace(a->compute, longest, a->head_dim, 1));
    if (!e)
        return ECH_OP_MEMORY;
    for (int64_t n = 0; n < a->sequences; n++) {
        struct sequence s = {.query = a->starts[n], .queries = a->starts[n + 1] - a->starts[n]};
        s.keys = ech_attention_keys(a, n, &s.key);
        for (int64_t h = 0; h < a->heads; h++)
            for (int64_t i = 0; i < s.queries; i++)
                attend(a, &s, h, i, e);
    }
    return ECH_OP_OK;
}
