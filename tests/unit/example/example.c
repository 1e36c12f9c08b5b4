/* Embed two texts and print how near they are: example [MODEL] */
#include "echelon.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    const char texts[] = "A nurse recorded the temperature of each patient every four hours."
                         "Each patient had their temperature taken every four hours by a nurse.";
    const uint64_t offsets[] = {0, 66, sizeof texts - 1};
    struct ech_engine_options o = {.model = argc > 1 ? argv[1] : "models/all-MiniLM-L6-v2", .threads = 1};
    struct ech_err err = ECH_ERR_NONE;
    struct ech_engine *engine = NULL;
    struct ech_batch *batch;
    struct ech_result *result = NULL;
    if (ech_engine_open(&o, &engine, &err) == ECH_OK &&
        ech_engine_prepare(engine, (const unsigned char *)texts, offsets, 2, &batch, &err) == ECH_OK &&
        ech_engine_submit(engine, batch, 0, &err) == ECH_OK) {
        ech_engine_step(engine, 60);
        result = ech_engine_poll(engine, &err);
    }
    float cosine = 0; /* the model normalises its vectors */
    for (int64_t i = 0; result && i < result->dim; i++)
        cosine += result->values[i] * result->values[result->dim + i];
    printf(result ? "cosine %.4f\n" : "no result\n", (double)cosine);
    fprintf(stderr, "%s", err.text);
    ech_result_destroy(result);
    ech_engine_close(engine);
    return err.code;
}
