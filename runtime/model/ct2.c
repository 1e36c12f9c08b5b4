/* Parsing a CTranslate2 file: see ct2.h. */
#include "model/ct2.h"

#include "base/mem.h"
#include "model/cursor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION_LEAST = 2, VERSION_MOST = 6 };

/* At most 4 bytes: no number of this format has more. */
static int take_number(struct ech_cursor *c, int bytes, const char *what, uint32_t *out)
{
    uint64_t value = 0;
    int code = ech_cursor_number(c, bytes, what, &value);
    if (code == ECH_OK)
        *out = (uint32_t)value;
    return code;
}

static int take_string(struct ech_cursor *c, const char *what, const char **out)
{
    uint32_t bytes = 0;
    const unsigned char *p = NULL;
    size_t at = c->at;
    int code = take_number(c, 2, what, &bytes);
    if (code == ECH_OK)
        code = ech_cursor_take(c, bytes, what, &p);
    if (code == ECH_OK && (bytes < 2 || memchr(p, '\0', bytes) != p + bytes - 1))
        return ech_fail(c->err, ECH_DATA, "%s: %s at byte %zu is no text that ends with its NUL", c->path,
                        what, at);
    *out = (const char *)p;
    return code;
}

/* By type code, and by an element's bytes before version 4. */
static bool type_of(uint32_t version, uint32_t number, enum ech_stype *out)
{
    static const enum ech_stype codes[] = {ECH_ST_F32, ECH_ST_I8,  ECH_ST_I16,
                                           ECH_ST_I32, ECH_ST_F16, ECH_ST_BF16};
    if (version >= 4 && number < sizeof codes / sizeof *codes)
        *out = codes[number];
    else if (version < 4 && (number == 1 || number == 2 || number == 4))
        *out = number == 1 ? ECH_ST_I8 : number == 2 ? ECH_ST_I16 : ECH_ST_F32;
    else
        return false;
    return true;
}

static int take_shape(struct ech_cursor *c, struct ech_tensor *t)
{
    uint32_t dims = 0, value = 0;
    int code = take_number(c, 1, t->name, &dims);
    if (code == ECH_OK && dims > ECH_TENSOR_DIMS)
        return ech_fail(c->err, ECH_DATA, "%s: variable %.100s has %u dimensions, at most %d are supported",
                        c->path, t->name, dims, ECH_TENSOR_DIMS);
    t->dims = (int)dims;
    for (int i = 0; code == ECH_OK && i < t->dims; i++) {
        code = take_number(c, 4, t->name, &value);
        t->shape[i] = value;
    }
    return code;
}

static int take_variable(struct ech_cursor *c, int file, struct ech_ct2 *m)
{
    const char *name;
    uint32_t type = 0, count = 0;
    int code = take_string(c, "a variable's name", &name);
    if (code != ECH_OK)
        return code;
    struct ech_tensor *t = ech_tensor_list_add_named(&m->variables, name, c->err);
    if (!t)
        return ECH_UNAVAILABLE;
    t->file = file;
    code = take_shape(c, t);
    if (code == ECH_OK)
        code = take_number(c, 1, t->name, &type);
    if (code == ECH_OK && !type_of(m->version, type, &t->dtype))
        return ech_fail(c->err, ECH_DATA, "%s: variable %.100s has the unknown type %u", c->path, t->name,
                        type);
    if (code == ECH_OK)
        code = take_number(c, 4, t->name, &count);
    if (code == ECH_OK)
        code = ech_tensor_measure(c->path, t->name, t, c->err);
    if (code != ECH_OK)
        return code;
    uint64_t stated = (uint64_t)count * (m->version >= 4 ? 1 : type);
    if (stated != t->bytes)
        return ech_fail(c->err, ECH_DATA, "%s: variable %.100s has %llu bytes as stated, %zu by its shape",
                        c->path, t->name, (unsigned long long)stated, t->bytes);
    return ech_cursor_take(c, t->bytes, t->name, &t->data);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct ech_tensor *)a)->name, ((const struct ech_tensor *)b)->name);
}

static int sort(struct ech_ct2 *m, struct ech_err *err)
{
    struct ech_tensor_list *list = &m->variables;
    if (list->count > 1)
        qsort(list->items, list->count, sizeof *list->items, by_name);
    for (size_t i = 1; i < list->count; i++)
        if (strcmp(list->items[i - 1].name, list->items[i].name) == 0)
            return ech_fail(err, ECH_DATA, "%s: variable %.100s is there twice", m->path,
                            list->items[i].name);
    return ECH_OK;
}

static struct ech_tensor *find(const struct ech_ct2 *m, size_t count, const char *name)
{
    struct ech_tensor key = {.name = (char *)(uintptr_t)name};
    return count ? bsearch(&key, m->variables.items, count, sizeof key, by_name) : NULL;
}

/* Looked up among the `variables` alone: an alias of an alias does not occur. */
static int take_aliases(struct ech_cursor *c, struct ech_ct2 *m)
{
    uint32_t count = 0;
    size_t variables = m->variables.count;
    int code = m->version >= 3 ? take_number(c, 4, "the number of aliases", &count) : ECH_OK;
    for (uint32_t i = 0; code == ECH_OK && i < count; i++) {
        const char *alias, *name;
        code = take_string(c, "an alias", &alias);
        if (code == ECH_OK)
            code = take_string(c, "an alias's name", &name);
        if (code != ECH_OK)
            return code;
        const struct ech_tensor *of = find(m, variables, name);
        if (!of)
            return ech_fail(c->err, ECH_DATA, "%s: alias %.100s is of %.100s, which is not there", c->path,
                            alias, name);
        struct ech_tensor copy = *of, *t = ech_tensor_list_add_named(&m->variables, alias, c->err);
        if (!t)
            return ECH_UNAVAILABLE;
        copy.name = t->name;
        *t = copy;
    }
    return code;
}

