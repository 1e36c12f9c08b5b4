/* Between verbs.c (table, import, export, append) and verbs_read.c (show, head, verify). */
#ifndef ECH_DATA_VERBS_INTERNAL_H
#define ECH_DATA_VERBS_INTERNAL_H

#include "base/verb.h"

/* Calls   Collective; the call's context is the struct ech_comm. */
int ech_verb_show(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err);
int ech_verb_head(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err);
int ech_verb_verify(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err);
/* Names of columns "a,b,c": *names into *copy; both the caller's. */
int ech_verb_names(const char *list, char **copy, const char ***names, int *count, struct ech_err *err);

#endif
