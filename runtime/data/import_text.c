/* Rows of text files: cut (jsonl.h, csv.h) and converted (convert.h) into the batch's columns; a survey notes
 * which kinds of values they hold. */
#include "data/import_run.h"

#include "base/mem.h"
#include "data/convert.h"
#include "data/csv.h"
#include "data/rows.h"

#include <stdio.h>
#include <string.h>

enum { SAMPLE_ROWS = 1000, SAMPLE_BYTES = 8 << 20 };

struct reader {
    struct ech_import_run *run;
    struct ech_batch *batch;   /* NULL: a sample, only looked at */
    struct ech_survey *survey; /* NULL: the columns are settled */
    bool defer;                /* columns may still change: a value that does not fit is no error yet */
    struct ech_err later;      /* the first such value */
    struct ech_jrow members;
    struct ech_csv_row fields;
    const struct ech_jvalue **values; /* of the plan's columns in this row */
    struct ech_str key, cell;
};

static int reader_init(struct reader *r, struct ech_import_run *run, struct ech_batch *batch,
                       struct ech_survey *survey, struct ech_err *err)
{
    *r = (struct reader){.run = run, .batch = batch, .survey = survey, .later = ECH_ERR_NONE};
    r->defer = survey && ech_import_unsettled(run);
    r->values = ech_calloc((size_t)run->plan_count + 1, sizeof r->values[0], err);
    return r->values ? ECH_OK : ECH_UNAVAILABLE;
}

static void reader_fini(struct reader *r)
{
    ech_jrow_fini(&r->members);
    ech_csv_row_fini(&r->fields);
    ech_free(r->values);
    ech_str_fini(&r->key);
    ech_str_fini(&r->cell);
}

/* Say where: file, line and column of byte `at` of the row. */
static int place(const struct reader *r, const struct ech_row *row, size_t at, struct ech_err *err)
{
    const struct ech_source_file *file = &r->run->files[row->file];
    if (err && err->code == ECH_DATA && err->line == 0) {
        snprintf(err->file, sizeof err->file, "%s", file->path);
        ech_source_place(file, row->offset + (int64_t)at, &err->line, &err->column);
    }
    return err ? err->code : ECH_DATA;
}

/* A value did not fit its column: an error now, or noted for when the columns are settled. */
static int misfit(struct reader *r, const struct ech_row *row, size_t at, struct ech_err *problem,
                  struct ech_err *err)
{
    if (!r->defer || problem->code != ECH_DATA) {
        place(r, row, at, problem);
        return ech_fail_at(err, problem->code, problem->file, problem->line, problem->column, "%s",
                           problem->text);
    }
    if (r->later.code == ECH_OK) {
        place(r, row, at, problem);
        r->later = *problem;
    }
    return ECH_OK;
}

/* The row's bytes go into the batch, or are dropped where a value did not fit. */
static int end_row(struct reader *r, bool fits, struct ech_err *err)
{
    if (fits)
        return ech_batch_row(r->batch, err);
    ech_batch_drop_row(r->batch);
    return ECH_OK;
}

static const char *key_text(struct reader *r, const struct ech_jmember *m)
{
    ech_str_clear(&r->key);
    if (m->key_escaped)
        ech_json_unescape(m->key, m->key_bytes, &r->key, NULL);
    else
        ech_str_add(&r->key, m->key, m->key_bytes);
    return r->key.failed ? NULL : r->key.data;
}

/* Column of the plan that takes this key, -1 none. */
static int plan_find(const struct ech_import_run *run, const char *key, int hint)
{
    if (hint < run->plan_count && strcmp(run->plan[hint].source, key) == 0)
        return hint;
    for (int c = 0; c < run->plan_count; c++)
        if (strcmp(run->plan[c].source, key) == 0)
            return c;
    return -1;
}

static int survey_member(struct reader *r, const char *key, int column, size_t hint,
                         const struct ech_jvalue *value, struct ech_err *err)
{
    size_t index = (size_t)column;
    if (!r->survey || (r->run->closed && column < 0))
        return ECH_OK;
    if (!r->run->closed) {
        if (strlen(key) != r->key.length)
            return ech_fail(err, ECH_DATA, "a key with a NUL byte cannot name a column");
        int code = ech_survey_find(r->survey, key, hint, &index, err);
        if (code != ECH_OK)
            return code;
    }
    ech_seen_add(&r->survey->seen[index], value);
    return ECH_OK;
}

static int strict_key(const char *key, struct ech_err *err)
{
    return ech_fail(err, ECH_DATA,
                    "the dataset has no column \"%.80s\": choose the columns to append by name", key);
}

