/* vocab.txt (one token a line, the line's number is its id) with tokenizer_config.json: older BERT folders.
 */
#include "text/tokenizer_impl.h"

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "text/bert_normal.h"
#include "text/wordpiece.h"

#include <string.h>

enum { VOCAB_MOST = 64 << 20, CONFIG_MOST = 16 << 20 };

enum special { UNK, CLS, SEP, PAD, MASK, SPECIALS };
static const char *const special_keys[SPECIALS] = {"unk_token", "cls_token", "sep_token", "pad_token",
                                                   "mask_token"};

struct settings {
    bool lower, cjk, strip;
    char special[SPECIALS][128];
};

static const struct settings defaults = {
    .lower = true, .cjk = true, .special = {"[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"}};

/* The classes whose text is cut by WordPiece. */
static const char *const classes[] = {"BertTokenizer",           "BertTokenizerFast",  "DistilBertTokenizer",
                                      "DistilBertTokenizerFast", "ElectraTokenizer",   "ElectraTokenizerFast",
                                      "MPNetTokenizer",          "MPNetTokenizerFast", NULL};

/* A special token is a string, or an object with its content. */
static int read_special(const json_t *config, const char *path, const char *key, char out[128],
                        struct ech_err *err)
{
    const json_t *value = json_object_get(config, key);
    if (!value || json_is_null(value))
        return ECH_OK;
    const char *text = json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
    if (!text || !*text || strlen(text) >= 128)
        return ech_fail(err, ECH_DATA, "%s: \"%s\" is not a token of 1 to 127 bytes", path, key);
    strcpy(out, text);
    return ECH_OK;
}

static int check_class(const json_t *config, const char *path, struct ech_err *err)
{
    const char *class = NULL;
    bool basic = true;
    int code = ech_json_get_str(config, path, "tokenizer_class", false, &class, err);
    if (code == ECH_OK)
        code = ech_json_get_bool(config, path, "do_basic_tokenize", false, &basic, err);
    if (code == ECH_OK && !basic)
        return ech_fail(err, ECH_DATA, "%s: do_basic_tokenize false is not supported", path);
    bool known = class == NULL;
    for (int i = 0; classes[i] && !known; i++)
        known = strcmp(classes[i], class) == 0;
    if (code == ECH_OK && !known)
        return ech_fail(err, ECH_DATA, "%s: tokenizer_class \"%.60s\" is not supported with vocab.txt", path,
                        class);
    return code;
}

static int read_config(const json_t *config, const char *path, struct settings *s, struct ech_err *err)
{
    int code = check_class(config, path, err);
    if (code == ECH_OK)
        code = ech_json_get_bool(config, path, "do_lower_case", false, &s->lower, err);
    if (code == ECH_OK)
        code = ech_json_get_bool(config, path, "tokenize_chinese_chars", false, &s->cjk, err);
    s->strip = s->lower;
    if (code == ECH_OK)
        code = ech_json_get_bool(config, path, "strip_accents", false, &s->strip, err);
    for (int i = 0; code == ECH_OK && i < SPECIALS; i++)
        code = read_special(config, path, special_keys[i], s->special[i], err);
    return code;
}

static int read_settings(const char *folder, struct settings *s, bool *there, struct ech_err *err)
{
    *s = defaults;
    s->strip = s->lower;
    json_t *config = NULL;
    char *path = ech_path_join(folder, "tokenizer_config.json", err);
    int code = path ? ECH_OK : ECH_UNAVAILABLE;
    *there = path && ech_path_exists(path);
    if (code == ECH_OK && *there)
        code = ech_json_load(path, CONFIG_MOST, &config, err);
    if (config && !json_is_object(config))
        code = ech_fail(err, ECH_DATA, "%s: not an object", path);
    else if (config)
        code = read_config(config, path, s, err);
    json_decref(config);
    ech_free(path);
    return code;
}

static int read_lines(struct ech_tokenizer *t, const char *path, struct ech_err *err)
{
    char *text;
    size_t bytes;
    int code = ech_read_file(path, VOCAB_MOST, &text, &bytes, err);
    if (code != ECH_OK)
        return code;
    int64_t bad = ech_utf8_invalid_at(text, bytes), id = 0;
    if (bad >= 0)
        code = ech_fail(err, ECH_DATA, "%s: byte %lld is not UTF-8", path, (long long)bad);
    for (char *line = text, *end = text + bytes; code == ECH_OK && line < end; id++) {
        char *stop = memchr(line, '\n', (size_t)(end - line));
        char *next = stop ? stop + 1 : end;
        size_t length = (size_t)((stop ? stop : end) - line);
        while (length > 0 && line[length - 1] == '\r')
            length--;
        code = ech_tokenizer_add_piece(t, line, length, id, err);
        if (code == ECH_OK)
            code = ech_wordpiece_add(t->model, line, length, (int32_t)id, err);
        line = next;
    }
    ech_free(text);
    return code;
}

