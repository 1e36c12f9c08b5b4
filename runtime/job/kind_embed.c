/* Kind embed: text in, one vector a row out. */
#include "job/kind_encoding.h"
#include "job/worker.h"

#include "base/mem.h"

#include <string.h>

struct ech_stream {
    struct ech_encoding e;
    struct ech_worker *worker; /* of several ranks, else NULL; borrowed */
};

static int embed_open(const struct ech_stream_env *env, struct ech_stream **out, struct ech_err *err)
{
    struct ech_stream *s = ech_calloc(1, sizeof *s, err);
    if (!s)
        return ECH_UNAVAILABLE;
    s->e = ech_encoding_of(env);
    int code = ech_encoder_load(env, env->job->options, &s->e.engine, err);
    if (!code && (code = ech_encoder_layers_bytes(s->e.engine, &s->e.layers_bytes, err)))
        ech_engine_close(s->e.engine);
    if (code)
        ech_free(s);
    else
        *out = s;
    return code;
}

static void embed_close(struct ech_stream *s)
{
    ech_engine_close(s->e.engine);
    ech_free(s);
}

static int embed_columns(const struct ech_stream *s, struct ech_column *out)
{
    out[0] = (struct ech_column){"embedding", ECH_TENSOR, ECH_F32, ech_engine_dim(s->e.engine)};
    out[1] = (struct ech_column){"errors", ECH_TEXT, ECH_U8, 0};
    return 2;
}

static int embed_count_tokens(const struct ech_stream *s, const struct ech_cells *rows, int64_t *tokens,
                              struct ech_err *err)
{
    return ech_encoder_count_tokens(s->e.engine, rows, tokens, err);
}

static int embed_submit(struct ech_stream *s, int64_t first, const struct ech_cells *rows,
                        struct ech_err *err)
{
    struct ech_batch *batch;
    if (!s->worker)
        return ech_encoder_submit(s->e.engine, first, rows, err);
    int code = ech_engine_prepare(s->e.engine, rows->bytes, rows->offsets, rows->rows, &batch, err);
    return code ? code : ech_worker_submit(s->worker, batch, first, err);
}

static void embed_step(struct ech_stream *s, double seconds)
{
    if (s->worker)
        ech_worker_step(s->worker, seconds);
    else
        ech_engine_step(s->e.engine, seconds);
}

static int to_block(const struct ech_result *r, struct ech_block **out, struct ech_err *err)
{
    struct ech_block *block;
    int code = ech_block_create(2, &block, err);
    if (code)
        return code;
    block->first = r->tag;
    block->rows = r->rows;
    block->tokens = r->tokens;
    for (int64_t i = 0; !code && i < r->rows; i++) {
        const char *why = r->errors ? r->errors[i] : NULL;
        block->errors += why != NULL;
        code = ech_cells_add(&block->columns[0], r->values + i * r->dim, (size_t)r->dim * sizeof(float), err);
        if (!code)
            code = ech_cells_add(&block->columns[1], why ? why : "", why ? strlen(why) : 0, err);
    }
    if (code)
        ech_block_destroy(block);
    else
        *out = block;
    return code;
}

static struct ech_result *next_result(struct ech_stream *s, struct ech_err *err)
{
    if (!s->worker)
        return ech_engine_poll(s->e.engine, err);
    return ech_worker_turn(s->worker, err) ? NULL : ech_worker_poll(s->worker);
}

static int embed_poll(struct ech_stream *s, struct ech_finished *out, struct ech_err *err)
{
    struct ech_err failed = ECH_ERR_NONE;
    struct ech_result *result = next_result(s, &failed);
    out->block = NULL;
    out->seconds = result ? result->seconds : 0;
    int code = failed.code;
    if (code && err)
        *err = failed;
    if (!code && result)
        code = to_block(result, &out->block, err);
    ech_result_destroy(result);
    return code;
}

static void embed_cancel(struct ech_stream *s)
{
    if (s->worker)
        ech_worker_cancel(s->worker);
    else
        ech_engine_cancel(s->e.engine);
}

static struct ech_engine *embed_engine(struct ech_stream *s)
{
    return s->e.engine;
}

static void embed_join(struct ech_stream *s, struct ech_worker *worker)
{
    s->worker = worker;
}

const struct ech_kind_ops ech_kind_embed = {
    .name = "embed",
    .open = embed_open,
    .close = embed_close,
    .columns = embed_columns,
    ECH_ENCODING_OPS,
    .count_tokens = embed_count_tokens,
    .submit = embed_submit,
    .step = embed_step,
    .poll = embed_poll,
    .cancel = embed_cancel,
    .engine = embed_engine,
    .join = embed_join,
};
