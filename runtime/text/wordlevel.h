/* WordLevel: a word is a token of the vocabulary, or the unknown token. */
#ifndef ECH_TEXT_WORDLEVEL_H
#define ECH_TEXT_WORDLEVEL_H

#include "base/err.h"
#include "text/vocab.h"

struct ech_model_ops;

struct ech_wordlevel {
    const struct ech_vocab *vocab; /* the tokenizer's */
    int32_t unknown;               /* -1: an unknown word is an error */
};

/* Heap-made; closed by ech_wordlevel_ops.close. */
int ech_wordlevel_create(const struct ech_vocab *vocab, struct ech_wordlevel **out, struct ech_err *err);
extern const struct ech_model_ops ech_wordlevel_ops;

#endif
