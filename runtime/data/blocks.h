/* Rows of several columns of a dataset, read in blocks of bounded size: what export, head and verify walk
 * over. Memory: ECH_BLOCK_BYTES and one row. */
#ifndef ECH_DATA_BLOCKS_H
#define ECH_DATA_BLOCKS_H

#include "data/dataset.h"

enum { ECH_BLOCK_BYTES = 4 << 20, ECH_BLOCK_ROWS = 1024 };

struct ech_blocks {
    const struct ech_dataset *ds;
    const int *columns; /* indices in the dataset; borrowed */
    int column_count;
    int64_t next, end;       /* rows not read yet */
    struct ech_cells *cells; /* the block, one entry a column */
    int64_t first, rows;     /* of the block */
    uint64_t *sizes, *total;
};

/* ds, columns, column_count, next and end are set by the caller. */
int ech_blocks_open(struct ech_blocks *blocks, struct ech_err *err);
/* The next block: rows > 0, or 0 at the end. */
int ech_blocks_next(struct ech_blocks *blocks, struct ech_err *err);
void ech_blocks_close(struct ech_blocks *blocks);
/* A cell of the block: column and row counted in the block. */
static inline const unsigned char *ech_blocks_cell(const struct ech_blocks *b, int column, int64_t row,
                                                   size_t *bytes)
{
    const struct ech_cells *cells = &b->cells[column];
    *bytes = (size_t)(cells->offsets[row + 1] - cells->offsets[row]);
    return cells->bytes + cells->offsets[row];
}

#endif
