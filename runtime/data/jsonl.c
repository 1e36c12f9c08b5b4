/* JSON Lines: see jsonl.h. A cursor over the row; each function leaves it behind what it has read, or sets
 * `problem` and returns false. */
#include "data/jsonl.h"

#include "base/mem.h"
#include "data/decimal.h"

#include <string.h>

struct cursor {
    const char *p, *end;
    const char *problem; /* what is wrong at p */
};

static bool refuse(struct cursor *c, const char *problem)
{
    c->problem = problem;
    return false;
}

static void skip_blanks(struct cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\r' || *c->p == '\n'))
        c->p++;
}

static bool at_char(const struct cursor *c, char wanted)
{
    return c->p < c->end && *c->p == wanted;
}

static bool is_digit(const struct cursor *c)
{
    return c->p < c->end && *c->p >= '0' && *c->p <= '9';
}

static int hex_digit(char ch)
{
    return ch >= '0' && ch <= '9'   ? ch - '0'
           : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10
           : ch >= 'A' && ch <= 'F' ? ch - 'A' + 10
                                    : -1;
}

static bool scan_escape(struct cursor *c)
{
    c->p++;
    if (c->p == c->end)
        return refuse(c, "the string does not end");
    if (*c->p != 'u') {
        if (!strchr("\"\\/bfnrt", *c->p) || !*c->p)
            return refuse(c, "no such escape in a string");
        c->p++;
        return true;
    }
    c->p++;
    for (int i = 0; i < 4; i++, c->p++)
        if (c->p == c->end || hex_digit(*c->p) < 0)
            return refuse(c, "\\u needs four hexadecimal digits");
    return true;
}

/* Behind the opening quote up to behind the closing one. */
static bool scan_string(struct cursor *c, const char **text, size_t *bytes, bool *escaped)
{
    const char *start = c->p;
    *escaped = false;
    for (;;) {
        while (c->p < c->end && *c->p != '"' && *c->p != '\\' && (unsigned char)*c->p >= 0x20)
            c->p++;
        if (c->p == c->end)
            return refuse(c, "the string does not end");
        if (*c->p == '"')
            break;
        if (*c->p != '\\')
            return refuse(c, "a control character in a string must be written as an escape");
        *escaped = true;
        if (!scan_escape(c))
            return false;
    }
    *text = start;
    *bytes = (size_t)(c->p - start);
    c->p++;
    return true;
}

static bool take_word(struct cursor *c, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(c->end - c->p) < length || memcmp(c->p, word, length) != 0)
        return false;
    c->p += length;
    return true;
}

static bool scan_number(struct cursor *c, struct ech_jvalue *v)
{
    const char *start = c->p;
    bool whole = true;
    c->p += *c->p == '-';
    if (take_word(c, "Infinity") || (start == c->p && take_word(c, "NaN"))) {
        v->nonfinite = true;
        v->kind = ECH_J_FLOAT;
        return true;
    }
    if (!is_digit(c))
        return refuse(c, "a digit was expected");
    if (*c->p == '0' && c->p++ && is_digit(c))
        return refuse(c, "a number may not begin with 0");
    while (is_digit(c))
        c->p++;
    if (at_char(c, '.')) {
        whole = false;
        c->p++;
        if (!is_digit(c))
            return refuse(c, "a digit was expected behind the point");
        while (is_digit(c))
            c->p++;
    }
    if (at_char(c, 'e') || at_char(c, 'E')) {
        whole = false;
        c->p++;
        if (at_char(c, '+') || at_char(c, '-'))
            c->p++;
        if (!is_digit(c))
            return refuse(c, "a digit was expected in the exponent");
        while (is_digit(c))
            c->p++;
    }
    int64_t ignored;
    bool fits = whole && ech_read_i64(start, (size_t)(c->p - start), &ignored);
    v->kind = fits ? ECH_J_INT : ECH_J_FLOAT;
    v->big |= whole && !fits;
    return true;
}

static bool scan_value(struct cursor *c, struct ech_jvalue *v, int depth);

