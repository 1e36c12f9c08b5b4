/* The verbs of `data`: see verbs.h. Import, export, append, and at the end one row a verb. */
#include "data/verbs.h"

#include "base/mem.h"
#include "base/num.h"
#include "data/export.h"
#include "data/import.h"
#include "data/verbs_internal.h"

#include <string.h>

static int parse_delimiter(const char *text, char *out, struct ech_err *err)
{
    *out = 0;
    if (!text)
        return ECH_OK;
    if (strcmp(text, "\\t") == 0 || strcmp(text, "tab") == 0) {
        *out = '\t';
        return ECH_OK;
    }
    if (strlen(text) != 1)
        return ech_fail(err, ECH_USAGE, "--delimiter \"%s\": one character was expected (tab for a tab)",
                        text);
    *out = text[0];
    return ECH_OK;
}

static int parse_size(const struct ech_args *args, const char *option, int64_t *out, struct ech_err *err)
{
    const char *text = ech_args_get(args, option);
    if (text && (!ech_parse_bytes(text, out) || *out < 1))
        return ech_fail(err, ECH_USAGE, "--%s \"%s\": a size like 256MiB was expected", option, text);
    return ECH_OK;
}

static int parse_invalid(const char *text, bool *keep, struct ech_err *err)
{
    *keep = text && strcmp(text, "keep") == 0;
    if (text && !*keep && strcmp(text, "error") != 0)
        return ech_fail(err, ECH_USAGE, "--invalid-utf8 \"%s\": error or keep was expected", text);
    return ECH_OK;
}

static int import_options(const struct ech_args *args, bool append, struct ech_want *wants,
                          struct ech_import_options *o, struct ech_err *err)
{
    const char *format = ech_args_get(args, "format"), *columns = ech_args_get(args, "columns");
    *o = (struct ech_import_options){.sources = args->operands,
                                     .source_count = args->count - 1,
                                     .no_header = ech_args_given(args, "no-header"),
                                     .replace = !append && ech_args_given(args, "replace"),
                                     .append = append,
                                     .wants = wants};
    int code = format ? ech_format_parse(format, &o->format, err) : ECH_OK;
    if (code == ECH_OK && columns)
        code = ech_wants_parse(columns, wants, &o->want_count, err);
    if (code == ECH_OK)
        code = parse_delimiter(ech_args_get(args, "delimiter"), &o->delimiter, err);
    if (code == ECH_OK)
        code = parse_size(args, "shard-bytes", &o->shard_bytes, err);
    if (code == ECH_OK)
        code = parse_size(args, "row-bytes", &o->row_max, err);
    return code == ECH_OK ? parse_invalid(ech_args_get(args, "invalid-utf8"), &o->keep_invalid, err) : code;
}

static int import_any(const struct ech_args *args, bool append, struct ech_verb_call *call,
                      struct ech_err *err)
{
    struct ech_import_options o;
    struct ech_import_result result;
    const char *target = args->operands[args->count - 1];
    struct ech_want *wants = ech_calloc(ECH_COLUMNS_MAX, sizeof *wants, err);
    if (wants)
        import_options(args, append, wants, &o, err);
    int code = ech_agree(call->context, err);
    if (code == ECH_OK)
        code = ech_import(call->context, &o, target, &result, err);
    ech_free(wants);
    if (code != ECH_OK)
        return code;
    char rows[32], bytes[32];
    ech_str_addf(&call->text, "%s: %s%s rows, %d column%s, %s\n", target, append ? "added " : "",
                 ech_print_count(result.rows, rows, sizeof rows), result.columns,
                 result.columns == 1 ? "" : "s", ech_print_bytes(result.bytes, bytes, sizeof bytes));
    return ECH_OK;
}

static int verb_import(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err)
{
    return import_any(args, false, call, err);
}

static int verb_append(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err)
{
    return import_any(args, true, call, err);
}

/* "A:B", "A:", ":B". */
static int parse_rows(const char *text, struct ech_export_options *o, struct ech_err *err)
{
    char first[24] = "";
    const char *colon = text ? strchr(text, ':') : NULL;
    if (!text)
        return ECH_OK;
    if (colon && (size_t)(colon - text) < sizeof first) {
        memcpy(first, text, (size_t)(colon - text));
        bool good = (!first[0] || ech_parse_int(first, &o->first)) &&
                    (!colon[1] || ech_parse_int(colon + 1, &o->end));
        if (good && o->first >= 0 && (!colon[1] || o->end > o->first))
            return ECH_OK;
    }
    return ech_fail(err, ECH_USAGE, "--rows \"%s\": A:B with A < B was expected, rows counted from 0", text);
}

