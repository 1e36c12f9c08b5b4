/* Import of text files: rows are cut (jsonl.h, csv.h), their values converted (convert.h) into the batch's
 * columns. With JSON Lines the first pass also notes which kinds of values there are; where the columns that
 * follow are not the ones believed in so far, that pass is made again with the new ones. */
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
    struct ech_batch *batch;      /* NULL: a sample, only looked at */
    struct ech_survey *survey;    /* NULL: the columns are settled */
    bool defer;                   /* columns may still change: a value that does not fit is no error yet */
    struct ech_err later;         /* the first such value */
    struct ech_jrow members;
    struct ech_csv_row fields;
    const struct ech_jvalue **values; /* of the plan's columns in this row */
    struct ech_str key, cell;
};

/* Whether the columns follow from the rows at all. */
static bool unsettled(const struct ech_import_run *run)
{
    bool open = !run->closed;
    for (int c = 0; c < run->want_count; c++)
        open |= !run->wants[c].typed || !run->wants[c].sized;
    return open;
}

static int reader_init(struct reader *r, struct ech_import_run *run, struct ech_batch *batch,
                       struct ech_survey *survey, struct ech_err *err)
{
    *r = (struct reader){.run = run, .batch = batch, .survey = survey, .later = ECH_ERR_NONE};
    r->defer = survey && unsettled(run);
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
        return ech_fail_at(err, problem->code, problem->file, problem->line, problem->column, "%s", problem->text);
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
    return ech_fail(err, ECH_DATA, "the dataset has no column \"%.80s\": choose the columns to append by name", key);
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
    if (!r->batch || ech_put_cell(&r->run->plan[c].column, text, bytes, &r->batch->cells[c], &problem) == ECH_OK)
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
    fits = ech_put_cell(&r->run->plan[0].column, row->text, row->bytes, &r->batch->cells[0], &problem) == ECH_OK;
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
    if (is_blank(row, r->run->format) && !(row->first && r->run->format == ECH_CSV && !r->run->options->no_header))
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
    int code = ech_rows_open(run->files, run->pieces, run->piece_count, run->format == ECH_CSV, run->row_max, &rows,
                             err);
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

int ech_import_text_rows(struct ech_import_run *run, struct ech_batch *batch, struct ech_err *err)
{
    struct reader r;
    int code = reader_init(&r, run, batch, NULL, err);
    if (code == ECH_OK)
        code = read_rows(&r, false, err);
    if (code == ECH_OK)
        code = ech_batch_finish(batch, err);
    reader_fini(&r);
    return code;
}

/* An empty survey: of the wanted columns, or of nothing yet. */
static int survey_init(const struct ech_import_run *run, struct ech_survey *survey, struct ech_err *err)
{
    *survey = (struct ech_survey){0};
    if (!run->closed)
        return ECH_OK;
    survey->seen = ech_calloc((size_t)run->want_count, sizeof survey->seen[0], err);
    if (!survey->seen)
        return ECH_UNAVAILABLE;
    survey->count = survey->capacity = (size_t)run->want_count;
    for (int c = 0; c < run->want_count; c++) {
        survey->seen[c] = (struct ech_seen){.least = INT64_MAX, .most = -1};
        memcpy(survey->seen[c].name, run->wants[c].column.name, sizeof survey->seen[c].name);
    }
    return ECH_OK;
}

/* The plan that follows from the survey; *same: it is the one there was. */
static int adopt(struct ech_import_run *run, const struct ech_survey *survey, bool *same, struct ech_err *err)
{
    struct ech_want *plan = ech_calloc(survey->count, sizeof *plan, err);
    if (!plan)
        return ECH_UNAVAILABLE;
    *same = run->plan && run->plan_count == (int)survey->count;
    for (size_t c = 0; c < survey->count; c++) {
        const struct ech_want *want = run->closed ? &run->wants[c] : NULL;
        plan[c].column = ech_column_resolve(want, &survey->seen[c]);
        memcpy(plan[c].source, want ? want->source : plan[c].column.name,
               want ? sizeof plan[c].source : sizeof plan[c].column.name);
        *same = *same && memcmp(&plan[c], &run->plan[c], sizeof plan[c]) == 0;
    }
    ech_free(run->plan);
    run->plan = plan;
    run->plan_count = (int)survey->count;
    return ECH_OK;
}

static int sample_local(struct ech_import_run *run, struct ech_survey *survey, struct ech_err *err)
{
    struct reader r;
    struct ech_err ignored = ECH_ERR_NONE; /* a bad row is found again, in its order, by the first pass */
    int code = survey_init(run, survey, err);
    if (code == ECH_OK)
        code = reader_init(&r, run, NULL, survey, err);
    if (code != ECH_OK)
        return code;
    if (unsettled(run) && read_rows(&r, true, &ignored) != ECH_OK && ignored.code != ECH_DATA)
        code = ech_fail_at(err, ignored.code, ignored.file, ignored.line, ignored.column, "%s", ignored.text);
    reader_fini(&r);
    return code;
}

static int sample(struct ech_import_run *run, struct ech_err *err)
{
    struct ech_survey survey = {0};
    bool same;
    sample_local(run, &survey, err);
    int code = ech_survey_agree(run->comm, &survey, err);
    if (code == ECH_OK)
        adopt(run, &survey, &same, err);
    ech_survey_fini(&survey);
    return ech_agree(run->comm, err);
}

/* The first pass over this rank's rows: sizes into a new layout, kinds into the survey. */
static int sizes_local(struct ech_import_run *run, struct ech_survey *survey, struct ech_err *later,
                       struct ech_err *err)
{
    struct reader r;
    struct ech_batch batch = {0};
    int code = survey_init(run, survey, err);
    if (code == ECH_OK && run->plan_count > 0) {
        code = ech_import_new_layout(run, err);
        if (code == ECH_OK)
            code = ech_batch_init(&batch, run->plan_count, run->layout, NULL, NULL, err);
    }
    if (code != ECH_OK)
        return code;
    code = reader_init(&r, run, run->plan_count > 0 ? &batch : NULL,
                       run->format == ECH_JSONL || unsettled(run) ? survey : NULL, err);
    if (code == ECH_OK)
        code = read_rows(&r, false, err);
    if (code == ECH_OK && run->plan_count > 0)
        code = ech_batch_finish(&batch, err);
    run->tally = batch.tally;
    *later = r.later;
    reader_fini(&r);
    ech_batch_fini(&batch);
    return code;
}

static int check_missing(const struct ech_import_run *run, const struct ech_survey *survey, struct ech_err *err)
{
    if (survey->count == 0)
        return ech_fail(err, ECH_DATA,
                        "%s%s: there are no keys, so no columns are known: name the columns to make an empty dataset",
                        run->files[0].path, run->options->source_count > 1 ? " and the others" : "");
    for (int c = 0; run->closed && run->format == ECH_JSONL && c < run->want_count; c++)
        if (survey->seen[c].kinds == 0 && !run->options->append)
            return ech_fail(err, ECH_DATA, "no row of %s%s has the key \"%s\"", run->files[0].path,
                            run->options->source_count > 1 ? " and the others" : "", run->wants[c].source);
    return ECH_OK;
}

/* One round of the first pass; *settled: its columns hold all rows. */
static int round_of_sizes(struct ech_import_run *run, bool *settled, struct ech_err *err)
{
    struct ech_survey survey = {0};
    struct ech_err later = ECH_ERR_NONE;
    bool same = true;
    int64_t rows = 0;
    run->passes++;
    sizes_local(run, &survey, &later, err);
    int code = ech_survey_agree(run->comm, &survey, err);
    if (code == ECH_OK && (run->format == ECH_JSONL || unsettled(run)))
        adopt(run, &survey, &same, err);
    code = ech_agree(run->comm, err);
    if (code == ECH_OK && same) {
        if (later.code != ECH_OK)
            *err = later;
        code = ech_agree(run->comm, err);
    }
    if (code == ECH_OK && same) {
        rows = run->tally.rows;
        code = ech_sum_i64(run->comm, &rows, 1, err);
    }
    if (code == ECH_OK && same && (rows > 0 || survey.count == 0))
        code = check_missing(run, &survey, err);
    ech_survey_fini(&survey);
    *settled = same;
    return code;
}

static int csv_wants(struct ech_import_run *run, struct ech_err *err)
{
    const struct ech_header *h = &run->header;
    if (h->count > ECH_COLUMNS_MAX && !run->closed)
        return ech_fail(err, ECH_DATA, "%s has %lld columns, %d can be taken: choose columns by name",
                        run->files[0].path, (long long)h->count, ECH_COLUMNS_MAX);
    if (run->closed)
        return ECH_OK;
    run->wants = ech_calloc((size_t)h->count, sizeof run->wants[0], err);
    if (!run->wants)
        return ECH_UNAVAILABLE;
    run->closed = true;
    for (int c = 0; c < h->count; c++, run->want_count++) {
        struct ech_want *want = &run->wants[c];
        if (!ech_column_name_valid(h->names[c]))
            return ech_fail_at(err, ECH_DATA, run->files[0].path, 1, 1,
                               "\"%.80s\" cannot name a column (a letter or _, then letters, digits, _ . -, at most "
                               "63): choose columns by name, and rename it: NEW=%.80s",
                               h->names[c], h->names[c]);
        strcpy(want->source, h->names[c]);
        strcpy(want->column.name, h->names[c]);
    }
    return ECH_OK;
}

static int csv_field_of(const struct ech_import_run *run, const char *source, int *field, struct ech_err *err)
{
    const struct ech_header *h = &run->header;
    int found = -1;
    for (int f = 0; f < h->count; f++)
        if (strcmp(h->names[f], source) == 0) {
            if (found >= 0)
                return ech_fail_at(err, ECH_DATA, run->files[0].path, 1, 1, "the header names \"%s\" twice", source);
            found = f;
        }
    if (found < 0) {
        const char **names = ech_calloc((size_t)h->count + 1, sizeof names[0], err);
        if (!names)
            return ECH_UNAVAILABLE;
        memcpy(names, h->names, (size_t)h->count * sizeof names[0]);
        const char *nearest = ech_nearest(source, names);
        ech_free(names);
        return ech_fail(err, ECH_DATA, "%s has no column \"%s\"%s%s%s", run->files[0].path, source,
                        nearest ? " (did you mean " : "", nearest ? nearest : "", nearest ? "?)" : "");
    }
    *field = found;
    return ECH_OK;
}

/* Untyped columns of CSV and lines are text; every column finds its field. */
static int settle_wants(struct ech_import_run *run, struct ech_err *err)
{
    int code = ECH_OK;
    if (run->format == ECH_CSV) {
        if (run->header.count == 0)
            return ech_fail(err, ECH_DATA, "%s is empty: a header row was expected", run->files[0].path);
        code = csv_wants(run, err);
        run->fields = code == ECH_OK ? ech_calloc((size_t)run->want_count + 1, sizeof run->fields[0], err) : NULL;
        if (!run->fields)
            return code == ECH_OK ? ECH_UNAVAILABLE : code;
    }
    if (run->format == ECH_CSV && run->strict && run->header.count != run->want_count)
        return ech_fail(err, ECH_DATA, "%s has %lld columns, the dataset has %d: choose the columns to append by name",
                        run->files[0].path, (long long)run->header.count, run->want_count);
    for (int c = 0; c < run->want_count && code == ECH_OK && run->format != ECH_JSONL; c++) {
        struct ech_want *want = &run->wants[c];
        if (!want->typed) {
            want->column.type = ECH_TEXT;
            want->column.dtype = ECH_U8;
            want->typed = want->sized = true;
        }
        if (run->format == ECH_CSV)
            code = csv_field_of(run, want->source, &run->fields[c], err);
    }
    return code;
}

static int line_want(struct ech_import_run *run, struct ech_err *err)
{
    if (run->want_count > 1)
        return ech_fail(err, ECH_USAGE, "lines make one column, %d are asked for", run->want_count);
    if (run->closed)
        return ECH_OK;
    run->wants = ech_calloc(1, sizeof run->wants[0], err);
    if (!run->wants)
        return ECH_UNAVAILABLE;
    run->want_count = 1;
    run->closed = true;
    strcpy(run->wants[0].source, "text");
    strcpy(run->wants[0].column.name, "text");
    return ECH_OK;
}

int ech_import_text_plan(struct ech_import_run *run, struct ech_err *err)
{
    int code = ECH_OK;
    if (run->format == ECH_CSV) {
        code = ech_source_parity(run->comm, run->files, run->pieces, run->piece_count, err);
        if (code == ECH_OK)
            code = ech_header_read(run->comm, run->files, run->options->source_count, run->delimiter,
                                   run->options->no_header, run->row_max, &run->header, err);
    }
    if (code == ECH_OK) {
        code = run->format == ECH_LINES ? line_want(run, err) : ECH_OK;
        if (code == ECH_OK)
            settle_wants(run, err);
        code = ech_agree(run->comm, err);
    }
    if (code == ECH_OK)
        code = sample(run, err);
    bool settled = false;
    while (code == ECH_OK && !settled)
        code = round_of_sizes(run, &settled, err);
    if (code == ECH_OK)
        code = ech_layout_agree(run->layout, run->comm, err);
    return code;
}
