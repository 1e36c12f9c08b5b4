/* The stream of the kinds that work through a generator. Such a kind is a table: how a row becomes requests
 * and what was written becomes cells; the rest is here, once. */
#ifndef ECH_JOB_KIND_WRITING_H
#define ECH_JOB_KIND_WRITING_H

#include "job/writing.h"

struct ech_stream {
    struct ech_writing w;
    const struct ech_writing_kind *kind;
    const void *options; /* the kind's */
    void *own;           /* the kind's; `close` frees it */
};

struct ech_writing_kind {
    const struct ech_column *columns; /* without errors; ended by an empty name */
    /* Local, after the decoder and tokenizers are there: check and prepare. */
    int (*open)(struct ech_stream *stream, const struct ech_stream_env *env, struct ech_err *err);
    void (*close)(struct ech_stream *stream);                                            /* or NULL */
    void (*options)(const struct ech_stream *stream, struct ech_generator_options *out); /* what is its own */
    /* The requests of a row, on the feeder's thread. A bad row: one request with its error. */
    int (*read)(struct ech_stream *stream, uint64_t row, const char *text, size_t bytes,
                struct ech_write_batch *batch, struct ech_err *err);
    /* The cells of a good row, one a column, on main. */
    int (*write)(struct ech_stream *stream, const struct ech_request *requests,
                 const struct ech_written *written, int64_t count, struct ech_block *block,
                 struct ech_err *err);
};

int ech_writing_stream_open(const struct ech_stream_env *env, const struct ech_writing_kind *kind,
                            const struct ech_write_options *options, struct ech_stream **out,
                            struct ech_err *err);
/* Adds a request that only says why the row is bad; takes `why`. */
int ech_writing_refuse(struct ech_write_batch *batch, char *why, struct ech_err *err);

/* The operations that are the same for all (kind.h). */
void ech_writing_stream_close(struct ech_stream *s);
int ech_writing_columns(const struct ech_stream *s, struct ech_column *out);
const char *ech_writing_numerics(const struct ech_stream *s);
const char *ech_writing_backend(const struct ech_stream *s);
const char *ech_writing_precision(const struct ech_stream *s);
int ech_writing_stream_identify(const struct ech_stream *s, struct ech_comm *comm,
                                struct ech_identity *identity, struct ech_err *err);
size_t ech_writing_shared_bytes(const struct ech_stream *s);
size_t ech_writing_workspace_bytes(const struct ech_stream *s);
int ech_writing_pack(struct ech_stream *s, void *base, int64_t part, int64_t parts, struct ech_err *err);
int ech_writing_stream_start(struct ech_stream *s, struct ech_err *err);
int ech_writing_count_tokens(const struct ech_stream *s, const struct ech_cells *rows, int64_t *tokens,
                             struct ech_err *err);
int ech_writing_probe(struct ech_stream *s, double tokens_a_row, double seconds, struct ech_probe *out,
                      struct ech_err *err);
int ech_writing_submit(struct ech_stream *s, int64_t first, const struct ech_cells *rows,
                       struct ech_err *err);
void ech_writing_step(struct ech_stream *s, double seconds);
int ech_writing_poll(struct ech_stream *s, struct ech_finished *out, struct ech_err *err);
void ech_writing_cancel(struct ech_stream *s);
bool ech_writing_hungry(const struct ech_stream *s);

#define ECH_WRITING_OPS(kind_name, kind_open)                                                                \
    {                                                                                                        \
        .name = kind_name, .open = kind_open, .close = ech_writing_stream_close,                             \
        .columns = ech_writing_columns, .numerics = ech_writing_numerics, .backend = ech_writing_backend,    \
        .precision = ech_writing_precision, .identify = ech_writing_stream_identify,                         \
        .shared_bytes = ech_writing_shared_bytes, .workspace_bytes = ech_writing_workspace_bytes,            \
        .pack = ech_writing_pack, .start = ech_writing_stream_start,                                         \
        .count_tokens = ech_writing_count_tokens, .probe = ech_writing_probe, .submit = ech_writing_submit,  \
        .step = ech_writing_step, .poll = ech_writing_poll, .cancel = ech_writing_cancel,                    \
        .hungry = ech_writing_hungry                                                                         \
    }

#endif
