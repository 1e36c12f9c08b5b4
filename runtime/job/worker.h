/* A worker of several ranks: a pipeline of stages (model/stage.h) that runs as one engine.
 *
 * The head (the worker's first rank) claims leases, tokenises and embeds; it cuts batches into pieces of
 * about one micro-batch a thread and keeps at most ECH_WORKER_PIECES a stage on their way, so that every
 * stage has one in hand and others waiting, and memory is bounded. Hidden states go from stage to stage, the
 * tail's vectors back to the head, which puts batches together again: spool and claims know heads alone.
 * Messages go over a communicator of the worker's own; nothing ever waits for a rank.
 *
 * Death: a worker is whole while all its needed ranks live (as the pool tells). Of a broken one nobody
 * computes any more: the head's claims go back to the queue, its ranks stay for what all ranks do (leading
 * their node, reading the spools again, the seal). The next attempt groups what is left anew.
 *
 * Threads: submit on the feeder's, everything else on main. */
#ifndef ECH_JOB_WORKER_H
#define ECH_JOB_WORKER_H

#include "comm/comm.h"
#include "job/pool.h"
#include "model/stage.h"
#include "plan/workers.h"

enum { ECH_WORKER_PIECES = 3 };

struct ech_worker;
struct ech_worker_options {
    struct ech_comm *comm;           /* the worker's ranks in order of the stages; borrowed, as all here */
    struct ech_engine *engine;       /* narrowed to this rank's stage */
    const struct ech_workers *table; /* of the job */
    int rank;                        /* of the job */
    int threads;                     /* lanes of the engine */
};
int ech_worker_open(const struct ech_worker_options *options, struct ech_worker **out, struct ech_err *err);
void ech_worker_close(struct ech_worker *worker);

bool ech_worker_heads(const struct ech_worker *worker); /* is this rank the head? */
int ech_worker_stages(const struct ech_worker *worker); /* that hold layers; at least 1 */
/* A new round of rows: what is under way from an earlier one counts no more. */
void ech_worker_begin(struct ech_worker *worker);

/* Head. Takes the batch (from ech_engine_prepare of the worker's engine); never computes, never blocks. */
int ech_worker_submit(struct ech_worker *worker, struct ech_batch *batch, int64_t tag, struct ech_err *err);
/* One turn: messages in, pieces to the engine, results out. Returns this stage's failure. */
int ech_worker_turn(struct ech_worker *worker, struct ech_err *err);
/* Head: a finished batch or NULL; owner: the caller. Its seconds are the slowest stage's, so tokens over
 * seconds is the speed of the worker. */
struct ech_result *ech_worker_poll(struct ech_worker *worker);
void ech_worker_step(struct ech_worker *worker, double seconds);
/* Drop what has not ended: those batches never come back. */
void ech_worker_cancel(struct ech_worker *worker);
/* Head: tell the other stages that the round is over. */
int ech_worker_end(struct ech_worker *worker, struct ech_err *err);
/* Not the head: the head may still want something. */
bool ech_worker_serves(const struct ech_worker *worker);
/* The worker is broken: nothing is computed from now on. */
void ech_worker_break(struct ech_worker *worker);
double ech_worker_busy(const struct ech_worker *worker); /* compute seconds of this stage over its threads */

/* Do all ranks that the worker needs live? */
bool ech_worker_whole(const struct ech_workers *table, int worker, const struct ech_pool *pool);
/* May this rank claim rows: is it the head of a whole worker? table NULL: every rank may. */
bool ech_worker_claims(const struct ech_workers *table, int rank, const struct ech_pool *pool);
bool ech_workers_any_whole(const struct ech_workers *table, const struct ech_pool *pool);

#endif
