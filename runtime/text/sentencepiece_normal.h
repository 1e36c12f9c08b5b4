/* sentencepiece's normaliser: compiled rules, white space trimmed and joined, a space put in front (or
 * behind), spaces written as U+2581. User-defined symbols stay as they are. Any bytes go in; what is not
 * UTF-8 becomes U+FFFD a byte. */
#ifndef ECH_TEXT_SENTENCEPIECE_NORMAL_H
#define ECH_TEXT_SENTENCEPIECE_NORMAL_H

#include "text/charsmap.h"
#include "text/normal.h"
#include "text/sentencepiece_trie.h"

struct ech_sp_normalizer {
    struct ech_charsmap map;
    bool dummy_prefix, remove_extra, escape, suffix;
    const struct ech_sp_trie *user; /* borrowed, or NULL */
};

void ech_sp_normalizer_fini(struct ech_sp_normalizer *normalizer);
/* Appends to `out`, which is empty. */
int ech_sp_normalize(const struct ech_sp_normalizer *normalizer, const unsigned char *text, size_t bytes,
                     struct ech_normal *out, struct ech_err *err);

/* Bytes of the character at the front of any bytes: 1 and *valid false where it is not UTF-8. */
size_t ech_sp_char(const unsigned char *text, size_t bytes, bool *valid);

#endif
