/* tokenizer.json: the components are read in the order that the text meets them. Decoder, padding and the
 * truncation strategy do not concern encoding into packed sequences and are skipped. */
#include "text/tokenizer_impl.h"

#include "base/json.h"
#include "base/mem.h"

#include <string.h>

static const char *type_of(const json_t *component)
{
    const char *type = json_string_value(json_object_get(component, "type"));
    return type ? type : "(no type)";
}

static bool absent(const json_t *component)
{
    return !component || json_is_null(component);
}

static int unknown(const char *name, const char *part, const json_t *component, const char *known,
                   struct ech_err *err)
{
    return ech_fail(err, ECH_DATA, "%s: %s \"%.60s\" is not supported (known: %s)", name, part,
                    type_of(component), known);
}

static int read_normalizer(struct ech_tokenizer *t, const char *name, const json_t *root, struct ech_err *err)
{
    const json_t *part = json_object_get(root, "normalizer");
    struct ech_normalizer *n = &t->normalizer;
    if (absent(part))
        return ECH_OK;
    if (strcmp(type_of(part), "BertNormalizer") != 0)
        return unknown(name, "normalizer", part, "BertNormalizer", err);
    *n = (struct ech_normalizer){.clean = true, .cjk = true, .lower = true};
    int code = ech_json_get_bool(part, name, "clean_text", false, &n->clean, err);
    if (code == ECH_OK)
        code = ech_json_get_bool(part, name, "handle_chinese_chars", false, &n->cjk, err);
    if (code == ECH_OK)
        code = ech_json_get_bool(part, name, "lowercase", false, &n->lower, err);
    n->strip = n->lower; /* unless said otherwise */
    if (code == ECH_OK)
        code = ech_json_get_bool(part, name, "strip_accents", false, &n->strip, err);
    ech_normalizer_prepare(n);
    t->normalized = true;
    return code;
}

static int read_pre_tokenizer(const char *name, const json_t *root, struct ech_err *err)
{
    const json_t *part = json_object_get(root, "pre_tokenizer");
    if (!absent(part) && strcmp(type_of(part), "BertPreTokenizer") == 0)
        return ECH_OK;
    return unknown(name, "pre_tokenizer", part, "BertPreTokenizer", err);
}

/* Files of before 2021 leave the model's type out. */
static bool is_wordpiece(const json_t *model)
{
    if (json_object_get(model, "type"))
        return strcmp(type_of(model), "WordPiece") == 0;
    return json_object_get(model, "max_input_chars_per_word") != NULL;
}

static int read_vocab(struct ech_tokenizer *t, const char *name, const json_t *vocab, struct ech_err *err)
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

/* The text model. */
static int read_model(struct ech_tokenizer *t, const char *name, const json_t *root, struct ech_err *err)
{
    const json_t *model = json_object_get(root, "model");
    if (!json_is_object(model))
        return ech_fail(err, ECH_DATA, "%s: the key \"model\" is missing or not an object", name);
    if (!is_wordpiece(model))
        return unknown(name, "model", model, "WordPiece", err);
    const char *prefix = "##", *unk = "[UNK]";
    int64_t chars = 100;
    int code = ech_json_get_str(model, name, "continuing_subword_prefix", false, &prefix, err);
    if (code == ECH_OK)
        code = ech_json_get_str(model, name, "unk_token", false, &unk, err);
    if (code == ECH_OK)
        code = ech_json_get_int(model, name, "max_input_chars_per_word", false, &chars, err);
    if (code != ECH_OK)
        return code;
    if (chars < 0 || chars > ECH_WORD_CHARS_MOST)
        return ech_fail(err, ECH_DATA, "%s: max_input_chars_per_word is %lld, 0 to %d was expected", name,
                        (long long)chars, ECH_WORD_CHARS_MOST);
    char *copy = ech_strdup(prefix, err);
    if (!copy)
        return ECH_UNAVAILABLE;
    ech_free(t->pieces.prefix);
    t->pieces.prefix = copy;
    t->pieces.max_chars = chars;
    code = read_vocab(t, name, json_object_get(model, "vocab"), err);
    if (code != ECH_OK)
        return code;
    t->pieces.unknown = ech_trie_exact(&t->pieces.trie, 0, unk, strlen(unk));
    if (t->pieces.unknown < 0)
        return ech_fail(err, ECH_DATA, "%s: the unknown token \"%.60s\" is not in the vocabulary", name, unk);
    return ECH_OK;
}