static bool scan_array(struct cursor *c, struct ech_jvalue *v, int depth)
{
    bool numbers = true, whole = true;
    c->p++;
    skip_blanks(c);
    while (!at_char(c, ']')) {
        struct ech_jvalue item;
        if (v->count > 0) {
            if (!at_char(c, ','))
                return refuse(c, "',' or ']' was expected");
            c->p++;
        }
        if (!scan_value(c, &item, depth + 1))
            return false;
        numbers &= item.kind == ECH_J_INT || item.kind == ECH_J_FLOAT;
        whole &= item.kind == ECH_J_INT;
        v->big |= item.big;
        v->nonfinite |= item.nonfinite;
        v->count++;
        skip_blanks(c);
    }
    c->p++;
    v->kind = !numbers ? ECH_J_OTHER : whole ? ECH_J_INTS : ECH_J_FLOATS;
    return true;
}

/* The next `"key": value` of an object. */
static bool scan_member(struct cursor *c, struct ech_jmember *m, int depth)
{
    skip_blanks(c);
    if (!at_char(c, '"'))
        return refuse(c, "a key in quotes was expected");
    c->p++;
    if (!scan_string(c, &m->key, &m->key_bytes, &m->key_escaped))
        return false;
    skip_blanks(c);
    if (!at_char(c, ':'))
        return refuse(c, "':' was expected behind the key");
    c->p++;
    return scan_value(c, &m->value, depth);
}

static bool scan_object(struct cursor *c, struct ech_jvalue *v, int depth)
{
    c->p++;
    skip_blanks(c);
    for (bool first = true; !at_char(c, '}'); first = false) {
        struct ech_jmember member;
        if (!first) {
            if (!at_char(c, ','))
                return refuse(c, "',' or '}' was expected");
            c->p++;
        }
        if (!scan_member(c, &member, depth + 1))
            return false;
        v->nonfinite |= member.value.nonfinite;
        skip_blanks(c);
    }
    c->p++;
    v->kind = ECH_J_OTHER;
    return true;
}

static bool scan_word(struct cursor *c, struct ech_jvalue *v)
{
    if (take_word(c, "true") || take_word(c, "false"))
        v->kind = ECH_J_BOOL;
    else if (take_word(c, "null"))
        v->kind = ECH_J_NULL;
    else
        return refuse(c, "a value was expected (object, array, string, number, true, false or null)");
    return true;
}

static bool scan_value(struct cursor *c, struct ech_jvalue *v, int depth)
{
    *v = (struct ech_jvalue){0};
    if (depth > ECH_J_DEPTH_MAX)
        return refuse(c, "the value is nested deeper than 256 levels");
    skip_blanks(c);
    v->text = c->p;
    bool good;
    if (c->p == c->end)
        return refuse(c, "the row ends where a value was expected");
    if (*c->p == '"') {
        c->p++;
        v->kind = ECH_J_STRING;
        return scan_string(c, &v->text, &v->bytes, &v->escaped);
    }
    if (*c->p == '[')
        good = scan_array(c, v, depth);
    else if (*c->p == '{')
        good = scan_object(c, v, depth);
    else if (*c->p == '-' || *c->p == 'N' || *c->p == 'I' || is_digit(c))
        good = scan_number(c, v);
    else
        good = scan_word(c, v);
    v->bytes = (size_t)(c->p - v->text);
    return good;
}

static int report(const struct cursor *c, const char *text, size_t *at, struct ech_err *err)
{
    *at = (size_t)(c->p - text);
    return ech_fail(err, ECH_DATA, "not valid JSON: %s", c->problem);
}

static int add_member(struct ech_jrow *row, struct ech_jmember **out, struct ech_err *err)
{
    int code = ech_grow((void **)&row->members, &row->capacity, row->count + 1, sizeof row->members[0], err);
    if (code == ECH_OK)
        *out = &row->members[row->count++];
    return code;
}

