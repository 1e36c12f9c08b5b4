/* tokenizer.json's "post_processor". */
#include "text/tokenizer_impl.h"

#include "base/json.h"

#include <string.h>

enum { DEPTH_MOST = 8 };

/* What is read so far: only one component may put tokens. */
struct reading {
    struct ech_tokenizer *t;
    const char *name;
    bool framed;
};

static int add_token(const struct reading *r, struct ech_post_list *list, const json_t *id, uint8_t type,
                     struct ech_err *err)
{
    int64_t value = json_is_integer(id) ? json_integer_value(id) : -1;
    if (value < 0 || value > r->t->largest_id)
        return ech_fail(err, ECH_DATA, "%s: the post-processor has token id %lld, 0 to %d was expected",
                        r->name, (long long)value, (int)r->t->largest_id);
    if (ech_post_add(list, (struct ech_post_part){ECH_POST_TOKEN, (int32_t)value, type}, err) != ECH_OK)
        return ech_prefix(err, "%s", r->name);
    return ECH_OK;
}

static int read_type(const struct reading *r, const json_t *piece, uint8_t *out, struct ech_err *err)
{
    int64_t type = 0;
    int code = ech_json_get_int(piece, r->name, "type_id", false, &type, err);
    if (code == ECH_OK && (type < 0 || type > UINT8_MAX))
        return ech_fail(err, ECH_DATA, "%s: the template has type_id %lld, 0 to 255 was expected", r->name,
                        (long long)type);
    *out = (uint8_t)type;
    return code;
}

static int read_special(const struct reading *r, const json_t *specials, const json_t *piece,
                        struct ech_post_list *list, struct ech_err *err)
{
    const char *key = "";
    uint8_t type = 0;
    int code = ech_json_get_str(piece, r->name, "id", true, &key, err);
    if (code == ECH_OK)
        code = read_type(r, piece, &type, err);
    if (code != ECH_OK)
        return code;
    const json_t *ids = json_object_get(json_object_get(specials, key), "ids"), *id;
    size_t i;
    if (!json_is_array(ids))
        return ech_fail(err, ECH_DATA, "%s: the template's token \"%.60s\" has no ids", r->name, key);
    json_array_foreach(ids, i, id) if (code == ECH_OK) code = add_token(r, list, id, type, err);
    return code;
}

static int read_sequence(const struct reading *r, const json_t *piece, bool pair, struct ech_post_list *list,
                         struct ech_err *err)
{
    const char *which = "";
    uint8_t type = 0;
    int code = piece ? ech_json_get_str(piece, r->name, "id", true, &which, err) : ECH_OK;
    bool first = strcmp(which, "A") == 0;
    if (code == ECH_OK && !first && !(pair && strcmp(which, "B") == 0))
        return ech_fail(
            err, ECH_DATA,
            "%s: the template of a %s has a piece that is neither a special token nor sequence A%s", r->name,
            pair ? "pair" : "single text", pair ? " or B" : "");
    if (code == ECH_OK)
        code = read_type(r, piece, &type, err);
    if (code == ECH_OK)
        code = ech_post_add(list, (struct ech_post_part){first ? ECH_POST_FIRST : ECH_POST_SECOND, 0, type},
                            err);
    return code;
}

static int check_counts(const struct reading *r, const struct ech_post_list *list, bool pair,
                        struct ech_err *err)
{
    int counts[3] = {0};
    for (int i = 0; i < list->count; i++)
        counts[list->parts[i].kind]++;
    if (counts[ECH_POST_FIRST] == 1 && counts[ECH_POST_SECOND] == pair)
        return ECH_OK;
    return ech_fail(err, ECH_DATA, "%s: the template of a %s has %d sequences, %s was expected", r->name,
                    pair ? "pair" : "single text", counts[ECH_POST_FIRST] + counts[ECH_POST_SECOND],
                    pair ? "A and B once" : "1");
}

static int read_list(const struct reading *r, const json_t *part, bool pair, struct ech_err *err)
{
    struct ech_post_list *list = pair ? &r->t->post.pair : &r->t->post.single;
    const json_t *specials = json_object_get(part, "special_tokens"), *item;
    size_t i;
    int code = ECH_OK;
    list->count = 0;
    json_array_foreach(json_object_get(part, pair ? "pair" : "single"), i, item)
    {
        const json_t *special = json_object_get(item, "SpecialToken");
        if (special)
            code = read_special(r, specials, special, list, err);
        else
            code = read_sequence(r, json_object_get(item, "Sequence"), pair, list, err);
        if (code != ECH_OK)
            return code;
    }
    return check_counts(r, list, pair, err);
}

static int read_template(struct reading *r, const json_t *part, struct ech_err *err)
{
    int code = read_list(r, part, false, err);
    return code == ECH_OK && json_object_get(part, "pair") ? read_list(r, part, true, err) : code;
}

/* BERT's and RoBERTa's: {"cls": ["[CLS]", 101], "sep": ["[SEP]", 102]}; RoBERTa has two separators between
 * the texts of a pair, and one type. */
static int read_framed(struct reading *r, const json_t *part, bool roberta, struct ech_err *err)
{
    const json_t *cls = json_array_get(json_object_get(part, "cls"), 1);
    const json_t *sep = json_array_get(json_object_get(part, "sep"), 1);
    struct ech_post *post = &r->t->post;
    const uint8_t type = roberta ? 0 : 1;
    post->single.count = post->pair.count = 0;
    int code = add_token(r, &post->single, cls, 0, err);
    if (code == ECH_OK)
        code = ech_post_add(&post->single, (struct ech_post_part){ECH_POST_FIRST, 0, 0}, err);
    if (code == ECH_OK)
        code = add_token(r, &post->single, sep, 0, err);
    if (code != ECH_OK)
        return code;
    post->pair = post->single;
    if (roberta)
        code = add_token(r, &post->pair, sep, 0, err);
    if (code == ECH_OK)
        code = ech_post_add(&post->pair, (struct ech_post_part){ECH_POST_SECOND, 0, type}, err);
    return code == ECH_OK ? add_token(r, &post->pair, sep, type, err) : code;
}

static int read_one(struct reading *r, const json_t *part, int depth, struct ech_err *err)
{
    const char *type = ech_json_type(part);
    bool roberta = strcmp(type, "RobertaProcessing") == 0;
    if (strcmp(type, "Sequence") == 0 && depth < DEPTH_MOST) {
        const json_t *list = json_object_get(part, "processors"), *item;
        size_t i;
        int code = ECH_OK;
        if (!json_is_array(list))
            return ech_fail(err, ECH_DATA, "%s: the post_processor Sequence has no list \"processors\"",
                            r->name);
        json_array_foreach(list, i, item) if (code == ECH_OK) code = read_one(r, item, depth + 1, err);
        return code;
    }
    if (strcmp(type, "ByteLevel") == 0) /* moves offsets only */
        return ECH_OK;
    if (r->framed)
        return ech_fail(err, ECH_DATA, "%s: more than one component of the post_processor puts tokens",
                        r->name);
    r->framed = true;
    if (strcmp(type, "TemplateProcessing") == 0)
        return read_template(r, part, err);
    if (roberta || strcmp(type, "BertProcessing") == 0)
        return read_framed(r, part, roberta, err);
    return ech_json_unknown(r->name, "post_processor", part, err);
}

int ech_json_post(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err)
{
    struct reading r = {.t = t, .name = name};
    return ech_json_absent(part) ? ECH_OK : read_one(&r, part, 0, err);
}
