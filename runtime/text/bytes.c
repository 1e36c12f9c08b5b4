/* The byte alphabet: see bytes.h. */
#include "text/bytes.h"

#include "text/unicode.h"

#include <stdbool.h>

static bool is_visible(int32_t byte)
{
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

/* The hidden bytes in their order: 00-20, 7F-A0, AD. */
static int32_t letter_of(int32_t byte)
{
    if (is_visible(byte))
        return byte;
    if (byte <= 0x20)
        return 0x100 + byte;
    return byte == 0xAD ? 0x143 : 0x121 + (byte - 0x7F);
}

static int32_t byte_of(int32_t letter)
{
    if (letter < 0x100)
        return is_visible(letter) ? letter : -1;
    if (letter <= 0x120)
        return letter - 0x100;
    if (letter <= 0x142)
        return letter - 0x121 + 0x7F;
    return letter == 0x143 ? 0xAD : -1;
}

size_t ech_bytes_as_letters(const unsigned char *text, size_t bytes, unsigned char *out)
{
    size_t made = 0;
    for (size_t i = 0; i < bytes; i++) {
        int32_t c = letter_of(text[i]);
        if (c < 0x80) {
            out[made++] = (unsigned char)c;
            continue;
        }
        out[made++] = (unsigned char)(0xC0 | c >> 6);
        out[made++] = (unsigned char)(0x80 | (c & 0x3F));
    }
    return made;
}

int64_t ech_bytes_of_letters(const unsigned char *text, size_t bytes, unsigned char *out)
{
    const unsigned char *p = text, *end = text + bytes;
    int64_t made = 0;
    while (p < end) {
        int32_t byte = byte_of(ech_char_next(&p));
        if (byte < 0)
            return -1;
        out[made++] = (unsigned char)byte;
    }
    return made;
}
