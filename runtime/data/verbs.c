/* The verbs of `data`: see verbs.h. One table holds the options, one the verbs with their help. */
#include "data/verbs.h"

#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"
#include "data/export.h"
#include "data/import.h"
#include "data/verbs_internal.h"

#include <string.h>

static const struct {
    const char *name, *value; /* value NULL: a switch */
    const char *help;
} options[ECH_OPTIONS] = {
    [ECH_OPT_FORMAT] = {"--format", "F", "jsonl, csv, lines or npy; otherwise the file's name tells it"},
    [ECH_OPT_COLUMNS] = {"--columns", "LIST",
                         "columns to take, in this order: a,b (import: also new=old, name:type)"},
    [ECH_OPT_NO_HEADER] = {"--no-header", NULL, "CSV without a header row: the columns are c0, c1, ..."},
    [ECH_OPT_DELIMITER] = {"--delimiter", "C",
                           "CSV: what stands between fields (default: comma; tab for .tsv)"},
    [ECH_OPT_SHARD_BYTES] = {"--shard-bytes", "SIZE", "bytes of rows in a shard (default 256MiB)"},
    [ECH_OPT_ROW_BYTES] = {"--row-bytes", "SIZE", "largest row of a source file (default 64MiB)"},
    [ECH_OPT_INVALID] = {"--invalid-utf8", "WHAT",
                         "text that is not UTF-8: error (default), or keep its bytes"},
    [ECH_OPT_REPLACE] = {"--replace", NULL, "replace an output that exists"},
    [ECH_OPT_ROWS] = {"--rows", "A:B", "rows A to B-1, counted from 0; A: to the end"},
    [ECH_OPT_COUNT] = {"-n", "N", "rows to show (default 10)"},
    [ECH_OPT_JSON] = {"--json", NULL, "machine-readable"},
    [ECH_OPT_HELP] = {"--help", NULL, "this text"},
};

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

static int parse_size(const struct ech_verb_args *args, enum ech_data_option option, int64_t *out,
                      struct ech_err *err)
{
    const char *text = args->values[option];
    if (text && (!ech_parse_bytes(text, out) || *out < 1))
        return ech_fail(err, ECH_USAGE, "%s \"%s\": a size like 256MiB was expected", options[option].name,
                        text);
    return ECH_OK;
}

static int parse_invalid(const char *text, bool *keep, struct ech_err *err)
{
    *keep = text && strcmp(text, "keep") == 0;
    if (text && !*keep && strcmp(text, "error") != 0)
        return ech_fail(err, ECH_USAGE, "--invalid-utf8 \"%s\": error or keep was expected", text);
    return ECH_OK;
}

static int import_options(const struct ech_verb_args *args, bool append, struct ech_want *wants,
                          struct ech_import_options *o, struct ech_err *err)
{
    const char *format = args->values[ECH_OPT_FORMAT], *columns = args->values[ECH_OPT_COLUMNS];
    *o = (struct ech_import_options){.sources = args->names,
                                     .source_count = args->name_count - 1,
                                     .no_header = args->values[ECH_OPT_NO_HEADER] != NULL,
                                     .replace = args->values[ECH_OPT_REPLACE] != NULL,
                                     .append = append,
                                     .wants = wants};
    int code = format ? ech_format_parse(format, &o->format, err) : ECH_OK;
    if (code == ECH_OK && columns)
        code = ech_wants_parse(columns, wants, &o->want_count, err);
    if (code == ECH_OK)
        code = parse_delimiter(args->values[ECH_OPT_DELIMITER], &o->delimiter, err);
    if (code == ECH_OK)
        code = parse_size(args, ECH_OPT_SHARD_BYTES, &o->shard_bytes, err);
    if (code == ECH_OK)
        code = parse_size(args, ECH_OPT_ROW_BYTES, &o->row_max, err);
    return code == ECH_OK ? parse_invalid(args->values[ECH_OPT_INVALID], &o->keep_invalid, err) : code;
}

static int import_any(const struct ech_verb_args *args, bool append, struct ech_comm *comm, FILE *out,
                      struct ech_err *err)
{
    struct ech_import_options o;
    struct ech_import_result result;
    const char *target = args->names[args->name_count - 1];
    struct ech_want *wants = ech_calloc(ECH_COLUMNS_MAX, sizeof *wants, err);
    if (wants)
        import_options(args, append, wants, &o, err);
    int code = ech_agree(comm, err);
    if (code == ECH_OK)
        code = ech_import(comm, &o, target, &result, err);
    ech_free(wants);
    if (code != ECH_OK || ech_comm_rank(comm) != 0)
        return code;
    char rows[32], bytes[32];
    fprintf(out, "%s: %s%s rows, %d column%s, %s\n", target, append ? "added " : "",
            ech_print_count(result.rows, rows, sizeof rows), result.columns, result.columns == 1 ? "" : "s",
            ech_print_bytes(result.bytes, bytes, sizeof bytes));
    return ECH_OK;
}

static int verb_import(const struct ech_verb_args *args, struct ech_comm *comm, FILE *out,
                       struct ech_err *err)
{
    return import_any(args, false, comm, out, err);
}

