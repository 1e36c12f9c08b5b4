/* Typed values to text: see value.h. What is printed reads back to the same value. */
#include "config/value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const void *member(const struct ech_field *field, const void *base)
{
    return (const char *)base + field->offset;
}

bool ech_value_is_none(const struct ech_field *field, const void *base)
{
    const void *at = member(field, base);
    switch (field->type) {
    case ECH_F_STRING:
    case ECH_F_PATH:
        return *(char *const *)at == NULL;
    case ECH_F_LIST:
        return ((const struct ech_list *)at)->count == 0;
    case ECH_F_TIME:
        return !field->fallback && !(*(const double *)at > 0);
    case ECH_F_BYTES:
        return !field->fallback && *(const int64_t *)at == 0;
    default:
        return false;
    }
}

static bool is_plain(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    static const char inner[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-";
    return text[0] && (strchr(letters, text[0]) || text[0] == '_' || text[0] == '/') &&
           strspn(text, inner) == strlen(text) && strcmp(text, "null") != 0;
}

/* Code point of a valid sequence, and its length. */
static unsigned code_point(const unsigned char *p, size_t *length)
{
    *length = p[0] < 0x80 ? 1 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    unsigned c = *length == 1 ? p[0] : *length == 2 ? p[0] & 0x1Fu : *length == 3 ? p[0] & 0x0Fu : p[0] & 7u;
    for (size_t i = 1; i < *length; i++)
        c = c << 6 | (p[i] & 0x3Fu);
    return c;
}

/* Characters that YAML's reader refuses or folds. */
static bool needs_escape(unsigned c)
{
    return c < 0x20 || (c >= 0x7F && c <= 0xA0) || c == 0x2028 || c == 0x2029 || c == 0xFEFF || c == 0xFFFE ||
           c == 0xFFFF;
}

void ech_value_print_text(const char *text, struct ech_str *out)
{
    if (is_plain(text)) {
        ech_str_adds(out, text);
        return;
    }
    ech_str_addc(out, '"');
    size_t length;
    for (const unsigned char *p = (const unsigned char *)text; *p; p += length) {
        unsigned c = code_point(p, &length);
        if (c == '"' || c == '\\')
            ech_str_addf(out, "\\%c", (int)c);
        else if (needs_escape(c))
            ech_str_addf(out, "\\u%04X", c);
        else
            ech_str_add(out, p, length);
    }
    ech_str_addc(out, '"');
}

static void print_list(const struct ech_list *list, struct ech_str *out)
{
    ech_str_addc(out, '[');
    for (int i = 0; i < list->count; i++) {
        ech_str_adds(out, i ? ", " : "");
        ech_value_print_text(list->items[i], out);
    }
    ech_str_addc(out, ']');
}

/* The fewest decimals that give the number back (times have no exponents). */
static void print_number(double number, const char *unit, struct ech_str *out)
{
    char text[400];
    for (int decimals = 0; decimals <= 40; decimals++) {
        snprintf(text, sizeof text, "%.*f", decimals, number);
        if (!(fabs(strtod(text, NULL) - number) > 0))
            break;
    }
    ech_str_addf(out, "%s%s", text, unit);
}

static void print_bytes(int64_t bytes, struct ech_str *out)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    while (bytes && bytes % 1024 == 0 && unit + 1 < sizeof units / sizeof units[0]) {
        bytes /= 1024;
        unit++;
    }
    ech_str_addf(out, "%lld%s", (long long)bytes, units[unit]);
}

void ech_value_print(const struct ech_field *field, const void *base, struct ech_str *out)
{
    const void *at = member(field, base);
    if (ech_value_is_none(field, base)) {
        ech_str_adds(out, field->type == ECH_F_LIST ? "[]" : "null");
        return;
    }
    switch (field->type) {
    case ECH_F_STRING:
    case ECH_F_PATH:
        ech_value_print_text(*(char *const *)at, out);
        break;
    case ECH_F_LIST:
        print_list(at, out);
        break;
    case ECH_F_FLOAT:
    case ECH_F_TIME:
        print_number(*(const double *)at, field->type == ECH_F_TIME ? "s" : "", out);
        break;
    case ECH_F_BYTES:
        print_bytes(*(const int64_t *)at, out);
        break;
    case ECH_F_BOOL:
        ech_str_adds(out, *(const bool *)at ? "true" : "false");
        break;
    case ECH_F_CHOICE:
        ech_value_print_text(field->choices[*(const int *)at], out);
        break;
    default:
        if (field->type == ECH_F_AUTO && *(const int64_t *)at == 0)
            ech_str_adds(out, "auto");
        else
            ech_str_addf(out, "%lld", (long long)*(const int64_t *)at);
    }
}

void ech_value_print_json(const struct ech_field *field, const void *base, struct ech_str *out)
{
    const void *at = member(field, base);
    const struct ech_list *list = at;
    const char *text = NULL;
    if (field->type == ECH_F_LIST) {
        ech_str_addc(out, '[');
        for (int i = 0; i < list->count; i++) {
            ech_str_adds(out, i ? "," : "");
            ech_json_put_str(out, list->items[i], strlen(list->items[i]));
        }
        ech_str_addc(out, ']');
        return;
    }
    if (field->type == ECH_F_CHOICE)
        text = field->choices[*(const int *)at];
    else if (field->type == ECH_F_AUTO && *(const int64_t *)at == 0)
        text = "auto";
    else if (!ech_value_is_none(field, base) && (field->type == ECH_F_STRING || field->type == ECH_F_PATH))
        text = *(char *const *)at;
    if (text)
        ech_json_put_str(out, text, strlen(text));
    else if (field->type == ECH_F_BYTES && !ech_value_is_none(field, base))
        ech_str_addf(out, "%lld", (long long)*(const int64_t *)at);
    else if (field->type == ECH_F_TIME && !ech_value_is_none(field, base))
        print_number(*(const double *)at, "", out);
    else
        ech_value_print(field, base, out);
}
