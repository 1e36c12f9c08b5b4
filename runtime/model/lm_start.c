/* Memory of a decoder, and its end: see lm.h. */
#include "model/lm_impl.h"

#include "base/mem.h"
#include "base/num.h"

#include <string.h>

enum { ALIGN = 64 };

static size_t take(size_t *at, int64_t count, size_t size)
{
    size_t from = *at;
    *at += ((size_t)count * size + ALIGN - 1) / ALIGN * ALIGN;
    return from;
}

/* What is wanted of a step: an index, states, what the head reads, logits. */
struct carving {
    size_t index, states, narrow, logits, bytes;
};

static struct carving carve(const struct ech_lm *d)
{
    const struct ech_spec *s = &d->decoder.net.spec;
    struct carving c = {0};
    int64_t rows = d->decoder.capacity;
    c.index = take(&c.bytes, rows, sizeof(int32_t));
    c.states = take(&c.bytes, rows * s->hidden, sizeof(float));
    c.narrow = take(&c.bytes, rows * ech_max64(s->embed, s->hidden), sizeof(float));
    c.logits = take(&c.bytes, d->logits_rows * s->vocab, sizeof(float));
    return c;
}

static int64_t key_width(const struct ech_lm *d)
{
    const struct ech_spec *s = &d->decoder.net.spec;
    return s->kv_heads * s->head_dim;
}

static size_t cells_bytes(const struct ech_lm *d)
{
    const struct ech_spec *s = &d->decoder.net.spec;
    return s->ssru ? (size_t)(d->most * s->layers * s->hidden) * sizeof(float) : 0;
}

size_t ech_lm_cache_bytes(const struct ech_lm *d)
{
    const struct ech_spec *s = &d->decoder.net.spec;
    size_t row = ech_cache_row_bytes(d->kv, s->layers, key_width(d));
    return (size_t)d->cache_rows * ((s->ssru ? 0 : row) + (d->has_source ? row : 0)) + cells_bytes(d);
}

size_t ech_lm_memory(const struct ech_lm *d)
{
    return ech_lm_cache_bytes(d) + carve(d).bytes;
}

bool ech_lm_in_place(const struct ech_lm *d)
{
    return d->decoder.net.packing.in_place || d->encoder.net.packing.in_place;
}

static int alloc(const struct ech_lm *d, size_t bytes, struct ech_mem *out, struct ech_err *err)
{
    char why[256] = "";
    if (d->ops->mem_alloc(d->decoder.net.device, bytes ? bytes : ALIGN, out, why) != ECH_OP_OK)
        return ech_fail(err, ECH_UNAVAILABLE, "%zu bytes on the backend %s: %s", bytes, d->ops->name, why);
    out->ops = d->ops;
    return ECH_OK;
}

static int reserve_lists(struct ech_lm *d, struct ech_err *err)
{
    size_t most = (size_t)d->most + 1;
    d->sequences = ech_calloc(most, sizeof *d->sequences, err);
    d->few = ech_calloc(most, sizeof *d->few, err);
    d->order = ech_calloc(most, sizeof *d->order, err);
    d->key_starts = ech_calloc(most, sizeof *d->key_starts, err);
    d->key_counts = ech_calloc(most, sizeof *d->key_counts, err);
    d->cross_starts = ech_calloc(most, sizeof *d->cross_starts, err);
    d->cross_counts = ech_calloc(most, sizeof *d->cross_counts, err);
    d->cell_of = ech_calloc(most, sizeof *d->cell_of, err);
    d->host_wanted = ech_calloc((size_t)d->decoder.capacity, sizeof *d->host_wanted, err);
    bool good = d->sequences && d->few && d->order && d->key_starts && d->key_counts && d->cross_starts &&
                d->cross_counts && d->cell_of && d->host_wanted;
    return good ? ECH_OK : ECH_UNAVAILABLE;
}

static int reserve_caches(struct ech_lm *d, struct ech_err *err)
{
    const struct ech_spec *s = &d->decoder.net.spec;
    int device = d->decoder.net.device, code = ECH_OK;
    if (!s->ssru)
        code = ech_cache_init(d->ops, device, d->kv, s->layers, key_width(d), d->cache_rows, &d->keys, err);
    if (code == ECH_OK && d->has_source)
        code = ech_cache_init(d->ops, device, d->kv, s->layers, key_width(d), d->cache_rows, &d->cross, err);
    if (code == ECH_OK)
        code = ech_rooms_init(d->cache_rows, d->most, &d->rooms, err);
    if (code == ECH_OK)
        code = ech_rooms_init(d->cache_rows, d->most, &d->cross_rooms, err);
    if (code == ECH_OK && s->ssru)
        code = alloc(d, cells_bytes(d), &d->cells, err);
    return code;
}