static int verb_append(const struct ech_verb_args *args, struct ech_comm *comm, FILE *out,
                       struct ech_err *err)
{
    return import_any(args, true, comm, out, err);
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

static int verb_export(const struct ech_verb_args *args, struct ech_comm *comm, FILE *out,
                       struct ech_err *err)
{
    struct ech_export_options o = {.replace = args->values[ECH_OPT_REPLACE] != NULL};
    struct ech_export_result result;
    const char *format = args->values[ECH_OPT_FORMAT], **names = NULL;
    char *copy = NULL, rows[32], bytes[32];
    int code = format ? ech_format_parse(format, &o.format, err) : ECH_OK;
    if (code == ECH_OK && args->values[ECH_OPT_COLUMNS])
        code = ech_verb_names(args->values[ECH_OPT_COLUMNS], &copy, &names, &o.column_count, err);
    o.columns = names;
    if (code == ECH_OK)
        code = parse_rows(args->values[ECH_OPT_ROWS], &o, err);
    if (code == ECH_OK)
        parse_delimiter(args->values[ECH_OPT_DELIMITER], &o.delimiter, err);
    code = ech_agree(comm, err);
    if (code == ECH_OK)
        code = ech_export(comm, args->names[0], &o, args->names[1], &result, err);
    ech_free(copy);
    ech_free(names);
    if (code == ECH_OK && ech_comm_rank(comm) == 0)
        fprintf(out, "%s: %s rows, %s\n", args->names[1], ech_print_count(result.rows, rows, sizeof rows),
                ech_print_bytes(result.bytes, bytes, sizeof bytes));
    return code;
}

#define BIT(option) (1u << (option))
#define IMPORTS                                                                                              \
    (BIT(ECH_OPT_FORMAT) | BIT(ECH_OPT_COLUMNS) | BIT(ECH_OPT_NO_HEADER) | BIT(ECH_OPT_DELIMITER) |          \
     BIT(ECH_OPT_SHARD_BYTES) | BIT(ECH_OPT_ROW_BYTES) | BIT(ECH_OPT_INVALID))

static const struct verb {
    const char *name, *names, *what, *example;
    int least, most; /* names */
    unsigned takes;  /* options */
    int (*run)(const struct ech_verb_args *args, struct ech_comm *comm, FILE *out, struct ech_err *err);
} verbs[] = {
    {"import", "SRC... DST",
     "Make a dataset of JSON Lines, CSV, plain lines or .npy files (also .gz, .zst), joined in the given "
     "order.\n"
     "Types: text, json, ints, f32, f16, f64; [n] behind for n values a row, ints[] for ragged ones.",
     "echelon data import reviews.jsonl.gz data/reviews --columns id,text", 2, INT32_MAX,
     IMPORTS | BIT(ECH_OPT_REPLACE), verb_import},
    {"export", "DS DST", "Write a dataset as JSON Lines, CSV, plain lines or .npy (also .gz, .zst).",
     "echelon data export out/vectors vectors.npy --columns vector", 2, 2,
     BIT(ECH_OPT_FORMAT) | BIT(ECH_OPT_COLUMNS) | BIT(ECH_OPT_ROWS) | BIT(ECH_OPT_DELIMITER) |
         BIT(ECH_OPT_REPLACE),
     verb_export},
    {"append", "SRC... DS",
     "Add the rows of files to a dataset, as its next generation. The columns must be the same.",
     "echelon data append more.jsonl data/reviews", 2, INT32_MAX, IMPORTS, verb_append},
    {"show", "DS", "What a dataset holds: columns, rows, shards, where it came from.",
     "echelon data show data/reviews", 1, 1, BIT(ECH_OPT_JSON), ech_verb_show},
    {"head", "DS", "The first rows; long values are cut (with --json: whole, one row a line).",
     "echelon data head data/reviews -n 3", 1, 1,
     BIT(ECH_OPT_COUNT) | BIT(ECH_OPT_JSON) | BIT(ECH_OPT_COLUMNS), ech_verb_head},
    {"verify", "DS", "Read a whole dataset and compare it with its hashes; one line for each problem.",
     "echelon data verify data/reviews", 1, 1, 0, ech_verb_verify},
};
enum { VERBS = sizeof verbs / sizeof verbs[0] };

static void print_help(const struct verb *v, FILE *out)
{
    fprintf(out, "usage: echelon data %s %s [options]\n\n%s\n\n", v->name, v->names, v->what);
    for (int i = 0; i < ECH_OPTIONS; i++)
        if ((v->takes | BIT(ECH_OPT_HELP)) & BIT(i)) {
            char left[40];
            snprintf(left, sizeof left, "%s %s", options[i].name, options[i].value ? options[i].value : "");
            fprintf(out, "  %-20s %s\n", left, options[i].help);
        }
    fprintf(out,
            "\nexample: %s\n\nexit status: 0 done; 64 command line; 65 bad data (file:line:column); 66 an "
            "input is "
            "missing;\n  69 out of memory; 73 the output exists or cannot be created; 74 reading or writing "
            "failed; "
            "78 no such column\n",
            v->example);
}

static int unknown_option(const struct verb *v, const char *arg, struct ech_err *err)
{
    const char *names[ECH_OPTIONS + 1] = {NULL};
    int count = 0;
    for (int i = 0; i < ECH_OPTIONS; i++)
        if ((v->takes | BIT(ECH_OPT_HELP)) & BIT(i))
            names[count++] = options[i].name;
    const char *nearest = ech_nearest(arg, names);
    return ech_fail(err, ECH_USAGE, "data %s: no such option %s%s%s%s; --help lists them", v->name, arg,
                    nearest ? " (did you mean " : "", nearest ? nearest : "", nearest ? "?)" : "");
}

/* One option at argv[*i], with its value. */
static int parse_option(const struct verb *v, int argc, char **argv, int *i, struct ech_verb_args *args,
                        struct ech_err *err)
{
    char *arg = argv[*i];
    size_t length = strcspn(arg, "=");
    for (int o = 0; o < ECH_OPTIONS; o++) {
        if (strlen(options[o].name) != length || memcmp(options[o].name, arg, length) != 0 ||
            !((v->takes | BIT(ECH_OPT_HELP)) & BIT(o)))
            continue;
        bool joined = arg[length] == '=';
        if (!options[o].value && joined)
            return ech_fail(err, ECH_USAGE, "data %s: %s takes no value", v->name, options[o].name);
        if (options[o].value && !joined && *i + 1 == argc)
            return ech_fail(err, ECH_USAGE, "data %s: %s needs a value (%s)", v->name, options[o].name,
                            options[o].help);
        args->values[o] = !options[o].value ? "" : joined ? arg + length + 1 : argv[++*i];
        return ECH_OK;
    }
    return unknown_option(v, arg, err);
}

static int parse_args(const struct verb *v, int argc, char **argv, struct ech_verb_args *args,
                      struct ech_err *err)
{
    bool ended = false;
    for (int i = 1; i < argc; i++) {
        if (!ended && strcmp(argv[i], "--") == 0)
            ended = true;
        else if (!ended && argv[i][0] == '-' && argv[i][1]) {
            int code = parse_option(v, argc, argv, &i, args, err);
            if (code != ECH_OK)
                return code;
        } else
            args->names[args->name_count++] = argv[i];
    }
    if (args->values[ECH_OPT_HELP] || (args->name_count >= v->least && args->name_count <= v->most))
        return ECH_OK;
    return ech_fail(err, ECH_USAGE, "data %s: %s names given; usage: echelon data %s %s", v->name,
                    args->name_count < v->least ? "too few" : "too many", v->name, v->names);
}

static int run_verb(const struct verb *v, int argc, char **argv, struct ech_comm *comm, FILE *out,
                    struct ech_err *err)
{
    struct ech_verb_args args = {{NULL}, NULL, 0};
    args.names = ech_calloc((size_t)argc, sizeof args.names[0], err);
    if (args.names)
        parse_args(v, argc, argv, &args, err);
    int code = ech_agree(comm, err);
    if (code == ECH_OK && args.values[ECH_OPT_HELP]) {
        if (ech_comm_rank(comm) == 0)
            print_help(v, out);
    } else if (code == ECH_OK)
        code = v->run(&args, comm, out, err);
    ech_free(args.names);
    return code;
}

static void print_verbs(FILE *out)
{
    fprintf(out, "usage: echelon data VERB ...\n\n");
    for (int i = 0; i < VERBS; i++)
        fprintf(out, "  %-7s %-11s %.*s\n", verbs[i].name, verbs[i].names, (int)strcspn(verbs[i].what, "\n"),
                verbs[i].what);
    fprintf(out, "\n`echelon data VERB --help` says more.\n");
}

int ech_data_verb(int argc, char **argv, struct ech_comm *comm, FILE *out, struct ech_err *err)
{
    struct ech_err spare = ECH_ERR_NONE;
    const char *names[VERBS + 1] = {NULL};
    err = err ? err : &spare;
    for (int i = 0; i < VERBS; i++) {
        names[i] = verbs[i].name;
        if (argc == 0 || strcmp(argv[0], verbs[i].name) != 0)
            continue;
        int code = run_verb(&verbs[i], argc, argv, comm, out, err);
        if (ech_comm_size(comm) == 1)
            err->rank = -1; /* one process: no need to say which */
        return code;
    }
    if (argc > 0 && strcmp(argv[0], "--help") == 0) {
        if (ech_comm_rank(comm) == 0)
            print_verbs(out);
        return ECH_OK;
    }
    const char *nearest = argc > 0 ? ech_nearest(argv[0], names) : NULL;
    return ech_fail(err, ECH_USAGE,
                    "data: %s%s%s%s%s; the verbs are import, export, append, show, head and verify",
                    argc > 0 ? "no such verb " : "a verb is missing", argc > 0 ? argv[0] : "",
                    nearest ? " (did you mean " : "", nearest ? nearest : "", nearest ? "?)" : "");
}
