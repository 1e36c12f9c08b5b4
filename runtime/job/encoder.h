/* Text to vectors for the kinds that need it: the engine with a job's options, and its probe. */
#ifndef ECH_JOB_ENCODER_H
#define ECH_JOB_ENCODER_H

#include "config/kinds/embed.h"
#include "job/kind.h"
#include "model/engine.h"

/* What every engine of a job is opened with. */
struct ech_engine_options ech_encoder_options(const struct ech_stream_env *env);
int ech_encoder_load(const struct ech_stream_env *env, const struct ech_embed_options *options,
                     struct ech_engine **out, struct ech_err *err);
/* model: the job's folder; from: a copy of it that is read, or NULL. */
int ech_encoder_identify(const struct ech_engine *engine, const char *model, const char *from,
                         struct ech_comm *comm, struct ech_identity *identity, struct ech_err *err);
int ech_encoder_count_tokens(const struct ech_engine *engine, const struct ech_cells *rows, int64_t *tokens,
                             struct ech_err *err);
int ech_encoder_submit(struct ech_engine *engine, int64_t first, const struct ech_cells *rows,
                       struct ech_err *err);
/* Runs made-up rows of about `tokens_a_row` tokens for about `seconds`. */
int ech_encoder_probe(struct ech_engine *engine, int threads, double tokens_a_row, double seconds,
                      double *speed, struct ech_err *err);
/* Packed weights of all layers, without tables of embeddings. Before the engine starts. */
int ech_encoder_layers_bytes(const struct ech_engine *engine, size_t *bytes, struct ech_err *err);
/* One row of two tokens a thread and pass: each product reads all its weights for them. Fills few_tokens_s
 * and weights_bytes_s. */
int ech_encoder_probe_few(struct ech_engine *engine, int threads, size_t layers_bytes, double seconds,
                          struct ech_probe *out, struct ech_err *err);
/* Layers, size and work of the model: what its speed depends on. */
void ech_encoder_shape(const struct ech_engine *engine, char *out, size_t bytes);
/* Name of a backend choice as the kernels know it. */
const char *ech_backend_name(const struct ech_job *job);

#endif
