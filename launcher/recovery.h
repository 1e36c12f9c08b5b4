/* Does this MPI let the others live when a rank dies? Tried once (`doctor --selftest`) and kept in
 * $XDG_CACHE_HOME/echelon by host and version of MPI. */
#ifndef ECH_LAUNCHER_RECOVERY_H
#define ECH_LAUNCHER_RECOVERY_H

#include "base/err.h"

enum ech_recovery { ECH_RECOVERY_UNKNOWN, ECH_RECOVERY_SURVIVES, ECH_RECOVERY_DIES };

/* Starts three ranks, kills one, records the outcome.
 * Errors  ECH_UNAVAILABLE: the ranks could not be started; nothing is recorded. */
int ech_recovery_try(enum ech_recovery *out, char *mpi, size_t mpi_bytes, struct ech_err *err);
/* What is recorded of this host and this mpirun (its --version is asked only where a record says it dies).
 * No record, or one of another version: unknown. */
enum ech_recovery ech_recovery_recorded(void);
/* A line on stderr where a death would end the job. */
void ech_recovery_say(void);

#endif
