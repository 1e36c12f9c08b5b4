/* Parsing a GGUF header: see gguf.h. */
#include "model/gguf.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 32, ALIGNMENT_MOST = 1 << 20, DIMS_MOST = 4, ARRAYS_MOST = 4, NAME_MOST = 1 << 16 };

static const uint8_t sizes[ECH_GGUF_TYPES] = {
    [ECH_GGUF_U8] = 1,  [ECH_GGUF_I8] = 1,  [ECH_GGUF_U16] = 2, [ECH_GGUF_I16] = 2,
    [ECH_GGUF_U32] = 4, [ECH_GGUF_I32] = 4, [ECH_GGUF_F32] = 4, [ECH_GGUF_BOOL] = 1,
    [ECH_GGUF_U64] = 8, [ECH_GGUF_I64] = 8, [ECH_GGUF_F64] = 8};

/* By the file's number; types that are known by name alone are refused by name. */
static const struct {
    const char *name;
    int type;
} tensor_types[] = {
    [0] = {"F32", ECH_ST_F32},
    [1] = {"F16", ECH_ST_F16},
    [2] = {"Q4_0", ECH_ST_Q4_0},
    [3] = {"Q4_1", ECH_ST_Q4_1},
    [4] = {"Q4_2", -1},
    [5] = {"Q4_3", -1},
    [6] = {"Q5_0", ECH_ST_Q5_0},
    [7] = {"Q5_1", ECH_ST_Q5_1},
    [8] = {"Q8_0", ECH_ST_Q8_0},
    [9] = {"Q8_1", -1},
    [10] = {"Q2_K", ECH_ST_Q2_K},
    [11] = {"Q3_K", ECH_ST_Q3_K},
    [12] = {"Q4_K", ECH_ST_Q4_K},
    [13] = {"Q5_K", ECH_ST_Q5_K},
    [14] = {"Q6_K", ECH_ST_Q6_K},
    [15] = {"Q8_K", -1},
    [16] = {"IQ2_XXS", -1},
    [17] = {"IQ2_XS", -1},
    [18] = {"IQ3_XXS", -1},
    [19] = {"IQ1_S", -1},
    [20] = {"IQ4_NL", ECH_ST_IQ4_NL},
    [21] = {"IQ3_S", -1},
    [22] = {"IQ2_S", -1},
    [23] = {"IQ4_XS", ECH_ST_IQ4_XS},
    [24] = {"I8", ECH_ST_I8},
    [25] = {"I16", ECH_ST_I16},
    [26] = {"I32", ECH_ST_I32},
    [27] = {"I64", ECH_ST_I64},
    [28] = {"F64", ECH_ST_F64},
    [29] = {"IQ1_M", -1},
    [30] = {"BF16", ECH_ST_BF16},
    [34] = {"TQ1_0", ECH_ST_TQ1_0},
    [35] = {"TQ2_0", ECH_ST_TQ2_0},
    [39] = {"MXFP4", ECH_ST_MXFP4},
    [40] = {"NVFP4", -1},
};
enum { TENSOR_TYPES = sizeof tensor_types / sizeof *tensor_types };

struct cursor {
    const char *path;
    const unsigned char *data;
    size_t bytes, at;
    struct ech_err *err;
};

static int take(struct cursor *c, uint64_t bytes, const char *what, const unsigned char **out)
{
    if (bytes > c->bytes - c->at)
        return ech_fail(c->err, ECH_DATA,
                        "%s is truncated: %s at byte %zu takes %llu bytes, the file has %zu there", c->path,
                        what, c->at, (unsigned long long)bytes, c->bytes - c->at);
    *out = c->data + c->at;
    c->at += (size_t)bytes;
    return ECH_OK;
}

static uint64_t little(const unsigned char *p, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; i--)
        value = value << 8 | p[i];
    return value;
}

static int take_number(struct cursor *c, int bytes, const char *what, uint64_t *out)
{
    const unsigned char *p = NULL;
    int code = take(c, (uint64_t)bytes, what, &p);
    if (code == ECH_OK)
        *out = little(p, bytes);
    return code;
}

static int take_text(struct cursor *c, const char *what, const char **text, uint64_t *bytes)
{
    const unsigned char *p = NULL;
    int code = take_number(c, 8, what, bytes);
    if (code == ECH_OK)
        code = take(c, *bytes, what, &p);
    if (code == ECH_OK)
        *text = (const char *)p;
    return code;
}

