/* tokenizer.json: its parts are read in the order that a text meets them, each in a file of its own. Padding
 * and the length of the truncation do not concern encoding into packed sequences: the caller says both. */
#include "text/tokenizer_impl.h"

#include "base/json.h"

#include <string.h>

const char *ech_json_type(const json_t *part)
{
    const char *type = json_string_value(json_object_get(part, "type"));
    return type ? type : "(no type)";
}

bool ech_json_absent(const json_t *part)
{
    return !part || json_is_null(part);
}

int ech_json_unknown(const char *name, const char *part, const json_t *component, struct ech_err *err)
{
    return ech_fail(err, ECH_DATA, "%s: %s \"%.60s\" is not supported", name, part, ech_json_type(component));
}

/* The reference counts added tokens on by itself, whatever id the file writes beside them: one that the model
 * knows keeps the model's, another gets the next one behind the vocabulary. */
static int64_t id_of_added(const struct ech_tokenizer *t, const char *token)
{
    int32_t id = ech_tokenizer_id(t, token, strlen(token));
    int64_t size = (int64_t)t->vocab.count, largest = -1;
    if (id >= 0)
        return id;
    for (size_t i = 0; i < t->added_vocab.count; i++)
        if (t->added_vocab.entries[i].id > largest)
            largest = t->added_vocab.entries[i].id;
    return largest >= size ? largest + 1 : size;
}

static int read_added_one(struct ech_tokenizer *t, const char *name, const json_t *item, struct ech_err *err)
{
    const char *content = "";
    int64_t id = -1;
    struct ech_token_flags flags = {0};
    if (!json_is_object(item))
        return ech_fail(err, ECH_DATA, "%s: an entry of added_tokens is not an object", name);
    int code = ech_json_get_str(item, name, "content", true, &content, err);
    if (code == ECH_OK)
        code = ech_json_get_int(item, name, "id", true, &id, err);
    if (code == ECH_OK)
        code = ech_json_get_bool(item, name, "special", false, &flags.special, err);
    flags.normalized = !flags.special;
    if (code == ECH_OK)
        code = ech_json_get_bool(item, name, "normalized", false, &flags.normalized, err);
    if (code == ECH_OK)
        code = ech_json_get_bool(item, name, "single_word", false, &flags.single_word, err);
    if (code == ECH_OK)
        code = ech_json_get_bool(item, name, "lstrip", false, &flags.lstrip, err);
    if (code == ECH_OK)
        code = ech_json_get_bool(item, name, "rstrip", false, &flags.rstrip, err);
    if (code == ECH_OK && (id < 0 || id >= ECH_VOCAB_ID_MOST))
        return ech_fail(err, ECH_DATA, "%s: the added token \"%.60s\" has id %lld, 0 to %d was expected",
                        name, content, (long long)id, ECH_VOCAB_ID_MOST - 1);
    if (code != ECH_OK || !*content)
        return code;
    code = ech_tokenizer_add_token(t, content, strlen(content), id_of_added(t, content), flags, err);
    return code;
}

static int read_added(struct ech_tokenizer *t, const char *name, const json_t *list, struct ech_err *err)
{
    const json_t *item;
    size_t i;
    if (ech_json_absent(list))
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

/* Its length does not count: the caller says where a text is cut. */
static int read_truncation(const char *name, const json_t *part, struct ech_err *err)
{
    const char *direction = "Right";
    if (ech_json_absent(part))
        return ECH_OK;
    int code = ech_json_get_str(part, name, "direction", false, &direction, err);
    if (code == ECH_OK && strcmp(direction, "Right") != 0)
        code = ech_fail(err, ECH_DATA, "%s: truncation direction \"%.60s\" is not supported (known: Right)",
                        name, direction);
    return code;
}

/* Shortcuts that the parts together allow. */
static void finish(struct ech_tokenizer *t)
{
    t->whole = t->whole && t->ops->encode_text;
    t->by_chunk = t->whole && (t->by_chunk || t->normalizer.count == 0);
}

int ech_tokenizer_from_json(struct ech_tokenizer *t, const char *name, const json_t *root,
                            struct ech_err *err)
{
    if (!json_is_object(root))
        return ech_fail(err, ECH_DATA, "%s: not an object", name);
    int code = ech_json_normalizer(t, name, json_object_get(root, "normalizer"), err);
    if (code == ECH_OK)
        code = ech_json_cutter(t, name, json_object_get(root, "pre_tokenizer"), err);
    if (code == ECH_OK)
        code = ech_json_model(t, name, json_object_get(root, "model"), err);
    if (code == ECH_OK)
        code = read_added(t, name, json_object_get(root, "added_tokens"), err);
    if (code == ECH_OK)
        code = ech_json_post(t, name, json_object_get(root, "post_processor"), err);
    if (code == ECH_OK)
        code = ech_json_decoder(t, name, json_object_get(root, "decoder"), err);
    if (code == ECH_OK)
        code = read_truncation(name, json_object_get(root, "truncation"), err);
    if (code == ECH_OK)
        finish(t);
    return code;
}
