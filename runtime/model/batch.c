/* Batches and results: see batch.h. */
#include "model/batch.h"

#include "base/mem.h"

#include <string.h>

static void free_errors(char **errors, int64_t rows)
{
    for (int64_t i = 0; errors && i < rows; i++)
        ech_free(errors[i]);
    ech_free(errors);
}

void ech_result_destroy(struct ech_result *result)
{
    if (!result)
        return;
    ech_free(result->values);
    ech_free(result->row_tokens);
    ech_free(result->ids);
    free_errors(result->errors, result->rows);
    ech_free(result);
}

void ech_batch_destroy(struct ech_batch *batch)
{
    if (!batch)
        return;
    ech_free(batch->ids);
    ech_free(batch->types);
    ech_free(batch->states);
    ech_free(batch->starts);
    ech_result_destroy(batch->result);
    ech_free(batch);
}

int64_t ech_batch_tokens(const struct ech_batch *batch)
{
    return batch->tokens;
}

static int create_result(const struct ech_batch *batch, int64_t dim, struct ech_result **out,
                         struct ech_err *err)
{
    struct ech_result *r = ech_calloc(1, sizeof *r, err);
    if (!r)
        return ECH_UNAVAILABLE;
    int64_t vectors = batch->hidden_states ? batch->tokens : batch->rows;
    r->rows = batch->rows;
    r->tokens = batch->tokens;
    r->dim = dim;
    r->row_tokens = ech_calloc((size_t)batch->rows, sizeof *r->row_tokens, err);
    r->values = r->row_tokens ? ech_calloc((size_t)vectors, (size_t)dim * sizeof *r->values, err) : NULL;
    if (!r->values) {
        r->rows = 0;
        ech_result_destroy(r);
        return ECH_UNAVAILABLE;
    }
    for (int64_t i = 0; i < batch->rows; i++)
        r->row_tokens[i] = batch->starts[i + 1] - batch->starts[i];
    *out = r;
    return ECH_OK;
}

int ech_batch_create(const struct ech_batch_parts *parts, struct ech_batch **out, struct ech_err *err)
{
    struct ech_batch *batch = ech_calloc(1, sizeof *batch, err);
    if (!batch) {
        ech_free(parts->ids);
        ech_free(parts->types);
        ech_free(parts->states);
        ech_free(parts->starts);
        free_errors(parts->errors, parts->rows);
        return ECH_UNAVAILABLE;
    }
    *batch = (struct ech_batch){.ids = parts->ids,
                                .types = parts->types,
                                .states = parts->states,
                                .starts = parts->starts,
                                .rows = parts->rows,
                                .tokens = parts->starts[parts->rows],
                                .hidden_states = parts->hidden_states,
                                .err = ECH_ERR_NONE};
    int code = create_result(batch, parts->dim, &batch->result, err);
    if (code != ECH_OK) {
        free_errors(parts->errors, parts->rows);
        ech_batch_destroy(batch);
        return code;
    }
    batch->result->errors = parts->errors;
    *out = batch;
    return ECH_OK;
}
