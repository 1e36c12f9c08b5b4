/* Stages: see stage.h. */
#include "model/stage.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "model/engine_impl.h"

#include <string.h>

int64_t ech_engine_layers(const struct ech_engine *e)
{
    return e->net.spec.layers;
}

bool ech_engine_pools(const struct ech_engine *e)
{
    return !e->net.hidden_states;
}

bool ech_engine_on_device(const struct ech_engine *e)
{
    return e->net.ops->device;
}

size_t ech_stage_piece_bytes(const struct ech_engine *e)
{
    int64_t tokens = ech_max64(e->microbatch * e->threads, e->capacity);
    return 2 * (size_t)(tokens * e->net.spec.hidden) * sizeof(float);
}

double ech_stage_layer_flops(const struct ech_engine *e, int64_t tokens)
{
    struct ech_spec one = e->net.spec;
    one.layers = 1;
    one.embed = one.hidden;
    return tokens > 0 ? ech_spec_flops(&one, tokens) / (double)tokens : 0;
}

static int make_packing(const struct ech_engine *e, struct ech_stage stage, struct ech_packing *out,
                        struct ech_err *err)
{
    if (!e->weights)
        return ech_fail(err, ECH_BUG, "the engine was started already: it stays what it is");
    if (stage.first < 0 || stage.end < stage.first || stage.end > e->net.spec.layers)
        return ech_fail(err, ECH_BUG, "a stage of the layers %lld to %lld, the model has %lld",
                        (long long)stage.first, (long long)stage.end - 1, (long long)e->net.spec.layers);
    return ech_engine_packing(e, &stage, out, err);
}

int ech_stage_bytes(const struct ech_engine *e, struct ech_stage stage, size_t *bytes, struct ech_err *err)
{
    struct ech_packing packing;
    int code = make_packing(e, stage, &packing, err);
    if (code != ECH_OK)
        return code;
    *bytes = packing.bytes;
    ech_packing_fini(&packing);
    return ECH_OK;
}

int ech_engine_narrow(struct ech_engine *e, struct ech_stage stage, struct ech_err *err)
{
    struct ech_packing packing;
    int code = make_packing(e, stage, &packing, err);
    if (code != ECH_OK)
        return code;
    ech_packing_fini(&e->net.packing);
    e->net.packing = packing;
    e->net.stage = stage;
    return ECH_OK;
}

/* What a batch of this engine yields: vectors of rows, or hidden states. */
static bool yields_states(const struct ech_engine *e)
{
    return e->net.hidden_states || !e->net.stage.tail;
}

int64_t ech_batch_rows(const struct ech_batch *batch)
{
    return batch->rows;
}

int64_t ech_stage_cut(const struct ech_engine *e, const struct ech_batch *b, int64_t row)
{
    int64_t target = e->microbatch * e->threads;
    return ech_lanes_cut(b->starts, b->rows, row, target, ech_max64(target, e->capacity));
}

/* A batch with its own starts; ids or states are still to be filled. */
static int make_piece(const struct ech_engine *e, int64_t rows, int64_t tokens, bool ids, bool types,
                      struct ech_batch_parts *parts, struct ech_err *err)
{
    *parts =
        (struct ech_batch_parts){.rows = rows, .dim = e->net.spec.hidden, .hidden_states = yields_states(e)};
    size_t dim = (size_t)parts->dim, count = (size_t)tokens;
    parts->starts = ech_calloc((size_t)rows + 1, sizeof *parts->starts, err);
    parts->errors = parts->starts ? ech_calloc((size_t)rows, sizeof *parts->errors, err) : NULL;
    bool good = parts->errors != NULL;
    if (good && ids)
        good = (parts->ids = ech_calloc(count, sizeof *parts->ids, err)) != NULL;
    if (good && types)
        good = (parts->types = ech_calloc(count, sizeof *parts->types, err)) != NULL;
    if (good && !ids)
        good = (parts->states = ech_alloc_aligned(count ? count * dim * sizeof *parts->states : 64, err)) !=
               NULL;
    if (good)
        return ECH_OK;
    ech_free(parts->starts);
    ech_free(parts->errors);
    ech_free(parts->ids);
    ech_free(parts->types);
    return ECH_UNAVAILABLE;
}

int ech_stage_slice(const struct ech_engine *e, const struct ech_batch *b, int64_t first, int64_t end,
                    struct ech_batch **piece, struct ech_err *err)
{
    struct ech_batch_parts parts;
    int64_t from = b->starts[first], tokens = b->starts[end] - from;
    int code = make_piece(e, end - first, tokens, true, b->types != NULL, &parts, err);
    if (code != ECH_OK)
        return code;
    if (tokens)
        memcpy(parts.ids, b->ids + from, (size_t)tokens * sizeof *parts.ids);
    if (tokens && b->types)
        memcpy(parts.types, b->types + from, (size_t)tokens * sizeof *parts.types);
    for (int64_t row = first; row <= end; row++)
        parts.starts[row - first] = b->starts[row] - from;
    return ech_batch_create(&parts, piece, err);
}

