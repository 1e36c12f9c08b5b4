/* A rank's loop while rows run: claim, feed, collect, spool, tell. On the leader of a node also the node's
 * business with the coordinator, and on rank 0 the coordinator itself (job/lead.h). Main's thread; it never
 * waits for a disk, a computation or another rank. */
#ifndef ECH_JOB_DISPATCH_H
#define ECH_JOB_DISPATCH_H

#include "base/event.h"
#include "comm/comm.h"
#include "job/coord.h"
#include "job/feeder.h"

#include <signal.h>

struct ech_worker;
struct ech_workers;

struct ech_dispatch {
    /* set by the caller; all borrowed */
    struct ech_comm *comm;
    struct ech_pool *pool;
    struct ech_coord *coord; /* rank 0, else NULL */
    const struct ech_kind_ops *kind;
    struct ech_stream *stream;
    const struct ech_source *source;
    struct ech_worker *worker;         /* this rank's, where workers are of several ranks; else NULL */
    const struct ech_workers *workers; /* all of them */
    struct ech_spooler *spooler;
    struct ech_events *events;
    const struct ech_job *job;
    char (*hosts)[64];    /* of all ranks; on rank 0, else NULL */
    bool rests;           /* claims nothing: no place in its node's memory */
    const char *numerics; /* of this rank, into a column of its rows; NULL: strict */
    int threads;
    double speed, tokens_a_row;        /* from probe and sample; kept up to date */
    double tokens_job;                 /* estimate for all rows that this attempt has to do */
    int64_t rows, errors_before;       /* of the job; rows in the errors column from earlier rounds */
    double deadline;                   /* monotonic seconds: no new leases after; 0: none */
    const volatile sig_atomic_t *stop; /* a signal arrived */
    _Atomic double *beat_at;           /* when main's loop last turned (the spooler's fence reads it) */
    /* results */
    int64_t done_rows, done_tokens, done_errors, leases; /* of this rank in this attempt */
    double busy_s;                                       /* compute seconds over threads / threads */
    bool fenced; /* declared dead, or the coordinator fell silent: leave without any collective */
    /* internal */
    struct ech_feeder *feeder;
    struct ech_lead *lead;
};

/* The reading thread and the messages of the loop. A rank that fails here cannot report it in the loop: the
 * caller agrees on it before. Calls   Local. */
int ech_dispatch_open(struct ech_dispatch *d, struct ech_err *err);
void ech_dispatch_close(struct ech_dispatch *d);

/* Until the job's state leaves RUN (or this rank is fenced). Returns this rank's own error code (the others
 * learn it by agreement), ECH_OK otherwise. Calls   Every living rank; not a collective. */
int ech_dispatch_run(struct ech_dispatch *d, struct ech_err *err);

#endif
