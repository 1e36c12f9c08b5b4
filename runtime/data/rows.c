/* Rows of text files: see rows.h. */
#include "data/rows.h"

#include "base/mem.h"
#include "base/num.h"

#include <string.h>

enum { WINDOW = 256 << 10 };

struct ech_rows {
    const struct ech_source_file *files;
    const struct ech_piece *pieces;
    int count, next; /* pieces, and the one to open next */
    bool quotes;
    size_t row_max;
    const struct ech_piece *piece; /* open now */
    struct ech_stream *stream;
    char *window;
    size_t capacity, begin, end; /* bytes [begin, end) of the window are not used yet */
    size_t seen;                 /* [begin, seen) holds no row end */
    int64_t offset;              /* of window[begin] in the file */
    bool file_end, odd, first;
};

int ech_rows_open(const struct ech_rows_source *source, struct ech_rows **out, struct ech_err *err)
{
    struct ech_rows *rows = ech_calloc(1, sizeof *rows, err);
    if (!rows)
        return ECH_UNAVAILABLE;
    *rows = (struct ech_rows){.files = source->files,
                              .pieces = source->pieces,
                              .count = source->count,
                              .quotes = source->quotes,
                              .row_max = (size_t)source->row_max};
    rows->capacity = WINDOW;
    rows->window = ech_calloc(rows->capacity, 1, err);
    if (!rows->window) {
        ech_rows_close(rows);
        return ECH_UNAVAILABLE;
    }
    *out = rows;
    return ECH_OK;
}

void ech_rows_close(struct ech_rows *rows)
{
    if (!rows)
        return;
    ech_stream_close(rows->stream);
    ech_free(rows->window);
    ech_free(rows);
}

static void drop(struct ech_rows *r, size_t upto)
{
    r->offset += (int64_t)(upto - r->begin);
    r->begin = upto;
    if (r->seen < upto)
        r->seen = upto;
}

/* More bytes behind window[end): the used ones make room, then the window grows. */
static int fill(struct ech_rows *r, struct ech_err *err)
{
    if (r->begin > 0) {
        memmove(r->window, r->window + r->begin, r->end - r->begin);
        r->end -= r->begin;
        r->seen -= r->begin;
        r->begin = 0;
    }
    if (r->end == r->capacity) {
        int code = ech_grow((void **)&r->window, &r->capacity, r->capacity + 1, 1, err);
        if (code != ECH_OK)
            return code;
    }
    size_t wanted = r->capacity - r->end, got;
    int code = ech_stream_read(r->stream, r->window + r->end, wanted, &got, err);
    if (code != ECH_OK)
        return code;
    r->end += got;
    r->file_end = got < wanted;
    return ECH_OK;
}

/* The line break that ends the row at window[begin), or NULL where it is not in the window yet. */
static char *find_end(struct ech_rows *r)
{
    while (r->seen < r->end) {
        char *from = r->window + r->seen, *line = memchr(from, '\n', r->end - r->seen);
        char *stop = line ? line : r->window + r->end;
        for (char *q = from; r->quotes && q < stop && (q = memchr(q, '"', (size_t)(stop - q))); q++)
            r->odd = !r->odd;
        r->seen = (size_t)(stop - r->window) + (line != NULL);
        if (line && !r->odd)
            return line;
    }
    return NULL;
}

/* Move to the first row that begins in the piece; *found false: none does. The stream stands one byte before
 * the piece. */
static int skip_to_row(struct ech_rows *r, bool *found, struct ech_err *err)
{
    bool before = true; /* the byte before the piece: its quotes are counted in `odd` already */
    *found = false;
    while (r->offset < r->piece->end) {
        if (r->seen == r->end) {
            if (r->file_end)
                return ECH_OK;
            drop(r, r->end);
            int code = fill(r, err);
            if (code != ECH_OK)
                return code;
            continue;
        }
        if (before && r->window[r->begin] != '\n') {
            drop(r, r->begin + 1);
            before = false;
            continue;
        }
        before = false;
        char *line = find_end(r);
        drop(r, line ? (size_t)(line + 1 - r->window) : r->end);
        if (line) {
            *found = r->offset < r->piece->end;
            return ECH_OK;
        }
    }
    return ECH_OK;
}

