/* Import of .npy files: rows of one size, so a rank's rows follow from its bytes. Integers of any width
 * become int64; floats keep their width. */
#include "data/import_run.h"

#include "base/mem.h"
#include "base/num.h"

#include <string.h>

static int read_header(const struct ech_source_file *file, struct ech_npy *out, struct ech_err *err)
{
    struct ech_stream *stream = NULL;
    char *header = NULL, start[ECH_NPY_PROLOGUE];
    size_t got = 0, whole = 0, more = 0;
    int code = ech_stream_open(file->path, file->codec, 0, &stream, err);
    if (code == ECH_OK)
        code = ech_stream_read(stream, start, sizeof start, &got, err);
    if (code == ECH_OK)
        code = ech_npy_header_bytes(start, got, &whole, err);
    if (code == ECH_OK) {
        header = ech_calloc(whole > got ? whole : got, 1, err);
        code = header ? ECH_OK : ECH_UNAVAILABLE;
    }
    if (code == ECH_OK) {
        memcpy(header, start, got);
        if (whole > got)
            code = ech_stream_read(stream, header + got, whole - got, &more, err);
    }
    if (code == ECH_OK)
        code = ech_npy_parse(header, got + more, out, err);
    ech_free(header);
    ech_stream_close(stream);
    return code;
}

static int64_t row_bytes(const struct ech_npy *npy)
{
    return npy->dim * npy->item_bytes;
}

static int check_file(const struct ech_import_run *run, int f, struct ech_err *err)
{
    const struct ech_npy *npy = &run->npy[f], *first = &run->npy[0];
    int64_t wanted = npy->header_bytes + npy->rows * row_bytes(npy), there = run->files[f].bytes;
    if (run->files[f].codec == ECH_PLAIN && there != wanted)
        return ech_fail(err, ECH_DATA, "%lld bytes, its header says %lld: the file is %s", (long long)there,
                        (long long)wanted, there < wanted ? "truncated" : "followed by something else");
    if (row_bytes(npy) > run->row_max)
        return ech_fail(err, ECH_DATA, "rows of %lld bytes, more than the limit of a row (%lld)",
                        (long long)row_bytes(npy), (long long)run->row_max);
    struct ech_column a = ech_npy_column(npy, "x"), b = ech_npy_column(first, "x");
    if (a.dim != b.dim || a.dtype != b.dtype)
        return ech_fail(err, ECH_DATA, "rows of %lld %s, the first file has rows of %lld %s",
                        (long long)a.dim, ech_dtype_name(a.dtype), (long long)b.dim, ech_dtype_name(b.dtype));
    return ECH_OK;
}

static int read_headers_local(struct ech_import_run *run, struct ech_err *err)
{
    struct ech_err inner = ECH_ERR_NONE;
    int code = ECH_OK;
    if (ech_comm_rank(run->comm) != 0)
        return ECH_OK;
    for (int f = 0; f < run->options->source_count && code == ECH_OK; f++) {
        code = read_header(&run->files[f], &run->npy[f], &inner);
        if (code == ECH_OK)
            code = check_file(run, f, &inner);
        if (code != ECH_OK)
            ech_fail_at(err, code, run->files[f].path, 0, 0, "%s", inner.text);
    }
    return code;
}

/* The one column of the plan, checked against what was asked for. */
static int make_plan(struct ech_import_run *run, struct ech_err *err)
{
    if (run->want_count > 1)
        return ech_fail(err, ECH_USAGE, "a .npy file makes one column, %d are asked for", run->want_count);
    run->plan = ech_calloc(1, sizeof run->plan[0], err);
    if (!run->plan)
        return ECH_UNAVAILABLE;
    run->plan_count = 1;
    const struct ech_want *want = run->want_count ? &run->wants[0] : NULL;
    struct ech_column column = ech_npy_column(&run->npy[0], want ? want->column.name : "values");
    run->plan[0].column = column;
    if (want && want->typed &&
        (want->column.type != column.type || want->column.dtype != column.dtype ||
         (want->sized && want->column.dim != column.dim)))
        return ech_fail_at(err, ECH_DATA, run->files[0].path, 0, 0,
                           "column \"%s\": the file holds %s %s[%lld], %s %s[%lld] was asked for",
                           column.name, ech_ctype_name(column.type), ech_dtype_name(column.dtype),
                           (long long)column.dim, ech_ctype_name(want->column.type),
                           ech_dtype_name(want->column.dtype), (long long)want->column.dim);
    return ECH_OK;
}

/* The rows that begin in a piece: [*first, *end). */
static void rows_of(const struct ech_npy *npy, const struct ech_piece *piece, int64_t *first, int64_t *end)
{
    int64_t size = row_bytes(npy), begin = ech_max64(piece->begin - npy->header_bytes, 0);
    int64_t stop = ech_max64(piece->end - npy->header_bytes, 0);
    *first = begin / size + (begin % size != 0);
    *end = piece->end == INT64_MAX ? npy->rows : ech_min64(stop / size + (stop % size != 0), npy->rows);
}

