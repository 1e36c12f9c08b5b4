/* Export: see export.h. Where several ranks write, each prints its rows twice: once to know their length,
 * then at the place that follows from the lengths before. */
#include "data/export.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"
#include "data/blocks.h"
#include "data/csv.h"
#include "data/npy.h"
#include "data/stream.h"
#include "data/text_row.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { FLUSH = 1 << 20 };

struct export
{
    struct ech_comm *comm;
    const struct ech_export_options *options;
    const char *target;
    char *partial;
    enum ech_format format;
    enum ech_codec codec;
    char delimiter;
    struct ech_dataset *ds;
    int *columns, column_count;
    int64_t first, end;         /* of all ranks */
    int64_t own_first, own_end; /* of this one */
    /* Where printed rows go: nowhere (counted only), into a codec, or to a place in the file. */
    int fd;
    struct ech_pack *pack;
    int64_t offset, bytes; /* next place; printed so far */
    struct ech_str text, cell;
};

static const struct ech_column *column_of(const struct export *x, int c)
{
    return ech_dataset_column(x->ds, x->columns[c]);
}

static int choose_columns(struct export *x, struct ech_err *err)
{
    const struct ech_export_options *o = x->options;
    x->column_count = o->column_count ? o->column_count : ech_dataset_columns(x->ds);
    x->columns = ech_calloc((size_t)x->column_count, sizeof x->columns[0], err);
    if (!x->columns)
        return ECH_UNAVAILABLE;
    int code = ECH_OK;
    for (int c = 0; c < x->column_count && code == ECH_OK; c++) {
        x->columns[c] = c;
        if (o->column_count)
            code = ech_dataset_find(x->ds, o->columns[c], &x->columns[c], err);
    }
    return code;
}

static int choose_rows(struct export *x, struct ech_err *err)
{
    int64_t rows = ech_dataset_rows(x->ds), first = x->options->first;
    int64_t end = x->options->end ? x->options->end : rows;
    if (first < 0 || first > end || end > rows)
        return ech_fail(err, ECH_USAGE, "rows %lld:%lld are asked for, %s has %lld", (long long)first,
                        (long long)end, ech_dataset_path(x->ds), (long long)rows);
    x->first = first;
    x->end = end;
    int rank = ech_comm_rank(x->comm), size = x->codec == ECH_PLAIN ? ech_comm_size(x->comm) : 1;
    int64_t share = (end - first) / size, rest = (end - first) % size;
    bool idle = rank >= size;
    x->own_first = idle ? end : first + share * rank + ech_min64(rank, rest);
    x->own_end = idle ? end : x->own_first + share + (rank < rest);
    return ECH_OK;
}

/* Lines and .npy hold one column of certain types. */
static int check_format(const struct export *x, struct ech_err *err)
{
    const struct ech_column *column = column_of(x, 0);
    bool text = column->type == ECH_TEXT || column->type == ECH_JSON;
    if (x->format == ECH_JSONL || x->format == ECH_CSV)
        return ECH_OK;
    if (x->column_count > 1)
        return ech_fail(err, ECH_USAGE, "%s holds one column, %d are to be exported: choose one by name",
                        ech_format_name(x->format), x->column_count);
    if (x->format == ECH_LINES && !text)
        return ech_fail(err, ECH_USAGE,
                        "column \"%s\" is %s, lines hold text: export it as jsonl, csv or npy", column->name,
                        ech_ctype_name(column->type));
    if (x->format == ECH_NPY && column->dim == 0)
        return ech_fail(err, ECH_USAGE,
                        "column \"%s\" is %s without a fixed number of values a row, which npy cannot hold",
                        column->name, ech_ctype_name(column->type));
    return ECH_OK;
}

static int prepare_local(struct export *x, const char *dataset, struct ech_err *err)
{
    size_t stem;
    bool tabs = false;
    enum ech_format named = ECH_FORMAT_AUTO;
    x->codec = ech_codec_of_name(x->target, &stem);
    x->format = x->options->format;
    int code = ech_format_of_name(x->target, &named, &tabs, x->format ? NULL : err);
    if (!x->format && code != ECH_OK)
        return code;
    x->format = x->format ? x->format : named;
    x->delimiter = x->options->delimiter ? x->options->delimiter : tabs ? '\t' : ',';
    if (!x->options->replace && ech_comm_rank(x->comm) == 0 && ech_path_exists(x->target))
        return ech_fail(err, ECH_EXISTS, "%s exists already: remove it, name another output or replace it",
                        x->target);
    x->partial = ech_sprintf(err, "%s.partial", x->target);
    code = x->partial ? ech_dataset_open(dataset, &x->ds, err) : ECH_UNAVAILABLE;
    if (code == ECH_OK)
        code = choose_columns(x, err);
    if (code == ECH_OK)
        code = choose_rows(x, err);
    return code == ECH_OK ? check_format(x, err) : code;
}

