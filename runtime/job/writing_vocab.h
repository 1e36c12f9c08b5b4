/* Vocabularies that lie beside a sentencepiece file and number its pieces: Hugging Face's vocab.json, the
 * lists of CTranslate2. */
#ifndef ECH_JOB_WRITING_VOCAB_H
#define ECH_JOB_WRITING_VOCAB_H

#include "base/err.h"
#include "text/vocab_source.h"

#include <jansson.h>

struct ech_token_list {
    struct ech_vocab_text *tokens; /* by id; text NULL: none */
    size_t count;
    char *text; /* what they point into */
    json_t *json;
};

/* A file of a token a line (names that end with .txt), or of JSON: a list of tokens, or an object of tokens
 * and their ids. Errors  ECH_DATA: anything else. */
int ech_token_list_read(const char *path, struct ech_token_list *out, struct ech_err *err);
void ech_token_list_fini(struct ech_token_list *list);

#endif
