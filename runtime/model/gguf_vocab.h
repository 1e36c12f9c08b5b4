/* The tokenizer inside of a GGUF, as plain arrays. */
#ifndef ECH_MODEL_GGUF_VOCAB_H
#define ECH_MODEL_GGUF_VOCAB_H

#include "model/gguf.h"
#include "text/vocab_source.h"

struct ech_gguf_vocab {
    struct ech_vocab_source source;
    char model[64], pre[64];
    float *scores;
    int32_t *types;
};

/* *out is NULL where the file has no tokenizer.model. Texts lie in the file's bytes.
 * Errors  ECH_DATA: an array of another type or length than the tokens'. */
int ech_gguf_vocab_read(const struct ech_gguf *gguf, struct ech_gguf_vocab **out, struct ech_err *err);
/* Free the arrays; the rest of the source stays. */
void ech_gguf_vocab_drop(struct ech_gguf_vocab *vocab);
void ech_gguf_vocab_destroy(struct ech_gguf_vocab *vocab);

#endif
