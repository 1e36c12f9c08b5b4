/* The first pass of an import of text: which columns there are, and how large their rows. With JSON Lines the
 * rows tell; where the columns that follow are not the ones believed in so far, the pass is made again with
 * the new ones. */
#include "data/import_run.h"

#include "base/mem.h"
#include "base/str.h"

#include <string.h>

bool ech_import_unsettled(const struct ech_import_run *run)
{
    bool open = !run->closed;
    for (int c = 0; c < run->want_count; c++)
        open |= !run->wants[c].typed || !run->wants[c].sized;
    return open;
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
    struct ech_err ignored = ECH_ERR_NONE; /* a bad row is found again, in its order, by the first pass */
    bool same;
    int code = survey_init(run, survey, err);
    if (code == ECH_OK)
        code = adopt(run, survey, &same, err); /* names to look for, no types yet */
    if (code != ECH_OK || !ech_import_unsettled(run))
        return code;
    code = ech_import_text_read(run, NULL, survey, true, NULL, &ignored);
    if (code != ECH_OK && code != ECH_DATA)
        return ech_fail_at(err, ignored.code, ignored.file, ignored.line, ignored.column, "%s", ignored.text);
    return ECH_OK;
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
    struct ech_batch batch = {0};
    bool columns = run->plan_count > 0, look = run->format == ECH_JSONL || ech_import_unsettled(run);
    int code = survey_init(run, survey, err);
    if (code == ECH_OK && columns)
        code = ech_import_new_layout(run, err);
    if (code == ECH_OK && columns)
        code = ech_batch_init(&batch, run->plan_count, run->layout, NULL, NULL, err);
    if (code == ECH_OK)
        code = ech_import_text_read(run, columns ? &batch : NULL, look ? survey : NULL, false, later, err);
    run->tally = batch.tally;
    ech_batch_fini(&batch);
    return code;
}

static int check_missing(const struct ech_import_run *run, const struct ech_survey *survey,
                         struct ech_err *err)
{
    if (survey->count == 0)
        return ech_fail(
            err, ECH_DATA,
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
    if (code == ECH_OK && (run->format == ECH_JSONL || ech_import_unsettled(run)))
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
            return ech_fail_at(
                err, ECH_DATA, run->files[0].path, 1, 1,
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
                return ech_fail_at(err, ECH_DATA, run->files[0].path, 1, 1, "the header names \"%s\" twice",
                                   source);
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
        run->fields =
            code == ECH_OK ? ech_calloc((size_t)run->want_count + 1, sizeof run->fields[0], err) : NULL;
        if (!run->fields)
            return code == ECH_OK ? ECH_UNAVAILABLE : code;
    }
    if (run->format == ECH_CSV && run->strict && run->header.count != run->want_count)
        return ech_fail(err, ECH_DATA,
                        "%s has %lld columns, the dataset has %d: choose the columns to append by name",
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
            code = ech_import_read_header(run, err);
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
