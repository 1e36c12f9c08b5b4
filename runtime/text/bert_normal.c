/* BERT's normaliser: see bert_normal.h. */
#include "text/bert_normal.h"

#include "base/mem.h"
#include "text/unicode.h"

#include <string.h>

/* No character grows by more: 3 times by decomposition, 1.5 times by lower case, 2 spaces round 3 bytes. */
enum { GROWTH = 6, SPARE = 16, ORDERS = 256 };

static int reserve(struct ech_normal *out, size_t bytes, struct ech_err *err)
{
    size_t room;
    if (__builtin_mul_overflow(bytes, (size_t)GROWTH, &room))
        return ech_fail(err, ECH_DATA, "a text of %zu bytes is too long", bytes);
    return ech_grow((void **)&out->text, &out->capacity, out->bytes + room + SPARE, 1, err);
}

static void put(const struct ech_bert_normalizer *n, struct ech_normal *out, int32_t c)
{
    int32_t lower[2] = {c, 0};
    int count = n->lower ? ech_char_lower(c, lower) : 1;
    for (int i = 0; i < count; i++)
        out->bytes += ech_char_put(lower[i], out->text + out->bytes);
}

/* Marks are put in the order of their combining class, equal ones as they came (a counting sort: a text of
 * marks alone must not take quadratic time). */
static int flush_marks(const struct ech_bert_normalizer *n, struct ech_normal *out, struct ech_err *err)
{
    size_t first[ORDERS + 1] = {0};
    int code =
        ech_grow((void **)&out->sorted, &out->sorted_capacity, out->marks_count, sizeof *out->sorted, err);
    if (code != ECH_OK)
        return code;
    for (size_t i = 0; i < out->marks_count; i++)
        first[out->marks[i].order + 1]++;
    for (int order = 0; order < ORDERS; order++)
        first[order + 1] += first[order];
    for (size_t i = 0; i < out->marks_count; i++)
        out->sorted[first[out->marks[i].order]++] = out->marks[i];
    for (size_t i = 0; i < out->marks_count; i++)
        put(n, out, out->sorted[i].c);
    out->marks_count = 0;
    return ECH_OK;
}

static int put_decomposed(const struct ech_bert_normalizer *n, struct ech_normal *out, int32_t c,
                          struct ech_err *err)
{
    int32_t parts[18];
    int count = ech_char_decompose(c, parts), code = ECH_OK;
    for (int i = 0; code == ECH_OK && i < count; i++) {
        if (ech_char_class(parts[i]) & ECH_CHAR_MARK)
            continue;
        int order = ech_char_combining(parts[i]);
        if (order == 0) {
            if (out->marks_count)
                code = flush_marks(n, out, err);
            put(n, out, parts[i]);
            continue;
        }
        code = ech_grow((void **)&out->marks, &out->marks_capacity, out->marks_count + 1, sizeof *out->marks,
                        err);
        if (code == ECH_OK)
            out->marks[out->marks_count++] = (struct ech_mark){parts[i], order & (ORDERS - 1)};
    }
    return code;
}

static int put_wide(const struct ech_bert_normalizer *n, struct ech_normal *out, int32_t c,
                    struct ech_err *err)
{
    unsigned class = ech_char_class(c);
    if (n->clean && (class & ECH_CHAR_CONTROL))
        return ECH_OK;
    if (n->clean && (class & ECH_CHAR_SPACE))
        c = ' ';
    bool apart = n->cjk && (class & ECH_CHAR_CJK);
    int code = out->marks_count && (apart || c == ' ') ? flush_marks(n, out, err) : ECH_OK;
    if (code == ECH_OK && apart)
        out->text[out->bytes++] = ' ';
    if (code == ECH_OK && n->strip)
        code = put_decomposed(n, out, c, err);
    else if (code == ECH_OK)
        put(n, out, c);
    if (code == ECH_OK && apart)
        out->text[out->bytes++] = ' ';
    return code;
}

void ech_bert_prepare(struct ech_bert_normalizer *n)
{
    for (int c = 0; c < 128; c++) {
        unsigned class = ech_ascii_class[c];
        int to = n->lower && c >= 'A' && c <= 'Z' ? c + 32 : c;
        if (n->clean && (class & ECH_CHAR_CONTROL))
            to = ECH_ASCII_DROP;
        else if (n->clean && (class & ECH_CHAR_SPACE))
            to = ' ';
        n->ascii[c] = (uint8_t)to;
    }
}

int ech_bert_normalize(const struct ech_bert_normalizer *n, const unsigned char *text, size_t bytes,
                       struct ech_normal *out, struct ech_err *err)
{
    const unsigned char *p = text, *end = text + bytes;
    int code = reserve(out, bytes, err);
    while (code == ECH_OK && p < end) {
        if (*p >= 0x80) {
            code = put_wide(n, out, ech_char_next(&p), err);
            continue;
        }
        uint8_t to = n->ascii[*p++];
        if (to == ECH_ASCII_DROP)
            continue;
        if (out->marks_count)
            code = flush_marks(n, out, err);
        out->text[out->bytes++] = to;
    }
    if (code == ECH_OK && out->marks_count)
        code = flush_marks(n, out, err);
    out->marks_count = 0;
    return code;
}

int ech_normal_lower(const unsigned char *text, size_t bytes, struct ech_normal *out, struct ech_err *err)
{
    struct ech_bert_normalizer n = {.lower = true};
    ech_bert_prepare(&n);
    return ech_bert_normalize(&n, text, bytes, out, err);
}

static int apply(const void *data, const unsigned char *text, size_t bytes, struct ech_normal *out,
                 struct ech_err *err)
{
    return ech_bert_normalize(data, text, bytes, out, err);
}

int ech_bert_step(struct ech_bert_normalizer choices, struct ech_normal_step *out, struct ech_err *err)
{
    struct ech_bert_normalizer *copy = ech_calloc(1, sizeof *copy, err);
    if (!copy)
        return ECH_UNAVAILABLE;
    *copy = choices;
    ech_bert_prepare(copy);
    *out = (struct ech_normal_step){.apply = apply, .close = ech_free, .data = copy};
    return ECH_OK;
}