static int reserve_out(struct ech_lm *d, struct ech_err *err)
{
    struct carving c = carve(d);
    int code = alloc(d, c.bytes, &d->out, err);
    if (code != ECH_OK)
        return code;
    char *at = d->out.at;
    d->index = (int32_t *)(void *)(at + c.index);
    d->states = (float *)(void *)(at + c.states);
    d->narrow = (float *)(void *)(at + c.narrow);
    d->logits = (float *)(void *)(at + c.logits);
    d->host_logits = d->logits;
    if (!d->ops->device)
        return ECH_OK;
    d->host_logits =
        ech_alloc_aligned((size_t)(d->logits_rows * d->decoder.net.spec.vocab) * sizeof(float), err);
    return d->host_logits ? ECH_OK : ECH_UNAVAILABLE;
}

int ech_lm_reserve(struct ech_lm *d, struct ech_err *err)
{
    int code = reserve_lists(d, err);
    if (code == ECH_OK)
        code = reserve_caches(d, err);
    if (code == ECH_OK)
        code = ech_work_init(&d->decoder.work, &d->decoder.net, d->decoder.capacity, err);
    if (code == ECH_OK && d->has_source)
        code = ech_work_init(&d->encoder.work, &d->encoder.net, d->encoder.capacity, err);
    if (code == ECH_OK)
        code = reserve_out(d, err);
    return code;
}

static int upload(struct ech_lm *d, struct ech_err *err)
{
    char why[256] = "";
    size_t bytes = ech_lm_packed_bytes(d);
    struct ech_queue_options options = {.size = sizeof options, .device = d->decoder.net.device};
    int code = alloc(d, bytes, &d->weights_mem, err);
    if (code != ECH_OK)
        return code;
    struct ech_queue *queue = ech_queue_open(d->ops, &options, why);
    if (!queue)
        return ech_fail(err, ECH_UNAVAILABLE, "the weights on backend %s: %s", d->ops->name, why);
    int status = d->ops->put(queue, d->weights_mem.at, d->packed, bytes), done = ech_queue_sync(queue);
    if (status != ECH_OP_OK || done != ECH_OP_OK)
        code = ech_fail(err, ECH_UNAVAILABLE, "the weights on backend %s: %s", d->ops->name,
                        ech_queue_error(queue));
    ech_queue_close(queue);
    return code;
}

int ech_lm_start(struct ech_lm *d, struct ech_err *err)
{
    if (!d->packed || d->started)
        return ech_fail(err, ECH_BUG, "a decoder is started once, after packing");
    d->started = true;
    int code = d->ops->device ? upload(d, err) : ECH_OK;
    if (code == ECH_OK)
        code = ech_lm_reserve(d, err);
    if (code != ECH_OK)
        return code;
    const char *base = d->ops->device ? d->weights_mem.at : d->packed;
    d->decoder.net.packed = base + d->decoder.offset;
    d->encoder.net.packed = base + d->encoder.offset;
    ech_bound_fini(&d->encoder.bound);
    ech_bound_fini(&d->decoder.bound);
    if (!ech_lm_in_place(d) && !d->head) {
        ech_weights_close(d->weights);
        d->weights = NULL;
    }
    return ECH_OK;
}

int ech_lm_twin(const struct ech_lm *of, struct ech_lm **out, struct ech_err *err)
{
    struct ech_lm *d = ech_calloc(1, sizeof *d, err);
    if (!d)
        return ECH_UNAVAILABLE;
    d->ops = of->ops;
    d->weights = of->weights;
    d->encoder.net = of->encoder.net;
    d->decoder.net = of->decoder.net;
    d->encoder.capacity = of->encoder.capacity;
    d->decoder.capacity = of->decoder.capacity;
    d->has_source = of->has_source;
    d->started = d->twin = true;
    d->kv = of->kv;
    d->context = of->context;
    d->source_most = of->source_most;
    d->most = of->most;
    d->logits_rows = of->logits_rows;
    d->cache_rows = of->cache_rows;
    d->head = of->head;
    memcpy(d->numerics, of->numerics, sizeof d->numerics);
    memcpy(d->precision, of->precision, sizeof d->precision);
    int code = ech_lm_reserve(d, err);
    if (code == ECH_OK)
        *out = d;
    else
        ech_lm_close(d);
    return code;
}

static void free_mem(struct ech_mem *mem)
{
    if (mem->at)
        mem->ops->mem_free(mem);
    memset(mem, 0, sizeof *mem);
}

void ech_lm_release(struct ech_lm *d)
{
    ech_work_fini(&d->decoder.work);
    ech_work_fini(&d->encoder.work);
    ech_cache_fini(&d->keys);
    ech_cache_fini(&d->cross);
    ech_rooms_fini(&d->rooms);
    ech_rooms_fini(&d->cross_rooms);
    free_mem(&d->cells);
    if (d->host_logits != d->logits)
        ech_free(d->host_logits);
    free_mem(&d->out);
    free_mem(&d->weights_mem);
    for (int64_t i = 0; d->sequences && i < d->most; i++)
        ech_free(d->sequences[i].source);
    for (int64_t i = 0; d->few && i < d->most; i++)
        ech_lm_free_words(&d->few[i]);
    ech_free(d->few);
    ech_free(d->sequences);
    ech_free(d->order);
    ech_free(d->key_starts);
    ech_free(d->key_counts);
    ech_free(d->cross_starts);
    ech_free(d->cross_counts);
    ech_free(d->cell_of);
    ech_free(d->host_wanted);
}
