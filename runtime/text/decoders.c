/* Decoder components: see decoders.h. */
#include "text/decoders.h"

#include "base/mem.h"
#include "base/str.h"
#include "text/bytes.h"
#include "text/unicode.h"

#include <string.h>

#define REPLACEMENT "\xEF\xBF\xBD"

/* Bytes of the broken sequence at the front: its longest part that some character begins with. */
static size_t broken(const unsigned char *s, size_t count)
{
    size_t want = s[0] >= 0xF0 && s[0] <= 0xF4  ? 4
                  : s[0] >= 0xE0 && s[0] < 0xF0 ? 3
                  : s[0] >= 0xC2 && s[0] < 0xE0 ? 2
                                                : 1;
    unsigned char low = s[0] == 0xE0 ? 0xA0 : s[0] == 0xF0 ? 0x90 : 0x80;
    unsigned char high = s[0] == 0xED ? 0x9F : s[0] == 0xF4 ? 0x8F : 0xBF;
    size_t length = 1;
    while (length < want && length < count && s[length] >= low && s[length] <= high) {
        length++;
        low = 0x80;
        high = 0xBF;
    }
    return length;
}

int ech_pieces_put_lossy(struct ech_pieces *out, const unsigned char *bytes, size_t count,
                         struct ech_err *err)
{
    int code = ECH_OK;
    while (code == ECH_OK && count) {
        int64_t bad = ech_utf8_invalid_at((const char *)bytes, count);
        size_t good = bad < 0 ? count : (size_t)bad;
        code = ech_pieces_put(out, bytes, good, err);
        bytes += good;
        count -= good;
        if (count == 0 || code != ECH_OK)
            break;
        code = ech_pieces_put(out, REPLACEMENT, 3, err);
        good = broken(bytes, count);
        bytes += good;
        count -= good;
    }
    return code;
}

/* The tokens' letters as bytes; a token with another character counts as it is written. */
static int byte_level(const void *data, const struct ech_pieces *in, struct ech_pieces *out,
                      struct ech_err *err)
{
    (void)data;
    unsigned char *bytes = ech_calloc(in->bytes + 1, 1, err);
    size_t made = 0;
    if (!bytes)
        return ECH_UNAVAILABLE;
    for (size_t i = 0; i < in->count; i++) {
        size_t length;
        const char *token = ech_pieces_get(in, i, &length);
        int64_t count = ech_bytes_of_letters((const unsigned char *)token, length, bytes + made);
        if (count < 0) {
            memcpy(bytes + made, token, length);
            count = (int64_t)length;
        }
        made += (size_t)count;
    }
    int code = ech_pieces_put_lossy(out, bytes, made, err);
    ech_free(bytes);
    return code == ECH_OK ? ech_pieces_end(out, err) : code;
}

struct ech_decode_step ech_decode_byte_level(void)
{
    return (struct ech_decode_step){.apply = byte_level};
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that "<0x4A>" stands for, or -1. A sign before one digit is a number to the reference, too. */
static int byte_token(const char *t, size_t bytes)
{
    if (bytes != 6 || memcmp(t, "<0x", 3) != 0 || t[5] != '>')
        return -1;
    int high = t[3] == '+' ? 0 : hex_digit(t[3]), low = hex_digit(t[4]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* Bytes that waited: a text if they are one, else a mark for each. */
static int flush_bytes(struct ech_pieces *out, const unsigned char *bytes, size_t count, struct ech_err *err)
{
    int code = ECH_OK;
    if (count == 0)
        return ECH_OK;
    if (ech_utf8_invalid_at((const char *)bytes, count) < 0) {
        code = ech_pieces_put(out, bytes, count, err);
        return code == ECH_OK ? ech_pieces_end(out, err) : code;
    }
    for (size_t i = 0; code == ECH_OK && i < count; i++) {
        code = ech_pieces_put(out, REPLACEMENT, 3, err);
        if (code == ECH_OK)
            code = ech_pieces_end(out, err);
    }
    return code;
}

static int byte_fallback(const void *data, const struct ech_pieces *in, struct ech_pieces *out,
                         struct ech_err *err)
{
    (void)data;
    unsigned char *waiting = ech_calloc(in->count + 1, 1, err);
    size_t count = 0;
    int code = waiting ? ECH_OK : ECH_UNAVAILABLE;
    for (size_t i = 0; code == ECH_OK && i < in->count; i++) {
        size_t length;
        const char *token = ech_pieces_get(in, i, &length);
        int byte = byte_token(token, length);
        if (byte >= 0) {
            waiting[count++] = (unsigned char)byte;
            continue;
        }
        code = flush_bytes(out, waiting, count, err);
        count = 0;
        if (code == ECH_OK)
            code = ech_pieces_put(out, token, length, err);
        if (code == ECH_OK)
            code = ech_pieces_end(out, err);
    }
    if (code == ECH_OK)
        code = flush_bytes(out, waiting, count, err);
    ech_free(waiting);
    return code;
}

struct ech_decode_step ech_decode_byte_fallback(void)
{
    return (struct ech_decode_step){.apply = byte_fallback};
}

static int fuse(const void *data, const struct ech_pieces *in, struct ech_pieces *out, struct ech_err *err)
{
    (void)data;
    int code = ech_pieces_put(out, in->text, in->bytes, err);
    return code == ECH_OK ? ech_pieces_end(out, err) : code;
}

struct ech_decode_step ech_decode_fuse(void)
{
    return (struct ech_decode_step){.apply = fuse};
}

static int put(void *to, const void *text, size_t bytes, struct ech_err *err)
{
    return ech_pieces_put(to, text, bytes, err);
}

static int replace(const void *data, const struct ech_pieces *in, struct ech_pieces *out, struct ech_err *err)
{
    const struct ech_replace_out to = {put, out, &out->regex, NULL};
    int code = ECH_OK;
    for (size_t i = 0; code == ECH_OK && i < in->count; i++) {
        size_t length;
        const char *token = ech_pieces_get(in, i, &length);
        code = ech_replace_run(data, (const unsigned char *)token, length, &to, err);
        if (code == ECH_OK)
            code = ech_pieces_end(out, err);
    }
    return code;
}

struct ech_decode_step ech_decode_replace(struct ech_replace *r)
{
    return (struct ech_decode_step){.apply = replace, .close = ech_replace_destroy, .data = r};
}
