/* Byte-pair encoding: a word's characters (or bytes) are merged pair by pair, the pair of the lowest rank
 * first, the leftmost of equal ones. Words of up to 24 bytes are kept in a cache of the encoder. */
#ifndef ECH_TEXT_BPE_H
#define ECH_TEXT_BPE_H

#include "base/err.h"
#include "text/vocab.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ech_model_ops;

enum {
    ECH_BPE_AFFIX_MOST = 64,
    ECH_BPE_UNKNOWN_NONE = -1,   /* a character that is not in the vocabulary disappears */
    ECH_BPE_UNKNOWN_MISSING = -2 /* the file names a token that it lacks: such a character is an error */
};

struct ech_bpe_pair {
    uint64_t key; /* left id << 32 | right id */
    uint32_t rank;
    int32_t id; /* of the merged token; -1: the slot is free */
};

struct ech_bpe {
    const struct ech_vocab *vocab; /* of characters: the tokenizer's own; of bytes: `byte_vocab` */
    struct ech_vocab byte_vocab;   /* tokens as bytes, where the cutter gives bytes */
    bool bytes;
    struct ech_bpe_pair *pairs;
    size_t slots, count;
    int32_t unknown; /* or ECH_BPE_UNKNOWN_... */
    bool fuse_unknown, byte_fallback, ignore_merges;
    bool heap_always;      /* merged tokens may be as long as their left half: order by the heap's rules */
    char *prefix, *suffix; /* of a word's characters but the first; of its last one. NULL: none */
    int32_t byte_ids[256]; /* of one byte (bytes), or of "<0x..>" (byte_fallback); -1: none */
};

/* Heap-made, no merges yet; closed by ech_bpe_ops.close. `vocab` stays the tokenizer's.
 * bytes: tokens are of the byte alphabet and the cutter leaves bytes as they are. */
int ech_bpe_create(const struct ech_vocab *vocab, bool bytes, struct ech_bpe **out, struct ech_err *err);
/* Merge of two ids into a third. A pair that is there already gets the new rank. */
int ech_bpe_add(struct ech_bpe *bpe, int32_t left, int32_t right, uint32_t rank, int32_t id,
                struct ech_err *err);
/* Once all is set: fills byte_ids. */
void ech_bpe_prepare(struct ech_bpe *bpe);

extern const struct ech_model_ops ech_bpe_ops;

#endif