static int read_added_one(struct ech_tokenizer *t, const char *name, const json_t *item, struct ech_err *err)
{
    const char *content = "";
    int64_t id = -1;
    struct ech_added_token flags = {0};
    if (!json_is_object(item))
        return ech_fail(err, ECH_DATA, "%s: an entry of added_tokens is not an object", name);
    int code = ech_json_get_str(item, name, "content", true, &content, err);
    if (code == ECH_OK)
        code = ech_json_get_int(item, name, "id", true, &id, err);
    bool special = false;
    if (code == ECH_OK)
        code = ech_json_get_bool(item, name, "special", false, &special, err);
    bool normalized = !special;
    if (code == ECH_OK)
        code = ech_json_get_bool(item, name, "normalized", false, &normalized, err);
    if (code == ECH_OK)
        code = ech_json_get_bool(item, name, "single_word", false, &flags.single_word, err);
    if (code == ECH_OK)
        code = ech_json_get_bool(item, name, "lstrip", false, &flags.lstrip, err);
    if (code == ECH_OK)
        code = ech_json_get_bool(item, name, "rstrip", false, &flags.rstrip, err);
    return code == ECH_OK ? ech_tokenizer_add_token(t, content, id, normalized, flags, err) : code;
}

static int read_added(struct ech_tokenizer *t, const char *name, const json_t *root, struct ech_err *err)
{
    const json_t *list = json_object_get(root, "added_tokens"), *item;
    size_t i;
    if (absent(list))
        return ECH_OK;
    if (!json_is_array(list))
        return ech_fail(err, ECH_DATA, "%s: added_tokens is not a list", name);
    json_array_foreach(list, i, item)
    {
        int code = read_added_one(t, name, item, err);
        if (code != ECH_OK)
            return code;
    }
    return ECH_OK;
}

static int put_special(struct ech_tokenizer *t, const char *name, bool after, const json_t *id,
                       struct ech_err *err)
{
    int64_t *count = after ? &t->after_count : &t->before_count;
    int64_t value = json_is_integer(id) ? json_integer_value(id) : -1;
    if (value < 0 || value > t->largest_id)
        return ech_fail(err, ECH_DATA, "%s: the post-processor has token id %lld, 0 to %d was expected", name,
                        (long long)value, (int)t->largest_id);
    if (*count >= ECH_TEMPLATE_MOST)
        return ech_fail(err, ECH_DATA, "%s: the post-processor puts more than %d tokens", name,
                        ECH_TEMPLATE_MOST);
    (after ? t->after : t->before)[(*count)++] = (int32_t)value;
    return ECH_OK;
}

static int template_type(const char *name, const json_t *piece, struct ech_err *err)
{
    int64_t type = 0;
    int code = ech_json_get_int(piece, name, "type_id", false, &type, err);
    if (code == ECH_OK && type != 0)
        return ech_fail(err, ECH_DATA,
                        "%s: the template gives a single text type_id %lld, only 0 is supported", name,
                        (long long)type);
    return code;
}

