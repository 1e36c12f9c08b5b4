/* See cursor.h. */
#include "model/cursor.h"

int ech_cursor_take(struct ech_cursor *c, uint64_t bytes, const char *what, const unsigned char **out)
{
    if (bytes > c->bytes - c->at)
        return ech_fail(c->err, ECH_DATA,
                        "%s is truncated: %.100s at byte %zu takes %llu bytes, the file has %zu there",
                        c->path, what, c->at, (unsigned long long)bytes, c->bytes - c->at);
    *out = c->data + c->at;
    c->at += (size_t)bytes;
    return ECH_OK;
}

int ech_cursor_number(struct ech_cursor *c, int bytes, const char *what, uint64_t *out)
{
    const unsigned char *p = NULL;
    int code = ech_cursor_take(c, (uint64_t)bytes, what, &p);
    if (code == ECH_OK)
        *out = ech_little(p, bytes);
    return code;
}
