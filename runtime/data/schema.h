/* Which columns an import takes and of which type: what was asked for, what the rows were seen to hold, and
 * what follows from both. Pure but for the merge over ranks. What was seen is a set of kinds, so the result
 * does not depend on the order or the number of ranks. */
#ifndef ECH_DATA_SCHEMA_H
#define ECH_DATA_SCHEMA_H

#include "comm/comm.h"
#include "data/column.h"
#include "data/jsonl.h"

enum { ECH_SOURCE_MAX = 256 };

/* A column that is asked for: "name", "name=source", "name:type". */
struct ech_want {
    char source[ECH_SOURCE_MAX]; /* key or header name in the file */
    struct ech_column column;    /* name always; type and dtype if typed, dim if sized */
    bool typed, sized;
};

/* Parse "id,score:f32,vector:f16[384],tags:ints[],title=Review Title:text".
 * Types: text, json, ints, f16, f32, f64, tensor (= f32); [n] values a row, [] ragged.
 * wants: room for ECH_COLUMNS_MAX. Errors: ECH_USAGE. */
int ech_wants_parse(const char *text, struct ech_want *wants, int *count, struct ech_err *err);

/* What the rows hold under one name. */
struct ech_seen {
    char name[ECH_NAME_MAX];
    unsigned kinds;      /* bits 1 << enum ech_jkind; 0: never */
    unsigned big;        /* an integer beyond int64 */
    int64_t least, most; /* values of the arrays */
};

struct ech_survey {
    struct ech_seen *seen;
    size_t count, capacity;
};
void ech_survey_fini(struct ech_survey *survey);
/* Index of a name, found or added at the end. hint: where it probably is. */
int ech_survey_find(struct ech_survey *survey, const char *name, size_t hint, size_t *index,
                    struct ech_err *err);
void ech_seen_add(struct ech_seen *seen, const struct ech_jvalue *value);
void ech_seen_merge(struct ech_seen *into, const struct ech_seen *more);
/* Every rank's survey becomes the one of all, names in the order of the rows.
 * Calls   Collective. Cost: one struct ech_seen a name and rank on each rank. */
int ech_survey_agree(struct ech_comm *comm, struct ech_survey *survey, struct ech_err *err);

/* The type that holds all that was seen. want NULL: nothing was asked. Pure. */
struct ech_column ech_column_resolve(const struct ech_want *want, const struct ech_seen *seen);

#endif
