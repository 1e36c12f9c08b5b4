/* bench embed: tokens/s of the engine at several row lengths or over a dataset's own rows (tokenised before),
 * with its share of what the same threads reach in the model's largest product alone, in the same precision
 * and the same run. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "config/precision.h"
#include "data/dataset.h"
#include "job/bench.h"
#include "job/encoder.h"
#include "kernels/ops.h"
#include "model/forward.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { ROWS = 240, WIDTH = 384, INNER = 1536 };

/* One thread's share of the limit: products of 240 x 384 by 384 x 1536 from its own memory, the activations
 * in the types that the encoder uses. */
struct product {
    const struct ech_ops *ops;
    enum ech_format format;
    double seconds, flops;
    int status;
    struct ech_mem w, x, y;
    void *packed;
    struct ech_queue *queue;
};

static int product_open(struct product *p)
{
    struct ech_queue_options options = {.size = sizeof options,
                                        .workspace_bytes =
                                            p->ops->linear_workspace(p->format, ROWS, INNER, WIDTH, 1)};
    size_t bytes = p->ops->linear_packed_bytes(p->format, INNER, WIDTH);
    float *w = ech_calloc((size_t)INNER * WIDTH, sizeof *w, NULL);
    p->packed = ech_alloc_aligned(bytes, NULL);
    p->queue = ech_queue_open(p->ops, &options, NULL);
    int status = w && p->packed && p->queue ? ECH_OP_OK : ECH_OP_MEMORY;
    for (int64_t i = 0; !status && i < (int64_t)INNER * WIDTH; i++)
        w[i] = (float)(i % 17 - 8) * 0.01f;
    if (!status)
        status = p->ops->linear_pack(p->format, w, ECH_W_F32, INNER, WIDTH, p->packed, 0, 1);
    if (!status)
        status = p->ops->mem_alloc(0, bytes, &p->w, NULL);
    if (!status)
        status = p->ops->put(p->queue, p->w.at, p->packed, bytes);
    if (!status)
        status = p->ops->mem_alloc(0, sizeof(float) * ROWS * (WIDTH + 1), &p->x, NULL);
    if (!status)
        status = p->ops->mem_alloc(0, sizeof(float) * ROWS * (INNER + 1), &p->y, NULL);
    ech_free(w);
    return status;
}

static void product_close(struct product *p)
{
    struct ech_mem *const mems[] = {&p->w, &p->x, &p->y};
    for (int i = 0; i < 3; i++)
        if (mems[i]->at)
            p->ops->mem_free(mems[i]);
    ech_queue_close(p->queue);
    ech_free(p->packed);
}

/* The input, small numbers, in the type that products take. */
static int product_fill(struct product *p, enum ech_atype type, float *scale)
{
    float *x = ech_calloc((size_t)ROWS * WIDTH, sizeof *x, NULL);
    struct ech_mem floats = {0};
    int status = x ? p->ops->mem_alloc(0, sizeof *x * ROWS * WIDTH, &floats, NULL) : ECH_OP_MEMORY;
    for (int64_t i = 0; !status && i < (int64_t)ROWS * WIDTH; i++)
        x[i] = (float)(i % 13 - 6) * 0.01f;
    if (!status)
        status = p->ops->put(p->queue, type == ECH_A_F32 ? p->x.at : floats.at, x, sizeof *x * ROWS * WIDTH);
    struct ech_convert_args args = {.size = sizeof args,
                                    .rows = ROWS,
                                    .cols = WIDTH,
                                    .x = floats.at,
                                    .ldx = WIDTH,
                                    .y = p->x.at,
                                    .ldy = WIDTH,
                                    .y_type = type,
                                    .y_scale = scale};
    if (!status && type != ECH_A_F32)
        status = p->ops->convert(p->queue, &args);
    if (!status)
        status = ech_queue_sync(p->queue);
    if (floats.at)
        p->ops->mem_free(&floats);
    ech_free(x);
    return status;
}

