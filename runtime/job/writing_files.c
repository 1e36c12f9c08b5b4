/* Tokenizers and rules from a model's files: see writing_files.h. */
#include "job/writing_files.h"

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "job/writing_vocab.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { JSON_MOST = 64 << 20, SPM_MOST = 256 << 20 };

/* --- files --- */

static int note_file(struct ech_writing *w, const char *name, struct ech_err *err)
{
    for (size_t i = 0; i < w->files_count; i++)
        if (strcmp(w->files[i], name) == 0)
            return ECH_OK;
    int code = ech_grow((void **)&w->files, &w->files_capacity, w->files_count + 2, sizeof *w->files, err);
    if (code != ECH_OK)
        return code;
    char *copy = ech_strdup(name, err);
    if (!copy)
        return ECH_UNAVAILABLE;
    w->files[w->files_count++] = copy;
    w->files[w->files_count] = NULL;
    return ECH_OK;
}

static int note_files(struct ech_writing *w, const char *const *names, struct ech_err *err)
{
    int code = ECH_OK;
    for (; code == ECH_OK && names && *names; names++)
        code = note_file(w, *names, err);
    return code;
}

/* folder/name as JSON where it is there, else *out NULL. */
static int load_json(struct ech_writing *w, const char *folder, const char *name, json_t **out,
                     struct ech_err *err)
{
    char *path = ech_path_join(folder, name, err);
    int code = path ? ECH_OK : ECH_UNAVAILABLE;
    *out = NULL;
    if (code == ECH_OK && ech_path_exists(path))
        code = ech_json_load(path, JSON_MOST, out, err);
    if (code == ECH_OK && *out)
        code = note_file(w, name, err);
    if (code == ECH_OK && *out && !json_is_object(*out))
        code = ech_fail(err, ECH_DATA, "%s: not an object", path);
    if (code != ECH_OK) {
        json_decref(*out);
        *out = NULL;
    }
    ech_free(path);
    return code;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int keep_folders(struct ech_writing *w, const char *read, const char *named, struct ech_err *err)
{
    w->folder = !named             ? ech_strdup(read, err)
                : is_folder(named) ? ech_strdup(named, err)
                                   : ech_path_dir(named, err);
    w->from = named ? ech_strdup(read, err) : NULL;
    return w->folder && (w->from || !named) ? ECH_OK : ECH_UNAVAILABLE;
}

/* --- tokenizers --- */

static bool has(const char *folder, const char *name)
{
    struct ech_err ignored = ECH_ERR_NONE;
    char *path = ech_path_join(folder, name, &ignored);
    bool there = path && ech_path_exists(path);
    ech_free(path);
    return there;
}

/* A sentencepiece file; `list`, where there is one, says the ids of its pieces. */
static int open_spm(struct ech_writing *w, const char *folder, const char *name, const char *list,
                    struct ech_tokenizer **out, struct ech_err *err)
{
    char *path = ech_path_join(folder, name, err), *data = NULL;
    char *list_path = list ? ech_path_join(folder, list, err) : NULL;
    struct ech_token_list tokens = {0};
    size_t bytes = 0;
    int code =
        path && (list_path || !list) ? ech_read_file(path, SPM_MOST, &data, &bytes, err) : ECH_UNAVAILABLE;
    if (code == ECH_OK && list)
        code = ech_token_list_read(list_path, &tokens, err);
    if (code == ECH_OK)
        code = list ? ech_tokenizer_parse_spm_as(path, data, bytes, tokens.tokens, tokens.count, out, err)
                    : ech_tokenizer_parse_spm(path, data, bytes, out, err);
    if (code == ECH_OK)
        code = note_file(w, name, err);
    if (code == ECH_OK && list)
        code = note_file(w, list, err);
    ech_token_list_fini(&tokens);
    ech_free(data);
    ech_free(list_path);
    ech_free(path);
    return code;
}

/* The first in the order of names that begins and ends so. */
static bool find_file(const char *folder, const char *start, const char *end, char out[256])
{
    DIR *d = opendir(folder);
    size_t tail = strlen(end);
    out[0] = 0;
    for (struct dirent *e; d && (e = readdir(d));) {
        size_t n = strlen(e->d_name);
        if (n > tail && n < 256 && strcmp(e->d_name + n - tail, end) == 0 &&
            strncmp(e->d_name, start, strlen(start)) == 0 && (!out[0] || strcmp(e->d_name, out) < 0))
            memcpy(out, e->d_name, n + 1);
    }
    if (d)
        closedir(d);
    return out[0] != 0;
}

/* Names in Marian's folders: "vocab.enpt.spm", or "srcvocab.x.spm" and "trgvocab.x.spm". */
static bool find_spm(const char *folder, const char *start, char out[256])
{
    return find_file(folder, start, ".spm", out);
}

static const char *read_folder(const struct ech_writing *w)
{
    return w->from ? w->from : w->folder;
}

bool ech_writing_find(const struct ech_writing *w, const char *start, const char *end, char out[256])
{
    return find_file(read_folder(w), start, end, out);
}

int ech_writing_take(struct ech_writing *w, const char *name, bool user, char **path, struct ech_err *err)
{
    char *own = user ? realpath(name, NULL) : NULL;
    if (user && !own)
        return ech_fail_errno(err, ECH_NOINPUT, errno, "cannot read %s", name);
    *path = user ? ech_strdup(own, err) : ech_path_join(read_folder(w), name, err);
    int code = *path ? note_file(w, user ? own : name, err) : ECH_UNAVAILABLE;
    free(own);
    if (code != ECH_OK) {
        ech_free(*path);
        *path = NULL;
    }
    return code;
}

static bool is_marian(const struct ech_writing *w)
{
    const char *format = ech_weights_format(ech_lm_weights(w->decoder));
    return strcmp(format, "marian") == 0 || strcmp(format, "npz") == 0;
}

/* A Marian model's own file goes before what others made of it. */
static bool has_own_spm(const struct ech_writing *w, const char *folder)
{
    char name[256];
    return is_marian(w) && (find_spm(folder, "vocab", name) || find_spm(folder, "srcvocab", name));
}

/* The first of these files that is there. */
static const char *first_of(const char *folder, const char *const *names)
{
    while (*names && !has(folder, *names))
        names++;
    return *names;
}

/* Files of a side each, with the ids of a list: Hugging Face's Marian and CTranslate2's translators. */
static int open_sides(struct ech_writing *w, const char *folder, struct ech_err *err)
{
    static const char *const source[] = {"vocab.json",
                                         "source_vocabulary.json",
                                         "source_vocabulary.txt",
                                         "shared_vocabulary.json",
                                         "shared_vocabulary.txt",
                                         NULL};
    static const char *const target[] = {"target_vocab.json",
                                         "target_vocabulary.json",
                                         "target_vocabulary.txt",
                                         "vocab.json",
                                         "shared_vocabulary.json",
                                         "shared_vocabulary.txt",
                                         NULL};
    const char *read = first_of(folder, source), *written = first_of(folder, target);
    if (!read || !written)
        return ech_fail(err, ECH_NOINPUT,
                        "%s has a source.spm, but no vocab.json and no *_vocabulary.json or .txt", folder);
    int code = open_spm(w, folder, "source.spm", read, &w->tokenizer, err);
    if (code != ECH_OK || (!has(folder, "target.spm") && strcmp(read, written) == 0))
        return code;
    return open_spm(w, folder, has(folder, "target.spm") ? "target.spm" : "source.spm", written, &w->output,
                    err);
}

/* One file for both sides; CTranslate2 numbers its pieces by a list. */
static int open_single(struct ech_writing *w, const char *folder, const char *name, struct ech_err *err)
{
    static const char *const lists[] = {"shared_vocabulary.json", "shared_vocabulary.txt", "vocabulary.json",
                                        "vocabulary.txt", NULL};
    bool numbered = strcmp(ech_weights_format(ech_lm_weights(w->decoder)), "ctranslate2") == 0;
    return open_spm(w, folder, name, numbered ? first_of(folder, lists) : NULL, &w->tokenizer, err);
}

static int open_sentencepiece(struct ech_writing *w, const char *folder, struct ech_err *err)
{
    static const char *const single[] = {"tokenizer.model",     "spiece.model", "sentencepiece.bpe.model",
                                         "sentencepiece.model", "spm.model",    NULL};
    char name[256], target[256];
    const char *one = first_of(folder, single);
    if (has(folder, "source.spm"))
        return open_sides(w, folder, err);
    if (one) {
        w->begins = one == single[0];
        return open_single(w, folder, one, err);
    }
    if (find_spm(folder, "srcvocab", name) && find_spm(folder, "trgvocab", target)) {
        int code = open_spm(w, folder, name, NULL, &w->tokenizer, err);
        return code == ECH_OK ? open_spm(w, folder, target, NULL, &w->output, err) : code;
    }
    if (find_spm(folder, "vocab", name))
        return open_spm(w, folder, name, NULL, &w->tokenizer, err);
    return ech_fail(
        err, ECH_NOINPUT,
        "%s has no tokenizer: tokenizer.json, tokenizer.model, spiece.model, source.spm or vocab*.spm "
        "was expected",
        folder);
}

static int open_tokenizers(struct ech_writing *w, const char *folder, struct ech_err *err)
{
    const struct ech_weights *weights = ech_lm_weights(w->decoder);
    const struct ech_vocab_source *vocab = ech_weights_vocab(weights);
    int code;
    if (vocab) {
        code = ech_tokenizer_from_source(NULL, vocab, &w->tokenizer, err);
        ech_lm_drop_vocab(w->decoder);
    } else if (!has_own_spm(w, folder) && (has(folder, "tokenizer.json") || has(folder, "vocab.txt")))
        code = ech_tokenizer_open(folder, &w->tokenizer, err);
    else {
        code = open_sentencepiece(w, folder, err);
        w->frameless = true;
    }
    if (code == ECH_OK && !vocab)
        code = note_files(w, ech_tokenizer_files(w->tokenizer), err);
    if (code == ECH_OK && !w->output)
        w->output = w->tokenizer;
    if (code == ECH_OK && ech_tokenizer_largest_id(w->tokenizer) < 0)
        code = ech_fail(err, ECH_DATA, "%s: an empty vocabulary", folder);
    return code;
}

/* --- rules --- */

static void list_add(int32_t *list, int64_t id)
{
    int n = 0;
    while (n < ECH_ENDS_MOST && list[n] >= 0) {
        if (list[n] == id)
            return;
        n++;
    }
    if (n + 1 < ECH_ENDS_MOST && id >= 0 && id <= INT32_MAX) {
        list[n] = (int32_t)id;
        list[n + 1] = -1;
    }
}

/* A number or a list of them. */
static void take_ids(const json_t *value, int32_t *list)
{
    const json_t *item;
    size_t i;
    if (json_is_integer(value))
        list_add(list, json_integer_value(value));
    json_array_foreach(value, i, item) take_ids(item, list);
}

static void take_one(const json_t *root, const char *key, int32_t *out)
{
    const json_t *value = json_object_get(root, key);
    if (*out < 0 && json_is_integer(value) && json_integer_value(value) <= INT32_MAX)
        *out = (int32_t)json_integer_value(value);
}

/* What the first of the files says holds. bad_words_ids: only words of one token are banned. */
static void take_rules(struct ech_writing *w, const json_t *root)
{
    const json_t *word;
    size_t i;
    if (w->rules.ends[0] < 0)
        take_ids(json_object_get(root, "eos_token_id"), w->rules.ends);
    take_one(root, "forced_bos_token_id", &w->rules.forced_first);
    take_one(root, "forced_eos_token_id", &w->rules.forced_last);
    take_one(root, "decoder_start_token_id", &w->start);
    json_array_foreach(json_object_get(root, "bad_words_ids"), i, word) if (json_array_size(word) == 1)
        take_ids(word, w->rules.banned);
}

/* A text, or a list of {name, template} whose default is taken. What came first stays. */
static int take_template(struct ech_writing *w, const json_t *root, struct ech_err *err)
{
    const json_t *value = json_object_get(root, "chat_template"), *item;
    const char *text = json_string_value(value);
    size_t i;
    json_array_foreach(value, i, item)
    {
        const char *name = json_string_value(json_object_get(item, "name"));
        if (name && strcmp(name, "default") == 0)
            text = json_string_value(json_object_get(item, "template"));
    }
    if (!text || w->chat_template)
        return ECH_OK;
    w->chat_template = ech_strdup(text, err);
    return w->chat_template ? ECH_OK : ECH_UNAVAILABLE;
}

/* Newer folders have the template in a file of its own. */
static int read_template(struct ech_writing *w, const char *folder, struct ech_err *err)
{
    static const char name[] = "chat_template.jinja";
    size_t bytes;
    char *path = ech_path_join(folder, name, err);
    int code = path ? ECH_OK : ECH_UNAVAILABLE;
    if (code == ECH_OK && ech_path_exists(path)) {
        code = ech_read_file(path, JSON_MOST, &w->chat_template, &bytes, err);
        if (code == ECH_OK)
            code = note_file(w, name, err);
    }
    ech_free(path);
    return code;
}

static int read_rules(struct ech_writing *w, const char *folder, struct ech_err *err)
{
    const json_t *config = ech_weights_config(ech_lm_weights(w->decoder));
    json_t *generation = NULL, *tokens = NULL;
    w->rules = (struct ech_generator_rules){.forced_first = -1, .forced_last = -1};
    w->rules.ends[0] = w->rules.banned[0] = w->start = w->begin = -1;
    int code = load_json(w, folder, "generation_config.json", &generation, err);
    if (code == ECH_OK)
        code = load_json(w, folder, "tokenizer_config.json", &tokens, err);
    if (code == ECH_OK) {
        take_rules(w, generation);
        take_rules(w, config);
        list_add(w->rules.ends, ech_tokenizer_role(w->output, ECH_TOKEN_EOS));
        if (w->begins && !json_is_false(json_object_get(tokens, "add_bos_token")))
            w->begin = ech_tokenizer_role(w->tokenizer, ECH_TOKEN_BOS);
        if (json_is_true(json_object_get(config, "ech_start_zero")))
            w->start = -1;
        code = read_template(w, folder, err);
    }
    if (code == ECH_OK)
        code = take_template(w, tokens, err);
    if (code == ECH_OK)
        code = take_template(w, config, err);
    json_decref(generation);
    json_decref(tokens);
    return code;
}

int ech_writing_files(struct ech_writing *w, const char *named, struct ech_err *err)
{
    const struct ech_weights *weights = ech_lm_weights(w->decoder);
    const char *folder = ech_weights_folder(weights);
    int code = keep_folders(w, folder, named, err);
    if (code == ECH_OK)
        code = note_files(w, ech_weights_files(weights), err);
    if (code == ECH_OK && has(folder, "config.json"))
        code = note_file(w, "config.json", err);
    if (code == ECH_OK)
        code = open_tokenizers(w, folder, err);
    return code == ECH_OK ? read_rules(w, folder, err) : code;
}
