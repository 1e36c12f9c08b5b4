/* Vocabulary as a tree over bytes: the longest entry at the front of a text in one walk, without copying.
 * Edges lie in one open-addressed table, so building is linear whatever the entries are.
 * Grows with the vocabulary's bytes; refused beyond 2^24 nodes. */
#ifndef ECH_TEXT_TRIE_H
#define ECH_TEXT_TRIE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { ECH_TRIE_ROOTS = 2 }; /* nodes 0 and 1: two vocabularies in one table */

struct ech_trie_edge {
    uint32_t key;   /* node << 8 | byte */
    uint32_t child; /* 0: the slot is free */
};

struct ech_trie {
    struct ech_trie_edge *edges;
    size_t slots;    /* a power of two, at most half full */
    int32_t *values; /* of each node, -1: no entry ends here */
    size_t nodes, capacity;
};

int ech_trie_init(struct ech_trie *trie, struct ech_err *err);
void ech_trie_fini(struct ech_trie *trie);
/* An entry that is there already gets the new value. value >= 0. */
int ech_trie_add(struct ech_trie *trie, uint32_t root, const void *text, size_t bytes, int32_t value,
                 struct ech_err *err);
/* Bytes of the longest entry (not empty) that begins the text, its value in *value; 0: there is none. */
size_t ech_trie_longest(const struct ech_trie *trie, uint32_t root, const void *text, size_t bytes,
                        int32_t *value);
/* Value of exactly this entry, or -1. */
int32_t ech_trie_exact(const struct ech_trie *trie, uint32_t root, const void *text, size_t bytes);

#endif
