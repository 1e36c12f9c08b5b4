/* The compiled normalisation rules of sentencepiece files (`precompiled_charsmap`), as .spm and GGUF files
 * (bytes) and tokenizer.json (base64) carry them: a double array of 32-bit units that maps byte strings to
 * places in a pool of NUL-ended replacements.
 *   u32 little endian: bytes of the array; the array; the pool.
 * A unit: bits 0-7 label, 8 has a value, 9 the offset counts 256, 10-30 offset to the children, 31 it is a
 * value. The whole is checked once (no ring, no place outside it, a pool that ends with NUL), so matching
 * checks nothing. Read-only afterwards: any number of threads. */
#ifndef ECH_TEXT_CHARSMAP_H
#define ECH_TEXT_CHARSMAP_H

#include "base/err.h"
#include "text/normal.h"

#include <stddef.h>
#include <stdint.h>

struct ech_charsmap {
    uint32_t *units;
    size_t unit_count;
    unsigned char *pool;
    size_t pool_bytes;
    bool plain[256]; /* no rule begins with this byte unless one that is not ASCII follows */
};

/* Copies the blob. An empty blob gives a map without rules.
 * Errors  ECH_DATA with the byte offset in the blob. */
int ech_charsmap_init(struct ech_charsmap *map, const void *blob, size_t bytes, struct ech_err *err);
void ech_charsmap_fini(struct ech_charsmap *map);

/* Bytes of the longest rule at the front of the text, 0: none. *to, *to_bytes: its replacement (may be
 * empty), in the map. Text may be any bytes. */
size_t ech_charsmap_longest(const struct ech_charsmap *map, const unsigned char *text, size_t bytes,
                            const unsigned char **to, size_t *to_bytes);
/* As above, the shortest rule; a NUL in the text ends it. */
size_t ech_charsmap_shortest(const struct ech_charsmap *map, const unsigned char *text, size_t bytes,
                             const unsigned char **to, size_t *to_bytes);

/* A step of tokenizer.json's "Precompiled" from the bytes of a map (copied): a grapheme cluster of less than
 * 6 bytes with a rule at its front is replaced as a whole, by the shortest; else each of its characters is.
 * Errors  as ech_charsmap_init. */
int ech_charsmap_create(const void *blob, size_t bytes, struct ech_normal_step *out, struct ech_err *err);

#endif
