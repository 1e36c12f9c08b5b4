/* The rows of a rank's pieces, one after the other, as spans of a window over the file. The window is 256 KiB
 * and grows only for a row that is larger, up to `row_max`.
 * A row ends at LF or CRLF (CSV: outside quotes); the last one of a file needs no line break. A byte order
 * mark before the first row is skipped. */
#ifndef ECH_DATA_ROWS_H
#define ECH_DATA_ROWS_H

#include "data/source.h"

struct ech_row {
    int file;
    int64_t offset; /* of its first byte in the unpacked file */
    bool first;     /* of its file */
    const char *text;
    size_t bytes; /* without the line break */
};

struct ech_rows_source {
    const struct ech_source_file *files;
    const struct ech_piece *pieces;
    int count;       /* pieces */
    bool quotes;     /* rows are CSV */
    int64_t row_max; /* bytes */
};

struct ech_rows;
/* The source is copied; what it points to is borrowed. */
int ech_rows_open(const struct ech_rows_source *source, struct ech_rows **out, struct ech_err *err);
/* The next row; valid until the next call. *more false: there is none (and *row is not set).
 * Errors  ECH_DATA a row larger than row_max, with its place; what ech_stream_read says. */
int ech_rows_next(struct ech_rows *rows, struct ech_row *row, bool *more, struct ech_err *err);
void ech_rows_close(struct ech_rows *rows);

#endif