int ech_jsonl_parse(const char *text, size_t bytes, struct ech_jrow *row, size_t *at, struct ech_err *err)
{
    struct cursor c = {text, text + bytes, NULL};
    row->count = 0;
    skip_blanks(&c);
    if (!at_char(&c, '{')) {
        *at = (size_t)(c.p - text);
        return ech_fail(err, ECH_DATA, "a JSON object was expected: each line holds one, from { to }%s",
                        at_char(&c, '[') ? " (a JSON array is not JSON Lines: write one element a line)"
                                         : "");
    }
    c.p++;
    skip_blanks(&c);
    while (!at_char(&c, '}')) {
        struct ech_jmember *member;
        if (row->count > 0) {
            if (!at_char(&c, ',')) {
                c.problem = "',' or '}' was expected";
                return report(&c, text, at, err);
            }
            c.p++;
        }
        int code = add_member(row, &member, err);
        if (code != ECH_OK)
            return code;
        if (!scan_member(&c, member, 1))
            return report(&c, text, at, err);
        skip_blanks(&c);
    }
    c.p++;
    skip_blanks(&c);
    if (c.p != c.end) {
        c.problem = "the line goes on behind its object";
        return report(&c, text, at, err);
    }
    return ECH_OK;
}

int ech_json_value(const char *text, size_t bytes, struct ech_jvalue *value, size_t *at, struct ech_err *err)
{
    struct cursor c = {text, text + bytes, NULL};
    if (!scan_value(&c, value, 0))
        return report(&c, text, at, err);
    skip_blanks(&c);
    if (c.p != c.end) {
        c.problem = "something follows the value";
        return report(&c, text, at, err);
    }
    return ECH_OK;
}

void ech_jrow_fini(struct ech_jrow *row)
{
    ech_free(row->members);
    *row = (struct ech_jrow){0};
}

static unsigned hex4(const char *p)
{
    return (unsigned)(hex_digit(p[0]) << 12 | hex_digit(p[1]) << 8 | hex_digit(p[2]) << 4 | hex_digit(p[3]));
}

static void put_code_point(struct ech_str *out, unsigned cp)
{
    char b[4];
    size_t n;
    if (cp < 0x80) {
        b[0] = (char)cp;
        n = 1;
    } else if (cp < 0x800) {
        b[0] = (char)(0xC0 | cp >> 6);
        n = 2;
    } else if (cp < 0x10000) {
        b[0] = (char)(0xE0 | cp >> 12);
        n = 3;
    } else {
        b[0] = (char)(0xF0 | cp >> 18);
        n = 4;
    }
    for (size_t i = 1; i < n; i++)
        b[i] = (char)(0x80 | ((cp >> (6 * (n - 1 - i))) & 0x3F));
    ech_str_add(out, b, n);
}

/* At the 'u' of an escape; returns the character behind it. */
static const char *unescape_u(const char *p, const char *end, struct ech_str *out, bool *lone)
{
    unsigned cp = hex4(p + 1);
    p += 5;
    if (cp >= 0xD800 && cp < 0xDC00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
        unsigned low = hex4(p + 2);
        if (low >= 0xDC00 && low < 0xE000) {
            cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
            p += 6;
        }
    }
    if (cp >= 0xD800 && cp < 0xE000 && lone)
        *lone = true;
    put_code_point(out, cp);
    return p;
}

void ech_json_unescape(const char *text, size_t bytes, struct ech_str *out, bool *lone)
{
    static const char names[] = "bfnrt", values[] = "\b\f\n\r\t";
    const char *p = text, *end = text + bytes;
    while (p < end) {
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        ech_str_add(out, p, (size_t)((slash ? slash : end) - p));
        if (!slash)
            return;
        p = slash + 1;
        if (*p == 'u') {
            p = unescape_u(p, end, out, lone);
            continue;
        }
        const char *name = strchr(names, *p);
        ech_str_addc(out, name ? values[name - names] : *p);
        p++;
    }
}

bool ech_json_numbers(const struct ech_jvalue *array,
                      bool (*each)(void *context, const char *text, size_t bytes), void *context)
{
    const char *p = array->text + 1, *end = array->text + array->bytes;
    for (int64_t i = 0; i < array->count; i++) {
        p += strspn(p, " \t\r\n,");
        size_t length = strcspn(p, " \t\r\n,]");
        if (p + length >= end || !each(context, p, length))
            return false;
        p += length;
    }
    return true;
}