/* Keys and names stand in messages and in C strings. */
static int take_name(struct cursor *c, const char *what, const char **text, size_t *bytes)
{
    uint64_t length = 0;
    size_t at = c->at;
    int code = take_text(c, what, text, &length);
    if (code == ECH_OK && (length == 0 || length > NAME_MOST || memchr(*text, '\0', (size_t)length)))
        return ech_fail(c->err, ECH_DATA, "%s: %s at byte %zu is empty, too long or holds a NUL", c->path,
                        what, at);
    *bytes = (size_t)length;
    return code;
}

static int take_type(struct cursor *c, const char *key, enum ech_gguf_type *out)
{
    uint64_t type = 0;
    size_t at = c->at;
    int code = take_number(c, 4, key, &type);
    if (code == ECH_OK && type >= ECH_GGUF_TYPES)
        return ech_fail(c->err, ECH_DATA, "%s: the value of %s at byte %zu has the unknown type %llu",
                        c->path, key, at, (unsigned long long)type);
    *out = (enum ech_gguf_type)type;
    return code;
}

static int skip_array(struct cursor *c, const char *key, int depth, enum ech_gguf_type *type, uint64_t *count,
                      const unsigned char **first);

/* Past `count` values of one type. */
static int skip_values(struct cursor *c, const char *key, int depth, enum ech_gguf_type type, uint64_t count)
{
    const unsigned char *p = NULL;
    const char *text;
    enum ech_gguf_type inner;
    uint64_t length, all;
    int code = ECH_OK;
    if (type != ECH_GGUF_STRING && type != ECH_GGUF_ARRAY)
        return __builtin_mul_overflow(count, (uint64_t)sizes[type], &all) ? take(c, UINT64_MAX, key, &p)
                                                                          : take(c, all, key, &p);
    if (count > (c->bytes - c->at) / 8) /* each takes 8 bytes at least */
        return take(c, __builtin_mul_overflow(count, (uint64_t)8, &all) ? UINT64_MAX : all, key, &p);
    for (uint64_t i = 0; code == ECH_OK && i < count; i++)
        code = type == ECH_GGUF_STRING ? take_text(c, key, &text, &length)
                                       : skip_array(c, key, depth + 1, &inner, &length, &p);
    return code;
}

static int skip_array(struct cursor *c, const char *key, int depth, enum ech_gguf_type *type, uint64_t *count,
                      const unsigned char **first)
{
    if (depth > ARRAYS_MOST)
        return ech_fail(c->err, ECH_DATA, "%s: the value of %s at byte %zu nests arrays more than %d deep",
                        c->path, key, c->at, ARRAYS_MOST);
    int code = take_type(c, key, type);
    if (code == ECH_OK)
        code = take_number(c, 8, key, count);
    *first = c->data + c->at;
    return code == ECH_OK ? skip_values(c, key, depth, *type, *count) : code;
}

static int take_value(struct cursor *c, const char *key, struct ech_gguf_value *v)
{
    const char *text = NULL;
    int code = take_type(c, key, &v->type);
    if (code != ECH_OK)
        return code;
    if (v->type == ECH_GGUF_ARRAY) {
        v->array = true;
        return skip_array(c, key, 1, &v->type, &v->count, &v->data);
    }
    if (v->type == ECH_GGUF_STRING) {
        code = take_text(c, key, &text, &v->count);
        v->data = (const unsigned char *)text;
        return code;
    }
    v->count = 1;
    return take(c, sizes[v->type], key, &v->data);
}

static int take_pair(struct cursor *c, struct ech_gguf *g)
{
    char key[128];
    int code = ech_grow((void **)&g->values, &g->capacity, g->count + 1, sizeof *g->values, c->err);
    if (code != ECH_OK)
        return code;
    struct ech_gguf_value *v = &g->values[g->count];
    memset(v, 0, sizeof *v);
    code = take_name(c, "a key", &v->key, &v->key_bytes);
    if (code != ECH_OK)
        return code;
    size_t shown = v->key_bytes < sizeof key ? v->key_bytes : sizeof key - 1;
    memcpy(key, v->key, shown);
    key[shown] = '\0';
    g->count++;
    return take_value(c, key, v);
}

static int compare_keys(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    int order = memcmp(a, b, a_bytes < b_bytes ? a_bytes : b_bytes);
    return order ? order : (a_bytes > b_bytes) - (a_bytes < b_bytes);
}

static int by_key(const void *a, const void *b)
{
    const struct ech_gguf_value *x = a, *y = b;
    return compare_keys(x->key, x->key_bytes, y->key, y->key_bytes);
}

