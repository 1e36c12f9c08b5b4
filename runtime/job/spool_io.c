/* Spool files on disk: scanning through one buffer, and reading rows of a record back. */
#include "base/io.h"
#include "base/mem.h"
#include "comm/watchdog.h"
#include "job/spool_format.h"
#include "job/spool_io.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WINDOW = 1 << 20, LENGTHS = 512 };

struct window {
    int fd;
    const char *path;
    uint64_t bytes;         /* of the file */
    uint64_t offset, count; /* what the buffer holds */
    unsigned char *buffer;
};

static int view_file(void *context, uint64_t offset, size_t least, const unsigned char **data, size_t *got,
                     struct ech_err *err)
{
    struct window *w = context;
    if (offset < w->offset || offset + least > w->offset + w->count) {
        uint64_t left = w->bytes - offset, count = left < WINDOW ? left : WINDOW;
        w->count = 0;
        int code = ech_pread_all(w->fd, w->path, w->buffer, (size_t)count, (int64_t)offset, err);
        if (code != ECH_OK)
            return code;
        w->offset = offset;
        w->count = count;
        ech_watchdog_beat(); /* a spool may be large */
    }
    *data = w->buffer + (offset - w->offset);
    *got = (size_t)(w->count - (offset - w->offset));
    return ECH_OK;
}

static int file_bytes(int fd, const char *path, uint64_t *bytes, struct ech_err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return ech_fail(err, ECH_DATA, "%s is not a regular file, a spool was expected", path);
    *bytes = (uint64_t)st.st_size;
    return ECH_OK;
}

int ech_spool_scan(const char *path, const struct ech_spool_head *expected, int32_t file,
                   struct ech_spool_index *index, struct ech_err *err)
{
    struct window w = {.path = path};
    struct ech_spool_source source = {.name = path, .context = &w, .view = view_file};
    int code = ech_open(path, O_RDONLY | O_NONBLOCK, &w.fd, err);
    if (code != ECH_OK)
        return code;
    code = file_bytes(w.fd, path, &w.bytes, err);
    source.bytes = w.bytes;
    if (code == ECH_OK && !(w.buffer = ech_alloc_aligned(WINDOW, err)))
        code = ECH_UNAVAILABLE;
    if (code == ECH_OK)
        code = ech_spool_scan_source(&source, expected, file, index, err);
    ech_free(w.buffer);
    close(w.fd);
    return code;
}

/* One column of one record: where it lies, and which of its rows are wanted. */
struct place {
    int fd;
    const char *path, *column;
    int64_t row_bytes;   /* -1 ragged */
    uint64_t at, bytes;  /* of the column in the file */
    int64_t record_rows; /* of the record */
    int64_t skip, rows;  /* wanted: rows behind the first `skip` */
};

static int damaged(const char *path, const struct ech_spool_entry *entry, const char *what,
                   struct ech_err *err)
{
    return ech_fail(err, ECH_DATA,
                    "%s: the record at byte %" PRIu64 " (rows %" PRId64 " to %" PRId64
                    ") %s since it was checked: resume the run",
                    path, entry->offset, entry->first, entry->first + entry->rows - 1, what);
}

static int locate(const struct ech_spool_head *head, const struct ech_spool_entry *entry,
                  const struct ech_spool_want *want, struct place *place, struct ech_err *err)
{
    unsigned char data[ECH_RECORD_HEAD_MAX];
    size_t head_bytes = ech_record_head_bytes(head->columns_count);
    struct ech_spool_record record;
    uint64_t size = 0;
    int64_t ahead = want->first - entry->first;
    if (want->column < 0 || want->column >= head->columns_count || ahead < 0 || want->rows < 0 ||
        ahead > entry->rows || want->rows > entry->rows - ahead)
        return ech_fail(err, ECH_BUG, "%s: rows %" PRId64 " + %" PRId64 " of column %d are not in a record",
                        want->path, want->first, want->rows, want->column);
    int code = file_bytes(want->fd, want->path, &size, err);
    if (code == ECH_OK && (entry->offset > size || size - entry->offset < head_bytes))
        code = damaged(want->path, entry, "was cut off", err);
    if (code == ECH_OK)
        code = ech_pread_all(want->fd, want->path, data, head_bytes, (int64_t)entry->offset, err);
    if (code != ECH_OK)
        return code;
    if (!ech_spool_parse_record(data, head, &record) || record.first != entry->first ||
        record.rows != entry->rows || record.payload > size - entry->offset - head_bytes)
        return damaged(want->path, entry, "has changed", err);
    uint64_t at = entry->offset + head_bytes;
    for (int c = 0; c < want->column; c++)
        at += record.column_bytes[c];
    *place = (struct place){.fd = want->fd,
                            .path = want->path,
                            .column = head->columns[want->column].name,
                            .row_bytes = ech_column_row_bytes(&head->columns[want->column]),
                            .at = at,
                            .bytes = record.column_bytes[want->column],
                            .record_rows = record.rows,
                            .skip = ahead,
                            .rows = want->rows};
    return ECH_OK;
}

