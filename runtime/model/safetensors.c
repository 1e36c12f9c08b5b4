/* Weight files: mapping, the index, lookup; see safetensors.h. */
#include "model/safetensors_header.h"

#include "base/io.h"
#include "base/json.h"
#include "base/mapping.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILES_MOST = 1000, INDEX_MOST = 64 << 20 };
static const char single[] = "model.safetensors", index_name[] = "model.safetensors.index.json";

struct ech_weights {
    struct ech_mapping *files;
    int files_count;
    char **names; /* relative, NULL-terminated; the index first where there is one */
    size_t names_count, names_capacity;
    bool indexed;
    struct ech_tensor_list list; /* sorted by name */
};

static int add_name(struct ech_weights *w, const char *name, struct ech_err *err)
{
    int code = ech_grow((void **)&w->names, &w->names_capacity, w->names_count + 2, sizeof *w->names, err);
    if (code != ECH_OK)
        return code;
    char *copy = ech_strdup(name, err);
    if (!copy)
        return ECH_UNAVAILABLE;
    w->names[w->names_count++] = copy;
    w->names[w->names_count] = NULL;
    return ECH_OK;
}

/* What was read of a file that was lost meanwhile means nothing, whatever it looked like. */
static int parse_file(struct ech_weights *w, const struct ech_mapping *file, struct ech_err *err)
{
    struct ech_err found = ECH_ERR_NONE;
    int code =
        ech_safetensors_parse(file->path, file->data, file->bytes, w->files_count - 1, &w->list, &found);
    int lost = ech_mapping_check(file, err);
    if (lost != ECH_OK || code == ECH_OK)
        return lost;
    if (err)
        *err = found;
    return code;
}

static int add_file(struct ech_weights *w, const char *folder, const char *name, struct ech_err *err)
{
    struct ech_mapping *more = ech_realloc(w->files, (size_t)w->files_count + 1, sizeof *w->files, err);
    if (!more)
        return ECH_UNAVAILABLE;
    w->files = more;
    struct ech_mapping *file = &w->files[w->files_count];
    memset(file, 0, sizeof *file);
    w->files_count++;
    char *path = ech_path_join(folder, name, err);
    int code = path ? add_name(w, name, err) : ECH_UNAVAILABLE;
    if (code == ECH_OK)
        code = ech_mapping_open(path, file, err);
    ech_free(path);
    return code == ECH_OK ? parse_file(w, file, err) : code;
}

/* A shard's name stays in the folder: an index must not reach other files. */
static int check_shard_name(const char *path, const json_t *value, struct ech_err *err)
{
    const char *name = json_string_value(value);
    if (!name || !*name || strchr(name, '/') || name[0] == '.')
        return ech_fail(err, ECH_DATA, "%s: \"%.100s\" is not the name of a file in its folder", path,
                        name ? name : "(not a string)");
    return ECH_OK;
}

static bool has_file(const struct ech_weights *w, const char *name)
{
    for (size_t i = 1; i < w->names_count; i++)
        if (strcmp(w->names[i], name) == 0)
            return true;
    return false;
}

static int open_shards(struct ech_weights *w, const char *folder, const char *path, const json_t *map,
                       struct ech_err *err)
{
    const char *tensor;
    json_t *value;
    if (!json_is_object(map))
        return ech_fail(err, ECH_DATA, "%s: the key \"weight_map\" is missing or not an object", path);
    json_object_foreach((json_t *)(uintptr_t)map, tensor, value)
    {
        int code = check_shard_name(path, value, err);
        if (code == ECH_OK && !has_file(w, json_string_value(value))) {
            if (w->files_count >= FILES_MOST)
                return ech_fail(err, ECH_DATA, "%s names more than %d files", path, FILES_MOST);
            code = add_file(w, folder, json_string_value(value), err);
        }
        if (code != ECH_OK)
            return code;
    }
    return ECH_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct ech_tensor *)a)->name, ((const struct ech_tensor *)b)->name);
}

static int sort_names(struct ech_weights *w, struct ech_err *err)
{
    if (w->list.count > 1)
        qsort(w->list.items, w->list.count, sizeof *w->list.items, by_name);
    for (size_t i = 1; i < w->list.count; i++) {
        const struct ech_tensor *a = &w->list.items[i - 1], *b = &w->list.items[i];
        if (strcmp(a->name, b->name) == 0)
            return ech_fail(err, ECH_DATA, "tensor %.100s is in two files: %s and %s", a->name,
                            w->files[a->file].path, w->files[b->file].path);
    }
    return ECH_OK;
}

/* Each tensor lies where the index says. */
static int check_index(const struct ech_weights *w, const char *path, const json_t *map, struct ech_err *err)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)map, name, value)
    {
        const struct ech_tensor *t = ech_weights_find(w, name);
        const char *file = json_string_value(value);
        if (!t || strcmp(ech_path_base(w->files[t->file].path), file) != 0)
            return ech_fail(err, ECH_DATA, "%s: tensor %.100s is not in %s as the index says", path, name,
                            file);
    }
    return ECH_OK;
}

