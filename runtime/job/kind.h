/* What a job kind does, as a stream over an engine; the kind's plain data (columns, options) is in
 * config/kinds/. One file a kind: kind_<name>.c. A kind knows no MPI but for `identify`, and no dispatch.
 *
 * Threads: open .. start, probe, poll, step, cancel, close on main; submit on the feeder's thread, beside
 * poll. */
#ifndef ECH_JOB_KIND_H
#define ECH_JOB_KIND_H

#include "job/identity.h"
#include "job/source.h"
#include "job/spool.h"

struct ech_stream;
struct ech_engine;
struct ech_worker;

struct ech_stream_env {
    const struct ech_job *job;
    const struct ech_source *source; /* rows of the job */
    int threads;
    int device;        /* which of the backend's: the rank's number within its node */
    int64_t memory;    /* bytes for this rank beyond shared weights, 0: unlimited */
    const char *model; /* folder to open the model from: a copy of job->model; NULL: that itself */
    const char *index; /* manifest of options.index as the run keeps it; NULL: the dataset as it is */
};

struct ech_finished {
    struct ech_block *block; /* owner: the caller */
    double seconds;          /* of computing, summed over the stream's threads */
};

/* Speeds of a rank, all its threads together; 0: cannot tell. */
struct ech_probe {
    double tokens_s;        /* bound by computing: products with many rows, as the job has them */
    double few_tokens_s;    /* bound by memory: products with few rows, which read all weights for them */
    double weights_bytes_s; /* read meanwhile */
};

struct ech_kind_ops {
    const char *name;
    /* Local: opens the model and what else is read, allocates nothing large. */
    int (*open)(const struct ech_stream_env *env, struct ech_stream **out, struct ech_err *err);
    void (*close)(struct ech_stream *stream);
    /* Produced columns in order, the last one `errors`. Returns how many (<= 16). */
    int (*columns)(const struct ech_stream *stream, struct ech_column *out);
    const char *(*numerics)(const struct ech_stream *stream);
    const char *(*backend)(const struct ech_stream *stream);
    const char *(*precision)(const struct ech_stream *stream);
    /* Parts of the job's identity that are this kind's own (model files, other datasets). Collective. */
    int (*identify)(const struct ech_stream *stream, struct ech_comm *comm, struct ech_identity *identity,
                    struct ech_err *err);
    size_t (*shared_bytes)(const struct ech_stream *stream);    /* packed weights, once a node */
    size_t (*workspace_bytes)(const struct ech_stream *stream); /* of this rank */
    int (*pack)(struct ech_stream *stream, void *base, int64_t part, int64_t parts, struct ech_err *err);
    int (*start)(struct ech_stream *stream, struct ech_err *err);
    /* Tokens of given rows (the cost sample). */
    int (*count_tokens)(const struct ech_stream *stream, const struct ech_cells *rows, int64_t *tokens,
                        struct ech_err *err);
    /* Speeds at rows of this many tokens, within about `seconds`. */
    int (*probe)(struct ech_stream *stream, double tokens_a_row, double seconds, struct ech_probe *out,
                 struct ech_err *err);
    /* What the probe's speeds depend on beside hardware, precision and rows, as a text (job/probe.h keeps
     * them by it). NULL: this kind is not probed. */
    void (*shape)(const struct ech_stream *stream, char *out, size_t bytes);
    /* Rows [first, first + rows->rows). Never blocks on the computation. */
    int (*submit)(struct ech_stream *stream, int64_t first, const struct ech_cells *rows,
                  struct ech_err *err);
    void (*step)(struct ech_stream *stream, double seconds); /* wait for a result at most so long */
    /* A finished submission: out->block, or NULL. */
    int (*poll)(struct ech_stream *stream, struct ech_finished *out, struct ech_err *err);
    void (*cancel)(struct ech_stream *stream); /* drop what has not begun */
    /* Most rows of one submission that memory allows; NULL: any number. */
    int64_t (*rows_most)(const struct ech_stream *stream);
    /* Are fewer rows waiting than it could begin at once? NULL: the tokens in flight say how much to lease.
     */
    bool (*hungry)(const struct ech_stream *stream);
    /* Kinds that can run on workers of several ranks, else NULL: the engine to be cut into stages (between
     * open and pack), and the worker that stands for it from then on. */
    struct ech_engine *(*engine)(struct ech_stream *stream);
    void (*join)(struct ech_stream *stream, struct ech_worker *worker);
};

const struct ech_kind_ops *ech_kind_ops_find(const char *name);

#endif
