/* The normaliser components of tokenizer.json but BertNormalizer and Precompiled: each fills a step. */
#ifndef ECH_TEXT_NORMAL_STEPS_H
#define ECH_TEXT_NORMAL_STEPS_H

#include "text/normal.h"

struct ech_regex;

enum ech_unicode_form { ECH_FORM_NFC, ECH_FORM_NFD, ECH_FORM_NFKC, ECH_FORM_NFKD };

struct ech_normal_step ech_step_unicode(enum ech_unicode_form form);
struct ech_normal_step ech_step_lowercase(void);
struct ech_normal_step ech_step_strip_accents(void);
struct ech_normal_step ech_step_strip(bool left, bool right);
struct ech_normal_step ech_step_nmt(void);
struct ech_normal_step ech_step_letters(void); /* bytes as letters */
int ech_step_prepend(const char *text, struct ech_normal_step *out, struct ech_err *err);

/* What stands for matches of a pattern. Both kinds of pattern: `string`, or `regex` (moves in, also on
 * failure) where it is not NULL. Shared with the decoders. */
struct ech_replace {
    char *string, *content;
    size_t string_bytes, content_bytes;
    struct ech_regex *regex;
};
int ech_replace_create(const char *string, struct ech_regex *regex, const char *content,
                       struct ech_replace **out, struct ech_err *err);
void ech_replace_destroy(void *replace);
/* Append the text with its matches replaced through `put`; *front_gone (may be NULL) as normal.h says. */
struct ech_replace_out {
    int (*put)(void *to, const void *text, size_t bytes, struct ech_err *err);
    void *to;
    struct ech_regex_scratch **regex;
    bool *front_gone;
};
int ech_replace_run(const struct ech_replace *replace, const unsigned char *text, size_t bytes,
                    const struct ech_replace_out *out, struct ech_err *err);
/* The step owns `replace`. */
struct ech_normal_step ech_step_replace(struct ech_replace *replace);

#endif