int ech_import_npy_plan(struct ech_import_run *run, struct ech_err *err)
{
    size_t bytes = (size_t)run->options->source_count * sizeof run->npy[0];
    run->npy = ech_calloc(1, bytes, err);
    if (run->npy)
        read_headers_local(run, err);
    int code = ech_agree(run->comm, err);
    if (code == ECH_OK)
        code = ech_bcast(run->comm, run->npy, bytes, 0, err);
    if (code == ECH_OK) {
        code = make_plan(run, err);
        if (code == ECH_OK)
            code = ech_import_new_layout(run, err);
        for (int p = 0; p < run->piece_count && code == ECH_OK; p++) {
            int64_t first, end;
            rows_of(&run->npy[run->pieces[p].file], &run->pieces[p], &first, &end);
            code = ech_layout_add_fixed(run->layout, ech_max64(end - first, 0), err);
        }
        run->passes++;
        code = ech_agree(run->comm, err);
    }
    return code == ECH_OK ? ech_layout_agree(run->layout, run->comm, err) : code;
}

static int64_t widen(const struct ech_npy *npy, const unsigned char *p)
{
    uint64_t value = 0;
    for (int i = npy->item_bytes; i-- > 0;)
        value = value << 8 | p[i];
    if (npy->kind == 'i' && npy->item_bytes < 8 && value >> (8 * npy->item_bytes - 1))
        value |= ~0ull << (8 * npy->item_bytes);
    return npy->kind == 'b' ? value != 0 : (int64_t)value;
}

static int put_row(const struct ech_import_run *run, int file, int64_t row, const unsigned char *bytes,
                   struct ech_str *out, struct ech_err *err)
{
    const struct ech_npy *npy = &run->npy[file];
    if (npy->kind == 'f') {
        ech_str_add(out, bytes, (size_t)row_bytes(npy));
        return ECH_OK;
    }
    for (int64_t i = 0; i < npy->dim; i++) {
        int64_t value = widen(npy, bytes + i * npy->item_bytes);
        if (npy->kind == 'u' && value < 0)
            return ech_fail_at(err, ECH_DATA, run->files[file].path, 0, 0,
                               "row %lld holds %llu, which does not fit a signed 64-bit integer",
                               (long long)row, (unsigned long long)value);
        ech_str_add(out, &value, sizeof value);
    }
    return ECH_OK;
}

/* Whole rows of a file, a block at a time. */
struct blocks {
    const struct ech_source_file *file;
    struct ech_stream *stream;
    unsigned char *bytes;
    size_t row_bytes, at, filled;
};

enum { BLOCK = 256 << 10 };

static size_t block_rows(const struct blocks *b)
{
    return b->row_bytes < BLOCK ? BLOCK / b->row_bytes : 1;
}

static int open_blocks(struct blocks *b, const struct ech_npy *npy, int64_t first, struct ech_err *err)
{
    bool packed = b->file->codec != ECH_PLAIN;
    int64_t start = packed ? 0 : npy->header_bytes + first * (int64_t)b->row_bytes;
    b->bytes = ech_calloc(block_rows(b), b->row_bytes, err);
    int code =
        b->bytes ? ech_stream_open(b->file->path, b->file->codec, start, &b->stream, err) : ECH_UNAVAILABLE;
    size_t left = packed ? (size_t)npy->header_bytes : 0, got = 1;
    while (code == ECH_OK && left > 0 && got > 0) {
        size_t piece = left < b->row_bytes ? left : b->row_bytes;
        code = ech_stream_read(b->stream, b->bytes, piece, &got, err);
        left -= got;
    }
    return code;
}

/* Row i, of the rows up to end; valid until the next call. */
static int next_row(struct blocks *b, int64_t i, int64_t end, const unsigned char **row, struct ech_err *err)
{
    if (b->at == b->filled) {
        size_t wanted = (size_t)ech_min64((int64_t)block_rows(b), end - i) * b->row_bytes;
        int code = ech_stream_read(b->stream, b->bytes, wanted, &b->filled, err);
        b->at = 0;
        if (code != ECH_OK)
            return code;
    }
    if (b->filled - b->at < b->row_bytes)
        return ech_fail_at(err, ECH_DATA, b->file->path, 0, 0,
                           "the file ends in row %lld, more were expected", (long long)i);
    *row = b->bytes + b->at;
    b->at += b->row_bytes;
    return ECH_OK;
}

static int piece_rows(struct ech_import_run *run, const struct ech_piece *piece, struct ech_batch *batch,
                      struct ech_err *err)
{
    const struct ech_source_file *file = &run->files[piece->file];
    const struct ech_npy *npy = &run->npy[piece->file];
    size_t size = (size_t)row_bytes(npy);
    int64_t first, end;
    rows_of(npy, piece, &first, &end);
    if (first >= end)
        return ECH_OK;
    struct blocks blocks = {file, NULL, NULL, size, 0, 0};
    int code = open_blocks(&blocks, npy, first, err);
    for (int64_t i = first; i < end && code == ECH_OK; i++) {
        const unsigned char *row = NULL;
        code = next_row(&blocks, i, end, &row, err);
        if (code == ECH_OK)
            code = put_row(run, piece->file, i, row, &batch->cells[0], err);
        if (code == ECH_OK)
            code = ech_batch_row(batch, err);
    }
    ech_stream_close(blocks.stream);
    ech_free(blocks.bytes);
    return code;
}

int ech_import_npy_rows(struct ech_import_run *run, struct ech_batch *batch, struct ech_err *err)
{
    int code = ECH_OK;
    batch->expected = NULL; /* the layout took the header's word, which the rows are held to */
    for (int p = 0; p < run->piece_count && code == ECH_OK; p++)
        code = piece_rows(run, &run->pieces[p], batch, err);
    return code == ECH_OK ? ech_batch_finish(batch, err) : code;
}
