/* See source.h. A template is cut into pieces once: literal text, or a column. */
#include "job/source.h"

#include "base/mem.h"
#include "base/str.h"

#include <string.h>

struct piece {
    char *literal; /* or NULL: */
    int column;
};

struct ech_source {
    const struct ech_dataset *input;
    const struct ech_list *texts;
    struct ech_column column;
    int index; /* of a plain column */
    struct piece *pieces;
    size_t count, capacity;
    int64_t rows;
};

static int add_piece(struct ech_source *s, const char *literal, size_t bytes, int column, struct ech_err *err)
{
    int code = ech_grow((void **)&s->pieces, &s->capacity, s->count + 1, sizeof *s->pieces, err);
    if (code)
        return code;
    struct piece p = {NULL, column};
    if (literal) {
        p.literal = ech_strndup(literal, bytes, err);
        if (!p.literal)
            return ECH_UNAVAILABLE;
    }
    s->pieces[s->count++] = p;
    return ECH_OK;
}

static int check_text(const struct ech_dataset *ds, int index, const char *key, struct ech_err *err)
{
    const struct ech_column *c = ech_dataset_column(ds, index);
    if (c->type == ECH_TEXT || c->type == ECH_JSON)
        return ECH_OK;
    return ech_fail(err, ECH_CONFIG, "%s: column %s of %s is %s, text is expected", key, c->name,
                    ech_dataset_path(ds), ech_ctype_name(c->type));
}

static int add_column(struct ech_source *s, const char *name, size_t bytes, struct ech_err *err)
{
    char *copy = ech_strndup(name, bytes, err);
    int index = -1, code = copy ? ech_dataset_find(s->input, copy, &index, err) : ECH_UNAVAILABLE;
    if (code == ECH_CONFIG)
        ech_prefix(err, "input.template");
    if (!code)
        code = check_text(s->input, index, "input.template", err);
    if (!code)
        code = add_piece(s, NULL, 0, index, err);
    ech_free(copy);
    return code;
}

/* "{title} {text}": braces name columns, "{{" and "}}" are braces. */
static int parse_template(struct ech_source *s, const char *text, struct ech_err *err)
{
    struct ech_str literal;
    ech_str_init(&literal);
    int code = ECH_OK;
    for (const char *p = text; !code && *p; p++) {
        if ((p[0] == '{' && p[1] == '{') || (p[0] == '}' && p[1] == '}')) {
            ech_str_addc(&literal, *p++);
        } else if (*p == '{') {
            const char *end = strchr(p, '}');
            if (!end) {
                code = ech_fail(err, ECH_CONFIG, "input.template: no } closes the { at character %td",
                                p - text + 1);
                break;
            }
            if (literal.length)
                code = add_piece(s, literal.data, literal.length, -1, err);
            ech_str_clear(&literal);
            if (!code)
                code = add_column(s, p + 1, (size_t)(end - p - 1), err);
            p = end;
        } else
            ech_str_addc(&literal, *p);
    }
    if (!code)
        code = ech_str_check(&literal, err);
    if (!code && literal.length)
        code = add_piece(s, literal.data, literal.length, -1, err);
    ech_str_fini(&literal);
    return code;
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

int ech_source_open(const struct ech_job *job, const struct ech_dataset *input, const struct ech_list *texts,
                    struct ech_source **out, struct ech_err *err)
{
    struct ech_source *s = ech_calloc(1, sizeof *s, err);
    if (!s)
        return ECH_UNAVAILABLE;
    s->input = input;
    s->texts = texts;
    s->index = -1;
    s->column = (struct ech_column){.name = "text", .type = ECH_TEXT, .dtype = ECH_U8};
    s->rows = input ? ech_dataset_rows(input) : texts->count;
    int code = ECH_OK;
    if (input && job->input.template_)
        code = parse_template(s, job->input.template_, err);
    else if (input)
        code = open_column(s, job->input.column, err);
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
    for (size_t i = 0; i < s->count; i++)
        ech_free(s->pieces[i].literal);
    ech_free(s->pieces);
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
    for (size_t i = 0; i < s->count; i++) {
        if (s->pieces[i].literal) {
            ech_str_adds(text, s->pieces[i].literal);
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
    struct ech_cells *parts = ech_calloc(s->count, sizeof *parts, err);
    struct ech_str text;
    ech_str_init(&text);
    int code = parts ? ech_cells_reset(cells, err) : ECH_UNAVAILABLE;
    size_t used = 0;
    for (size_t i = 0; !code && i < s->count; i++)
        if (!s->pieces[i].literal)
            code = ech_dataset_read(s->input, s->pieces[i].column, first, count, &parts[used++], err);
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

int ech_source_read(const struct ech_source *s, int64_t first, int64_t count, struct ech_cells *cells,
                    struct ech_err *err)
{
    if (s->count)
        return read_template(s, first, count, cells, err);
    if (s->index >= 0)
        return ech_dataset_read(s->input, s->index, first, count, cells, err);
    int code = ech_cells_reset(cells, err);
    for (int64_t i = first; !code && i < first + count; i++)
        code = ech_cells_add(cells, s->texts->items[i], strlen(s->texts->items[i]), err);
    return code;
}

int64_t ech_source_bytes(const struct ech_source *s)
{
    int64_t sum = s->index >= 0 ? ech_dataset_column_bytes(s->input, s->index) : 0;
    for (size_t i = 0; i < s->count; i++)
        sum += s->pieces[i].literal ? (int64_t)strlen(s->pieces[i].literal) * s->rows
                                    : ech_dataset_column_bytes(s->input, s->pieces[i].column);
    for (int64_t i = 0; !s->input && i < s->rows; i++)
        sum += (int64_t)strlen(s->texts->items[i]);
    return sum;
}
