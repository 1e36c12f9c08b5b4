/* The spooler: see spooler.h. One ring holds every block from put to poll; four counters that only grow cut
 * it: polled <= synced <= written <= queued. Blocks are kept until synced, because a sync that failed on a
 * full disk may have lost what was written: the thread then goes back to the last synced byte and writes
 * again (the same bytes at the same places: a record's size depends on its block alone). */
#include "job/spooler.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "job/spool_format.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

enum { BATCH_BLOCKS = 512, BATCH_BYTES = 4 << 20 };
static const double retry_seconds = 0.5;

struct item {
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
    struct item *ring;
    size_t ring_size; /* a power of two */
    uint64_t polled, synced, written, queued;
    uint64_t flush_to; /* sync as soon as this many are written */
    uint64_t pending_bytes, synced_end;
    bool stop, fenced, waiting;
    struct ech_err err;

    /* Of the thread alone. */
    int fd;
    bool folder_synced;
    uint64_t written_end;              /* of the file */
    double unsynced_since, full_since; /* monotonic seconds; 0: not */
    struct ech_str buffer;
    struct item batch[BATCH_BLOCKS];
    size_t batch_count;
};

static struct item *item_at(struct ech_spooler *s, uint64_t number)
{
    return &s->ring[number & (s->ring_size - 1)];
}

/* ---- the thread's work, outside the mutex ---- */

static bool full_disk(int number)
{
    return number == ENOSPC || number == EDQUOT || number == EROFS;
}

static bool allowed(const struct ech_spooler *s)
{
    return !s->may_write || s->may_write(s->context);
}

/* Create the file and make its name durable. */
static int create_file(struct ech_spooler *s, struct ech_err *err)
{
    int code = ECH_OK;
    if (s->fd < 0)
        code = ech_open(s->path, O_WRONLY | O_CREAT | O_EXCL, &s->fd, err);
    if (code == ECH_OK && !s->folder_synced) {
        code = ech_fsync_dir(s->folder, err);
        s->folder_synced = code == ECH_OK;
    }
    return code;
}

static int encode_batch(struct ech_spooler *s, struct ech_err *err)
{
    ech_str_clear(&s->buffer);
    int code = s->written_end == 0 ? ech_spool_put_head(&s->head, &s->buffer, err) : ECH_OK;
    for (size_t i = 0; code == ECH_OK && i < s->batch_count; i++)
        code = ech_spool_put_block(&s->head, s->batch[i].block, s->batch[i].epoch, &s->buffer, err);
    return code;
}

/* One write for the whole batch, at a known place: what a failed write left is overwritten. */
static int write_batch(struct ech_spooler *s, struct ech_err *err)
{
    int code = encode_batch(s, err);
    if (code == ECH_OK)
        code = create_file(s, err);
    if (code == ECH_OK)
        code = ech_pwrite_all(s->fd, s->path, s->buffer.data, s->buffer.length, (int64_t)s->written_end, err);
    return code;
}

/* ---- the thread's steps; each is entered and left with the mutex held ---- */

/* After a failure: a full disk is tried again later (false), anything else ends the thread (true). */
static bool gives_up(struct ech_spooler *s, const struct ech_err *err, int number)
{
    bool full = full_disk(number) && (err->code == ECH_IO || err->code == ECH_EXISTS);
    double now = ech_mono_s();
    if (full && s->full_since == 0)
        s->full_since = now;
    if (full && now - s->full_since < s->full_seconds)
        return false;
    s->err = *err;
    if (full) {
        s->err.code = ECH_IO;
        ech_prefix(&s->err, "tried for %.1f s", now - s->full_since);
    }
    return true;
}

static void wait_for(struct ech_spooler *s, double seconds)
{
    double when = ech_mono_s() + (seconds < 3600 ? seconds : 3600);
    struct timespec at = {.tv_sec = (time_t)when};
    at.tv_nsec = (long)((when - (double)at.tv_sec) * 1e9);
    s->waiting = true;
    pthread_cond_timedwait(&s->wake, &s->mutex, &at);
    s->waiting = false;
}

/* Nothing more will be written: let go of what waits. */
static void drop_blocks(struct ech_spooler *s)
{
    for (uint64_t i = s->synced; i < s->queued; i++) {
        ech_block_destroy(item_at(s, i)->block);
        item_at(s, i)->block = NULL;
    }
    s->written = s->queued = s->synced;
    s->pending_bytes = 0;
}

static void take_batch(struct ech_spooler *s)
{
    uint64_t bytes = 0;
    s->batch_count = 0;
    for (uint64_t i = s->written; i < s->queued && s->batch_count < BATCH_BLOCKS && bytes < BATCH_BYTES;
         i++) {
        s->batch[s->batch_count++] = *item_at(s, i);
        bytes += item_at(s, i)->bytes;
    }
}

