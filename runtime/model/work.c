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

/* `wide` holds query, key and value, then a half layer's sum, then the intermediate activations. */
static size_t wide_bytes(const struct ech_spec *s, const struct ech_flow *flow)
{
    size_t bytes = largest(row_bytes(flow->qkv, 3 * s->hidden), row_bytes(flow->up, s->intermediate));
    return largest(bytes, row_bytes(ECH_A_F32, ech_max64(s->hidden, s->embed)));
}

struct carving {
    size_t words, positions, types, starts, host;                 /* in the process */
    size_t x, y, feed, feed_scale, wide, wide_scale, ids[3], mem; /* in the backend */
};

static struct carving carve(const struct ech_net *net, int64_t capacity)
{
    const struct ech_spec *s = &net->spec;
    const struct ech_flow *flow = ech_flow_of(net->packing.format);
    struct carving c = {0};
    c.words = take(&c.host, capacity, sizeof(int32_t));
    c.positions = take(&c.host, capacity, sizeof(int32_t));
    c.types = take(&c.host, capacity, sizeof(int32_t));
    c.starts = take(&c.host, capacity + 1, sizeof(int64_t));
    c.x = take(&c.mem, capacity, row_bytes(ECH_A_F32, s->hidden));
    c.y = take(&c.mem, capacity, row_bytes(ECH_A_F32, s->hidden));
    c.feed = flow->feed == ECH_A_F32 ? c.x : take(&c.mem, capacity, row_bytes(flow->feed, s->hidden));
    c.feed_scale = take(&c.mem, flow->feed == ECH_A_Q8 ? capacity : 0, sizeof(float));
    c.wide = take(&c.mem, capacity, wide_bytes(s, flow));
    c.wide_scale = take(&c.mem, flow->up == ECH_A_Q8 ? capacity : 0, sizeof(float));
    for (int i = 0; i < 3; i++)
        c.ids[i] = take(&c.mem, net->ops->device ? capacity : 0, sizeof(int32_t));
    return c;
}

/* Scratch of the backend: its largest product here, or its longest attention. */
static size_t queue_bytes(const struct ech_net *net, int64_t capacity)
{
    const struct ech_spec *s = &net->spec;
    const struct ech_ops *ops = net->ops;
    const int64_t shapes[][2] = {{3 * s->hidden, s->hidden},
                                 {s->intermediate, s->hidden},
                                 {s->hidden, s->intermediate},
                                 {s->hidden, s->hidden},
                                 {s->hidden, s->embed}};
    enum ech_format format = net->packing.format;
    size_t most = ops->attention_workspace(ech_flow_of(format)->attention, capacity, s->head_dim, 1);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        most = largest(most, ops->linear_workspace(format, capacity, shapes[i][0], shapes[i][1], 1));
    return (most + ALIGN - 1) / ALIGN * ALIGN;
}

size_t ech_work_bytes(const struct ech_net *net, int64_t capacity)
{
    struct carving c = carve(net, capacity);
    return c.host + c.mem + queue_bytes(net, capacity);
}

static void point(struct ech_work *w, const struct carving *c, bool device)
{
    char *host = w->host, *mem = w->mem.at;
    w->words = (int32_t *)(void *)(host + c->words);
    w->positions = (int32_t *)(void *)(host + c->positions);
    w->types = (int32_t *)(void *)(host + c->types);
    w->starts = (int64_t *)(void *)(host + c->starts);
    w->x = (float *)(void *)(mem + c->x);
    w->y = (float *)(void *)(mem + c->y);
    w->feed = mem + c->feed;
    w->wide = mem + c->wide;
    w->feed_scale = (float *)(void *)(mem + c->feed_scale);
    w->wide_scale = (float *)(void *)(mem + c->wide_scale);
    int32_t *const own[3] = {w->words, w->positions, w->types};
    for (int i = 0; i < 3; i++)
        w->ids[i] = device ? (int32_t *)(void *)(mem + c->ids[i]) : own[i];
}

int ech_work_init(struct ech_work *work, const struct ech_net *net, int64_t capacity, struct ech_err *err)
{
    struct carving c = carve(net, capacity);
    struct ech_queue_options options = {
        .size = sizeof options, .workspace_bytes = queue_bytes(net, capacity), .device = net->device};
    char why[256] = "";
    memset(work, 0, sizeof *work);
    work->capacity = capacity;
    work->host = ech_alloc_aligned(c.host, err);
    if (!work->host)
        return ECH_UNAVAILABLE;
    if (net->ops->mem_alloc(net->device, c.mem, &work->mem, why) == ECH_OP_OK) {
        work->mem.ops = net->ops;
        work->queue = ech_queue_open(net->ops, &options, why);
    }
    if (!work->queue) {
        ech_work_fini(work);
        return ech_fail(err, ECH_UNAVAILABLE, "the backend %s: %s", net->ops->name, why);
    }
    point(work, &c, net->ops->device);
    return ECH_OK;
}

void ech_work_fini(struct ech_work *work)
{
    ech_queue_close(work->queue);
    if (work->mem.at)
        work->mem.ops->mem_free(&work->mem);
    ech_free(work->host);
    memset(work, 0, sizeof *work);
}
