/* Characters as the reference tokenizers see them: utf8proc (Unicode 15), put back to the categories of
 * Unicode 8 where a later version assigned or moved a code point. Text given here is valid UTF-8. */
#ifndef ECH_TEXT_UNICODE_H
#define ECH_TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ECH_CHAR_CONTROL = 1, /* Cc, Cf, Co but tab, newline, return; U+0000 and U+FFFD */
    ECH_CHAR_SPACE = 2,   /* White_Space */
    ECH_CHAR_PUNCT = 4,   /* P*, and every ASCII symbol */
    ECH_CHAR_CJK = 8,     /* the ideograph blocks of BERT */
    ECH_CHAR_MARK = 16,   /* Mn */
    ECH_CHAR_WORD = 32,   /* alphabetic, mark, decimal digit, connector or joiner: \w */
    ECH_CHAR_LETTER = 64, /* L* */
    ECH_CHAR_NUMBER = 128 /* N* */
};

/* Class of the code points below 128, and of any (from a table that fills by blocks as they are met). */
extern const uint8_t ech_ascii_class[128];
unsigned ech_char_class(int32_t c);

/* Decode one character at *p (valid UTF-8), step over it. */
static inline int32_t ech_char_next(const unsigned char **p)
{
    const unsigned char *s = *p;
    if (s[0] < 0x80) {
        *p = s + 1;
        return s[0];
    }
    if (s[0] < 0xE0) {
        *p = s + 2;
        return (int32_t)((s[0] & 0x1F) << 6 | (s[1] & 0x3F));
    }
    if (s[0] < 0xF0) {
        *p = s + 3;
        return (int32_t)((s[0] & 0x0F) << 12 | (s[1] & 0x3F) << 6 | (s[2] & 0x3F));
    }
    *p = s + 4;
    return (int32_t)((s[0] & 0x07) << 18 | (s[1] & 0x3F) << 12 | (s[2] & 0x3F) << 6 | (s[3] & 0x3F));
}

/* UTF-8 of c into out (4 bytes of room); the length. */
size_t ech_char_put(int32_t c, unsigned char *out);
/* Lower case: 1 character, or 2 (U+0130). */
int ech_char_lower(int32_t c, int32_t out[2]);
/* Canonical decomposition, not reordered: 1 to 18 characters. */
int ech_char_decompose(int32_t c, int32_t out[18]);
/* The same with compatibility mappings. */
int ech_char_decompose_compat(int32_t c, int32_t out[18]);
/* Compose a decomposed and ordered text in place; the new length. */
size_t ech_char_compose(int32_t *text, size_t count);
/* A combining mark of any kind (M*). */
bool ech_char_is_mark(int32_t c);
/* Canonical combining class, 0: a starter. */
int ech_char_combining(int32_t c);

#endif
