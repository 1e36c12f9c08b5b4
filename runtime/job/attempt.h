/* The state of an attempt, shared by the files of its phases: attempt_open.c, attempt_plan.c, run.c. */
#ifndef ECH_JOB_ATTEMPT_H
#define ECH_JOB_ATTEMPT_H

#include "base/event.h"
#include "config/config.h"
#include "job/dispatch.h"
#include "job/probe.h"
#include "job/ranks.h"
#include "job/run.h"
#include "job/seal.h"
#include "job/staging.h"
#include "job/worker.h"
#include "plan/shares.h"

#include <stdatomic.h>

struct ech_attempt {
    const struct ech_run_options *o;
    struct ech_comm *comm;      /* all ranks */
    struct ech_comm *survivors; /* the living, once somebody died; else NULL */
    struct ech_config *config;
    const struct ech_job *job;
    struct ech_job own; /* what job points to: with this rank's own backend and precision */
    char *node_dir;
    int log_fd;
    struct ech_events *events;
    struct ech_dataset *input;
    struct ech_source *source;
    struct ech_staging *staging; /* until the model is loaded; NULL: read where it lies */
    const struct ech_kind_ops *kind;
    struct ech_stream *stream;
    int threads;
    int64_t memory; /* of this rank's node, 0: no limit */
    int keep[ECH_COLUMNS_MAX], keep_count;
    struct ech_column columns[16]; /* produced */
    int columns_count;
    struct ech_identity identity;
    struct ech_spool_head head;
    struct ech_spool_files files;
    struct ech_spool_index index;
    struct ech_rowset done;         /* rows that good records cover */
    int64_t seen_rows, seen_errors; /* rank 0: what the coordinator of the last round counted, all attempts */
    struct ech_rank_part part;      /* of its node's memory and packed weights */
    void *shared, *pool_memory;
    size_t shared_bytes, pool_bytes;
    struct ech_pool *pool;
    struct ech_workers workers;   /* of several ranks; count 0: each rank runs the whole model */
    struct ech_comm *worker_comm; /* this rank's worker */
    struct ech_worker *worker;
    double sampled_tokens_a_row;
    struct ech_probe probe; /* of this rank at the start; zeros: it was not probed */
    struct ech_dispatch dispatch;
    char (*hosts)[64]; /* of all ranks; on rank 0, else NULL */
    _Atomic double beat_at;
    double started, deadline;
    int round;
    bool stopped; /* all ranks were asked to: nothing failed */
};

/* Phases. Each is collective over the living ranks and returns the agreed code. */
int ech_attempt_open(struct ech_attempt *a, struct ech_err *err);   /* files, model, dataset, identity */
int ech_attempt_memory(struct ech_attempt *a, struct ech_err *err); /* node-shared weights, pool, budget */
int ech_attempt_plan(struct ech_attempt *a, struct ech_err *err);   /* sample, probe, plan.json */
void ech_attempt_close(struct ech_attempt *a);

/* Collective, before memory is shared: are workers of several ranks needed or asked for, and who holds which
 * layers? Then the stream's engine is one of its stage, and joined to the worker. */
int ech_attempt_workers(struct ech_attempt *a, struct ech_err *err);
/* The node's segment of weights: one block for each stage that lies on the node; this rank's begins at offset
 * and is packed in `parts` parts. */
struct ech_segment {
    size_t bytes, offset;
    int64_t part, parts;
};
void ech_attempt_segment(const struct ech_attempt *a, struct ech_segment *out);
/* Layers' costs and bytes (arrays of ech_engine_layers) and the sizes of the model, for plan/workers.h. */
int ech_workers_layers(const struct ech_engine *engine, double *costs, int64_t *bytes,
                       struct ech_workers_model *model, struct ech_err *err);

/* The same decisions for ranks that are not there (`echelon plan`). out->count 0: each rank runs the whole
 * model. */
struct ech_workers_wish {
    int64_t ranks_per_worker, memory; /* resources: 0 auto; of a node, 0 none */
    int ranks, nodes;
    const int *node_of;     /* [ranks] */
    const int64_t *budgets; /* [ranks] bytes for weights, INT64_MAX: no limit */
    const double *speeds;   /* [ranks] of a layer, any unit, > 0; workers' speeds come in it */
};
int ech_workers_imagine(const struct ech_engine *engine, const struct ech_workers_wish *wish,
                        struct ech_workers *out, struct ech_err *err);

/* The living ranks' communicator, and a phase: event, watchdog. */
struct ech_comm *ech_attempt_comm(const struct ech_attempt *a);
void ech_attempt_phase(struct ech_attempt *a, const char *name);
/* What this rank's probe is to be made for. */
struct ech_probe_ask ech_attempt_probe_ask(const struct ech_attempt *a);
/* Texts of the job file that are the rows where there is no input dataset (retrieve's queries), or NULL. */
const struct ech_list *ech_attempt_texts(const struct ech_job *job);
/* The dataset that a retrieve searches, or NULL. */
const char *ech_attempt_index(const struct ech_job *job);

#endif
