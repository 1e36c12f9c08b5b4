/* Weight files: the single file, the index and its shards; see safetensors.h. */
#include "model/safetensors.h"

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "model/weights_impl.h"

#include <string.h>

enum { FILES_MOST = 1000, INDEX_MOST = 64 << 20 };
static const char index_name[] = "model.safetensors.index.json";

int ech_safetensors_open(struct ech_weights *w, const char *name, struct ech_err *err)
{
    int file;
    struct ech_err found = ECH_ERR_NONE;
    int code = ech_weights_map(w, name, &file, err);
    if (code != ECH_OK)
        return code;
    const struct ech_mapping *mapping = &w->files[file];
    code = ech_safetensors_parse(mapping->path, mapping->data, mapping->bytes, file, &w->list, &found);
    return ech_weights_parsed(w, file, code, &found, err);
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

static int open_shards(struct ech_weights *w, const char *path, const json_t *map, struct ech_err *err)
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
            code = ech_safetensors_open(w, json_string_value(value), err);
        }
        if (code != ECH_OK)
            return code;
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

static int open_index(struct ech_weights *w, const char *path, struct ech_err *err)
{
    json_t *root;
    int code = ech_json_load(path, INDEX_MOST, &root, err);
    if (code != ECH_OK)
        return code;
    const json_t *map = json_object_get(root, "weight_map");
    code = ech_weights_add_name(w, index_name, err);
    if (code == ECH_OK)
        code = open_shards(w, path, map, err);
    if (code == ECH_OK)
        code = ech_weights_sort(w, err);
    if (code == ECH_OK)
        code = check_index(w, path, map, err);
    json_decref(root);
    return code;
}

int ech_safetensors_open_index(struct ech_weights *w, struct ech_err *err)
{
    char *path = ech_path_join(w->folder, index_name, err);
    int code = path ? open_index(w, path, err) : ECH_UNAVAILABLE;
    ech_free(path);
    return code;
}
