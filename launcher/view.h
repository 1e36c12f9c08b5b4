/* What is known of a run: its events and results folded into one struct that progress, status and the report
 * read. Filling it is a pure function of the events; no file is read here.
 * Grows with the ranks (about 800 bytes each, plus at most ECH_VIEW_SAMPLES samples of 40 bytes and
 * ECH_VIEW_SPANS spans of as many), not with rows or time. */
#ifndef ECH_LAUNCHER_VIEW_H
#define ECH_LAUNCHER_VIEW_H

#include "base/json.h"
#include "base/rundir.h"

#define ECH_VIEW_SAMPLES 512 /* when full, every second one is dropped */
#define ECH_VIEW_SPANS   192 /* when full, neighbours become one */
#define ECH_VIEW_NOTES   200

struct ech_sample {
    double t; /* wall clock, seconds */
    int64_t rows, tokens, rss_bytes;
    double speed;
};

/* Leases that a rank computed, in a row. */
struct ech_span {
    double begin, end; /* wall clock */
    int64_t rows, leases;
    bool copy; /* rows that another rank held as well */
};

struct ech_rank_view {
    bool seen, has_progress, rests; /* rests: no place in its node's memory */
    int rank, node;
    char host[64], backend[32], numerics[64], precision[16], cpu[96], version[48], phase[16];
    int64_t pid, threads;
    double probe, probe_few,
        probe_bytes; /* tokens/s, tokens/s with few rows, bytes/s of weights; 0: not probed */
    bool probe_cached;
    int64_t rows, tokens, errors, leases, rss_bytes, rss_peak, spool_bytes, packed_bytes, workspace_bytes;
    double busy_s, speed, share, cpu_s;
    double first_lease, last_seen; /* wall clock; 0: not yet */
    bool dead, ended;
    char reason[160]; /* of its death or its end */
    int code;
    struct ech_sample *samples;
    size_t sample_count, sample_capacity;
    struct ech_span *spans;
    size_t span_count, span_capacity;
    double computed;     /* wall clock: its last rows were computed then, 0: none */
    int stride, skipped; /* every stride-th progress event is kept */
};

struct ech_note {
    double t;
    int attempt, rank;
    int ranks; /* that said the same */
    bool bad;
    char *text;
};

struct ech_attempt_view {
    int attempt;
    int64_t ranks;
    char host[64], started[32];
    bool has_result;
    struct ech_run_result result;
};

/* Speeds of the whole job over the last ten seconds or so. */
struct ech_pace {
    struct {
        double t;
        int64_t rows, tokens;
    } marks[16];
    int count;
    double rows_s, tokens_s;
};
void ech_pace_add(struct ech_pace *pace, double t, int64_t rows, int64_t tokens);

struct ech_run_view {
    char run[256]; /* name of the run directory */
    int attempt;   /* the one that ranks, plan, todo and seal speak of: the newest */
    bool planned, has_todo, sealed;
    struct {
        int64_t rows, rows_done, tokens_estimated, ranks, nodes;
    } plan;
    struct {
        double t;
        int64_t rows, rows_done, tokens, tokens_done;
        double left_s;
    } todo;
    struct ech_pace pace; /* of todo */
    struct {
        double t;
        int64_t shards, bytes, rows;
        double seconds;
    } seal;
    double first, last;          /* wall clock of its first and last event */
    double run_end;              /* when the first rank left the phase "run"; 0: not yet */
    struct ech_rank_view *ranks; /* by number */
    size_t rank_count, rank_capacity;
    struct ech_note *notes; /* of all attempts */
    size_t note_count, note_capacity, notes_dropped;
    struct ech_attempt_view *attempts;
    size_t attempt_count, attempt_capacity;
    int64_t unreadable; /* events without the members every event has */
    bool failed;        /* out of memory: the view is not to be used */
};

void ech_view_init(struct ech_run_view *view, const char *run, int attempt);
void ech_view_fini(struct ech_run_view *view);
/* An event of any attempt, in any order of files. Unknown types are skipped. */
void ech_view_event(struct ech_run_view *view, const json_t *event);
/* The record of an attempt, made if it is new; NULL: no memory (view->failed). */
struct ech_attempt_view *ech_view_attempt(struct ech_run_view *view, int attempt);
/* Sort notes by time. */
void ech_view_finish(struct ech_run_view *view);

/* Sums over the ranks of the newest attempt. */
struct ech_view_sum {
    int64_t ranks, dead, rows, tokens, errors, rss_bytes, rss_peak;
    double speed, busy_s;
    double first_lease, run_end; /* the clock of the computing part; 0: none */
    double fluid_s;              /* tokens / sum of the ranks' speeds, 0: unknown */
    double fluid_lost_s;         /* the same where lost ranks count until they were lost; 0: none was lost */
};
void ech_view_sum(const struct ech_run_view *view, struct ech_view_sum *out);

/* "2026-11-24T16:19:54.123Z" as seconds since 1970; 0 where it is none. */
double ech_wall_parse(const char *text);

enum ech_run_state { ECH_RUN_RUNNING, ECH_RUN_SEALED, ECH_RUN_STOPPED, ECH_RUN_FAILED, ECH_RUN_DIED };
/* `alive`: a launcher holds the run. */
enum ech_run_state ech_view_state(const struct ech_run_view *view, bool alive);
const char *ech_run_state_name(enum ech_run_state state);

#endif
