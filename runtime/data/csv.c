/* CSV: see csv.h. */
#include "data/csv.h"

#include "base/mem.h"

#include <string.h>

void ech_csv_row_fini(struct ech_csv_row *row)
{
    ech_free(row->fields);
    *row = (struct ech_csv_row){0};
}

/* From behind the opening quote; returns the closing one, or NULL. */
static const char *scan_quoted(const char *p, const char *end, bool *doubled)
{
    while ((p = memchr(p, '"', (size_t)(end - p)))) {
        if (p + 1 == end || p[1] != '"')
            return p;
        *doubled = true;
        p += 2;
    }
    return NULL;
}

static int fail(const char *text, const char *p, size_t *at, const char *what, struct ech_err *err)
{
    *at = (size_t)(p - text);
    return ech_fail(err, ECH_DATA, "%s", what);
}

/* From p to the delimiter or the end. */
static int scan_plain(const char *text, const char **p, const char *end, char delimiter, size_t *at,
                      struct ech_err *err)
{
    const char *q = *p;
    for (; q < end && *q != delimiter; q++) {
        if (*q == '"')
            return fail(text, q, at,
                        "a quote inside a field that does not begin with one: put the whole field in quotes "
                        "and double the quotes in it",
                        err);
        if (*q == '\r' || *q == '\n')
            return fail(
                text, q, at,
                "a carriage return inside an unquoted field: rows end in LF or CRLF, other line breaks "
                "need quotes",
                err);
    }
    *p = q;
    return ECH_OK;
}

int ech_csv_parse(const char *text, size_t bytes, char delimiter, struct ech_csv_row *row, size_t *at,
                  struct ech_err *err)
{
    const char *p = text, *end = text + bytes;
    row->count = 0;
    for (;;) {
        struct ech_csv_field field = {p, 0, false};
        int code = ech_grow((void **)&row->fields, &row->capacity, row->count + 1, sizeof field, err);
        if (code != ECH_OK)
            return code;
        if (p < end && *p == '"') {
            const char *open = p++, *close = scan_quoted(p, end, &field.doubled);
            if (!close)
                return fail(text, open, at, "the quote that opens here is never closed", err);
            field.text = p;
            field.bytes = (size_t)(close - p);
            p = close + 1;
            if (p < end && *p != delimiter)
                return fail(text, p, at, "a delimiter was expected behind the closing quote", err);
        } else {
            code = scan_plain(text, &p, end, delimiter, at, err);
            if (code != ECH_OK)
                return code;
            field.bytes = (size_t)(p - field.text);
        }
        row->fields[row->count++] = field;
        if (p == end)
            return ECH_OK;
        p++;
    }
}

void ech_csv_unquote(const struct ech_csv_field *field, struct ech_str *out)
{
    const char *p = field->text, *end = p + field->bytes;
    while (field->doubled && p < end) {
        const char *quote = memchr(p, '"', (size_t)(end - p));
        if (!quote)
            break;
        ech_str_add(out, p, (size_t)(quote + 1 - p));
        p = quote + 2;
    }
    ech_str_add(out, p, (size_t)(end - p));
}

void ech_csv_put(struct ech_str *out, const char *text, size_t bytes, char delimiter, bool lone)
{
    bool quote = lone && bytes == 0;
    for (size_t i = 0; i < bytes && !quote; i++)
        quote = text[i] == delimiter || text[i] == '"' || text[i] == '\r' || text[i] == '\n';
    if (!quote) {
        ech_str_add(out, text, bytes);
        return;
    }
    const char *p = text, *end = text + bytes, *found;
    ech_str_addc(out, '"');
    while (p < end && (found = memchr(p, '"', (size_t)(end - p)))) {
        ech_str_add(out, p, (size_t)(found + 1 - p));
        ech_str_addc(out, '"');
        p = found + 1;
    }
    ech_str_add(out, p, (size_t)(end - p));
    ech_str_addc(out, '"');
}
