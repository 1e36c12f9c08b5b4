/* Run directories on disk: making one, finding one, its lock and its launcher, and reading it into a view. */
#ifndef ECH_LAUNCHER_RUNDIRS_H
#define ECH_LAUNCHER_RUNDIRS_H

#include "launcher/view.h"

/* Makes RUNS/<job>-<YYYYMMDD-HHMMSS>[-N] and nodes/ in it; several launchers may try at once.
 * Owner   *out: the caller (absolute path).  Errors   ECH_EXISTS where it cannot be created. */
int ech_rundir_create(const char *runs, const char *job, char **out, struct ech_err *err);
/* `name`: a run directory, or its name below runs/; NULL: the newest one in runs/ (ECHELON_RUNS or
 * "runs"). ECH_NOINPUT where there is none. Owner   *out: the caller (absolute path). */
int ech_rundir_find(const char *name, char **out, struct ech_err *err);

/* All runs in the folder of runs (ECHELON_RUNS or "runs"), in no order; none where it is not there.
 * Owner   each path and the array: the caller. */
int ech_rundir_all(char ***out, size_t *count, struct ech_err *err);

/* The lock of a run (flock; held until the descriptor and its copies in children are closed). Waits a few
 * seconds for a launcher that is just ending. ECH_UNAVAILABLE while another one holds it. */
int ech_rundir_lock(const char *run_dir, int *fd, struct ech_err *err);
/* Does a launcher hold the run? */
bool ech_rundir_is_held(const char *run_dir);

/* A file of the run directory with this text; names what could not be written. */
int ech_rundir_write(const char *run_dir, const char *name, const struct ech_str *text, struct ech_err *err);

struct ech_launch {
    int attempt;
    int64_t pid, pid_start, ranks; /* pid_start: tells the process from a later one with its number */
    char host[64], started[32];
};
int ech_launch_write(const char *run_dir, const struct ech_launch *launch, char *const *command,
                     struct ech_err *err);
/* ECH_NOINPUT where the attempt has none. */
int ech_launch_read(const char *run_dir, int attempt, struct ech_launch *out, struct ech_err *err);

/* A view that follows a run directory. */
struct ech_follower {
    const char *run_dir; /* borrowed */
    struct ech_event_reader *reader;
    struct ech_run_view view;
};
/* attempt 0: the newest, with the notes of the earlier ones; else that attempt alone. */
int ech_follower_open(const char *run_dir, int attempt, struct ech_follower *out, struct ech_err *err);
int ech_follower_poll(struct ech_follower *follower, struct ech_err *err);
void ech_follower_close(struct ech_follower *follower);

#endif
