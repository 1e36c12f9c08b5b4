/* tokenizer.json's "pre_tokenizer". */
#include "text/tokenizer_impl.h"

#include "base/json.h"
#include "base/mem.h"
#include "text/regex.h"
#include "text/scan.h"
#include "text/unicode.h"

#include <string.h>

enum { DEPTH_MOST = 8 };

static int add(struct ech_tokenizer *t, struct ech_cut_stage stage, struct ech_err *err)
{
    return ech_cutter_add(&t->cutter, stage, err);
}

/* A stage that owns a copy of a string. */
static int add_string(struct ech_tokenizer *t, struct ech_cut_stage stage, const char *string,
                      struct ech_err *err)
{
    stage.string = ech_strdup(string, err);
    stage.string_bytes = strlen(string);
    return stage.string ? add(t, stage, err) : ECH_UNAVAILABLE;
}

static int add_chars(struct ech_tokenizer *t, unsigned classes, enum ech_cut_behavior behavior,
                     struct ech_err *err)
{
    return add(t, (struct ech_cut_stage){.kind = ECH_CUT_CHARS, .classes = classes, .behavior = behavior},
               err);
}

/* One character, as the reference has for delimiters. */
int ech_json_get_char(const json_t *part, const char *name, const char *key, const char *otherwise,
                      const char **out, struct ech_err *err)
{
    const char *text = otherwise;
    int code = ech_json_get_str(part, name, key, otherwise == NULL, &text, err);
    if (code != ECH_OK)
        return code;
    const unsigned char *p = (const unsigned char *)text;
    if (*p)
        ech_char_next(&p);
    if (p == (const unsigned char *)text || *p)
        return ech_fail(err, ECH_DATA, "%s: \"%s\" of %s is not one character", name, key,
                        ech_json_type(part));
    *out = text;
    return ECH_OK;
}

int ech_json_metaspace(const json_t *part, const char *name, const char **replacement,
                       enum ech_cut_prefix *prefix, struct ech_err *err)
{
    const char *scheme = "always";
    bool space = true;
    int code = ech_json_get_char(part, name, "replacement", NULL, replacement, err);
    if (code == ECH_OK && !ech_json_absent(json_object_get(part, "add_prefix_space")))
        code = ech_json_get_bool(part, name, "add_prefix_space", false, &space, err);
    if (code == ECH_OK)
        code = ech_json_get_str(part, name, "prepend_scheme", false, &scheme, err);
    if (code != ECH_OK)
        return code;
    *prefix = ECH_PREFIX_NEVER;
    if (strcmp(scheme, "always") == 0)
        *prefix = ECH_PREFIX_ALWAYS;
    else if (strcmp(scheme, "first") == 0)
        *prefix = ECH_PREFIX_FIRST;
    else if (strcmp(scheme, "never") != 0)
        return ech_fail(err, ECH_DATA, "%s: prepend_scheme \"%.60s\" is not known", name, scheme);
    if (!space)
        *prefix = ECH_PREFIX_NEVER;
    return ECH_OK;
}

static int read_bert(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err)
{
    (void)name;
    (void)part;
    int code = add_chars(t, ECH_CHAR_SPACE, ECH_CUT_REMOVED, err);
    return code == ECH_OK ? add_chars(t, ECH_CHAR_PUNCT, ECH_CUT_ISOLATED, err) : code;
}

static int read_byte_level(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err)
{
    bool prefix = true, regex = true;
    int code = ech_json_get_bool(part, name, "add_prefix_space", false, &prefix, err);
    if (code == ECH_OK)
        code = ech_json_get_bool(part, name, "use_regex", false, &regex, err);
    if (code == ECH_OK && prefix)
        code = add_string(t, (struct ech_cut_stage){.kind = ECH_CUT_PREFIX}, " ", err);
    if (code == ECH_OK && regex)
        code = add(t, (struct ech_cut_stage){.kind = ECH_CUT_SCAN, .scan = ech_scan_gpt2}, err);
    return code == ECH_OK ? add(t, (struct ech_cut_stage){.kind = ECH_CUT_LETTERS}, err) : code;
}

static int read_behavior(const json_t *part, const char *name, const char *otherwise,
                         enum ech_cut_behavior *out, struct ech_err *err)
{
    static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext",
                                        "Contiguous"};
    const char *text = otherwise;
    int code = ech_json_get_str(part, name, "behavior", otherwise == NULL, &text, err);
    for (int i = 0; code == ECH_OK && i < 5; i++)
        if (strcmp(names[i], text) == 0) {
            *out = (enum ech_cut_behavior)i;
            return ECH_OK;
        }
    return code == ECH_OK ? ech_fail(err, ECH_DATA, "%s: behavior \"%.60s\" is not known", name, text) : code;
}

/* A known regex that covers every text has a scanner; so has GPT-2's in ByteLevel. */
static bool scans(const struct ech_cut_stage *stage, const char *pattern, ech_scan_fn *scan)
{
    *scan = ech_scan_find(pattern);
    return *scan && (stage->invert ? stage->behavior == ECH_CUT_REMOVED || stage->behavior == ECH_CUT_ISOLATED
                                   : stage->behavior == ECH_CUT_ISOLATED);
}

