/* Rows of a dataset as text: what export writes, and head shows. Pure. Everything reads back as the same
 * bytes (import with the same column types), text that is not UTF-8 included: its bytes are passed on. */
#ifndef ECH_DATA_TEXT_ROW_H
#define ECH_DATA_TEXT_ROW_H

#include "base/str.h"
#include "data/column.h"

/* A JSON string: quotes, backslashes and control characters escaped, all other bytes as they are. */
void ech_text_put_string(struct ech_str *out, const char *text, size_t bytes);
/* One cell as JSON: a string, the value of a json column on one line, a number, or an array of numbers
 * (dim other than 1). `most`: values shown of an array, then "..." (INT64_MAX: all, which is valid JSON). */
void ech_text_put_json(struct ech_str *out, const struct ech_column *column, const void *cell, size_t bytes,
                       int64_t most);
/* One cell as the content of a CSV field, without quotes: text as it is, otherwise as JSON. */
void ech_text_put_plain(struct ech_str *out, const struct ech_column *column, const void *cell, size_t bytes);

#endif
