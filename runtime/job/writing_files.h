/* What the files of a model say beside its weights: tokenizers, tokens that end a text, forced and banned
 * ones, the chat template, and which files all that came from. */
#ifndef ECH_JOB_WRITING_FILES_H
#define ECH_JOB_WRITING_FILES_H

#include "job/writing.h"

/* Fills tokenizers, rules, start, chat_template, folder, from and files; the decoder is loaded. `named`: the
 * model's path in the job, where it is read from a copy; else NULL.
 * Errors  ECH_NOINPUT: no tokenizer; ECH_DATA: malformed. */
int ech_writing_files(struct ech_writing *writing, const char *named, struct ech_err *err);

/* A file of the model's folder by the start and the end of its name; the first of several. */
bool ech_writing_find(const struct ech_writing *writing, const char *start, const char *end, char out[256]);
/* One more file joins those that the model is (its content is part of the job's identity): one of its folder,
 * or, `user`, any path. *path: where it is read (owner: caller). Errors  ECH_NOINPUT: it is not there. */
int ech_writing_take(struct ech_writing *writing, const char *name, bool user, char **path,
                     struct ech_err *err);

#endif
