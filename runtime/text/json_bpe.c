/* tokenizer.json's "model" of type BPE. */
#include "text/bpe.h"

#include "base/json.h"
#include "base/mem.h"
#include "text/tokenizer_impl.h"

#include <string.h>

/* Words come as bytes where ByteLevel is the last to cut and nothing asks for characters. */
static bool takes_bytes(const struct ech_tokenizer *t, const json_t *part)
{
    const struct ech_cutter *c = &t->cutter;
    const char *prefix = json_string_value(json_object_get(part, "continuing_subword_prefix"));
    const char *suffix = json_string_value(json_object_get(part, "end_of_word_suffix"));
    return c->count && c->stages[c->count - 1].kind == ECH_CUT_LETTERS && !(prefix && *prefix) &&
           !(suffix && *suffix) && !json_is_true(json_object_get(part, "byte_fallback"));
}

static int read_affix(const json_t *part, const char *name, const char *key, char **out, struct ech_err *err)
{
    const char *text = "";
    int code = ECH_OK;
    if (!ech_json_absent(json_object_get(part, key)))
        code = ech_json_get_str(part, name, key, false, &text, err);
    if (code == ECH_OK && strlen(text) > ECH_BPE_AFFIX_MOST)
        code = ech_fail(err, ECH_DATA, "%s: %s has more than %d bytes", name, key, ECH_BPE_AFFIX_MOST);
    if (code == ECH_OK && *text && !(*out = ech_strdup(text, err)))
        code = ECH_UNAVAILABLE;
    return code;
}

static int refuse_dropout(const char *name, const json_t *part, struct ech_err *err)
{
    const json_t *dropout = json_object_get(part, "dropout");
    if (ech_json_absent(dropout) || (json_is_number(dropout) && !(json_number_value(dropout) != 0)))
        return ECH_OK;
    return ech_fail(err, ECH_DATA, "%s: the model's dropout is not supported (ids would be random)", name);
}

static int read_settings(struct ech_bpe *bpe, const char *name, const json_t *part, struct ech_err *err)
{
    int code = refuse_dropout(name, part, err);
    if (code == ECH_OK)
        code = ech_json_get_bool(part, name, "fuse_unk", false, &bpe->fuse_unknown, err);
    if (code == ECH_OK)
        code = ech_json_get_bool(part, name, "byte_fallback", false, &bpe->byte_fallback, err);
    if (code == ECH_OK)
        code = ech_json_get_bool(part, name, "ignore_merges", false, &bpe->ignore_merges, err);
    if (code == ECH_OK)
        code = read_affix(part, name, "continuing_subword_prefix", &bpe->prefix, err);
    if (code == ECH_OK)
        code = read_affix(part, name, "end_of_word_suffix", &bpe->suffix, err);
    bpe->heap_always = bpe->prefix != NULL;
    return code;
}

static int read_unknown(struct ech_tokenizer *t, struct ech_bpe *bpe, const char *name, const json_t *part,
                        struct ech_err *err)
{
    const char *unk = "";
    if (ech_json_absent(json_object_get(part, "unk_token")))
        return ECH_OK;
    int code = ech_json_get_str(part, name, "unk_token", false, &unk, err);
    int32_t id = ech_vocab_find(&t->vocab, unk, strlen(unk));
    bpe->unknown = id >= 0 ? id : ECH_BPE_UNKNOWN_MISSING;
    t->roles[ECH_TOKEN_UNK] = id;
    return code;
}

/* Two halves of a merge; the text of what they make stands in `text`. */
struct merge {
    const char *left, *right;
    size_t left_bytes, right_bytes;
};

static int find_half(const struct ech_tokenizer *t, const char *name, const char *text, size_t bytes,
                     int32_t *id, struct ech_err *err)
{
    *id = ech_vocab_find(&t->vocab, text, bytes);
    return *id >= 0
               ? ECH_OK
               : ech_fail(err, ECH_DATA, "%s: a merge has the token \"%.*s\", which is not in the vocabulary",
                          name, bytes > 60 ? 60 : (int)bytes, text);
}

static int add_merge(const struct ech_tokenizer *t, struct ech_bpe *bpe, const char *name, struct merge m,
                     uint32_t rank, struct ech_err *err)
{
    int32_t left, right, id;
    size_t skip = bpe->prefix ? strlen(bpe->prefix) : 0;
    int code = find_half(t, name, m.left, m.left_bytes, &left, err);
    if (code == ECH_OK)
        code = find_half(t, name, m.right, m.right_bytes, &right, err);
    if (code != ECH_OK)
        return code;
    if (m.right_bytes < skip)
        return ech_fail(err, ECH_DATA, "%s: the merge \"%.60s\" is shorter than the prefix", name, m.right);
    char *text = ech_calloc(m.left_bytes + m.right_bytes + 1, 1, err);
    if (!text)
        return ECH_UNAVAILABLE;
    memcpy(text, m.left, m.left_bytes);
    memcpy(text + m.left_bytes, m.right + skip, m.right_bytes - skip);
    code = find_half(t, name, text, m.left_bytes + m.right_bytes - skip, &id, err);
    ech_free(text);
    return code == ECH_OK ? ech_bpe_add(bpe, left, right, rank, id, err) : code;
}

/* "a b", or ["a", "b"] where halves may have spaces. */
static int read_merge(const char *name, const json_t *item, size_t rank, struct merge *out,
                      struct ech_err *err)
{
    const char *text = json_string_value(item), *space = text ? strchr(text, ' ') : NULL;
    if (space && !strchr(space + 1, ' ')) {
        *out = (struct merge){text, space + 1, (size_t)(space - text), strlen(space + 1)};
        return ECH_OK;
    }
    const char *left = json_string_value(json_array_get(item, 0));
    const char *right = json_string_value(json_array_get(item, 1));
    if (!left || !right || json_array_size(item) != 2)
        return ech_fail(err, ECH_DATA, "%s: merge %zu is not a pair", name, rank + 1);
    *out = (struct merge){left, right, strlen(left), strlen(right)};
    return ECH_OK;
}

static int read_merges(const struct ech_tokenizer *t, struct ech_bpe *bpe, const char *name,
                       const json_t *list, struct ech_err *err)
{
    const json_t *item;
    size_t i;
    uint32_t rank = 0;
    if (!json_is_array(list))
        return ech_fail(err, ECH_DATA, "%s: model.merges is not a list", name);
    json_array_foreach(list, i, item)
    {
        struct merge m = {0};
        const char *text = json_string_value(item);
        if (text && strncmp(text, "#version", 8) == 0)
            continue;
        int code = read_merge(name, item, i, &m, err);
        if (code == ECH_OK)
            code = add_merge(t, bpe, name, m, rank++, err);
        if (code != ECH_OK)
            return code;
    }
    return ECH_OK;
}

int ech_json_bpe(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err)
{
    struct ech_bpe *bpe;
    bool bytes = takes_bytes(t, part);
    int code = ech_json_vocab(t, name, json_object_get(part, "vocab"), err);
    if (code == ECH_OK)
        code = ech_bpe_create(&t->vocab, bytes, &bpe, err);
    if (code != ECH_OK)
        return code;
    t->ops = &ech_bpe_ops;
    t->model = bpe;
    code = read_settings(bpe, name, part, err);
    if (code == ECH_OK)
        code = read_unknown(t, bpe, name, part, err);
    if (code == ECH_OK)
        code = read_merges(t, bpe, name, json_object_get(part, "merges"), err);
    if (code != ECH_OK)
        return code;
    ech_bpe_prepare(bpe);
    if (bytes)
        ech_cutter_pop(&t->cutter);
    return ECH_OK;
}
