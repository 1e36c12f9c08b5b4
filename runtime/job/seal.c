/* The seal: see seal.h. Rank-local work, one agreement, then the next collective. */
#include "job/seal.h"

#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "comm/watchdog.h"
#include "data/layout.h"
#include "data/manifest.h"
#include "job/seal_rows.h"

#include <inttypes.h>
#include <string.h>

struct seal {
    struct ech_comm *comm;
    const struct ech_seal_job *job;
    char *partial;
    struct ech_layout *layout;
    struct ech_writer *writer;
    struct ech_seal_rows rows;
    uint64_t *sizes; /* scratch: a slice's rows */
    struct ech_cells cells;
    int64_t is_found; /* the target was there already, by rank 0's word, and what it holds */
    struct ech_sealed found;
};

static bool same_columns(const struct ech_manifest *m, const struct ech_seal_rows *rows)
{
    bool same = (int)m->column_count == rows->count;
    for (int c = 0; same && c < rows->count; c++) {
        const struct ech_column *a = &m->columns[c], *b = &rows->columns[c];
        same =
            strcmp(a->name, b->name) == 0 && a->type == b->type && a->dtype == b->dtype && a->dim == b->dim;
    }
    return same;
}

/* Whether the target is this job's own output. */
static bool sealed_before(struct seal *s)
{
    struct ech_manifest m;
    struct ech_err err = ECH_ERR_NONE;
    if (ech_manifest_read(s->job->target, &m, &err) != ECH_OK)
        return false;
    bool same = ech_hash_equal(m.uuid, s->job->head->identity) && m.rows == s->job->rows &&
                m.generation == 1 && same_columns(&m, &s->rows);
    s->found = (struct ech_sealed){.rows = m.rows, .shards = (int)m.shard_count};
    for (size_t i = 0; i < m.shard_count; i++)
        s->found.bytes += m.shards[i].bytes;
    ech_manifest_fini(&m);
    return same;
}

/* Rank 0: nothing may be in the way. */
static int clear_way(struct seal *s, struct ech_err *err)
{
    if (!s->job->replace && ech_path_exists(s->job->target) && !(s->is_found = sealed_before(s)))
        return ech_fail(err, ECH_EXISTS, "%s exists already: remove it or name another output",
                        s->job->target);
    return ech_remove_all(s->partial, err);
}

static int open_local(struct seal *s, struct ech_err *err)
{
    const struct ech_seal_job *job = s->job;
    int rank = ech_comm_rank(s->comm), size = ech_comm_size(s->comm);
    int length = (int)strlen(job->target);
    while (length > 1 && job->target[length - 1] == '/')
        length--;
    s->partial = ech_sprintf(err, "%.*s.partial-%s", length, job->target, job->tag);
    s->sizes = ech_calloc(ECH_SEAL_SLICE_ROWS, sizeof *s->sizes, err);
    if (!s->partial || !s->sizes)
        return ECH_UNAVAILABLE;
    int code = ech_seal_rows_open(job, ech_slice_first(job->rows, rank, size),
                                  ech_slice_first(job->rows, rank + 1, size), &s->rows, err);
    if (code == ECH_OK)
        code = ech_layout_create(s->rows.columns, s->rows.count, job->shard_bytes, &s->layout, err);
    return code == ECH_OK && rank == 0 ? clear_way(s, err) : code;
}

static bool all_fixed(const struct ech_seal_rows *rows)
{
    for (int c = 0; c < rows->count; c++)
        if (ech_column_row_bytes(&rows->columns[c]) < 0)
            return false;
    return true;
}

/* The sizes of some rows, all columns, told to the layout row by row. */
static int add_sizes(struct seal *s, int64_t first, int64_t count, struct ech_err *err)
{
    uint64_t row[ECH_COLUMNS_MAX];
    int code = ECH_OK;
    for (int c = 0; code == ECH_OK && c < s->rows.count; c++)
        code = ech_seal_rows_sizes(&s->rows, c, first, count, s->sizes + c * count, err);
    for (int64_t i = 0; code == ECH_OK && i < count; i++) {
        for (int c = 0; c < s->rows.count; c++)
            row[c] = s->sizes[c * count + i];
        code = ech_layout_add(s->layout, row, err);
    }
    return code;
}

/* Pass 1. */
static int sizes_local(struct seal *s, struct ech_err *err)
{
    if (all_fixed(&s->rows))
        return ech_layout_add_fixed(s->layout, s->rows.end - s->rows.first, err);
    int64_t most = ECH_SEAL_SLICE_ROWS / s->rows.count;
    int code = ECH_OK;
    for (int64_t row = s->rows.first, count; code == ECH_OK && row < s->rows.end; row += count) {
        count = ech_min64(most, s->rows.end - row);
        code = add_sizes(s, row, count, err);
        ech_watchdog_beat();
    }
    return code;
}

/* The writer believes the sizes of pass 1: a file that changed since must not lead it astray. */
static int check_sizes(const struct seal *s, int column, int64_t first, const uint64_t *sizes, int64_t rows,
                       struct ech_err *err)
{
    bool equal = s->cells.rows == rows;
    for (int64_t i = 0; equal && i < rows; i++)
        equal = s->cells.offsets[i + 1] - s->cells.offsets[i] == sizes[i];
    if (equal)
        return ECH_OK;
    return ech_fail(err, ECH_DATA, "column %s: rows %" PRId64 " to %" PRId64 " changed during the seal",
                    s->rows.columns[column].name, first, first + rows - 1);
}

