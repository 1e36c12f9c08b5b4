/* Tokens per second of the engine alone (built, not run as a test).
 *   speed MODEL [LANES [TOKENS_A_ROW [BACKEND [ROWS]]]]   median of 5 rounds over random ids. */
#include "base/clock.h"
#include "model/engine.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 5 };

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct ech_batch *make_batch(struct ech_engine *engine, int64_t rows, int64_t length,
                                    struct ech_err *err)
{
    int32_t *ids = malloc((size_t)(rows * length) * sizeof *ids);
    uint64_t *offsets = malloc((size_t)(rows + 1) * sizeof *offsets);
    struct ech_batch *batch = NULL;
    if (!ids || !offsets)
        exit(69);
    for (int64_t i = 0; i < rows * length; i++)
        ids[i] = 1000 + rand() % 20000;
    for (int64_t i = 0; i <= rows; i++)
        offsets[i] = (uint64_t)(i * length);
    ech_engine_prepare_ids(engine, ids, NULL, offsets, rows, &batch, err);
    free(ids);
    free(offsets);
    return batch;
}

static double round_seconds(struct ech_engine *engine, int64_t rows, int64_t length, double *busy,
                            struct ech_err *err)
{
    struct ech_batch *batch = make_batch(engine, rows, length, err);
    double begin = ech_mono_s();
    struct ech_result *result = NULL;
    if (batch && ech_engine_submit(engine, batch, 0, err) == ECH_OK)
        while (!result && err->code == ECH_OK) {
            ech_engine_step(engine, 1);
            result = ech_engine_poll(engine, err);
        }
    double seconds = ech_mono_s() - begin;
    if (result)
        *busy = result->seconds;
    ech_result_destroy(result);
    return seconds;
}

int main(int argc, char **argv)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_engine *engine;
    if (argc < 2)
        return 64;
    int lanes = argc > 2 ? atoi(argv[2]) : 2;
    int64_t length = argc > 3 ? atoi(argv[3]) : 240, rows = argc > 5 ? atoi(argv[5]) : 38400 / length;
    struct ech_engine_options options = {
        .model = argv[1], .backend = argc > 4 ? argv[4] : "auto", .threads = lanes, .max_tokens = length};
    if (ech_engine_open(&options, &engine, &err) != ECH_OK) {
        fprintf(stderr, "%s\n", err.text);
        return err.code;
    }
    double times[ROUNDS], busy = 0, all = 0, worked = 0;
    for (int i = -1; i < ROUNDS && err.code == ECH_OK; i++) { /* the first warms up */
        double seconds = round_seconds(engine, rows, length, &busy, &err);
        if (i < 0)
            continue;
        times[i] = seconds;
        all += seconds;
        worked += busy;
    }
    if (err.code == ECH_OK) {
        qsort(times, ROUNDS, sizeof *times, by_value);
        double rate = (double)(rows * length) / times[ROUNDS / 2];
        printf("%s, %d lanes, %lld rows of %lld tokens: %.0f tokens/s [%.0f-%.0f], %.1f GFLOP/s, lanes busy "
               "%.1f %%\n",
               ech_engine_backend(engine), lanes, (long long)rows, (long long)length, rate,
               (double)(rows * length) / times[ROUNDS - 1], (double)(rows * length) / times[0],
               rate / (double)length * ech_engine_flops(engine, length) / 1e9, 100 * worked / all / lanes);
    } else
        fprintf(stderr, "%s\n", err.text);
    ech_engine_close(engine);
    return err.code;
}
