/* Schemas: see schema.h. */
#include "data/schema.h"

#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    enum ech_ctype type;
    enum ech_dtype dtype;
} types[] = {
    {"text", ECH_TEXT, ECH_U8},      {"json", ECH_JSON, ECH_U8},   {"ints", ECH_INTS, ECH_I64},
    {"f32", ECH_TENSOR, ECH_F32},    {"f16", ECH_TENSOR, ECH_F16}, {"f64", ECH_TENSOR, ECH_F64},
    {"tensor", ECH_TENSOR, ECH_F32},
};

static int unknown_type(const char *item, const char *name, struct ech_err *err)
{
    const char *names[sizeof types / sizeof types[0] + 1] = {NULL};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        names[i] = types[i].name;
    const char *nearest = ech_nearest(name, names);
    return ech_fail(
        err, ECH_USAGE,
        "column \"%s\": no such type \"%s\"%s%s%s; the types are text, json, ints, f32, f16, f64, with "
        "[n] behind for n values a row, ints[] for ragged ones",
        item, name, nearest ? " (did you mean " : "", nearest ? nearest : "", nearest ? "?)" : "");
}

/* "f32[384]" at text, up to its end. */
static int parse_type(const char *item, char *text, struct ech_want *want, struct ech_err *err)
{
    char *open = strchr(text, '[');
    size_t length = strlen(text), i = 0;
    int64_t dim = 0;
    if (open) {
        if (text[length - 1] != ']')
            return ech_fail(err, ECH_USAGE, "column \"%s\": a ] is missing", item);
        text[length - 1] = '\0';
        *open++ = '\0';
        if (*open && (!ech_parse_int(open, &dim) || dim < 1))
            return ech_fail(err, ECH_USAGE, "column \"%s\": [%s] is no number of values", item, open);
    }
    while (i < sizeof types / sizeof types[0] && strcmp(types[i].name, text) != 0)
        i++;
    if (i == sizeof types / sizeof types[0])
        return unknown_type(item, text, err);
    want->typed = true;
    want->sized = open != NULL || types[i].type == ECH_TEXT || types[i].type == ECH_JSON;
    want->column.type = types[i].type;
    want->column.dtype = types[i].dtype;
    want->column.dim = dim;
    if (open && (types[i].dtype == ECH_U8 || (dim == 0 && types[i].type == ECH_TENSOR)))
        return ech_fail(err, ECH_USAGE, "column \"%s\": %s", item,
                        types[i].dtype == ECH_U8
                            ? "text and json take no [n]"
                            : "a tensor needs the same number of values in each row: [n]");
    return ECH_OK;
}

static int parse_want(char *item, struct ech_want *want, struct ech_err *err)
{
    char whole[512];
    snprintf(whole, sizeof whole, "%s", item);
    *want = (struct ech_want){0};
    char *type = strrchr(item, ':'), *source = strchr(item, '=');
    if (type)
        *type++ = '\0';
    if (source)
        *source++ = '\0';
    else
        source = item;
    if (!*source || strlen(source) >= sizeof want->source)
        return ech_fail(err, ECH_USAGE, "column \"%s\": the name in the file has 1 to %d bytes", whole,
                        ECH_SOURCE_MAX - 1);
    if (!ech_column_name_valid(item))
        return ech_fail(
            err, ECH_USAGE,
            "\"%s\" cannot name a column (a letter or _, then letters, digits, _ . -, at most 63): write "
            "NEW=%s",
            item, source);
    strcpy(want->source, source);
    strcpy(want->column.name, item);
    return type ? parse_type(whole, type, want, err) : ECH_OK;
}

static int check_unique(const struct ech_want *wants, int count, struct ech_err *err)
{
    for (int i = 0; i < count; i++)
        for (int k = 0; k < i; k++)
            if (strcmp(wants[i].column.name, wants[k].column.name) == 0)
                return ech_fail(err, ECH_USAGE, "column \"%s\" is asked for twice", wants[i].column.name);
            else if (strcmp(wants[i].source, wants[k].source) == 0)
                return ech_fail(err, ECH_USAGE, "\"%s\" of the file is asked for twice", wants[i].source);
    return ECH_OK;
}

int ech_wants_parse(const char *text, struct ech_want *wants, int *count, struct ech_err *err)
{
    char *copy = ech_strdup(text, err);
    int code = copy ? ECH_OK : ECH_UNAVAILABLE, found = 0;
    for (char *item = copy; code == ECH_OK && item;) {
        char *comma = strchr(item, ',');
        if (comma)
            *comma++ = '\0';
        if (found == ECH_COLUMNS_MAX)
            code = ech_fail(err, ECH_USAGE, "more than %d columns are asked for", ECH_COLUMNS_MAX);
        else
            code = parse_want(item, &wants[found++], err);
        item = comma;
    }
    if (code == ECH_OK)
        code = check_unique(wants, found, err);
    ech_free(copy);
    if (code == ECH_OK)
        *count = found;
    return code;
}

void ech_survey_fini(struct ech_survey *survey)
{
    ech_free(survey->seen);
    *survey = (struct ech_survey){0};
}

