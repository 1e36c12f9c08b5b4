/* Templates: see template.h. */
#include "config/template.h"

#include "base/mem.h"
#include "base/str.h"

#include <ctype.h>
#include <string.h>

bool ech_column_word(const char *text, size_t bytes)
{
    if (bytes == 0 || bytes > 63 || !(isalpha((unsigned char)text[0]) || text[0] == '_'))
        return false;
    for (size_t i = 0; i < bytes; i++)
        if (!isalnum((unsigned char)text[i]) && !memchr("_.-", text[i], 3))
            return false;
    return true;
}

/* Append a part; takes nothing. Every part is at least one byte of the text, so `parts` is large enough. */
static int add_part(struct ech_template *t, const char *text, size_t bytes, bool column, struct ech_err *err)
{
    t->parts[t->count].text = ech_strndup(text, bytes, err);
    t->parts[t->count].column = column;
    return t->parts[t->count].text ? (t->count++, ECH_OK) : ECH_UNAVAILABLE;
}

static int flush(struct ech_template *t, struct ech_str *literal, struct ech_err *err)
{
    if (literal->length == 0 && !literal->failed)
        return ECH_OK;
    int code = ech_str_check(literal, err);
    if (code == ECH_OK)
        code = add_part(t, literal->data, literal->length, false, err);
    ech_str_clear(literal);
    return code;
}

/* "{name}" at p; *used bytes. */
static int take_column(struct ech_template *t, const char *text, const char *p, size_t *used,
                       struct ech_err *err)
{
    size_t length = strcspn(p + 1, "{}");
    if (p[1 + length] != '}')
        return ech_fail(err, ECH_CONFIG, "the { at character %d has no } (write {{ for a brace)",
                        (int)(p - text) + 1);
    if (!ech_column_word(p + 1, length))
        return ech_fail(err, ECH_CONFIG, "\"{%.*s}\" at character %d is not the name of a column",
                        (int)(length < 64 ? length : 64), p + 1, (int)(p - text) + 1);
    *used = length + 2;
    return add_part(t, p + 1, length, true, err);
}

static int take_one(struct ech_template *t, struct ech_str *literal, const char *text, const char *p,
                    size_t *used, struct ech_err *err)
{
    bool brace = *p == '{' || *p == '}';
    if (!brace || p[1] == p[0]) {
        ech_str_addc(literal, *p);
        *used = brace ? 2 : 1;
        return ECH_OK;
    }
    if (*p == '}')
        return ech_fail(err, ECH_CONFIG, "the } at character %d has no { (write }} for a brace)",
                        (int)(p - text) + 1);
    int code = flush(t, literal, err);
    return code == ECH_OK ? take_column(t, text, p, used, err) : code;
}

static bool names_a_column(const struct ech_template *t)
{
    for (int i = 0; i < t->count; i++)
        if (t->parts[i].column)
            return true;
    return false;
}

int ech_template_parse(const char *text, struct ech_template *out, struct ech_err *err)
{
    struct ech_template t = {0};
    struct ech_str literal;
    ech_str_init(&literal);
    t.parts = ech_calloc(strlen(text) + 1, sizeof *t.parts, err);
    int code = t.parts ? ECH_OK : ECH_UNAVAILABLE;
    size_t used = 0;
    for (const char *p = text; code == ECH_OK && *p; p += used)
        code = take_one(&t, &literal, text, p, &used, err);
    if (code == ECH_OK)
        code = flush(&t, &literal, err);
    if (code == ECH_OK && !names_a_column(&t))
        code = ech_fail(err, ECH_CONFIG, "it names no column: write one in braces, \"{text}\"");
    ech_str_fini(&literal);
    if (code != ECH_OK) {
        ech_template_fini(&t);
        return code;
    }
    *out = t;
    return ECH_OK;
}

void ech_template_fini(struct ech_template *template_)
{
    for (int i = 0; i < template_->count; i++)
        ech_free(template_->parts[i].text);
    ech_free(template_->parts);
    *template_ = (struct ech_template){0};
}
