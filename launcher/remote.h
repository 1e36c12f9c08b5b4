/* A program's words for another host: those of the launch command, the host's name, then what a shell over
 * there is to read, as with ssh. */
#ifndef ECH_LAUNCHER_REMOTE_H
#define ECH_LAUNCHER_REMOTE_H

#include "launcher/argv.h"

/* `launch`: words with blanks between them. ECH_UNAVAILABLE: its program is not found.
 * Owner   ech_argv_fini(out), also after an error. */
int ech_remote_begin(const char *launch, const char *host, struct ech_argv *out, struct ech_err *err);
/* A word, quoted where the shell would read more into it. */
void ech_remote_add(struct ech_argv *out, const char *word);
/* Where MPI's libraries lie there: what mpirun will say with this prefix (NULL: as here). */
void ech_remote_libraries(struct ech_argv *out, const char *mpi_prefix);

#endif
