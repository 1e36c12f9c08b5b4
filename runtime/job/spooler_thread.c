/* The spooler's I/O thread: batches of blocks become one write, syncs are grouped. It holds the mutex only to
 * look at the ring, never while it encodes, writes, syncs or frees. */
#include "job/spooler_thread.h"

#include "base/clock.h"
#include "base/io.h"
#include "job/spool_format.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>

static const double retry_seconds = 0.5;

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

/* One write for the whole batch, at a known place: what a failed write left is overwritten. Permission is
 * asked at the last moment, so that a process stopped before it writes nothing when it wakes. */
static int write_batch(struct ech_spooler *s, bool *may, struct ech_err *err)
{
    int code = encode_batch(s, err);
    if (code == ECH_OK)
        code = create_file(s, err);
    *may = code != ECH_OK || allowed(s);
    if (code == ECH_OK && *may)
        code = ech_pwrite_all(s->fd, s->path, s->buffer.data, s->buffer.length, (int64_t)s->written_end, err);
    return code;
}

/* The steps below are entered and left with the mutex held. */

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
        ech_block_destroy(ech_spool_item_at(s, i)->block);
        ech_spool_item_at(s, i)->block = NULL;
    }
    s->written = s->queued = s->synced;
    s->pending_bytes = 0;
}

static void take_batch(struct ech_spooler *s)
{
    uint64_t bytes = 0;
    s->batch_count = 0;
    for (uint64_t i = s->written;
         i < s->queued && s->batch_count < ECH_BATCH_BLOCKS && bytes < ECH_BATCH_BYTES; i++) {
        s->batch[s->batch_count++] = *ech_spool_item_at(s, i);
        bytes += ech_spool_item_at(s, i)->bytes;
    }
}

/* True: go on. */
static bool write_step(struct ech_spooler *s)
{
    struct ech_err err = ECH_ERR_NONE;
    take_batch(s);
    pthread_mutex_unlock(&s->mutex);
    bool may = true;
    int code = write_batch(s, &may, &err), number = errno;
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
    if (s->buffer.capacity > 4 * ECH_BATCH_BYTES)
        ech_str_fini(&s->buffer); /* one giant block does not keep its memory */
    return true;
}

/* All that is written has become safe. Blocks are freed without the mutex: main never waits for that. */
static void settle(struct ech_spooler *s)
{
    struct ech_block *done[ECH_BATCH_BLOCKS];
    s->synced_end = s->written_end;
    s->unsynced_since = s->full_since = 0;
    while (s->synced < s->written) {
        size_t count = 0;
        while (s->synced < s->written && count < ECH_BATCH_BLOCKS) {
            struct ech_spool_item *item = ech_spool_item_at(s, s->synced++);
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

void *ech_spooler_run(void *context)
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
