/* The folder that one start of a job has on each of its nodes, under /dev/shm (where that is missing: /tmp;
 * or under ECH_SHM): what MPI maps and writes there lies in it, so that it can be removed as a whole, and its
 * name in a process's environment (ECH_NODE_DIR) or command line tells which start that process is of.
 *
 * On the launcher's host the launcher makes it and holds the lock `launcher` in it as long as it (or its
 * guardian) lives; on other hosts the ranks make it and hold the lock `ranks` (shared) as long as they live.
 * A folder whose locks nobody holds is stale, and whoever starts next on that host removes it. */
#ifndef ECH_BASE_NODEDIR_H
#define ECH_BASE_NODEDIR_H

#include "base/err.h"

#include <stdbool.h>

#define ECH_NODEDIR_ENV "ECH_NODE_DIR"

struct ech_nodedir {
    char path[320];
    int lock;
};

/* The launcher: a new folder, its lock held. */
int ech_nodedir_create(struct ech_nodedir *dir, struct ech_err *err);
void ech_nodedir_remove(struct ech_nodedir *dir);
/* All that a start of which nobody lives has left on this host. */
void ech_nodedir_clear(const char *path);
/* Remove the folders of starts of this user that died with nobody left to clean up, and end what is left of
 * those starts (processes that name the folder). */
void ech_nodedir_remove_stale(void);

/* A rank: the folder `path` (made where it is not there), held as long as this process lives. *first: nobody
 * else looks after it here, neither a launcher nor an earlier rank; the caller should (comm/nodeguard.h). */
int ech_nodedir_join(const char *path, bool *first, struct ech_err *err);
/* The rank ends: the last one of this host removes the folder, also where the one who looked after it was
 * killed. */
void ech_nodedir_leave(void);
/* What this start has half made, a folder `path` ("...partial-...") that gets another name when it is whole:
 * it goes with the start's folder. Nothing is done where there is none (--solo). */
void ech_nodedir_unfinished(const char *path);
/* Waits until no rank holds it, and calls `meanwhile` about once a second: true. false: it is gone or cannot
 * be waited for. */
bool ech_nodedir_wait(const char *path, void (*meanwhile)(void *context), void *context);

#endif
