/* Keys and values of all layers, in rows that sequences hold: row r of layer l is where a token's key and
 * value stand. Which sequence has which rows is the holder's business (rooms.h). Memory is fixed when it is
 * made. */
#ifndef ECH_MODEL_CACHE_H
#define ECH_MODEL_CACHE_H

#include "base/err.h"
#include "kernels/ops.h"

struct ech_cache {
    const struct ech_ops *ops;
    struct ech_mem mem;
    enum ech_atype type;         /* f32 or bf16 */
    int64_t layers, width, rows; /* width: of a key, kv_heads x head_dim */
};

size_t ech_cache_row_bytes(enum ech_atype type, int64_t layers, int64_t width);
/* Errors  ECH_UNAVAILABLE: memory. */
int ech_cache_init(const struct ech_ops *ops, int device, enum ech_atype type, int64_t layers, int64_t width,
                   int64_t rows, struct ech_cache *out, struct ech_err *err);
void ech_cache_fini(struct ech_cache *cache);
/* Keys (value: values) of a layer from a row on; in the backend's memory. */
void *ech_cache_at(const struct ech_cache *cache, int64_t layer, bool value, int64_t row);
/* f32 keys and values (count, width), stride ld, into rows from `row` on. An enum ech_op_status. */
int ech_cache_store(const struct ech_cache *cache, struct ech_queue *queue, int64_t layer, int64_t row,
                    int64_t count, const float *keys, const float *values, int64_t ld);

/* Whose keys the sequences of a step see: those of rows starts[s] .. + counts[s]. Host arrays. */
struct ech_keys {
    const struct ech_cache *cache;
    const int64_t *starts, *counts;
};

#endif
