/* Tokenizers: a model folder's tokenizer.json (or vocab.txt with tokenizer_config.json), a SentencePiece
 * file, or the arrays of a GGUF, as read-only data that any number of threads use at once, each with an
 * encoder (scratch memory) of its own. Ids and text are those of the reference of the file at hand. A
 * component that is not known is an error that names it. */
#ifndef ECH_TEXT_TOKENIZER_H
#define ECH_TEXT_TOKENIZER_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ech_tokenizer;
struct ech_vocab_source; /* vocab_source.h */

/* Errors  ECH_NOINPUT where the folder has no tokenizer; ECH_DATA: malformed, or a component is unknown. */
int ech_tokenizer_open(const char *folder, struct ech_tokenizer **out, struct ech_err *err);
/* tokenizer.json from memory; `name` stands in messages. */
int ech_tokenizer_parse(const char *name, const char *json, size_t bytes, struct ech_tokenizer **out,
                        struct ech_err *err);
/* A sentencepiece file (.spm, .model) from memory. */
int ech_tokenizer_parse_spm(const char *name, const void *data, size_t bytes, struct ech_tokenizer **out,
                            struct ech_err *err);
/* The same, but ids are places in `tokens` (text NULL: no token), which the model's own vocabulary gives;
 * what it lacks is <unk>. All is copied. Errors  ECH_DATA also: it has no <unk>. */
struct ech_vocab_text;
int ech_tokenizer_parse_spm_as(const char *name, const void *data, size_t bytes,
                               const struct ech_vocab_text *tokens, size_t count, struct ech_tokenizer **out,
                               struct ech_err *err);
/* A vocabulary given as arrays; copied, the source may go. `name` (NULL: the source's own) stands in
 * messages. */
int ech_tokenizer_from_source(const char *name, const struct ech_vocab_source *source,
                              struct ech_tokenizer **out, struct ech_err *err);
void ech_tokenizer_close(struct ech_tokenizer *tokenizer);

/* Lower the raw text before anything else, special tokens in it too (sentence_bert_config's do_lower_case).
 */
void ech_tokenizer_lower_first(struct ech_tokenizer *tokenizer);
/* Special tokens put round a text, or round a pair; largest id. */
int64_t ech_tokenizer_added(const struct ech_tokenizer *tokenizer);
int64_t ech_tokenizer_added_pair(const struct ech_tokenizer *tokenizer);
int64_t ech_tokenizer_largest_id(const struct ech_tokenizer *tokenizer);
/* Files it came from, relative to the folder, NULL-terminated. */
const char *const *ech_tokenizer_files(const struct ech_tokenizer *tokenizer);
/* Kind of the model, for people: "WordPiece", "BPE", "Unigram", ... */
const char *ech_tokenizer_kind(const struct ech_tokenizer *tokenizer);

/* Tokens by role: as tokenizer_config.json, special_tokens_map.json or the source name them. */
enum ech_token_role {
    ECH_TOKEN_BOS,
    ECH_TOKEN_EOS,
    ECH_TOKEN_UNK,
    ECH_TOKEN_PAD,
    ECH_TOKEN_CLS,
    ECH_TOKEN_SEP,
    ECH_TOKEN_MASK,
    ECH_TOKEN_ROLES
};
/* Id, or -1 where the files name none. */
int32_t ech_tokenizer_role(const struct ech_tokenizer *tokenizer, enum ech_token_role role);
/* Id of the token that is written exactly so, added tokens first; -1: there is none. */
int32_t ech_tokenizer_id(const struct ech_tokenizer *tokenizer, const char *token, size_t bytes);
/* The token as the file writes it (not decoded; "\u0120the"; no NUL need follow), NULL where the id has none.
 */
const char *ech_tokenizer_token(const struct ech_tokenizer *tokenizer, int64_t id, size_t *bytes);
/* An added token flagged special (a control token of a source): left out of text by skip_special. */
bool ech_tokenizer_is_special(const struct ech_tokenizer *tokenizer, int64_t id);

struct ech_encoder;
int ech_encoder_create(struct ech_encoder **out, struct ech_err *err);
void ech_encoder_destroy(struct ech_encoder *encoder);

struct ech_encoded {
    const int32_t *ids;   /* in the encoder, until its next use */
    const uint8_t *types; /* segment of each id; NULL: all are 0 */
    int64_t count;        /* <= most: cut at the end, special tokens kept */
    int64_t needed;       /* what the whole text takes; only "more than `most`" unless count_all */
    int64_t invalid_at;   /* first byte that is not UTF-8 (then count is 0), or -1 */
};

struct ech_encode_options {
    int64_t most;   /* ids at most, special tokens with them */
    bool count_all; /* `needed` counts the whole text */
    bool bare;      /* the post-processor puts no special tokens */
    bool literal;   /* special tokens written in the text are plain text (untrusted input) */
};

/* Ids of a text with special tokens, at most `most` of them.
 * Calls   Any thread; one encoder serves one thread at a time.
 * Owner   out->ids is the encoder's.
 * Errors  ECH_CONFIG if `most` leaves no room beside the special tokens. Invalid UTF-8 is no error. */
int ech_tokenizer_encode(const struct ech_tokenizer *tokenizer, struct ech_encoder *encoder, const char *text,
                         size_t bytes, int64_t most, bool count_all, struct ech_encoded *out,
                         struct ech_err *err);
/* The same with every choice. */
int ech_tokenizer_encode_with(const struct ech_tokenizer *tokenizer, struct ech_encoder *encoder,
                              const char *text, size_t bytes, const struct ech_encode_options *options,
                              struct ech_encoded *out, struct ech_err *err);

struct ech_text_pair {
    const char *first;
    size_t first_bytes;
    const char *second;
    size_t second_bytes;
};
/* Two texts in one row (cross-encoders). Too long: the longer one is cut first, then both to one half, as the
 * reference's "longest_first". `invalid_at` counts through first, then second. `count_all` is implied.
 * Errors  ECH_CONFIG as above. */
int ech_tokenizer_encode_pair(const struct ech_tokenizer *tokenizer, struct ech_encoder *encoder,
                              const struct ech_text_pair *pair, const struct ech_encode_options *options,
                              struct ech_encoded *out, struct ech_err *err);

struct ech_decoded {
    const char *text; /* valid UTF-8 (a broken byte sequence reads U+FFFD), NUL-terminated; the encoder's */
    size_t bytes;
};
/* Text of ids as the file's decoder makes it. Ids without a token are passed over, as in the reference.
 * Owner   out->text is the encoder's, until its next use.
 * Errors  memory. */
int ech_tokenizer_decode(const struct ech_tokenizer *tokenizer, struct ech_encoder *encoder,
                         const int32_t *ids, int64_t count, bool skip_special, struct ech_decoded *out,
                         struct ech_err *err);

#endif