/* The multipliers of one quantised variable. */
static int attach_scale(struct ech_ct2 *m, struct ech_tensor *t, struct ech_err *err)
{
    char name[512];
    if ((t->dtype != ECH_ST_I8 && t->dtype != ECH_ST_I16) || t->dims == 0)
        return ECH_OK;
    if ((size_t)snprintf(name, sizeof name, "%s_scale", t->name) >= sizeof name)
        return ECH_OK;
    const struct ech_tensor *scale = find(m, m->variables.count, name);
    if (!scale)
        return ECH_OK; /* a small list of integers */
    if (scale->dtype != ECH_ST_F32 || (scale->elements != 1 && scale->elements != t->shape[0]))
        return ech_fail(err, ECH_DATA, "%s: %.100s is no f32 a row of its %lld (%s, %lld values)", m->path,
                        name, (long long)t->shape[0], ech_stype_name(scale->dtype),
                        (long long)scale->elements);
    t->scales = scale->data;
    t->scale_count = scale->elements;
    m->used[scale - m->variables.items] = 1;
    return ECH_OK;
}

static int attach_scales(struct ech_ct2 *m, struct ech_err *err)
{
    int code = ECH_OK;
    m->used = ech_calloc(m->variables.count, 1, err);
    if (!m->used)
        return ECH_UNAVAILABLE;
    for (size_t i = 0; code == ECH_OK && i < m->variables.count; i++)
        code = attach_scale(m, &m->variables.items[i], err);
    return code;
}

static int parse(struct ech_cursor *c, int file, struct ech_ct2 *m)
{
    const char *spec = "";
    uint32_t count = 0;
    int code = take_number(c, 4, "the version", &m->version);
    if (code == ECH_OK && (m->version < VERSION_LEAST || m->version > VERSION_MOST))
        return ech_fail(c->err, ECH_DATA, "%s is version %u of CTranslate2's format, %d to %d are supported",
                        c->path, m->version, VERSION_LEAST, VERSION_MOST);
    if (code == ECH_OK)
        code = take_string(c, "the specification's name", &spec);
    if (code == ECH_OK && strlen(spec) >= sizeof m->spec)
        return ech_fail(c->err, ECH_DATA, "%s: the specification's name is %zu letters long", c->path,
                        strlen(spec));
    if (code == ECH_OK)
        memcpy(m->spec, spec, strlen(spec) + 1);
    if (code == ECH_OK)
        code = take_number(c, 4, "the revision", &m->revision);
    if (code == ECH_OK)
        code = take_number(c, 4, "the number of variables", &count);
    for (uint32_t i = 0; code == ECH_OK && i < count; i++)
        code = take_variable(c, file, m);
    if (code == ECH_OK)
        code = sort(m, c->err);
    if (code == ECH_OK)
        code = take_aliases(c, m);
    if (code == ECH_OK)
        code = sort(m, c->err);
    if (code == ECH_OK && c->at != c->bytes)
        code = ech_fail(c->err, ECH_DATA, "%s: the last variable ends at byte %zu, the file at %zu", c->path,
                        c->at, c->bytes);
    return code == ECH_OK ? attach_scales(m, c->err) : code;
}

int ech_ct2_parse(const char *path, const unsigned char *data, size_t bytes, int file, struct ech_ct2 *out,
                  struct ech_err *err)
{
    struct ech_cursor c = {.path = path, .data = data, .bytes = bytes, .err = err};
    memset(out, 0, sizeof *out);
    out->path = path;
    int code = parse(&c, file, out);
    if (code != ECH_OK)
        ech_ct2_fini(out);
    return code;
}

void ech_ct2_fini(struct ech_ct2 *m)
{
    ech_tensor_list_fini(&m->variables);
    ech_free(m->used);
    memset(m, 0, sizeof *m);
}

const struct ech_tensor *ech_ct2_take(struct ech_ct2 *m, const char *name)
{
    const struct ech_tensor *t = find(m, m->variables.count, name);
    if (t)
        m->used[t - m->variables.items] = 1;
    return t;
}

bool ech_ct2_number(struct ech_ct2 *m, const char *name, double *out)
{
    const struct ech_tensor *t = ech_ct2_take(m, name);
    float value;
    if (!t || t->elements != 1 || t->bytes > sizeof(uint32_t))
        return false;
    if (t->dtype == ECH_ST_I8)
        *out = (int8_t)t->data[0];
    else if (t->dtype == ECH_ST_I16)
        *out = (int16_t)(uint16_t)(t->data[0] | t->data[1] << 8);
    else if (t->dtype == ECH_ST_I32)
        *out = (int32_t)((uint32_t)t->data[0] | (uint32_t)t->data[1] << 8 | (uint32_t)t->data[2] << 16 |
                         (uint32_t)t->data[3] << 24);
    else if (ech_tensor_to_f32(t, 0, 1, &value, NULL) == ECH_OK)
        *out = (double)value;
    else
        return false;
    return true;
}
