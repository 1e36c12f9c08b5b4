/* A stage: the part of a model that one rank of a worker computes, some layers in a row. The first stage
 * (head) turns token ids into hidden states before its layers, the last one (tail) hidden states into the
 * rows' vectors after them. Between stages hidden states travel as they are, f32, so a row's bits do not
 * depend on the cut.
 *
 *   head    ech_engine_prepare -> whole batch; ech_stage_slice -> pieces of it -> submit, poll -> hidden
 * states others  ech_stage_receive (hidden states) -> piece -> submit, poll -> hidden states, at the tail
 * vectors head    ech_stage_gather: the vectors of a piece into the whole batch; ech_stage_finish: its result
 * A piece is a batch like any other for submit and poll; the tag names it. */
#ifndef ECH_MODEL_STAGE_H
#define ECH_MODEL_STAGE_H

#include "model/engine.h"

struct ech_stage {
    int64_t first, end; /* layers [first, end) */
    bool head, tail;
};

int64_t ech_engine_layers(const struct ech_engine *engine);
bool ech_engine_pools(const struct ech_engine *engine);     /* one vector a row */
bool ech_engine_on_device(const struct ech_engine *engine); /* memory of its own */
/* Packed bytes of a stage. */
int ech_stage_bytes(const struct ech_engine *engine, struct ech_stage stage, size_t *bytes,
                    struct ech_err *err);
/* Work of one layer for one token of a sequence of `tokens`, multiply-adds x 2. */
double ech_stage_layer_flops(const struct ech_engine *engine, int64_t tokens);
/* Make the engine one of this stage: after load, before pack. ECH_BUG: layers it has not, or too late. */
int ech_engine_narrow(struct ech_engine *engine, struct ech_stage stage, struct ech_err *err);

/* Tokens a second of one layer on all threads, measured for about `seconds` on layer 0 in memory of its own:
 * before pack, beside it nothing of the engine changes. */
int ech_stage_probe(const struct ech_engine *engine, int64_t tokens, double seconds, double *speed,
                    struct ech_err *err);

/* Memory of a piece on its way: hidden states in and out. */
size_t ech_stage_piece_bytes(const struct ech_engine *engine);
/* Rows that the next piece takes from `row` on: about one micro-batch a thread. */
int64_t ech_stage_cut(const struct ech_engine *engine, const struct ech_batch *batch, int64_t row);
int64_t ech_batch_rows(const struct ech_batch *batch);
/* Rows [first, end) of a tokenised batch as a piece for the head's layers. The batch stays as it is. */
int ech_stage_slice(const struct ech_engine *engine, const struct ech_batch *batch, int64_t first,
                    int64_t end, struct ech_batch **piece, struct ech_err *err);
/* Shapes  tokens[rows], 0 for a bad row; states (sum of tokens, dim).
 * Errors  ECH_BUG: a row longer than a lane holds. */
int ech_stage_receive(const struct ech_engine *engine, const int32_t *tokens, int64_t rows,
                      const float *states, struct ech_batch **piece, struct ech_err *err);

/* Vectors (or hidden states where the model is not pooled) of the rows [first, first + rows) of the whole
 * batch. */
void ech_stage_gather(struct ech_batch *batch, int64_t first, int64_t rows, const float *values);
/* The whole batch's result; the batch is gone. Owner: the caller. */
struct ech_result *ech_stage_finish(struct ech_batch *batch, int64_t tag, double seconds);

#endif
