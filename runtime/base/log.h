/* Log for people, on stderr or a file set by the program. Levels by subsystem: ECH_LOG=info,data:debug.
 * Below `warn` only rank 0 speaks. Libraries log facts; errors travel in struct ech_err, not here. */
#ifndef ECH_BASE_LOG_H
#define ECH_BASE_LOG_H

#include <stdbool.h>

enum ech_level { ECH_LOG_ERROR, ECH_LOG_WARN, ECH_LOG_INFO, ECH_LOG_DEBUG };

/* Read ECH_LOG (default warn); `rank` -1: a program without ranks. */
void ech_log_init(int rank);
/* Also write every line (any rank, level info and above) to this descriptor; -1 stops. */
void ech_log_to(int fd);
bool ech_log_on(enum ech_level level, const char *subsystem);
void ech_log(enum ech_level level, const char *subsystem, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
