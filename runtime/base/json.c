/* JSON: see json.h. */
#include "base/json.h"

#include "base/io.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

int ech_json_parse(const char *name, const char *text, size_t bytes, json_t **out, struct ech_err *err)
{
    json_error_t problem;
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &problem);
    if (!root)
        return ech_fail_at(err, ECH_DATA, name, problem.line, problem.column, "not valid JSON: %s",
                           problem.text);
    *out = root;
    return ECH_OK;
}

int ech_json_load(const char *path, size_t most, json_t **out, struct ech_err *err)
{
    char *text;
    size_t bytes;
    int code = ech_read_file(path, most, &text, &bytes, err);
    if (code != ECH_OK)
        return code;
    code = ech_json_parse(path, text, bytes, out, err);
    ech_free(text);
    return code;
}

static const char *type_name(const json_t *value)
{
    static const char *const names[] = {"an object", "an array", "a string", "an integer",
                                        "a number",  "true",     "false",    "null"};
    return names[json_typeof(value)];
}

/* The member, or NULL; *code tells whether its absence is an error. null counts as absent. */
static const json_t *member(const json_t *object, const char *where, const char *key, bool required,
                            int *code, struct ech_err *err)
{
    const json_t *value = json_object_get(object, key);
    *code = ECH_OK;
    if (value && !json_is_null(value))
        return value;
    if (required)
        *code = ech_fail(err, ECH_DATA, "%s: the key \"%s\" is missing", where, key);
    return NULL;
}

static int wrong(const json_t *value, const char *where, const char *key, const char *wanted,
                 struct ech_err *err)
{
    return ech_fail(err, ECH_DATA, "%s: \"%s\" is %s, %s was expected", where, key, type_name(value), wanted);
}

int ech_json_get_int(const json_t *object, const char *where, const char *key, bool required, int64_t *out,
                     struct ech_err *err)
{
    int code;
    const json_t *value = member(object, where, key, required, &code, err);
    if (!value)
        return code;
    if (!json_is_integer(value))
        return wrong(value, where, key, "an integer", err);
    *out = json_integer_value(value);
    return ECH_OK;
}

int ech_json_get_float(const json_t *object, const char *where, const char *key, bool required, double *out,
                       struct ech_err *err)
{
    int code;
    const json_t *value = member(object, where, key, required, &code, err);
    if (!value)
        return code;
    if (!json_is_number(value))
        return wrong(value, where, key, "a number", err);
    *out = json_number_value(value);
    return ECH_OK;
}

int ech_json_get_bool(const json_t *object, const char *where, const char *key, bool required, bool *out,
                      struct ech_err *err)
{
    int code;
    const json_t *value = member(object, where, key, required, &code, err);
    if (!value)
        return code;
    if (!json_is_boolean(value))
        return wrong(value, where, key, "true or false", err);
    *out = json_is_true(value);
    return ECH_OK;
}

int ech_json_get_str(const json_t *object, const char *where, const char *key, bool required,
                     const char **out, struct ech_err *err)
{
    int code;
    const json_t *value = member(object, where, key, required, &code, err);
    if (!value)
        return code;
    if (!json_is_string(value))
        return wrong(value, where, key, "a string", err);
    *out = json_string_value(value);
    return ECH_OK;
}

/* Valid UTF-8, with quotes, backslashes and control characters escaped. */
static void put_valid(struct ech_str *s, const char *text, size_t bytes)
{
    size_t start = 0;
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        ech_str_add(s, text + start, i - start);
        start = i + 1;
        if (c == '"' || c == '\\') {
            ech_str_addc(s, '\\');
            ech_str_addc(s, (char)c);
        } else if (c == '\n')
            ech_str_adds(s, "\\n");
        else if (c == '\t')
            ech_str_adds(s, "\\t");
        else
            ech_str_addf(s, "\\u%04x", c);
    }
    ech_str_add(s, text + start, bytes - start);
}

void ech_json_put_str(struct ech_str *s, const char *text, size_t bytes)
{
    ech_str_addc(s, '"');
    int64_t bad;
    while ((bad = ech_utf8_invalid_at(text, bytes)) >= 0) {
        put_valid(s, text, (size_t)bad);
        ech_str_adds(s, "\xEF\xBF\xBD");
        text += bad + 1;
        bytes -= (size_t)bad + 1;
    }
    put_valid(s, text, bytes);
    ech_str_addc(s, '"');
}

void ech_json_key(struct ech_str *s, const char *key)
{
    char last = s->length ? s->data[s->length - 1] : '\0';
    if (last == '\0' || last == '\n' || last == '[' || last == ':' || last == ',') /* ',': in an array */
        ech_str_addc(s, '{');
    else if (last != '{')
        ech_str_addc(s, ',');
    ech_json_put_str(s, key, strlen(key));
    ech_str_addc(s, ':');
}

void ech_json_add_int(struct ech_str *s, const char *key, int64_t value)
{
    ech_json_key(s, key);
    ech_str_addf(s, "%lld", (long long)value);
}

void ech_json_add_float(struct ech_str *s, const char *key, double value)
{
    ech_json_key(s, key);
    if (isfinite(value))
        ech_str_addf(s, "%.9g", value);
    else
        ech_str_adds(s, "null");
}

void ech_json_add_str(struct ech_str *s, const char *key, const char *text)
{
    ech_json_key(s, key);
    ech_json_put_str(s, text, strlen(text));
}

void ech_json_add_bool(struct ech_str *s, const char *key, bool value)
{
    ech_json_key(s, key);
    ech_str_adds(s, value ? "true" : "false");
}
