/* A guardian process: it waits until the launcher dies (even by SIGKILL) and then ends what is left of the
 * start and removes its shared memory. It holds the run's lock until then, so that a resume cannot meet the
 * old ranks. Told to leave in the ordinary case. */
#ifndef ECH_LAUNCHER_GUARD_H
#define ECH_LAUNCHER_GUARD_H

#include "base/nodedir.h"

#include <sys/types.h>

struct ech_guard {
    pid_t pid;
    int line; /* write end of the pipe it reads */
};

/* marker: the value of ECH_RUN_DIR of the processes of this start. */
int ech_guard_start(const char *marker, const struct ech_nodedir *shm, struct ech_guard *out,
                    struct ech_err *err);
/* Everything is cleaned up: it may go. */
void ech_guard_leave(struct ech_guard *guard);

#endif
