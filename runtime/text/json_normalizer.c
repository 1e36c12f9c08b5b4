/* tokenizer.json's "normalizer", and the patterns that other parts have, too. */
#include "text/tokenizer_impl.h"

#include "base/json.h"
#include "base/mem.h"
#include "text/bert_normal.h"
#include "text/charsmap.h"
#include "text/normal_steps.h"
#include "text/regex.h"

#include <string.h>

enum { DEPTH_MOST = 8 };

int ech_json_pattern(const json_t *part, const char *name, const char **string, struct ech_regex **regex,
                     struct ech_err *err)
{
    const json_t *pattern = json_object_get(part, "pattern");
    const char *text = json_string_value(json_object_get(pattern, "Regex"));
    *regex = NULL;
    *string = "";
    if (text) {
        *string = text;
        return ech_regex_create(text, regex, err) == ECH_OK ? ECH_OK : ech_prefix(err, "%s", name);
    }
    text = json_string_value(json_object_get(pattern, "String"));
    if (!text)
        return ech_fail(err, ECH_DATA, "%s: %s has no pattern (\"String\" or \"Regex\")", name,
                        ech_json_type(part));
    *string = text;
    return ECH_OK;
}

int ech_json_replace(const json_t *part, const char *name, struct ech_replace **out, struct ech_err *err)
{
    const char *string, *content = "";
    struct ech_regex *regex;
    int code = ech_json_get_str(part, name, "content", true, &content, err);
    if (code == ECH_OK)
        code = ech_json_pattern(part, name, &string, &regex, err);
    return code == ECH_OK ? ech_replace_create(string, regex, content, out, err) : code;
}

static int read_bert(const char *name, const json_t *part, struct ech_normal_step *out, struct ech_err *err)
{
    struct ech_bert_normalizer n = {.clean = true, .cjk = true, .lower = true};
    int code = ech_json_get_bool(part, name, "clean_text", false, &n.clean, err);
    if (code == ECH_OK)
        code = ech_json_get_bool(part, name, "handle_chinese_chars", false, &n.cjk, err);
    if (code == ECH_OK)
        code = ech_json_get_bool(part, name, "lowercase", false, &n.lower, err);
    n.strip = n.lower; /* unless said otherwise */
    if (code == ECH_OK)
        code = ech_json_get_bool(part, name, "strip_accents", false, &n.strip, err);
    return code == ECH_OK ? ech_bert_step(n, out, err) : code;
}

static int read_strip(const char *name, const json_t *part, struct ech_normal_step *out, struct ech_err *err)
{
    bool left = true, right = true;
    int code = ech_json_get_bool(part, name, "strip_left", false, &left, err);
    if (code == ECH_OK)
        code = ech_json_get_bool(part, name, "strip_right", false, &right, err);
    if (code == ECH_OK)
        *out = ech_step_strip(left, right);
    return code;
}

static int read_replace(const char *name, const json_t *part, struct ech_normal_step *out,
                        struct ech_err *err)
{
    struct ech_replace *replace;
    int code = ech_json_replace(part, name, &replace, err);
    if (code == ECH_OK)
        *out = ech_step_replace(replace);
    return code;
}

static int read_prepend(const char *name, const json_t *part, struct ech_normal_step *out,
                        struct ech_err *err)
{
    const char *text = "";
    int code = ech_json_get_str(part, name, "prepend", true, &text, err);
    return code == ECH_OK ? ech_step_prepend(text, out, err) : code;
}

static int base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Bytes of a base64 text into `out` (3/4 of its length); their number, or -1. */
static int64_t read_base64(const char *text, unsigned char *out)
{
    size_t length = strlen(text);
    int64_t made = 0;
    uint32_t bits = 0;
    while (length > 0 && text[length - 1] == '=')
        length--;
    for (size_t i = 0; i < length; i++) {
        int digit = base64_digit(text[i]);
        if (digit < 0)
            return -1;
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4 != 0)
            out[made++] = (unsigned char)(bits >> (6 - 2 * (i % 4)));
    }
    return length % 4 == 1 ? -1 : made;
}

static int read_precompiled(const char *name, const json_t *part, struct ech_normal_step *out,
                            struct ech_err *err)
{
    const char *text = "";
    int code = ech_json_get_str(part, name, "precompiled_charsmap", true, &text, err);
    if (code != ECH_OK)
        return code;
    unsigned char *bytes = ech_calloc(strlen(text) + 4, 1, err);
    if (!bytes)
        return ECH_UNAVAILABLE;
    int64_t count = read_base64(text, bytes);
    if (count < 0)
        code = ech_fail(err, ECH_DATA, "%s: precompiled_charsmap is not base64", name);
    else
        code = ech_charsmap_create(bytes, (size_t)count, out, err);
    ech_free(bytes);
    return code;
}

/* Components without settings. */
static bool find_plain(const char *type, struct ech_normal_step *out)
{
    static const char *const names[] = {"NFC",       "NFD",          "NFKC", "NFKD",
                                        "Lowercase", "StripAccents", "Nmt",  "ByteLevel"};
    const struct ech_normal_step steps[] = {ech_step_unicode(ECH_FORM_NFC),
                                            ech_step_unicode(ECH_FORM_NFD),
                                            ech_step_unicode(ECH_FORM_NFKC),
                                            ech_step_unicode(ECH_FORM_NFKD),
                                            ech_step_lowercase(),
                                            ech_step_strip_accents(),
                                            ech_step_nmt(),
                                            ech_step_letters()};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], type) == 0) {
            *out = steps[i];
            return true;
        }
    return false;
}

static const struct {
    const char *type;
    int (*read)(const char *name, const json_t *part, struct ech_normal_step *out, struct ech_err *err);
} kinds[] = {
    {"BertNormalizer", read_bert}, {"Strip", read_strip},     {"Precompiled", read_precompiled},
    {"Replace", read_replace},     {"Prepend", read_prepend},
};

static int read_one(struct ech_tokenizer *t, const char *name, const json_t *part, int depth,
                    struct ech_err *err)
{
    const char *type = ech_json_type(part);
    struct ech_normal_step step;
    int code = ECH_OK;
    if (strcmp(type, "Sequence") == 0 && depth < DEPTH_MOST) {
        const json_t *list = json_object_get(part, "normalizers"), *item;
        size_t i;
        if (!json_is_array(list))
            return ech_fail(err, ECH_DATA, "%s: the normalizer Sequence has no list \"normalizers\"", name);
        json_array_foreach(list, i, item) if (code == ECH_OK) code = read_one(t, name, item, depth + 1, err);
        return code;
    }
    if (find_plain(type, &step))
        return ech_normalizer_add(&t->normalizer, step, err);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].type, type) == 0) {
            code = kinds[i].read(name, part, &step, err);
            return code == ECH_OK ? ech_normalizer_add(&t->normalizer, step, err) : code;
        }
    return ech_json_unknown(name, "normalizer", part, err);
}

int ech_json_normalizer(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err)
{
    if (ech_json_absent(part))
        return ECH_OK;
    /* BERT's alone looks at no more than a word, so a text may be taken in chunks. */
    t->by_chunk = strcmp(ech_json_type(part), "BertNormalizer") == 0;
    return read_one(t, name, part, 0, err);
}
