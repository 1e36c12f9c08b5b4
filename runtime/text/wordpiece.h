/* WordPiece: words are cut at white space and punctuation, then taken greedily from the vocabulary, longest
 * entry first; what has no cover is one unknown token. */
#ifndef ECH_TEXT_WORDPIECE_H
#define ECH_TEXT_WORDPIECE_H

#include "base/err.h"
#include "text/sink.h"
#include "text/trie.h"

#include <stddef.h>
#include <stdint.h>

struct ech_model_ops;

struct ech_wordpiece {
    struct ech_trie trie; /* root 0: as written; root 1: continuations, without their prefix */
    char *prefix;         /* "##" */
    int32_t unknown;
    int64_t max_chars; /* a longer word is unknown */
};

/* Heap-made; closed by ech_wordpiece_ops.close. The unknown token is set by the caller. */
int ech_wordpiece_create(const char *prefix, struct ech_wordpiece **out, struct ech_err *err);
int ech_wordpiece_add(struct ech_wordpiece *pieces, const char *token, size_t bytes, int32_t id,
                      struct ech_err *err);
/* encode_text cuts as BertPreTokenizer does. */
extern const struct ech_model_ops ech_wordpiece_ops;

#endif