static int read_split(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err)
{
    struct ech_cut_stage stage = {.kind = ECH_CUT_STRING};
    const char *string = "",
               *regex = json_string_value(json_object_get(json_object_get(part, "pattern"), "Regex"));
    int code = read_behavior(part, name, NULL, &stage.behavior, err);
    if (code == ECH_OK)
        code = ech_json_get_bool(part, name, "invert", false, &stage.invert, err);
    if (code == ECH_OK && regex && scans(&stage, regex, &stage.scan))
        return add(t, (struct ech_cut_stage){.kind = ECH_CUT_SCAN, .scan = stage.scan}, err);
    stage.scan = NULL;
    if (code == ECH_OK)
        code = ech_json_pattern(part, name, &string, &stage.regex, err);
    if (code == ECH_OK && !stage.regex && !*string) /* an empty string matches between all characters */
        code = ech_regex_create("", &stage.regex, err);
    if (code != ECH_OK)
        return code;
    if (!stage.regex)
        return add_string(t, stage, string, err);
    stage.kind = ECH_CUT_REGEX;
    return add(t, stage, err);
}

static int read_digits(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err)
{
    bool single = false;
    int code = ech_json_get_bool(part, name, "individual_digits", false, &single, err);
    return code == ECH_OK ? add_chars(t, ECH_CHAR_NUMBER, single ? ECH_CUT_ISOLATED : ECH_CUT_CONTIGUOUS, err)
                          : code;
}

static int read_punctuation(struct ech_tokenizer *t, const char *name, const json_t *part,
                            struct ech_err *err)
{
    enum ech_cut_behavior behavior = ECH_CUT_ISOLATED;
    int code = read_behavior(part, name, "Isolated", &behavior, err);
    return code == ECH_OK ? add_chars(t, ECH_CHAR_PUNCT, behavior, err) : code;
}

static int read_whitespace(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err)
{
    (void)name;
    (void)part;
    return add(t, (struct ech_cut_stage){.kind = ECH_CUT_RUNS}, err);
}

static int read_whitespace_split(struct ech_tokenizer *t, const char *name, const json_t *part,
                                 struct ech_err *err)
{
    (void)name;
    (void)part;
    return add_chars(t, ECH_CHAR_SPACE, ECH_CUT_REMOVED, err);
}

static int read_metaspace(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err)
{
    struct ech_cut_stage stage = {.kind = ECH_CUT_METASPACE, .split = true};
    const char *replacement = "";
    int code = ech_json_metaspace(part, name, &replacement, &stage.prefix, err);
    if (code == ECH_OK && !ech_json_absent(json_object_get(part, "split")))
        code = ech_json_get_bool(part, name, "split", false, &stage.split, err);
    return code == ECH_OK ? add_string(t, stage, replacement, err) : code;
}

static int read_delimiter(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err)
{
    const char *delimiter = "";
    int code = ech_json_get_char(part, name, "delimiter", NULL, &delimiter, err);
    return code == ECH_OK ? add_string(t, (struct ech_cut_stage){.kind = ECH_CUT_STRING}, delimiter, err)
                          : code;
}

static int read_length(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err)
{
    int64_t length = 5;
    int code = ech_json_get_int(part, name, "length", false, &length, err);
    if (code == ECH_OK && length < 1)
        code = ech_fail(err, ECH_DATA, "%s: FixedLength has length %lld", name, (long long)length);
    return code == ECH_OK
               ? add(t, (struct ech_cut_stage){.kind = ECH_CUT_LENGTH, .length = (size_t)length}, err)
               : code;
}

static const struct {
    const char *type;
    int (*read)(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err);
} kinds[] = {
    {"BertPreTokenizer", read_bert},
    {"ByteLevel", read_byte_level},
    {"Split", read_split},
    {"Digits", read_digits},
    {"Punctuation", read_punctuation},
    {"Whitespace", read_whitespace},
    {"WhitespaceSplit", read_whitespace_split},
    {"Metaspace", read_metaspace},
    {"CharDelimiterSplit", read_delimiter},
    {"FixedLength", read_length},
};

static int read_one(struct ech_tokenizer *t, const char *name, const json_t *part, int depth,
                    struct ech_err *err)
{
    const char *type = ech_json_type(part);
    if (strcmp(type, "Sequence") == 0 && depth < DEPTH_MOST) {
        const json_t *list = json_object_get(part, "pretokenizers"), *item;
        size_t i;
        int code = ECH_OK;
        if (!json_is_array(list))
            return ech_fail(err, ECH_DATA, "%s: the pre_tokenizer Sequence has no list \"pretokenizers\"",
                            name);
        json_array_foreach(list, i, item) if (code == ECH_OK) code = read_one(t, name, item, depth + 1, err);
        return code;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].type, type) == 0)
            return kinds[i].read(t, name, part, err);
    return ech_json_unknown(name, "pre_tokenizer", part, err);
}

int ech_json_cutter(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err)
{
    if (ech_json_absent(part))
        return ECH_OK;
    t->whole = strcmp(ech_json_type(part), "BertPreTokenizer") == 0;
    return read_one(t, name, part, 0, err);
}