/* True: go on. */
static bool write_step(struct ech_spooler *s)
{
    struct ech_err err = ECH_ERR_NONE;
    take_batch(s);
    pthread_mutex_unlock(&s->mutex);
    bool may = allowed(s);
    int code = may ? write_batch(s, &err) : ECH_OK, number = errno;
    pthread_mutex_lock(&s->mutex);
    if (!may) {
        s->fenced = true;
        return false;
    }
    if (code != ECH_OK) {
        if (gives_up(s, &err, number))
            return false;
        wait_for(s, retry_seconds);
        return true;
    }
    if (s->unsynced_since == 0)
        s->unsynced_since = ech_mono_s();
    s->written += s->batch_count;
    s->written_end += s->buffer.length;
    if (s->buffer.capacity > 4 * BATCH_BYTES)
        ech_str_fini(&s->buffer); /* one giant block does not keep its memory */
    return true;
}

/* All that is written has become safe. Blocks are freed without the mutex: main never waits for that. */
static void settle(struct ech_spooler *s)
{
    struct ech_block *done[BATCH_BLOCKS];
    s->synced_end = s->written_end;
    s->unsynced_since = s->full_since = 0;
    while (s->synced < s->written) {
        size_t count = 0;
        while (s->synced < s->written && count < BATCH_BLOCKS) {
            struct item *item = item_at(s, s->synced++);
            s->pending_bytes -= item->bytes;
            done[count++] = item->block;
            item->block = NULL;
        }
        pthread_mutex_unlock(&s->mutex);
        for (size_t i = 0; i < count; i++)
            ech_block_destroy(done[i]);
        pthread_mutex_lock(&s->mutex);
    }
}

static bool sync_step(struct ech_spooler *s)
{
    struct ech_err err = ECH_ERR_NONE;
    pthread_mutex_unlock(&s->mutex);
    bool may = allowed(s);
    int code = may ? ech_fdatasync(s->fd, s->path, &err) : ECH_OK, number = errno;
    pthread_mutex_lock(&s->mutex);
    if (!may) {
        s->fenced = true;
        return false;
    }
    if (code == ECH_OK) {
        settle(s);
        return true;
    }
    if (gives_up(s, &err, number))
        return false;
    s->written = s->synced;
    s->written_end = s->synced_end;
    s->unsynced_since = 0;
    wait_for(s, retry_seconds);
    return true;
}

static bool sync_due(const struct ech_spooler *s, double now)
{
    if (s->written == s->synced)
        return false;
    if (now >= s->unsynced_since + s->sync_seconds || s->full_since > 0 ||
        (int64_t)(s->written_end - s->synced_end) >= s->sync_bytes)
        return true;
    if (s->flush_to > s->synced && s->flush_to <= s->written)
        return true;
    return s->stop && s->written == s->queued;
}

static void *run(void *context)
{
    struct ech_spooler *s = context;
    bool going = true;
    pthread_mutex_lock(&s->mutex);
    while (going) {
        double now = ech_mono_s();
        if (sync_due(s, now))
            going = sync_step(s);
        else if (s->queued > s->written)
            going = write_step(s);
        else if (s->stop)
            going = false;
        else
            wait_for(s, s->written > s->synced ? s->unsynced_since + s->sync_seconds - now : 3600);
    }
    if (s->fenced || s->err.code != ECH_OK)
        drop_blocks(s);
    pthread_mutex_unlock(&s->mutex);
    return NULL;
}

/* ---- the owner's side ---- */

static void release(struct ech_spooler *s)
{
    if (s->ring)
        for (uint64_t i = s->synced; i < s->queued; i++)
            ech_block_destroy(item_at(s, i)->block);
    if (s->fd >= 0)
        close(s->fd);
    ech_str_fini(&s->buffer);
    ech_free(s->ring);
    ech_free(s->columns);
    ech_free(s->folder);
    ech_free(s->path);
    ech_free(s);
}

static int copy_options(struct ech_spooler *s, const struct ech_spooler_options *options, struct ech_err *err)
{
    size_t count = (size_t)options->head.columns_count;
    s->fd = -1;
    s->err = (struct ech_err)ECH_ERR_NONE;
    s->head = options->head;
    s->sync_seconds = options->sync_seconds;
    s->full_seconds = options->full_seconds;
    s->sync_bytes = options->sync_bytes;
    s->may_write = options->may_write;
    s->context = options->context;
    s->ring_size = 64;
    s->ring = ech_calloc(s->ring_size, sizeof *s->ring, err);
    s->path = ech_strdup(options->path, err);
    s->folder = ech_path_dir(options->path, err);
    s->columns = ech_calloc(count, sizeof *s->columns, err);
    if (!s->ring || !s->path || !s->folder || !s->columns)
        return ECH_UNAVAILABLE;
    memcpy(s->columns, options->head.columns, count * sizeof *s->columns);
    s->head.columns = s->columns;
    struct ech_str trial; /* a head that cannot be written is told now, not by the thread */
    ech_str_init(&trial);
    int code = ech_spool_put_head(&s->head, &trial, err);
    ech_str_fini(&trial);
    return code;
}