static int flush(struct export *x, size_t least, struct ech_err *err)
{
    int code = ech_str_check(&x->text, err);
    if (code != ECH_OK || x->text.length < least)
        return code;
    if (x->pack)
        code = ech_pack_write(x->pack, x->text.data, x->text.length, err);
    else if (x->fd >= 0)
        code = ech_pwrite_all(x->fd, x->partial, x->text.data, x->text.length, x->offset, err);
    x->offset += (int64_t)x->text.length;
    x->bytes += (int64_t)x->text.length;
    ech_str_clear(&x->text);
    return code;
}

/* What stands before the first row of all. */
static void put_head(struct export *x)
{
    if (x->format == ECH_NPY)
        ech_npy_put_header(&x->text, column_of(x, 0), x->end - x->first);
    for (int c = 0; x->format == ECH_CSV && c < x->column_count; c++) {
        const char *name = column_of(x, c)->name;
        if (c > 0)
            ech_str_addc(&x->text, x->delimiter);
        ech_csv_put(&x->text, name, strlen(name), x->delimiter, x->column_count == 1);
    }
    if (x->format == ECH_CSV)
        ech_str_addc(&x->text, '\n');
}

static void put_jsonl(struct export *x, const struct ech_blocks *b, int64_t row)
{
    for (int c = 0; c < x->column_count; c++) {
        size_t bytes;
        const unsigned char *cell = ech_blocks_cell(b, c, row, &bytes);
        ech_str_addf(&x->text, "%c\"%s\":", c ? ',' : '{', column_of(x, c)->name);
        ech_text_put_json(&x->text, column_of(x, c), cell, bytes, INT64_MAX);
    }
    ech_str_adds(&x->text, "}\n");
}

static void put_csv(struct export *x, const struct ech_blocks *b, int64_t row)
{
    for (int c = 0; c < x->column_count; c++) {
        size_t bytes;
        const unsigned char *cell = ech_blocks_cell(b, c, row, &bytes);
        ech_str_clear(&x->cell);
        ech_text_put_plain(&x->cell, column_of(x, c), cell, bytes);
        x->text.failed |= x->cell.failed;
        if (c > 0)
            ech_str_addc(&x->text, x->delimiter);
        if (!x->cell.failed)
            ech_csv_put(&x->text, x->cell.data ? x->cell.data : "", x->cell.length, x->delimiter,
                        x->column_count == 1);
    }
    ech_str_addc(&x->text, '\n');
}

static int put_line(struct export *x, const struct ech_blocks *b, int64_t row, struct ech_err *err)
{
    size_t bytes, before = x->text.length;
    const unsigned char *cell = ech_blocks_cell(b, 0, row, &bytes);
    if (b->first + row == x->first && bytes >= 3 && memcmp(cell, "\xEF\xBB\xBF", 3) == 0)
        ech_str_adds(&x->text, "\xEF\xBB\xBF"); /* an import takes the first one for a byte order mark */
    ech_text_put_plain(&x->text, column_of(x, 0), cell, bytes);
    int code = ech_str_check(&x->text, err);
    if (code != ECH_OK)
        return code;
    size_t length = x->text.length - before;
    if (length > 0 &&
        (memchr(x->text.data + before, '\n', length) || x->text.data[x->text.length - 1] == '\r'))
        return ech_fail(
            err, ECH_DATA,
            "row %lld of column \"%s\" holds a line break: lines cannot hold it, export as jsonl or csv",
            (long long)(b->first + row), column_of(x, 0)->name);
    ech_str_addc(&x->text, '\n');
    return ECH_OK;
}

static int put_block(struct export *x, const struct ech_blocks *b, struct ech_err *err)
{
    int code = ECH_OK;
    if (x->format == ECH_NPY && b->rows > 0)
        ech_str_add(&x->text, b->cells[0].bytes, (size_t)b->cells[0].offsets[b->rows]);
    for (int64_t i = 0; i < b->rows && code == ECH_OK && x->format != ECH_NPY; i++) {
        if (x->format == ECH_JSONL)
            put_jsonl(x, b, i);
        else if (x->format == ECH_CSV)
            put_csv(x, b, i);
        else
            code = put_line(x, b, i, err);
        if (code == ECH_OK)
            code = flush(x, FLUSH, err);
    }
    return code == ECH_OK ? flush(x, FLUSH, err) : code;
}

