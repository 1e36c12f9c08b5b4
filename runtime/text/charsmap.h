/* "Precompiled" normaliser: SentencePiece's character map (a double-array trie and a block of replacements),
 * as tokenizer.json (base64) and .spm files (bytes) carry it. */
#ifndef ECH_TEXT_CHARSMAP_H
#define ECH_TEXT_CHARSMAP_H

#include "text/normal.h"

enum ech_charsmap_way {
    ECH_CHARSMAP_PREFIX,   /* sentencepiece: the longest entry at each place */
    ECH_CHARSMAP_GRAPHEMES /* tokenizers: whole graphemes of less than 6 bytes, else their characters */
};

/* From the bytes of the map (copied).
 * Errors  ECH_DATA: sizes that do not fit, offsets outside (every later step is checked, too). */
int ech_charsmap_create(const void *bytes, size_t count, enum ech_charsmap_way way,
                        struct ech_normal_step *out, struct ech_err *err);

#endif
