/* Small normaliser components: see normal_steps.h. */
#include "text/normal_steps.h"

#include "base/mem.h"
#include "text/bert_normal.h"
#include "text/bytes.h"
#include "text/unicode.h"

#include <string.h>

static bool all_ascii(const unsigned char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (text[i] >= 0x80)
            return false;
    return true;
}

static int lower(const void *data, const unsigned char *text, size_t bytes, struct ech_normal *out,
                 struct ech_err *err)
{
    (void)data;
    return ech_normal_lower(text, bytes, out, err);
}

struct ech_normal_step ech_step_lowercase(void)
{
    return (struct ech_normal_step){.apply = lower};
}

/* Characters that stay, one after the other; a first one that goes is noted. */
static int keep(struct ech_normal *out, const unsigned char *text, const unsigned char *start,
                const unsigned char *p, bool stays, struct ech_err *err)
{
    if (!stays && start == text)
        out->front_gone = true;
    return stays ? ech_normal_put(out, start, (size_t)(p - start), err) : ECH_OK;
}

static int strip_accents(const void *data, const unsigned char *text, size_t bytes, struct ech_normal *out,
                         struct ech_err *err)
{
    const unsigned char *p = text, *end = text + bytes;
    int code = ECH_OK;
    (void)data;
    while (code == ECH_OK && p < end) {
        const unsigned char *start = p;
        int32_t c = ech_char_next(&p);
        code = keep(out, text, start, p, c < 0x300 || !ech_char_is_mark(c), err);
    }
    return code;
}

static bool without_accents(const void *data, const unsigned char *text, size_t bytes)
{
    (void)data;
    return all_ascii(text, bytes);
}

struct ech_normal_step ech_step_strip_accents(void)
{
    return (struct ech_normal_step){.apply = strip_accents, .unchanged = without_accents};
}

static int strip(bool left, bool right, const unsigned char *text, size_t bytes, struct ech_normal *out,
                 struct ech_err *err)
{
    const unsigned char *p = text, *end = text + bytes, *start = text, *stop = text;
    bool before = true;
    while (p < end) {
        bool space = ech_char_class(ech_char_next(&p)) & ECH_CHAR_SPACE;
        if (before && left && space) {
            start = stop = p;
            continue;
        }
        before = false;
        if (!right || !space)
            stop = p;
    }
    out->front_gone = start > text;
    return ech_normal_put(out, start, (size_t)(stop - start), err);
}

static int strip_left(const void *data, const unsigned char *text, size_t bytes, struct ech_normal *out,
                      struct ech_err *err)
{
    (void)data;
    return strip(true, false, text, bytes, out, err);
}

static int strip_right(const void *data, const unsigned char *text, size_t bytes, struct ech_normal *out,
                       struct ech_err *err)
{
    (void)data;
    return strip(false, true, text, bytes, out, err);
}

static int strip_both(const void *data, const unsigned char *text, size_t bytes, struct ech_normal *out,
                      struct ech_err *err)
{
    (void)data;
    return strip(true, true, text, bytes, out, err);
}

static int copy(const void *data, const unsigned char *text, size_t bytes, struct ech_normal *out,
                struct ech_err *err)
{
    (void)data;
    return ech_normal_put(out, text, bytes, err);
}

struct ech_normal_step ech_step_strip(bool left, bool right)
{
    if (!left && !right)
        return (struct ech_normal_step){.apply = copy};
    return (struct ech_normal_step){.apply = left && right ? strip_both : left ? strip_left : strip_right};
}

static bool nmt_drops(int32_t c)
{
    return (c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F;
}

static bool nmt_blanks(int32_t c)
{
    return c == 0x9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 || (c >= 0x200B && c <= 0x200F) ||
           c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
}

static int nmt(const void *data, const unsigned char *text, size_t bytes, struct ech_normal *out,
               struct ech_err *err)
{
    const unsigned char *p = text, *end = text + bytes;
    int code = ECH_OK;
    (void)data;
    while (code == ECH_OK && p < end) {
        const unsigned char *start = p;
        int32_t c = ech_char_next(&p);
        if (nmt_blanks(c))
            code = ech_normal_put(out, " ", 1, err);
        else
            code = keep(out, text, start, p, !nmt_drops(c), err);
    }
    return code;
}

struct ech_normal_step ech_step_nmt(void)
{
    return (struct ech_normal_step){.apply = nmt};
}

static int letters(const void *data, const unsigned char *text, size_t bytes, struct ech_normal *out,
                   struct ech_err *err)
{
    (void)data;
    int code = ech_normal_reserve(out, bytes * 2 + 1, err);
    if (code == ECH_OK)
        out->bytes += ech_bytes_as_letters(text, bytes, out->text + out->bytes);
    return code;
}

struct ech_normal_step ech_step_letters(void)
{
    return (struct ech_normal_step){.apply = letters};
}

static int prepend(const void *data, const unsigned char *text, size_t bytes, struct ech_normal *out,
                   struct ech_err *err)
{
    int code = bytes ? ech_normal_put(out, data, strlen(data), err) : ECH_OK;
    return code == ECH_OK ? ech_normal_put(out, text, bytes, err) : code;
}

int ech_step_prepend(const char *text, struct ech_normal_step *out, struct ech_err *err)
{
    char *data = ech_strdup(text, err);
    if (!data)
        return ECH_UNAVAILABLE;
    *out = (struct ech_normal_step){.apply = prepend, .close = ech_free, .data = data};
    return ECH_OK;
}
