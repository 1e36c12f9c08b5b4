/* Between verbs.c (table, command lines, import, export, append) and verbs_read.c (show, head, verify). */
#ifndef ECH_DATA_VERBS_INTERNAL_H
#define ECH_DATA_VERBS_INTERNAL_H

#include "comm/comm.h"

#include <stdio.h>

/* Every option of any verb; a verb names those it takes. */
enum ech_data_option {
    ECH_OPT_FORMAT,
    ECH_OPT_COLUMNS,
    ECH_OPT_NO_HEADER,
    ECH_OPT_DELIMITER,
    ECH_OPT_SHARD_BYTES,
    ECH_OPT_ROW_BYTES,
    ECH_OPT_INVALID,
    ECH_OPT_REPLACE,
    ECH_OPT_ROWS,
    ECH_OPT_COUNT,
    ECH_OPT_JSON,
    ECH_OPT_HELP,
    ECH_OPTIONS
};

struct ech_verb_args {
    const char *values[ECH_OPTIONS]; /* NULL: not given; "" for a switch */
    const char **names;              /* what is no option, in order */
    int name_count;
};

int ech_verb_show(const struct ech_verb_args *args, struct ech_comm *comm, FILE *out, struct ech_err *err);
int ech_verb_head(const struct ech_verb_args *args, struct ech_comm *comm, FILE *out, struct ech_err *err);
int ech_verb_verify(const struct ech_verb_args *args, struct ech_comm *comm, FILE *out, struct ech_err *err);
/* Names of columns "a,b,c": *names into *copy; both the caller's. */
int ech_verb_names(const char *list, char **copy, const char ***names, int *count, struct ech_err *err);

#endif
