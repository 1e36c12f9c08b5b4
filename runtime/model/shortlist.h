/* Marian's binary lexical shortlist: which words of the target may translate a word of the source. Little
 * endian, u64 unless said:
 *
 *   magic F11A48D5013417F5, checksum of the rest (its function is not known here: not checked), first (words
 * 0 .. first - 1 are always there), best (at most so many a word), offsets (source words + 1), ids; the
 * offsets, ascending, from 0 to ids; the ids, u32 each, of one source word after the other; the end of the
 * file
 *
 * The words of a sentence follow from its own ids alone, whatever else is translated beside it. */
#ifndef ECH_MODEL_SHORTLIST_H
#define ECH_MODEL_SHORTLIST_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct ech_shortlist;

/* `path`: for messages. `data` is copied where it is needed. Words of the source and of the target: what the
 * model has; ids must be below.
 * Errors  ECH_DATA: what is wrong, with its place; ECH_UNAVAILABLE: memory. */
int ech_shortlist_parse(const char *path, const void *data, size_t bytes, int64_t source_words,
                        int64_t target_words, struct ech_shortlist **out, struct ech_err *err);
/* The same of a file. Errors  ECH_NOINPUT: it is not there. */
int ech_shortlist_open(const char *path, int64_t source_words, int64_t target_words,
                       struct ech_shortlist **out, struct ech_err *err);
void ech_shortlist_close(struct ech_shortlist *shortlist);

/* The first words and those of each id (ids outside of the list have none), ascending, each once; then the
 * lowest others from `first` on until there are a multiple of 8, or all. One thread at a time.
 * Owner   *out: the caller's, ech_free. */
int ech_shortlist_words(struct ech_shortlist *shortlist, const int32_t *ids, int64_t count, int32_t **out,
                        int64_t *out_count, struct ech_err *err);

#endif