static void *product_main(void *argument)
{
    struct product *p = argument;
    const struct ech_flow *flow = ech_flow_of(p->format);
    p->status = product_open(p);
    float *x_scale = p->x.at ? (float *)p->x.at + (size_t)ROWS * WIDTH : NULL;
    float *y_scale = p->y.at ? (float *)p->y.at + (size_t)ROWS * INNER : NULL;
    if (!p->status)
        p->status = product_fill(p, flow->feed, x_scale);
    struct ech_linear_args args = {.size = sizeof args,
                                   .m = ROWS,
                                   .n = INNER,
                                   .k = WIDTH,
                                   .x = p->x.at,
                                   .ldx = WIDTH,
                                   .packed = p->w.at,
                                   .y = p->y.at,
                                   .ldy = INNER,
                                   .format = p->format,
                                   .x_type = flow->feed,
                                   .x_scale = x_scale,
                                   .y_type = flow->qkv,
                                   .y_scale = y_scale};
    double start = ech_mono_s(), count = 0;
    while (!p->status && ech_mono_s() - start < p->seconds) {
        p->status = p->ops->linear(p->queue, &args);
        if (!p->status)
            p->status = ech_queue_sync(p->queue);
        count++;
    }
    p->flops = count * 2 * ROWS * INNER * WIDTH / (ech_mono_s() - start);
    product_close(p);
    return NULL;
}

static int measure_limit(const struct ech_bench *b, const struct ech_engine *engine, double *flops,
                         struct ech_err *err)
{
    char why[256] = "";
    enum ech_format format;
    const struct ech_ops *ops = ech_ops_find(ech_engine_backend(engine), why);
    if (!ops || !ech_ops_format_of(b->precision, ech_precision_compute_of(b->precision), &format))
        return ech_fail(err, ECH_UNAVAILABLE, "%s", why);
    struct product *products = ech_calloc((size_t)b->threads, sizeof *products, err);
    pthread_t *threads = ech_calloc((size_t)b->threads, sizeof *threads, err);
    int code = products && threads ? ECH_OK : ECH_UNAVAILABLE, started = 0;
    for (; !code && started < b->threads; started++) {
        products[started] = (struct product){.ops = ops, .format = format, .seconds = 0.5};
        if (pthread_create(&threads[started], NULL, product_main, &products[started]) != 0)
            code = ech_fail(err, ECH_UNAVAILABLE, "cannot start a thread");
    }
    *flops = 0;
    for (int i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
        *flops += products[i].flops;
        if (products[i].status)
            code = ech_fail(err, ECH_UNAVAILABLE, "the product did not run (status %d)", products[i].status);
    }
    ech_free(products);
    ech_free(threads);
    return code;
}

static int64_t total(struct ech_bench *b, double value, struct ech_err *err)
{
    int64_t sum = (int64_t)value;
    ech_sum_i64(b->comm, &sum, 1, err);
    return sum;
}

/* The limit is measured before each row of the table: a machine's speed drifts. */
static int limit_of_all(struct ech_bench *b, struct ech_engine *engine, double *limit, struct ech_err *err)
{
    measure_limit(b, engine, limit, err);
    int code = ech_agree(b->comm, err);
    if (!code)
        *limit = (double)total(b, *limit, err);
    return code ? code : ech_barrier(b->comm, err);
}

static int measure_length(struct ech_bench *b, struct ech_engine *engine, int64_t length, struct ech_err *err)
{
    double speed = 0, limit = 0;
    int code = limit_of_all(b, engine, &limit, err);
    if (!code)
        ech_encoder_probe(engine, (int)b->threads, (double)length, b->seconds, &speed, err);
    if ((code = ech_agree(b->comm, err)))
        return code;
    double tokens = (double)total(b, speed, err);
    double flops = tokens / (double)length * ech_engine_flops(engine, length);
    char what[96];
    snprintf(what, sizeof what, "rows of %d tokens: %.0f tokens/s", (int)length, tokens);
    ech_bench_row(b, what, flops / 1e9, "GFLOP/s", limit / 1e9, "its products alone");
    return ECH_OK;
}

/* What the rows of a dataset come to: tokens, floating point operations, seconds of wall time. */
struct round {
    double tokens, flops, seconds;
};

/* Each rank takes every size-th block of rows: text in, batches out, nothing timed. */
enum { BLOCK = 64, BATCHES_MOST = 1 << 16 };

struct batches {
    struct ech_batch *items[BATCHES_MOST];
    int count;
};

