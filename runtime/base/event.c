/* Writing events: see event.h. Each line is put together in memory and leaves with one write, so that a
 * reader sees whole lines; what a failed write left of a line is ended by the next one. */
#include "base/event.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"

#include <fcntl.h>
#include <stdio.h>

struct ech_events {
    int fd;
    char *path, *run;
    struct ech_event_source source;
    int64_t epoch, seq, lost; /* lost: events that could not be written */
    bool torn;                /* the file may end in a part of a line */
    struct ech_str line;
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
    if (events->fd >= 0)
        ech_close(events->fd, events->path, NULL);
    ech_str_fini(&events->line);
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
    if (events->torn)
        ech_str_addc(line, '\n');
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

void ech_event_end(struct ech_events *events)
{
    if (!events)
        return;
    struct ech_str *line = &events->line;
    ech_str_adds(line, "}\n");
    if (line->failed) {
        events->lost++;
    } else if (ech_write_all(events->fd, events->path, line->data, line->length, NULL) != ECH_OK) {
        events->lost++;
        events->torn = true;
    } else {
        events->torn = false;
    }
}
