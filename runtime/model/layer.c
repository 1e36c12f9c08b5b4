/* One layer: see layer.h. Shapes: T tokens, d hidden, q heads x head_dim, kv key heads x head_dim, f inner.
 */
#include "model/layer.h"

#include "base/num.h"

#include <math.h>

static const float *vector(const struct ech_net *net, enum ech_packed_piece piece, int64_t set)
{
    return ech_packing_at(&net->packing, net->packed, piece, set);
}

bool ech_has_norm(const struct ech_net *net, enum ech_packed_piece gain, int64_t set)
{
    return gain < ECH_PIECES && vector(net, gain, set) != NULL;
}

struct ech_rows ech_feed(const struct ech_net *net, const struct ech_work *w)
{
    return ech_rows_of(w->feed, net->spec.hidden, net->flow.feed, w->feed_scale);
}

int ech_norm_rows(const struct ech_net *net, struct ech_work *w, int64_t rows, int64_t cols, const float *x,
                  enum ech_packed_piece gain, int64_t set, float *y, struct ech_rows also)
{
    struct ech_norm_args args = {.size = sizeof args,
                                 .rows = rows,
                                 .cols = cols,
                                 .x = x,
                                 .ldx = cols,
                                 .gain = vector(net, gain, set),
                                 .shift = vector(net, (enum ech_packed_piece)(gain + 1), set),
                                 .eps = net->spec.norm_eps,
                                 .y = y,
                                 .ldy = cols,
                                 .kind = net->spec.norm,
                                 .gain_offset = net->spec.gain_offset};
    if (also.type != ECH_A_F32) {
        args.also = also.at;
        args.ld_also = also.ld;
        args.also_type = also.type;
        args.also_scale = also.scale;
    }
    return net->ops->norm(w->queue, &args);
}

struct ech_product ech_product_of(const struct ech_net *net, enum ech_packed_piece piece, int64_t set)
{
    return (struct ech_product){.matrix = ech_packing_matrix(&net->packing, piece, set),
                                .bias = vector(net, (enum ech_packed_piece)(piece + 1), set)};
}

int ech_multiply(const struct ech_net *net, struct ech_work *w, int64_t rows, struct ech_product p,
                 struct ech_rows x, struct ech_rows y)
{
    int status = ECH_OP_OK;
    int64_t at = 0;
    for (int i = 0; status == ECH_OP_OK && i < p.matrix->parts; i++) {
        const struct ech_matrix_part *part = &p.matrix->part[i];
        struct ech_linear_args args = {.size = sizeof args,
                                       .m = rows,
                                       .n = part->n,
                                       .k = p.matrix->k,
                                       .x = x.at,
                                       .ldx = x.ld,
                                       .packed = ech_matrix_at(part, net->packed),
                                       .bias = p.bias ? p.bias + at : NULL,
                                       .act = p.act,
                                       .residual = p.residual ? p.residual + at : NULL,
                                       .ldr = p.matrix->n,
                                       .y = (char *)y.at + (size_t)at * ech_atype_bytes(y.type),
                                       .ldy = y.ld,
                                       .format = part->format,
                                       .x_type = x.type,
                                       .y_type = y.type,
                                       .x_scale = x.scale,
                                       .y_scale = y.scale,
                                       .w_type = part->type,
                                       .x_multiplier = x.type == ECH_A_F32 ? part->multiplier : 0};
        status = net->ops->linear(w->queue, &args);
        at += part->n;
    }
    return status;
}

int ech_add_rows(const struct ech_net *net, struct ech_work *w, int64_t rows, int64_t cols, float *x,
                 const float *y)
{
    struct ech_combine_args args = {.size = sizeof args,
                                    .rows = rows,
                                    .cols = cols,
                                    .take = 1,
                                    .x_rows = rows,
                                    .x = y,
                                    .ldx = cols,
                                    .index = w->same,
                                    .add = true,
                                    .y = x,
                                    .ldy = cols};
    return net->ops->combine(w->queue, &args);
}

