/* The key and value cache: see cache.h. Layer after layer, its keys and then its values. */
#include "model/cache.h"

#include <string.h>

size_t ech_cache_row_bytes(enum ech_atype type, int64_t layers, int64_t width)
{
    return 2 * (size_t)(layers * width) * ech_atype_bytes(type);
}

int ech_cache_init(const struct ech_ops *ops, int device, enum ech_atype type, int64_t layers, int64_t width,
                   int64_t rows, struct ech_cache *out, struct ech_err *err)
{
    struct ech_cache cache = {.ops = ops, .type = type, .layers = layers, .width = width, .rows = rows};
    char why[256] = "";
    size_t bytes;
    if (__builtin_mul_overflow((size_t)rows, ech_cache_row_bytes(type, layers, width), &bytes))
        return ech_fail(err, ECH_UNAVAILABLE, "a cache for %lld tokens: more bytes than an address has",
                        (long long)rows);
    if (ops->mem_alloc(device, bytes ? bytes : 64, &cache.mem, why) != ECH_OP_OK)
        return ech_fail(err, ECH_UNAVAILABLE, "a cache of %zu bytes for %lld tokens: %s", bytes,
                        (long long)rows, why);
    cache.mem.ops = ops;
    *out = cache;
    return ECH_OK;
}

void ech_cache_fini(struct ech_cache *cache)
{
    if (cache->mem.at)
        cache->mem.ops->mem_free(&cache->mem);
    memset(cache, 0, sizeof *cache);
}

void *ech_cache_at(const struct ech_cache *c, int64_t layer, bool value, int64_t row)
{
    int64_t rows = (2 * layer + (value ? 1 : 0)) * c->rows + row;
    return (char *)c->mem.at + (size_t)(rows * c->width) * ech_atype_bytes(c->type);
}

int ech_cache_store(const struct ech_cache *c, struct ech_queue *queue, int64_t layer, int64_t row,
                    int64_t count, const float *keys, const float *values, int64_t ld)
{
    int status = ECH_OP_OK;
    for (int i = 0; i < 2 && status == ECH_OP_OK; i++) {
        struct ech_convert_args args = {.size = sizeof args,
                                        .rows = count,
                                        .cols = c->width,
                                        .x = i ? values : keys,
                                        .ldx = ld,
                                        .y = ech_cache_at(c, layer, i, row),
                                        .ldy = c->width,
                                        .y_type = c->type};
        status = c->ops->convert(queue, &args);
    }
    return status;
}
