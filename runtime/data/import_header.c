/* The header row of CSV files: see import_run.h. */
#include "data/import_run.h"

#include "base/mem.h"
#include "data/csv.h"
#include "data/rows.h"

#include <string.h>

void ech_header_fini(struct ech_header *header)
{
    ech_free(header->text);
    ech_free(header->names);
    *header = (struct ech_header){0};
}

static int name_fields(const struct ech_csv_row *row, bool no_header, struct ech_str *names,
                       struct ech_err *err)
{
    for (size_t i = 0; i < row->count; i++) {
        if (no_header)
            ech_str_addf(names, "c%zu", i);
        else
            ech_csv_unquote(&row->fields[i], names);
        ech_str_addc(names, '\0');
    }
    return ech_str_check(names, err);
}

/* The first row of one file; *names stays empty where it has none. */
static int read_first(const struct ech_import_run *run, int file, struct ech_str *names, int64_t *count,
                      struct ech_err *err)
{
    const struct ech_source_file *files = run->files;
    const struct ech_piece piece = {file, 0, INT64_MAX, false};
    const struct ech_rows_source source = {files, &piece, 1, true, run->row_max};
    bool no_header = run->options->no_header;
    struct ech_rows *rows = NULL;
    struct ech_row row;
    struct ech_csv_row fields = {0};
    bool more = false;
    size_t at = 0;
    int code = ech_rows_open(&source, &rows, err);
    do {
        code = code == ECH_OK ? ech_rows_next(rows, &row, &more, err) : code;
    } while (code == ECH_OK && more && no_header && row.bytes == 0);
    if (code == ECH_OK && more && row.bytes == 0)
        code = ech_fail_at(err, ECH_DATA, files[file].path, 1, 1,
                           "the first line is empty, the names of the columns were expected");
    else if (code == ECH_OK && more) {
        struct ech_err inner = ECH_ERR_NONE;
        code = ech_csv_parse(row.text, row.bytes, run->delimiter, &fields, &at, &inner);
        if (code == ECH_OK && !no_header && memchr(row.text, '\0', row.bytes))
            code = ech_fail(&inner, ECH_DATA, "a name of a column holds a NUL byte");
        if (code != ECH_OK && inner.code == ECH_DATA)
            ech_source_place(&files[file], row.offset + (int64_t)at, &inner.line, &inner.column);
        if (code != ECH_OK)
            ech_fail_at(err, code, inner.line ? files[file].path : NULL, inner.line, inner.column, "%s",
                        inner.text);
        else
            code = name_fields(&fields, no_header, names, err);
        *count = (int64_t)fields.count;
    }
    ech_csv_row_fini(&fields);
    ech_rows_close(rows);
    return code;
}

static int split_names(struct ech_header *h, struct ech_err *err)
{
    h->names = ech_calloc((size_t)h->count, sizeof h->names[0], err);
    if (!h->names)
        return ECH_UNAVAILABLE;
    const char *p = h->text;
    for (int64_t i = 0; i < h->count; i++, p += strlen(p) + 1)
        h->names[i] = p;
    return ECH_OK;
}

int ech_import_read_header(struct ech_import_run *run, struct ech_err *err)
{
    struct ech_comm *comm = run->comm;
    int count = run->options->source_count;
    struct ech_header h = {0};
    struct ech_str names = {0};
    int64_t facts[2] = {0, 0}; /* bytes, fields */
    int code = ECH_OK;
    for (int f = 0; ech_comm_rank(comm) == 0 && f < count && code == ECH_OK && names.length == 0; f++)
        code = read_first(run, f, &names, &facts[1], err);
    facts[0] = (int64_t)names.length;
    code = ech_agree(comm, err);
    if (code == ECH_OK)
        code = ech_bcast(comm, facts, sizeof facts, 0, err);
    if (code == ECH_OK) {
        h.bytes = facts[0];
        h.count = facts[1];
        h.text = ech_calloc((size_t)h.bytes + 1, 1, err);
        if (h.text && names.length)
            memcpy(h.text, names.data, names.length);
        code = ech_agree(comm, err);
    }
    if (code == ECH_OK)
        code = ech_bcast(comm, h.text, (size_t)h.bytes, 0, err);
    if (code == ECH_OK)
        split_names(&h, err);
    if (code == ECH_OK)
        code = ech_agree(comm, err);
    ech_str_fini(&names);
    if (code != ECH_OK)
        ech_header_fini(&h);
    else
        run->header = h;
    return code;
}