/* The roles of vocab.txt's special tokens, in their order above. */
static const enum ech_token_role roles[SPECIALS] = {
    [UNK] = ECH_TOKEN_UNK, [CLS] = ECH_TOKEN_CLS,   [SEP] = ECH_TOKEN_SEP,
    [PAD] = ECH_TOKEN_PAD, [MASK] = ECH_TOKEN_MASK,
};

static int add_specials(struct ech_tokenizer *t, const char *path, const struct settings *s,
                        struct ech_err *err)
{
    int code = ECH_OK;
    for (int i = 0; code == ECH_OK && i < SPECIALS; i++) {
        const char *token = s->special[i];
        int32_t id = ech_vocab_find(&t->vocab, token, strlen(token));
        if (id < 0 && (i == UNK || i == CLS || i == SEP))
            return ech_fail(err, ECH_DATA, "%s: the %s \"%s\" is not among its %d lines", path,
                            special_keys[i], token, (int)t->largest_id + 1);
        if (id < 0)
            continue;
        t->roles[roles[i]] = id;
        code = ech_tokenizer_add_token(t, token, strlen(token), id, (struct ech_token_flags){.special = true},
                                       err);
    }
    ((struct ech_wordpiece *)t->model)->unknown = t->roles[ECH_TOKEN_UNK];
    return code;
}

/* BERT's frame: [CLS] A [SEP], and [CLS] A [SEP] B [SEP]. */
static int add_frame(struct ech_tokenizer *t, struct ech_err *err)
{
    int32_t cls = t->roles[ECH_TOKEN_CLS], sep = t->roles[ECH_TOKEN_SEP];
    const struct ech_post_part parts[] = {{ECH_POST_TOKEN, cls, 0},
                                          {ECH_POST_FIRST, 0, 0},
                                          {ECH_POST_TOKEN, sep, 0},
                                          {ECH_POST_SECOND, 0, 1},
                                          {ECH_POST_TOKEN, sep, 1}};
    int code = ECH_OK;
    t->post.single.count = t->post.pair.count = 0;
    for (int i = 0; code == ECH_OK && i < 5; i++) {
        code = ech_post_add(&t->post.pair, parts[i], err);
        if (code == ECH_OK && i < 3)
            code = ech_post_add(&t->post.single, parts[i], err);
    }
    return code;
}

static int add_parts(struct ech_tokenizer *t, const struct settings *s, struct ech_err *err)
{
    struct ech_normal_step step;
    struct ech_wordpiece *pieces;
    int code = ech_wordpiece_create("##", &pieces, err);
    if (code != ECH_OK)
        return code;
    t->ops = &ech_wordpiece_ops;
    t->model = pieces;
    t->whole = t->by_chunk = true;
    code = ech_bert_step(
        (struct ech_bert_normalizer){.clean = true, .cjk = s->cjk, .strip = s->strip, .lower = s->lower},
        &step, err);
    if (code == ECH_OK)
        code = ech_normalizer_add(&t->normalizer, step, err);
    return code == ECH_OK ? ech_json_decoder_wordpiece(t, "##", true, err) : code;
}

int ech_tokenizer_from_vocab(struct ech_tokenizer *t, const char *folder, struct ech_err *err)
{
    struct settings s;
    bool config;
    int code = read_settings(folder, &s, &config, err);
    if (code != ECH_OK)
        return code;
    char *path = ech_path_join(folder, "vocab.txt", err);
    if (!path)
        return ECH_UNAVAILABLE;
    code = add_parts(t, &s, err);
    if (code == ECH_OK)
        code = read_lines(t, path, err);
    if (code == ECH_OK)
        code = add_specials(t, path, &s, err);
    if (code == ECH_OK)
        code = add_frame(t, err);
    t->files[0] = "vocab.txt";
    t->files[1] = config ? "tokenizer_config.json" : NULL;
    ech_free(path);
    return code;
}
