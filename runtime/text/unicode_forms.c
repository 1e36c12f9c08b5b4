/* NFC, NFD, NFKC, NFKD: decompose, order the marks, compose. See normal_steps.h. */
#include "base/mem.h"
#include "text/normal_steps.h"
#include "text/unicode.h"

#include <string.h>

enum { FEW = 16, ORDERS = 256 };

/* Marks in the order of their class, equal ones as they came: insertion for a few, counting for many, so that
 * a text of marks alone takes linear time. */
static int order_run(struct ech_normal *out, size_t start, size_t end, struct ech_err *err)
{
    struct ech_mark *m = out->marks + start;
    size_t count = end - start, first[ORDERS + 1] = {0};
    if (count <= FEW) {
        for (size_t i = 1; i < count; i++) {
            struct ech_mark mark = m[i];
            size_t j = i;
            for (; j > 0 && m[j - 1].order > mark.order; j--)
                m[j] = m[j - 1];
            m[j] = mark;
        }
        return ECH_OK;
    }
    int code = ech_grow((void **)&out->sorted, &out->sorted_capacity, count, sizeof *out->sorted, err);
    if (code != ECH_OK)
        return code;
    for (size_t i = 0; i < count; i++)
        first[m[i].order + 1]++;
    for (int order = 0; order < ORDERS; order++)
        first[order + 1] += first[order];
    for (size_t i = 0; i < count; i++)
        out->sorted[first[m[i].order]++] = m[i];
    memcpy(m, out->sorted, count * sizeof *m);
    return ECH_OK;
}

static int decompose(struct ech_normal *out, const unsigned char *text, size_t bytes, bool compat,
                     struct ech_err *err)
{
    const unsigned char *p = text, *end = text + bytes;
    size_t run = 0; /* where the marks behind the last starter begin */
    int code = ECH_OK;
    while (code == ECH_OK && p < end) {
        int32_t parts[18], c = ech_char_next(&p);
        int count = compat ? ech_char_decompose_compat(c, parts) : ech_char_decompose(c, parts);
        code = ech_grow((void **)&out->marks, &out->marks_capacity, out->marks_count + (size_t)count,
                        sizeof *out->marks, err);
        for (int i = 0; code == ECH_OK && i < count; i++) {
            int order = parts[i] < 0x300 ? 0 : ech_char_combining(parts[i]) & (ORDERS - 1);
            if (order == 0 && out->marks_count > run + 1)
                code = order_run(out, run, out->marks_count, err);
            out->marks[out->marks_count++] = (struct ech_mark){parts[i], order};
            if (order == 0)
                run = out->marks_count;
        }
    }
    return code == ECH_OK ? order_run(out, run, out->marks_count, err) : code;
}

static int apply(struct ech_normal *out, const unsigned char *text, size_t bytes, bool compat, bool compose,
                 struct ech_err *err)
{
    out->marks_count = 0;
    int code = decompose(out, text, bytes, compat, err);
    size_t count = out->marks_count;
    out->marks_count = 0;
    if (code == ECH_OK)
        code =
            ech_grow((void **)&out->sorted, &out->sorted_capacity, count / 2 + 1, sizeof *out->sorted, err);
    if (code == ECH_OK)
        code = ech_normal_reserve(out, count * 4, err);
    if (code != ECH_OK)
        return code;
    int32_t *chars = (int32_t *)out->sorted; /* the marks are in order: their memory serves again */
    for (size_t i = 0; i < count; i++)
        chars[i] = out->marks[i].c;
    if (compose)
        count = ech_char_compose(chars, count);
    for (size_t i = 0; i < count; i++)
        out->bytes += ech_char_put(chars[i], out->text + out->bytes);
    return ECH_OK;
}

static int nfc(const void *data, const unsigned char *text, size_t bytes, struct ech_normal *out,
               struct ech_err *err)
{
    (void)data;
    return apply(out, text, bytes, false, true, err);
}

static int nfd(const void *data, const unsigned char *text, size_t bytes, struct ech_normal *out,
               struct ech_err *err)
{
    (void)data;
    return apply(out, text, bytes, false, false, err);
}

static int nfkc(const void *data, const unsigned char *text, size_t bytes, struct ech_normal *out,
                struct ech_err *err)
{
    (void)data;
    return apply(out, text, bytes, true, true, err);
}

static int nfkd(const void *data, const unsigned char *text, size_t bytes, struct ech_normal *out,
                struct ech_err *err)
{
    (void)data;
    return apply(out, text, bytes, true, false, err);
}

/* Scripts whose characters are composed already and never join with what stands before them. */
static bool is_composed(int32_t c)
{
    return c < 0x300 || (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0xAC00 && c <= 0xD7A3) ||
           (c >= 0x400 && c <= 0x482) || (c >= 0x2010 && c <= 0x2027) || (c >= 0x3002 && c <= 0x3029) ||
           (c >= 0x3041 && c <= 0x3096) || (c >= 0x30A1 && c <= 0x30FA) || (c >= 0x1F300 && c <= 0x1FAFF) ||
           (c >= 0xFF01 && c <= 0xFF5E) || (c >= 0x5D0 && c <= 0x5EA);
}

static bool composed(const void *data, const unsigned char *text, size_t bytes)
{
    const unsigned char *p = text, *end = text + bytes;
    (void)data;
    while (p < end)
        if (*p < 0x80)
            p++;
        else if (!is_composed(ech_char_next(&p)))
            return false;
    return true;
}

static bool plain(const void *data, const unsigned char *text, size_t bytes)
{
    (void)data;
    for (size_t i = 0; i < bytes; i++)
        if (text[i] >= 0x80)
            return false;
    return true;
}

struct ech_normal_step ech_step_unicode(enum ech_unicode_form form)
{
    static const struct ech_normal_step steps[] = {[ECH_FORM_NFC] = {.apply = nfc, .unchanged = composed},
                                                   [ECH_FORM_NFD] = {.apply = nfd, .unchanged = plain},
                                                   [ECH_FORM_NFKC] = {.apply = nfkc, .unchanged = plain},
                                                   [ECH_FORM_NFKD] = {.apply = nfkd, .unchanged = plain}};
    return steps[form];
}
