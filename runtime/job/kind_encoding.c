/* See kind_encoding.h. */
#include "job/kind_encoding.h"

static const struct ech_encoding *of(const struct ech_stream *s)
{
    return (const struct ech_encoding *)(const void *)s;
}

struct ech_encoding ech_encoding_of(const struct ech_stream_env *env)
{
    return (struct ech_encoding){.model = env->job->model, .copy = env->model, .threads = env->threads};
}

const char *ech_encoding_numerics(const struct ech_stream *s)
{
    return ech_engine_numerics(of(s)->engine);
}

const char *ech_encoding_backend(const struct ech_stream *s)
{
    return ech_engine_backend(of(s)->engine);
}

const char *ech_encoding_precision(const struct ech_stream *s)
{
    return ech_engine_precision(of(s)->engine);
}

int ech_encoding_identify(const struct ech_stream *s, struct ech_comm *comm, struct ech_identity *identity,
                          struct ech_err *err)
{
    return ech_encoder_identify(of(s)->engine, of(s)->model, of(s)->copy, comm, identity, err);
}

size_t ech_encoding_shared_bytes(const struct ech_stream *s)
{
    return ech_engine_packed_bytes(of(s)->engine);
}

size_t ech_encoding_workspace_bytes(const struct ech_stream *s)
{
    return ech_engine_workspace_bytes(of(s)->engine);
}

int ech_encoding_pack(struct ech_stream *s, void *base, int64_t part, int64_t parts, struct ech_err *err)
{
    return ech_engine_pack(of(s)->engine, base, part, parts, err);
}

int ech_encoding_start(struct ech_stream *s, struct ech_err *err)
{
    return ech_engine_start(of(s)->engine, err);
}

int ech_encoding_probe(struct ech_stream *s, double tokens_a_row, double seconds, struct ech_probe *out,
                       struct ech_err *err)
{
    const struct ech_encoding *e = of(s);
    struct ech_probe found = {0};
    int code = ech_encoder_probe(e->engine, e->threads, tokens_a_row, 0.75 * seconds, &found.tokens_s, err);
    if (!code)
        code = ech_encoder_probe_few(e->engine, e->threads, e->layers_bytes, 0.25 * seconds, &found, err);
    if (!code)
        *out = found;
    return code;
}

void ech_encoding_shape(const struct ech_stream *s, char *out, size_t bytes)
{
    ech_encoder_shape(of(s)->engine, out, bytes);
}
