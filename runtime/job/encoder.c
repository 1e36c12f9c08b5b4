#include "job/encoder.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "config/precision.h"
#include "model/stage.h"

#include <inttypes.h>
#include <stdio.h>

const char *ech_backend_name(const struct ech_job *job)
{
    static const char *const names[] = {"auto", "avx512", "avx2", "openblas", "ref_exact", "cuda"};
    return names[job->resources.backend];
}

struct ech_engine_options ech_encoder_options(const struct ech_stream_env *env)
{
    return (struct ech_engine_options){
        .model = env->model ? env->model : env->job->model,
        .adapter = env->job->adapter,
        .backend = ech_backend_name(env->job),
        .weights = ech_precision_name(env->job->precision.weights),
        .compute = ech_precision_name(env->job->precision.compute),
        .device = env->device,
        .threads = env->threads,
        .memory_bytes = env->memory,
    };
}

int ech_encoder_load(const struct ech_stream_env *env, const struct ech_embed_options *options,
                     struct ech_engine **out, struct ech_err *err)
{
    struct ech_engine_options engine = ech_encoder_options(env);
    engine.pooling = (enum ech_pooling)options->pooling;
    engine.normalize = (enum ech_tristate)options->normalize;
    engine.max_tokens = options->max_tokens;
    engine.on_long_error = options->on_long == 1;
    engine.prompt = options->prompt;
    engine.prefix = options->prefix;
    return ech_engine_load(&engine, out, err);
}

int ech_encoder_identify(const struct ech_engine *engine, const char *model, const char *from,
                         struct ech_comm *comm, struct ech_identity *identity, struct ech_err *err)
{
    struct ech_hash hash;
    char hex[ECH_HASH_HEX];
    int code = ech_files_hash(comm, model, from, ech_engine_files(engine), &hash, err);
    return code ? code : ech_identity_add(identity, "model", ech_hash_print(hash, hex), err);
}

int ech_encoder_count_tokens(const struct ech_engine *engine, const struct ech_cells *rows, int64_t *tokens,
                             struct ech_err *err)
{
    struct ech_batch *batch;
    int code = ech_engine_prepare(engine, rows->bytes, rows->offsets, rows->rows, &batch, err);
    if (code)
        return code;
    *tokens = ech_batch_tokens(batch);
    ech_batch_destroy(batch);
    return ECH_OK;
}

int ech_encoder_submit(struct ech_engine *engine, int64_t first, const struct ech_cells *rows,
                       struct ech_err *err)
{
    struct ech_batch *batch;
    int code = ech_engine_prepare(engine, rows->bytes, rows->offsets, rows->rows, &batch, err);
    return code ? code : ech_engine_submit(engine, batch, first, err);
}

enum { FEW_TOKENS = 2 };

struct probed {
    int64_t tokens;
    double busy; /* seconds, summed over the threads */
};

static int made_up_batch(const struct ech_engine *engine, int64_t length, int64_t rows,
                         struct ech_batch **out, struct ech_err *err)
{
    int32_t *ids = ech_calloc((size_t)(length * rows), sizeof *ids, err);
    uint64_t *offsets = ech_calloc((size_t)rows + 1, sizeof *offsets, err);
    int code = ids && offsets ? ECH_OK : ECH_UNAVAILABLE;
    for (int64_t i = 0; !code && i <= rows; i++)
        offsets[i] = (uint64_t)(i * length);
    if (!code)
        code = ech_engine_prepare_ids(engine, ids, NULL, offsets, rows, out, err);
    ech_free(ids);
    ech_free(offsets);
    return code;
}

/* `count` such batches through the engine and back; their tokens and compute seconds are added. */
static int run_batches(struct ech_engine *engine, int64_t length, int64_t rows, int count,
                       struct probed *sums, struct ech_err *err)
{
    int code = ECH_OK, back = 0;
    for (int i = 0; !code && i < count; i++) {
        struct ech_batch *batch;
        code = made_up_batch(engine, length, rows, &batch, err);
        if (!code)
            code = ech_engine_submit(engine, batch, i, err);
    }
    while (!code && back < count) {
        struct ech_err failed = ECH_ERR_NONE;
        struct ech_result *result = ech_engine_poll(engine, &failed);
        if (failed.code) {
            code = failed.code;
            if (err)
                *err = failed;
        } else if (result) {
            back++;
            sums->tokens += result->tokens;
            sums->busy += result->seconds;
        } else {
            ech_engine_step(engine, 0.1);
        }
        ech_result_destroy(result);
    }
    return code;
}

int ech_encoder_probe(struct ech_engine *engine, int threads, double tokens_a_row, double seconds,
                      double *speed, struct ech_err *err)
{
    int64_t limit = ech_engine_max_tokens(engine);
    int64_t length = ech_min64(ech_max64((int64_t)(tokens_a_row + 0.5), 2), limit);
    int64_t rows = ech_max64(480 * threads / length, threads);
    struct probed sums = {0};
    double start = ech_mono_s(), gone = 0, first = 1;
    /* The first, one row a thread, warms caches and pages up and tells how many rows the time is enough for;
     * where it took all the time (many ranks on few cores) it is the measurement. */
    for (int pass = 0; pass == 0 || gone < seconds; pass++) {
        int64_t fits = gone > 0 ? (int64_t)((double)threads * (seconds - gone) / first) : 0;
        int64_t now = ech_max64(ech_min64(rows, fits), threads);
        int code = run_batches(engine, length, now, 1, &sums, err);
        if (code)
            return code;
        gone = ech_mono_s() - start;
        if (pass == 0 && gone < seconds / 2)
            sums = (struct probed){0};
        first = pass == 0 ? gone : first;
    }
    *speed = sums.busy > 0 ? (double)sums.tokens / (sums.busy / threads) : 0;
    return ECH_OK;
}

int ech_encoder_layers_bytes(const struct ech_engine *engine, size_t *bytes, struct ech_err *err)
{
    struct ech_stage layers = {.first = 0, .end = ech_engine_layers(engine)};
    return ech_stage_bytes(engine, layers, bytes, err);
}

int ech_encoder_probe_few(struct ech_engine *engine, int threads, size_t layers_bytes, double seconds,
                          struct ech_probe *out, struct ech_err *err)
{
    int64_t length = ech_min64(FEW_TOKENS, ech_engine_max_tokens(engine));
    struct probed sums = {0};
    double start = ech_mono_s();
    int code = ECH_OK;
    for (int pass = 0; !code && (pass < 2 || ech_mono_s() - start < seconds); pass++) {
        if (pass == 1) /* the first warms up */
            sums = (struct probed){0};
        code = run_batches(engine, length, 1, threads, &sums, err);
    }
    double speed = sums.busy > 0 ? (double)sums.tokens / (sums.busy / threads) : 0;
    out->few_tokens_s = speed;
    out->weights_bytes_s = speed / (double)length * (double)layers_bytes;
    return code;
}

void ech_encoder_shape(const struct ech_engine *engine, char *out, size_t bytes)
{
    snprintf(out, bytes,
             "%" PRId64 " layers to %" PRId64 " numbers, %.0f operations for 64 tokens, %zu bytes",
             ech_engine_layers(engine), ech_engine_dim(engine), ech_engine_flops(engine, 64),
             ech_engine_packed_bytes(engine));
}
