/* See source.h. A template is cut into parts once; `parts_column` says where each is found. */
#include "job/source.h"

#include "base/mem.h"
#include "base/str.h"
#include "config/template.h"

#include <string.h>

struct ech_source {
    const struct ech_dataset *input;
    const struct ech_list *texts;
    struct ech_column column;
    int index;                     /* of a plain column */
    struct ech_template template_; /* no parts: a plain column, or texts */
    int *parts_column;             /* of the dataset; -1: a literal */
    int pair;                      /* column of the second text; -1: none */
    int64_t rows;
};

static int check_text(const struct ech_dataset *ds, int index, const char *key, struct ech_err *err)
{
    const struct ech_column *c = ech_dataset_column(ds, index);
    if (c->type == ECH_TEXT || c->type == ECH_JSON)
        return ECH_OK;
    return ech_fail(err, ECH_CONFIG, "%s: column %s of %s is %s, text is expected", key, c->name,
                    ech_dataset_path(ds), ech_ctype_name(c->type));
}

static int open_template(struct ech_source *s, const char *text, struct ech_err *err)
{
    int code = ech_template_parse(text, &s->template_, err);
    if (code)
        return code == ECH_CONFIG ? ech_prefix(err, "input.template") : code;
    s->parts_column = ech_calloc((size_t)s->template_.count, sizeof *s->parts_column, err);
    if (!s->parts_column)
        return ECH_UNAVAILABLE;
    for (int i = 0; i < s->template_.count; i++) {
        const struct ech_template_part *part = &s->template_.parts[i];
        s->parts_column[i] = -1;
        if (!part->column)
            continue;
        code = ech_dataset_find(s->input, part->text, &s->parts_column[i], err);
        if (code)
            return code == ECH_CONFIG ? ech_prefix(err, "input.template") : code;
        code = check_text(s->input, s->parts_column[i], "input.template", err);
        if (code)
            return code;
    }
    return ECH_OK;
}

static int open_column(struct ech_source *s, const char *name, struct ech_err *err)
{
    int code = ech_dataset_find(s->input, name, &s->index, err);
    if (code)
        return code == ECH_CONFIG ? ech_prefix(err, "input.column") : code;
    s->column = *ech_dataset_column(s->input, s->index);
    if (s->column.type == ECH_TENSOR && s->column.dtype == ECH_F32)
        return ECH_OK;
    return check_text(s->input, s->index, "input.column", err);
}

static int open_pair(struct ech_source *s, const char *name, struct ech_err *err)
{
    if (!s->input)
        return ech_fail(err, ECH_CONFIG, "options.pair: there is no dataset to read it from");
    int code = ech_dataset_find(s->input, name, &s->pair, err);
    if (code)
        return code == ECH_CONFIG ? ech_prefix(err, "options.pair") : code;
    return check_text(s->input, s->pair, "options.pair", err);
}

int ech_source_open(const struct ech_job *job, const struct ech_dataset *input, const struct ech_list *texts,
                    struct ech_source **out, struct ech_err *err)
{
    struct ech_source *s = ech_calloc(1, sizeof *s, err);
    if (!s)
        return ECH_UNAVAILABLE;
    s->input = input;
    s->texts = texts;
    s->index = s->pair = -1;
    s->column = (struct ech_column){.name = "text", .type = ECH_TEXT, .dtype = ECH_U8};
    s->rows = input ? ech_dataset_rows(input) : texts->count;
    int code = ECH_OK;
    if (input && job->input.template_)
        code = open_template(s, job->input.template_, err);
    else if (input)
        code = open_column(s, job->input.column, err);
    if (!code && ech_job_pair(job))
        code = open_pair(s, ech_job_pair(job), err);
    if (code)
        ech_source_close(s);
    else
        *out = s;
    return code;
}

void ech_source_close(struct ech_source *s)
{
    if (!s)
        return;
    ech_template_fini(&s->template_);
    ech_free(s->parts_column);
    ech_free(s);
}

int64_t ech_source_rows(const struct ech_source *s)
{
    return s->rows;
}

const struct ech_column *ech_source_column(const struct ech_source *s)
{
    return &s->column;
}