/* Hand the members of the row to the survey and to the columns that take them. */
static int sort_members(struct reader *r, size_t *at, const struct ech_row *row, struct ech_err *err)
{
    int next = 0;
    for (int c = 0; c < r->run->plan_count; c++)
        r->values[c] = NULL;
    for (size_t i = 0; i < r->members.count; i++) {
        const struct ech_jmember *m = &r->members.members[i];
        const char *key = key_text(r, m);
        if (!key)
            return ech_str_check(&r->key, err);
        *at = (size_t)(m->key - row->text);
        int column = strlen(key) == r->key.length ? plan_find(r->run, key, next) : -1;
        if (column >= 0 && r->values[column])
            return ech_fail(err, ECH_DATA, "the key \"%.80s\" occurs twice", key);
        if (column < 0 && r->run->strict)
            return strict_key(key, err);
        int code = survey_member(r, key, column, i, &m->value, err);
        if (code != ECH_OK)
            return code;
        if (column >= 0) {
            r->values[column] = &m->value;
            next = column + 1;
        }
    }
    return ECH_OK;
}

static int check_utf8(const struct reader *r, const struct ech_row *row, size_t *at, struct ech_err *err)
{
    int64_t bad = r->run->options->keep_invalid ? -1 : ech_utf8_invalid_at(row->text, row->bytes);
    if (bad < 0)
        return ECH_OK;
    *at = (size_t)bad;
    return ech_fail(err, ECH_DATA,
                    "byte 0x%02x is not valid UTF-8 here: convert the file, or keep such text as it is "
                    "(--invalid-utf8 keep; rows are reported when they are used)",
                    (unsigned char)row->text[bad]);
}

static int jsonl_row(struct reader *r, const struct ech_row *row, struct ech_err *err)
{
    size_t at = 0;
    bool fits = true;
    int code = ech_jsonl_parse(row->text, row->bytes, &r->members, &at, err);
    if (code == ECH_OK)
        code = sort_members(r, &at, row, err);
    if (code != ECH_OK)
        return place(r, row, at, err);
    for (int c = 0; r->batch && c < r->run->plan_count && code == ECH_OK && fits; c++) {
        struct ech_err problem = ECH_ERR_NONE;
        const struct ech_jvalue *v = r->values[c];
        fits = ech_put_json(&r->run->plan[c].column, v, r->run->options->keep_invalid, &r->batch->cells[c],
                            &problem) == ECH_OK;
        if (!fits)
            code = misfit(r, row, v ? (size_t)(v->text - row->text) : 0, &problem, err);
    }
    return code == ECH_OK && r->batch ? end_row(r, fits, err) : code;
}

static int csv_header_again(struct reader *r, const struct ech_row *row, size_t *at, struct ech_err *err)
{
    const struct ech_header *h = &r->run->header;
    for (size_t i = 0; i < r->fields.count && (int64_t)i < h->count; i++) {
        ech_str_clear(&r->cell);
        ech_csv_unquote(&r->fields.fields[i], &r->cell);
        ech_str_addc(&r->cell, '\0');
        int code = ech_str_check(&r->cell, err);
        if (code != ECH_OK)
            return code;
        *at = (size_t)(r->fields.fields[i].text - row->text);
        if (strcmp(r->cell.data, h->names[i]) != 0)
            return ech_fail(err, ECH_DATA, "the header names \"%.80s\" where the first file has \"%.80s\"",
                            r->cell.data, h->names[i]);
    }
    return ECH_OK;
}

static int csv_fields(struct reader *r, const struct ech_row *row, size_t *at, struct ech_err *err)
{
    int code = ech_csv_parse(row->text, row->bytes, r->run->delimiter, &r->fields, at, err);
    if (code == ECH_OK && (int64_t)r->fields.count != r->run->header.count) {
        *at = 0;
        code = ech_fail(err, ECH_DATA, "the row has %zu fields, %lld were expected (as in the first row)",
                        r->fields.count, (long long)r->run->header.count);
    }
    return code;
}

