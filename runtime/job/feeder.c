#include "job/feeder.h"

#include "base/mem.h"

#include <inttypes.h>
#include <pthread.h>

struct ech_feeder {
    const struct ech_kind_ops *kind;
    struct ech_stream *stream;
    const struct ech_source *source;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct ech_range queue[ECH_FEEDER_QUEUE];
    size_t first, count;
    bool stop, busy;
    struct ech_err err;
};

static int feed(struct ech_feeder *f, struct ech_range range, struct ech_cells *cells, struct ech_err *err)
{
    int64_t rows = range.end - range.first;
    int code = ech_source_read(f->source, range.first, rows, cells, err);
    if (!code)
        code = f->kind->submit(f->stream, range.first, cells, err);
    return code ? ech_prefix(err, "rows %" PRId64 " to %" PRId64, range.first, range.end - 1) : ECH_OK;
}

static void *feeder_main(void *argument)
{
    struct ech_feeder *f = argument;
    struct ech_cells cells = {0};
    pthread_mutex_lock(&f->lock);
    for (;;) {
        while (!f->stop && !f->count)
            pthread_cond_wait(&f->work, &f->lock);
        if (f->stop)
            break;
        struct ech_range range = f->queue[f->first];
        f->first = (f->first + 1) % ECH_FEEDER_QUEUE;
        f->count--;
        f->busy = true;
        pthread_mutex_unlock(&f->lock);
        struct ech_err err = ECH_ERR_NONE;
        int code = feed(f, range, &cells, &err);
        pthread_mutex_lock(&f->lock);
        f->busy = false;
        if (code) {
            f->err = err;
            break;
        }
    }
    pthread_mutex_unlock(&f->lock);
    ech_cells_fini(&cells);
    return NULL;
}

int ech_feeder_open(const struct ech_kind_ops *kind, struct ech_stream *stream,
                    const struct ech_source *source, struct ech_feeder **out, struct ech_err *err)
{
    struct ech_feeder *f = ech_calloc(1, sizeof *f, err);
    if (!f)
        return ECH_UNAVAILABLE;
    f->kind = kind;
    f->stream = stream;
    f->source = source;
    f->err = (struct ech_err)ECH_ERR_NONE;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->work, NULL);
    if (pthread_create(&f->thread, NULL, feeder_main, f) != 0) {
        pthread_mutex_destroy(&f->lock);
        pthread_cond_destroy(&f->work);
        ech_free(f);
        return ech_fail(err, ECH_UNAVAILABLE, "cannot start the reading thread");
    }
    *out = f;
    return ECH_OK;
}

int ech_feeder_put(struct ech_feeder *f, struct ech_range range, struct ech_err *err)
{
    pthread_mutex_lock(&f->lock);
    bool room = f->count < ECH_FEEDER_QUEUE;
    if (room) {
        f->queue[(f->first + f->count++) % ECH_FEEDER_QUEUE] = range;
        pthread_cond_signal(&f->work);
    }
    pthread_mutex_unlock(&f->lock);
    return room ? ECH_OK : ech_fail(err, ECH_BUG, "the reading queue overflows");
}

int ech_feeder_failed(struct ech_feeder *f, struct ech_err *err)
{
    pthread_mutex_lock(&f->lock);
    int code = f->err.code;
    if (code && err)
        *err = f->err;
    pthread_mutex_unlock(&f->lock);
    return code;
}

void ech_feeder_cancel(struct ech_feeder *f)
{
    pthread_mutex_lock(&f->lock);
    f->count = 0;
    pthread_mutex_unlock(&f->lock);
}

bool ech_feeder_idle(struct ech_feeder *f)
{
    pthread_mutex_lock(&f->lock);
    bool idle = !f->count && !f->busy;
    pthread_mutex_unlock(&f->lock);
    return idle;
}

void ech_feeder_close(struct ech_feeder *f)
{
    if (!f)
        return;
    pthread_mutex_lock(&f->lock);
    f->stop = true;
    pthread_cond_signal(&f->work);
    pthread_mutex_unlock(&f->lock);
    pthread_join(f->thread, NULL);
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->work);
    ech_free(f);
}
