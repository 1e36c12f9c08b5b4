/* The scratch of a lane (forward.h): one block in the process's memory for the input, one in the backend's
 * for activations, carved from a table of sizes. */
#include "model/forward.h"

#include "base/mem.h"
#include "base/num.h"

#include <string.h>

enum { ALIGN = 64 };

static const struct ech_flow flows[ECH_FORMATS] = {
    [ECH_FMT_F32] = {ECH_FMT_F32, ECH_A_F32, ECH_A_F32, ECH_A_F32, ECH_A_F32},
    [ECH_FMT_BF16] = {ECH_FMT_BF16, ECH_A_BF16, ECH_A_BF16, ECH_A_BF16, ECH_A_BF16},
    [ECH_FMT_INT8] = {ECH_FMT_BF16, ECH_A_Q8, ECH_A_BF16, ECH_A_F32, ECH_A_Q8},
    [ECH_FMT_INT4] = {ECH_FMT_BF16, ECH_A_F32, ECH_A_BF16, ECH_A_F32, ECH_A_F32},
    [ECH_FMT_BF16_F32] = {ECH_FMT_F32, ECH_A_F32, ECH_A_F32, ECH_A_F32, ECH_A_F32},
    [ECH_FMT_F16] = {ECH_FMT_F16, ECH_A_F16, ECH_A_F16, ECH_A_F16, ECH_A_F16},
};

const struct ech_flow *ech_flow_of(enum ech_format format)
{
    return &flows[format];
}

/* Products that are not all of one packed format take f32. */
static bool of_one_format(const struct ech_net *net)
{
    for (int64_t set = 0; set < net->packing.sets; set++)
        for (int piece = ECH_P_LAYER; piece < ECH_P_EXPERT; piece++) {
            const struct ech_matrix *m = ech_packing_matrix(&net->packing, (enum ech_packed_piece)piece, set);
            for (int i = 0; i < m->parts; i++)
                if (m->part[i].format != net->packing.format)
                    return false;
        }
    return true;
}

/* Heads that turn or are normed, gates, recurrent cells and a causal past are f32; so is all where a file
 * fixes how products quantise what they take. */
void ech_net_choose_flow(struct ech_net *net)
{
    const struct ech_spec *s = &net->spec;
    struct ech_flow flow = *ech_flow_of(net->packing.format);
    bool turns = s->ropes[0].dim || s->ropes[1].dim || s->qk_norm != ECH_QK_NONE;
    bool fixed = ech_packing_fixed(&net->packing);
    bool all = fixed || s->part == ECH_PART_DECODER || s->experts || !of_one_format(net);
    if (all)
        flow.feed = flow.attended = ECH_A_F32;
    if (all || turns || s->disentangled)
        flow.qkv = ECH_A_F32;
    if (all || s->gated)
        flow.up = ECH_A_F32;
    if (fixed)
        flow.attention = ECH_FMT_F32;
    net->flow = flow;
}

static size_t take(size_t *at, int64_t count, size_t size)
{
    size_t from = *at;
    *at += ((size_t)count * size + ALIGN - 1) / ALIGN * ALIGN;
    return from;
}

static size_t row_bytes(enum ech_atype type, int64_t cols)
{
    return (size_t)(type == ECH_A_Q8 ? ech_q8_stride(cols) : cols) * ech_atype_bytes(type);
}

static size_t largest(size_t a, size_t b)
{
    return a > b ? a : b;
}

static int64_t q_cols(const struct ech_spec *s)
{
    return s->heads * s->head_dim;
}

/* `wide` holds query, key and value, then a half layer's sum, then the intermediate activations. */
static size_t wide_bytes(const struct ech_net *net)
{
    const struct ech_spec *s = &net->spec;
    int64_t qkv = q_cols(s) + 2 * s->kv_heads * s->head_dim, up = (s->gated ? 2 : 1) * s->intermediate;
    size_t bytes = largest(row_bytes(net->flow.qkv, qkv), row_bytes(net->flow.up, up));
    if (s->crossed)
        bytes = largest(bytes, row_bytes(ECH_A_F32, q_cols(s)));
    return largest(bytes, row_bytes(ECH_A_F32, ech_max64(ech_max64(s->hidden, s->embed), s->classes)));
}

/* Norms before the halves: their results need a place of their own. */
static bool norms_before(const struct ech_net *net)
{
    const char *const *names = net->spec.names;
    return names[ECH_T_IN1_W] || names[ECH_T_IN2_W] || names[ECH_T_INX_W];
}

/* Offsets of everything: in the process, then in the backend. */
struct carving {
    size_t words, positions, types, starts, turns[ECH_ROPES_MOST], ropes[ECH_ROPES_MOST], gains, host;
    size_t scores, weights, index, places, first;
    struct {
        size_t x, y, feed, feed_scale, wide, wide_scale, ids[3], same, gains, turns[ECH_ROPES_MOST];
        size_t ropes[ECH_ROPES_MOST], content, position, bias;
        size_t scores, weights, index, places, in, mixed, out, bytes;
    } mem;
};

