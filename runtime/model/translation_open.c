/* Opening models of one file: CTranslate2, Marian, .npz. */
#include "model/ct2.h"
#include "model/marian.h"
#include "model/npz.h"
#include "model/weights_impl.h"

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"

#include <string.h>

enum { CONFIG_MOST = 1 << 22, VOCABULARY_MOST = 64 << 20 };

static int own_path(struct ech_weights *w, int file, struct ech_err *err)
{
    w->config_path = ech_strdup(w->files[file].path, err);
    return w->config_path ? ECH_OK : ECH_UNAVAILABLE;
}

static int beside(const struct ech_weights *w, const char *name, json_t **out, struct ech_err *err)
{
    char *path = ech_path_join(w->folder, name, err);
    int code = path ? ECH_OK : ECH_UNAVAILABLE;
    if (path && ech_path_exists(path))
        code = ech_json_load(path, CONFIG_MOST, out, err);
    ech_free(path);
    return code;
}

/* Number of the line that is `token`; -1: none. */
static int64_t line_of(const char *text, const char *token)
{
    int64_t number = 0;
    size_t length = strlen(token);
    for (const char *line = text; *line; number++) {
        const char *end = strchr(line, '\n');
        size_t bytes = end ? (size_t)(end - line) : strlen(line);
        if (bytes > 0 && line[bytes - 1] == '\r')
            bytes--;
        if (bytes == length && memcmp(line, token, length) == 0)
            return number;
        if (!end)
            break;
        line = end + 1;
    }
    return -1;
}

static int64_t index_of(const json_t *list, const char *token)
{
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)(uintptr_t)list, i, item)
    {
        const char *text = json_string_value(item);
        if (text && strcmp(text, token) == 0)
            return (int64_t)i;
    }
    return -1;
}

/* Ids of the special tokens, by the target's vocabulary; the keys name tokens, or their usual spelling holds.
 */
static void put_ids(json_t *config, const char *text, const json_t *list)
{
    static const struct {
        const char *token_key, *usual, *id_key;
    } ids[] = {{"bos_token", "<s>", "bos_token_id"},
               {"eos_token", "</s>", "eos_token_id"},
               {"unk_token", "<unk>", "unk_token_id"},
               {"decoder_start_token", "<s>", "decoder_start_token_id"}};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        const char *token = json_string_value(json_object_get(config, ids[i].token_key));
        if (!token)
            token = ids[i].usual;
        int64_t id = text ? line_of(text, token) : index_of(list, token);
        if (id >= 0)
            json_object_set_new(config, ids[i].id_key, json_integer(id));
    }
}

/* Whichever vocabulary lies beside the model. */
static int read_vocabulary(const struct ech_weights *w, json_t *config, struct ech_err *err)
{
    static const char *const names[] = {"target_vocabulary", "shared_vocabulary", "vocabulary"};
    int code = ECH_OK;
    bool done = false;
    for (int i = 0; i < 6 && code == ECH_OK && !done; i++) {
        char *name = ech_sprintf(err, "%s.%s", names[i / 2], i % 2 ? "json" : "txt");
        char *path = name ? ech_path_join(w->folder, name, err) : NULL;
        code = path ? ECH_OK : ECH_UNAVAILABLE;
        done = path && ech_path_exists(path);
        char *text = NULL;
        size_t bytes = 0;
        json_t *list = NULL;
        if (done && i % 2)
            code = ech_json_load(path, VOCABULARY_MOST, &list, err);
        else if (done)
            code = ech_read_file(path, VOCABULARY_MOST, &text, &bytes, err);
        if (done && code == ECH_OK)
            put_ids(config, text, list);
        json_decref(list);
        ech_free(text);
        ech_free(path);
        ech_free(name);
    }
    return code;
}

int ech_ct2_open(struct ech_weights *w, const char *name, struct ech_err *err)
{
    int file;
    struct ech_ct2 model;
    struct ech_err found = ECH_ERR_NONE;
    json_t *config = NULL;
    int code = ech_weights_map(w, name, &file, err);
    if (code == ECH_OK)
        code = beside(w, "config.json", &config, err);
    if (code == ECH_OK) {
        const struct ech_mapping *m = &w->files[file];
        code = ech_ct2_parse(m->path, m->data, m->bytes, file, &model, &found);
        if (code == ECH_OK) {
            code = ech_ct2_describe(&model, config, &w->list, &w->config, &found);
            ech_ct2_fini(&model);
        }
        code = ech_weights_parsed(w, file, code, &found, err);
    }
    json_decref(config);
    if (code == ECH_OK)
        code = read_vocabulary(w, w->config, err);
    return code == ECH_OK ? own_path(w, file, err) : code;
}

int ech_marian_open(struct ech_weights *w, const char *name, struct ech_err *err)
{
    int file;
    struct ech_tensor_list items = {0};
    struct ech_err found = ECH_ERR_NONE;
    int code = ech_weights_map(w, name, &file, err);
    if (code != ECH_OK)
        return code;
    const struct ech_mapping *m = &w->files[file];
    code = ech_marian_parse(m->path, m->data, m->bytes, file, &items, &found);
    if (code == ECH_OK)
        code = ech_marian_describe(m->path, &items, &w->list, &w->config, &found);
    ech_tensor_list_fini(&items);
    code = ech_weights_parsed(w, file, code, &found, err);
    return code == ECH_OK ? own_path(w, file, err) : code;
}

/* What was inflated lives as long as the weights. */
static int keep_blocks(struct ech_weights *w, struct ech_npz *npz, struct ech_err *err)
{
    int code = ech_grow((void **)&w->blocks, &w->blocks_capacity, w->blocks_count + npz->blocks_count,
                        sizeof *w->blocks, err);
    if (code != ECH_OK || npz->blocks_count == 0)
        return code;
    memcpy(w->blocks + w->blocks_count, npz->blocks, npz->blocks_count * sizeof *w->blocks);
    w->blocks_count += npz->blocks_count;
    npz->blocks_count = 0;
    return ECH_OK;
}

int ech_npz_open(struct ech_weights *w, const char *name, struct ech_err *err)
{
    int file;
    struct ech_npz npz;
    struct ech_err found = ECH_ERR_NONE;
    int code = ech_weights_map(w, name, &file, err);
    if (code != ECH_OK)
        return code;
    const struct ech_mapping *m = &w->files[file];
    code = ech_npz_parse(m->path, m->data, m->bytes, file, &npz, &found);
    if (code == ECH_OK) {
        code = ech_marian_describe(m->path, &npz.items, &w->list, &w->config, &found);
        if (code == ECH_OK)
            code = keep_blocks(w, &npz, &found);
        ech_npz_fini(&npz);
    }
    code = ech_weights_parsed(w, file, code, &found, err);
    return code == ECH_OK ? own_path(w, file, err) : code;
}
