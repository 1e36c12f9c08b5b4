/* The pieces of a vocabulary with scores and types, and their ids by text. A text is looked up by a hash that
 * two neighbours' hashes give without reading them again, which is what merging needs.
 * Read-only once all pieces are in. */
#ifndef ECH_TEXT_SENTENCEPIECE_VOCAB_H
#define ECH_TEXT_SENTENCEPIECE_VOCAB_H

#include "base/err.h"
#include "text/vocab_source.h"

#include <stddef.h>
#include <stdint.h>

struct ech_sp_slot {
    uint32_t tag; /* high half of the hash */
    int32_t id;   /* -1: free */
};

struct ech_sp_vocab {
    size_t count;
    unsigned char *pool;
    uint32_t *starts; /* count + 1 */
    float *scores;
    uint8_t *types; /* enum ech_vocab_type */
    struct ech_sp_slot *slots;
    size_t mask;
    uint64_t *powers;        /* of the hash's base, 0 to `longest` */
    size_t longest;          /* bytes of the longest piece */
    int32_t unk, bytes[256]; /* -1: none */
};

/* Copies all. A text that stands twice keeps its last id if `repeats`, else it is ECH_DATA.
 * scores, types may be NULL: 0, all normal. */
int ech_sp_vocab_init(struct ech_sp_vocab *vocab, const char *name, const struct ech_vocab_text *tokens,
                      const float *scores, const int32_t *types, size_t count, bool repeats,
                      struct ech_err *err);
void ech_sp_vocab_fini(struct ech_sp_vocab *vocab);

/* Hash of a text, and of two texts one behind the other. Texts longer than `longest` are in no vocabulary:
 * right_bytes <= longest. */
uint64_t ech_sp_hash(const unsigned char *text, size_t bytes);
static inline uint64_t ech_sp_hash_join(const struct ech_sp_vocab *vocab, uint64_t left, uint64_t right,
                                        size_t right_bytes)
{
    return left * vocab->powers[right_bytes] + right;
}

/* Id of a text with its hash, -1: it is not there. */
int32_t ech_sp_vocab_find(const struct ech_sp_vocab *vocab, const unsigned char *text, size_t bytes,
                          uint64_t hash);
static inline int32_t ech_sp_vocab_id(const struct ech_sp_vocab *vocab, const void *text, size_t bytes)
{
    return bytes > vocab->longest ? -1 : ech_sp_vocab_find(vocab, text, bytes, ech_sp_hash(text, bytes));
}

static inline const unsigned char *ech_sp_vocab_text(const struct ech_sp_vocab *vocab, int32_t id,
                                                     size_t *bytes)
{
    *bytes = vocab->starts[id + 1] - vocab->starts[id];
    return vocab->pool + vocab->starts[id];
}

/* Value of a byte piece's text ("<0x0A>"), -1: it is none. */
int ech_sp_byte_of(const void *text, size_t bytes);

#endif