static int template_special(struct ech_tokenizer *t, const char *name, const json_t *specials,
                            const json_t *piece, bool after, struct ech_err *err)
{
    const char *key = "";
    int code = ech_json_get_str(piece, name, "id", true, &key, err);
    if (code == ECH_OK)
        code = template_type(name, piece, err);
    if (code != ECH_OK)
        return code;
    const json_t *ids = json_object_get(json_object_get(specials, key), "ids"), *id;
    size_t i;
    if (!json_is_array(ids))
        return ech_fail(err, ECH_DATA, "%s: the template's token \"%.60s\" has no ids", name, key);
    json_array_foreach(ids, i, id) if (code == ECH_OK) code = put_special(t, name, after, id, err);
    return code;
}

static int read_template(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err)
{
    const json_t *single = json_object_get(part, "single"), *item;
    const json_t *specials = json_object_get(part, "special_tokens");
    size_t i;
    int sequences = 0, code = ECH_OK;
    json_array_foreach(single, i, item)
    {
        const json_t *special = json_object_get(item, "SpecialToken");
        const json_t *sequence = json_object_get(item, "Sequence");
        const char *which = "";
        if (special)
            code = template_special(t, name, specials, special, sequences > 0, err);
        else if (sequence)
            code = ech_json_get_str(sequence, name, "id", true, &which, err);
        if (code == ECH_OK && !special && strcmp(which, "A") != 0)
            code = ech_fail(err, ECH_DATA,
                            "%s: the template of a single text has a piece that is neither a "
                            "special token nor sequence A",
                            name);
        else if (code == ECH_OK && sequence)
            code = template_type(name, sequence, err);
        if (code != ECH_OK)
            return code;
        sequences += special == NULL;
    }
    if (sequences != 1)
        return ech_fail(err, ECH_DATA, "%s: the template of a single text has %d sequences, 1 was expected",
                        name, sequences);
    return ECH_OK;
}

/* BertProcessing, RobertaProcessing: {"cls": ["[CLS]", 101], "sep": ["[SEP]", 102]}. */
static int read_pair(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err)
{
    int code = put_special(t, name, false, json_array_get(json_object_get(part, "cls"), 1), err);
    return code == ECH_OK ? put_special(t, name, true, json_array_get(json_object_get(part, "sep"), 1), err)
                          : code;
}

static int read_post_processor(struct ech_tokenizer *t, const char *name, const json_t *root,
                               struct ech_err *err)
{
    const json_t *part = json_object_get(root, "post_processor");
    if (absent(part))
        return ECH_OK;
    const char *type = type_of(part);
    if (strcmp(type, "TemplateProcessing") == 0)
        return read_template(t, name, part, err);
    if (strcmp(type, "BertProcessing") == 0 || strcmp(type, "RobertaProcessing") == 0)
        return read_pair(t, name, part, err);
    return unknown(name, "post_processor", part, "TemplateProcessing, BertProcessing, RobertaProcessing",
                   err);
}

/* Its length does not count: the caller says where a text is cut. */
static int read_truncation(const char *name, const json_t *root, struct ech_err *err)
{
    const json_t *part = json_object_get(root, "truncation");
    const char *direction = "Right";
    if (absent(part))
        return ECH_OK;
    int code = ech_json_get_str(part, name, "direction", false, &direction, err);
    if (code == ECH_OK && strcmp(direction, "Right") != 0)
        code = ech_fail(err, ECH_DATA, "%s: truncation direction \"%.60s\" is not supported (known: Right)",
                        name, direction);
    return code;
}

int ech_tokenizer_from_json(struct ech_tokenizer *t, const char *name, const json_t *root,
                            struct ech_err *err)
{
    if (!json_is_object(root))
        return ech_fail(err, ECH_DATA, "%s: not an object", name);
    int code = read_normalizer(t, name, root, err);
    if (code == ECH_OK)
        code = read_model(t, name, root, err); /* first, so that other components' mistakes read better */
    if (code == ECH_OK)
        code = read_pre_tokenizer(name, root, err);
    if (code == ECH_OK)
        code = read_added(t, name, root, err);
    if (code == ECH_OK)
        code = read_post_processor(t, name, root, err);
    if (code == ECH_OK)
        code = read_truncation(name, root, err);
    return code;
}