static void carve_host(const struct ech_net *net, int64_t capacity, struct carving *c)
{
    const struct ech_spec *s = &net->spec;
    c->words = take(&c->host, capacity, sizeof(int32_t));
    c->positions = take(&c->host, capacity, sizeof(int32_t));
    c->types = take(&c->host, capacity, sizeof(int32_t));
    c->starts = take(&c->host, capacity + 1, sizeof(int64_t));
    c->gains = take(&c->host, capacity, sizeof(float));
    for (int i = 0; i < ECH_ROPES_MOST; i++) {
        c->turns[i] = take(&c->host, capacity, sizeof(int32_t));
        c->ropes[i] = take(&c->host, s->ropes[i].dynamic > 0 ? capacity * s->ropes[i].dim : 0, sizeof(float));
    }
    if (!s->experts)
        return;
    int64_t all = capacity * s->experts_used;
    c->scores = take(&c->host, capacity * s->experts, sizeof(float));
    c->weights = take(&c->host, all, sizeof(float));
    c->index = take(&c->host, all, sizeof(int32_t));
    c->places = take(&c->host, all, sizeof(int32_t));
    c->first = take(&c->host, s->experts + 1, sizeof(int64_t));
}

static void carve_mem(const struct ech_net *net, int64_t capacity, struct carving *c)
{
    const struct ech_spec *s = &net->spec;
    const struct ech_flow *flow = &net->flow;
    size_t *at = &c->mem.bytes;
    bool own = flow->feed != ECH_A_F32 || norms_before(net);
    int64_t device = net->ops->device ? capacity : 0;
    c->mem.x = take(at, capacity, row_bytes(ECH_A_F32, s->hidden));
    c->mem.y = take(
        at, capacity,
        row_bytes(ECH_A_F32, ech_max64(ech_max64(s->hidden, s->embed), ech_max64(q_cols(s), s->classes))));
    c->mem.feed = own ? take(at, capacity, row_bytes(flow->feed, s->hidden)) : c->mem.x;
    c->mem.feed_scale = take(at, flow->feed == ECH_A_Q8 ? capacity : 0, sizeof(float));
    c->mem.wide = take(at, capacity, wide_bytes(net));
    c->mem.wide_scale = take(at, flow->up == ECH_A_Q8 ? capacity : 0, sizeof(float));
    c->mem.same = take(at, capacity, sizeof(int32_t));
    c->mem.gains = take(at, device, sizeof(float));
    for (int i = 0; i < 3; i++)
        c->mem.ids[i] = take(at, device, sizeof(int32_t));
    for (int i = 0; i < ECH_ROPES_MOST; i++) {
        c->mem.turns[i] = take(at, device, sizeof(int32_t));
        c->mem.ropes[i] = take(at, s->ropes[i].dynamic > 0 ? device * s->ropes[i].dim : 0, sizeof(float));
    }
    if (s->disentangled) {
        c->mem.content = take(at, net->packing.span * 2 * s->relative, sizeof(float));
        c->mem.position = take(at, net->packing.span * 2 * s->relative, sizeof(float));
        c->mem.bias = take(at, net->packing.span * net->packing.span, sizeof(float));
    }
    if (!s->experts)
        return;
    int64_t all = capacity * s->experts_used;
    c->mem.scores = take(at, device * s->experts, sizeof(float));
    c->mem.weights = take(at, device * s->experts_used, sizeof(float));
    c->mem.index = take(at, device * s->experts_used, sizeof(int32_t));
    c->mem.places = take(at, device * s->experts_used, sizeof(int32_t));
    c->mem.in = take(at, all * s->hidden, sizeof(float));
    c->mem.mixed = take(at, capacity * 2 * s->expert_inner, sizeof(float));
    c->mem.out = take(at, all * s->hidden, sizeof(float));
}

static struct carving carve(const struct ech_net *net, int64_t capacity)
{
    struct carving c = {0};
    carve_host(net, capacity, &c);
    carve_mem(net, capacity, &c);
    return c;
}

/* Scratch of the backend: its largest product here, or its longest attention. */
static size_t queue_bytes(const struct ech_net *net, int64_t capacity)
{
    int threads = net->threads > 1 ? net->threads : 1;
    int64_t longest = net->spec.part == ECH_PART_DECODER ? ech_max64(capacity, net->packing.span) : capacity;
    size_t most = net->ops->attention_workspace(net->flow.attention, longest, net->spec.head_dim, threads);
    most = largest(most, ech_packing_workspace(&net->packing, net->ops, capacity, threads));
    return (most + ALIGN - 1) / ALIGN * ALIGN;
}

size_t ech_work_bytes(const struct ech_net *net, int64_t capacity)
{
    struct carving c = carve(net, capacity);
    return c.host + c.mem.bytes + queue_bytes(net, capacity);
}

