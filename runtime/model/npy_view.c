/* The header of one .npy array as a tensor: see npz.h. */
#include "model/npz.h"

#include <stdlib.h>
#include <string.h>

enum { MAGIC = 6, HEADER_MOST = 1 << 16 };

/* Behind "'key':" and spaces within [text, end); NULL: not there. */
static const char *value_of(const char *text, const char *end, const char *key)
{
    size_t length = strlen(key);
    for (const char *at = text; (size_t)(end - at) >= length; at++)
        if (memcmp(at, key, length) == 0) {
            at += length;
            while (at < end && *at == ' ')
                at++;
            return at < end ? at : NULL;
        }
    return NULL;
}

static bool read_type(const char *at, const char *end, struct ech_tensor *t)
{
    static const struct {
        const char *descr;
        enum ech_stype type;
    } types[] = {{"'<f4'", ECH_ST_F32}, {"'<f2'", ECH_ST_F16}, {"'|i1'", ECH_ST_U8}, {"'|u1'", ECH_ST_U8}};
    for (size_t i = 0; at && i < sizeof types / sizeof *types; i++)
        if ((size_t)(end - at) >= 5 && memcmp(at, types[i].descr, 5) == 0) {
            t->dtype = types[i].type;
            return true;
        }
    return false;
}

/* "(3, 4)", "(3,)", "()" */
static bool read_shape(const char *at, const char *end, struct ech_tensor *t)
{
    if (!at || *at++ != '(')
        return false;
    while (at < end && *at != ')') {
        int64_t value = 0;
        int digits = 0;
        while (at < end && *at == ' ')
            at++;
        for (; at < end && *at >= '0' && *at <= '9' && digits < 18; digits++)
            value = value * 10 + (*at++ - '0');
        if (digits == 0 || t->dims == ECH_TENSOR_DIMS)
            return false;
        t->shape[t->dims++] = value;
        while (at < end && *at == ' ')
            at++;
        if (at < end && *at == ',')
            at++;
        else if (at == end || *at != ')')
            return false;
        while (at < end && *at == ' ')
            at++;
    }
    return at < end;
}

int ech_npy_view(const char *path, const char *name, const unsigned char *data, size_t bytes,
                 struct ech_tensor *out, struct ech_err *err)
{
    if (bytes < MAGIC + 4 || memcmp(data, "\x93NUMPY", MAGIC) != 0)
        return ech_fail(err, ECH_DATA, "%s: %.100s is not a .npy array", path, name);
    bool wide = data[MAGIC] >= 2;
    size_t begin = wide ? 12 : 10, length = (size_t)(data[8] | data[9] << 8);
    if (wide && bytes >= begin)
        length |= (size_t)data[10] << 16 | (size_t)data[11] << 24;
    if (bytes < begin || length > HEADER_MOST || length > bytes - begin)
        return ech_fail(err, ECH_DATA, "%s: the header of %.100s is %zu bytes, the array has %zu", path, name,
                        length, bytes);
    const char *text = (const char *)data + begin, *end = text + length;
    struct ech_tensor *t = out;
    if (!read_type(value_of(text, end, "'descr':"), end, t))
        return ech_fail(err, ECH_DATA, "%s: %.100s has a type other than <f4, <f2, |i1, |u1", path, name);
    const char *order = value_of(text, end, "'fortran_order':");
    if (!order || *order != 'F' || !read_shape(value_of(text, end, "'shape':"), end, t))
        return ech_fail(err, ECH_DATA, "%s: %.100s has no shape in C order of at most %d dimensions", path,
                        name, ECH_TENSOR_DIMS);
    int code = ech_tensor_measure(path, name, t, err);
    if (code != ECH_OK)
        return code;
    if (t->bytes != bytes - begin - length)
        return ech_fail(err, ECH_DATA, "%s: %.100s has %zu bytes of values, its shape takes %zu", path, name,
                        bytes - begin - length, t->bytes);
    t->data = data + begin + length;
    return ECH_OK;
}
