/* tokenizer.json's "model": WordPiece and WordLevel; BPE is in json_bpe.c, Unigram in unigram_json.c. */
#include "text/tokenizer_impl.h"

#include "base/json.h"
#include "base/mem.h"
#include "text/wordlevel.h"
#include "text/wordpiece.h"

#include <string.h>

int ech_json_vocab(struct ech_tokenizer *t, const char *name, const json_t *vocab, struct ech_err *err)
{
    const char *token;
    json_t *id;
    if (!json_is_object(vocab) || json_object_size(vocab) == 0)
        return ech_fail(err, ECH_DATA, "%s: model.vocab is not an object with entries", name);
    json_object_foreach((json_t *)(uintptr_t)vocab, token, id)
    {
        if (!json_is_integer(id))
            return ech_fail(err, ECH_DATA, "%s: the id of \"%.60s\" is not an integer", name, token);
        int code = ech_tokenizer_add_piece(t, token, strlen(token), json_integer_value(id), err);
        if (code != ECH_OK)
            return ech_prefix(err, "%s", name);
    }
    return ECH_OK;
}

static int need_unknown(const struct ech_tokenizer *t, const char *name, const char *unk, int32_t *out,
                        struct ech_err *err)
{
    *out = ech_vocab_find(&t->vocab, unk, strlen(unk));
    if (*out >= 0)
        return ECH_OK;
    return ech_fail(err, ECH_DATA, "%s: the unknown token \"%.60s\" is not in the vocabulary", name, unk);
}

static int fill_wordpiece(struct ech_tokenizer *t, struct ech_wordpiece *pieces, struct ech_err *err)
{
    int code = ECH_OK;
    for (size_t i = 0; code == ECH_OK && i < t->vocab.count; i++) {
        const struct ech_vocab_entry *e = &t->vocab.entries[i];
        code = ech_wordpiece_add(pieces, t->vocab.text + e->start, e->bytes, e->id, err);
    }
    return code;
}

int ech_json_wordpiece(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err)
{
    const char *prefix = "##", *unk = "[UNK]";
    int64_t chars = 100;
    struct ech_wordpiece *pieces;
    int code = ech_json_get_str(part, name, "continuing_subword_prefix", false, &prefix, err);
    if (code == ECH_OK)
        code = ech_json_get_str(part, name, "unk_token", false, &unk, err);
    if (code == ECH_OK)
        code = ech_json_get_int(part, name, "max_input_chars_per_word", false, &chars, err);
    if (code != ECH_OK)
        return code;
    if (chars < 0 || chars > ECH_WORD_CHARS_MOST)
        return ech_fail(err, ECH_DATA, "%s: max_input_chars_per_word is %lld, 0 to %d was expected", name,
                        (long long)chars, ECH_WORD_CHARS_MOST);
    code = ech_wordpiece_create(prefix, &pieces, err);
    if (code != ECH_OK)
        return code;
    t->ops = &ech_wordpiece_ops;
    t->model = pieces;
    pieces->max_chars = chars;
    code = ech_json_vocab(t, name, json_object_get(part, "vocab"), err);
    if (code == ECH_OK)
        code = fill_wordpiece(t, pieces, err);
    if (code == ECH_OK)
        code = need_unknown(t, name, unk, &pieces->unknown, err);
    t->roles[ECH_TOKEN_UNK] = pieces->unknown;
    return code;
}

static int read_wordlevel(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err)
{
    const char *unk = "<unk>";
    struct ech_wordlevel *model;
    int code = ech_json_get_str(part, name, "unk_token", false, &unk, err);
    if (code == ECH_OK)
        code = ech_wordlevel_create(&t->vocab, &model, err);
    if (code != ECH_OK)
        return code;
    t->ops = &ech_wordlevel_ops;
    t->model = model;
    code = ech_json_vocab(t, name, json_object_get(part, "vocab"), err);
    model->unknown = ech_vocab_find(&t->vocab, unk, strlen(unk));
    t->roles[ECH_TOKEN_UNK] = model->unknown;
    return code;
}

static const struct {
    const char *type;
    int (*read)(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err);
} kinds[] = {
    {"WordPiece", ech_json_wordpiece},
    {"BPE", ech_json_bpe},
    {"WordLevel", read_wordlevel},
    {"Unigram", ech_json_unigram},
};

/* Files of before 2021 leave the type out. */
static const char *type_of(const json_t *part)
{
    if (json_object_get(part, "type"))
        return ech_json_type(part);
    if (json_object_get(part, "merges"))
        return "BPE";
    return json_object_get(part, "max_input_chars_per_word") ? "WordPiece" : ech_json_type(part);
}

int ech_json_model(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err)
{
    if (!json_is_object(part))
        return ech_fail(err, ECH_DATA, "%s: the key \"model\" is missing or not an object", name);
    const char *type = type_of(part);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].type, type) == 0)
            return kinds[i].read(t, name, part, err);
    return ech_json_unknown(name, "model", part, err);
}