/* feed = x (T, d) in the product's type. */
static int convert_feed(struct ech_pass *p)
{
    const struct ech_net *net = p->net;
    struct ech_rows to = ech_feed(net, p->w);
    struct ech_convert_args args = {.size = sizeof args,
                                    .rows = p->tokens,
                                    .cols = net->spec.hidden,
                                    .x = p->w->x,
                                    .ldx = net->spec.hidden,
                                    .y = to.at,
                                    .ldy = to.ld,
                                    .y_type = to.type,
                                    .y_scale = to.scale};
    return net->ops->convert(p->w->queue, &args);
}

/* What a half takes: x as it is, or normalised (into the feed; by way of `wide` where that is not f32). */
static int enter(struct ech_pass *p, enum ech_packed_piece gain, int64_t set, struct ech_rows *in)
{
    const struct ech_net *net = p->net;
    struct ech_work *w = p->w;
    int64_t d = net->spec.hidden;
    int status = ECH_OP_OK;
    *in = ech_feed(net, w);
    if (ech_has_norm(net, gain, set)) {
        p->fed = false;
        return ech_norm_rows(net, w, p->tokens, d, w->x, gain, set, in->type == ECH_A_F32 ? in->at : w->wide,
                             *in);
    }
    if (in->type == ECH_A_F32)
        *in = ech_floats(w->x, d);
    else if (!p->fed)
        status = convert_feed(p);
    p->fed = true;
    return status;
}

/* x = sum(x + out(product of from)), either norm where it is there; temp (T, d) is not `from`. */
static int leave(struct ech_pass *p, struct ech_product product, struct ech_rows from, float *temp,
                 enum ech_packed_piece out, enum ech_packed_piece sum, int64_t set)
{
    const struct ech_net *net = p->net;
    struct ech_work *w = p->w;
    int64_t d = net->spec.hidden;
    bool out_norm = ech_has_norm(net, out, set), sum_norm = ech_has_norm(net, sum, set);
    float *to = out_norm || sum_norm ? temp : w->x;
    product.residual = out_norm ? NULL : w->x;
    int status = ech_multiply(net, w, p->tokens, product, from, ech_floats(to, d));
    if (status == ECH_OP_OK && out_norm)
        status = ech_norm_rows(net, w, p->tokens, d, temp, out, set, temp, ech_floats(NULL, 0));
    if (status == ECH_OP_OK && out_norm)
        status = ech_add_rows(net, w, p->tokens, d, w->x, temp);
    if (status == ECH_OP_OK && sum_norm)
        status =
            ech_norm_rows(net, w, p->tokens, d, out_norm ? w->x : temp, sum, set, w->x, ech_feed(net, w));
    p->fed = sum_norm;
    return status;
}

/* --- attention --- */

/* Query and key normed, each head by itself or all heads at once. */
static int norm_heads(struct ech_pass *p, struct ech_rows x, int64_t heads, enum ech_packed_piece gain,
                      int64_t set)
{
    const struct ech_spec *s = &p->net->spec;
    bool each = s->qk_norm == ECH_QK_HEAD;
    struct ech_norm_args args = {.size = sizeof args,
                                 .rows = p->tokens,
                                 .cols = each ? s->head_dim : heads * s->head_dim,
                                 .parts = each ? heads : 1,
                                 .x = x.at,
                                 .ldx = x.ld,
                                 .gain = vector(p->net, gain, set),
                                 .eps = s->norm_eps,
                                 .y = x.at,
                                 .ldy = x.ld,
                                 .kind = s->norm,
                                 .gain_offset = s->gain_offset};
    return p->net->ops->norm(p->w->queue, &args);
}

static int turn(struct ech_pass *p, struct ech_rows x, int64_t heads, int rope)
{
    const struct ech_spec *s = &p->net->spec;
    struct ech_rotary_args args = {.size = sizeof args,
                                   .rows = p->tokens,
                                   .heads = heads,
                                   .head_dim = s->head_dim,
                                   .rotary = s->ropes[rope].dim,
                                   .table_rows = p->turns[rope],
                                   .x = x.at,
                                   .ldx = x.ld,
                                   .cos = p->cos[rope],
                                   .sin = p->sin[rope],
                                   .positions = p->w->turns[rope],
                                   .interleaved = s->ropes[rope].interleaved};
    return p->net->ops->rotary(p->w->queue, &args);
}

