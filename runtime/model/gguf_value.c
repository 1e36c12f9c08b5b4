/* Values of a GGUF's keys as numbers and texts: see gguf.h. */
#include "base/mem.h"
#include "model/cursor.h"
#include "model/gguf.h"
#include "model/gguf_vocab.h"

#include <string.h>

/* false: not an integer, or one beyond int64. */
static bool integer_at(const struct ech_gguf_value *v, uint64_t i, int64_t *out)
{
    uint64_t raw;
    switch (v->type) {
    case ECH_GGUF_U8:
    case ECH_GGUF_BOOL:
        *out = v->data[i];
        return true;
    case ECH_GGUF_I8:
        *out = (int8_t)v->data[i];
        return true;
    case ECH_GGUF_U16:
        *out = (int64_t)ech_little(v->data + 2 * i, 2);
        return true;
    case ECH_GGUF_I16:
        *out = (int16_t)ech_little(v->data + 2 * i, 2);
        return true;
    case ECH_GGUF_U32:
        *out = (int64_t)ech_little(v->data + 4 * i, 4);
        return true;
    case ECH_GGUF_I32:
        *out = (int32_t)ech_little(v->data + 4 * i, 4);
        return true;
    case ECH_GGUF_U64:
    case ECH_GGUF_I64:
        raw = ech_little(v->data + 8 * i, 8);
        *out = (int64_t)raw;
        return v->type == ECH_GGUF_I64 || raw <= INT64_MAX;
    default:
        return false;
    }
}

bool ech_gguf_number(const struct ech_gguf_value *v, uint64_t i, double *out)
{
    int64_t integer;
    float single;
    if (v->type == ECH_GGUF_F32) {
        memcpy(&single, v->data + 4 * i, sizeof single);
        *out = (double)single;
        return true;
    }
    if (v->type == ECH_GGUF_F64) {
        memcpy(out, v->data + 8 * i, sizeof *out);
        return true;
    }
    bool whole = integer_at(v, i, &integer);
    *out = whole ? (double)integer : 0;
    return whole;
}

int ech_gguf_int(const struct ech_gguf *g, const char *key, int64_t *out, struct ech_err *err)
{
    const struct ech_gguf_value *v = ech_gguf_find(g, key);
    int64_t first = 0, other = 0;
    if (!v)
        return ECH_OK;
    if (v->count < 1 || !integer_at(v, 0, &first))
        return ech_fail(err, ECH_DATA, "%s: %s is not an integer", g->path, key);
    for (uint64_t i = 1; i < v->count; i++)
        if (!integer_at(v, i, &other) || other != first)
            return ech_fail(err, ECH_DATA, "%s: %s differs from layer to layer, which is not supported",
                            g->path, key);
    *out = first;
    return ECH_OK;
}

int ech_gguf_float(const struct ech_gguf *g, const char *key, double *out, struct ech_err *err)
{
    const struct ech_gguf_value *v = ech_gguf_find(g, key);
    double value;
    if (!v)
        return ECH_OK;
    if (v->count != 1 || !ech_gguf_number(v, 0, &value))
        return ech_fail(err, ECH_DATA, "%s: %s is not a number", g->path, key);
    *out = value;
    return ECH_OK;
}

int ech_gguf_flag(const struct ech_gguf *g, const char *key, int *out, struct ech_err *err)
{
    const struct ech_gguf_value *v = ech_gguf_find(g, key);
    if (!v)
        return ECH_OK;
    if (v->array || v->type != ECH_GGUF_BOOL || v->data[0] > 1)
        return ech_fail(err, ECH_DATA, "%s: %s is not true or false", g->path, key);
    *out = v->data[0];
    return ECH_OK;
}

int ech_gguf_text(const struct ech_gguf *g, const char *key, char *out, size_t bytes, struct ech_err *err)
{
    const struct ech_gguf_value *v = ech_gguf_find(g, key);
    if (!v)
        return ECH_OK;
    if (v->array || v->type != ECH_GGUF_STRING || v->count >= bytes ||
        memchr(v->data, '\0', (size_t)v->count))
        return ech_fail(err, ECH_DATA, "%s: %s is not a text of less than %zu bytes", g->path, key, bytes);
    memcpy(out, v->data, (size_t)v->count);
    out[v->count] = '\0';
    return ECH_OK;
}

void ech_gguf_fini(struct ech_gguf *g)
{
    ech_tensor_list_fini(&g->tensors);
    ech_gguf_vocab_destroy(g->vocab);
    ech_free(g->values);
    memset(g, 0, sizeof *g);
}
