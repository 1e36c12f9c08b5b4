/* Blocks of GGUF (blocks.h): the table of types, and what reads a file's tensors where speed does not matter.
 */
#include "kernels/blocks.h"

#include <assert.h>

#include "kernels/blocks_values.h"

static const struct ech_block_type TYPES[ECH_WTYPES] = {[ECH_W_F32] = {"F32", 1, 4, 0, 0, false},
                                                        [ECH_W_F16] = {"F16", 1, 2, 0, 0, false},
                                                        [ECH_W_BF16] = {"BF16", 1, 2, 0, 0, false},
#define ROW(name, ...) [ECH_W_##name] = {#name, __VA_ARGS__},
                                                        ECH_BLOCK_TYPES(ROW)
#undef ROW
};

const struct ech_block_type *ech_block_type(enum ech_wtype type)
{
    return (int)type >= 0 && type < ECH_WTYPES ? &TYPES[type] : NULL;
}

size_t ech_block_row_bytes(enum ech_wtype type, int64_t cols)
{
    const struct ech_block_type *t = ech_block_type(type);
    if (!t || cols < 0 || cols > (int64_t)1 << 40 || cols % t->elements != 0)
        return 0;
    return (size_t)(cols / t->elements * t->bytes);
}

void ech_block_values(enum ech_wtype type, const void *block, struct ech_block_values *out)
{
    assert(ech_block_type(type) && TYPES[type].group);
    ech_bv_values(type, block, out);
}

/* Elements [from, to) of a block. */
static void decode_block(enum ech_wtype type, const uint8_t *block, int64_t from, int64_t to, float *out)
{
    const struct ech_block_type *t = &TYPES[type];
    struct ech_block_values v;
    ech_bv_values(type, block, &v);
    for (int64_t i = from, stop; i < to; i = stop) {
        const int64_t g = i / t->group;
        stop = (g + 1) * t->group < to ? (g + 1) * t->group : to;
        for (int64_t j = i; j < stop; j++) {
            const float x = v.scale[g] * (float)(v.bytes[j] - t->offset);
            out[j - from] = t->mins ? x - v.min[g] : x;
        }
    }
}

void ech_block_decode(enum ech_wtype type, const void *row, int64_t first, int64_t count, float *out)
{
    assert(ech_block_type(type));
    const struct ech_block_type *t = &TYPES[type];
    if (!t->group) {
        for (int64_t i = 0; i < count; i++)
            out[i] = ech_load_weight(row, type, first + i);
        return;
    }
    const int64_t elements = t->elements, end = first + count;
    for (int64_t i = first, stop; i < end; i = stop) {
        const int64_t block = i / elements, start = block * elements;
        stop = start + elements < end ? start + elements : end;
        decode_block(type, (const uint8_t *)row + block * t->bytes, i - start, stop - start,
                     out + (i - first));
    }
}