static int join_row(const struct ech_source *s, const struct ech_cells *parts, int64_t row,
                    struct ech_str *text)
{
    size_t next = 0;
    for (int i = 0; i < s->template_.count; i++) {
        if (s->parts_column[i] < 0) {
            ech_str_adds(text, s->template_.parts[i].text);
            continue;
        }
        const struct ech_cells *c = &parts[next++];
        ech_str_add(text, c->bytes + c->offsets[row], (size_t)(c->offsets[row + 1] - c->offsets[row]));
    }
    return text->failed ? ECH_UNAVAILABLE : ECH_OK;
}

static int read_template(const struct ech_source *s, int64_t first, int64_t count, struct ech_cells *cells,
                         struct ech_err *err)
{
    struct ech_cells *parts = ech_calloc((size_t)s->template_.count, sizeof *parts, err);
    struct ech_str text;
    ech_str_init(&text);
    int code = parts ? ech_cells_reset(cells, err) : ECH_UNAVAILABLE;
    size_t used = 0;
    for (int i = 0; !code && i < s->template_.count; i++)
        if (s->parts_column[i] >= 0)
            code = ech_dataset_read(s->input, s->parts_column[i], first, count, &parts[used++], err);
    for (int64_t row = 0; !code && row < count; row++) {
        ech_str_clear(&text);
        code = join_row(s, parts, row, &text);
        if (code)
            ech_str_check(&text, err);
        else
            code = ech_cells_add(cells, text.data, text.length, err);
    }
    for (size_t i = 0; i < used; i++)
        ech_cells_fini(&parts[i]);
    ech_free(parts);
    ech_str_fini(&text);
    return code;
}

static int read_single(const struct ech_source *s, int64_t first, int64_t count, struct ech_cells *cells,
                       struct ech_err *err)
{
    if (s->template_.count)
        return read_template(s, first, count, cells, err);
    if (s->index >= 0)
        return ech_dataset_read(s->input, s->index, first, count, cells, err);
    int code = ech_cells_reset(cells, err);
    for (int64_t i = first; !code && i < first + count; i++)
        code = ech_cells_add(cells, s->texts->items[i], strlen(s->texts->items[i]), err);
    return code;
}

static void add_cell(struct ech_str *text, const struct ech_cells *c, int64_t row)
{
    ech_str_add(text, c->bytes + c->offsets[row], (size_t)(c->offsets[row + 1] - c->offsets[row]));
}

static int read_pairs(const struct ech_source *s, int64_t first, int64_t count, struct ech_cells *cells,
                      struct ech_err *err)
{
    struct ech_cells one = {0}, two = {0};
    struct ech_str text;
    ech_str_init(&text);
    int code = ech_cells_reset(cells, err);
    if (!code)
        code = read_single(s, first, count, &one, err);
    if (!code)
        code = ech_dataset_read(s->input, s->pair, first, count, &two, err);
    for (int64_t row = 0; !code && row < count; row++) {
        uint64_t length = one.offsets[row + 1] - one.offsets[row];
        ech_str_clear(&text);
        for (int i = 0; i < 8; i++)
            ech_str_addc(&text, (char)(length >> 8 * i & 0xFF));
        add_cell(&text, &one, row);
        add_cell(&text, &two, row);
        code = ech_str_check(&text, err);
        if (!code)
            code = ech_cells_add(cells, text.data, text.length, err);
    }
    ech_cells_fini(&one);
    ech_cells_fini(&two);
    ech_str_fini(&text);
    return code;
}

bool ech_source_paired(const struct ech_source *s)
{
    return s->pair >= 0;
}

int ech_source_read(const struct ech_source *s, int64_t first, int64_t count, struct ech_cells *cells,
                    struct ech_err *err)
{
    return s->pair >= 0 ? read_pairs(s, first, count, cells, err) : read_single(s, first, count, cells, err);
}

int64_t ech_source_bytes(const struct ech_source *s)
{
    int64_t sum = s->index >= 0 ? ech_dataset_column_bytes(s->input, s->index) : 0;
    sum += s->pair >= 0 ? ech_dataset_column_bytes(s->input, s->pair) + 8 * s->rows : 0;
    for (int i = 0; i < s->template_.count; i++)
        sum += s->parts_column[i] < 0 ? (int64_t)strlen(s->template_.parts[i].text) * s->rows
                                      : ech_dataset_column_bytes(s->input, s->parts_column[i]);
    for (int64_t i = 0; !s->input && i < s->rows; i++)
        sum += (int64_t)strlen(s->texts->items[i]);
    return sum;
}