static int prepare_heads(struct ech_pass *p, int64_t layer, const struct ech_heads *h)
{
    const struct ech_spec *s = &p->net->spec;
    int64_t set = ech_spec_group(s, layer);
    int rope = ech_spec_kind(s, layer)->rope, status = ECH_OP_OK;
    if (s->qk_norm != ECH_QK_NONE) {
        status = norm_heads(p, h->q, s->heads, ECH_P_QNORM_W, set);
        if (status == ECH_OP_OK)
            status = norm_heads(p, h->k, s->kv_heads, ECH_P_KNORM_W, set);
    }
    if (status == ECH_OP_OK && rope >= 0)
        status = turn(p, h->q, s->heads, rope);
    if (status == ECH_OP_OK && rope >= 0)
        status = turn(p, h->k, s->kv_heads, rope);
    return status;
}

/* The step's keys and values behind those that the cache has of each sequence. */
static int store(struct ech_pass *p, int64_t layer, const struct ech_heads *h)
{
    int status = ECH_OP_OK;
    for (int64_t s = 0; s < p->sequences && status == ECH_OP_OK; s++) {
        int64_t first = p->starts[s], count = p->starts[s + 1] - first;
        status = ech_cache_store(
            p->keys.cache, p->w->queue, layer, p->keys.starts[s] + p->keys.counts[s] - count, count,
            (float *)h->k.at + first * h->k.ld, (float *)h->v.at + first * h->v.ld, h->k.ld);
    }
    return status;
}

static struct ech_attention_args arguments(struct ech_pass *p, struct ech_rows q, struct ech_rows y)
{
    const struct ech_spec *s = &p->net->spec;
    float scale = s->attention_scale != 0 ? s->attention_scale : 1.0f / sqrtf((float)s->head_dim);
    return (struct ech_attention_args){.size = sizeof(struct ech_attention_args),
                                       .sequences = p->sequences,
                                       .heads = s->heads,
                                       .kv_heads = s->kv_heads,
                                       .head_dim = s->head_dim,
                                       .starts = p->starts,
                                       .q = q.at,
                                       .ldq = q.ld,
                                       .scale = scale,
                                       .out = y.at,
                                       .ldo = y.ld,
                                       .compute = p->net->flow.attention,
                                       .q_type = q.type,
                                       .out_type = y.type};
}

/* Keys and values of a layer in a cache. */
static void see(struct ech_attention_args *args, const struct ech_keys *keys, int64_t layer)
{
    args->k = ech_cache_at(keys->cache, layer, false, 0);
    args->v = ech_cache_at(keys->cache, layer, true, 0);
    args->ldk = args->ldv = keys->cache->width;
    args->kv_type = keys->cache->type;
    args->key_starts = keys->starts;
    args->key_counts = keys->counts;
}

static int attend(struct ech_pass *p, int64_t layer, const struct ech_heads *h, struct ech_rows y)
{
    const struct ech_net *net = p->net;
    const struct ech_spec *s = &net->spec;
    struct ech_attention_args args = arguments(p, h->q, y);
    args.bias = vector(net, ECH_P_RELATIVE, 0);
    args.bias_span = net->packing.span;
    args.slopes = vector(net, ECH_P_SLOPES, 0);
    args.causal = s->part == ECH_PART_DECODER;
    args.window = ech_spec_kind(s, layer)->window;
    args.softcap = s->softcap;
    args.k = h->k.at;
    args.v = h->v.at;
    args.ldk = h->k.ld;
    args.ldv = h->v.ld;
    args.kv_type = h->k.type;
    if (p->keys.cache)
        see(&args, &p->keys, layer);
    return net->ops->attention(p->w->queue, &args);
}

static struct ech_heads split(const struct ech_spec *s, struct ech_rows wide)
{
    size_t size = ech_atype_bytes(wide.type);
    struct ech_heads h = {wide, wide, wide};
    h.k.at = (char *)wide.at + (size_t)(s->heads * s->head_dim) * size;
    h.v.at = (char *)h.k.at + (size_t)(s->kv_heads * s->head_dim) * size;
    return h;
}

