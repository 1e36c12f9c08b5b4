/* The encoder: see forward.h. Shapes: T tokens, d hidden, f intermediate, e width of the tables. */
#include "model/forward.h"

#include <math.h>
#include <string.h>

static const float *vector(const struct ech_net *net, enum ech_packed_piece piece, int64_t layer)
{
    return ech_packing_at(&net->packing, net->packed, piece, layer);
}

/* Rows of one type, as an operation reads or writes them. */
struct rows {
    void *at;
    int64_t ld;
    enum ech_atype type;
    float *scale;
};

static struct rows rows_of(void *at, int64_t cols, enum ech_atype type, float *scale)
{
    return (struct rows){at, type == ECH_A_Q8 ? ech_q8_stride(cols) : cols, type, scale};
}

static struct rows floats(float *at, int64_t cols)
{
    return rows_of(at, cols, ECH_A_F32, NULL);
}

/* The input of the next product: beside the hidden state, or that itself. */
static struct rows feed(const struct ech_net *net, const struct ech_work *w)
{
    return rows_of(w->feed, net->spec.hidden, ech_flow_of(net->packing.format)->feed, w->feed_scale);
}

/* Positions count from 0, or from pad + 1 over the tokens that are not pad. */
static void number_positions(const struct ech_spec *s, struct ech_work *w, int64_t sequences)
{
    for (int64_t q = 0; q < sequences; q++) {
        int32_t next = s->skip_pad ? (int32_t)s->pad + 1 : 0;
        for (int64_t t = w->starts[q]; t < w->starts[q + 1]; t++)
            w->positions[t] = s->skip_pad && w->words[t] == s->pad ? (int32_t)s->pad : next++;
    }
}

/* Device memory gets its copy of the input. */
static int put_ids(const struct ech_net *net, struct ech_work *w, int64_t tokens)
{
    const int32_t *const own[3] = {w->words, w->positions, w->types};
    int status = ECH_OP_OK;
    for (int i = 0; i < 3 && net->ops->device && status == ECH_OP_OK; i++)
        status = net->ops->put(w->queue, w->ids[i], own[i], (size_t)tokens * sizeof *own[i]);
    return status;
}

/* y (T, cols) = norm(x), and `also` in the next product's type unless that is f32; y may be x. */
static int norm(const struct ech_net *net, struct ech_work *w, int64_t rows, int64_t cols, const float *x,
                enum ech_packed_piece gain, int64_t layer, float *y, struct rows also)
{
    struct ech_norm_args args = {.size = sizeof args,
                                 .rows = rows,
                                 .cols = cols,
                                 .x = x,
                                 .ldx = cols,
                                 .gain = vector(net, gain, layer),
                                 .shift = vector(net, (enum ech_packed_piece)(gain + 1), layer),
                                 .eps = net->spec.norm_eps,
                                 .y = y,
                                 .ldy = cols};
    if (also.type != ECH_A_F32) {
        args.also = also.at;
        args.ld_also = also.ld;
        args.also_type = also.type;
        args.also_scale = also.scale;
    }
    return net->ops->norm(w->queue, &args);
}

struct product {
    enum ech_packed_piece piece; /* its bias is the next piece */
    int64_t layer, n, k;
    enum ech_act act;
    const float *residual; /* (T, n) or NULL */
};

static int multiply(const struct ech_net *net, struct ech_work *w, int64_t rows, struct product p,
                    struct rows x, struct rows y)
{
    struct ech_linear_args args = {.size = sizeof args,
                                   .m = rows,
                                   .n = p.n,
                                   .k = p.k,
                                   .x = x.at,
                                   .ldx = x.ld,
                                   .packed = ech_packing_at(&net->packing, net->packed, p.piece, p.layer),
                                   .bias = vector(net, (enum ech_packed_piece)(p.piece + 1), p.layer),
                                   .act = p.act,
                                   .residual = p.residual,
                                   .ldr = p.n,
                                   .y = y.at,
                                   .ldy = y.ld,
                                   .format = net->packing.format,
                                   .x_type = x.type,
                                   .y_type = y.type,
                                   .x_scale = x.scale,
                                   .y_scale = y.scale};
    return net->ops->linear(w->queue, &args);
}

/* feed = x (T, d) in the product's type. */
static int convert_feed(const struct ech_net *net, struct ech_work *w, int64_t rows)
{
    struct rows to = feed(net, w);
    if (to.type == ECH_A_F32)
        return ECH_OP_OK;
    struct ech_convert_args args = {.size = sizeof args,
                                    .rows = rows,
                                    .cols = net->spec.hidden,
                                    .x = w->x,
                                    .ldx = net->spec.hidden,
                                    .y = to.at,
                                    .ldy = to.ld,
                                    .y_type = to.type,
                                    .y_scale = to.scale};
    return net->ops->convert(w->queue, &args);
}

