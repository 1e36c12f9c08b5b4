/* The engine: a model on a backend within a memory budget. It outlives a job and serves several streams.
 *
 * Opening is cut in steps, so that ranks can agree between them and pack the weights of a node together:
 *   load  (local: map files, check every tensor, tokenizer, specification; nothing large is allocated)
 *   pack  (each rank of a node packs its part into one shared segment; alone: parts = 1)
 *   start (lanes: one compute thread each, queues and workspaces allocated; the file mapping is released)
 * Lanes take micro-batches of whole sequences (about `microbatch_tokens`) from one queue without a barrier:
 * submit never computes, results come in any order. A row's bits do not depend on any of this. */
#ifndef ECH_MODEL_ENGINE_H
#define ECH_MODEL_ENGINE_H

#include "base/err.h"
#include "base/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* POOLER: the model's own dense layer over the first token. */
enum ech_pooling {
    ECH_POOLING_MODEL,
    ECH_POOLING_MEAN,
    ECH_POOLING_CLS,
    ECH_POOLING_MAX,
    ECH_POOLING_POOLER,
    ECH_POOLING_NONE
};
enum ech_tristate { ECH_AUTO, ECH_NO, ECH_YES };

struct ech_engine_options {
    const char *model;         /* folder */
    const char *adapter;       /* folder of a low-rank adapter to be merged, or NULL */
    const char *backend;       /* "auto", "avx512", "avx2", "openblas", "ref_exact", "cuda" */
    const char *weights;       /* "f32", "bf16", "f16", "int8", "int4"; NULL: "f32" */
    const char *compute;       /* "f32", "bf16", "f16", "int8"; NULL: as weights, int8 for int4 */
    int device;                /* which of the backend's devices, modulo their number */
    int threads;               /* lanes, >= 1 */
    int64_t memory_bytes;      /* budget of workspaces beyond the packed weights; 0: unlimited */
    int64_t microbatch_tokens; /* 0: default */
    enum ech_pooling pooling;  /* NONE: hidden states (tokens, dim) instead of one vector a row */
    enum ech_tristate normalize;
    bool classes;       /* logits of the model's head of classes instead, for each row or token */
    int64_t max_tokens; /* 0: the model's own limit, 512 where it has none; above it: ECH_CONFIG */
    bool on_long_error; /* too long: the row fails instead of being cut */
    const char *prompt; /* name of one of the model's own prompts, or NULL: the model's default */
    const char *prefix; /* put before each text, or NULL */
};

struct ech_engine;
struct ech_labels;    /* heads.h */
struct ech_tokenizer; /* text/tokenizer.h */
int ech_engine_load(const struct ech_engine_options *options, struct ech_engine **out, struct ech_err *err);
size_t ech_engine_packed_bytes(const struct ech_engine *engine);
/* Memory a rank needs beside the packed weights: lanes' workspaces and queues. */
size_t ech_engine_workspace_bytes(const struct ech_engine *engine);
int ech_engine_pack(struct ech_engine *engine, void *base, int64_t part, int64_t parts, struct ech_err *err);
int ech_engine_start(struct ech_engine *engine, struct ech_err *err);
/* load + pack into own memory + start. */
int ech_engine_open(const struct ech_engine_options *options, struct ech_engine **out, struct ech_err *err);
void ech_engine_close(struct ech_engine *engine);

int64_t ech_engine_dim(const struct ech_engine *engine); /* of a vector; classes: their number */
int64_t ech_engine_max_tokens(const struct ech_engine *engine);
/* Class of the products, and of the attention where that computes in another: "cpu-int8-1+cpu-bf16-1". */
const char *ech_engine_numerics(const struct ech_engine *engine);
const char *ech_engine_precision(const struct ech_engine *engine); /* "f32", "bf16", "int8", "bf16-f32" ... */
const char *ech_engine_backend(const struct ech_engine *engine);
double ech_engine_flops(const struct ech_engine *engine, int64_t tokens); /* of one sequence of that length */

/* Tokenised rows, ready to be submitted. Built on any thread, beside running lanes. */
struct ech_batch;
/* texts: row i is bytes[offsets[i] .. offsets[i+1]). A bad row (invalid UTF-8, too long) does not fail the
 * call: it carries its reason and yields zeros. */
int ech_engine_prepare(const struct ech_engine *engine, const unsigned char *bytes, const uint64_t *offsets,
                       int64_t rows, struct ech_batch **out, struct ech_err *err);
/* Two texts a row (cross-encoders), whose special tokens and types are the tokenizer's: row i is
 * bytes[offsets[2i] .. offsets[2i+1]) and bytes[offsets[2i+1] .. offsets[2i+2]). Prompt and prefix go before
 * the first. What is too long is cut as the reference's "longest_first". */
int ech_engine_prepare_pairs(const struct ech_engine *engine, const unsigned char *bytes,
                             const uint64_t *offsets, int64_t rows, struct ech_batch **out,
                             struct ech_err *err);
/* From token ids (with special tokens); types may be NULL. Ids outside the vocabulary: ECH_DATA. */
int ech_engine_prepare_ids(const struct ech_engine *engine, const int32_t *ids, const int32_t *types,
                           const uint64_t *offsets, int64_t rows, struct ech_batch **out,
                           struct ech_err *err);
int64_t ech_batch_tokens(const struct ech_batch *batch);
void ech_batch_destroy(struct ech_batch *batch);

/* Takes the batch. Never computes, never blocks; the caller bounds what is in flight. */
int ech_engine_submit(struct ech_engine *engine, struct ech_batch *batch, int64_t tag, struct ech_err *err);
/* Wait until a result is there or nothing is in flight, at most `seconds`. */
int ech_engine_step(struct ech_engine *engine, double seconds);

/* Drop what no lane has begun: those batches never come back from poll. The engine can be used again. */
void ech_engine_cancel(struct ech_engine *engine);

struct ech_result {
    int64_t tag, rows, tokens;
    int64_t dim;
    float *values;       /* (rows, dim); pooling NONE, classes of tokens: (sum of row_tokens, dim) */
    int64_t *row_tokens; /* tokens of each row, after truncation */
    int32_t *ids;        /* of all tokens; NULL where the batch came from another stage */
    char **errors;       /* NULL where the row is good */
    double seconds;      /* compute time over all lanes */
};
/* One finished batch, or NULL. Owner: the caller, ech_result_destroy. A failure inside a lane (memory) is
 * reported by *err here. */
struct ech_result *ech_engine_poll(struct ech_engine *engine, struct ech_err *err);
void ech_result_destroy(struct ech_result *result);

/* Labels of a model opened with `classes`; else there are none. */
const struct ech_labels *ech_engine_labels(const struct ech_engine *engine);
/* NULL: the folder has none. */
const struct ech_tokenizer *ech_engine_tokenizer(const struct ech_engine *engine);

/* Files that make up the model, relative to its folder, for the job's identity; NULL-terminated, borrowed. */
const char *const *ech_engine_files(const struct ech_engine *engine);

#endif