static int open_index(struct ech_weights *w, const char *folder, const char *path, struct ech_err *err)
{
    json_t *root;
    int code = ech_json_load(path, INDEX_MOST, &root, err);
    if (code != ECH_OK)
        return code;
    const json_t *map = json_object_get(root, "weight_map");
    w->indexed = true;
    code = add_name(w, index_name, err);
    if (code == ECH_OK)
        code = open_shards(w, folder, path, map, err);
    if (code == ECH_OK)
        code = sort_names(w, err);
    if (code == ECH_OK)
        code = check_index(w, path, map, err);
    json_decref(root);
    return code;
}

static int open_files(struct ech_weights *w, const char *folder, struct ech_err *err)
{
    char *one = ech_path_join(folder, single, err), *many = ech_path_join(folder, index_name, err);
    int code = one && many ? ECH_OK : ECH_UNAVAILABLE;
    if (code == ECH_OK && ech_path_exists(one)) {
        code = add_file(w, folder, single, err);
        if (code == ECH_OK)
            code = sort_names(w, err);
    } else if (code == ECH_OK && ech_path_exists(many))
        code = open_index(w, folder, many, err);
    else if (code == ECH_OK)
        code = ech_fail(err, ECH_NOINPUT, "%s has no weights: neither %s nor %s is there", folder, single,
                        index_name);
    ech_free(one);
    ech_free(many);
    return code;
}

int ech_weights_open(const char *folder, struct ech_weights **out, struct ech_err *err)
{
    struct ech_weights *w = ech_calloc(1, sizeof *w, err);
    if (!w)
        return ECH_UNAVAILABLE;
    int code = open_files(w, folder, err);
    if (code == ECH_OK)
        *out = w;
    else
        ech_weights_close(w);
    return code;
}

void ech_weights_close(struct ech_weights *w)
{
    if (!w)
        return;
    for (int i = 0; i < w->files_count; i++)
        ech_mapping_close(&w->files[i]);
    for (size_t i = 0; i < w->names_count; i++)
        ech_free(w->names[i]);
    ech_free(w->names);
    ech_free(w->files);
    ech_tensor_list_fini(&w->list);
    ech_free(w);
}

int ech_weights_check(const struct ech_weights *w, struct ech_err *err)
{
    for (int i = 0; i < w->files_count; i++) {
        int code = ech_mapping_check(&w->files[i], err);
        if (code != ECH_OK)
            return code;
    }
    return ECH_OK;
}

const struct ech_tensor *ech_weights_find(const struct ech_weights *w, const char *name)
{
    size_t low = 0, high = w->list.count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(name, w->list.items[middle].name);
        if (order == 0)
            return &w->list.items[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

int64_t ech_weights_count(const struct ech_weights *w)
{
    return (int64_t)w->list.count;
}

const struct ech_tensor *ech_weights_at(const struct ech_weights *w, int64_t i)
{
    return &w->list.items[i];
}

const char *const *ech_weights_files(const struct ech_weights *w)
{
    return (const char *const *)w->names;
}

const char *ech_weights_path(const struct ech_weights *w, int file)
{
    return w->files[file].path;
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

static float f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 0x1F, mantissa = h & 0x3FF, bits;
    float value;
    if (exponent == 0) { /* zero or subnormal: mantissa x 2^-24, exact */
        value = (float)mantissa * 0x1p-24f;
        memcpy(&bits, &value, sizeof bits);
        bits |= sign;
    } else if (exponent == 31)
        bits = sign | 0x7F800000u | mantissa << 13;
    else
        bits = sign | (exponent + 112) << 23 | mantissa << 13;
    memcpy(&value, &bits, sizeof value);
    return value;
}

int ech_tensor_to_f32(const struct ech_tensor *t, int64_t first, int64_t count, float *out,
                      struct ech_err *err)
{
    const unsigned char *from = t->data + (size_t)first * ech_stype_bytes(t->dtype);
    if (t->dtype == ECH_ST_F32) {
        memcpy(out, from, (size_t)count * sizeof *out);
        return ECH_OK;
    }
    if (t->dtype != ECH_ST_F16 && t->dtype != ECH_ST_BF16)
        return ech_fail(err, ECH_DATA, "tensor %s is stored as %s; f32, f16 and bf16 weights are supported",
                        t->name, ech_stype_name(t->dtype));
    for (int64_t i = 0; i < count; i++) {
        uint16_t half = (uint16_t)(from[2 * i] | from[2 * i + 1] << 8);
        uint32_t bits = (uint32_t)half << 16;
        if (t->dtype == ECH_ST_F16)
            out[i] = f16_to_f32(half);
        else
            memcpy(&out[i], &bits, sizeof bits);
    }
    return ECH_OK;
}