static int csv_cell(struct reader *r, const struct ech_row *row, int c, bool *fits, struct ech_err *err)
{
    const struct ech_csv_field *field = &r->fields.fields[r->run->fields[c]];
    const char *text = field->text;
    size_t bytes = field->bytes;
    struct ech_err problem = ECH_ERR_NONE;
    if (field->doubled) {
        ech_str_clear(&r->cell);
        ech_csv_unquote(field, &r->cell);
        int code = ech_str_check(&r->cell, err);
        if (code != ECH_OK)
            return code;
        text = r->cell.data;
        bytes = r->cell.length;
    }
    if (r->survey) {
        struct ech_jvalue kind;
        ech_cell_kind(text, bytes, &kind);
        ech_seen_add(&r->survey->seen[c], &kind);
    }
    if (!r->batch ||
        ech_put_cell(&r->run->plan[c].column, text, bytes, &r->batch->cells[c], &problem) == ECH_OK)
        return ECH_OK;
    *fits = false;
    return misfit(r, row, (size_t)(field->text - row->text), &problem, err);
}

static int csv_row(struct reader *r, const struct ech_row *row, struct ech_err *err)
{
    size_t at = 0;
    bool fits = true;
    int code = csv_fields(r, row, &at, err);
    if (row->first && !r->run->options->no_header) {
        code = code == ECH_OK ? csv_header_again(r, row, &at, err) : code;
        return code == ECH_OK ? code : place(r, row, at, err);
    }
    if (code != ECH_OK)
        return place(r, row, at, err);
    for (int c = 0; c < r->run->plan_count && code == ECH_OK && fits; c++)
        code = csv_cell(r, row, c, &fits, err);
    return code == ECH_OK && r->batch ? end_row(r, fits, err) : code;
}

static int line_row(struct reader *r, const struct ech_row *row, struct ech_err *err)
{
    struct ech_err problem = ECH_ERR_NONE;
    bool fits = true;
    int code = ECH_OK;
    if (r->survey) {
        struct ech_jvalue kind;
        ech_cell_kind(row->text, row->bytes, &kind);
        ech_seen_add(&r->survey->seen[0], &kind);
    }
    if (!r->batch)
        return ECH_OK;
    fits =
        ech_put_cell(&r->run->plan[0].column, row->text, row->bytes, &r->batch->cells[0], &problem) == ECH_OK;
    if (!fits)
        code = misfit(r, row, 0, &problem, err);
    return code == ECH_OK ? end_row(r, fits, err) : code;
}

static bool is_blank(const struct ech_row *row, enum ech_format format)
{
    size_t i = 0;
    while (format == ECH_JSONL && i < row->bytes && (row->text[i] == ' ' || row->text[i] == '\t'))
        i++;
    return format != ECH_LINES && i == row->bytes;
}

static int one_row(struct reader *r, const struct ech_row *row, struct ech_err *err)
{
    size_t at = 0;
    if (is_blank(row, r->run->format) &&
        !(row->first && r->run->format == ECH_CSV && !r->run->options->no_header))
        return ECH_OK;
    if (check_utf8(r, row, &at, err) != ECH_OK)
        return place(r, row, at, err);
    return r->run->format == ECH_JSONL ? jsonl_row(r, row, err)
           : r->run->format == ECH_CSV ? csv_row(r, row, err)
                                       : line_row(r, row, err);
}

/* All rows of this rank, or the first ones for a sample. */
static int read_rows(struct reader *r, bool sample, struct ech_err *err)
{
    struct ech_import_run *run = r->run;
    struct ech_rows *rows = NULL;
    struct ech_row row;
    bool more = true;
    int64_t left = SAMPLE_ROWS, bytes = SAMPLE_BYTES;
    const struct ech_rows_source source = {.files = run->files,
                                           .pieces = run->pieces,
                                           .count = run->piece_count,
                                           .quotes = run->format == ECH_CSV,
                                           .row_max = run->row_max};
    int code = ech_rows_open(&source, &rows, err);
    while (code == ECH_OK && more && !(sample && (left-- == 0 || bytes < 0))) {
        code = ech_rows_next(rows, &row, &more, err);
        if (code == ECH_OK && more) {
            bytes -= (int64_t)row.bytes;
            code = one_row(r, &row, err);
        }
    }
    ech_rows_close(rows);
    return code;
}

int ech_import_text_read(struct ech_import_run *run, struct ech_batch *batch, struct ech_survey *survey,
                         bool sample, struct ech_err *later, struct ech_err *err)
{
    struct reader r;
    int code = reader_init(&r, run, batch, survey, err);
    if (code == ECH_OK)
        code = read_rows(&r, sample, err);
    if (code == ECH_OK && batch)
        code = ech_batch_finish(batch, err);
    if (later)
        *later = r.later;
    reader_fini(&r);
    return code;
}

int ech_import_text_rows(struct ech_import_run *run, struct ech_batch *batch, struct ech_err *err)
{
    return ech_import_text_read(run, batch, NULL, false, NULL, err);
}
