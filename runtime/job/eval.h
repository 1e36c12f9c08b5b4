/* What `echelon eval` measures, one function a sub-verb (see base/verb.h). */
#ifndef ECH_JOB_EVAL_H
#define ECH_JOB_EVAL_H

#include "base/verb.h"

int ech_eval_choice(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err);
int ech_eval_perplexity(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err);
/* Name of a precision to compute in (NULL: auto). ECH_USAGE: none of that name. */
int ech_eval_precision(const char *name, int *out, struct ech_err *err);

#endif
