/* Unigram: of all ways to write a text as pieces, the one whose scores add up to most (Viterbi). Where no
 * piece covers a single character, the unknown piece does, at a score of its own.
 * Two references differ in rounding: sentencepiece keeps sums in 32 bits (`narrow`), tokenizers in 64. */
#ifndef ECH_TEXT_UNIGRAM_H
#define ECH_TEXT_UNIGRAM_H

#include "base/err.h"
#include "text/sentencepiece_trie.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ech_unigram {
    struct ech_sp_trie trie; /* values are indices of `scores` */
    double *scores;
    double unknown_score;
    int32_t unknown;
    bool narrow;
};

/* Best way to a place of the text; after ech_unigram_best: the piece that begins there, and its end. */
struct ech_unigram_place {
    double score;
    int32_t other, id; /* other: where its last piece begins; -1: no way leads here */
};

struct ech_unigram_scratch {
    struct ech_unigram_place *places;
    size_t capacity;
};

/* places[0] is the first piece, places[its other] the next, up to `bytes`. Text: any bytes; a character
 * begins where a lead byte is. Errors  ECH_DATA beyond 2^30 bytes. */
int ech_unigram_best(const struct ech_unigram *model, const unsigned char *text, size_t bytes,
                     struct ech_unigram_scratch *scratch, struct ech_err *err);
void ech_unigram_fini(struct ech_unigram *model);

#endif
