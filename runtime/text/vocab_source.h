/* A vocabulary given as plain arrays, as a GGUF file carries it: what a tokenizer is built from where there
 * is no tokenizer file. The reader of the file fills it and owns all memory; this module copies what it
 * keeps. Nothing here knows of model files. */
#ifndef ECH_TEXT_VOCAB_SOURCE_H
#define ECH_TEXT_VOCAB_SOURCE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Bytes that need not end with NUL (they may lie in a mapped file). */
struct ech_vocab_text {
    const char *text;
    size_t bytes;
};

/* Values of `types`, as in GGUF and in sentencepiece files. */
enum ech_vocab_type {
    ECH_VOCAB_NORMAL = 1,
    ECH_VOCAB_UNKNOWN = 2,
    ECH_VOCAB_CONTROL = 3,
    ECH_VOCAB_USER_DEFINED = 4,
    ECH_VOCAB_UNUSED = 5,
    ECH_VOCAB_BYTE = 6
};

enum { ECH_VOCAB_UNSET = -1 }; /* of an id or a flag that the file does not have */

struct ech_vocab_source {
    const char *name;              /* the file's path: stands in messages where no other name is given */
    const char *model;             /* tokenizer.ggml.model: "llama", "gpt2", "bert", "t5", ... */
    const char *pre;               /* tokenizer.ggml.pre, NULL: not given */
    size_t count;                  /* tokens; an id is the index */
    struct ech_vocab_text *tokens; /* count */
    const float *scores;           /* count, or NULL */
    const int32_t *types;          /* count, or NULL: all ECH_VOCAB_NORMAL */
    size_t merge_count;
    struct ech_vocab_text *merges; /* "left right", best first */
    struct ech_vocab_text charsmap;
    int64_t bos, eos, eot, unk, sep, pad, mask; /* ids; ECH_VOCAB_UNSET */
    /* 0, 1 or ECH_VOCAB_UNSET: then the model's own default holds. */
    int add_bos, add_eos, add_sep, add_space_prefix, remove_extra_whitespaces, escape_whitespaces;
    int suffix_whitespace; /* treat_whitespace_as_suffix */
};

/* A source whose ids and flags are all unset and whose arrays are empty. */
struct ech_vocab_source ech_vocab_source_empty(void);

/* ech_tokenizer_from_source (tokenizer.h) builds a tokenizer of it. A model or pre-tokenizer that is not
 * known is named; an array that is missing, an id out of range are ECH_DATA. */

#endif
