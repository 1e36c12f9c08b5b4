/* What MPI's daemon leaves in the temporary folder of a host when its mpirun is killed before a rank has come
 * (a rank's guardian, comm/nodeguard.h, cleans up later ones): TMP/ompi.<host>.<uid>/jf.<number> of Open MPI.
 * mpirun's own files lie in the folder of the start (base/nodedir.h). */
#ifndef ECH_BASE_DAEMON_FILES_H
#define ECH_BASE_DAEMON_FILES_H

#include <stdbool.h>

/* Remove those of this user and host whose daemon is gone: the process that a folder names does not exist, or
 * was started later than the folder was made. One that names no process yet goes when it is a minute old.
 * TMP: TMPDIR, /tmp, /var/tmp. */
void ech_daemon_files_sweep(void);
/* The same below one folder; returns how many were removed (tests). */
int ech_daemon_files_sweep_in(const char *tmp);

#endif
