/* The course of an import: see import.h. */
#include "data/import.h"

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/nodedir.h"
#include "data/dataset.h"
#include "data/import_run.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const int64_t default_shard_bytes = (int64_t)256 << 20, default_row_max = (int64_t)64 << 20;

int ech_import_new_layout(struct ech_import_run *run, struct ech_err *err)
{
    struct ech_column *columns = ech_calloc((size_t)run->plan_count, sizeof *columns, err);
    if (!columns)
        return ECH_UNAVAILABLE;
    for (int c = 0; c < run->plan_count; c++)
        columns[c] = run->plan[c].column;
    ech_layout_destroy(run->layout);
    run->layout = NULL;
    int code = ech_layout_create(columns, run->plan_count, run->shard_bytes, &run->layout, err);
    ech_free(columns);
    return code;
}

/* The format of all sources: as asked, or by their names, which must agree. */
static int choose_format(struct ech_import_run *run, struct ech_err *err)
{
    const struct ech_import_options *o = run->options;
    bool tabs = false, first_tabs = false;
    run->format = o->format;
    for (int i = 0; i < o->source_count; i++) {
        enum ech_format format = ECH_FORMAT_AUTO;
        int code = ech_format_of_name(o->sources[i], &format, &tabs, o->format ? NULL : err);
        if (o->format)
            format = o->format;
        else if (code != ECH_OK)
            return code;
        first_tabs = i == 0 ? tabs : first_tabs;
        run->format = i == 0 ? format : run->format;
        if (format != run->format || (!o->delimiter && format == ECH_CSV && tabs != first_tabs))
            return ech_fail(err, ECH_USAGE,
                            "%s is of another format than %s: import them one after the other", o->sources[i],
                            o->sources[0]);
    }
    run->delimiter = o->delimiter ? o->delimiter : first_tabs ? '\t' : ',';
    return ECH_OK;
}

static int check_options(struct ech_import_run *run, struct ech_err *err)
{
    const struct ech_import_options *o = run->options;
    if (o->source_count < 1)
        return ech_fail(err, ECH_USAGE, "no source to import");
    if (o->append && o->replace)
        return ech_fail(err, ECH_USAGE, "append adds to a dataset, replace removes it: choose one");
    if (o->shard_bytes < 0 || o->row_max < 0)
        return ech_fail(err, ECH_USAGE, "a size in bytes may not be negative");
    if (o->delimiter == '"' || o->delimiter == '\n' || o->delimiter == '\r' ||
        (unsigned char)o->delimiter > 126)
        return ech_fail(err, ECH_USAGE, "the delimiter is one ASCII character, no quote and no line break");
    run->shard_bytes = o->shard_bytes ? o->shard_bytes : default_shard_bytes;
    run->row_max = o->row_max ? o->row_max : default_row_max;
    return choose_format(run, err);
}

static int copy_wants(struct ech_import_run *run, struct ech_err *err)
{
    const struct ech_import_options *o = run->options;
    if (o->want_count == 0)
        return ECH_OK;
    run->wants = ech_calloc((size_t)o->want_count, sizeof run->wants[0], err);
    if (!run->wants)
        return ECH_UNAVAILABLE;
    memcpy(run->wants, o->wants, (size_t)o->want_count * sizeof run->wants[0]);
    run->want_count = o->want_count;
    run->closed = true;
    return ECH_OK;
}

static int prepare_local(struct ech_import_run *run, struct ech_err *err)
{
    int code = run->target ? check_options(run, err) : ECH_UNAVAILABLE;
    if (code == ECH_OK)
        code = copy_wants(run, err);
    if (code != ECH_OK)
        return code;
    size_t count = (size_t)run->options->source_count;
    run->files = ech_calloc(count, sizeof run->files[0], err);
    run->pieces = ech_calloc(count, sizeof run->pieces[0], err);
    if (!run->files || !run->pieces)
        return ECH_UNAVAILABLE;
    bool there = ech_comm_rank(run->comm) == 0 && ech_path_exists(run->target);
    if (there && !run->options->replace && !run->options->append)
        return ech_fail(err, ECH_EXISTS, "%s exists already: remove it, name another output or replace it",
                        run->target);
    return ECH_OK;
}

static int plan(struct ech_import_run *run, struct ech_err *err)
{
    const struct ech_import_options *o = run->options;
    prepare_local(run, err);
    int code = ech_agree(run->comm, err);
    if (code == ECH_OK && o->append)
        code = ech_import_append_wants(run, err);
    if (code == ECH_OK)
        code = ech_source_inspect(run->comm, o->sources, o->source_count, run->files, err);
    if (code != ECH_OK)
        return code;
    run->piece_count = ech_source_split(run->files, o->source_count, ech_comm_rank(run->comm),
                                        ech_comm_size(run->comm), run->pieces);
    return run->format == ECH_NPY ? ech_import_npy_plan(run, err) : ech_import_text_plan(run, err);
}

