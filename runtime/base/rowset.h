/* A set of rows as sorted, disjoint, non-touching ranges [first, end). Grows with the number of gaps, not of
 * rows. Used for what is done, what is left, and what a spool holds. */
#ifndef ECH_BASE_ROWSET_H
#define ECH_BASE_ROWSET_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct ech_range {
    int64_t first, end;
};

struct ech_rowset {
    struct ech_range *ranges;
    size_t count, capacity;
    int64_t rows; /* members */
};

void ech_rowset_init(struct ech_rowset *set);
void ech_rowset_fini(struct ech_rowset *set);
/* Add [first, end); an empty range is success. *added (may be NULL): rows that were not in the set. */
int ech_rowset_add(struct ech_rowset *set, int64_t first, int64_t end, int64_t *added, struct ech_err *err);
int ech_rowset_remove(struct ech_rowset *set, int64_t first, int64_t end, struct ech_err *err);
bool ech_rowset_has(const struct ech_rowset *set, int64_t first, int64_t end); /* all of it */
/* First gap of the set within [from, end): false where there is none. */
bool ech_rowset_gap(const struct ech_rowset *set, int64_t from, int64_t end, struct ech_range *gap);
/* Take up to `most` rows from the front; false where the set is empty. */
bool ech_rowset_take(struct ech_rowset *set, int64_t most, struct ech_range *out);

#endif
