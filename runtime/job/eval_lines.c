/* Lines of a file or of a dataset's column: see eval_lines.h. */
#include "job/eval_lines.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "data/dataset.h"

#include <string.h>
#include <sys/stat.h>

enum { BLOCK = 4096 };
static const size_t file_most = (size_t)4 << 30;

struct ech_eval_lines {
    char *name;
    int64_t read;
    /* a file */
    char *text;
    size_t bytes, at;
    /* a dataset */
    struct ech_dataset *dataset;
    int column;
    struct ech_cells cells;
    int64_t first; /* row of the first cell */
};

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_text(const struct ech_column *column)
{
    return column->type == ECH_TEXT || column->type == ECH_JSON;
}

static int only_text_column(const struct ech_dataset *ds, int *out, struct ech_err *err)
{
    int found = 0;
    for (int c = ech_dataset_columns(ds) - 1; c >= 0; c--)
        if (is_text(ech_dataset_column(ds, c)) && strcmp(ech_dataset_column(ds, c)->name, "errors") != 0) {
            *out = c;
            found++;
        }
    if (found == 1)
        return ECH_OK;
    return ech_fail(err, ECH_CONFIG, "%s has %d text columns: name one, as %s:COLUMN", ech_dataset_path(ds),
                    found, ech_dataset_path(ds));
}

static int open_dataset(struct ech_eval_lines *l, const char *path, const char *column, struct ech_err *err)
{
    int code = ech_dataset_open(path, &l->dataset, err);
    if (code != ECH_OK)
        return code;
    if (!column)
        return only_text_column(l->dataset, &l->column, err);
    code = ech_dataset_find(l->dataset, column, &l->column, err);
    if (code == ECH_OK && !is_text(ech_dataset_column(l->dataset, l->column)))
        code = ech_fail(err, ECH_CONFIG, "column %s of %s is %s, text was expected", column, path,
                        ech_ctype_name(ech_dataset_column(l->dataset, l->column)->type));
    return code;
}

static int open_any(struct ech_eval_lines *l, struct ech_err *err)
{
    const char *what = l->name, *colon = strrchr(what, ':');
    if (is_folder(what))
        return open_dataset(l, what, NULL, err);
    if (ech_path_exists(what) || !colon)
        return ech_read_file(what, file_most, &l->text, &l->bytes, err);
    char *path = ech_strndup(what, (size_t)(colon - what), err);
    if (!path)
        return ECH_UNAVAILABLE;
    int code = is_folder(path) ? open_dataset(l, path, colon + 1, err)
                               : ech_fail(err, ECH_NOINPUT, "%s: neither a file nor DATASET:COLUMN", what);
    ech_free(path);
    return code;
}

int ech_eval_lines_open(const char *what, struct ech_eval_lines **out, struct ech_err *err)
{
    struct ech_eval_lines *l = ech_calloc(1, sizeof *l, err);
    int code = l && (l->name = ech_strdup(what, err)) ? open_any(l, err) : ECH_UNAVAILABLE;
    if (code == ECH_OK)
        *out = l;
    else
        ech_eval_lines_close(l);
    return code;
}

void ech_eval_lines_close(struct ech_eval_lines *l)
{
    if (!l)
        return;
    ech_dataset_close(l->dataset);
    ech_cells_fini(&l->cells);
    ech_free(l->text);
    ech_free(l->name);
    ech_free(l);
}

/* A line ends with \n, \r or both, as Python's text files do. */
static bool next_of_file(struct ech_eval_lines *l, struct ech_line *out)
{
    if (l->at >= l->bytes)
        return false;
    const char *from = l->text + l->at;
    size_t length = 0, left = l->bytes - l->at;
    while (length < left && from[length] != '\n' && from[length] != '\r')
        length++;
    *out = (struct ech_line){.text = from, .bytes = length};
    l->at += length + (length < left);
    if (length + 1 < left && from[length] == '\r' && from[length + 1] == '\n')
        l->at++;
    return true;
}

static int next_of_dataset(struct ech_eval_lines *l, struct ech_line *out, bool *got, struct ech_err *err)
{
    int64_t rows = ech_dataset_rows(l->dataset), row = l->read;
    *got = row < rows;
    if (!*got)
        return ECH_OK;
    if (row >= l->first + l->cells.rows) {
        int64_t count = rows - row < BLOCK ? rows - row : BLOCK;
        int code = ech_dataset_read(l->dataset, l->column, row, count, &l->cells, err);
        if (code != ECH_OK)
            return code;
        l->first = row;
    }
    const uint64_t *offset = l->cells.offsets + (row - l->first);
    *out = (struct ech_line){.text = (const char *)l->cells.bytes + offset[0],
                             .bytes = (size_t)(offset[1] - offset[0])};
    return ECH_OK;
}

int ech_eval_lines_next(struct ech_eval_lines *l, struct ech_line *out, bool *got, struct ech_err *err)
{
    int code = ECH_OK;
    if (l->dataset)
        code = next_of_dataset(l, out, got, err);
    else
        *got = next_of_file(l, out);
    if (code != ECH_OK || !*got)
        return code;
    int64_t invalid = ech_utf8_invalid_at(out->text, out->bytes);
    if (invalid >= 0)
        return ech_fail(err, ECH_DATA, "%s, %s %lld: byte %lld is not UTF-8", l->name,
                        l->dataset ? "row" : "line", (long long)(l->read + !l->dataset),
                        (long long)invalid + 1);
    l->read++;
    return ECH_OK;
}

const char *ech_eval_lines_name(const struct ech_eval_lines *l)
{
    return l->name;
}

int64_t ech_eval_lines_read(const struct ech_eval_lines *l)
{
    return l->read;
}