static int skip_mark(struct ech_rows *r, struct ech_err *err)
{
    int code = fill(r, err);
    if (code != ECH_OK)
        return code;
    if (r->end >= 3 && memcmp(r->window, "\xEF\xBB\xBF", 3) == 0)
        drop(r, 3);
    else if (r->end >= 2 && (memcmp(r->window, "\xFF\xFE", 2) == 0 || memcmp(r->window, "\xFE\xFF", 2) == 0))
        return ech_fail_at(err, ECH_DATA, r->files[r->piece->file].path, 1, 1,
                           "the file begins like UTF-16: convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)");
    return ECH_OK;
}

static int open_piece(struct ech_rows *r, struct ech_err *err)
{
    const struct ech_piece *piece = &r->pieces[r->next++];
    const struct ech_source_file *file = &r->files[piece->file];
    r->piece = piece;
    r->begin = r->end = r->seen = 0;
    r->offset = piece->begin > 0 ? piece->begin - 1 : 0;
    r->file_end = false;
    r->odd = piece->odd;
    r->first = piece->begin == 0;
    bool found = true;
    int code = ech_stream_open(file->path, file->codec, r->offset, &r->stream, err);
    if (code == ECH_OK)
        code = r->first ? skip_mark(r, err) : skip_to_row(r, &found, err);
    if (code == ECH_OK && !found)
        r->offset = INT64_MAX; /* nothing begins here */
    return code;
}

static void close_piece(struct ech_rows *r)
{
    ech_stream_close(r->stream);
    r->stream = NULL;
    r->piece = NULL;
}

static void take(struct ech_rows *r, char *stop, size_t next, struct ech_row *row)
{
    char *text = r->window + r->begin;
    size_t bytes = (size_t)(stop - text);
    if (bytes > 0 && text[bytes - 1] == '\r')
        bytes--;
    *row = (struct ech_row){r->piece->file, r->offset, r->first, text, bytes};
    r->first = false;
    r->odd = false;
    drop(r, next);
}

static int too_large(struct ech_rows *r, struct ech_err *err)
{
    int line, column;
    char limit[32];
    const struct ech_source_file *file = &r->files[r->piece->file];
    ech_source_place(file, r->offset, &line, &column);
    return ech_fail_at(err, ECH_DATA, file->path, line, column,
                       "the row that begins here is larger than %s%s",
                       ech_print_bytes((int64_t)r->row_max, limit, sizeof limit),
                       r->quotes ? ": is a quote not closed? Otherwise raise the limit of a row"
                                 : ": raise the limit of a row or cut the row");
}

/* The next row of the open piece. */
static int next_here(struct ech_rows *r, struct ech_row *row, bool *more, struct ech_err *err)
{
    *more = false;
    while (r->offset < r->piece->end || r->first) { /* a byte order mark belongs to the first row */
        char *line = find_end(r);
        size_t length = (line ? (size_t)(line - r->window) : r->end) - r->begin;
        if (length > r->row_max)
            return too_large(r, err);
        if (line) {
            take(r, line, (size_t)(line + 1 - r->window), row);
            *more = true;
            return ECH_OK;
        }
        if (r->file_end) {
            *more = length > 0;
            if (*more)
                take(r, r->window + r->end, r->end, row);
            return ECH_OK;
        }
        int code = fill(r, err);
        if (code != ECH_OK)
            return code;
    }
    return ECH_OK;
}

int ech_rows_next(struct ech_rows *r, struct ech_row *row, bool *more, struct ech_err *err)
{
    *more = false;
    for (;;) {
        if (!r->stream && r->next == r->count)
            return ECH_OK;
        int code = r->stream ? ECH_OK : open_piece(r, err);
        if (code == ECH_OK)
            code = next_here(r, row, more, err);
        if (code != ECH_OK || *more)
            return code;
        close_piece(r);
    }
}