/* This rank's rows, printed to where they go. */
static int print_rows(struct export *x, struct ech_err *err)
{
    struct ech_blocks blocks = {.ds = x->ds,
                                .columns = x->columns,
                                .column_count = x->column_count,
                                .next = x->own_first,
                                .end = x->own_end};
    x->bytes = 0;
    if (ech_comm_rank(x->comm) == 0)
        put_head(x);
    int code = ech_blocks_open(&blocks, err);
    do {
        code = code == ECH_OK ? ech_blocks_next(&blocks, err) : code;
        if (code == ECH_OK)
            code = put_block(x, &blocks, err);
    } while (code == ECH_OK && blocks.rows > 0);
    ech_blocks_close(&blocks);
    return code == ECH_OK ? flush(x, 0, err) : code;
}

/* Sets where this rank's rows begin in the file. */
static int find_offset(struct export *x, struct ech_err *err)
{
    if (x->codec != ECH_PLAIN || ech_comm_size(x->comm) == 1)
        return ECH_OK;
    x->fd = -1;
    print_rows(x, err);
    int code = ech_agree(x->comm, err);
    int64_t before = x->bytes;
    if (code == ECH_OK)
        code = ech_exscan_i64(x->comm, &before, 1, err);
    x->offset = before;
    return code;
}

static int open_target(struct export *x, struct ech_err *err)
{
    bool first = ech_comm_rank(x->comm) == 0;
    if (first)
        ech_open(x->partial, O_WRONLY | O_CREAT | O_TRUNC, &x->fd, err);
    int code = ech_agree(x->comm, err);
    if (code == ECH_OK && !first && x->own_first < x->own_end)
        ech_open(x->partial, O_WRONLY, &x->fd, err);
    if (code == ECH_OK && first && x->codec != ECH_PLAIN)
        ech_pack_open(x->fd, x->partial, x->codec, &x->pack, err);
    return code == ECH_OK ? ech_agree(x->comm, err) : code;
}

static int write_local(struct export *x, struct ech_err *err)
{
    if (x->fd < 0)
        return ECH_OK;
    int code = print_rows(x, err);
    if (code == ECH_OK && x->pack)
        code = ech_pack_finish(x->pack, err);
    return code == ECH_OK ? ech_fdatasync(x->fd, x->partial, err) : code;
}

static int publish_local(struct export *x, struct ech_err *err)
{
    if (ech_comm_rank(x->comm) != 0)
        return ECH_OK;
    char *folder = ech_path_dir(x->target, err);
    int code = !folder               ? ECH_UNAVAILABLE
               : x->options->replace ? ech_rename(x->partial, x->target, err)
                                     : ech_rename_new(x->partial, x->target, err);
    if (code == ECH_OK)
        code = ech_fsync_dir(folder, err);
    ech_free(folder);
    return code;
}

static int write_target(struct export *x, struct ech_err *err)
{
    int code = open_target(x, err);
    if (code == ECH_OK) {
        write_local(x, err);
        code = ech_agree(x->comm, err);
    }
    ech_pack_close(x->pack);
    x->pack = NULL;
    if (x->fd >= 0)
        ech_close(x->fd, x->partial, err);
    x->fd = -1;
    code = ech_agree(x->comm, err);
    if (code == ECH_OK) {
        publish_local(x, err);
        code = ech_agree(x->comm, err);
    }
    if (code != ECH_OK && ech_comm_rank(x->comm) == 0)
        unlink(x->partial);
    return code;
}

int ech_export(struct ech_comm *comm, const char *dataset, const struct ech_export_options *options,
               const char *target, struct ech_export_result *result, struct ech_err *err)
{
    struct ech_err spare = ECH_ERR_NONE;
    struct export x = {.comm = comm, .options = options, .target = target, .fd = -1};
    err = err ? err : &spare;
    prepare_local(&x, dataset, err);
    int code = ech_agree(comm, err);
    if (code == ECH_OK)
        code = find_offset(&x, err);
    if (code == ECH_OK)
        code = write_target(&x, err);
    int64_t bytes = x.bytes;
    if (code == ECH_OK)
        code = ech_sum_i64(comm, &bytes, 1, err);
    if (code == ECH_OK && result)
        *result = (struct ech_export_result){x.end - x.first, bytes};
    if (x.ds)
        ech_dataset_close(x.ds);
    ech_str_fini(&x.text);
    ech_str_fini(&x.cell);
    ech_free(x.columns);
    ech_free(x.partial);
    return code;
}
