/* One row of JSON Lines: an object on one line, cut into its members without building a tree. Pure: no I/O.
 * Values stay spans of the row; strings and numbers are converted only for the columns that are taken. */
#ifndef ECH_DATA_JSONL_H
#define ECH_DATA_JSONL_H

#include "base/err.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

enum ech_jkind {
    ECH_J_NULL,
    ECH_J_BOOL,
    ECH_J_INT,    /* fits int64 */
    ECH_J_FLOAT,  /* has a fraction or an exponent, or is too big for int64 (`big`) */
    ECH_J_STRING, /* text: between the quotes */
    ECH_J_INTS,   /* array of integers; also the empty array */
    ECH_J_FLOATS, /* array of numbers, one at least a FLOAT */
    ECH_J_OTHER   /* object, or any other array */
};
enum { ECH_J_DEPTH_MAX = 256 };

struct ech_jvalue {
    enum ech_jkind kind;
    bool escaped;   /* a string with a backslash */
    bool big;       /* an integer beyond int64 is in it */
    bool nonfinite; /* NaN or Infinity is in it: read for tensors, though JSON has no such word */
    int64_t count;  /* values of an array */
    const char *text;
    size_t bytes;
};

struct ech_jmember {
    const char *key; /* between the quotes */
    size_t key_bytes;
    bool key_escaped;
    struct ech_jvalue value;
};

struct ech_jrow {
    struct ech_jmember *members;
    size_t count, capacity;
};
void ech_jrow_fini(struct ech_jrow *row);

/* Cut a row (no line break at its end). Spans point into text; row is reused.
 * Errors  ECH_DATA what is wrong; *at: where, as an offset. Twice the same key: the caller's affair. */
int ech_jsonl_parse(const char *text, size_t bytes, struct ech_jrow *row, size_t *at, struct ech_err *err);
/* One value that fills text (blanks round it are allowed). */
int ech_json_value(const char *text, size_t bytes, struct ech_jvalue *value, size_t *at, struct ech_err *err);

/* Append the string that a span between quotes stands for. An escaped half of a surrogate pair becomes its
 * three bytes (not UTF-8); *lone (may be NULL) is set then. */
void ech_json_unescape(const char *text, size_t bytes, struct ech_str *out, bool *lone);
/* Calls `each` for every number of an array span (INTS or FLOATS), in order, until it returns false. */
bool ech_json_numbers(const struct ech_jvalue *array,
                      bool (*each)(void *context, const char *text, size_t bytes), void *context);

#endif
