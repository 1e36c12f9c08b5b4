/* Texts of a decoder written by the generator as a job does it; generate.py asks for them.
 *   generator_speed MODEL [THREADS [COMPUTE [KV]]]
 * A line "MOST ID ID ..." asks for at most MOST tokens behind those ids, greedily and past any end; it is
 * answered by
 * {"seconds": ..., "ids": [...]}. Several texts at once: their lines joined by ";". */
#include "base/clock.h"
#include "base/mem.h"
#include "model/generator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXT = 2048, STEP = 512, ROWS = 64, LINE = 1 << 20 };

static int add(struct ech_write_batch *batch, char *text, struct ech_err *err)
{
    struct ech_request *r;
    char *end;
    int code = ech_write_batch_add(batch, &r, err);
    if (code != ECH_OK)
        return code;
    r->row = (uint64_t)batch->rows;
    r->most = strtol(text, &end, 10);
    r->ids = ech_calloc(strlen(text) + 1, sizeof *r->ids, err);
    if (!r->ids)
        return ECH_UNAVAILABLE;
    for (text = end; strtol(text, &end, 10), end != text; text = end)
        r->ids[r->count++] = (int32_t)strtol(text, NULL, 10);
    if (r->count < 1 || r->most < 1)
        return ech_fail(err, ECH_USAGE, "a line is a count of tokens and the ids before them");
    r->scored = r->count;
    return ech_write_batch_row(batch, err);
}

static void print(const struct ech_write_batch *b, double seconds)
{
    printf("{\"seconds\": %.6f, \"ids\": [", seconds);
    for (int64_t i = 0; i < b->count; i++)
        for (int64_t k = 0; k < b->written[i].count; k++)
            printf("%s%d", i + k ? ", " : "", (int)b->written[i].ids[k]);
    printf("]}\n");
    fflush(stdout);
}

static int answer(struct ech_generator *generator, char *line, struct ech_err *err)
{
    struct ech_write_batch *batch, *done = NULL;
    char *rest = NULL;
    int code = ech_write_batch_create(0, &batch, err);
    for (char *text = strtok_r(line, ";", &rest); code == ECH_OK && text; text = strtok_r(NULL, ";", &rest))
        code = add(batch, text, err);
    if (code != ECH_OK)
        return code;
    double begun = ech_mono_s();
    ech_generator_submit(generator, batch);
    while (!done && err->code == ECH_OK) {
        ech_generator_step(generator, 1);
        done = ech_generator_poll(generator, err);
    }
    double seconds = ech_mono_s() - begun;
    for (int64_t i = 0; done && err->code == ECH_OK && i < done->count; i++)
        if (done->requests[i].error)
            ech_fail(err, ECH_DATA, "%s", done->requests[i].error);
    if (err->code == ECH_OK)
        print(done, seconds);
    ech_write_batch_destroy(done);
    return err->code;
}

int main(int argc, char **argv)
{
    static char line[LINE];
    struct ech_err err = ECH_ERR_NONE;
    struct ech_lm *lm = NULL;
    struct ech_generator *generator = NULL;
    if (argc < 2 || argc > 5) {
        fprintf(stderr, "usage: generator_speed MODEL [THREADS [COMPUTE [KV]]]\n");
        return ECH_USAGE;
    }
    struct ech_lm_options options = {.model = argv[1],
                                     .threads = argc > 2 ? atoi(argv[2]) : 1,
                                     .compute = argc > 3 ? argv[3] : NULL,
                                     .kv = argc > 4 ? argv[4] : NULL,
                                     .context = CONTEXT,
                                     .step_tokens = STEP,
                                     .sequences = ROWS,
                                     .cache_bytes = (int64_t)1 << 28,
                                     .logits_rows = 32};
    int code = ech_lm_open(&options, &lm, &err);
    if (code == ECH_OK) {
        struct ech_generator_options of = {
            .decoder = lm,
            .rules = {.ends = {-1}, .banned = {-1}, .forced_first = -1, .forced_last = -1},
            .sampling = ECH_SAMPLING_GREEDY,
            .threads = options.threads,
            .sequences = options.sequences,
            .step_tokens = options.step_tokens,
            .logits_rows = options.logits_rows};
        code = ech_generator_open(&of, &generator, &err);
    }
    if (code == ECH_OK)
        fprintf(stderr, "%s, %s, %s\n", ech_lm_backend(lm), ech_lm_precision(lm), ech_lm_numerics(lm));
    while (code == ECH_OK && fgets(line, sizeof line, stdin))
        code = answer(generator, line, &err);
    ech_generator_close(generator);
    ech_lm_close(lm);
    if (code != ECH_OK)
        fprintf(stderr, "generator_speed: %s\n", err.text);
    return code;
}