/* y (T, q) = attention over query, key and value of the input. */
static int self_attention(struct ech_pass *p, int64_t layer, struct ech_rows in, struct ech_rows y)
{
    const struct ech_net *net = p->net;
    struct ech_product qkv = ech_product_of(net, ECH_P_QKV_W, ech_spec_group(&net->spec, layer));
    struct ech_rows wide = ech_rows_of(p->w->wide, qkv.matrix->n, net->flow.qkv, NULL);
    struct ech_heads h = split(&net->spec, wide);
    int status = ech_multiply(net, p->w, p->tokens, qkv, in, wide);
    if (status == ECH_OP_OK)
        status = prepare_heads(p, layer, &h);
    if (status == ECH_OP_OK && p->keys.cache)
        status = store(p, layer, &h);
    if (status == ECH_OP_OK && net->spec.disentangled)
        return ech_relative_attend(p, layer, &h, y);
    return status == ECH_OP_OK ? attend(p, layer, &h, y) : status;
}

static struct ech_rows attended(const struct ech_pass *p)
{
    const struct ech_spec *s = &p->net->spec;
    return ech_rows_of(p->w->y, s->heads * s->head_dim, p->net->flow.attended, NULL);
}

static int run_attention(struct ech_pass *p, int64_t layer)
{
    int64_t set = ech_spec_group(&p->net->spec, layer);
    struct ech_rows in, y = attended(p);
    int status = enter(p, ECH_P_IN1_W, set, &in);
    if (status == ECH_OP_OK)
        status = self_attention(p, layer, in, y);
    if (status == ECH_OP_OK)
        status =
            leave(p, ech_product_of(p->net, ECH_P_O_W, set), y, p->w->wide, ECH_P_OUT1_W, ECH_P_NORM1_W, set);
    return status;
}

/* Attention over the states of the encoder. */
static int run_cross(struct ech_pass *p, int64_t layer)
{
    const struct ech_net *net = p->net;
    int64_t set = ech_spec_group(&net->spec, layer);
    struct ech_product q = ech_product_of(net, ECH_P_XQ_W, set);
    struct ech_rows in, y = attended(p), wide = ech_floats(p->w->wide, q.matrix->n);
    int status = enter(p, ECH_P_INX_W, set, &in);
    if (status == ECH_OP_OK)
        status = ech_multiply(net, p->w, p->tokens, q, in, wide);
    if (status == ECH_OP_OK) {
        struct ech_attention_args args = arguments(p, wide, y);
        see(&args, &p->cross, layer);
        status = net->ops->attention(p->w->queue, &args);
    }
    if (status == ECH_OP_OK)
        status =
            leave(p, ech_product_of(net, ECH_P_XO_W, set), y, p->w->wide, ECH_PIECES, ECH_P_NORMX_W, set);
    return status;
}

/* --- SSRU: x = norm(x + relu(cell)), the cell one token after the other --- */

static int run_cell_rows(struct ech_pass *p, int64_t layer, float *forget, const float *input)
{
    int64_t d = p->net->spec.hidden;
    int status = ECH_OP_OK;
    for (int64_t s = 0; s < p->sequences; s++)
        for (int64_t t = p->starts[s]; t < p->starts[s + 1] && status == ECH_OP_OK; t++) {
            struct ech_ssru_args args = {.size = sizeof args,
                                         .rows = 1,
                                         .cols = d,
                                         .forget = forget + t * d,
                                         .x = input + t * d,
                                         .ldf = d,
                                         .ldx = d,
                                         .cell = p->cells[s] + layer * d,
                                         .ldc = d,
                                         .y = forget + t * d,
                                         .ldy = d};
            status = p->net->ops->ssru(p->w->queue, &args);
        }
    return status;
}

