/* The alphabet of byte-level vocabularies: each byte has a letter of its own, visible ones themselves, the
 * rest from U+0100 on ("\u0120" is the space). */
#ifndef ECH_TEXT_BYTES_H
#define ECH_TEXT_BYTES_H

#include <stddef.h>
#include <stdint.h>

/* Letters of the bytes into `out` (2 * bytes of room); the length. */
size_t ech_bytes_as_letters(const unsigned char *text, size_t bytes, unsigned char *out);
/* Bytes of a text of letters into `out` (`bytes` of room; may be `text`); their number, or -1 where a
 * character is no letter of the alphabet. */
int64_t ech_bytes_of_letters(const unsigned char *text, size_t bytes, unsigned char *out);

#endif