static int start(struct ech_spooler *s, struct ech_err *err)
{
    pthread_condattr_t monotonic;
    sigset_t all, before;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    sigfillset(&all); /* signals are for the main thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&s->thread, NULL, run, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!failed)
        return ECH_OK;
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->mutex);
    return ech_fail_errno(err, ECH_UNAVAILABLE, failed, "cannot start the I/O thread for %s", s->path);
}

int ech_spooler_open(const struct ech_spooler_options *options, struct ech_spooler **out, struct ech_err *err)
{
    struct ech_spooler *s = ech_calloc(1, sizeof *s, err);
    if (!s)
        return ECH_UNAVAILABLE;
    int code = copy_options(s, options, err);
    if (code == ECH_OK)
        code = start(s, err);
    if (code == ECH_OK)
        *out = s;
    else
        release(s);
    return code;
}

/* Twice the ring; items keep their numbers. */
static int grow_ring(struct ech_spooler *s, struct ech_err *err)
{
    if (s->queued - s->polled < s->ring_size)
        return ECH_OK;
    size_t size = 2 * s->ring_size;
    struct item *ring = ech_calloc(size, sizeof *ring, err);
    if (!ring)
        return ECH_UNAVAILABLE;
    for (uint64_t i = s->polled; i < s->queued; i++)
        ring[i & (size - 1)] = *item_at(s, i);
    ech_free(s->ring);
    s->ring = ring;
    s->ring_size = size;
    return ECH_OK;
}

static int fail_again(const struct ech_err *from, struct ech_err *err)
{
    if (err && err->code == ECH_OK)
        *err = *from;
    return from->code;
}

int ech_spooler_put(struct ech_spooler *s, struct ech_block *block, int64_t epoch, struct ech_err *err)
{
    struct item item = {
        .block = block, .epoch = epoch, .what = {block->first, block->rows, block->errors, block->tokens}};
    int code = ech_spool_record_bytes(&s->head, block, &item.bytes, err);
    if (code == ECH_OK && (epoch < 0 || epoch > UINT32_MAX))
        code = ech_fail(err, ECH_BUG, "spool: epoch %lld is out of range", (long long)epoch);
    bool taken = false;
    pthread_mutex_lock(&s->mutex);
    if (code == ECH_OK && s->err.code != ECH_OK)
        code = fail_again(&s->err, err);
    if (code == ECH_OK && !s->fenced)
        code = grow_ring(s, err);
    if (code == ECH_OK && !s->fenced) {
        *item_at(s, s->queued++) = item;
        s->pending_bytes += item.bytes;
        taken = true;
        if (s->waiting && s->full_since == 0)
            pthread_cond_signal(&s->wake);
    }
    pthread_mutex_unlock(&s->mutex);
    if (!taken)
        ech_block_destroy(block);
    return code;
}

bool ech_spooler_poll(struct ech_spooler *s, struct ech_spooled *out)
{
    pthread_mutex_lock(&s->mutex);
    bool found = s->polled < s->synced;
    if (found)
        *out = item_at(s, s->polled++)->what;
    pthread_mutex_unlock(&s->mutex);
    return found;
}

int64_t ech_spooler_pending_bytes(struct ech_spooler *s)
{
    pthread_mutex_lock(&s->mutex);
    int64_t bytes = (int64_t)s->pending_bytes;
    pthread_mutex_unlock(&s->mutex);
    return bytes;
}

int64_t ech_spooler_written_bytes(struct ech_spooler *s)
{
    pthread_mutex_lock(&s->mutex);
    int64_t bytes = (int64_t)s->synced_end;
    pthread_mutex_unlock(&s->mutex);
    return bytes;
}

int ech_spooler_failed(struct ech_spooler *s, struct ech_err *err)
{
    pthread_mutex_lock(&s->mutex);
    int code = s->err.code == ECH_OK ? ECH_OK : fail_again(&s->err, err);
    pthread_mutex_unlock(&s->mutex);
    return code;
}

bool ech_spooler_fenced(struct ech_spooler *s)
{
    pthread_mutex_lock(&s->mutex);
    bool fenced = s->fenced;
    pthread_mutex_unlock(&s->mutex);
    return fenced;
}

void ech_spooler_flush(struct ech_spooler *s)
{
    pthread_mutex_lock(&s->mutex);
    s->flush_to = s->queued;
    if (s->waiting && s->full_since == 0)
        pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->mutex);
}

int ech_spooler_close(struct ech_spooler *s, struct ech_err *err)
{
    pthread_mutex_lock(&s->mutex);
    s->stop = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->mutex);
    pthread_join(s->thread, NULL);
    int code = s->err.code == ECH_OK ? ECH_OK : fail_again(&s->err, err);
    if (s->fd >= 0) {
        int closed = ech_close(s->fd, s->path, code == ECH_OK ? err : NULL);
        s->fd = -1;
        code = code == ECH_OK ? closed : code;
    }
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->mutex);
    release(s);
    return code;
}
