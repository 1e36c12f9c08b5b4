/* Inside of the spooler. One ring holds every block from put to poll; four counters that only grow cut it:
 * polled <= synced <= written <= queued. Blocks are kept until synced, because a sync that failed on a full
 * disk may have lost what was written: the thread then goes back to the last synced byte and writes again
 * (the same bytes at the same places: a record's size depends on its block alone). */
#ifndef ECH_JOB_SPOOLER_THREAD_H
#define ECH_JOB_SPOOLER_THREAD_H

#include "base/str.h"
#include "job/spooler.h"

#include <pthread.h>

enum { ECH_BATCH_BLOCKS = 512, ECH_BATCH_BYTES = 4 << 20 };

struct ech_spool_item {
    struct ech_block *block; /* NULL once synced */
    int64_t epoch;
    uint64_t bytes; /* of its record */
    struct ech_spooled what;
};

struct ech_spooler {
    char *path, *folder;
    struct ech_spool_head head;
    struct ech_column *columns; /* what head.columns points to */
    double sync_seconds, full_seconds;
    int64_t sync_bytes;
    bool (*may_write)(void *context);
    void *context;

    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;

    /* Under the mutex. */
    struct ech_spool_item *ring;
    size_t ring_size; /* a power of two */
    uint64_t polled, synced, written, queued;
    uint64_t flush_to; /* sync as soon as this many are written */
    uint64_t pending_bytes, synced_end;
    double unsynced_since, full_since; /* monotonic seconds; 0: not */
    bool stop, fenced, waiting;
    struct ech_err err;

    /* Of the thread alone. */
    int fd;
    bool folder_synced;
    uint64_t written_end; /* of the file */
    struct ech_str buffer;
    struct ech_spool_item batch[ECH_BATCH_BLOCKS];
    size_t batch_count;
};

static inline struct ech_spool_item *ech_spool_item_at(struct ech_spooler *s, uint64_t number)
{
    return &s->ring[number & (s->ring_size - 1)];
}

/* The thread: pthread's entry point, given a struct ech_spooler. */
void *ech_spooler_run(void *context);

#endif
