/* Rows gathered by column until they are worth a write. The same calls serve both passes of an import: with a
 * layout they only count, with a writer they write. Memory: ECH_BATCH_BYTES and one row. */
#ifndef ECH_DATA_BATCH_H
#define ECH_DATA_BATCH_H

#include "base/str.h"
#include "data/writer.h"

enum { ECH_BATCH_BYTES = 4 << 20, ECH_BATCH_ROWS = 4096 };

/* What a pass has seen; equal for both passes unless the source changed in between. */
struct ech_tally {
    int64_t rows, bytes;
    uint64_t trace; /* of the sizes, in order */
};

struct ech_batch {
    int columns;
    struct ech_str *cells; /* append a row's bytes here, column by column, then ech_batch_row */
    size_t *before;        /* lengths at the end of the last row */
    uint64_t *sizes;       /* [columns][ECH_BATCH_ROWS] */
    uint64_t *row;         /* sizes of one row */
    int64_t rows;          /* gathered */
    struct ech_layout *layout;
    struct ech_writer *writer;
    struct ech_tally tally;
    const struct ech_tally *expected; /* of the first pass, or NULL */
};

/* layout or writer is NULL; both and expected are borrowed. */
int ech_batch_init(struct ech_batch *batch, int columns, struct ech_layout *layout, struct ech_writer *writer,
                   const struct ech_tally *expected, struct ech_err *err);
void ech_batch_fini(struct ech_batch *batch);
/* What the cells grew by since the last call is one row. Errors: ECH_DATA more than expected. */
int ech_batch_row(struct ech_batch *batch, struct ech_err *err);
void ech_batch_drop_row(struct ech_batch *batch); /* forget what the cells grew by */
/* The end of the rows. Errors: ECH_DATA where the tally is not the expected one. */
int ech_batch_finish(struct ech_batch *batch, struct ech_err *err);

#endif
