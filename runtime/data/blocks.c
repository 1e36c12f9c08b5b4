/* Blocks of rows: see blocks.h. */
#include "data/blocks.h"

#include "base/mem.h"
#include "base/num.h"

#include <string.h>

int ech_blocks_open(struct ech_blocks *b, struct ech_err *err)
{
    b->first = b->next;
    b->cells = ech_calloc((size_t)b->column_count, sizeof b->cells[0], err);
    b->sizes = ech_calloc(ECH_BLOCK_ROWS, sizeof b->sizes[0], err);
    b->total = ech_calloc(ECH_BLOCK_ROWS, sizeof b->total[0], err);
    if (b->cells && b->sizes && b->total)
        return ECH_OK;
    ech_blocks_close(b);
    return ECH_UNAVAILABLE;
}

void ech_blocks_close(struct ech_blocks *b)
{
    for (int c = 0; b->cells && c < b->column_count; c++)
        ech_cells_fini(&b->cells[c]);
    ech_free(b->cells);
    ech_free(b->sizes);
    ech_free(b->total);
    *b = (struct ech_blocks){0};
}

/* How many of the next rows make a block. */
static int choose(struct ech_blocks *b, int64_t *rows, struct ech_err *err)
{
    int64_t most = ech_min64(b->end - b->next, ECH_BLOCK_ROWS), n = 0;
    uint64_t sum = 0;
    memset(b->total, 0, (size_t)most * sizeof b->total[0]);
    for (int c = 0; c < b->column_count; c++) {
        int code = ech_dataset_row_sizes(b->ds, b->columns[c], b->next, most, b->sizes, err);
        if (code != ECH_OK)
            return code;
        for (int64_t i = 0; i < most; i++)
            b->total[i] += b->sizes[i];
    }
    while (n < most && (n == 0 || sum + b->total[n] <= ECH_BLOCK_BYTES))
        sum += b->total[n++];
    *rows = n;
    return ECH_OK;
}

int ech_blocks_next(struct ech_blocks *b, struct ech_err *err)
{
    b->first = b->next;
    b->rows = 0;
    if (b->next >= b->end)
        return ECH_OK;
    int64_t rows;
    int code = choose(b, &rows, err);
    for (int c = 0; c < b->column_count && code == ECH_OK; c++)
        code = ech_dataset_read(b->ds, b->columns[c], b->next, rows, &b->cells[c], err);
    if (code != ECH_OK)
        return code;
    b->rows = rows;
    b->next += rows;
    return ECH_OK;
}
