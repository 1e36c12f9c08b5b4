/* Values to bytes: see convert.h. */
#include "data/convert.h"

#include "base/num.h"
#include "data/decimal.h"

#include <math.h>
#include <string.h>
#include <strings.h>

enum { SHOWN = 60, CELL_NUMBER_MAX = 512 };

static int wrong(const struct ech_column *c, const char *text, size_t bytes, const char *wanted,
                 struct ech_err *err)
{
    return ech_fail(err, ECH_DATA, "column \"%s\": %.*s%s is not %s", c->name,
                    (int)(bytes < SHOWN ? bytes : SHOWN), text, bytes > SHOWN ? "..." : "", wanted);
}

static const char *wanted_number(const struct ech_column *c)
{
    return c->type == ECH_INTS   ? "a 64-bit integer"
           : c->dtype == ECH_F64 ? "a number that fits f64"
           : c->dtype == ECH_F32 ? "a number that fits f32 (f64 is wider)"
                                 : "a number that fits f16 (f32 is wider)";
}

/* A number token of a scanner. */
static bool put_number(const struct ech_column *c, const char *text, size_t bytes, struct ech_str *out)
{
    if (c->type == ECH_INTS) {
        int64_t value;
        if (!ech_read_i64(text, bytes, &value))
            return false;
        ech_str_add(out, &value, sizeof value);
        return true;
    }
    bool infinite = text[bytes - 1] == 'y';
    if (c->dtype == ECH_F32) {
        float value = ech_read_f32(text, bytes);
        ech_str_add(out, &value, sizeof value);
        return infinite || !isinf(value);
    }
    double value = ech_read_f64(text, bytes);
    if (c->dtype == ECH_F64) {
        ech_str_add(out, &value, sizeof value);
        return infinite || !isinf(value);
    }
    uint16_t half = ech_f16_from_f64(value);
    ech_str_add(out, &half, sizeof half);
    return infinite || (half & 0x7FFF) != 0x7C00;
}

struct numbers {
    const struct ech_column *column;
    struct ech_str *out;
    const char *bad;
    size_t bad_bytes;
};

static bool each_number(void *context, const char *text, size_t bytes)
{
    struct numbers *n = context;
    if (put_number(n->column, text, bytes, n->out))
        return true;
    n->bad = text;
    n->bad_bytes = bytes;
    return false;
}

static int put_array(const struct ech_column *c, const struct ech_jvalue *v, struct ech_str *out,
                     struct ech_err *err)
{
    if (c->dim > 0 && v->count != c->dim)
        return ech_fail(err, ECH_DATA, "column \"%s\": %lld values, %lld were expected in each row", c->name,
                        (long long)v->count, (long long)c->dim);
    struct numbers n = {c, out, NULL, 0};
    if (!ech_json_numbers(v, each_number, &n) && n.bad)
        return wrong(c, n.bad, n.bad_bytes, wanted_number(c), err);
    return ECH_OK;
}

static int put_numeric(const struct ech_column *c, const struct ech_jvalue *v, struct ech_str *out,
                       struct ech_err *err)
{
    if (v->kind == ECH_J_INTS || v->kind == ECH_J_FLOATS)
        return put_array(c, v, out, err);
    if (c->dim > 1)
        return ech_fail(err, ECH_DATA, "column \"%s\": one value, %lld were expected in each row", c->name,
                        (long long)c->dim);
    if (v->kind == ECH_J_BOOL)
        return put_number(c, v->bytes == 4 ? "1" : "0", 1, out) ? ECH_OK : ECH_BUG;
    if ((v->kind == ECH_J_INT || v->kind == ECH_J_FLOAT) && put_number(c, v->text, v->bytes, out))
        return ECH_OK;
    return wrong(c, v->text, v->bytes, wanted_number(c), err);
}

static int put_text(const struct ech_column *c, const struct ech_jvalue *v, bool keep, struct ech_str *out,
                    struct ech_err *err)
{
    bool lone = false;
    if (v->kind == ECH_J_STRING && v->escaped)
        ech_json_unescape(v->text, v->bytes, out, &lone);
    else
        ech_str_add(out, v->text, v->bytes);
    if (lone && !keep)
        return ech_fail(
            err, ECH_DATA,
            "column \"%s\": the string holds half of a surrogate pair (\\ud800 to \\udfff), which is not "
            "UTF-8 (keep stores its bytes)",
            c->name);
    return ECH_OK;
}

