/* Tokenizers: a model folder's tokenizer.json, or vocab.txt with tokenizer_config.json, as read-only data
 * that any number of threads use at once, each with an encoder (scratch memory) of its own.
 * WordPiece now; another model is another case in tokenizer.c. A component that is not known is an error
 * that names it. */
#ifndef ECH_TEXT_TOKENIZER_H
#define ECH_TEXT_TOKENIZER_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ech_tokenizer;

/* Errors  ECH_NOINPUT where the folder has no tokenizer; ECH_DATA: malformed, or a component is unknown. */
int ech_tokenizer_open(const char *folder, struct ech_tokenizer **out, struct ech_err *err);
/* tokenizer.json from memory; `name` stands in messages. */
int ech_tokenizer_parse(const char *name, const char *json, size_t bytes, struct ech_tokenizer **out,
                        struct ech_err *err);
void ech_tokenizer_close(struct ech_tokenizer *tokenizer);

/* Lower the raw text before anything else, special tokens in it too (sentence_bert_config's do_lower_case).
 */
void ech_tokenizer_lower_first(struct ech_tokenizer *tokenizer);
/* Special tokens put round a text; largest id. */
int64_t ech_tokenizer_added(const struct ech_tokenizer *tokenizer);
int64_t ech_tokenizer_largest_id(const struct ech_tokenizer *tokenizer);
/* Files it came from, relative to the folder, NULL-terminated. */
const char *const *ech_tokenizer_files(const struct ech_tokenizer *tokenizer);

struct ech_encoder;
int ech_encoder_create(struct ech_encoder **out, struct ech_err *err);
void ech_encoder_destroy(struct ech_encoder *encoder);

struct ech_encoded {
    const int32_t *ids; /* in the encoder, until its next use */
    int64_t count;      /* <= most: cut at the end, special tokens kept */
    int64_t needed;     /* what the whole text takes; only "more than `most`" unless count_all */
    int64_t invalid_at; /* first byte that is not UTF-8 (then count is 0), or -1 */
};

/* Ids of a text with special tokens, at most `most` of them.
 * Calls   Any thread; one encoder serves one thread at a time.
 * Owner   out->ids is the encoder's.
 * Errors  ECH_CONFIG if `most` leaves no room beside the special tokens. Invalid UTF-8 is no error. */
int ech_tokenizer_encode(const struct ech_tokenizer *tokenizer, struct ech_encoder *encoder, const char *text,
                         size_t bytes, int64_t most, bool count_all, struct ech_encoded *out,
                         struct ech_err *err);

#endif
