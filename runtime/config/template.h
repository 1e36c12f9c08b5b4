/* input.template: "{title} {text}" cut into literals and columns. "{{" and "}}" are single braces. */
#ifndef ECH_CONFIG_TEMPLATE_H
#define ECH_CONFIG_TEMPLATE_H

#include "base/err.h"

struct ech_template_part {
    char *text; /* the literal, or the column's name */
    bool column;
};

struct ech_template {
    struct ech_template_part *parts;
    int count;
};

/* Owner   the caller, ech_template_fini.
 * Errors  ECH_CONFIG: a brace without its partner, an empty or impossible name, no column at all (the text
 *         says at which character). */
int ech_template_parse(const char *text, struct ech_template *out, struct ech_err *err);
void ech_template_fini(struct ech_template *template_);

/* [A-Za-z_][A-Za-z0-9_.-]*, at most 63 bytes: what a column may be called. */
bool ech_column_word(const char *text, size_t bytes);

#endif
