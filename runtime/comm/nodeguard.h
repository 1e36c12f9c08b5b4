/* What cleans up on the hosts where no launcher runs: the first rank of a start on such a host leaves a small
 * process behind that waits until all ranks of the start on this host have ended, however they ended, then
 * ends MPI's daemon if that stays (a host that was cut off) and removes the start's folder under /dev/shm and
 * the daemon's under TMPDIR. Meanwhile it ends the start here when the daemon's connection to mpirun is dead.
 * And before that, at the start: what earlier starts left on this host is ended
 * and removed. */
#ifndef ECH_COMM_NODEGUARD_H
#define ECH_COMM_NODEGUARD_H

#include "base/err.h"

/* node_dir, run_dir: values of ECH_NODE_DIR and ECH_RUN_DIR; NULL or "": nothing to do.
 * Calls   Local, before MPI and threads are started. */
int ech_nodeguard_start(const char *node_dir, const char *run_dir, struct ech_err *err);

#endif
