/* Parsing a safetensors header: see safetensors.h. */
#include "model/safetensors.h"

#include "base/json.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 8, HEADER_MOST = 100000000 };

static int read_dtype(const char *path, const char *name, const json_t *item, struct ech_tensor *t,
                      struct ech_err *err)
{
    const char *text = json_string_value(json_object_get(item, "dtype"));
    for (int i = 0; text && i < ECH_ST_Q4_0; i++)
        if (strcmp(ech_stype_name((enum ech_stype)i), text) == 0) {
            t->dtype = (enum ech_stype)i;
            return ECH_OK;
        }
    return ech_fail(err, ECH_DATA, "%s: tensor %.100s has the unknown dtype %.40s", path, name,
                    text ? text : "(none)");
}

static int read_shape(const char *path, const char *name, const json_t *item, struct ech_tensor *t,
                      struct ech_err *err)
{
    const json_t *shape = json_object_get(item, "shape"), *dim;
    size_t i;
    if (!json_is_array(shape) || json_array_size(shape) > ECH_TENSOR_DIMS)
        return ech_fail(err, ECH_DATA, "%s: the shape of tensor %.100s is not a list of at most %d numbers",
                        path, name, ECH_TENSOR_DIMS);
    json_array_foreach(shape, i, dim)
    {
        json_int_t value = json_is_integer(dim) ? json_integer_value(dim) : -1;
        if (value < 0)
            return ech_fail(err, ECH_DATA, "%s: dimension %zu of tensor %.100s is not a count", path, i,
                            name);
        t->shape[t->dims++] = value;
    }
    return ech_tensor_measure(path, name, t, err);
}

static int read_offsets(const char *path, const char *name, const json_t *item, size_t data_bytes,
                        const struct ech_tensor *t, size_t *begin, struct ech_err *err)
{
    const json_t *offsets = json_object_get(item, "data_offsets");
    const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
    json_int_t a = json_is_integer(first) ? json_integer_value(first) : -1;
    json_int_t b = json_is_integer(last) ? json_integer_value(last) : -1;
    if (json_array_size(offsets) != 2 || a < 0 || b < a)
        return ech_fail(err, ECH_DATA, "%s: data_offsets of tensor %.100s are not [begin, end]", path, name);
    if ((size_t)(b - a) != t->bytes)
        return ech_fail(err, ECH_DATA, "%s: tensor %.100s has %lld bytes by its offsets, %zu by its shape",
                        path, name, (long long)(b - a), t->bytes);
    if ((size_t)b > data_bytes)
        return ech_fail(
            err, ECH_DATA,
            "%s is truncated: tensor %.100s ends at byte %lld of the data, the file has %zu there", path,
            name, (long long)b, data_bytes);
    *begin = (size_t)a;
    return ECH_OK;
}

static int read_one(const char *path, const char *name, const json_t *item, const unsigned char *data,
                    size_t data_bytes, struct ech_tensor *t, struct ech_err *err)
{
    size_t begin = 0;
    if (!json_is_object(item))
        return ech_fail(err, ECH_DATA, "%s: the entry of tensor %.100s is not an object", path, name);
    int code = read_dtype(path, name, item, t, err);
    if (code == ECH_OK)
        code = read_shape(path, name, item, t, err);
    if (code == ECH_OK)
        code = read_offsets(path, name, item, data_bytes, t, &begin, err);
    if (code == ECH_OK && !(t->name = ech_strdup(name, err)))
        code = ECH_UNAVAILABLE;
    t->data = data + begin;
    return code;
}

static int by_place(const void *a, const void *b)
{
    const struct ech_tensor *x = a, *y = b;
    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* In file order each tensor begins where the one before it ends, and the last ends the file. */
static int check_places(const char *path, struct ech_tensor *items, size_t count, const unsigned char *data,
                        size_t data_bytes, struct ech_err *err)
{
    if (count > 1)
        qsort(items, count, sizeof *items, by_place);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        size_t begin = (size_t)(items[i].data - data);
        if (begin != at)
            return ech_fail(err, ECH_DATA,
                            "%s: tensor %.100s begins at byte %zu of the data, %zu was expected "
                            "(tensors %s)",
                            path, items[i].name, begin, at, begin < at ? "overlap" : "leave a gap");
        at += items[i].bytes;
    }
    if (at != data_bytes)
        return ech_fail(err, ECH_DATA, "%s: the tensors end at byte %zu of the data, the file at %zu", path,
                        at, data_bytes);
    return ECH_OK;
}

static int parse_header(const char *path, const json_t *header, const unsigned char *data, size_t data_bytes,
                        int file, struct ech_tensor_list *list, struct ech_err *err)
{
    const char *name;
    json_t *item;
    size_t first = list->count;
    json_object_foreach((json_t *)(uintptr_t)header, name, item)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        struct ech_tensor *t = ech_tensor_list_add(list, err);
        if (!t)
            return ECH_UNAVAILABLE;
        t->file = file;
        int code = read_one(path, name, item, data, data_bytes, t, err);
        if (code != ECH_OK)
            return code;
    }
    struct ech_tensor *items = list->items ? list->items + first : NULL;
    return check_places(path, items, list->count - first, data, data_bytes, err);
}

int ech_safetensors_parse(const char *path, const unsigned char *data, size_t bytes, int file,
                          struct ech_tensor_list *list, struct ech_err *err)
{
    uint64_t length = 0;
    if (bytes < LENGTH_BYTES)
        return ech_fail(err, ECH_DATA, "%s is truncated: %zu bytes, a header of %d or more was expected",
                        path, bytes, LENGTH_BYTES);
    for (int i = LENGTH_BYTES - 1; i >= 0; i--)
        length = length << 8 | data[i];
    if (length > HEADER_MOST)
        return ech_fail(err, ECH_DATA,
                        "%s: a header of %llu bytes is stated, at most %d are allowed: not a "
                        "safetensors file?",
                        path, (unsigned long long)length, HEADER_MOST);
    if (length > bytes - LENGTH_BYTES)
        return ech_fail(
            err, ECH_DATA,
            "%s is truncated: a header of %llu bytes is stated, the file has %zu after its length", path,
            (unsigned long long)length, bytes - LENGTH_BYTES);
    const unsigned char *text = data + LENGTH_BYTES;
    if (length < 2 || text[0] != '{')
        return ech_fail(err, ECH_DATA, "%s: the header does not begin with '{': not a safetensors file?",
                        path);
    json_t *header;
    int code = ech_json_parse(path, (const char *)text, (size_t)length, &header, err);
    if (code != ECH_OK)
        return code;
    if (json_is_object(header))
        code =
            parse_header(path, header, text + length, bytes - LENGTH_BYTES - (size_t)length, file, list, err);
    else
        code = ech_fail(err, ECH_DATA, "%s: the header is not an object", path);
    json_decref(header);
    return code;
}

int ech_safetensors_check(const char *name, const void *data, size_t bytes, struct ech_err *err)
{
    struct ech_tensor_list list = {0};
    int code = ech_safetensors_parse(name, data, bytes, 0, &list, err);
    ech_tensor_list_fini(&list);
    return code;
}