static int take_pairs(struct cursor *c, uint64_t count, struct ech_gguf *g)
{
    int code = ECH_OK;
    for (uint64_t i = 0; code == ECH_OK && i < count; i++)
        code = take_pair(c, g);
    if (code != ECH_OK)
        return code;
    if (g->count > 1)
        qsort(g->values, g->count, sizeof *g->values, by_key);
    for (size_t i = 1; i < g->count; i++)
        if (by_key(&g->values[i - 1], &g->values[i]) == 0)
            return ech_fail(c->err, ECH_DATA, "%s: the key %.*s is there twice", c->path,
                            (int)(g->values[i].key_bytes < 100 ? g->values[i].key_bytes : 100),
                            g->values[i].key);
    return ECH_OK;
}

static int read_alignment(struct ech_gguf *g, struct ech_err *err)
{
    int64_t alignment = ALIGNMENT;
    int code = ech_gguf_int(g, "general.alignment", &alignment, err);
    if (code == ECH_OK && (alignment < 1 || alignment > ALIGNMENT_MOST || (alignment & (alignment - 1)) != 0))
        return ech_fail(err, ECH_DATA, "%s: general.alignment is %lld, a power of two up to %d was expected",
                        g->path, (long long)alignment, ALIGNMENT_MOST);
    g->alignment = (size_t)alignment;
    return code;
}

static int take_shape(struct cursor *c, struct ech_tensor *t)
{
    uint64_t dims = 0, value = 0;
    int code = take_number(c, 4, t->name, &dims);
    if (code == ECH_OK && (dims < 1 || dims > DIMS_MOST))
        return ech_fail(c->err, ECH_DATA, "%s: tensor %.100s has %llu dimensions, 1 to %d were expected",
                        c->path, t->name, (unsigned long long)dims, DIMS_MOST);
    t->dims = (int)dims;
    for (int i = t->dims - 1; code == ECH_OK && i >= 0; i--) {
        code = take_number(c, 8, t->name, &value);
        if (code == ECH_OK && (value < 1 || value > INT64_MAX))
            return ech_fail(c->err, ECH_DATA, "%s: tensor %.100s has a dimension of %llu", c->path, t->name,
                            (unsigned long long)value);
        t->shape[i] = (int64_t)value;
    }
    return code;
}

static int take_tensor_type(struct cursor *c, struct ech_tensor *t)
{
    uint64_t type = 0;
    int code = take_number(c, 4, t->name, &type);
    if (code != ECH_OK)
        return code;
    if (type >= TENSOR_TYPES || !tensor_types[type].name)
        return ech_fail(c->err, ECH_DATA, "%s: tensor %.100s has the unknown type %llu", c->path, t->name,
                        (unsigned long long)type);
    if (tensor_types[type].type < 0)
        return ech_fail(c->err, ECH_DATA, "%s: tensor %.100s is stored as %s, which is not supported",
                        c->path, t->name, tensor_types[type].name);
    t->dtype = (enum ech_stype)tensor_types[type].type;
    return ECH_OK;
}

/* `offset` counts from the data until all of the header is read. */
static int take_tensor(struct cursor *c, struct ech_gguf *g, int file, uint64_t *offset)
{
    const char *name;
    size_t bytes;
    int code = take_name(c, "a tensor's name", &name, &bytes);
    if (code != ECH_OK)
        return code;
    struct ech_tensor *t = ech_tensor_list_add(&g->tensors, c->err);
    if (!t || !(t->name = ech_strndup(name, bytes, c->err)))
        return ECH_UNAVAILABLE;
    t->file = file;
    code = take_shape(c, t);
    if (code == ECH_OK)
        code = take_tensor_type(c, t);
    if (code == ECH_OK)
        code = take_number(c, 8, t->name, offset);
    if (code == ECH_OK && *offset % g->alignment != 0)
        return ech_fail(c->err, ECH_DATA,
                        "%s: tensor %.100s begins at byte %llu of the data, not a multiple of %zu", c->path,
                        t->name, (unsigned long long)*offset, g->alignment);
    return code == ECH_OK ? ech_tensor_measure(c->path, t->name, t, c->err) : code;
}

struct place {
    uint64_t offset;
    size_t index;
};