int ech_verb_names(const char *list, char **copy, const char ***names, int *count, struct ech_err *err)
{
    int most = 1, found = 0;
    for (const char *p = list; *p; p++)
        most += *p == ',';
    *copy = ech_strdup(list, err);
    *names = ech_calloc((size_t)most, sizeof(*names)[0], err);
    if (!*copy || !*names)
        return ECH_UNAVAILABLE;
    for (char *p = *copy; p; found++) {
        (*names)[found] = p;
        p = strchr(p, ',');
        if (p)
            *p++ = '\0';
    }
    *count = found;
    return ECH_OK;
}

static int verb_export(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err)
{
    struct ech_export_options o = {.replace = ech_args_given(args, "replace")};
    struct ech_export_result result;
    const char *format = ech_args_get(args, "format"), *columns = ech_args_get(args, "columns"),
               **names = NULL;
    const char *target = args->operands[1];
    char *copy = NULL, rows[32], bytes[32];
    int code = format ? ech_format_parse(format, &o.format, err) : ECH_OK;
    if (code == ECH_OK && columns)
        code = ech_verb_names(columns, &copy, &names, &o.column_count, err);
    o.columns = names;
    if (code == ECH_OK)
        code = parse_rows(ech_args_get(args, "rows"), &o, err);
    if (code == ECH_OK)
        parse_delimiter(ech_args_get(args, "delimiter"), &o.delimiter, err);
    code = ech_agree(call->context, err);
    if (code == ECH_OK)
        code = ech_export(call->context, args->operands[0], &o, target, &result, err);
    ech_free(copy);
    ech_free(names);
    if (code == ECH_OK)
        ech_str_addf(&call->text, "%s: %s rows, %s\n", target,
                     ech_print_count(result.rows, rows, sizeof rows),
                     ech_print_bytes(result.bytes, bytes, sizeof bytes));
    return code;
}

/* append takes all but the first. */
static const struct ech_option import_takes[] = {
    {"replace", NULL, false, "replace an output that exists"},
    {"format", "F", false, "jsonl, csv, lines or npy; otherwise the file's name tells it"},
    {"columns", "LIST", false, "columns to take, in this order: a,b (also new=old, name:type)"},
    {"no-header", NULL, false, "CSV without a header row: the columns are c0, c1, ..."},
    {"delimiter", "C", false, "CSV: what stands between fields (default: comma; tab for .tsv)"},
    {"shard-bytes", "SIZE", false, "bytes of rows in a shard (default 256MiB)"},
    {"row-bytes", "SIZE", false, "largest row of a source file (default 64MiB)"},
    {"invalid-utf8", "WHAT", false, "text that is not UTF-8: error (default), or keep its bytes"},
    {0}};
static const struct ech_option export_takes[] = {
    {"replace", NULL, false, "replace an output that exists"},
    {"format", "F", false, "jsonl, csv, lines or npy; otherwise the file's name tells it"},
    {"columns", "LIST", false, "columns to write, in this order: a,b"},
    {"rows", "A:B", false, "rows A to B-1, counted from 0; A: to the end"},
    {"delimiter", "C", false, "CSV: what stands between fields (default: comma; tab for .tsv)"},
    {0}};
static const struct ech_option show_takes[] = {{"json", NULL, false, "one JSON object"}, {0}};
static const struct ech_option head_takes[] = {
    {"n", "N", false, "rows to show (default 10)"},
    {"columns", "LIST", false, "columns to show, in this order: a,b"},
    {"json", NULL, false, "one JSON object a row, values whole"},
    {0}};

static const struct ech_exit write_exits[] = {{ECH_OK, NULL},
                                              {ECH_USAGE, NULL},
                                              {ECH_DATA, "bad data; the error says file:line:column"},
                                              {ECH_NOINPUT, NULL},
                                              {ECH_UNAVAILABLE, NULL},
                                              {ECH_EXISTS, NULL},
                                              {ECH_IO, "reading or writing failed"},
                                              {ECH_CONFIG, "a named column is not there"},
                                              {0}};
