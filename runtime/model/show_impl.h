/* Between the pages of `model show`. */
#ifndef ECH_MODEL_SHOW_IMPL_H
#define ECH_MODEL_SHOW_IMPL_H

#include "model/lm.h"
#include "model/show.h"
#include "model/weights.h"

/* The page of any file; lm: what it takes as a language model, NULL: as far as the file says. */
int ech_show_file(const struct ech_weights *weights, const struct ech_lm *lm, const char *path,
                  const struct ech_show_options *options, struct ech_str *out, struct ech_err *err);
/* Every value of every tensor: a line for each that holds what is not finite, then ECH_DATA. */
int ech_check_values(const struct ech_weights *weights, struct ech_str *out, struct ech_err *err);
/* The line that says that all is well; tokens of the tokenizer, 0: unknown. */
void ech_check_passed(const struct ech_weights *weights, bool tokenizer, int64_t tokens, struct ech_str *out);
/* In show_tokenizer.c: one in the file or beside it; a line about it; opening it (*tokens 0: there is none,
 * or it is opened elsewhere). Errors of the last  ECH_DATA also where it has more tokens than the model (0:
 * unknown). */
bool ech_show_has_tokenizer(const struct ech_weights *weights);
void ech_show_tokenizer(const struct ech_weights *weights, struct ech_str *out);
int ech_check_tokenizer(const struct ech_weights *weights, int64_t vocab_size, int64_t *tokens,
                        struct ech_err *err);

#endif
