/* sentencepiece models as tokenizers, for the files that open one. */
#ifndef ECH_TEXT_SENTENCEPIECE_TOKENIZER_H
#define ECH_TEXT_SENTENCEPIECE_TOKENIZER_H

#include "text/tokenizer_impl.h"
#include "text/vocab_source.h"

/* Fill a created tokenizer from a .spm or .model file, or from its bytes. Errors as ech_sentencepiece_parse.
 */
int ech_tokenizer_from_spm(struct ech_tokenizer *t, const char *path, struct ech_err *err);
int ech_tokenizer_fill_spm(struct ech_tokenizer *t, const char *name, const void *data, size_t bytes,
                           struct ech_err *err);
/* From the arrays of model "llama" or "t5", without what stands round a text. */
int ech_tokenizer_fill_sentencepiece(struct ech_tokenizer *t, const char *name,
                                     const struct ech_vocab_source *source, struct ech_err *err);

#endif
