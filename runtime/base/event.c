/* Writing events: see event.h. Each line is put together in memory and leaves with one write (several lines
 * where a thread writes behind), so that a reader sees whole lines; what a failed write left of a line is
 * ended by the next one. */
#include "base/event.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

enum { WAITING_MOST = 1 << 20 }; /* bytes that wait for a disk; what comes on top is lost */

struct ech_events {
    int fd;
    char *path, *run;
    struct ech_event_source source;
    int64_t epoch, seq;
    _Atomic int64_t lost; /* events that could not be written */
    bool torn;            /* the file may end in a part of a line; of whoever writes */
    struct ech_str line;

    bool behind; /* a thread writes */
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    struct ech_str waiting;
    int64_t waiting_lines;
    bool stop;
};

int ech_events_open(const char *path, const struct ech_event_source *source, struct ech_events **out,
                    struct ech_err *err)
{
    struct ech_events *events = ech_calloc(1, sizeof *events, err);
    if (!events)
        return ECH_UNAVAILABLE;
    events->fd = -1;
    events->source = *source;
    ech_str_init(&events->line);
    ech_str_init(&events->waiting);
    pthread_mutex_init(&events->lock, NULL);
    pthread_cond_init(&events->wake, NULL);
    events->path = ech_strdup(path, err);
    events->run = ech_strdup(source->run, err);
    int code = events->path && events->run ? ECH_OK : ECH_UNAVAILABLE;
    if (code == ECH_OK)
        code = ech_open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, &events->fd, err);
    if (code != ECH_OK) {
        ech_events_close(events);
        return code;
    }
    *out = events;
    return ECH_OK;
}

void ech_events_close(struct ech_events *events)
{
    if (!events)
        return;
    ech_events_write_behind(events, false);
    if (events->fd >= 0)
        ech_close(events->fd, events->path, NULL);
    pthread_cond_destroy(&events->wake);
    pthread_mutex_destroy(&events->lock);
    ech_str_fini(&events->line);
    ech_str_fini(&events->waiting);
    ech_free(events->path);
    ech_free(events->run);
    ech_free(events);
}

void ech_events_epoch(struct ech_events *events, int64_t epoch)
{
    if (events)
        events->epoch = epoch;
}

struct ech_str *ech_event_begin(struct ech_events *events, const char *type)
{
    static _Thread_local struct ech_str nowhere; /* failed: takes every append and allocates nothing */
    if (!events) {
        nowhere.failed = true;
        return &nowhere;
    }
    char wall[40];
    struct ech_str *line = &events->line;
    ech_str_clear(line);
    ech_json_add_int(line, "v", 1);
    ech_json_add_str(line, "run", events->run);
    ech_json_add_int(line, "attempt", events->source.attempt);
    ech_json_add_int(line, "epoch", events->epoch);
    ech_json_add_int(line, "node", events->source.node);
    ech_json_add_int(line, "rank", events->source.rank);
    ech_json_add_int(line, "seq", events->seq++);
    ech_json_add_int(line, "mono_ns", ech_mono_ns());
    ech_json_add_str(line, "wall", ech_wall_iso(wall, sizeof wall));
    if (events->lost)
        ech_json_add_int(line, "lost", events->lost);
    ech_json_add_str(line, "type", type);
    return line;
}

/* `count` whole lines. Of one thread at a time: the caller's, or the one that writes behind. */
static void write_lines(struct ech_events *events, const struct ech_str *lines, int64_t count)
{
    int code = lines->failed ? ECH_UNAVAILABLE : ECH_OK;
    if (code == ECH_OK && events->torn)
        code = ech_write_all(events->fd, events->path, "\n", 1, NULL);
    if (code == ECH_OK) {
        code = ech_write_all(events->fd, events->path, lines->data, lines->length, NULL);
        events->torn = code != ECH_OK;
    }
    if (code != ECH_OK)
        events->lost += count;
}

static void hand_over(struct ech_events *events)
{
    pthread_mutex_lock(&events->lock);
    bool room = !events->line.failed && events->waiting.length + events->line.length <= WAITING_MOST;
    if (room) {
        ech_str_add(&events->waiting, events->line.data, events->line.length);
        events->waiting_lines++;
        pthread_cond_signal(&events->wake);
    }
    pthread_mutex_unlock(&events->lock);
    events->lost += !room;
}

void ech_event_end(struct ech_events *events)
{
    if (!events)
        return;
    ech_str_adds(&events->line, "}\n");
    if (events->behind)
        hand_over(events);
    else
        write_lines(events, &events->line, 1);
}

static void *write_behind(void *context)
{
    struct ech_events *events = context;
    struct ech_str lines;
    ech_str_init(&lines);
    pthread_mutex_lock(&events->lock);
    for (;;) {
        while (!events->stop && events->waiting_lines == 0)
            pthread_cond_wait(&events->wake, &events->lock);
        if (events->waiting_lines == 0)
            break;
        struct ech_str taken = events->waiting;
        int64_t count = events->waiting_lines;
        events->waiting = lines;
        events->waiting_lines = 0;
        lines = taken;
        pthread_mutex_unlock(&events->lock);
        write_lines(events, &lines, count);
        ech_str_clear(&lines);
        pthread_mutex_lock(&events->lock);
    }
    pthread_mutex_unlock(&events->lock);
    ech_str_fini(&lines);
    return NULL;
}

void ech_events_write_behind(struct ech_events *events, bool behind)
{
    if (!events || events->behind == behind)
        return;
    if (behind) {
        events->stop = false;
        events->behind = pthread_create(&events->thread, NULL, write_behind, events) == 0;
        return;
    }
    pthread_mutex_lock(&events->lock);
    events->stop = true;
    pthread_cond_signal(&events->wake);
    pthread_mutex_unlock(&events->lock);
    pthread_join(events->thread, NULL);
    events->behind = false;
}
