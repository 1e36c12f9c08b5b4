/* What the ranks of a node share: rows to claim, who has claimed what, heartbeats, the state of the job. It
 * lies in node-shared memory and is lock-free: a rank that dies in any line of it leaves it usable.
 *
 * Life of a row range: the leader adds it to a slot; a rank writes its intent, then claims by one compare and
 * swap; when the rows are safe on disk it puts them into its ring of finished ranges and drops the claim; the
 * leader takes them from there. The leader takes back the claims of a dead rank (rows may run twice, never be
 * lost). All calls are local and never block. `place` is a rank's number in its node. */
#ifndef ECH_JOB_POOL_H
#define ECH_JOB_POOL_H

#include "base/rowset.h"
#include "job/spooler.h"

enum ech_state {
    ECH_STATE_OPEN, /* ranks are getting ready */
    ECH_STATE_RUN,  /* rows are handed out */
    ECH_STATE_DONE, /* all rows are safe: go and verify */
    ECH_STATE_STOP, /* asked to stop (signal, walltime): spool what is finished, end with 75 */
    ECH_STATE_FAIL, /* a rank failed or too many bad rows: agree on the error */
    ECH_STATE_ABORT /* the coordinator fell silent: leave with 75, no collective */
};

struct ech_pool;

/* Claims that a rank may have open, from claiming to safe on disk: past half of it, sync. */
enum { ECH_POOL_CLAIMS = 1024 };

size_t ech_pool_bytes(int node_size, int ranks);
/* `base`: zeroed memory of ech_pool_bytes, shared by the ranks of the node; each makes its own handle. */
int ech_pool_open(void *base, int node_size, int ranks, int place, struct ech_pool **out,
                  struct ech_err *err);
void ech_pool_close(struct ech_pool *pool); /* the handle alone */
/* This rank's claims and ring, and on the leader the slots, are emptied for a new round of rows: by every
 * rank while none runs. */
void ech_pool_reset(struct ech_pool *pool);

/* --- any rank --- */
enum ech_state ech_pool_state(const struct ech_pool *pool);
int64_t ech_pool_epoch(const struct ech_pool *pool);
/* Takes up to `rows` rows for this rank, the lowest that the node has: true and *out (registered as this
 * rank's claim). false: nothing to claim, or this rank has ECH_POOL_CLAIMS open. */
bool ech_pool_claim(struct ech_pool *pool, int64_t rows, struct ech_range *out);
/* A neighbour's claim that is not computed yet, for an idle rank to run as well: true and *out. Of all such
 * claims the one whose copy gains most (plan/speed.h): a slow, stopped or dead rank holds up nobody.
 * `my_speed`: rows/s. Each claim is copied at most once. Cost: ECH_POOL_CLAIMS a place. Instead of being
 * taken away (revoked) a claim is run by both; pool_copy.c says why. */
bool ech_pool_copy(struct ech_pool *pool, double my_speed, struct ech_range *out);
/* The claim that holds these rows is computed (and not yet safe): copies of it gain nothing. */
void ech_pool_computed(struct ech_pool *pool, int64_t first, int64_t rows);
/* Rows that are safe; false: the ring is full, offer them again later. Drops the claim they belong to once
 * all its rows were told. */
bool ech_pool_done(struct ech_pool *pool, const struct ech_spooled *rows);
int ech_pool_claims(const struct ech_pool *pool); /* open claims of this rank */
int64_t ech_pool_unclaimed(const struct ech_pool *pool);
void ech_pool_beat(struct ech_pool *pool);
/* Declared dead by the leader: write nothing more, leave. */
bool ech_pool_fenced(const struct ech_pool *pool);
/* This rank takes no rows in this job: no part is put aside for it. */
void ech_pool_rest(struct ech_pool *pool);
bool ech_pool_rests(const struct ech_pool *pool, int place);
/* No rank of the node has a claim open. */
bool ech_pool_quiet(const struct ech_pool *pool);
/* This rank's speed for the others' shares: tokens/s and rows/s. */
void ech_pool_set_speed(struct ech_pool *pool, double tokens_s, double rows_s);
/* This rank's part of the speed of the node's living ranks (equal parts while none is known). */
double ech_pool_share(const struct ech_pool *pool);
double ech_pool_speed(const struct ech_pool *pool); /* sum of the living ranks, tokens/s */
/* Ask the job to stop / tell that this rank failed with a code (the worst one stays). */
void ech_pool_ask_stop(struct ech_pool *pool);
void ech_pool_fail(struct ech_pool *pool, int code);
int ech_pool_leader(const struct ech_pool *pool); /* place */
/* Living, as the coordinator tells it: index is the rank of the job. */
bool ech_pool_alive(const struct ech_pool *pool, int rank);

/* --- the leader --- */
void ech_pool_set_state(struct ech_pool *pool, enum ech_state state, int64_t epoch);
void ech_pool_set_dead(struct ech_pool *pool, int rank);
/* false: no slot is free (offer it again later). owner: the only place that may claim it, -1 any. */
bool ech_pool_add(struct ech_pool *pool, struct ech_range range, int owner);
int ech_pool_free_slots(const struct ech_pool *pool);
bool ech_pool_take_done(struct ech_pool *pool, int place, struct ech_spooled *out);
bool ech_pool_stop_asked(const struct ech_pool *pool);
int ech_pool_failed(const struct ech_pool *pool); /* worst code told, 0 none */
/* Seconds since this handle last saw the place's heartbeat move. */
double ech_pool_silence(struct ech_pool *pool, int place);
/* Its process has ended. False where that cannot be seen from here: then its silence tells. */
bool ech_pool_gone(struct ech_pool *pool, int place);
int64_t ech_pool_pid(const struct ech_pool *pool, int place); /* 0: not opened yet */
/* Silence is counted from now on: what passed before the rows run is nobody's silence. */
void ech_pool_listen(struct ech_pool *pool);
bool ech_pool_place_dead(const struct ech_pool *pool, int place);
/* Mark a place dead. The last takes over as leader if asked to. */
void ech_pool_kill(struct ech_pool *pool, int place);
void ech_pool_lead(struct ech_pool *pool);
/* Ranges that a place has claimed (or was about to claim), into `out`; drop: they are its no longer. */
int ech_pool_claimed(struct ech_pool *pool, int place, bool drop, struct ech_rowset *out,
                     struct ech_err *err);
/* Ranges in slots that nobody has claimed, taken out of them into `out`: there is nobody here to claim them.
 */
int ech_pool_take_back(struct ech_pool *pool, struct ech_rowset *out, struct ech_err *err);
/* Has the place a claim open? */
bool ech_pool_holds(const struct ech_pool *pool, int place);
/* Ranges in slots that nobody has claimed, added to `out`. */
int ech_pool_unclaimed_ranges(const struct ech_pool *pool, struct ech_rowset *out, struct ech_err *err);

#endif
