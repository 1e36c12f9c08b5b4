/* A place in the bytes of a mapped file that moves on as they are taken; nothing beyond the end is read. */
#ifndef ECH_MODEL_CURSOR_H
#define ECH_MODEL_CURSOR_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct ech_cursor {
    const char *path; /* stands in messages */
    const unsigned char *data;
    size_t bytes, at;
    struct ech_err *err;
};

/* *out: the next `bytes` bytes; `what` they are stands in the message. Errors  ECH_DATA: the file ends
 * before. */
int ech_cursor_take(struct ech_cursor *cursor, uint64_t bytes, const char *what, const unsigned char **out);
/* The same as a number of `bytes` bytes, 1 to 8. */
int ech_cursor_number(struct ech_cursor *cursor, int bytes, const char *what, uint64_t *out);

/* `bytes` bytes, the lowest first, as a number. */
static inline uint64_t ech_little(const unsigned char *at, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; i--)
        value = value << 8 | at[i];
    return value;
}

#endif
