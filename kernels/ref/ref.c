/* `ref`: the oracle. Everything in double with libm's functions, rounded to f32 once at the end. Shares no
 * arithmetic with the other backends, so an error of theirs shows. */
#include <math.h>
#include <stdlib.h>

#include "kernels/backends.h"
#include "kernels/check.h"
#include "kernels/convert.h"
#include "kernels/queue.h"
#include "kernels/ref/ref.h"
#include "kernels/ref/ref_rows.h"

static size_t attention_workspace(enum ech_format compute, int64_t longest, int64_t head_dim, int threads)
{
    (void)compute, (void)head_dim, (void)threads;
    return longest > 0 ? (size_t)longest * sizeof(double) : 0;
}

static void attend(const struct ech_attention_args *a, int64_t start, int64_t length, int64_t h, int64_t i,
                   double *e)
{
    int64_t keys = a->causal ? i + 1 : length, kv = h / (a->heads / a->kv_heads);
    for (int64_t j = 0; j < keys; j++) {
        e[j] = 0;
        for (int64_t d = 0; d < a->head_dim; d++)
            e[j] += (double)((const float *)a->q)[(start + i) * a->ldq + h * a->head_dim + d] *
                    (double)((const float *)a->k)[(start + j) * a->ldk + kv * a->head_dim + d];
        e[j] *= (double)a->scale;
        if (a->bias)
            e[j] += (double)a->bias[(h * a->bias_span + i) * a->bias_span + j];
    }
    double sum = ech_ref_soften(e, keys);
    for (int64_t d = 0; d < a->head_dim; d++) {
        double o = 0;
        for (int64_t j = 0; j < keys; j++)
            o += e[j] * (double)((const float *)a->v)[(start + j) * a->ldv + kv * a->head_dim + d];
        ((float *)a->out)[(start + i) * a->ldo + h * a->head_dim + d] = (float)(o / sum);
    }
}

static int attention(struct ech_queue *queue, const struct ech_attention_args *a)
{
    int rc = ech_check_attention(a);
    if (rc)
        return rc;
    int64_t longest = ech_longest(a->starts, a->sequences);
    if (longest == 0)
        return ECH_OP_OK;
    double *e = ech_attention_scratch(queue, a, attention_workspace(a->compute, longest, a->head_dim, 1));
    if (!e)
        return ECH_OP_MEMORY;
    for (int64_t s = 0; s < a->sequences; s++)
        for (int64_t h = 0; h < a->heads; h++)
            for (int64_t i = 0; i < a->starts[s + 1] - a->starts[s]; i++)
                attend(a, a->starts[s], a->starts[s + 1] - a->starts[s], h, i, e);
    return ECH_OP_OK;
}

const struct ech_ops ech_ref_entries = {
    .name = "ref",
    .numerics = {[ECH_FMT_F32] = "ref-f64-1",
                 [ECH_FMT_BF16] = "ref-f64-bf16-1",
                 [ECH_FMT_INT8] = "ref-f64-int8-1",
                 [ECH_FMT_INT4] = "ref-f64-int4-1",
                 [ECH_FMT_BF16_F32] = "ref-f64-bf16-f32-1"},
    .linear_packed_bytes = ech_ref_packed_bytes,
    .linear_pack = ech_ref_pack,
    .attention_workspace = attention_workspace,
    .linear = ech_ref_linear,
    .convert = ech_ref_convert,
    .norm = ech_ref_norm,
    .attention = attention,
    .embed = ech_ref_embed,
    .pool = ech_ref_pool,
    .gate = ech_ref_gate,
    .rotary = ech_ref_rotary,
    .topk = ech_ref_topk,
    .activate = ech_ref_activate,
    .softmax = ech_ref_softmax,
    .log_softmax = ech_ref_log_softmax,
};
