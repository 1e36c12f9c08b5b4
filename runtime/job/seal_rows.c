/* Where a sealed row comes from: see seal_rows.h. */
#include "job/seal_rows.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"
#include "job/spool_io.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

static int make_columns(struct ech_seal_rows *r, struct ech_err *err)
{
    const struct ech_seal_job *job = r->job;
    r->count = job->keep_count + job->head->columns_count;
    if (r->count > ECH_COLUMNS_MAX)
        return ech_fail(err, ECH_CONFIG, "the output would have %d columns, a dataset holds at most %d",
                        r->count, ECH_COLUMNS_MAX);
    r->columns = ech_calloc((size_t)r->count, sizeof *r->columns, err);
    if (!r->columns)
        return ECH_UNAVAILABLE;
    for (int i = 0; i < job->keep_count; i++)
        r->columns[i] = *ech_dataset_column(job->input, job->keep[i]);
    for (int i = 0; i < job->head->columns_count; i++)
        r->columns[job->keep_count + i] = job->head->columns[i];
    if (job->keep_count > 0 && ech_dataset_rows(job->input) < job->rows)
        return ech_fail(err, ECH_DATA, "%s has %" PRId64 " rows, the job was started with %" PRId64,
                        ech_dataset_path(job->input), ech_dataset_rows(job->input), job->rows);
    return ECH_OK;
}

int ech_seal_rows_open(const struct ech_seal_job *job, int64_t first, int64_t end, struct ech_seal_rows *out,
                       struct ech_err *err)
{
    struct ech_seal_rows r = {.job = job, .first = first, .end = end};
    for (int i = 0; i < ECH_SEAL_OPEN_FILES; i++)
        r.open[i].fd = -1;
    int code = make_columns(&r, err);
    if (code == ECH_OK)
        code = ech_cover_rows(job->index, first, end, &r.cover, err);
    if (code == ECH_OK)
        *out = r;
    else
        ech_seal_rows_close(&r);
    return code;
}

void ech_seal_rows_close(struct ech_seal_rows *r)
{
    for (int i = 0; r->job && i < ECH_SEAL_OPEN_FILES; i++)
        if (r->open[i].fd >= 0)
            close(r->open[i].fd);
    ech_cover_fini(&r->cover);
    ech_free(r->columns);
    *r = (struct ech_seal_rows){0};
}

/* A spool file's descriptor; another file with the same place in the table is closed for it. */
static int file_of(struct ech_seal_rows *r, int32_t file, int *fd, struct ech_err *err)
{
    int at = file % ECH_SEAL_OPEN_FILES;
    if (r->open[at].fd >= 0 && r->open[at].file != file) {
        close(r->open[at].fd);
        r->open[at].fd = -1;
    }
    if (r->open[at].fd < 0) {
        int code = ech_open(r->job->files->paths[file], O_RDONLY, &r->open[at].fd, err);
        if (code != ECH_OK) {
            r->open[at].fd = -1;
            return code;
        }
        r->open[at].file = file;
    }
    *fd = r->open[at].fd;
    return ECH_OK;
}

/* The piece that holds `row` (one of the own rows). */
static size_t find_piece(const struct ech_cover *cover, int64_t row)
{
    size_t low = 0, high = cover->count;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (cover->pieces[middle].first <= row)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Walk the pieces over some rows of a produced column: their sizes, or (sizes NULL) their bytes. */
static int from_spools(struct ech_seal_rows *r, int column, int64_t first, int64_t count, uint64_t *sizes,
                       struct ech_cells *cells, struct ech_err *err)
{
    int code = ECH_OK;
    size_t at = count > 0 ? find_piece(&r->cover, first) : 0;
    for (int64_t row = first, rows; code == ECH_OK && row < first + count; row += rows, at++) {
        const struct ech_piece *piece = &r->cover.pieces[at];
        const struct ech_spool_entry *entry = &r->job->index->entries[piece->entry];
        struct ech_spool_want want = {
            .path = r->job->files->paths[entry->file], .column = column, .first = row};
        rows = want.rows = ech_min64(piece->first + piece->rows, first + count) - row;
        code = file_of(r, entry->file, &want.fd, err);
        if (code == ECH_OK && sizes)
            code = ech_spool_sizes(r->job->head, entry, &want, sizes + (row - first), err);
        else if (code == ECH_OK)
            code = ech_spool_read(want.fd, want.path, r->job->head, entry, column, row, rows, cells, err);
    }
    return code;
}

int ech_seal_rows_sizes(struct ech_seal_rows *r, int column, int64_t first, int64_t count, uint64_t *sizes,
                        struct ech_err *err)
{
    int64_t row_bytes = ech_column_row_bytes(&r->columns[column]);
    for (int64_t i = 0; row_bytes >= 0 && i < count; i++)
        sizes[i] = (uint64_t)row_bytes;
    if (row_bytes >= 0)
        return ECH_OK;
    if (column < r->job->keep_count)
        return ech_dataset_row_sizes(r->job->input, r->job->keep[column], first, count, sizes, err);
    return from_spools(r, column - r->job->keep_count, first, count, sizes, NULL, err);
}

int ech_seal_rows_read(struct ech_seal_rows *r, int column, int64_t first, int64_t count,
                       struct ech_cells *cells, struct ech_err *err)
{
    if (column < r->job->keep_count)
        return ech_dataset_read(r->job->input, r->job->keep[column], first, count, cells, err);
    int code = ech_cells_reset(cells, err);
    return code == ECH_OK ? from_spools(r, column - r->job->keep_count, first, count, NULL, cells, err)
                          : code;
}