int ech_stage_receive(const struct ech_engine *e, const int32_t *tokens, int64_t rows, const float *states,
                      struct ech_batch **piece, struct ech_err *err)
{
    struct ech_batch_parts parts;
    int64_t all = 0;
    for (int64_t i = 0; i < rows; i++) {
        if (tokens[i] < 0 || tokens[i] > e->capacity)
            return ech_fail(err, ECH_BUG, "a row of %d tokens came from the stage before, a lane holds %lld",
                            (int)tokens[i], (long long)e->capacity);
        all += tokens[i];
    }
    int code = make_piece(e, rows, all, false, false, &parts, err);
    if (code != ECH_OK)
        return code;
    for (int64_t i = 0; i < rows; i++)
        parts.starts[i + 1] = parts.starts[i] + tokens[i];
    if (all)
        memcpy(parts.states, states, (size_t)(all * parts.dim) * sizeof *states);
    return ech_batch_create(&parts, piece, err);
}

void ech_stage_gather(struct ech_batch *b, int64_t first, int64_t rows, const float *values)
{
    int64_t d = b->result->dim;
    int64_t at = b->hidden_states ? b->starts[first] : first;
    int64_t end = b->hidden_states ? b->starts[first + rows] : first + rows;
    if (end > at)
        memcpy(b->result->values + at * d, values, (size_t)((end - at) * d) * sizeof *values);
}

struct ech_result *ech_stage_finish(struct ech_batch *b, int64_t tag, double seconds)
{
    struct ech_result *result = b->result;
    result->tag = tag;
    result->seconds = seconds;
    b->result = NULL;
    ech_batch_destroy(b);
    return result;
}

/* --- the probe: a stage of one layer, over made-up hidden states --- */

static int made_up_piece(const struct ech_engine *e, int64_t length, struct ech_batch **out,
                         struct ech_err *err)
{
    struct ech_batch_parts parts;
    int64_t rows = ech_max64(2 * e->microbatch * e->threads / length, e->threads);
    int code = make_piece(e, rows, rows * length, false, false, &parts, err);
    if (code != ECH_OK)
        return code;
    for (int64_t i = 0; i <= rows; i++)
        parts.starts[i] = i * length;
    for (int64_t i = 0; i < rows * length * parts.dim; i++)
        parts.states[i] = (float)(i % 17 - 8) / 8;
    parts.hidden_states = true;
    return ech_batch_create(&parts, out, err);
}

static int run_probe(const struct ech_engine *e, struct ech_lanes *lanes, int64_t length, double seconds,
                     double *speed, struct ech_err *err)
{
    double start = ech_mono_s(), busy = 0;
    int64_t tokens = 0;
    for (int pass = 0; pass < 2 || ech_mono_s() - start < seconds; pass++) {
        struct ech_batch *batch;
        int code = made_up_piece(e, length, &batch, err);
        if (code != ECH_OK)
            return code;
        ech_lanes_submit(lanes, batch);
        do
            ech_lanes_wait(lanes, 1);
        while (!(batch = ech_lanes_poll(lanes)));
        if (pass > 0) { /* the first warms caches and pages up */
            tokens += batch->tokens;
            busy += batch->result->seconds;
        }
        code = batch->err.code;
        if (code != ECH_OK && err)
            *err = batch->err;
        ech_batch_destroy(batch);
        if (code != ECH_OK)
            return code;
    }
    *speed = busy > 0 ? (double)tokens / (busy / e->threads) : 0;
    return ECH_OK;
}

int ech_stage_probe(const struct ech_engine *e, int64_t tokens, double seconds, double *speed,
                    struct ech_err *err)
{
    struct ech_engine one = *e; /* borrows all but what is made here */
    struct ech_lanes *lanes = NULL;
    int64_t length = ech_min64(ech_max64(tokens, 2), e->max_tokens);
    one.net.stage = (struct ech_stage){.first = 0, .end = 1};
    one.weights_mem = (struct ech_mem){0};
    int code = make_packing(e, one.net.stage, &one.net.packing, err);
    if (code != ECH_OK)
        return code;
    void *packed = ech_alloc_aligned(one.net.packing.bytes, err);
    code = packed ? ech_engine_pack(&one, packed, 0, 1, err) : ECH_UNAVAILABLE;
    if (code == ECH_OK && one.net.ops->device)
        code = ech_engine_upload(&one, err);
    if (code == ECH_OK)
        code = ech_lanes_open(&one.net, one.threads, one.microbatch, one.capacity, &lanes, err);
    if (code == ECH_OK)
        code = run_probe(&one, lanes, length, seconds, speed, err);
    ech_lanes_close(lanes);
    if (one.weights_mem.at)
        one.weights_mem.ops->mem_free(&one.weights_mem);
    ech_packing_fini(&one.net.packing);
    ech_free(packed);
    return code;
}