/* JSON on one line: line breaks can only stand between its values. */
static int put_value(const struct ech_column *c, const struct ech_jvalue *v, struct ech_str *out,
                     struct ech_err *err)
{
    bool quoted = v->kind == ECH_J_STRING;
    size_t start = out->length;
    if (v->nonfinite)
        return wrong(c, v->text, v->bytes, "JSON: it has no NaN or Infinity", err);
    ech_str_add(out, v->text - quoted, v->bytes + (quoted ? 2 : 0));
    for (size_t i = start; i < out->length; i++)
        if (out->data[i] == '\n' || out->data[i] == '\r')
            out->data[i] = ' ';
    return ECH_OK;
}

static int put_nothing(const struct ech_column *c, struct ech_str *out, struct ech_err *err)
{
    if (c->type == ECH_JSON)
        ech_str_adds(out, "null");
    if (c->type == ECH_JSON || c->type == ECH_TEXT)
        return ECH_OK;
    return ech_fail(
        err, ECH_DATA,
        "column \"%s\" has no value here: a column of numbers needs one in each row (take it as json: "
        "%s:json)",
        c->name, c->name);
}

int ech_put_json(const struct ech_column *c, const struct ech_jvalue *v, bool keep, struct ech_str *out,
                 struct ech_err *err)
{
    if (!v || v->kind == ECH_J_NULL)
        return put_nothing(c, out, err);
    if (c->type == ECH_TEXT)
        return put_text(c, v, keep, out, err);
    if (c->type == ECH_JSON)
        return put_value(c, v, out, err);
    return put_numeric(c, v, out, err);
}

static void trim(const char **text, size_t *bytes)
{
    while (*bytes > 0 && strchr(" \t\r\n", **text) && **text) {
        ++*text;
        --*bytes;
    }
    while (*bytes > 0 && strchr(" \t\r\n", (*text)[*bytes - 1]) && (*text)[*bytes - 1])
        --*bytes;
}

/* Numbers that JSON does not know, in the form that the converters read. NULL: not one. */
static const char *loose_number(const char *text)
{
    int64_t whole;
    double value;
    const char *sign = text[0] == '-' ? "-" : "", *word = text + (text[0] == '-' || text[0] == '+');
    if (ech_parse_int(text, &whole) || ech_parse_float(text, &value))
        return text;
    if (strcasecmp(word, "nan") == 0)
        return "NaN";
    if (strcasecmp(word, "inf") == 0 || strcasecmp(word, "infinity") == 0)
        return *sign ? "-Infinity" : "Infinity";
    return NULL;
}

int ech_put_cell(const struct ech_column *c, const char *text, size_t bytes, struct ech_str *out,
                 struct ech_err *err)
{
    char copy[CELL_NUMBER_MAX];
    struct ech_jvalue value;
    size_t at;
    if (c->type == ECH_TEXT) {
        ech_str_add(out, text, bytes);
        return ECH_OK;
    }
    trim(&text, &bytes);
    if (bytes == 0)
        return put_nothing(c, out, err);
    if (c->type != ECH_JSON && text[0] != '[') {
        if (bytes >= sizeof copy || memchr(text, '\0', bytes))
            return wrong(c, text, bytes, wanted_number(c), err);
        memcpy(copy, text, bytes); /* ends in NUL: what follows the cell is no part of its number */
        copy[bytes] = '\0';
        text = copy;
        const char *number = loose_number(copy);
        if (number)
            return c->dim <= 1 && put_number(c, number, strlen(number), out)
                       ? ECH_OK
                       : wrong(c, text, bytes, c->dim > 1 ? "an array [...] of its values" : wanted_number(c),
                               err);
    }
    if (ech_json_value(text, bytes, &value, &at, NULL) != ECH_OK)
        return wrong(c, text, bytes, c->type == ECH_JSON ? "valid JSON" : wanted_number(c), err);
    return ech_put_json(c, &value, false, out, err);
}

void ech_cell_kind(const char *text, size_t bytes, struct ech_jvalue *value)
{
    size_t at;
    trim(&text, &bytes);
    if (bytes == 0 || text[0] != '[' || ech_json_value(text, bytes, value, &at, NULL) != ECH_OK)
        *value = (struct ech_jvalue){.kind = bytes ? ECH_J_FLOAT : ECH_J_NULL};
}
