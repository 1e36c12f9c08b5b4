/* The spooler's owner's side: see spooler.h; the thread is in spooler_thread.c. */
#include "job/spooler_thread.h"

#include "base/io.h"
#include "base/mem.h"
#include "job/spool_format.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

static void release(struct ech_spooler *s)
{
    if (s->ring)
        for (uint64_t i = s->synced; i < s->queued; i++)
            ech_block_destroy(ech_spool_item_at(s, i)->block);
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
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    sigfillset(&all); /* but for its own faults, signals are for the main thread */
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        sigdelset(&all, own[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&s->thread, NULL, ech_spooler_run, s);
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
    struct ech_spool_item *ring = ech_calloc(size, sizeof *ring, err);
    if (!ring)
        return ECH_UNAVAILABLE;
    for (uint64_t i = s->polled; i < s->queued; i++)
        ring[i & (size - 1)] = *ech_spool_item_at(s, i);
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
    struct ech_spool_item item = {
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
        *ech_spool_item_at(s, s->queued++) = item;
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
        *out = ech_spool_item_at(s, s->polled++)->what;
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
    if (!s)
        return ECH_OK;
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