/* TARGET.partial-<tag>, the same on all ranks. Owner: caller. */
static int partial_name(struct ech_import_run *run, char **out, struct ech_err *err)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t tag = (int64_t)getpid() << 32 ^ (int64_t)now.tv_sec << 20 ^ now.tv_nsec;
    int code = ech_bcast(run->comm, &tag, sizeof tag, 0, err);
    if (code == ECH_OK)
        *out = ech_sprintf(err, "%s.partial-%016llx", run->target, (unsigned long long)tag);
    return ech_agree(run->comm, err);
}

/* The manifest's provenance block. */
static int provenance(const struct ech_import_run *run, struct ech_str *out, struct ech_err *err)
{
    ech_str_addf(out, "  import: %s\n  sources:\n", ech_format_name(run->format));
    for (int i = 0; i < run->options->source_count; i++) {
        ech_str_adds(out, "    - ");
        ech_json_put_str(out, run->options->sources[i], strlen(run->options->sources[i]));
        ech_str_addc(out, '\n');
    }
    return ech_str_check(out, err);
}

static int write_rows(struct ech_import_run *run, struct ech_writer *writer, int64_t *bytes,
                      struct ech_err *err)
{
    struct ech_batch batch;
    int code = ech_batch_init(&batch, run->plan_count, NULL, writer, &run->tally, err);
    if (code != ECH_OK)
        return code;
    code = run->format == ECH_NPY ? ech_import_npy_rows(run, &batch, err)
                                  : ech_import_text_rows(run, &batch, err);
    *bytes = batch.tally.bytes;
    ech_batch_fini(&batch);
    return code;
}

static int publish(struct ech_import_run *run, struct ech_writer *writer, struct ech_err *err)
{
    struct ech_str text = {0};
    provenance(run, &text, err);
    int code = ech_agree(run->comm, err);
    struct ech_publish how = {.provenance = text.data,
                              .target = run->target,
                              .replace = run->options->replace,
                              .append_to = run->options->append ? run->target : NULL};
    if (code == ECH_OK)
        code = ech_writer_publish(writer, &how, err);
    ech_str_fini(&text);
    return code;
}

static int write_all(struct ech_import_run *run, int64_t *bytes, struct ech_err *err)
{
    char *partial = NULL;
    struct ech_writer *writer = NULL;
    bool begun = false;
    int code = partial_name(run, &partial, err);
    if (code == ECH_OK) {
        begun = true;
        if (ech_comm_rank(run->comm) == 0)
            ech_nodedir_unfinished(partial);
        code = ech_writer_open(run->comm, partial, run->layout, &writer, err);
    }
    if (code == ECH_OK) {
        run->passes++;
        write_rows(run, writer, bytes, err);
        code = ech_agree(run->comm, err);
    }
    if (code == ECH_OK)
        code = publish(run, writer, err);
    ech_writer_close(writer);
    if (code != ECH_OK)
        code = ech_agree(run->comm, err); /* all have closed their files */
    if (code != ECH_OK && begun && ech_comm_rank(run->comm) == 0)
        ech_remove_all(partial, NULL);
    ech_free(partial);
    return code;
}

static void fini(struct ech_import_run *run)
{
    ech_layout_destroy(run->layout);
    ech_header_fini(&run->header);
    ech_free(run->files);
    ech_free(run->pieces);
    ech_free(run->npy);
    ech_free(run->wants);
    ech_free(run->plan);
    ech_free(run->fields);
}

int ech_import(struct ech_comm *comm, const struct ech_import_options *options, const char *target,
               struct ech_import_result *result, struct ech_err *err)
{
    struct ech_err spare = ECH_ERR_NONE;
    struct ech_import_run run = {.comm = comm, .options = options};
    int64_t bytes = 0;
    err = err ? err : &spare;
    size_t length = strlen(target);
    while (length > 1 && target[length - 1] == '/')
        length--; /* "data/reviews/": what the shell completes */
    char *folder = ech_strndup(target, length, err);
    run.target = folder;
    int code = plan(&run, err);
    if (code == ECH_OK)
        code = write_all(&run, &bytes, err);
    if (code == ECH_OK)
        code = ech_sum_i64(comm, &bytes, 1, err);
    if (code == ECH_OK && result)
        *result = (struct ech_import_result){.rows = ech_layout_rows(run.layout),
                                             .bytes = bytes,
                                             .columns = run.plan_count,
                                             .files = options->source_count,
                                             .passes = run.passes};
    fini(&run);
    ech_free(folder);
    return code;
}
