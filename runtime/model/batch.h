/* A batch: tokenised rows on their way through the engine, and the result they become. Everything it needs is
 * allocated when it is made, so that submitting and computing allocate nothing. */
#ifndef ECH_MODEL_BATCH_H
#define ECH_MODEL_BATCH_H

#include "model/engine.h"

struct ech_batch {
    int32_t *ids, *types; /* types NULL: all 0 */
    float *states;        /* instead of ids: hidden states (tokens, dim) from the stage before */
    int64_t *starts;      /* rows + 1; a bad row has no tokens */
    int64_t rows, tokens;
    bool hidden_states;
    struct ech_result *result;
    /* Guarded by the lanes' lock once it is submitted. */
    int64_t next, done;
    bool dropped; /* cancelled: thrown away when its rows in hand are done */
    struct ech_err err;
    struct ech_batch *after;
};

/* Takes ownership of ids, types, states, starts and errors (all freed on failure, too). */
struct ech_batch_parts {
    int32_t *ids, *types;
    float *states;
    int64_t *starts;
    char **errors; /* (rows) */
    int64_t rows, dim;
    bool hidden_states;
};
int ech_batch_create(const struct ech_batch_parts *parts, struct ech_batch **out, struct ech_err *err);

#endif
