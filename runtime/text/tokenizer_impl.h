/* Inside of a tokenizer, for the files that fill it. The way of a text:
 *   lower_first -> added tokens in raw text -> normaliser's steps -> added tokens in normalised text
 *   -> the cutter's words -> the model's ids of each word -> the post-processor's frame.
 * The way back: tokens of the ids -> the decoder's steps -> one text.
 * A model of tokens is one `struct ech_model_ops`; a normaliser or decoder component one step. */
#ifndef ECH_TEXT_TOKENIZER_IMPL_H
#define ECH_TEXT_TOKENIZER_IMPL_H

#include "text/added.h"
#include "text/cut.h"
#include "text/normal_steps.h"
#include "text/pieces.h"
#include "text/post.h"
#include "text/sink.h"
#include "text/tokenizer.h"
#include "text/vocab.h"

#include <jansson.h>

enum { ECH_WORD_CHARS_MOST = 4096 };

/* One model of tokens: WordPiece, BPE, Unigram, ... `model` is its own data, read-only once the tokenizer is
 * open. `scratch` is one thread's memory for it (lattice, heap, cache), made at an encoder's first use with
 * this tokenizer; a model without any leaves both functions NULL and gets NULL. */
struct ech_model_ops {
    const char *kind; /* "BPE" */
    void (*close)(void *model);
    int (*scratch_create)(const void *model, void **scratch, struct ech_err *err);
    void (*scratch_destroy)(void *scratch);
    /* Put the ids of one word (valid UTF-8 unless the cutter gives bytes; bytes > 0). May stop early once the
     * sink is full. */
    int (*encode_word)(const void *model, void *scratch, const unsigned char *text, size_t bytes,
                       struct ech_id_sink *sink, struct ech_err *err);
    /* Or NULL: cut and encode a whole text at once, where the model does better than cutter and words. */
    int (*encode_text)(const void *model, void *scratch, const unsigned char *text, size_t bytes,
                       struct ech_id_sink *sink, struct ech_err *err);
    /* Or both NULL: t->vocab has the tokens. A token's text by its id (NULL: none), its id by its text (-1).
     */
    const char *(*token_text)(const void *model, int64_t id, size_t *bytes);
    int32_t (*token_id)(const void *model, const void *text, size_t bytes);
};

struct ech_tokenizer {
    uint64_t serial; /* of this process; an encoder knows by it whose scratch it holds */
    bool lower_first;
    bool by_chunk; /* text may be normalised and cut in chunks that end at ASCII spaces */
    bool whole;    /* the model's encode_text takes the text */
    struct ech_normalizer normalizer;
    struct ech_added added;
    struct ech_cutter cutter;
    const struct ech_model_ops *ops;
    void *model;
    struct ech_vocab vocab;       /* the model's tokens, unless its ops find them */
    struct ech_vocab added_vocab; /* added tokens, looked up first both ways */
    uint8_t *special;             /* of each id up to largest_id */
    size_t special_capacity;
    struct ech_post post;
    struct ech_decoder decoder; /* without steps: tokens joined with spaces */
    int32_t roles[ECH_TOKEN_ROLES];
    int32_t largest_id;
    const char *files[4];
};

/* Each fills a created tokenizer (no model yet); on failure the caller closes it. */
int ech_tokenizer_create(struct ech_tokenizer **out, struct ech_err *err);
int ech_tokenizer_from_json(struct ech_tokenizer *t, const char *name, const json_t *root,
                            struct ech_err *err);
int ech_tokenizer_from_vocab(struct ech_tokenizer *t, const char *folder, struct ech_err *err);
/* Roles from tokenizer_config.json and special_tokens_map.json where they lie in the folder; they join
 * t->files. */
int ech_tokenizer_read_roles(struct ech_tokenizer *t, const char *folder, struct ech_err *err);
/* Of a source: spm writes the dispatch and "llama", "t5"; these two are byte-level BPE and WordPiece. */
int ech_tokenizer_fill_bpe(struct ech_tokenizer *t, const char *name, const struct ech_vocab_source *source,
                           struct ech_err *err);
int ech_tokenizer_fill_wordpiece(struct ech_tokenizer *t, const char *name,
                                 const struct ech_vocab_source *source, struct ech_err *err);

/* All tokens of a source into t->vocab; control and user-defined ones are found in the text, too. */
int ech_tokenizer_source_tokens(struct ech_tokenizer *t, const char *name,
                                const struct ech_vocab_source *source, struct ech_err *err);

/* A token of the vocabulary, in t->vocab (a model keeps what else it needs by itself). */
int ech_tokenizer_add_piece(struct ech_tokenizer *t, const char *token, size_t bytes, int64_t id,
                            struct ech_err *err);
/* Ids 0 to count - 1 are tokens that the model's ops find. */
int ech_tokenizer_count_pieces(struct ech_tokenizer *t, size_t count, struct ech_err *err);
/* One that is found in the text before it is cut; in t->added_vocab too. The normaliser must be there. */
struct ech_token_flags {
    bool single_word, lstrip, rstrip, normalized, special;
};
int ech_tokenizer_add_token(struct ech_tokenizer *t, const char *token, size_t bytes, int64_t id,
                            struct ech_token_flags flags, struct ech_err *err);

/* tokenizer.json's "model" by type: each reads `part` into t->vocab, t->ops and t->model; the cutter is
 * there. A kind is one line of the table in json_model.c. */
int ech_json_model(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err);
int ech_json_wordpiece(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err);
int ech_json_bpe(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err);
int ech_json_unigram(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err);
/* An object of tokens and ids into t->vocab. */
int ech_json_vocab(struct ech_tokenizer *t, const char *name, const json_t *vocab, struct ech_err *err);

/* Its other parts. */
int ech_json_normalizer(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err);
int ech_json_cutter(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err);
int ech_json_post(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err);
int ech_json_decoder(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err);
int ech_json_decoder_wordpiece(struct ech_tokenizer *t, const char *prefix, bool cleanup,
                               struct ech_err *err);

/* Shared by the parts. The component's "type"; "(no type)" without one. Absent: missing or null. */
const char *ech_json_type(const json_t *part);
bool ech_json_absent(const json_t *part);
int ech_json_unknown(const char *name, const char *part, const json_t *component, struct ech_err *err);
/* A key of one character; `otherwise` NULL: it must be there. Borrowed. */
int ech_json_get_char(const json_t *part, const char *name, const char *key, const char *otherwise,
                      const char **out, struct ech_err *err);
/* "pattern": *regex, or *string where that is NULL. */
int ech_json_pattern(const json_t *part, const char *name, const char **string, struct ech_regex **regex,
                     struct ech_err *err);
int ech_json_replace(const json_t *part, const char *name, struct ech_replace **out, struct ech_err *err);
int ech_json_metaspace(const json_t *part, const char *name, const char **replacement,
                       enum ech_cut_prefix *prefix, struct ech_err *err);

#endif
