/* Rows as text: see text_row.h. */
#include "data/text_row.h"

#include "data/decimal.h"

#include <stdio.h>
#include <string.h>

void ech_text_put_string(struct ech_str *out, const char *text, size_t bytes)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    size_t start = 0;
    ech_str_addc(out, '"');
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        const char *short_form = c ? strchr(from, (char)c) : NULL;
        ech_str_add(out, text + start, i - start);
        start = i + 1;
        if (short_form) {
            char escape[2] = {'\\', to[short_form - from]};
            ech_str_add(out, escape, 2);
        } else
            ech_str_addf(out, "\\u%04x", c);
    }
    ech_str_add(out, text + start, bytes - start);
    ech_str_addc(out, '"');
}

static void put_value(struct ech_str *out, enum ech_dtype dtype, const unsigned char *p)
{
    char text[ECH_DECIMAL_MAX];
    int length;
    if (dtype == ECH_I64) {
        int64_t value;
        memcpy(&value, p, sizeof value);
        length = snprintf(text, sizeof text, "%lld", (long long)value);
    } else if (dtype == ECH_F64) {
        double value;
        memcpy(&value, p, sizeof value);
        length = ech_print_f64(value, text);
    } else if (dtype == ECH_F16) {
        uint16_t value;
        memcpy(&value, p, sizeof value);
        length = ech_print_f32(ech_f16_to_f32(value), text);
    } else {
        float value;
        memcpy(&value, p, sizeof value);
        length = ech_print_f32(value, text);
    }
    ech_str_add(out, text, (size_t)length);
}

static void put_numbers(struct ech_str *out, const struct ech_column *column, const unsigned char *cell,
                        size_t bytes, int64_t most)
{
    size_t size = ech_dtype_bytes(column->dtype);
    int64_t count = (int64_t)(bytes / size);
    if (column->dim == 1 && count == 1) {
        put_value(out, column->dtype, cell);
        return;
    }
    ech_str_addc(out, '[');
    for (int64_t i = 0; i < count && i < most; i++) {
        if (i > 0)
            ech_str_addc(out, ',');
        put_value(out, column->dtype, cell + (size_t)i * size);
    }
    if (count > most)
        ech_str_addf(out, ", ... %lld values", (long long)count);
    ech_str_addc(out, ']');
}

/* Line breaks stand only between the values of JSON: a blank does as well. */
static void put_one_line(struct ech_str *out, const void *cell, size_t bytes)
{
    size_t start = out->length;
    ech_str_add(out, cell, bytes);
    for (size_t i = start; i < out->length; i++)
        if (out->data[i] == '\n' || out->data[i] == '\r')
            out->data[i] = ' ';
}

void ech_text_put_json(struct ech_str *out, const struct ech_column *column, const void *cell, size_t bytes,
                       int64_t most)
{
    if (column->type == ECH_TEXT)
        ech_text_put_string(out, cell, bytes);
    else if (column->type == ECH_JSON && bytes == 0)
        ech_str_adds(out, "null");
    else if (column->type == ECH_JSON)
        put_one_line(out, cell, bytes);
    else
        put_numbers(out, column, cell, bytes, most);
}

void ech_text_put_plain(struct ech_str *out, const struct ech_column *column, const void *cell, size_t bytes)
{
    if (column->type == ECH_TEXT)
        ech_str_add(out, cell, bytes);
    else
        ech_text_put_json(out, column, cell, bytes, INT64_MAX);
}