/* y (T, e) = word + type + position. */
static int gather(const struct ech_net *net, struct ech_work *w, int64_t tokens, float *y)
{
    const struct ech_spec *s = &net->spec;
    struct ech_embed_args args = {.size = sizeof args, .count = tokens, .cols = s->embed, .y = y};
    const enum ech_packed_piece order[] = {ECH_P_WORD, ECH_P_TYPE, ECH_P_POSITION};
    const int32_t *ids[] = {w->ids[0], w->ids[2], w->ids[1]};
    const int64_t rows[] = {s->vocab, s->types, s->positions};
    for (int i = 0; i < 3; i++) {
        const void *table = ech_packing_at(&net->packing, net->packed, order[i], 0);
        if (!table)
            continue;
        int64_t t = args.tables_count++;
        args.tables[t] = table;
        args.wtype[t] = net->table_types[order[i]];
        args.rows[t] = rows[i];
        args.ids[t] = ids[i];
    }
    return net->ops->embed(w->queue, &args);
}

/* x (T, d) and feed = embeddings, normalised, projected where e != d. */
static int embed(const struct ech_net *net, struct ech_work *w, int64_t tokens)
{
    const struct ech_spec *s = &net->spec;
    bool project = s->embed != s->hidden;
    float *to = project ? (float *)w->wide : w->x;
    struct rows also = project ? floats(NULL, 0) : feed(net, w);
    int status = gather(net, w, tokens, to);
    if (status == ECH_OP_OK)
        status = norm(net, w, tokens, s->embed, to, ECH_P_NORM_W, 0, to, also);
    if (status != ECH_OP_OK || !project)
        return status;
    struct product p = {.piece = ECH_P_PROJECT_W, .n = s->hidden, .k = s->embed};
    status = multiply(net, w, tokens, p, floats(to, s->embed), floats(w->x, s->hidden));
    return status == ECH_OP_OK ? convert_feed(net, w, tokens) : status;
}

/* x (T, d) and feed = the hidden states of the stage before. */
static int resume(const struct ech_net *net, struct ech_work *w, int64_t tokens)
{
    size_t bytes = (size_t)(tokens * net->spec.hidden) * sizeof *w->x;
    int status = net->ops->put(w->queue, w->x, w->states, bytes);
    return status == ECH_OP_OK ? convert_feed(net, w, tokens) : status;
}

static int begin(const struct ech_net *net, struct ech_work *w, int64_t sequences)
{
    int64_t tokens = w->starts[sequences];
    if (!net->stage.head)
        return resume(net, w, tokens);
    number_positions(&net->spec, w, sequences);
    int status = put_ids(net, w, tokens);
    return status == ECH_OP_OK ? embed(net, w, tokens) : status;
}

/* y (T, d) = attention over qkv (T, 3d) = query, key, value. */
static int attend(const struct ech_net *net, struct ech_work *w, int64_t sequences, struct rows qkv,
                  struct rows y)
{
    const struct ech_spec *s = &net->spec;
    char *at = qkv.at;
    size_t step = (size_t)s->hidden * ech_atype_bytes(qkv.type);
    struct ech_attention_args args = {.size = sizeof args,
                                      .sequences = sequences,
                                      .heads = s->heads,
                                      .kv_heads = s->heads,
                                      .head_dim = s->head_dim,
                                      .starts = w->starts,
                                      .q = at,
                                      .k = at + step,
                                      .v = at + 2 * step,
                                      .ldq = qkv.ld,
                                      .ldk = qkv.ld,
                                      .ldv = qkv.ld,
                                      .bias = vector(net, ECH_P_RELATIVE, 0),
                                      .bias_span = net->packing.span,
                                      .scale = 1.0f / sqrtf((float)s->head_dim),
                                      .out = y.at,
                                      .ldo = y.ld,
                                      .compute = ech_flow_of(net->packing.format)->attention,
                                      .q_type = qkv.type,
                                      .kv_type = qkv.type,
                                      .out_type = y.type};
    return net->ops->attention(w->queue, &args);
}