/* Rows [first, first + count) of a column, their sizes known: in slices of a bounded number of bytes. */
static int copy_rows(struct seal *s, int column, int64_t first, int64_t count, struct ech_err *err)
{
    int code = ECH_OK;
    for (int64_t at = 0; code == ECH_OK && at < count;) {
        uint64_t bytes = s->sizes[at];
        int64_t rows = 1;
        while (at + rows < count && bytes + s->sizes[at + rows] <= ECH_SEAL_SLICE_BYTES)
            bytes += s->sizes[at + rows++];
        code = ech_seal_rows_read(&s->rows, column, first + at, rows, &s->cells, err);
        if (code == ECH_OK)
            code = check_sizes(s, column, first + at, s->sizes + at, rows, err);
        if (code == ECH_OK)
            code = ech_writer_append(s->writer, column, s->cells.bytes, s->sizes + at, rows, err);
        at += rows;
        ech_watchdog_beat();
    }
    return code;
}

/* Pass 2. */
static int copy_local(struct seal *s, struct ech_err *err)
{
    int code = ECH_OK;
    for (int c = 0; code == ECH_OK && c < s->rows.count; c++)
        for (int64_t row = s->rows.first, count; code == ECH_OK && row < s->rows.end; row += count) {
            count = ech_min64(ECH_SEAL_SLICE_ROWS, s->rows.end - row);
            code = ech_seal_rows_sizes(&s->rows, c, row, count, s->sizes, err);
            if (code == ECH_OK)
                code = copy_rows(s, c, row, count, err);
        }
    return code;
}

/* Known before publishing: nothing may fail behind the rename. Collective. */
static int sum_up(const struct seal *s, struct ech_sealed *out, struct ech_err *err)
{
    int64_t bytes = s->layout->bytes, most = bytes;
    int code = ech_sum_i64(s->comm, &bytes, 1, err);
    if (code == ECH_OK)
        code = ech_max_i64(s->comm, &most, 1, err);
    ech_watchdog_extend_for(2 * most); /* who has less to copy waits for who has most */
    *out = (struct ech_sealed){.rows = s->layout->all_rows, .bytes = bytes, .shards = (int)s->layout->shards};
    return code;
}

static int publish(struct seal *s, struct ech_err *err)
{
    const struct ech_publish how = {.uuid = s->job->head->identity,
                                    .provenance = s->job->provenance,
                                    .target = s->job->target,
                                    .replace = s->job->replace};
    return ech_writer_publish(s->writer, &how, err);
}

/* Every rank has closed its files by now; rank 0 takes the partial folder away. */
static void clean_up(const struct seal *s)
{
    struct ech_err err = ECH_ERR_NONE;
    if (ech_comm_rank(s->comm) == 0 && s->partial && ech_remove_all(s->partial, &err) != ECH_OK)
        ech_log(ECH_LOG_WARN, "seal", "%s stays behind: %s", s->partial, err.text);
}

static void close_seal(struct seal *s)
{
    ech_writer_close(s->writer);
    ech_layout_destroy(s->layout);
    ech_seal_rows_close(&s->rows);
    ech_cells_fini(&s->cells);
    ech_free(s->sizes);
}

/* All steps up to the published dataset. Returns what all ranks agree on. */
static int run_steps(struct seal *s, struct ech_sealed *out, struct ech_err *err)
{
    if (open_local(s, err) == ECH_OK)
        sizes_local(s, err);
    int code = ech_agree(s->comm, err);
    if (code == ECH_OK)
        code = ech_max_i64(s->comm, &s->is_found, 1, err);
    if (code == ECH_OK && s->is_found) {
        *out = s->found;
        return ech_bcast(s->comm, out, sizeof *out, 0, err);
    }
    if (code == ECH_OK) {
        ech_layout_agree(s->layout, s->comm, err);
        code = ech_agree(s->comm, err);
    }
    if (code == ECH_OK) {
        ech_writer_open(s->comm, s->partial, s->layout, &s->writer, err);
        code = ech_agree(s->comm, err);
    }
    if (code == ECH_OK) {
        if (sum_up(s, out, err) == ECH_OK)
            copy_local(s, err);
        code = ech_agree(s->comm, err);
    }
    if (code == ECH_OK) {
        publish(s, err);
        code = ech_agree(s->comm, err);
    }
    return code;
}

int ech_seal(struct ech_comm *comm, const struct ech_seal_job *job, struct ech_sealed *out,
             struct ech_err *err)
{
    struct seal s = {.comm = comm, .job = job};
    struct ech_err local = ECH_ERR_NONE;
    struct ech_sealed sealed = {0};
    int code = run_steps(&s, &sealed, &local);
    close_seal(&s);
    if (code != ECH_OK) {
        struct ech_err none = ECH_ERR_NONE;
        ech_agree(comm, &none); /* all have closed */
        clean_up(&s);
        if (err && err->code == ECH_OK)
            *err = local;
    } else
        *out = sealed;
    ech_free(s.partial);
    return code;
}
