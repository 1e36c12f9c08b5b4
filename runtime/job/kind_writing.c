/* The stream of the kinds that write: see kind_writing.h. */
#include "job/kind_writing.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"

#include <string.h>

int ech_writing_stream_open(const struct ech_stream_env *env, const struct ech_writing_kind *kind,
                            const struct ech_write_options *options, struct ech_stream **out,
                            struct ech_err *err)
{
    struct ech_stream *s = ech_calloc(1, sizeof *s, err);
    if (!s)
        return ECH_UNAVAILABLE;
    s->kind = kind;
    s->options = env->job->options;
    int code = ech_writing_open(env, options, &s->w, err);
    if (code == ECH_OK)
        code = kind->open(s, env, err);
    if (code == ECH_OK)
        *out = s;
    else
        ech_writing_stream_close(s);
    return code;
}

void ech_writing_stream_close(struct ech_stream *s)
{
    if (!s)
        return;
    ech_writing_close(&s->w);
    if (s->kind->close)
        s->kind->close(s);
    ech_free(s);
}

int ech_writing_columns(const struct ech_stream *s, struct ech_column *out)
{
    int n = 0;
    for (; s->kind->columns[n].name[0]; n++)
        out[n] = s->kind->columns[n];
    out[n] = (struct ech_column){"errors", ECH_TEXT, ECH_U8, 0};
    return n + 1;
}

const char *ech_writing_numerics(const struct ech_stream *s)
{
    return ech_lm_numerics(s->w.decoder);
}

const char *ech_writing_backend(const struct ech_stream *s)
{
    return ech_lm_backend(s->w.decoder);
}

const char *ech_writing_precision(const struct ech_stream *s)
{
    return ech_lm_precision(s->w.decoder);
}

int ech_writing_stream_identify(const struct ech_stream *s, struct ech_comm *comm,
                                struct ech_identity *identity, struct ech_err *err)
{
    return ech_writing_identify(&s->w, comm, identity, err);
}

size_t ech_writing_shared_bytes(const struct ech_stream *s)
{
    return ech_lm_packed_bytes(s->w.decoder);
}

size_t ech_writing_workspace_bytes(const struct ech_stream *s)
{
    return ech_lm_workspace_bytes(s->w.decoder) * (size_t)s->w.lanes;
}

int ech_writing_pack(struct ech_stream *s, void *base, int64_t part, int64_t parts, struct ech_err *err)
{
    return ech_lm_pack(s->w.decoder, base, part, parts, err);
}

int ech_writing_stream_start(struct ech_stream *s, struct ech_err *err)
{
    struct ech_generator_options options = {.sampling = ECH_SAMPLING_GREEDY};
    s->kind->options(s, &options);
    return ech_writing_start(&s->w, &options, err);
}

int ech_writing_refuse(struct ech_write_batch *batch, char *why, struct ech_err *err)
{
    struct ech_request *r = NULL;
    int code = why ? ech_write_batch_add(batch, &r, err) : ECH_UNAVAILABLE;
    if (code == ECH_OK)
        r->error = why;
    else
        ech_free(why);
    return code;
}

static int read_rows(struct ech_stream *s, int64_t first, const struct ech_cells *rows,
                     struct ech_write_batch **out, struct ech_err *err)
{
    struct ech_write_batch *batch;
    int code = ech_write_batch_create(first, &batch, err);
    for (int64_t i = 0; code == ECH_OK && i < rows->rows; i++) {
        const char *text = (const char *)rows->bytes + rows->offsets[i];
        size_t bytes = (size_t)(rows->offsets[i + 1] - rows->offsets[i]);
        code = s->kind->read(s, (uint64_t)(first + i), text, bytes, batch, err);
        if (code == ECH_OK)
            code = ech_write_batch_row(batch, err);
        if (code != ECH_OK)
            ech_write_batch_destroy(batch);
    }
    if (code == ECH_OK)
        *out = batch;
    return code;
}

