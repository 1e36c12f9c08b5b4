/* Events: one JSON object a line, one writer a file, never reopened for writing. Every event begins with
 * {v, run, attempt, epoch, node, rank, seq, mono_ns, wall, type}; the rest depends on the type (the table is
 * in base/rundir.h). After a write that failed "lost" (events lost so far) stands before the type. A reader
 * merges the files of all nodes, skips a torn last line and unknown types. */
#ifndef ECH_BASE_EVENT_H
#define ECH_BASE_EVENT_H

#include "base/json.h"

struct ech_events;

struct ech_event_source {
    const char *run; /* name of the run directory */
    int attempt, node, rank;
};

/* Creates PATH (must not exist). Calls   Local; one thread at a time. */
int ech_events_open(const char *path, const struct ech_event_source *source, struct ech_events **out,
                    struct ech_err *err);
void ech_events_close(struct ech_events *events);
void ech_events_epoch(struct ech_events *events, int64_t epoch); /* of all later events */
/* While on, a thread of its own writes, so that no event waits for a disk (where there is no thread, all
 * stays as it is); off: waits until all is written. */
void ech_events_write_behind(struct ech_events *events, bool behind);
/* Start an event; add members with ech_json_add_*; finish writes the line with one write(). `events` may be
 * NULL (then nothing is written). A failing write is counted, not an error: events are for people. */
struct ech_str *ech_event_begin(struct ech_events *events, const char *type);
void ech_event_end(struct ech_events *events);

/* Follows all event files of one attempt (0: all attempts) of a run directory; new files are found as they
 * appear. `each` gets one parsed event (borrowed). Calls   Local. */
struct ech_event_reader;
int ech_event_reader_open(const char *run_dir, int attempt, struct ech_event_reader **out,
                          struct ech_err *err);
/* Everything that was written since the last call, file by file. Returns a code. */
int ech_event_reader_poll(struct ech_event_reader *reader, void (*each)(const json_t *event, void *context),
                          void *context, struct ech_err *err);
void ech_event_reader_close(struct ech_event_reader *reader);

#endif
