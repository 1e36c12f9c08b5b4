/* Embed the first two texts of a dataset and print how near they are: example MODEL DATASET */
#include "echelon.h"
#include <stdio.h>
int main(int argc, char **argv)
{
    struct ech_engine_options o = {.model = argc > 1 ? argv[1] : "models/all-MiniLM-L6-v2", .threads = 1};
    struct ech_err err = ECH_ERR_NONE;
    struct ech_dataset *ds = NULL;
    struct ech_engine *engine = NULL;
    struct ech_cells rows = {0};
    struct ech_batch *batch;
    struct ech_result *result = NULL;
    int column;
    if (!ech_dataset_open(argc > 2 ? argv[2] : "data/texts", &ds, &err) &&
        !ech_dataset_find(ds, "text", &column, &err) && !ech_dataset_read(ds, column, 0, 2, &rows, &err) &&
        !ech_engine_open(&o, &engine, &err) &&
        !ech_engine_prepare(engine, rows.bytes, rows.offsets, 2, &batch, &err) &&
        !ech_engine_submit(engine, batch, 0, &err) && !ech_engine_step(engine, 60))
        result = ech_engine_poll(engine, &err);
    float cosine = 0; /* the model normalises its vectors */
    for (int64_t i = 0; result && i < result->dim; i++)
        cosine += result->values[i] * result->values[result->dim + i];
    printf(result ? "cosine %.4f\n" : "no result\n", (double)cosine);
    fprintf(stderr, "%s", err.text);
    ech_result_destroy(result);
    ech_engine_close(engine);
    ech_cells_fini(&rows);
    ech_dataset_close(ds);
    return err.code;
}
