/* Between the pages of `model show`. */
#ifndef ECH_MODEL_SHOW_IMPL_H
#define ECH_MODEL_SHOW_IMPL_H

#include "model/show.h"
#include "model/weights.h"

/* The page of any file. */
int ech_show_file(const struct ech_weights *weights, const char *path, const struct ech_show_options *options,
                  struct ech_str *out, struct ech_err *err);
/* Every value of every tensor; what is not finite is named. */
int ech_check_file(const struct ech_weights *weights, bool tokenizer, struct ech_str *out,
                   struct ech_err *err);
bool ech_show_has_tokenizer(const struct ech_weights *weights);

#endif
