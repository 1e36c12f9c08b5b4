/* Batches of rows: see batch.h. */
#include "data/batch.h"

#include "base/mem.h"

int ech_batch_init(struct ech_batch *batch, int columns, struct ech_layout *layout, struct ech_writer *writer,
                   const struct ech_tally *expected, struct ech_err *err)
{
    size_t n = (size_t)columns;
    *batch = (struct ech_batch){.columns = columns, .layout = layout, .writer = writer, .expected = expected};
    batch->cells = ech_calloc(n, sizeof batch->cells[0], err);
    batch->before = ech_calloc(n, sizeof batch->before[0], err);
    batch->row = ech_calloc(n, sizeof batch->row[0], err);
    batch->sizes = ech_calloc(n * ECH_BATCH_ROWS, sizeof batch->sizes[0], err);
    if (batch->cells && batch->before && batch->row && batch->sizes)
        return ECH_OK;
    ech_batch_fini(batch);
    return ECH_UNAVAILABLE;
}

void ech_batch_fini(struct ech_batch *batch)
{
    for (int c = 0; batch->cells && c < batch->columns; c++)
        ech_str_fini(&batch->cells[c]);
    ech_free(batch->cells);
    ech_free(batch->before);
    ech_free(batch->row);
    ech_free(batch->sizes);
    *batch = (struct ech_batch){0};
}

static int changed(struct ech_err *err)
{
    return ech_fail(err, ECH_DATA,
                    "the source changed while it was imported (its rows differ between the two "
                    "passes): import it again when nobody writes to it");
}

static int flush(struct ech_batch *b, struct ech_err *err)
{
    int code = ECH_OK;
    for (int c = 0; c < b->columns; c++) {
        if (b->writer && b->rows > 0 && code == ECH_OK)
            code = ech_writer_append(b->writer, c, b->cells[c].data ? b->cells[c].data : "",
                                     b->sizes + (size_t)c * ECH_BATCH_ROWS, b->rows, err);
        ech_str_clear(&b->cells[c]);
        b->before[c] = 0;
    }
    b->rows = 0;
    return code;
}

int ech_batch_row(struct ech_batch *b, struct ech_err *err)
{
    size_t held = 0;
    int code = ECH_OK;
    for (int c = 0; c < b->columns && code == ECH_OK; c++) {
        code = ech_str_check(&b->cells[c], err);
        b->row[c] = b->cells[c].length - b->before[c];
        b->sizes[(size_t)c * ECH_BATCH_ROWS + (size_t)b->rows] = b->row[c];
        b->before[c] = b->cells[c].length;
        b->tally.bytes += (int64_t)b->row[c];
        b->tally.trace = (b->tally.trace ^ b->row[c]) * 0x9E3779B97F4A7C15u + 1;
        held += b->cells[c].length;
    }
    if (code == ECH_OK && b->layout)
        code = ech_layout_add(b->layout, b->row, err);
    if (code != ECH_OK)
        return code;
    b->rows++;
    b->tally.rows++;
    if (b->expected && (b->tally.rows > b->expected->rows || b->tally.bytes > b->expected->bytes))
        return changed(err);
    return held >= ECH_BATCH_BYTES || b->rows == ECH_BATCH_ROWS ? flush(b, err) : ECH_OK;
}

void ech_batch_drop_row(struct ech_batch *b)
{
    for (int c = 0; c < b->columns; c++)
        if (!b->cells[c].failed)
            b->cells[c].length = b->before[c];
}

int ech_batch_finish(struct ech_batch *b, struct ech_err *err)
{
    if (b->expected && (b->tally.rows != b->expected->rows || b->tally.bytes != b->expected->bytes ||
                        b->tally.trace != b->expected->trace))
        return changed(err);
    return flush(b, err);
}
