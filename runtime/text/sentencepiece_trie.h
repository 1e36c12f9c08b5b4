/* A fixed set of byte strings with a value each, as a double array: one load a byte walked. Built once;
 * read-only afterwards. The children of a node lie at `base XOR byte`; no two nodes share a base, so the
 * label alone tells whose child a place is. */
#ifndef ECH_TEXT_SENTENCEPIECE_TRIE_H
#define ECH_TEXT_SENTENCEPIECE_TRIE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ech_sp_node {
    uint32_t link; /* base << 9 | taken << 8 | label */
    int32_t value; /* -1: no string ends here */
};

struct ech_sp_trie {
    struct ech_sp_node *nodes; /* whole blocks of 256; node 0 is the root */
    size_t count, capacity;
    bool first[256]; /* bytes that begin a string */
    bool any;
};

struct ech_sp_key {
    const unsigned char *text;
    size_t bytes; /* > 0 */
    int32_t value;
};

/* Sorts `keys`. Of equal strings the one with the largest value stays. No keys: nothing is found.
 * Errors  ECH_DATA beyond 2^23 nodes. */
int ech_sp_trie_build(struct ech_sp_trie *trie, struct ech_sp_key *keys, size_t count, struct ech_err *err);
void ech_sp_trie_fini(struct ech_sp_trie *trie);

/* Go on from *node by one byte; false: no string goes on so. */
static inline bool ech_sp_trie_step(const struct ech_sp_node *nodes, uint32_t *node, unsigned char byte)
{
    uint32_t next = (nodes[*node].link >> 9) ^ byte;
    *node = next;
    return (nodes[next].link & 0x1FF) == (0x100u | byte);
}

/* Bytes of the longest string at the front of the text, 0: none. */
size_t ech_sp_trie_longest(const struct ech_sp_trie *trie, const unsigned char *text, size_t bytes,
                           int32_t *value);

#endif
