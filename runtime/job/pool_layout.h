/* The shared memory of pool.h as it lies there: header with slots, one block a place, one byte a rank. For
 * pool.c and pool_copy.c alone.
 *
 * Invariant: a slot's word {seq, offset} changes only by compare and swap; seq grows each time the slot is
 * filled anew, so a claim computed from an older filling fails. */
#ifndef ECH_JOB_POOL_LAYOUT_H
#define ECH_JOB_POOL_LAYOUT_H

#include "job/pool.h"

#include <stdatomic.h>

enum { SLOTS = 64, CLAIMS = ECH_POOL_CLAIMS, RING = 1024, SLOT_ROWS_MOST = 1 << 30 };

struct slot {
    _Atomic uint64_t word; /* seq << 32 | offset of the next row from first */
    _Atomic int64_t first, rows;
    _Atomic int owner;
};

struct claim {
    _Atomic uint32_t seq;       /* odd while it is being written */
    _Atomic int64_t first, end; /* end = 0: free */
    _Atomic int64_t left;       /* rows not yet told as done */
    _Atomic uint64_t order;     /* its owner works through its claims in this order */
    _Atomic int copied, computed;
};

struct place {
    _Alignas(64) _Atomic uint64_t beat;
    _Atomic int dead, rests;
    _Atomic double tokens_s, rows_s;
    _Atomic double moved_at; /* when its computing last got on: this machine's monotonic seconds */
    _Atomic int open;        /* claims */
    _Atomic int64_t pid, pid_space;
    struct claim claims[CLAIMS];
    _Alignas(64) _Atomic uint64_t pushed; /* by the rank */
    _Alignas(64) _Atomic uint64_t taken;  /* by the leader */
    struct ech_spooled ring[RING];
};

struct header {
    _Atomic int state, leader, stop, failed;
    _Atomic int64_t epoch;
    struct slot slots[SLOTS];
};

struct ech_pool {
    struct header *head;
    struct place *places;
    _Atomic unsigned char *dead_ranks; /* 1: dead */
    int node_size, ranks, place;
    int open, next, oldest; /* this rank's claims: how many, where to look for a free one, for the oldest */
    uint64_t order;         /* claims so far */
    uint64_t *beats;        /* last seen, by place */
    double *beats_at;       /* when */
    int *pid_fds;           /* by place: -1 not opened yet, -2 cannot be had, -3 ended before */
};

#endif
