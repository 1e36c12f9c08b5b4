/* Types of stored values, shapes, decoding: see weights.h and tensor_list.h. */
#include "model/tensor_list.h"

#include "base/mem.h"
#include "base/num.h"
#include "kernels/blocks.h"
#include "model/delta.h"

#include <stdio.h>
#include <string.h>

enum { NO_KERNEL = -1 };

/* Of types with blocks, kernels/blocks.h says the rest. */
static const struct {
    const char *name;
    size_t bytes;
    int wtype;
} types[ECH_STYPES] = {
    [ECH_ST_F32] = {"F32", 4, ECH_W_F32},          [ECH_ST_F16] = {"F16", 2, ECH_W_F16},
    [ECH_ST_BF16] = {"BF16", 2, ECH_W_BF16},       [ECH_ST_F64] = {"F64", 8, NO_KERNEL},
    [ECH_ST_I64] = {"I64", 8, NO_KERNEL},          [ECH_ST_I32] = {"I32", 4, NO_KERNEL},
    [ECH_ST_I16] = {"I16", 2, NO_KERNEL},          [ECH_ST_I8] = {"I8", 1, NO_KERNEL},
    [ECH_ST_U64] = {"U64", 8, NO_KERNEL},          [ECH_ST_U32] = {"U32", 4, NO_KERNEL},
    [ECH_ST_U16] = {"U16", 2, NO_KERNEL},          [ECH_ST_U8] = {"U8", 1, NO_KERNEL},
    [ECH_ST_BOOL] = {"BOOL", 1, NO_KERNEL},        [ECH_ST_F8_E5M2] = {"F8_E5M2", 1, NO_KERNEL},
    [ECH_ST_F8_E4M3] = {"F8_E4M3", 1, NO_KERNEL},  [ECH_ST_Q4_0] = {"Q4_0", 0, ECH_W_Q4_0},
    [ECH_ST_Q4_1] = {"Q4_1", 0, ECH_W_Q4_1},       [ECH_ST_Q5_0] = {"Q5_0", 0, ECH_W_Q5_0},
    [ECH_ST_Q5_1] = {"Q5_1", 0, ECH_W_Q5_1},       [ECH_ST_Q8_0] = {"Q8_0", 0, ECH_W_Q8_0},
    [ECH_ST_Q2_K] = {"Q2_K", 0, ECH_W_Q2_K},       [ECH_ST_Q3_K] = {"Q3_K", 0, ECH_W_Q3_K},
    [ECH_ST_Q4_K] = {"Q4_K", 0, ECH_W_Q4_K},       [ECH_ST_Q5_K] = {"Q5_K", 0, ECH_W_Q5_K},
    [ECH_ST_Q6_K] = {"Q6_K", 0, ECH_W_Q6_K},       [ECH_ST_IQ4_NL] = {"IQ4_NL", 0, ECH_W_IQ4_NL},
    [ECH_ST_IQ4_XS] = {"IQ4_XS", 0, ECH_W_IQ4_XS}, [ECH_ST_MXFP4] = {"MXFP4", 0, ECH_W_MXFP4},
    [ECH_ST_TQ1_0] = {"TQ1_0", 0, ECH_W_TQ1_0},    [ECH_ST_TQ2_0] = {"TQ2_0", 0, ECH_W_TQ2_0},
};

const char *ech_stype_name(enum ech_stype type)
{
    return types[type].name;
}

int64_t ech_stype_block(enum ech_stype type)
{
    return types[type].bytes ? 1 : ech_block_type((enum ech_wtype)types[type].wtype)->elements;
}

size_t ech_stype_bytes(enum ech_stype type)
{
    return types[type].bytes ? types[type].bytes
                             : (size_t)ech_block_type((enum ech_wtype)types[type].wtype)->bytes;
}

bool ech_stype_wtype(enum ech_stype type, enum ech_wtype *out)
{
    if (types[type].wtype == NO_KERNEL)
        return false;
    *out = (enum ech_wtype)types[type].wtype;
    return true;
}

struct ech_tensor *ech_tensor_list_add(struct ech_tensor_list *list, struct ech_err *err)
{
    if (ech_grow((void **)&list->items, &list->capacity, list->count + 1, sizeof *list->items, err) != ECH_OK)
        return NULL;
    struct ech_tensor *t = &list->items[list->count++];
    memset(t, 0, sizeof *t);
    return t;
}

struct ech_tensor *ech_tensor_list_add_named(struct ech_tensor_list *list, const char *name,
                                             struct ech_err *err)
{
    struct ech_tensor *t = ech_tensor_list_add(list, err);
    if (t)
        t->name = ech_strdup(name, err);
    return t && t->name ? t : NULL;
}

void ech_tensor_list_fini(struct ech_tensor_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        ech_free(list->items[i].name);
    ech_free(list->items);
    memset(list, 0, sizeof *list);
}

