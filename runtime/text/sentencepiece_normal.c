/* sentencepiece's normaliser: see sentencepiece_normal.h. */
#include "text/sentencepiece_normal.h"

#include "base/mem.h"
#include "text/unicode.h"

#include <string.h>

/* MOST: what one byte of input becomes at most where no rule changes it (a space, a broken byte). */
enum { MOST = 3 };

static const unsigned char SPACE[] = "\xE2\x96\x81", BROKEN[] = "\xEF\xBF\xBD";

/* What stands at the front of the text: `to` is what becomes of its first `from` bytes. */
struct front {
    const unsigned char *to;
    size_t to_bytes, from;
};

void ech_sp_normalizer_fini(struct ech_sp_normalizer *n)
{
    ech_charsmap_fini(&n->map);
}

static bool trails(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

size_t ech_sp_char(const unsigned char *s, size_t bytes, bool *valid)
{
    *valid = true;
    if (s[0] < 0x80)
        return 1;
    size_t length = s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    bool good = s[0] >= 0xC2 && s[0] < 0xF5 && bytes >= length;
    for (size_t i = 1; good && i < length; i++)
        good = trails(s[i]);
    if (good && length > 2) {
        const unsigned char *at = s;
        int32_t c = ech_char_next(&at);
        good = length == 3 ? c >= 0x800 && (c < 0xD800 || c > 0xDFFF) : c >= 0x10000 && c <= 0x10FFFF;
    }
    *valid = good;
    return good ? length : 1;
}

static struct front front_of(const struct ech_sp_normalizer *n, const unsigned char *text, size_t bytes)
{
    struct front f = {.to = text};
    int32_t value;
    bool valid;
    if (n->user && n->user->first[text[0]]) {
        f.from = f.to_bytes = ech_sp_trie_longest(n->user, text, bytes, &value);
        if (f.from > 0)
            return f;
    }
    f.from = ech_charsmap_longest(&n->map, text, bytes, &f.to, &f.to_bytes);
    if (f.from > 0)
        return f;
    f.from = f.to_bytes = ech_sp_char(text, bytes, &valid);
    if (!valid) {
        f.to = BROKEN;
        f.to_bytes = 3;
    }
    return f;
}

/* The bytes of `to`; there is room for three times as many. */
static void put(const struct ech_sp_normalizer *n, struct ech_normal *out, const unsigned char *to,
                size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (to[i] == ' ' && n->escape) {
            memcpy(out->text + out->bytes, SPACE, 3);
            out->bytes += 3;
        } else
            out->text[out->bytes++] = to[i];
}

static size_t skip_leading(const struct ech_sp_normalizer *n, const unsigned char *text, size_t bytes)
{
    size_t at = 0;
    while (at < bytes) {
        struct front f = front_of(n, text + at, bytes - at);
        if (f.to_bytes != 1 || f.to[0] != ' ')
            break;
        at += f.from;
    }
    return at;
}

static void trim_trailing(const struct ech_sp_normalizer *n, struct ech_normal *out)
{
    const unsigned char *space = n->escape ? SPACE : (const unsigned char *)" ";
    size_t bytes = n->escape ? 3 : 1;
    while (out->bytes >= bytes && memcmp(out->text + out->bytes - bytes, space, bytes) == 0)
        out->bytes -= bytes;
}

/* ASCII letters and the like that no rule or symbol can touch, copied as they are; how many. */
static size_t copy_plain(const struct ech_sp_normalizer *n, const unsigned char *text, size_t bytes,
                         struct ech_normal *out)
{
    const bool *plain = n->map.plain;
    size_t i = 0;
    unsigned char *to = out->text + out->bytes;
    while (i < bytes && plain[text[i]] && text[i] != ' ' && !(n->user && n->user->first[text[i]])) {
        to[i] = text[i];
        i++;
    }
    if (i > 0 && i < bytes && text[i] >= 128)
        i--; /* a mark may follow */
    out->bytes += i;
    return i;
}

/* There is room for MOST bytes for each byte that is left, and for one more, at each turn. */
static int put_all(const struct ech_sp_normalizer *n, const unsigned char *text, size_t bytes,
                   struct ech_normal *out, struct ech_err *err)
{
    bool after_space = n->remove_extra;
    int code = ECH_OK;
    for (size_t at = 0; code == ECH_OK && at < bytes;) {
        size_t run = copy_plain(n, text + at, bytes - at, out);
        at += run;
        if (run > 0)
            after_space = false;
        if (at >= bytes)
            break;
        struct front f = front_of(n, text + at, bytes - at);
        at += f.from;
        while (after_space && f.to_bytes > 0 && f.to[0] == ' ') {
            f.to++;
            f.to_bytes--;
        }
        if (f.to_bytes == 0)
            continue;
        if (f.to_bytes > f.from)
            code = ech_normal_reserve(out, (f.to_bytes + bytes - at + 1) * MOST, err);
        if (code == ECH_OK)
            put(n, out, f.to, f.to_bytes);
        after_space = n->remove_extra && f.to[f.to_bytes - 1] == ' ';
    }
    return code;
}

int ech_sp_normalize(const struct ech_sp_normalizer *n, const unsigned char *text, size_t bytes,
                     struct ech_normal *out, struct ech_err *err)
{
    if (n->remove_extra) {
        size_t skip = skip_leading(n, text, bytes);
        text += skip;
        bytes -= skip;
    }
    if (bytes == 0)
        return ECH_OK;
    int code = ech_normal_reserve(out, (bytes + 1) * MOST, err);
    if (code != ECH_OK)
        return code;
    const unsigned char space = ' ';
    if (n->dummy_prefix && !n->suffix)
        put(n, out, &space, 1);
    code = put_all(n, text, bytes, out, err);
    if (code != ECH_OK)
        return code;
    if (n->remove_extra)
        trim_trailing(n, out);
    if (n->dummy_prefix && n->suffix)
        put(n, out, &space, 1);
    return ECH_OK;
}
