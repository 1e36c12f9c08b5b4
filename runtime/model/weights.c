/* A model's files: which format they are of, mapping, lookup; see weights.h. */
#include "model/weights_impl.h"

#include "base/io.h"
#include "base/mem.h"
#include "model/gguf_vocab.h"

#include <stdlib.h>
#include <string.h>

int ech_weights_add_name(struct ech_weights *w, const char *name, struct ech_err *err)
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

int ech_weights_map(struct ech_weights *w, const char *name, int *file, struct ech_err *err)
{
    struct ech_mapping *more = ech_realloc(w->files, (size_t)w->files_count + 1, sizeof *w->files, err);
    if (!more)
        return ECH_UNAVAILABLE;
    w->files = more;
    struct ech_mapping *mapping = &w->files[w->files_count];
    memset(mapping, 0, sizeof *mapping);
    *file = w->files_count++;
    char *path = ech_path_join(w->folder, name, err);
    int code = path ? ech_weights_add_name(w, name, err) : ECH_UNAVAILABLE;
    if (code == ECH_OK)
        code = ech_mapping_open(path, mapping, err);
    ech_free(path);
    return code;
}

int ech_weights_parsed(const struct ech_weights *w, int file, int code, const struct ech_err *found,
                       struct ech_err *err)
{
    int lost = ech_mapping_check(&w->files[file], err);
    if (lost != ECH_OK || code == ECH_OK)
        return lost;
    if (err)
        *err = *found;
    return code;
}

void *ech_weights_keep(struct ech_weights *w, size_t bytes, struct ech_err *err)
{
    if (ech_grow((void **)&w->blocks, &w->blocks_capacity, w->blocks_count + 1, sizeof *w->blocks, err) !=
        ECH_OK)
        return NULL;
    void *block = ech_calloc(1, bytes, err);
    if (block)
        w->blocks[w->blocks_count++] = block;
    return block;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct ech_tensor *)a)->name, ((const struct ech_tensor *)b)->name);
}

int ech_weights_sort(struct ech_weights *w, struct ech_err *err)
{
    if (w->list.count > 1)
        qsort(w->list.items, w->list.count, sizeof *w->list.items, by_name);
    for (size_t i = 1; i < w->list.count; i++) {
        const struct ech_tensor *a = &w->list.items[i - 1], *b = &w->list.items[i];
        if (strcmp(a->name, b->name) != 0)
            continue;
        if (a->file == b->file)
            return ech_fail(err, ECH_DATA, "%s: tensor %.100s is there twice", w->files[a->file].path,
                            a->name);
        return ech_fail(err, ECH_DATA, "tensor %.100s is in two files: %s and %s", a->name,
                        w->files[a->file].path, w->files[b->file].path);
    }
    return ECH_OK;
}

void ech_weights_close(struct ech_weights *w)
{
    if (!w)
        return;
    ech_tensor_list_fini(&w->list);
    ech_gguf_close(w->gguf);
    for (int i = 0; i < w->files_count; i++)
        ech_mapping_close(&w->files[i]);
    for (size_t i = 0; i < w->names_count; i++)
        ech_free(w->names[i]);
    for (size_t i = 0; i < w->blocks_count; i++)
        ech_free(w->blocks[i]);
    json_decref(w->config);
    ech_free(w->config_path);
    ech_free(w->blocks);
    ech_free(w->names);
    ech_free(w->files);
    ech_free(w->folder);
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

const char *ech_weights_folder(const struct ech_weights *w)
{
    return w->folder;
}

const char *ech_weights_format(const struct ech_weights *w)
{
    return w->format;
}

const json_t *ech_weights_config(const struct ech_weights *w)
{
    return w->config;
}

const char *ech_weights_config_path(const struct ech_weights *w)
{
    return w->config_path;
}

const struct ech_vocab_source *ech_weights_vocab(const struct ech_weights *w)
{
    return w->vocab;
}

void ech_weights_drop_vocab(struct ech_weights *w)
{
    if (!w->vocab)
        return;
    ech_gguf_vocab_drop(w->gguf->vocab);
    ech_mem_trim();
}
