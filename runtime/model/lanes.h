/* Lanes: compute threads that take micro-batches of whole rows from one queue, without a barrier. Idle lanes
 * sleep. Which lane computes which rows, and how they are cut, changes no bit of the result. */
#ifndef ECH_MODEL_LANES_H
#define ECH_MODEL_LANES_H

#include "model/batch.h"
#include "model/forward.h"

struct ech_lanes;

/* microbatch: tokens to aim for; capacity: tokens that fit (>= the longest row).
 * Owner   the net is borrowed until ech_lanes_close. */
int ech_lanes_open(const struct ech_net *net, int threads, int64_t microbatch, int64_t capacity,
                   struct ech_lanes **out, struct ech_err *err);
/* Ends after the micro-batches in hand; what was submitted and not polled is dropped. */
void ech_lanes_close(struct ech_lanes *lanes);

void ech_lanes_submit(struct ech_lanes *lanes, struct ech_batch *batch);
/* Wait until a batch is finished or none is in flight, at most `seconds`. */
void ech_lanes_wait(struct ech_lanes *lanes, double seconds);
/* A finished batch, or NULL. Owner: the caller. */
struct ech_batch *ech_lanes_poll(struct ech_lanes *lanes);

/* Drop what no lane has taken; its batches do not come back. */
void ech_lanes_cancel(struct ech_lanes *lanes);

/* How many of the rows from `first` the next micro-batch takes, given the tokens that wait in all (pure). */
int64_t ech_lanes_cut(const int64_t *starts, int64_t rows, int64_t first, int64_t target, int64_t capacity);
int64_t ech_lanes_target(int64_t waiting, int threads, int64_t microbatch);

#endif