int ech_survey_find(struct ech_survey *survey, const char *name, size_t hint, size_t *index,
                    struct ech_err *err)
{
    if (hint < survey->count && strcmp(survey->seen[hint].name, name) == 0) {
        *index = hint;
        return ECH_OK;
    }
    size_t i = 0;
    while (i < survey->count && strcmp(survey->seen[i].name, name) != 0)
        i++;
    *index = i;
    if (i < survey->count)
        return ECH_OK;
    if (!ech_column_name_valid(name))
        return ech_fail(
            err, ECH_DATA,
            "the key \"%.80s\" cannot name a column (a letter or _, then letters, digits, _ . -, at most "
            "63): choose columns by name, and rename it: NEW=%.80s",
            name, name);
    if (i == ECH_COLUMNS_MAX)
        return ech_fail(err, ECH_DATA, "more than %d different keys: choose columns by name",
                        ECH_COLUMNS_MAX);
    int code = ech_grow((void **)&survey->seen, &survey->capacity, i + 1, sizeof survey->seen[0], err);
    if (code != ECH_OK)
        return code;
    survey->seen[i] = (struct ech_seen){.least = INT64_MAX, .most = -1};
    strcpy(survey->seen[i].name, name);
    survey->count++;
    return ECH_OK;
}

void ech_seen_add(struct ech_seen *seen, const struct ech_jvalue *value)
{
    seen->kinds |= 1u << value->kind;
    seen->big |= value->big;
    if (value->kind == ECH_J_INTS || value->kind == ECH_J_FLOATS) {
        seen->least = ech_min64(seen->least, value->count);
        seen->most = ech_max64(seen->most, value->count);
    }
}

void ech_seen_merge(struct ech_seen *into, const struct ech_seen *more)
{
    into->kinds |= more->kinds;
    into->big |= more->big;
    into->least = ech_min64(into->least, more->least);
    into->most = ech_max64(into->most, more->most);
}

static int merge_all(struct ech_survey *all, const struct ech_seen *seen, size_t count, struct ech_err *err)
{
    int code = ECH_OK;
    for (size_t i = 0; i < count && code == ECH_OK; i++) {
        size_t index;
        code = ech_survey_find(all, seen[i].name, i, &index, err);
        if (code == ECH_OK)
            ech_seen_merge(&all->seen[index], &seen[i]);
    }
    return code;
}

int ech_survey_agree(struct ech_comm *comm, struct ech_survey *survey, struct ech_err *err)
{
    void *gathered = NULL;
    size_t *counts = ech_calloc((size_t)ech_comm_size(comm), sizeof *counts, err), total = 0;
    struct ech_survey all = {0};
    int code = ech_agree(comm, err);
    if (code == ECH_OK)
        code = ech_allgatherv(comm, survey->seen, survey->count * sizeof survey->seen[0], &gathered, counts,
                              err);
    if (code == ECH_OK) {
        for (int r = 0; r < ech_comm_size(comm); r++)
            total += counts[r];
        code = merge_all(&all, gathered, total / sizeof all.seen[0], err);
    }
    ech_free(gathered);
    ech_free(counts);
    code = ech_agree(comm, err);
    if (code != ECH_OK) {
        ech_survey_fini(&all);
        return code;
    }
    ech_survey_fini(survey);
    *survey = all;
    return ECH_OK;
}

enum {
    NULLS = 1 << ECH_J_NULL,
    BOOLS = 1 << ECH_J_BOOL,
    INT = 1 << ECH_J_INT,
    FLOAT = 1 << ECH_J_FLOAT,
    STRINGS = 1 << ECH_J_STRING,
    INT_LISTS = 1 << ECH_J_INTS,
    FLOAT_LISTS = 1 << ECH_J_FLOATS
};

static bool only(unsigned kinds, unsigned allowed)
{
    return (kinds & ~allowed) == 0;
}

static struct ech_column infer(const struct ech_seen *seen)
{
    unsigned kinds = seen->kinds & ~(unsigned)NULLS;
    bool equal = seen->least == seen->most && seen->most > 0;
    struct ech_column json = {.type = ECH_JSON, .dtype = ECH_U8}, text = {.type = ECH_TEXT, .dtype = ECH_U8};
    if (only(kinds, STRINGS))
        return text;
    if (seen->big)
        return json;
    if (kinds == BOOLS || kinds == INT)
        return (struct ech_column){.type = ECH_INTS, .dtype = ECH_I64, .dim = 1};
    if (only(kinds, INT | FLOAT))
        return (struct ech_column){.type = ECH_TENSOR, .dtype = ECH_F32, .dim = 1};
    if (kinds == INT_LISTS)
        return (struct ech_column){.type = ECH_INTS, .dtype = ECH_I64, .dim = equal ? seen->most : 0};
    if (only(kinds, INT_LISTS | FLOAT_LISTS) && equal)
        return (struct ech_column){.type = ECH_TENSOR, .dtype = ECH_F32, .dim = seen->most};
    return json;
}

struct ech_column ech_column_resolve(const struct ech_want *want, const struct ech_seen *seen)
{
    bool lists = seen->kinds & (INT_LISTS | FLOAT_LISTS), scalars = seen->kinds & (BOOLS | INT | FLOAT);
    struct ech_column column = want && want->typed ? want->column : infer(seen);
    if (want && want->typed && !want->sized) {
        bool ragged = column.type == ECH_INTS && (seen->least != seen->most || scalars || seen->most == 0);
        column.dim = !lists ? 1 : ragged ? 0 : ech_max64(seen->most, 1);
    }
    snprintf(column.name, sizeof column.name, "%s", want ? want->column.name : seen->name);
    return column;
}
