/* The encoder: see forward.h. Shapes: T tokens, d hidden, f intermediate, e width of the tables. */
#include "model/forward.h"

#include "base/mem.h"
#include "base/num.h"

#include <math.h>
#include <string.h>

enum { ALIGN = 64 };

struct carving {
    size_t x, y, wide, words, positions, types, starts, total;
};

static size_t take(size_t *at, int64_t count, size_t size)
{
    size_t from = *at;
    *at += ((size_t)count * size + ALIGN - 1) / ALIGN * ALIGN;
    return from;
}

static struct carving carve(const struct ech_spec *s, int64_t capacity)
{
    struct carving c = {0};
    int64_t wide = ech_max64(3 * s->hidden, ech_max64(s->intermediate, s->embed));
    c.x = take(&c.total, capacity * s->hidden, sizeof(float));
    c.y = take(&c.total, capacity * s->hidden, sizeof(float));
    c.wide = take(&c.total, capacity * wide, sizeof(float));
    c.words = take(&c.total, capacity, sizeof(int32_t));
    c.positions = take(&c.total, capacity, sizeof(int32_t));
    c.types = take(&c.total, capacity, sizeof(int32_t));
    c.starts = take(&c.total, capacity + 1, sizeof(int64_t));
    return c;
}

/* Scratch of the backend: its largest product here, or its longest attention. */
static size_t queue_bytes(const struct ech_net *net, int64_t capacity)
{
    const struct ech_spec *s = &net->spec;
    const struct ech_ops *ops = net->ops;
    size_t shapes[] = {ops->linear_workspace(ECH_FMT_F32, capacity, 3 * s->hidden, s->hidden, 1),
                       ops->linear_workspace(ECH_FMT_F32, capacity, s->intermediate, s->hidden, 1),
                       ops->linear_workspace(ECH_FMT_F32, capacity, s->hidden, s->intermediate, 1),
                       ops->linear_workspace(ECH_FMT_F32, capacity, s->hidden, s->embed, 1),
                       ops->attention_workspace(ECH_FMT_F32, capacity, s->head_dim, 1)};
    size_t most = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        most = shapes[i] > most ? shapes[i] : most;
    return (most + ALIGN - 1) / ALIGN * ALIGN;
}

size_t ech_work_bytes(const struct ech_net *net, int64_t capacity)
{
    return carve(&net->spec, capacity).total + queue_bytes(net, capacity);
}

int ech_work_init(struct ech_work *work, const struct ech_net *net, int64_t capacity, struct ech_err *err)
{
    struct carving c = carve(&net->spec, capacity);
    memset(work, 0, sizeof *work);
    char *block = ech_alloc_aligned(c.total, err);
    if (!block)
        return ECH_UNAVAILABLE;
    work->block = block;
    work->capacity = capacity;
    work->x = (float *)(void *)(block + c.x);
    work->y = (float *)(void *)(block + c.y);
    work->wide = (float *)(void *)(block + c.wide);
    work->words = (int32_t *)(void *)(block + c.words);
    work->positions = (int32_t *)(void *)(block + c.positions);
    work->types = (int32_t *)(void *)(block + c.types);
    work->starts = (int64_t *)(void *)(block + c.starts);
    struct ech_queue_options options = {.size = sizeof options,
                                        .workspace_bytes = queue_bytes(net, capacity)};
    work->queue = ech_queue_open(net->ops, &options, NULL);
    if (!work->queue) {
        ech_work_fini(work);
        return ech_fail(err, ECH_UNAVAILABLE, "out of memory: %zu bytes wanted by the backend %s",
                        queue_bytes(net, capacity), net->ops->name);
    }
    return ECH_OK;
}

void ech_work_fini(struct ech_work *work)
{
    if (work->queue)
        ech_queue_close(work->queue);
    ech_free(work->block);
    memset(work, 0, sizeof *work);
}

static const float *vector(const struct ech_net *net, enum ech_packed_piece piece, int64_t layer)
{
    return ech_packing_at(&net->packing, net->packed, piece, layer);
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

/* y (T, cols) = norm(x); y may be x. */
static int norm(const struct ech_net *net, struct ech_work *w, int64_t rows, int64_t cols, const float *x,
                enum ech_packed_piece gain, int64_t layer, float *y)
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
    return net->ops->norm(w->queue, &args);
}

struct product {
    enum ech_packed_piece piece; /* its bias is the next piece */
    int64_t layer, n, k;
    enum ech_act act;
    const float *residual; /* (T, n) or NULL */
};

static int multiply(const struct ech_net *net, struct ech_work *w, int64_t rows, struct product p,
                    const float *x, float *y)
{
    struct ech_linear_args args = {.size = sizeof args,
                                   .m = rows,
                                   .n = p.n,
                                   .k = p.k,
                                   .x = x,
                                   .ldx = p.k,
                                   .packed = ech_packing_at(&net->packing, net->packed, p.piece, p.layer),
                                   .bias = vector(net, (enum ech_packed_piece)(p.piece + 1), p.layer),
                                   .act = p.act,
                                   .residual = p.residual,
                                   .ldr = p.n,
                                   .y = y,
                                   .ldy = p.n};
    return net->ops->linear(w->queue, &args);
}

