/* One row of CSV (RFC 4180): fields between delimiters, quoted where they hold a delimiter, a quote or a line
 * break, quotes doubled. Pure: no I/O.
 *
 * Stricter than many readers on purpose: a quote stands only at the ends of a field or doubled inside one.
 * Then "inside quotes" is the parity of the quotes before a byte, so a file can be cut anywhere and read by
 * many ranks with one result. */
#ifndef ECH_DATA_CSV_H
#define ECH_DATA_CSV_H

#include "base/err.h"
#include "base/str.h"

#include <stddef.h>

struct ech_csv_field {
    const char *text; /* without its quotes */
    size_t bytes;
    bool doubled; /* holds "" for " */
};

struct ech_csv_row {
    struct ech_csv_field *fields;
    size_t count, capacity;
};
void ech_csv_row_fini(struct ech_csv_row *row);

/* Cut a row (its line break already taken off). Fields point into text; row is reused.
 * Errors  ECH_DATA what is wrong; *at: where, as an offset (of the opening quote where one is not closed). */
int ech_csv_parse(const char *text, size_t bytes, char delimiter, struct ech_csv_row *row, size_t *at,
                  struct ech_err *err);
/* Append what a field stands for. */
void ech_csv_unquote(const struct ech_csv_field *field, struct ech_str *out);
/* Append a field, quoted where it must be (`lone`: the only field of its row, where nothing would be a blank
 * line). */
void ech_csv_put(struct ech_str *out, const char *text, size_t bytes, char delimiter, bool lone);

#endif
