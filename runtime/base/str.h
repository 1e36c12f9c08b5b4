/* A growing byte buffer, always NUL-terminated. The first failure sticks in `failed` (so a chain of appends
 * is checked once, at its end). */
#ifndef ECH_BASE_STR_H
#define ECH_BASE_STR_H

#include "base/err.h"

#include <stddef.h>

struct ech_str {
    char *data;
    size_t length, capacity;
    bool failed; /* out of memory: the content is not to be used */
};

void ech_str_init(struct ech_str *s);
void ech_str_fini(struct ech_str *s);
void ech_str_clear(struct ech_str *s); /* keeps the memory */
void ech_str_add(struct ech_str *s, const void *bytes, size_t count);
void ech_str_addc(struct ech_str *s, char c);
void ech_str_adds(struct ech_str *s, const char *text);
void ech_str_addf(struct ech_str *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* ECH_UNAVAILABLE if an append failed. */
int ech_str_check(const struct ech_str *s, struct ech_err *err);
/* The content; ownership moves to the caller (ech_free); the buffer is empty afterwards. NULL if it failed.
 */
char *ech_str_take(struct ech_str *s, struct ech_err *err);

/* Edit distance (insert, delete, replace, swap of neighbours), and the nearest of `names` (NULL-terminated)
 * to `word`, or NULL where none is within a third of its length. */
int ech_edit_distance(const char *a, const char *b);
const char *ech_nearest(const char *word, const char *const *names);

/* First byte of invalid UTF-8 in text, or -1 where all is valid (overlong, surrogates, > U+10FFFF refused).
 */
int64_t ech_utf8_invalid_at(const char *text, size_t bytes);

#endif
