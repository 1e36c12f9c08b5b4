/* One value of a source file as the bytes of a column's row. Pure. Both passes of an import convert, so that
 * a value that does not fit is found before anything is written. */
#ifndef ECH_DATA_CONVERT_H
#define ECH_DATA_CONVERT_H

#include "data/column.h"
#include "data/jsonl.h"

/* Append a JSON value. NULL, or null: empty text, JSON null, an error for numbers.
 * text     strings; anything else as its JSON text
 * json     the value as it is written
 * ints     an integer, true/false as 1/0, or an array of dim of them (dim 0: any number)
 * tensor   a number or an array of dim of them; NaN and Infinity are taken
 * keep     an escaped half of a surrogate pair is stored as it is; otherwise an error
 * Errors  ECH_DATA with the column and the value. Whether `out` grew: ech_str_check. */
int ech_put_json(const struct ech_column *column, const struct ech_jvalue *value, bool keep,
                 struct ech_str *out, struct ech_err *err);
/* Append a cell of CSV or a line (unquoted): text as it is; otherwise read as a JSON value, blanks round it
 * allowed; numbers also as "007", "+1", ".5", "nan", "inf". */
int ech_put_cell(const struct ech_column *column, const char *text, size_t bytes, struct ech_str *out,
                 struct ech_err *err);
/* What kind of value a cell of a numeric column holds. */
void ech_cell_kind(const char *text, size_t bytes, struct ech_jvalue *value);

#endif
