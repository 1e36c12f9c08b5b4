/* Sentence encoder settings: see sentence.h. */
#include "model/sentence.h"

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"

#include <string.h>
#include <sys/stat.h>

enum { FILE_MOST = 16 << 20, TOKENS_MOST = 1 << 24 };

/* Load folder/inner/name where it is there; *out NULL where it is not. The file is noted. */
static int load(struct ech_sentence *s, const char *folder, const char *inner, const char *name, json_t **out,
                char **path, struct ech_err *err)
{
    char *relative = ech_path_join(inner, name, err);
    char *full = relative ? ech_path_join(folder, relative, err) : NULL;
    int code = full ? ECH_OK : ECH_UNAVAILABLE;
    *out = NULL;
    *path = full;
    if (code == ECH_OK && ech_path_exists(full)) {
        code = ech_json_load(full, FILE_MOST, out, err);
        if (code == ECH_OK && s->files_count < ECH_SENTENCE_FILES) {
            s->files[s->files_count++] = relative;
            relative = NULL;
        }
    }
    ech_free(relative);
    return code;
}

/* "sentence_transformers.models.Pooling" -> "Pooling" */
static const char *last_part(const char *type)
{
    const char *dot = strrchr(type, '.');
    return dot ? dot + 1 : type;
}

/* A module's folder stays below the model's. */
static int check_inner(const char *path, const char *inner, struct ech_err *err)
{
    if (inner[0] == '/' || strstr(inner, ".."))
        return ech_fail(err, ECH_DATA, "%s: the path \"%.100s\" leaves the model's folder", path, inner);
    return ECH_OK;
}

struct modules {
    char *transformer, *pooling; /* folders, NULL: no such module */
    bool normalize;
};

static int read_module(const char *path, const json_t *item, struct modules *m, struct ech_err *err)
{
    const char *type = "", *inner = "";
    if (!json_is_object(item))
        return ech_fail(err, ECH_DATA, "%s: a module is not an object", path);
    int code = ech_json_get_str(item, path, "type", true, &type, err);
    if (code == ECH_OK)
        code = ech_json_get_str(item, path, "path", false, &inner, err);
    if (code == ECH_OK)
        code = check_inner(path, inner, err);
    if (code != ECH_OK)
        return code;
    const char *name = last_part(type);
    char **slot = strcmp(name, "Transformer") == 0 && !m->transformer && !m->pooling ? &m->transformer
                  : strcmp(name, "Pooling") == 0 && m->transformer && !m->pooling    ? &m->pooling
                                                                                     : NULL;
    if (slot)
        return (*slot = ech_strdup(inner, err)) ? ECH_OK : ECH_UNAVAILABLE;
    if (strcmp(name, "Normalize") == 0 && m->pooling && !m->normalize) {
        m->normalize = true;
        return ECH_OK;
    }
    return ech_fail(err, ECH_DATA,
                    "%s: the module \"%.100s\" is not supported at its place (known, in this "
                    "order: Transformer, Pooling, Normalize)",
                    path, type);
}

static int read_modules(struct ech_sentence *s, const char *folder, struct modules *m, bool *there,
                        struct ech_err *err)
{
    json_t *root = NULL, *item;
    char *path = NULL;
    size_t i;
    int code = load(s, folder, "", "modules.json", &root, &path, err);
    *there = root != NULL;
    if (code == ECH_OK && root && !json_is_array(root))
        code = ech_fail(err, ECH_DATA, "%s: not a list of modules", path);
    json_array_foreach(root, i, item) if (code == ECH_OK) code = read_module(path, item, m, err);
    if (code == ECH_OK && root && !m->pooling)
        code = ech_fail(err, ECH_DATA, "%s: Transformer and Pooling were expected", path);
    json_decref(root);
    ech_free(path);
    return code;
}

