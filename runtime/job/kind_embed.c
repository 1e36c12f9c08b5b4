/* Kind embed: text in, one vector a row out. */
#include "job/encoder.h"
#include "job/worker.h"

#include "base/mem.h"

#include <string.h>

struct ech_stream {
    struct ech_engine *engine;
    struct ech_worker *worker; /* of several ranks, else NULL; borrowed */
    const char *model, *copy;  /* the job's folder, and where it is read from; NULL: there */
    int threads;
    size_t layers_bytes; /* weights that each product of few rows reads */
};

static int embed_open(const struct ech_stream_env *env, struct ech_stream **out, struct ech_err *err)
{
    struct ech_stream *s = ech_calloc(1, sizeof *s, err);
    if (!s)
        return ECH_UNAVAILABLE;
    s->threads = env->threads;
    s->model = env->job->model;
    s->copy = env->model;
    int code = ech_encoder_load(env, env->job->options, &s->engine, err);
    if (!code && (code = ech_encoder_layers_bytes(s->engine, &s->layers_bytes, err)))
        ech_engine_close(s->engine);
    if (code)
        ech_free(s);
    else
        *out = s;
    return code;
}

static void embed_close(struct ech_stream *s)
{
    ech_engine_close(s->engine);
    ech_free(s);
}

static int embed_columns(const struct ech_stream *s, struct ech_column *out)
{
    out[0] = (struct ech_column){"embedding", ECH_TENSOR, ECH_F32, ech_engine_dim(s->engine)};
    out[1] = (struct ech_column){"errors", ECH_TEXT, ECH_U8, 0};
    return 2;
}

static const char *embed_numerics(const struct ech_stream *s)
{
    return ech_engine_numerics(s->engine);
}

static const char *embed_backend(const struct ech_stream *s)
{
    return ech_engine_backend(s->engine);
}

static const char *embed_precision(const struct ech_stream *s)
{
    return ech_engine_precision(s->engine);
}

static int embed_identify(const struct ech_stream *s, struct ech_comm *comm, struct ech_identity *identity,
                          struct ech_err *err)
{
    return ech_encoder_identify(s->engine, s->model, s->copy, comm, identity, err);
}

static size_t embed_shared_bytes(const struct ech_stream *s)
{
    return ech_engine_packed_bytes(s->engine);
}

static size_t embed_workspace_bytes(const struct ech_stream *s)
{
    return ech_engine_workspace_bytes(s->engine);
}

static int embed_pack(struct ech_stream *s, void *base, int64_t part, int64_t parts, struct ech_err *err)
{
    return ech_engine_pack(s->engine, base, part, parts, err);
}

static int embed_start(struct ech_stream *s, struct ech_err *err)
{
    return ech_engine_start(s->engine, err);
}

static int embed_count_tokens(const struct ech_stream *s, const struct ech_cells *rows, int64_t *tokens,
                              struct ech_err *err)
{
    return ech_encoder_count_tokens(s->engine, rows, tokens, err);
}

static int embed_probe(struct ech_stream *s, double tokens_a_row, double seconds, struct ech_probe *out,
                       struct ech_err *err)
{
    struct ech_probe found = {0};
    int code = ech_encoder_probe(s->engine, s->threads, tokens_a_row, 0.75 * seconds, &found.tokens_s, err);
    if (!code)
        code = ech_encoder_probe_few(s->engine, s->threads, s->layers_bytes, 0.25 * seconds, &found, err);
    if (!code)
        *out = found;
    return code;
}

static void embed_shape(const struct ech_stream *s, char *out, size_t bytes)
{
    ech_encoder_shape(s->engine, out, bytes);
}

static int embed_submit(struct ech_stream *s, int64_t first, const struct ech_cells *rows,
                        struct ech_err *err)
{
    struct ech_batch *batch;
    if (!s->worker)
        return ech_encoder_submit(s->engine, first, rows, err);
    int code = ech_engine_prepare(s->engine, rows->bytes, rows->offsets, rows->rows, &batch, err);
    return code ? code : ech_worker_submit(s->worker, batch, first, err);
}

static void embed_step(struct ech_stream *s, double seconds)
{
    if (s->worker)
        ech_worker_step(s->worker, seconds);
    else
        ech_engine_step(s->engine, seconds);
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
        return ech_engine_poll(s->engine, err);
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
        ech_engine_cancel(s->engine);
}

static struct ech_engine *embed_engine(struct ech_stream *s)
{
    return s->engine;
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
    .numerics = embed_numerics,
    .backend = embed_backend,
    .precision = embed_precision,
    .identify = embed_identify,
    .shared_bytes = embed_shared_bytes,
    .workspace_bytes = embed_workspace_bytes,
    .pack = embed_pack,
    .start = embed_start,
    .count_tokens = embed_count_tokens,
    .probe = embed_probe,
    .shape = embed_shape,
    .submit = embed_submit,
    .step = embed_step,
    .poll = embed_poll,
    .cancel = embed_cancel,
    .engine = embed_engine,
    .join = embed_join,
};