#define AT(type, base, offset) ((type *)(void *)((base) + (offset)))

/* Lists that operations read are the process's own where the backend has no memory of its own. */
static void point_input(struct ech_work *w, const struct carving *c, bool device)
{
    char *host = w->host, *mem = w->mem.at;
    w->words = AT(int32_t, host, c->words);
    w->positions = AT(int32_t, host, c->positions);
    w->types = AT(int32_t, host, c->types);
    w->starts = AT(int64_t, host, c->starts);
    w->host_gains = AT(float, host, c->gains);
    w->gains = device ? AT(float, mem, c->mem.gains) : w->host_gains;
    int32_t *const own[3] = {w->words, w->positions, w->types};
    for (int i = 0; i < 3; i++)
        w->ids[i] = device ? AT(int32_t, mem, c->mem.ids[i]) : own[i];
    for (int i = 0; i < ECH_ROPES_MOST; i++) {
        w->host_turns[i] = AT(int32_t, host, c->turns[i]);
        w->turns[i] = device ? AT(int32_t, mem, c->mem.turns[i]) : w->host_turns[i];
        w->host_ropes[i] = AT(float, host, c->ropes[i]);
        w->ropes[i] = device ? AT(float, mem, c->mem.ropes[i]) : w->host_ropes[i];
    }
}

static void point_mixing(struct ech_work *w, const struct carving *c, bool device)
{
    char *host = w->host, *mem = w->mem.at;
    struct ech_mixing *m = &w->mix;
    m->host_scores = AT(float, host, c->scores);
    m->host_weights = AT(float, host, c->weights);
    m->host_index = AT(int32_t, host, c->index);
    m->host_places = AT(int32_t, host, c->places);
    m->host_first = AT(int64_t, host, c->first);
    m->scores = device ? AT(float, mem, c->mem.scores) : m->host_scores;
    m->weights = device ? AT(float, mem, c->mem.weights) : m->host_weights;
    m->index = device ? AT(int32_t, mem, c->mem.index) : m->host_index;
    m->places = device ? AT(int32_t, mem, c->mem.places) : m->host_places;
    m->in = AT(float, mem, c->mem.in);
    m->wide = AT(float, mem, c->mem.mixed);
    m->out = AT(float, mem, c->mem.out);
}

static void point(struct ech_work *w, const struct carving *c, bool device)
{
    char *mem = w->mem.at;
    w->x = AT(float, mem, c->mem.x);
    w->y = AT(float, mem, c->mem.y);
    w->feed = mem + c->mem.feed;
    w->wide = mem + c->mem.wide;
    w->feed_scale = AT(float, mem, c->mem.feed_scale);
    w->wide_scale = AT(float, mem, c->mem.wide_scale);
    w->same = AT(int32_t, mem, c->mem.same);
    w->relative.content = AT(float, mem, c->mem.content);
    w->relative.position = AT(float, mem, c->mem.position);
    w->relative.bias = AT(float, mem, c->mem.bias);
    point_input(w, c, device);
    point_mixing(w, c, device);
}

/* 0, 1, 2 ...: by way of the words, which are not in use yet. */
static int number_rows(struct ech_work *w, const struct ech_ops *ops)
{
    for (int64_t i = 0; i < w->capacity; i++)
        w->words[i] = (int32_t)i;
    int status = ops->put(w->queue, w->same, w->words, (size_t)w->capacity * sizeof *w->words);
    int done = ech_queue_sync(w->queue);
    return status == ECH_OP_OK ? done : status;
}

int ech_work_init(struct ech_work *work, const struct ech_net *net, int64_t capacity, struct ech_err *err)
{
    struct carving c = carve(net, capacity);
    struct ech_queue_options options = {.size = sizeof options,
                                        .workspace_bytes = queue_bytes(net, capacity),
                                        .threads = net->threads,
                                        .device = net->device};
    char why[256] = "";
    memset(work, 0, sizeof *work);
    work->capacity = capacity;
    work->host = ech_alloc_aligned(c.host, err);
    if (!work->host)
        return ECH_UNAVAILABLE;
    if (net->ops->mem_alloc(net->device, c.mem.bytes, &work->mem, why) == ECH_OP_OK) {
        work->mem.ops = net->ops;
        work->queue = ech_queue_open(net->ops, &options, why);
    }
    if (!work->queue) {
        ech_work_fini(work);
        return ech_fail(err, ECH_UNAVAILABLE, "the backend %s: %s", net->ops->name, why);
    }
    point(work, &c, net->ops->device);
    int status = number_rows(work, net->ops);
    if (status == ECH_OP_OK)
        return ECH_OK;
    int code = ech_forward_error(net, work, 0, status, err);
    ech_work_fini(work);
    return code;
}

void ech_work_fini(struct ech_work *work)
{
    ech_queue_close(work->queue);
    if (work->mem.at)
        work->mem.ops->mem_free(&work->mem);
    ech_free(work->host);
    memset(work, 0, sizeof *work);
}
