/* Tokens by id and by text: what every model of tokens shares. Text is kept once, in one block. */
#ifndef ECH_TEXT_VOCAB_H
#define ECH_TEXT_VOCAB_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct ech_vocab_entry {
    size_t start;
    uint32_t bytes;
    int32_t id;
};

struct ech_vocab {
    char *text; /* every token, each with a NUL behind it */
    size_t text_bytes, text_capacity;
    struct ech_vocab_entry *entries; /* in the order of their coming */
    size_t count, capacity;
    uint32_t *slots; /* open-addressed: entry + 1, 0 is free */
    size_t slots_count;
    int32_t *by_id; /* entry of each id, -1: none */
    size_t ids, ids_capacity;
};

enum { ECH_VOCAB_ID_MOST = 1 << 24 }; /* ids beyond are refused: one table has a place for each */

void ech_vocab_fini(struct ech_vocab *vocab);
/* A text that is there already gets the new id. An id that has a text already keeps both: the later text is
 * what the id reads as. 0 <= id < ECH_VOCAB_ID_MOST, else ECH_DATA. */
int ech_vocab_add(struct ech_vocab *vocab, const char *text, size_t bytes, int64_t id, struct ech_err *err);
/* Id, or -1. */
int32_t ech_vocab_find(const struct ech_vocab *vocab, const void *text, size_t bytes);
/* Text of an id (NUL-terminated), or NULL. */
const char *ech_vocab_text(const struct ech_vocab *vocab, int64_t id, size_t *bytes);

#endif
