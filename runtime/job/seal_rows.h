/* The rows that one rank seals, column by column: kept columns from the input dataset, produced ones from the
 * spool records that cover them. Local; a bounded number of spool files is open at a time. */
#ifndef ECH_JOB_SEAL_ROWS_H
#define ECH_JOB_SEAL_ROWS_H

#include "job/seal.h"
#include "job/seal_cover.h"

enum { ECH_SEAL_OPEN_FILES = 64, ECH_SEAL_SLICE_BYTES = 8 << 20, ECH_SEAL_SLICE_ROWS = 1 << 15 };

struct ech_seal_rows {
    const struct ech_seal_job *job;
    int64_t first, end; /* own rows */
    struct ech_cover cover;
    struct ech_column *columns; /* of the output: kept, then produced */
    int count;
    struct {
        int fd; /* -1: none */
        int32_t file;
    } open[ECH_SEAL_OPEN_FILES];
};
int ech_seal_rows_open(const struct ech_seal_job *job, int64_t first, int64_t end, struct ech_seal_rows *out,
                       struct ech_err *err);
void ech_seal_rows_close(struct ech_seal_rows *rows);
/* Bytes of rows [first, first + count) of an output column into sizes[count]. */
int ech_seal_rows_sizes(struct ech_seal_rows *rows, int column, int64_t first, int64_t count, uint64_t *sizes,
                        struct ech_err *err);
/* The rows themselves; cells is reused. */
int ech_seal_rows_read(struct ech_seal_rows *rows, int column, int64_t first, int64_t count,
                       struct ech_cells *cells, struct ech_err *err);

#endif
