/* Parsing Marian's binary format: see marian.h. */
#include "model/marian.h"

#include "base/mem.h"
#include "model/cursor.h"
#include "model/weights_impl.h"

#include <string.h>

enum { RECORD = 32, NAME_MOST = 4096, TYPE_F32 = 0x0404, TYPE_INTGEMM8 = 0x4101, TYPE_BYTES = 0x0101 };

struct record {
    uint64_t name_bytes, type, dims, data_bytes;
};

static struct record record_at(const unsigned char *records, uint64_t i)
{
    const unsigned char *p = records + RECORD * i;
    return (struct record){ech_little(p, 8), ech_little(p + 8, 8), ech_little(p + 16, 8),
                           ech_little(p + 24, 8)};
}

static int take_name(struct ech_cursor *c, const struct record *r, struct ech_tensor *t)
{
    const unsigned char *name = NULL;
    size_t at = c->at;
    int code = ech_cursor_take(c, r->name_bytes, "an item's name", &name);
    if (code != ECH_OK)
        return code;
    if (r->name_bytes < 2 || r->name_bytes > NAME_MOST ||
        memchr(name, '\0', (size_t)r->name_bytes) != name + r->name_bytes - 1)
        return ech_fail(c->err, ECH_DATA, "%s: the item's name at byte %zu is no text that ends with its NUL",
                        c->path, at);
    t->name = ech_strdup((const char *)name, c->err);
    return t->name ? ECH_OK : ECH_UNAVAILABLE;
}

static int take_shape(struct ech_cursor *c, const struct record *r, struct ech_tensor *t)
{
    const unsigned char *p = NULL;
    if (r->dims > ECH_TENSOR_DIMS)
        return ech_fail(c->err, ECH_DATA, "%s: item %.100s has %llu dimensions, at most %d are supported",
                        c->path, t->name, (unsigned long long)r->dims, ECH_TENSOR_DIMS);
    t->dims = (int)r->dims;
    int code = ech_cursor_take(c, 4 * r->dims, t->name, &p);
    for (int i = 0; code == ECH_OK && i < t->dims; i++) {
        t->shape[i] = (int32_t)ech_little(p + 4 * i, 4);
        if (t->shape[i] < 1)
            return ech_fail(c->err, ECH_DATA, "%s: item %.100s has a dimension of %lld", c->path, t->name,
                            (long long)t->shape[i]);
    }
    return code;
}

static int set_type(struct ech_cursor *c, const struct record *r, struct ech_tensor *t)
{
    switch (r->type) {
    case TYPE_F32:
        t->dtype = ECH_ST_F32;
        return ECH_OK;
    case TYPE_INTGEMM8:
        t->dtype = ECH_ST_I8;
        return ECH_OK;
    case TYPE_BYTES:
        t->dtype = ECH_ST_U8;
        return ECH_OK;
    }
    return ech_fail(
        c->err, ECH_DATA,
        "%s: item %.100s has the type %#llx; f32 and intgemm's int8 in its portable layout are supported",
        c->path, t->name, (unsigned long long)r->type);
}

static int take_data(struct ech_cursor *c, const struct record *r, struct ech_tensor *t)
{
    int code = ech_tensor_measure(c->path, t->name, t, c->err);
    size_t behind = t->dtype == ECH_ST_I8 ? sizeof(float) : 0;
    if (code == ECH_OK && (r->data_bytes < behind || r->data_bytes - behind < t->bytes))
        return ech_fail(c->err, ECH_DATA, "%s: item %.100s has %llu bytes, its shape takes %zu", c->path,
                        t->name, (unsigned long long)r->data_bytes, t->bytes + behind);
    if (code == ECH_OK)
        code = ech_cursor_take(c, r->data_bytes, t->name, &t->data);
    if (code == ECH_OK && behind) {
        t->scales = t->data + t->bytes;
        t->scale_count = 1;
    }
    return code;
}

static int take_padding(struct ech_cursor *c)
{
    const unsigned char *p = NULL;
    int code = ech_cursor_take(c, 8, "the padding", &p);
    return code == ECH_OK ? ech_cursor_take(c, ech_little(p, 8), "the padding", &p) : code;
}

static int parse_items(struct ech_cursor *c, const unsigned char *records, uint64_t count, int file,
                       struct ech_tensor_list *items)
{
    int code = ECH_OK;
    size_t first = items->count;
    for (uint64_t i = 0; code == ECH_OK && i < count; i++) {
        struct record r = record_at(records, i);
        struct ech_tensor *t = ech_tensor_list_add(items, c->err);
        if (!t)
            return ECH_UNAVAILABLE;
        t->file = file;
        code = take_name(c, &r, t);
        if (code == ECH_OK)
            code = set_type(c, &r, t);
    }
    for (uint64_t i = 0; code == ECH_OK && i < count; i++) {
        struct record r = record_at(records, i);
        code = take_shape(c, &r, &items->items[first + i]);
    }
    if (code == ECH_OK)
        code = take_padding(c);
    for (uint64_t i = 0; code == ECH_OK && i < count; i++) {
        struct record r = record_at(records, i);
        code = take_data(c, &r, &items->items[first + i]);
    }
    return code;
}

int ech_marian_parse(const char *path, const unsigned char *data, size_t bytes, int file,
                     struct ech_tensor_list *items, struct ech_err *err)
{
    struct ech_cursor c = {.path = path, .data = data, .bytes = bytes, .err = err};
    const unsigned char *head = NULL, *records = NULL;
    uint64_t all;
    int code = ech_cursor_take(&c, 16, "the header", &head);
    if (code == ECH_OK && ech_little(head, 8) != 1)
        return ech_fail(err, ECH_DATA, "%s is version %llu of Marian's binary format, 1 is supported", path,
                        (unsigned long long)ech_little(head, 8));
    if (code == ECH_OK && __builtin_mul_overflow(ech_little(head + 8, 8), (uint64_t)RECORD, &all))
        all = UINT64_MAX;
    if (code == ECH_OK)
        code = ech_cursor_take(&c, all, "the list of items", &records);
    if (code == ECH_OK)
        code = parse_items(&c, records, ech_little(head + 8, 8), file, items);
    if (code == ECH_OK && c.at != bytes)
        return ech_fail(err, ECH_DATA, "%s: the last item ends at byte %zu, the file at %zu", path, c.at,
                        bytes);
    return code;
}
