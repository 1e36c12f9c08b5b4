/* Inside of a tokenizer, for the files that fill it. */
#ifndef ECH_TEXT_TOKENIZER_IMPL_H
#define ECH_TEXT_TOKENIZER_IMPL_H

#include "text/added.h"
#include "text/normalize.h"
#include "text/tokenizer.h"
#include "text/wordpiece.h"

#include <jansson.h>

enum { ECH_TEMPLATE_MOST = 16, ECH_WORD_CHARS_MOST = 4096 };
enum ech_tokenizer_kind { ECH_TOKENS_WORDPIECE };

struct ech_tokenizer {
    bool lower_first, normalized;
    struct ech_normalizer normalizer;
    struct ech_added added;
    enum ech_tokenizer_kind model;
    struct ech_wordpiece pieces;
    int32_t before[ECH_TEMPLATE_MOST], after[ECH_TEMPLATE_MOST];
    int64_t before_count, after_count;
    int32_t largest_id;
    const char *files[4];
};

/* Each fills a zeroed tokenizer; on failure the caller closes it. */
int ech_tokenizer_from_json(struct ech_tokenizer *t, const char *name, const json_t *root,
                            struct ech_err *err);
int ech_tokenizer_from_vocab(struct ech_tokenizer *t, const char *folder, struct ech_err *err);
/* A token of the vocabulary, and one found in the text. */
int ech_tokenizer_add_piece(struct ech_tokenizer *t, const char *token, size_t bytes, int64_t id,
                            struct ech_err *err);
int ech_tokenizer_add_token(struct ech_tokenizer *t, const char *token, int64_t id, bool normalized,
                            struct ech_added_token flags, struct ech_err *err);

#endif
