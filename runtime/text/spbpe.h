/* SentencePiece's BPE: a text's characters are merged pair by pair, the pair whose joined text is the best
 * scored piece first (of equals the leftmost). A piece that is not to be used is taken apart again.
 * (BPE by a list of merges, as
 * tokenizer.json has it, is bpe.h.) */
#ifndef ECH_TEXT_SPBPE_H
#define ECH_TEXT_SPBPE_H

#include "base/err.h"
#include "text/sentencepiece_trie.h"
#include "text/sentencepiece_vocab.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ech_spbpe {
    const struct ech_sp_vocab *vocab; /* borrowed */
    const struct ech_sp_trie *user;   /* symbols that are never merged; borrowed, or NULL */
    uint8_t *uses;                    /* of each piece: 0 not found in text, 1 made and taken apart, 2 used */
    bool unused;                      /* some piece is not to be used */
    bool by_word;                     /* no piece reaches over the beginning of a word */
};

/* After the vocabulary and the symbols are there. all_types: control pieces and the like are merged, too. */
int ech_spbpe_init(struct ech_spbpe *model, const struct ech_sp_vocab *vocab, const struct ech_sp_trie *user,
                   bool all_types, struct ech_err *err);
void ech_spbpe_fini(struct ech_spbpe *model);

struct ech_spbpe_symbol {
    uint64_t hash;
    uint32_t start, bytes; /* bytes 0: merged into the one before */
    int32_t prev, next, id;
    bool frozen;
};

struct ech_spbpe_pair {
    uint64_t key; /* smallest first: worse scores and places further right are larger */
    int32_t id;
};

struct ech_spbpe_scratch {
    struct ech_spbpe_symbol *symbols;
    struct ech_spbpe_pair *heap;
    uint32_t *splits; /* bytes of the left part of each unused piece, where it was seen last */
    size_t symbols_capacity, heap_capacity, count, heap_count;
};
void ech_spbpe_scratch_fini(struct ech_spbpe_scratch *scratch);

/* Where pieces go: `id` is -1 where the text is no piece that is used. */
struct ech_spbpe_out {
    int (*piece)(void *context, int32_t id, const unsigned char *text, size_t bytes, struct ech_err *err);
    void *context;
};
/* Errors  ECH_DATA beyond 2^30 bytes; what `piece` answers. */
int ech_spbpe_encode(const struct ech_spbpe *model, const unsigned char *text, size_t bytes,
                     struct ech_spbpe_scratch *scratch, const struct ech_spbpe_out *out, struct ech_err *err);

#endif