static int prepare_batches(struct ech_bench *b, const struct ech_engine *engine, struct batches *batches,
                           struct ech_err *err)
{
    struct ech_dataset *ds = NULL;
    struct ech_cells cells = {0};
    int column = 0, code = ech_dataset_open(b->dataset, &ds, err);
    if (!code)
        code = ech_dataset_find(ds, b->column, &column, err);
    if (!code && ech_dataset_column(ds, column)->type != ECH_TEXT)
        code = ech_fail(err, ECH_DATA, "column %s of %s is no text", b->column, b->dataset);
    int64_t rows = code ? 0 : ech_dataset_rows(ds), step = (int64_t)BLOCK * ech_comm_size(b->comm);
    for (int64_t at = (int64_t)BLOCK * ech_comm_rank(b->comm);
         !code && at < rows && batches->count < BATCHES_MOST; at += step) {
        int64_t count = ech_min64(BLOCK, rows - at);
        code = ech_dataset_read(ds, column, at, count, &cells, err);
        if (!code)
            code = ech_engine_prepare(engine, cells.bytes, cells.offsets, count,
                                      &batches->items[batches->count], err);
        batches->count += !code;
    }
    ech_cells_fini(&cells);
    if (ds)
        ech_dataset_close(ds);
    return code;
}

static int run_round(struct ech_engine *engine, struct batches *batches, struct round *round,
                     struct ech_err *err)
{
    double start = ech_mono_s();
    int code = ECH_OK, left = batches->count;
    for (int i = 0; i < batches->count; i++) {
        struct ech_batch *batch = batches->items[i];
        batches->items[i] = NULL;
        if (code)
            ech_batch_destroy(batch);
        else
            code = ech_engine_submit(engine, batch, i, err);
    }
    batches->count = 0;
    while (!code && left > 0) {
        struct ech_err failed = ECH_ERR_NONE;
        ech_engine_step(engine, 1);
        struct ech_result *r = ech_engine_poll(engine, &failed);
        for (int64_t i = 0; r && i < r->rows; i++)
            round->flops += ech_engine_flops(engine, r->row_tokens[i]);
        if (r)
            round->tokens += (double)r->tokens;
        left -= r != NULL;
        ech_result_destroy(r);
        code = failed.code ? ech_fail(err, failed.code, "%s", failed.text) : ECH_OK;
    }
    round->seconds += ech_mono_s() - start;
    return code;
}

static int measure_rows(struct ech_bench *b, struct ech_engine *engine, struct ech_err *err)
{
    struct batches *batches = ech_calloc(1, sizeof *batches, err);
    double limit = 0;
    struct round round = {0};
    int code = limit_of_all(b, engine, &limit, err);
    for (int turn = 0; !code && (turn < 2 || round.seconds < b->seconds); turn++) {
        if (turn == 1) /* the first warms up */
            round = (struct round){0};
        code = batches ? prepare_batches(b, engine, batches, err) : ECH_UNAVAILABLE;
        if (!code)
            code = run_round(engine, batches, &round, err);
    }
    for (int i = 0; batches && i < batches->count; i++)
        ech_batch_destroy(batches->items[i]);
    ech_free(batches);
    if ((code = ech_agree(b->comm, err)))
        return code;
    double seconds = round.seconds > 0 ? round.seconds : 1;
    double tokens = (double)total(b, round.tokens / seconds, err);
    double flops = (double)total(b, round.flops / seconds, err);
    char what[96];
    snprintf(what, sizeof what, "rows of the dataset: %.0f tokens/s", tokens);
    ech_bench_row(b, what, flops / 1e9, "GFLOP/s", limit / 1e9, "its products alone");
    return ECH_OK;
}

int ech_bench_embed(struct ech_bench *b, struct ech_err *err)
{
    static const int64_t lengths[] = {16, 64, 240};
    struct ech_engine_options options = {.model = b->model,
                                         .backend = b->backend,
                                         .weights = b->precision,
                                         .compute = ech_precision_compute_of(b->precision),
                                         .threads = (int)b->threads};
    struct ech_engine *engine = NULL;
    if (!options.compute)
        ech_fail(err, ECH_USAGE, "echelon bench: --precision %s is not one of f32, bf16, int8, int4, f16",
                 b->precision);
    else
        ech_engine_open(&options, &engine, err);
    int code = ech_agree(b->comm, err);
    if (!code && b->dataset)
        code = measure_rows(b, engine, err);
    for (size_t i = 0; !code && !b->dataset && i < sizeof lengths / sizeof lengths[0]; i++)
        if (lengths[i] <= ech_engine_max_tokens(engine))
            code = measure_length(b, engine, lengths[i], err);
    if (engine)
        ech_engine_close(engine);
    return code;
}