/* x = norm(x + O attention(QKV x)): the norm stands after each half. */
static int run_attention(const struct ech_net *net, struct ech_work *w, int64_t sequences, int64_t layer)
{
    const struct ech_flow *flow = ech_flow_of(net->packing.format);
    int64_t tokens = w->starts[sequences], d = net->spec.hidden;
    struct product qkv = {.piece = ECH_P_QKV_W, .layer = layer, .n = 3 * d, .k = d};
    struct product out = {.piece = ECH_P_O_W, .layer = layer, .n = d, .k = d, .residual = w->x};
    struct rows wide = rows_of(w->wide, 3 * d, flow->qkv, NULL);
    struct rows attended = rows_of(w->y, d, flow->attended, NULL);
    int status = multiply(net, w, tokens, qkv, feed(net, w), wide);
    if (status == ECH_OP_OK)
        status = attend(net, w, sequences, wide, attended);
    if (status == ECH_OP_OK)
        status = multiply(net, w, tokens, out, attended, floats(w->wide, d));
    if (status == ECH_OP_OK)
        status = norm(net, w, tokens, d, w->wide, ECH_P_NORM1_W, layer, w->x, feed(net, w));
    return status;
}

/* x = norm(x + down act(up x)). */
static int run_mlp(const struct ech_net *net, struct ech_work *w, int64_t tokens, int64_t layer)
{
    const struct ech_spec *s = &net->spec;
    int64_t d = s->hidden, f = s->intermediate;
    struct product up = {.piece = ECH_P_UP_W, .layer = layer, .n = f, .k = d, .act = s->act};
    struct product down = {.piece = ECH_P_DOWN_W, .layer = layer, .n = d, .k = f, .residual = w->x};
    struct rows wide = rows_of(w->wide, f, ech_flow_of(net->packing.format)->up, w->wide_scale);
    int status = multiply(net, w, tokens, up, feed(net, w), wide);
    if (status == ECH_OP_OK)
        status = multiply(net, w, tokens, down, wide, floats(w->y, d));
    if (status == ECH_OP_OK)
        status = norm(net, w, tokens, d, w->y, ECH_P_NORM2_W, layer, w->x, feed(net, w));
    return status;
}

/* The result, brought into the process's memory. */
static int finish(const struct ech_net *net, struct ech_work *w, int64_t sequences, float *out)
{
    int64_t d = net->spec.hidden;
    if (net->hidden_states || !net->stage.tail)
        return net->ops->get(w->queue, out, w->x, (size_t)(w->starts[sequences] * d) * sizeof *out);
    struct ech_pool_args args = {.size = sizeof args,
                                 .sequences = sequences,
                                 .cols = d,
                                 .starts = w->starts,
                                 .x = w->x,
                                 .ldx = d,
                                 .kind = net->pooling,
                                 .normalize = net->normalize,
                                 .out = net->ops->device ? w->y : out};
    int status = net->ops->pool(w->queue, &args);
    if (status == ECH_OP_OK && net->ops->device)
        status = net->ops->get(w->queue, out, w->y, (size_t)(sequences * d) * sizeof *out);
    return status;
}

static int fail(const struct ech_net *net, const struct ech_work *w, int64_t sequences, int status,
                struct ech_err *err)
{
    const char *why = ech_queue_error(w->queue);
    long long tokens = (long long)w->starts[sequences];
    if (status == ECH_OP_MEMORY)
        return ech_fail(err, ECH_UNAVAILABLE, "the backend %s is out of memory at %lld tokens%s%s",
                        net->ops->name, tokens, *why ? ": " : "", why);
    if (status == ECH_OP_DEVICE)
        return ech_fail(err, ECH_UNAVAILABLE, "the backend %s failed at %lld tokens: %s", net->ops->name,
                        tokens, why);
    return ech_fail(err, ECH_BUG,
                    "an operation of the backend %s refused %lld sequences of %lld tokens: status %d",
                    net->ops->name, (long long)sequences, tokens, status);
}

int ech_forward(const struct ech_net *net, struct ech_work *w, int64_t sequences, float *out,
                struct ech_err *err)
{
    int64_t tokens = w->starts[sequences];
    int status = begin(net, w, sequences);
    for (int64_t layer = net->stage.first; status == ECH_OP_OK && layer < net->stage.end; layer++) {
        status = run_attention(net, w, sequences, layer);
        if (status == ECH_OP_OK)
            status = run_mlp(net, w, tokens, layer);
    }
    if (status == ECH_OP_OK)
        status = finish(net, w, sequences, out);
    int done = ech_queue_sync(w->queue); /* always: what was queued still uses the buffers */
    if (status == ECH_OP_OK)
        status = done;
    return status == ECH_OP_OK ? ECH_OK : fail(net, w, sequences, status, err);
}
