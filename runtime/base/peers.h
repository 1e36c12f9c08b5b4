/* How many other hosts a process is connected to by TCP, as the kernel tells it: an established connection
 * whose data the other side has stopped to acknowledge (six retransmissions, about 13 s) is none; an idle one
 * ends by its keepalive.
 *
 * mpirun is connected to the daemon of each host (beyond 64 hosts: of its children in their tree), and says
 * nothing when one is lost and --enable-recovery is on; a daemon is connected to mpirun, and waits a quarter
 * of an hour for one that is cut off while data is under way. Cost: one pass over /proc/PID/fd and
 * /proc/PID/net/tcp. */
#ifndef ECH_BASE_PEERS_H
#define ECH_BASE_PEERS_H

#include <stdint.h>
#include <sys/types.h>

/* -1: that cannot be seen. */
int ech_peers_of(pid_t pid);
/* Connections of `table` (/proc/net/tcp or tcp6) that belong to one of the sockets (inodes) and do not lead
 * to this host. Pure. */
int ech_peers_count(const char *table, const int64_t *sockets, int count);

#endif
