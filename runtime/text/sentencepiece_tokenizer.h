/* sentencepiece models of a vocabulary source; of a file: ech_tokenizer_parse_spm. */
#ifndef ECH_TEXT_SENTENCEPIECE_TOKENIZER_H
#define ECH_TEXT_SENTENCEPIECE_TOKENIZER_H

#include "text/tokenizer_impl.h"
#include "text/vocab_source.h"

/* Fill a created tokenizer from the arrays of model "llama" or "t5", without what stands round a text. */
int ech_tokenizer_fill_sentencepiece(struct ech_tokenizer *t, const char *name,
                                     const struct ech_vocab_source *source, struct ech_err *err);

/* Of every tokenizer over a struct ech_sentencepiece: an encoder's scratch (struct ech_sp_scratch), and the
 * decoder's step, whose data is the model. */
int ech_sp_scratch_create(const void *model, void **scratch, struct ech_err *err);
void ech_sp_scratch_destroy(void *scratch);
int ech_sp_decode_step(const void *model, const struct ech_pieces *in, struct ech_pieces *out,
                       struct ech_err *err);

#endif