static int run_cell(struct ech_pass *p, int64_t layer)
{
    const struct ech_net *net = p->net;
    struct ech_work *w = p->w;
    int64_t set = ech_spec_group(&net->spec, layer), d = net->spec.hidden;
    float *forget = w->y, *input = w->wide;
    struct ech_rows in;
    int status = enter(p, ECH_P_IN1_W, set, &in);
    if (status == ECH_OP_OK)
        status = ech_multiply(net, w, p->tokens, ech_product_of(net, ECH_P_FORGET_W, set), in,
                              ech_floats(forget, d));
    if (status == ECH_OP_OK)
        status =
            ech_multiply(net, w, p->tokens, ech_product_of(net, ECH_P_CELL_W, set), in, ech_floats(input, d));
    if (status == ECH_OP_OK)
        status = run_cell_rows(p, layer, forget, input);
    if (status == ECH_OP_OK)
        status = ech_add_rows(net, w, p->tokens, d, w->x, forget);
    bool sum = ech_has_norm(net, ECH_P_NORM1_W, set);
    if (status == ECH_OP_OK && sum)
        status = ech_norm_rows(net, w, p->tokens, d, w->x, ECH_P_NORM1_W, set, w->x, ech_feed(net, w));
    p->fed = sum;
    return status;
}

/* --- the MLP --- */

/* wide (T, f) = act(gate) * up, of rows that hold both. */
static int gate(struct ech_pass *p, int64_t f, float *wide)
{
    struct ech_gate_args args = {.size = sizeof args,
                                 .rows = p->tokens,
                                 .cols = f,
                                 .act = p->net->spec.act,
                                 .gate = wide,
                                 .up = wide + f,
                                 .ldg = 2 * f,
                                 .ldu = 2 * f,
                                 .y = wide,
                                 .ldy = 2 * f};
    return p->net->ops->gate(p->w->queue, &args);
}

static int mlp(struct ech_pass *p, int64_t layer, struct ech_rows in)
{
    const struct ech_net *net = p->net;
    struct ech_work *w = p->w;
    int64_t set = ech_spec_group(&net->spec, layer), f = net->spec.intermediate;
    struct ech_product up = ech_product_of(net, ECH_P_UP_W, set);
    struct ech_rows wide = ech_rows_of(w->wide, up.matrix->n, net->flow.up, w->wide_scale);
    if (ech_spec_kind(&net->spec, layer)->experts) {
        p->fed = false;
        return ech_experts_run(p, layer, in);
    }
    up.act = net->spec.gated ? ECH_ACT_NONE : net->spec.act;
    int status = ech_multiply(net, w, p->tokens, up, in, wide);
    if (status == ECH_OP_OK && net->spec.gated)
        status = gate(p, f, wide.at);
    if (status == ECH_OP_OK)
        status =
            leave(p, ech_product_of(net, ECH_P_DOWN_W, set), wide, w->y, ECH_P_OUT2_W, ECH_P_NORM2_W, set);
    return status;
}

static int run_mlp(struct ech_pass *p, int64_t layer)
{
    struct ech_rows in;
    int status = enter(p, ECH_P_IN2_W, ech_spec_group(&p->net->spec, layer), &in);
    return status == ECH_OP_OK ? mlp(p, layer, in) : status;
}

/* Both halves read the x that came; the MLP has its own norm of it, or the attention's. */
static int run_parallel(struct ech_pass *p, int64_t layer)
{
    int64_t set = ech_spec_group(&p->net->spec, layer);
    struct ech_rows in, y = attended(p);
    int status = enter(p, ECH_P_IN1_W, set, &in);
    if (status == ECH_OP_OK)
        status = self_attention(p, layer, in, y);
    if (status == ECH_OP_OK && ech_has_norm(p->net, ECH_P_IN2_W, set))
        status = enter(p, ECH_P_IN2_W, set, &in);
    if (status == ECH_OP_OK)
        status = leave(p, ech_product_of(p->net, ECH_P_O_W, set), y, p->w->wide, ECH_PIECES, ECH_PIECES, set);
    return status == ECH_OP_OK ? mlp(p, layer, in) : status;
}

int ech_layer_run(struct ech_pass *p, int64_t layer)
{
    const struct ech_spec *s = &p->net->spec;
    if (s->parallel)
        return run_parallel(p, layer);
    int status = s->ssru ? run_cell(p, layer) : run_attention(p, layer);
    if (status == ECH_OP_OK && s->crossed)
        status = run_cross(p, layer);
    return status == ECH_OP_OK ? run_mlp(p, layer) : status;
}