/* Walk the table of lengths up to the last wanted row: `before` bytes lie ahead of the first wanted row;
 * sizes[rows] are the wanted rows'. Their sum is checked against the column's bytes at each step. */
static int read_lengths(const struct place *place, uint64_t *before, uint64_t *sizes, struct ech_err *err)
{
    unsigned char piece[8 * LENGTHS];
    uint64_t left = place->bytes - 8 * (uint64_t)place->record_rows;
    int64_t end = place->skip + place->rows;
    *before = 0;
    for (int64_t row = 0; row < end;) {
        int64_t count = end - row < LENGTHS ? end - row : LENGTHS;
        int code = ech_pread_all(place->fd, place->path, piece, 8 * (size_t)count,
                                 (int64_t)(place->at + 8 * (uint64_t)row), err);
        if (code != ECH_OK)
            return code;
        for (int64_t i = 0; i < count; i++, row++) {
            uint64_t length = ech_get_u64(piece + 8 * i);
            if (length > left)
                return ech_fail(err, ECH_DATA, "%s: column %s: the row lengths of a record exceed its bytes",
                                place->path, place->column);
            left -= length;
            if (row < place->skip)
                *before += length;
            else
                sizes[row - place->skip] = length;
        }
    }
    return ECH_OK;
}

int ech_spool_sizes(const struct ech_spool_head *head, const struct ech_spool_entry *entry,
                    const struct ech_spool_want *want, uint64_t *sizes, struct ech_err *err)
{
    struct place place;
    uint64_t before;
    int64_t row_bytes = ech_column_row_bytes(&head->columns[want->column]);
    for (int64_t i = 0; row_bytes >= 0 && i < want->rows; i++)
        sizes[i] = (uint64_t)row_bytes;
    if (row_bytes >= 0)
        return ECH_OK;
    int code = locate(head, entry, want, &place, err);
    return code == ECH_OK ? read_lengths(&place, &before, sizes, err) : code;
}

/* Room for `rows` more rows; offsets behind the last row are scratch until `rows` is raised. */
static int reserve_rows(struct ech_cells *cells, int64_t rows, struct ech_err *err)
{
    bool fresh = !cells->offsets;
    int code = ech_grow((void **)&cells->offsets, &cells->offsets_capacity, (size_t)(cells->rows + rows + 1),
                        sizeof *cells->offsets, err);
    if (code == ECH_OK && fresh)
        cells->offsets[0] = 0;
    return code;
}

int ech_spool_read(int fd, const char *path, const struct ech_spool_head *head,
                   const struct ech_spool_entry *entry, int column, int64_t first, int64_t rows,
                   struct ech_cells *cells, struct ech_err *err)
{
    struct ech_spool_want want = {.fd = fd, .path = path, .column = column, .first = first, .rows = rows};
    struct place place;
    int code = locate(head, entry, &want, &place, err);
    if (code == ECH_OK)
        code = reserve_rows(cells, rows, err);
    if (code != ECH_OK)
        return code;
    uint64_t *sizes = cells->offsets + cells->rows + 1, start = cells->offsets[cells->rows], total = 0, from;
    if (place.row_bytes < 0) {
        code = read_lengths(&place, &from, sizes, err);
        from += 8 * (uint64_t)place.record_rows;
    } else {
        from = (uint64_t)(place.skip * place.row_bytes);
        for (int64_t i = 0; i < rows; i++)
            sizes[i] = (uint64_t)place.row_bytes;
    }
    for (int64_t i = 0; code == ECH_OK && i < rows; i++) {
        total += sizes[i];
        sizes[i] = start + total; /* a size becomes the row's end */
    }
    if (code == ECH_OK)
        code = ech_grow((void **)&cells->bytes, &cells->bytes_capacity, (size_t)(start + total), 1, err);
    if (code == ECH_OK && total > 0)
        code = ech_pread_all(fd, path, cells->bytes + start, (size_t)total, (int64_t)(place.at + from), err);
    if (code == ECH_OK)
        cells->rows += rows;
    return code;
}