int ech_tensor_measure(const char *where, const char *name, struct ech_tensor *t, struct ech_err *err)
{
    size_t elements = 1, block = (size_t)ech_stype_block(t->dtype);
    for (int i = 0; i < t->dims; i++)
        if (t->shape[i] < 0 || __builtin_mul_overflow(elements, (size_t)t->shape[i], &elements) ||
            elements > INT64_MAX)
            return ech_fail(err, ECH_DATA, "%s: the shape of tensor %.100s is too large for any file", where,
                            name);
    int64_t last = t->dims ? t->shape[t->dims - 1] : 1;
    if (last % (int64_t)block != 0)
        return ech_fail(err, ECH_DATA,
                        "%s: rows of tensor %.100s are %lld elements, not whole blocks of %zu (%s)", where,
                        name, (long long)last, block, types[t->dtype].name);
    t->elements = (int64_t)elements;
    if (__builtin_mul_overflow(elements / block, ech_stype_bytes(t->dtype), &t->bytes))
        return ech_fail(err, ECH_DATA, "%s: the shape of tensor %.100s is too large for any file", where,
                        name);
    return ECH_OK;
}

struct ech_tensor ech_tensor_rows(const struct ech_tensor *t, int64_t first, int64_t count)
{
    struct ech_tensor part = *t;
    size_t row = t->shape[0] ? t->bytes / (size_t)t->shape[0] : 0;
    part.name = NULL;
    part.shape[0] = count;
    part.elements = t->shape[0] ? t->elements / t->shape[0] * count : 0;
    part.data = t->data + row * (size_t)first;
    part.bytes = row * (size_t)count;
    if (t->scale_count > 1) {
        part.scales = t->scales + sizeof(float) * (size_t)first;
        part.scale_count = count;
    }
    return part;
}

bool ech_tensor_in_place(const struct ech_tensor *t)
{
    return !t->transposed && !t->delta;
}

size_t ech_tensor_row_bytes(const struct ech_tensor *t)
{
    return t->dims && t->shape[0] ? t->bytes / (size_t)t->shape[0] : t->bytes;
}

bool ech_tensor_decodes(const struct ech_tensor *t)
{
    return types[t->dtype].wtype != NO_KERNEL ||
           ((t->dtype == ECH_ST_I8 || t->dtype == ECH_ST_I16) && t->scale_count > 0);
}

float ech_tensor_scale(const struct ech_tensor *t, int64_t row)
{
    float scale = 1;
    if (t->scale_count)
        memcpy(&scale, t->scales + sizeof scale * (t->scale_count > 1 ? (size_t)row : 0), sizeof scale);
    return scale;
}

const char *ech_shape_print(const int64_t *shape, int dims, char *out, size_t bytes)
{
    size_t at = (size_t)snprintf(out, bytes, "[");
    for (int i = 0; i < dims && at < bytes; i++)
        at += (size_t)snprintf(out + at, bytes - at, "%s%lld", i ? ", " : "", (long long)shape[i]);
    if (at < bytes)
        snprintf(out + at, bytes - at, "]");
    return out;
}

static float integer_at(const struct ech_tensor *t, int64_t i)
{
    if (t->dtype == ECH_ST_I8)
        return (float)(int8_t)t->data[i];
    return (float)(int16_t)(uint16_t)(t->data[2 * i] | t->data[2 * i + 1] << 8);
}

/* Integers with scales, row by row. */
static void decode_integers(const struct ech_tensor *t, int64_t first, int64_t count, float *out)
{
    int64_t cols = t->dims && t->shape[0] ? ech_max64(t->elements / t->shape[0], 1) : 1;
    for (int64_t done = 0, part; done < count; done += part) {
        int64_t row = (first + done) / cols;
        float scale = ech_tensor_scale(t, row);
        part = ech_min64((row + 1) * cols - first - done, count - done);
        for (int64_t i = done; i < done + part; i++)
            out[i] = integer_at(t, first + i) / scale;
    }
}

/* Elements as the bytes lie. */
static void decode_run(const struct ech_tensor *t, int64_t first, int64_t count, float *out)
{
    if (types[t->dtype].wtype != NO_KERNEL)
        ech_block_decode((enum ech_wtype)types[t->dtype].wtype, t->data, first, count, out);
    else
        decode_integers(t, first, count, out);
}

static void decode_transposed(const struct ech_tensor *t, int64_t first, int64_t count, float *out)
{
    int64_t rows = t->shape[0], cols = t->shape[1];
    for (int64_t i = 0; i < count; i++) {
        int64_t at = (first + i) % cols * rows + (first + i) / cols;
        if (t->dtype == ECH_ST_F32)
            memcpy(&out[i], t->data + sizeof *out * (size_t)at, sizeof *out);
        else
            decode_run(t, at, 1, &out[i]);
    }
}

int ech_tensor_to_f32(const struct ech_tensor *t, int64_t first, int64_t count, float *out,
                      struct ech_err *err)
{
    if (!ech_tensor_decodes(t))
        return ech_fail(err, ECH_DATA,
                        "tensor %s is stored as %s; f32, f16, bf16 and scaled weights are supported", t->name,
                        ech_stype_name(t->dtype));
    if (t->transposed)
        decode_transposed(t, first, count, out);
    else
        decode_run(t, first, count, out);
    if (t->delta)
        ech_delta_add(t->delta, first, count, out);
    return ECH_OK;
}
