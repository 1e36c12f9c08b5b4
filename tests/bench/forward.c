/* The forward pass alone over the texts of a dataset; whole-job.py asks for rounds.
 *   engine_forward MODEL DATASET [ENGINES [THREADS [PRECISION]]]
 * ENGINES engines of THREADS lanes share one packed copy of the weights, as the ranks of a node do, and take
 * every ENGINES-th row. Each line on standard input is answered by a line of JSON: tokens, and tokens/s, the
 * sum over engines of tokens / the lanes' time in the forward pass, as in a run's events. Texts are tokenised
 * before a round; nothing is written. */
#include "echelon.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ENGINES_MOST = 64 };

struct part {
    struct ech_engine *engine;
    struct ech_cells texts;
};

static int open_engines(struct part *parts, int count, const struct ech_engine_options *options,
                        void **packed, struct ech_err *err)
{
    int code = ECH_OK;
    for (int i = 0; !code && i < count; i++)
        code = ech_engine_load(options, &parts[i].engine, err);
    if (!code && !(*packed = ech_alloc_aligned(ech_engine_packed_bytes(parts[0].engine), err)))
        code = ECH_UNAVAILABLE;
    for (int i = 0; !code && i < count; i++)
        code = ech_engine_pack(parts[i].engine, *packed, i, count, err);
    for (int i = 0; !code && i < count; i++)
        code = ech_engine_start(parts[i].engine, err);
    return code;
}

/* Every count-th row from the index-th on. */
static int take_rows(struct part *p, int index, int count, const struct ech_cells *all, struct ech_err *err)
{
    int code = ech_cells_reset(&p->texts, err);
    for (int64_t row = index; !code && row < all->rows; row += count)
        code = ech_cells_add(&p->texts, all->bytes + all->offsets[row],
                             (size_t)(all->offsets[row + 1] - all->offsets[row]), err);
    return code;
}

static int read_rows(struct part *parts, int count, const char *dataset, struct ech_err *err)
{
    struct ech_dataset *ds = NULL;
    struct ech_cells all = {0};
    int column, code = ech_dataset_open(dataset, &ds, err);
    if (!code)
        code = ech_dataset_find(ds, "text", &column, err);
    if (!code && ech_dataset_rows(ds) < count)
        code = ech_fail(err, ECH_DATA, "%s has %lld rows for %d engines", dataset,
                        (long long)ech_dataset_rows(ds), count);
    if (!code)
        code = ech_dataset_read(ds, column, 0, ech_dataset_rows(ds), &all, err);
    for (int i = 0; !code && i < count; i++)
        code = take_rows(&parts[i], i, count, &all, err);
    ech_cells_fini(&all);
    if (ds)
        ech_dataset_close(ds);
    return code;
}

static int finish(struct part *p, int threads, int64_t *tokens, double *speed, struct ech_err *err)
{
    struct ech_result *result = NULL;
    while (!result && !err->code) {
        ech_engine_step(p->engine, 1);
        result = ech_engine_poll(p->engine, err);
    }
    if (result) {
        *tokens += result->tokens;
        *speed += (double)result->tokens / (result->seconds / threads);
    }
    ech_result_destroy(result);
    return err->code;
}

static int round_of(struct part *parts, int count, int threads, struct ech_err *err)
{
    struct ech_batch *batches[ENGINES_MOST];
    int64_t tokens = 0;
    double speed = 0;
    int code = ECH_OK;
    for (int i = 0; !code && i < count; i++)
        code = ech_engine_prepare(parts[i].engine, parts[i].texts.bytes, parts[i].texts.offsets,
                                  parts[i].texts.rows, &batches[i], err);
    for (int i = 0; !code && i < count; i++)
        code = ech_engine_submit(parts[i].engine, batches[i], i, err);
    for (int i = 0; !code && i < count; i++)
        code = finish(&parts[i], threads, &tokens, &speed, err);
    if (!code)
        printf("{\"tokens\": %lld, \"tokens_per_s\": %.1f}\n", (long long)tokens, speed);
    fflush(stdout);
    return code;
}

int main(int argc, char **argv)
{
    struct ech_err err = ECH_ERR_NONE;
    struct part parts[ENGINES_MOST] = {{0}};
    void *packed = NULL;
    int count = argc > 3 ? atoi(argv[3]) : 1, threads = argc > 4 ? atoi(argv[4]) : 1;
    if (argc < 3 || argc > 6 || count < 1 || count > ENGINES_MOST || threads < 1) {
        fprintf(stderr, "usage: engine_forward MODEL DATASET [ENGINES [THREADS [PRECISION]]]\n");
        return ECH_USAGE;
    }
    struct ech_engine_options options = {
        .model = argv[1], .backend = "auto", .threads = threads, .weights = argc > 5 ? argv[5] : "f32"};
    int code = read_rows(parts, count, argv[2], &err);
    if (!code)
        code = open_engines(parts, count, &options, &packed, &err);
    char line[16];
    while (!code && fgets(line, sizeof line, stdin))
        code = round_of(parts, count, threads, &err);
    for (int i = 0; i < count; i++) {
        if (parts[i].engine)
            ech_engine_close(parts[i].engine);
        ech_cells_fini(&parts[i].texts);
    }
    ech_free(packed);
    if (code)
        fprintf(stderr, "engine_forward: %s\n", err.text);
    return code;
}