/* x (T, d) = embeddings: word + type + position, normalised, projected where e != d. */
static int embed(const struct ech_net *net, struct ech_work *w, int64_t tokens)
{
    const struct ech_spec *s = &net->spec;
    bool project = s->embed != s->hidden;
    float *to = project ? w->wide : w->x;
    struct ech_embed_args args = {.size = sizeof args, .count = tokens, .cols = s->embed, .y = to};
    const enum ech_packed_piece order[] = {ECH_P_WORD, ECH_P_TYPE, ECH_P_POSITION};
    const int32_t *ids[] = {w->words, w->types, w->positions};
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
    int status = net->ops->embed(w->queue, &args);
    if (status == ECH_OP_OK)
        status = norm(net, w, tokens, s->embed, to, ECH_P_NORM_W, 0, to);
    if (status == ECH_OP_OK && project)
        status =
            multiply(net, w, tokens,
                     (struct product){.piece = ECH_P_PROJECT_W, .n = s->hidden, .k = s->embed}, to, w->x);
    return status;
}

/* y (T, d) = attention over wide (T, 3d) = query, key, value. */
static int attend(const struct ech_net *net, struct ech_work *w, int64_t sequences)
{
    const struct ech_spec *s = &net->spec;
    struct ech_attention_args args = {.size = sizeof args,
                                      .sequences = sequences,
                                      .heads = s->heads,
                                      .kv_heads = s->heads,
                                      .head_dim = s->head_dim,
                                      .starts = w->starts,
                                      .q = w->wide,
                                      .k = w->wide + s->hidden,
                                      .v = w->wide + 2 * s->hidden,
                                      .ldq = 3 * s->hidden,
                                      .ldk = 3 * s->hidden,
                                      .ldv = 3 * s->hidden,
                                      .bias = vector(net, ECH_P_RELATIVE, 0),
                                      .bias_span = net->packing.span,
                                      .scale = 1.0f / sqrtf((float)s->head_dim),
                                      .out = w->y,
                                      .ldo = s->hidden,
                                      .workspace = ech_queue_workspace(w->queue)};
    return net->ops->attention(w->queue, &args);
}

/* x = norm(x + O attention(QKV x)); x = norm(x + down act(up x)): the norm stands after each half. */
static int run_layer(const struct ech_net *net, struct ech_work *w, int64_t sequences, int64_t layer)
{
    const struct ech_spec *s = &net->spec;
    int64_t tokens = w->starts[sequences], d = s->hidden, f = s->intermediate;
    int status =
        multiply(net, w, tokens, (struct product){.piece = ECH_P_QKV_W, .layer = layer, .n = 3 * d, .k = d},
                 w->x, w->wide);
    if (status == ECH_OP_OK)
        status = attend(net, w, sequences);
    if (status == ECH_OP_OK)
        status =
            multiply(net, w, tokens,
                     (struct product){.piece = ECH_P_O_W, .layer = layer, .n = d, .k = d, .residual = w->x},
                     w->y, w->wide);
    if (status == ECH_OP_OK)
        status = norm(net, w, tokens, d, w->wide, ECH_P_NORM1_W, layer, w->x);
    if (status == ECH_OP_OK)
        status =
            multiply(net, w, tokens,
                     (struct product){.piece = ECH_P_UP_W, .layer = layer, .n = f, .k = d, .act = s->act},
                     w->x, w->wide);
    if (status == ECH_OP_OK)
        status = multiply(
            net, w, tokens,
            (struct product){.piece = ECH_P_DOWN_W, .layer = layer, .n = d, .k = f, .residual = w->x},
            w->wide, w->y);
    if (status == ECH_OP_OK)
        status = norm(net, w, tokens, d, w->y, ECH_P_NORM2_W, layer, w->x);
    return status;
}

static int finish(const struct ech_net *net, struct ech_work *w, int64_t sequences, float *out)
{
    int64_t d = net->spec.hidden;
    if (net->hidden_states) {
        memcpy(out, w->x, (size_t)(w->starts[sequences] * d) * sizeof *out);
        return ECH_OP_OK;
    }
    struct ech_pool_args args = {.size = sizeof args,
                                 .sequences = sequences,
                                 .cols = d,
                                 .starts = w->starts,
                                 .x = w->x,
                                 .ldx = d,
                                 .kind = net->pooling,
                                 .normalize = net->normalize,
                                 .out = out};
    return net->ops->pool(w->queue, &args);
}

int ech_forward(const struct ech_net *net, struct ech_work *w, int64_t sequences, float *out,
                struct ech_err *err)
{
    number_positions(&net->spec, w, sequences);
    int status = embed(net, w, w->starts[sequences]);
    for (int64_t layer = 0; status == ECH_OP_OK && layer < net->spec.layers; layer++)
        status = run_layer(net, w, sequences, layer);
    if (status == ECH_OP_OK)
        status = finish(net, w, sequences, out);
    if (status == ECH_OP_OK && ech_queue_sync(w->queue) != ECH_OP_OK)
        status = ECH_OP_MEMORY;
    if (status == ECH_OP_MEMORY)
        return ech_fail(err, ECH_UNAVAILABLE, "the backend %s is out of memory at %lld tokens",
                        net->ops->name, (long long)w->starts[sequences]);
    if (status != ECH_OP_OK)
        return ech_fail(err, ECH_BUG,
                        "an operation of the backend %s refused %lld sequences of %lld tokens: "
                        "status %d",
                        net->ops->name, (long long)sequences, (long long)w->starts[sequences], status);
    return ECH_OK;
}