/* Read and, at most, to be written. */
int ech_writing_count_tokens(const struct ech_stream *s, const struct ech_cells *rows, int64_t *tokens,
                             struct ech_err *err)
{
    struct ech_write_batch *batch;
    int code = read_rows((struct ech_stream *)s, 0, rows, &batch, err); /* reading uses scratch alone */
    if (code != ECH_OK)
        return code;
    *tokens = 0;
    for (int64_t i = 0; i < batch->count; i++)
        *tokens += batch->requests[i].count + batch->requests[i].source_count + batch->requests[i].most;
    ech_write_batch_destroy(batch);
    return ECH_OK;
}

/* Nothing is written before the job runs: the first leases tell. */
int ech_writing_probe(struct ech_stream *s, double tokens_a_row, double seconds, struct ech_probe *out,
                      struct ech_err *err)
{
    (void)s, (void)tokens_a_row, (void)seconds, (void)err;
    *out = (struct ech_probe){0};
    return ECH_OK;
}

int ech_writing_submit(struct ech_stream *s, int64_t first, const struct ech_cells *rows, struct ech_err *err)
{
    struct ech_write_batch *batch;
    int code = read_rows(s, first, rows, &batch, err);
    if (code == ECH_OK)
        ech_generator_submit(s->w.generator, batch);
    return code;
}

void ech_writing_step(struct ech_stream *s, double seconds)
{
    ech_generator_step(s->w.generator, seconds);
}

void ech_writing_cancel(struct ech_stream *s)
{
    ech_generator_cancel(s->w.generator);
}

/* A row that ends makes room for the next at once: as many wait as are written at a time. */
bool ech_writing_hungry(const struct ech_stream *s)
{
    return ech_generator_waiting(s->w.generator) < ech_writing_rows_at_a_time(&s->w);
}

/* --- what was written, into cells --- */

/* Zeros where rows have one size, null where they are JSON, else nothing. */
static int empty_cells(const struct ech_stream *s, struct ech_block *block, struct ech_err *err)
{
    static const char zeros[64];
    int code = ECH_OK;
    for (int c = 0; code == ECH_OK && s->kind->columns[c].name[0]; c++) {
        const struct ech_column *column = &s->kind->columns[c];
        int64_t bytes = ech_column_row_bytes(column);
        if (column->type == ECH_JSON)
            code = ech_cell_text(block, c, "null", 4, err);
        else
            code = ech_cells_add(&block->columns[c], zeros, bytes > 0 ? (size_t)bytes : 0, err);
    }
    return code;
}

static int row_cells(struct ech_stream *s, const struct ech_write_batch *b, int64_t row,
                     struct ech_block *block, int errors, struct ech_err *err)
{
    int64_t first = b->firsts[row], count = b->firsts[row + 1] - first;
    const char *why = NULL;
    for (int64_t i = 0; i < count && !why; i++)
        why = b->requests[first + i].error;
    int code = why ? empty_cells(s, block, err)
                   : s->kind->write(s, b->requests + first, b->written + first, count, block, err);
    block->errors += why != NULL;
    return code == ECH_OK ? ech_cell_text(block, errors, why, why ? strlen(why) : 0, err) : code;
}

static int to_block(struct ech_stream *s, const struct ech_write_batch *b, struct ech_block **out,
                    struct ech_err *err)
{
    struct ech_column columns[16];
    struct ech_block *block;
    int n = ech_writing_columns(s, columns), code = ech_block_create(n, &block, err);
    if (code != ECH_OK)
        return code;
    block->first = b->tag;
    block->rows = b->rows;
    block->tokens = b->tokens;
    for (int64_t i = 0; code == ECH_OK && i < b->rows; i++)
        code = row_cells(s, b, i, block, n - 1, err);
    if (code == ECH_OK)
        *out = block;
    else
        ech_block_destroy(block);
    return code;
}

int ech_writing_poll(struct ech_stream *s, struct ech_finished *out, struct ech_err *err)
{
    struct ech_err failed = ECH_ERR_NONE;
    struct ech_write_batch *batch = ech_generator_poll(s->w.generator, &failed);
    out->block = NULL;
    out->seconds = batch ? batch->seconds : 0;
    if (failed.code && err)
        *err = failed;
    int code = failed.code;
    if (batch)
        code = to_block(s, batch, &out->block, err);
    ech_write_batch_destroy(batch);
    return code;
}
