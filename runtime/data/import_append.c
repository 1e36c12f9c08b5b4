/* Appending: the dataset that is there decides the columns. See import_run.h. */
#include "data/dataset.h"
#include "data/import_run.h"

#include "base/mem.h"

#include <string.h>

struct facts {
    int64_t count;
    struct ech_column columns[ECH_COLUMNS_MAX];
};

static int read_columns(const char *path, struct facts *facts, struct ech_err *err)
{
    struct ech_dataset *ds;
    int code = ech_dataset_open(path, &ds, err);
    if (code != ECH_OK)
        return code;
    facts->count = ech_dataset_columns(ds);
    for (int c = 0; c < facts->count; c++)
        facts->columns[c] = *ech_dataset_column(ds, c);
    ech_dataset_close(ds);
    return ECH_OK;
}

static bool same_type(const struct ech_want *want, const struct ech_column *column)
{
    return !want->typed || (want->column.type == column->type && want->column.dtype == column->dtype &&
                            (!want->sized || want->column.dim == column->dim));
}

/* What was asked for must name every column of the dataset, and no other. */
static int match(struct ech_import_run *run, const struct facts *facts, struct ech_want *wants,
                 struct ech_err *err)
{
    for (int c = 0; c < facts->count; c++) {
        const struct ech_want *asked = NULL;
        for (int w = 0; w < run->want_count; w++)
            if (strcmp(run->wants[w].column.name, facts->columns[c].name) == 0)
                asked = &run->wants[w];
        if (run->closed && !asked)
            return ech_fail(err, ECH_CONFIG,
                            "the dataset %s has a column \"%s\", which is not among the chosen ones",
                            run->target, facts->columns[c].name);
        if (asked && !same_type(asked, &facts->columns[c]))
            return ech_fail(err, ECH_CONFIG,
                            "column \"%s\" of the dataset %s is %s %s[%lld], another type was asked for",
                            facts->columns[c].name, run->target, ech_ctype_name(facts->columns[c].type),
                            ech_dtype_name(facts->columns[c].dtype), (long long)facts->columns[c].dim);
        strcpy(wants[c].source, asked ? asked->source : facts->columns[c].name);
        wants[c].column = facts->columns[c];
        wants[c].typed = wants[c].sized = true;
    }
    if (run->closed && run->want_count > facts->count)
        return ech_fail(err, ECH_CONFIG, "the dataset %s has %lld columns, %d are asked for", run->target,
                        (long long)facts->count, run->want_count);
    return ECH_OK;
}

int ech_import_append_wants(struct ech_import_run *run, struct ech_err *err)
{
    struct facts *facts = ech_calloc(1, sizeof *facts, err);
    struct ech_want *wants = ech_calloc(ECH_COLUMNS_MAX, sizeof *wants, err);
    if (facts && wants && ech_comm_rank(run->comm) == 0)
        read_columns(run->target, facts, err);
    int code = ech_agree(run->comm, err);
    if (code == ECH_OK)
        code = ech_bcast(run->comm, facts, sizeof *facts, 0, err);
    if (code == ECH_OK)
        code = match(run, facts, wants, err);
    if (code == ECH_OK) {
        run->strict = !run->closed;
        run->closed = true;
        run->want_count = (int)facts->count;
        ech_free(run->wants);
        run->wants = wants;
        wants = NULL;
    }
    ech_free(wants);
    ech_free(facts);
    return code;
}
