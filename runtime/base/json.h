/* JSON: jansson with our errors and limits for reading; a small writer over ech_str for events and reports.
 */
#ifndef ECH_BASE_JSON_H
#define ECH_BASE_JSON_H

#include "base/err.h"
#include "base/str.h"

#include <jansson.h>

/* Parse a file or a text; errors carry file:line:column. Duplicate keys are refused. Owner: caller,
 * json_decref. `most`: largest size of the file in bytes. */
int ech_json_load(const char *path, size_t most, json_t **out, struct ech_err *err);
int ech_json_parse(const char *name, const char *text, size_t bytes, json_t **out, struct ech_err *err);

/* Members of an object with their type checked: a missing optional key leaves *out as it is; a wrong type is
 * ECH_DATA with `where` and the key. */
int ech_json_get_int(const json_t *object, const char *where, const char *key, bool required, int64_t *out,
                     struct ech_err *err);
int ech_json_get_float(const json_t *object, const char *where, const char *key, bool required, double *out,
                       struct ech_err *err);
int ech_json_get_bool(const json_t *object, const char *where, const char *key, bool required, bool *out,
                      struct ech_err *err);
/* Borrowed from the object. */
int ech_json_get_str(const json_t *object, const char *where, const char *key, bool required,
                     const char **out, struct ech_err *err);

/* Writing: append one value to a buffer, strings escaped (invalid UTF-8 becomes U+FFFD). */
void ech_json_put_str(struct ech_str *s, const char *text, size_t bytes);
/* Start or extend an object: writes "{" or "," as needed, then "key": . Close with ech_str_addc(s, '}'). */
void ech_json_key(struct ech_str *s, const char *key);
void ech_json_add_int(struct ech_str *s, const char *key, int64_t value);
void ech_json_add_float(struct ech_str *s, const char *key, double value); /* nan, inf: null */
void ech_json_add_str(struct ech_str *s, const char *key, const char *text);
void ech_json_add_bool(struct ech_str *s, const char *key, bool value);

#endif
