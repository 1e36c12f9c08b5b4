/* What kinds that work through an engine share: their streams begin with a struct ech_encoding, and the
 * operations that look at nothing else are here, once. */
#ifndef ECH_JOB_KIND_ENCODING_H
#define ECH_JOB_KIND_ENCODING_H

#include "job/encoder.h"

/* The first member of such a kind's struct ech_stream. */
struct ech_encoding {
    struct ech_engine *engine;
    const char *model, *copy; /* the job's folder, and where it is read from; NULL: there */
    int threads;
    size_t layers_bytes; /* weights that each product of few rows reads */
};

/* All but the engine. */
struct ech_encoding ech_encoding_of(const struct ech_stream_env *env);

/* Operations of kind.h. */
const char *ech_encoding_numerics(const struct ech_stream *s);
const char *ech_encoding_backend(const struct ech_stream *s);
const char *ech_encoding_precision(const struct ech_stream *s);
int ech_encoding_identify(const struct ech_stream *s, struct ech_comm *comm, struct ech_identity *identity,
                          struct ech_err *err);
size_t ech_encoding_shared_bytes(const struct ech_stream *s);
size_t ech_encoding_workspace_bytes(const struct ech_stream *s);
int ech_encoding_pack(struct ech_stream *s, void *base, int64_t part, int64_t parts, struct ech_err *err);
int ech_encoding_start(struct ech_stream *s, struct ech_err *err);
int ech_encoding_probe(struct ech_stream *s, double tokens_a_row, double seconds, struct ech_probe *out,
                       struct ech_err *err);
void ech_encoding_shape(const struct ech_stream *s, char *out, size_t bytes);

#define ECH_ENCODING_OPS                                                                                     \
    .numerics = ech_encoding_numerics, .backend = ech_encoding_backend, .precision = ech_encoding_precision, \
    .identify = ech_encoding_identify, .shared_bytes = ech_encoding_shared_bytes,                            \
    .workspace_bytes = ech_encoding_workspace_bytes, .pack = ech_encoding_pack, .start = ech_encoding_start, \
    .probe = ech_encoding_probe, .shape = ech_encoding_shape

#endif