static int by_offset(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static int place_tensors(struct cursor *c, struct ech_gguf *g, struct place *places)
{
    size_t begin = (c->at + g->alignment - 1) / g->alignment * g->alignment, count = g->tensors.count;
    size_t room = begin < c->bytes ? c->bytes - begin : 0;
    uint64_t end = 0;
    qsort(places, count, sizeof *places, by_offset);
    for (size_t i = 0; i < count; i++) {
        struct ech_tensor *t = &g->tensors.items[places[i].index];
        if (places[i].offset < end)
            return ech_fail(c->err, ECH_DATA,
                            "%s: tensor %.100s begins at byte %llu of the data, inside of %.100s", c->path,
                            t->name, (unsigned long long)places[i].offset,
                            g->tensors.items[places[i - 1].index].name);
        if (places[i].offset > room || t->bytes > room - places[i].offset)
            return ech_fail(
                c->err, ECH_DATA,
                "%s is truncated: tensor %.100s takes %zu bytes from byte %llu of the data, the file has "
                "%zu there",
                c->path, t->name, t->bytes, (unsigned long long)places[i].offset, room);
        t->data = c->data + begin + (size_t)places[i].offset;
        end = places[i].offset + t->bytes;
    }
    return ECH_OK;
}

static int by_tensor_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int check_names(struct cursor *c, const struct ech_gguf *g)
{
    size_t count = g->tensors.count;
    const char **names = ech_calloc(count, sizeof *names, c->err);
    int code = names ? ECH_OK : ECH_UNAVAILABLE;
    for (size_t i = 0; names && i < count; i++)
        names[i] = g->tensors.items[i].name;
    if (names)
        qsort(names, count, sizeof *names, by_tensor_name);
    for (size_t i = 1; code == ECH_OK && i < count; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            code = ech_fail(c->err, ECH_DATA, "%s: tensor %.100s is there twice", c->path, names[i]);
    ech_free(names);
    return code;
}

static int take_tensors(struct cursor *c, uint64_t count, int file, struct ech_gguf *g)
{
    struct place *places = NULL;
    size_t capacity = 0;
    int code = ECH_OK;
    for (uint64_t i = 0; code == ECH_OK && i < count; i++) {
        code = ech_grow((void **)&places, &capacity, (size_t)i + 1, sizeof *places, c->err);
        if (code == ECH_OK) {
            places[i].index = (size_t)i;
            code = take_tensor(c, g, file, &places[i].offset);
        }
    }
    if (code == ECH_OK && count)
        code = place_tensors(c, g, places);
    ech_free(places);
    return code == ECH_OK && count ? check_names(c, g) : code;
}

static int take_version(struct cursor *c, struct ech_gguf *g)
{
    const unsigned char *magic = NULL;
    uint64_t version = 0;
    int code = take(c, 4, "the magic number", &magic);
    if (code == ECH_OK && memcmp(magic, "GGUF", 4) != 0)
        return ech_fail(c->err, ECH_DATA, "%s does not begin with GGUF", c->path);
    if (code == ECH_OK)
        code = take_number(c, 4, "the version", &version);
    if (code == ECH_OK && version != 0 && (version & 0xFFFF) == 0)
        return ech_fail(c->err, ECH_DATA, "%s is a big-endian GGUF file, which is not supported", c->path);
    if (code == ECH_OK && (version < 2 || version > 3))
        return ech_fail(c->err, ECH_DATA, "%s is GGUF version %llu, versions 2 and 3 are supported", c->path,
                        (unsigned long long)version);
    g->version = (uint32_t)version;
    return code;
}

static int parse(struct cursor *c, int file, struct ech_gguf *g)
{
    uint64_t tensors = 0, pairs = 0;
    int code = take_version(c, g);
    if (code == ECH_OK)
        code = take_number(c, 8, "the number of tensors", &tensors);
    if (code == ECH_OK)
        code = take_number(c, 8, "the number of keys", &pairs);
    if (code == ECH_OK)
        code = take_pairs(c, pairs, g);
    if (code == ECH_OK)
        code = read_alignment(g, c->err);
    if (code == ECH_OK)
        code = ech_gguf_text(g, "general.architecture", g->architecture, sizeof g->architecture, c->err);
    return code == ECH_OK ? take_tensors(c, tensors, file, g) : code;
}

int ech_gguf_parse(const char *path, const unsigned char *data, size_t bytes, int file, struct ech_gguf *out,
                   struct ech_err *err)
{
    struct cursor c = {.path = path, .data = data, .bytes = bytes, .err = err};
    memset(out, 0, sizeof *out);
    out->path = path;
    int code = parse(&c, file, out);
    if (code != ECH_OK)
        ech_gguf_fini(out);
    return code;
}

const struct ech_gguf_value *ech_gguf_find(const struct ech_gguf *g, const char *key)
{
    size_t low = 0, high = g->count, bytes = strlen(key);
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct ech_gguf_value *v = &g->values[middle];
        int order = compare_keys(key, bytes, v->key, v->key_bytes);
        if (order == 0)
            return v;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
