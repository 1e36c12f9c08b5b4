/* Regular expressions of tokenizer.json: PCRE2 with the dialect of the reference (Oniguruma) put into its own
 * words. What the two read differently and cannot be said in the other's words is an error that names it. */
#ifndef ECH_TEXT_REGEX_H
#define ECH_TEXT_REGEX_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

struct ech_regex;
struct ech_regex_scratch; /* one thread's memory for any of them */

/* Errors  ECH_DATA: not a regular expression, or a construct that is not supported. */
int ech_regex_create(const char *pattern, struct ech_regex **out, struct ech_err *err);
void ech_regex_destroy(struct ech_regex *regex);
/* The pattern in PCRE2's words. */
int ech_regex_translate(const char *pattern, struct ech_str *out, struct ech_err *err);

void ech_regex_scratch_destroy(struct ech_regex_scratch *scratch);

/* One walk over the matches of a text: set text and bytes, zero the rest. */
struct ech_regex_walk {
    const unsigned char *text;
    size_t bytes;
    size_t at, last_end; /* where to search next; end of the last match */
    bool matched;
    size_t start, end; /* the match */
};
/* The next match; an empty one is not taken right behind another match. *scratch is made when needed.
 * Errors  ECH_DATA: the text drives the pattern beyond its limit of steps; memory. */
int ech_regex_next(const struct ech_regex *regex, struct ech_regex_scratch **scratch,
                   struct ech_regex_walk *walk, bool *found, struct ech_err *err);

#endif