static const struct ech_exit read_exits[] = {{ECH_OK, NULL},
                                             {ECH_USAGE, NULL},
                                             {ECH_DATA, "the dataset is damaged"},
                                             {ECH_NOINPUT, NULL},
                                             {ECH_UNAVAILABLE, NULL},
                                             {ECH_IO, "reading or writing failed"},
                                             {0}};
static const struct ech_exit head_exits[] = {{ECH_OK, NULL},
                                             {ECH_USAGE, NULL},
                                             {ECH_DATA, "the dataset is damaged"},
                                             {ECH_NOINPUT, NULL},
                                             {ECH_UNAVAILABLE, NULL},
                                             {ECH_IO, "reading or writing failed"},
                                             {ECH_CONFIG, "a named column is not there"},
                                             {0}};

/* All ranks read the same words; memory may lack on one of them. */
static int agree(void *comm, struct ech_err *err)
{
    return ech_agree(comm, err);
}

static const struct ech_verb_spec verbs[] = {
    {.name = "import",
     .run = verb_import,
     .agree = agree,
     .command = {.name = "echelon data import",
                 .usage = "SRC... DST [options]",
                 .summary = "Make a dataset of JSON Lines, CSV, plain lines or .npy files (also .gz, .zst), "
                            "joined in the given order.\n"
                            "Types: text, json, ints, f32, f16, f64; [n] behind for n values a row, ints[] "
                            "for ragged ones.",
                 .options = import_takes,
                 .operands_least = 2,
                 .operands_most = -1,
                 .example = "echelon data import reviews.jsonl.gz data/reviews --columns id,text",
                 .exits = write_exits}},
    {.name = "export",
     .run = verb_export,
     .agree = agree,
     .command = {.name = "echelon data export",
                 .usage = "DS DST [options]",
                 .summary = "Write a dataset as JSON Lines, CSV, plain lines or .npy (also .gz, .zst).",
                 .options = export_takes,
                 .operands_least = 2,
                 .operands_most = 2,
                 .example = "echelon data export out/vectors vectors.npy --columns vector",
                 .exits = write_exits}},
    {.name = "append",
     .run = verb_append,
     .agree = agree,
     .command =
         {.name = "echelon data append",
          .usage = "SRC... DS [options]",
          .summary =
              "Add the rows of files to a dataset, as its next generation. The columns must be the same.",
          .options = import_takes + 1,
          .operands_least = 2,
          .operands_most = -1,
          .example = "echelon data append more.jsonl data/reviews",
          .exits = write_exits}},
    {.name = "show",
     .run = ech_verb_show,
     .agree = agree,
     .command = {.name = "echelon data show",
                 .usage = "DS [--json]",
                 .summary = "What a dataset holds: columns, rows, shards, where it came from.",
                 .options = show_takes,
                 .operands_least = 1,
                 .operands_most = 1,
                 .example = "echelon data show data/reviews",
                 .exits = read_exits}},
    {.name = "head",
     .run = ech_verb_head,
     .agree = agree,
     .command = {.name = "echelon data head",
                 .usage = "DS [options]",
                 .summary = "The first rows; long values are cut (with --json: whole, one row a line).",
                 .options = head_takes,
                 .operands_least = 1,
                 .operands_most = 1,
                 .example = "echelon data head data/reviews -n 3",
                 .exits = head_exits}},
    {.name = "verify",
     .run = ech_verb_verify,
     .agree = agree,
     .command = {.name = "echelon data verify",
                 .usage = "DS",
                 .summary = "Read a whole dataset and compare it with its hashes; one line for each problem.",
                 .operands_least = 1,
                 .operands_most = 1,
                 .example = "echelon data verify data/reviews",
                 .exits = read_exits}},
};

static const struct ech_verb_group group = {.name = "echelon data",
                                            .usage = "VERB ...",
                                            .example = "echelon data import reviews.jsonl data/reviews",
                                            .exits = write_exits,
                                            .verbs = verbs,
                                            .count = sizeof verbs / sizeof verbs[0]};

int ech_data_verb(int argc, char **argv, struct ech_comm *comm, FILE *out, struct ech_err *err)
{
    int code = ech_verb_group_run(&group, argc, argv, comm, ech_comm_rank(comm) == 0 ? out : NULL, err);
    if (err && ech_comm_size(comm) == 1)
        err->rank = -1; /* one process: no need to say which */
    return code;
}