/* One key a mode; at most one may be true. A key that is not here is an unknown mode. */
static const struct {
    const char *key, *name;
    int pool; /* enum ech_pool, -1: not supported */
} modes[] = {{"pooling_mode_cls_token", "cls", ECH_POOL_CLS},
             {"pooling_mode_mean_tokens", "mean", ECH_POOL_MEAN},
             {"pooling_mode_max_tokens", "max", ECH_POOL_MAX},
             {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", -1},
             {"pooling_mode_weightedmean_tokens", "weightedmean", -1},
             {"pooling_mode_lasttoken", "lasttoken", -1}};
enum { MODES = sizeof modes / sizeof *modes };

static int choose_mode(struct ech_sentence *s, const char *path, int mode, int *chosen, struct ech_err *err)
{
    if (modes[mode].pool < 0)
        return ech_fail(err, ECH_DATA, "%s: the pooling %s is not supported (known: mean, cls, max)", path,
                        modes[mode].name);
    if (*chosen >= 0)
        return ech_fail(err, ECH_DATA, "%s: several poolings at once (%s and %s) are not supported", path,
                        modes[*chosen].name, modes[mode].name);
    *chosen = mode;
    s->pooling = (enum ech_pool)modes[mode].pool;
    return ECH_OK;
}

static int read_pooling_modes(struct ech_sentence *s, const char *path, const json_t *root,
                              struct ech_err *err)
{
    const char *name = NULL;
    int chosen = -1, code = ech_json_get_str(root, path, "pooling_mode", false, &name, err);
    for (int i = 0; code == ECH_OK && i < MODES; i++) {
        bool on = name && strcmp(name, modes[i].name) == 0;
        if (!name)
            code = ech_json_get_bool(root, path, modes[i].key, false, &on, err);
        if (code == ECH_OK && on)
            code = choose_mode(s, path, i, &chosen, err);
    }
    if (code == ECH_OK && chosen < 0)
        code = ech_fail(err, ECH_DATA, "%s: %s%.60s (known: mean, cls, max)", path,
                        name ? "unknown pooling " : "no pooling is chosen", name ? name : "");
    return code;
}

static int read_pooling(struct ech_sentence *s, const char *folder, const char *inner, struct ech_err *err)
{
    json_t *root = NULL;
    char *path = NULL;
    bool include = true;
    int code = load(s, folder, inner, "config.json", &root, &path, err);
    if (code == ECH_OK && !json_is_object(root))
        code = ech_fail(err, root ? ECH_DATA : ECH_NOINPUT, "%s is %s", path,
                        root ? "not an object" : "not there, modules.json names it");
    if (code == ECH_OK)
        code = read_pooling_modes(s, path, root, err);
    if (code == ECH_OK)
        code = ech_json_get_int(root, path, "word_embedding_dimension", false, &s->dim, err);
    if (code == ECH_OK)
        code = ech_json_get_bool(root, path, "include_prompt", false, &include, err);
    if (code == ECH_OK && !include && s->prompt)
        code = ech_fail(err, ECH_DATA, "%s: include_prompt false is not supported with a prompt", path);
    json_decref(root);
    ech_free(path);
    return code;
}

static int check_tokens(const char *path, const char *key, int64_t value, struct ech_err *err)
{
    if (value < 1)
        return ech_fail(err, ECH_DATA, "%s: \"%s\" is %lld, 1 or more was expected", path, key,
                        (long long)value);
    return ECH_OK;
}

/* The transformer's own settings, under one of the names they have had. */
static int read_transformer(struct ech_sentence *s, const char *folder, struct ech_err *err)
{
    static const char *const names[] = {"sentence_bert_config.json",        "sentence_roberta_config.json",
                                        "sentence_distilbert_config.json",  "sentence_camembert_config.json",
                                        "sentence_xlm-roberta_config.json", NULL};
    int code = ECH_OK;
    bool found = false;
    for (int i = 0; code == ECH_OK && !found && names[i]; i++) {
        json_t *root = NULL;
        char *path = NULL;
        code = load(s, folder, s->inner, names[i], &root, &path, err);
        found = root != NULL;
        if (code == ECH_OK && found && json_is_integer(json_object_get(root, "max_seq_length"))) {
            s->max_tokens = json_integer_value(json_object_get(root, "max_seq_length"));
            code = check_tokens(path, "max_seq_length", s->max_tokens, err);
        }
        if (code == ECH_OK && found)
            code = ech_json_get_bool(root, path, "do_lower_case", false, &s->lower, err);
        json_decref(root);
        ech_free(path);
    }
    return code;
}

/* model_max_length counts where nothing else is said; "very large" (1e30) says nothing. */
static int read_tokenizer_length(struct ech_sentence *s, const char *folder, struct ech_err *err)
{
    json_t *root = NULL;
    char *path = NULL;
    int code = load(s, folder, s->inner, "tokenizer_config.json", &root, &path, err);
    const json_t *length = json_object_get(root, "model_max_length");
    if (code == ECH_OK && s->max_tokens == 0 && json_is_integer(length) &&
        json_integer_value(length) < TOKENS_MOST) {
        s->max_tokens = json_integer_value(length);
        code = check_tokens(path, "model_max_length", s->max_tokens, err);
    }
    json_decref(root);
    ech_free(path);
    return code;
}

/* No prompt of that name: say which there are. */
static int no_prompt(const char *path, const json_t *prompts, const char *name, struct ech_err *err)
{
    const char *names[65], *key;
    json_t *value;
    int count = 0;
    json_object_foreach((json_t *)(uintptr_t)prompts, key, value) if (count < 64) names[count++] = key;
    names[count] = NULL;
    const char *near = ech_nearest(name, names);
    if (count == 0)
        return ech_fail(err, ECH_CONFIG, "there is no prompt \"%.60s\": %s names none", name, path);
    return ech_fail(err, ECH_CONFIG, "there is no prompt \"%.60s\" in %s; %s \"%.60s\"?", name, path,
                    near ? "did you mean" : "is it", near ? near : names[0]);
}

static int read_prompts(struct ech_sentence *s, const char *folder, const char *name, struct ech_err *err)
{
    json_t *root = NULL;
    char *path = NULL;
    int code = load(s, folder, "", "config_sentence_transformers.json", &root, &path, err);
    const json_t *prompts = json_object_get(root, "prompts");
    if (code == ECH_OK && !name)
        code = root ? ech_json_get_str(root, path, "default_prompt_name", false, &name, err) : ECH_OK;
    if (code == ECH_OK && name) {
        const json_t *text = json_object_get(prompts, name);
        if (!json_is_string(text))
            code = no_prompt(path, prompts, name, err);
        else if (json_string_length(text) > 0 && !(s->prompt = ech_strdup(json_string_value(text), err)))
            code = ECH_UNAVAILABLE;
    }
    json_decref(root);
    ech_free(path);
    return code;
}

static int check_folder(const char *folder, struct ech_err *err)
{
    struct stat st;
    if (stat(folder, &st) != 0)
        return ech_fail(err, ECH_NOINPUT, "the model %s is not there", folder);
    if (!S_ISDIR(st.st_mode))
        return ech_fail(err, ECH_DATA,
                        "the model %s is a file; a folder with config.json and "
                        "model.safetensors was expected",
                        folder);
    return ECH_OK;
}

int ech_sentence_read(const char *folder, const char *prompt, struct ech_sentence *out, struct ech_err *err)
{
    struct ech_sentence s = {.pooling = ECH_POOL_MEAN};
    struct modules m = {0};
    bool modules = false;
    int code = check_folder(folder, err);
    if (code == ECH_OK)
        code = read_modules(&s, folder, &m, &modules, err);
    if (code == ECH_OK && !(s.inner = ech_strdup(modules ? m.transformer : "", err)))
        code = ECH_UNAVAILABLE;
    if (code == ECH_OK &&
        !(s.folder = *s.inner ? ech_path_join(folder, s.inner, err) : ech_strdup(folder, err)))
        code = ECH_UNAVAILABLE;
    if (code == ECH_OK)
        code = read_prompts(&s, folder, prompt, err);
    if (code == ECH_OK && modules)
        code = read_pooling(&s, folder, m.pooling, err);
    if (code == ECH_OK)
        code = read_transformer(&s, folder, err);
    if (code == ECH_OK)
        code = read_tokenizer_length(&s, folder, err);
    s.pooled = modules;
    s.normalize = m.normalize;
    ech_free(m.transformer);
    ech_free(m.pooling);
    if (code == ECH_OK)
        *out = s;
    else
        ech_sentence_fini(&s);
    return code;
}

void ech_sentence_fini(struct ech_sentence *s)
{
    ech_free(s->folder);
    ech_free(s->inner);
    ech_free(s->prompt);
    for (int i = 0; i < s->files_count; i++)
        ech_free(s->files[i]);
    memset(s, 0, sizeof *s);
}
