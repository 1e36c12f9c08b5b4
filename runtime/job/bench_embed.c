/* bench embed: tokens/s of the engine at several row lengths, with its share of what the same threads reach
 * in the model's largest product alone, measured in the same run. */
#include "base/clock.h"
#include "base/mem.h"
#include "job/bench.h"
#include "job/encoder.h"
#include "kernels/ops.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { ROWS = 240, WIDTH = 384, INNER = 1536 };

struct product {
    const struct ech_ops *ops;
    double seconds, flops;
    int status;
};

/* One thread's share of the limit: products of 240 x 384 by 384 x 1536 from its own memory. */
static void *product_main(void *argument)
{
    struct product *p = argument;
    float *w = ech_alloc_aligned(sizeof(float) * INNER * WIDTH, NULL),
          *x = ech_alloc_aligned(sizeof(float) * ROWS * WIDTH, NULL);
    float *y = ech_alloc_aligned(sizeof(float) * ROWS * INNER, NULL);
    void *packed = ech_alloc_aligned(p->ops->linear_packed_bytes(ECH_FMT_F32, INNER, WIDTH), NULL);
    struct ech_queue_options options = {.size = sizeof options,
                                        .workspace_bytes =
                                            p->ops->linear_workspace(ECH_FMT_F32, ROWS, INNER, WIDTH, 1)};
    struct ech_queue *queue = ech_queue_open(p->ops, &options, NULL);
    p->status = !w || !x || !y || !packed || !queue;
    for (int64_t i = 0; !p->status && i < (int64_t)INNER * WIDTH; i++)
        w[i] = (float)(i % 17) * 0.01f;
    for (int64_t i = 0; !p->status && i < (int64_t)ROWS * WIDTH; i++)
        x[i] = (float)(i % 13) * 0.01f;
    if (!p->status)
        p->status = p->ops->linear_pack(ECH_FMT_F32, w, ECH_W_F32, INNER, WIDTH, packed, 0, 1);
    struct ech_linear_args args = {.size = sizeof args,
                                   .m = ROWS,
                                   .n = INNER,
                                   .k = WIDTH,
                                   .x = x,
                                   .ldx = WIDTH,
                                   .packed = packed,
                                   .y = y,
                                   .ldy = INNER};
    double start = ech_mono_s(), count = 0;
    while (!p->status && ech_mono_s() - start < p->seconds) {
        p->status = p->ops->linear(queue, &args);
        count++;
    }
    p->flops = count * 2 * ROWS * INNER * WIDTH / (ech_mono_s() - start);
    if (queue)
        ech_queue_close(queue);
    ech_free(w);
    ech_free(x);
    ech_free(y);
    ech_free(packed);
    return NULL;
}

static int measure_limit(const struct ech_bench *b, const char *backend, double *flops, struct ech_err *err)
{
    char why[256] = "";
    const struct ech_ops *ops = ech_ops_find(backend, why);
    if (!ops)
        return ech_fail(err, ECH_UNAVAILABLE, "%s", why);
    struct product *products = ech_calloc((size_t)b->threads, sizeof *products, err);
    pthread_t *threads = ech_calloc((size_t)b->threads, sizeof *threads, err);
    int code = products && threads ? ECH_OK : ECH_UNAVAILABLE, started = 0;
    for (; !code && started < b->threads; started++) {
        products[started] = (struct product){.ops = ops, .seconds = 0.5};
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

static int measure_length(struct ech_bench *b, struct ech_engine *engine, int64_t length, double limit,
                          struct ech_err *err)
{
    double speed = 0;
    int code = ech_barrier(b->comm, err);
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

/* The limit is measured before each length: a machine's speed drifts. */
static int measure_both(struct ech_bench *b, struct ech_engine *engine, int64_t length, struct ech_err *err)
{
    double limit = 0;
    measure_limit(b, ech_engine_backend(engine), &limit, err);
    int code = ech_agree(b->comm, err);
    return code ? code : measure_length(b, engine, length, (double)total(b, limit, err), err);
}

int ech_bench_embed(struct ech_bench *b, struct ech_err *err)
{
    static const int64_t lengths[] = {16, 64, 240};
    struct ech_engine_options options = {
        .model = b->model, .backend = b->backend, .threads = (int)b->threads};
    struct ech_engine *engine = NULL;
    ech_engine_open(&options, &engine, err);
    int code = ech_agree(b->comm, err);
    for (size_t i = 0; !code && i < sizeof lengths / sizeof lengths[0]; i++)
        if (lengths[i] <= ech_engine_max_tokens(engine))
            code = measure_both(b, engine, lengths[i], err);
    if (engine)
        ech_engine_close(engine);
    return code;
}
