/* The size of a lease: adaptive weighted factoring. */
#ifndef ECH_PLAN_LEASE_H
#define ECH_PLAN_LEASE_H

#include <stdint.h>

struct ech_lease_view {
    int64_t left;        /* rows that nobody has claimed yet */
    double share;        /* this worker's part of all workers' speed, 0..1 */
    int64_t least, most; /* bounds in rows, 1 <= least <= most */
};
/* Half of what is left times the share, within the bounds, never more than `left` (0 where nothing is). So
 * batches shrink towards the end and the last ones are `least` rows. */
int64_t ech_lease_rows(const struct ech_lease_view *view);

struct ech_lease_bounds_view {
    int64_t rows_asked, rows_most_asked; /* 0: decide here */
    double tokens_a_row;                 /* > 0 */
    double speed;                        /* tokens/s of this worker, 0: not known */
    int64_t threads;
    int64_t rows_cap; /* more rows than this cost too much memory; 0: no cap. Stronger than what is asked */
};
/* Least: about two micro-batches (2 x 240 tokens) a thread, so that no lane goes without. Most: about one
 * second of work, so that speeds are learnt quickly and little is lost with a rank. Where the user asks for a
 * number, both are that (most: unless it is asked for too). */
void ech_lease_bounds(const struct ech_lease_bounds_view *view, int64_t *least, int64_t *most);

#endif
