/* Pure decisions of verify and seal: which rank reads which spool file, which record gives which row. */
#ifndef ECH_JOB_SEAL_COVER_H
#define ECH_JOB_SEAL_COVER_H

#include "job/spool.h"

/* owner[file] = rank: the largest file first, each to the rank with the least bytes so far (of equals the
 * lowest rank). O(files x log ranks). */
int ech_deal_files(const int64_t *bytes, int32_t files, int size, int32_t *owner, struct ech_err *err);

/* Order of an index: (first, attempt, file, offset). */
void ech_spool_index_sort(struct ech_spool_index *index);

/* Consecutive rows that one record gives. */
struct ech_piece {
    int64_t first, rows;
    size_t entry; /* in the index */
};
struct ech_cover {
    struct ech_piece *pieces; /* in order, without gaps */
    size_t count, capacity;
};
void ech_cover_fini(struct ech_cover *cover);
/* Pieces for rows [first, end) from a sorted index; where records overlap, the one with the lowest (attempt,
 * file, offset) counts. O(records x log overlap). ECH_DATA: names the first row that no record holds. */
int ech_cover_rows(const struct ech_spool_index *index, int64_t first, int64_t end, struct ech_cover *out,
                   struct ech_err *err);

/* Own rows of rank `rank` of `size`: [first, end). */
static inline int64_t ech_slice_first(int64_t rows, int rank, int size)
{
    return rows / size * rank + rows % size * rank / size;
}

#endif
