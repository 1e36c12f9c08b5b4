/* One value: from a node of a document to the typed member, and back to text. */
#ifndef ECH_CONFIG_VALUE_H
#define ECH_CONFIG_VALUE_H

#include "config/doc.h"
#include "config/field.h"

#include "base/json.h"

/* Set the field of `base` from a node. On a wrong value: ECH_CONFIG, the member stays as it is, and `why`
 * says value found, value expected.
 * Errors  ECH_CONFIG, ECH_UNAVAILABLE (memory; through err). */
int ech_value_set(const struct ech_field *field, const struct ech_node *node, void *base, char *why,
                  size_t bytes, struct ech_err *err);
/* The default. */
int ech_value_set_fallback(const struct ech_field *field, void *base, struct ech_err *err);
void ech_value_fini(const struct ech_field *field, void *base);

/* Nothing is set (NULL string, empty list, time or bytes of 0 that mean none). */
bool ech_value_is_none(const struct ech_field *field, const void *base);
/* As YAML on one line that reads back to the same value; "null" where nothing is set. */
void ech_value_print(const struct ech_field *field, const void *base, struct ech_str *out);
/* As JSON: numbers, booleans, strings, arrays, null. Times are seconds, bytes are numbers. */
void ech_value_print_json(const struct ech_field *field, const void *base, struct ech_str *out);
/* A string as a YAML scalar, quoted where needed. */
void ech_value_print_text(const char *text, struct ech_str *out);

/* What the schema expects, in words: "an integer from 1 to 4096". */
const char *ech_value_expected(const struct ech_field *field, char *out, size_t bytes);

#endif
