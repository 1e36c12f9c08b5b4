/* The compiled normalisation rules of sentencepiece files (`precompiled_charsmap`): a double array of 32-bit
 * units that maps byte strings to places in a pool of NUL-ended replacements.
 *   u32 little endian: bytes of the array; the array; the pool.
 * A unit: bits 0-7 label, 8 has a value, 9-30 offset to the children (bit 9: offset << 8), 31 it is a value.
 * The whole is checked once (a tree, no place outside it, a pool that ends with NUL), so matching checks
 * nothing. Read-only afterwards: any number of threads. */
#ifndef ECH_TEXT_CHARSMAP_H
#define ECH_TEXT_CHARSMAP_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct ech_charsmap {
    uint32_t *units;
    size_t unit_count;
    char *pool;
    size_t pool_bytes;
    uint8_t begins[256]; /* 1: some rule begins with this byte */
    bool ascii_alone;    /* no rule that begins with an ASCII byte goes on with one */
};

/* Copies the blob. An empty blob gives a map without rules.
 * Errors  ECH_DATA with the byte offset in the blob. */
int ech_charsmap_init(struct ech_charsmap *map, const void *blob, size_t bytes, struct ech_err *err);
void ech_charsmap_fini(struct ech_charsmap *map);

/* Bytes of the longest rule at the front of the text, 0: none. *to, *to_bytes: its replacement (may be
 * empty), in the map. Text may be any bytes. */
size_t ech_charsmap_longest(const struct ech_charsmap *map, const unsigned char *text, size_t bytes,
                            const unsigned char **to, size_t *to_bytes);
/* As above, the shortest rule: what tokenizer.json's Precompiled normaliser takes. */
size_t ech_charsmap_shortest(const struct ech_charsmap *map, const unsigned char *text, size_t bytes,
                             const unsigned char **to, size_t *to_bytes);

/* tokenizer.json's Precompiled: a grapheme cluster of less than 6 bytes is replaced as a whole if a rule
 * begins it, else each of its characters is. Appends to *out (grown, capacity and count in bytes). text is
 * valid UTF-8 and is not cut inside a cluster. */
int ech_charsmap_graphemes(const struct ech_charsmap *map, const unsigned char *text, size_t bytes,
                           unsigned char **out, size_t *out_bytes, size_t *out_capacity, struct ech_err *err);

#endif
