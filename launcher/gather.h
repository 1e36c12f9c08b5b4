/* Many programs at once, each with its own deadline; what they say is kept up to a limit. */
#ifndef ECH_LAUNCHER_GATHER_H
#define ECH_LAUNCHER_GATHER_H

#include "launcher/argv.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { ECH_GATHER_BYTES = 65536 }; /* what is kept of a program's words; the rest is read and dropped */

struct ech_asking {
    struct ech_argv argv; /* [0] an absolute path; the caller's */
    char *text;           /* stdout and stderr together, NUL-terminated; owner: the caller, ech_free */
    size_t bytes;
    int status;                /* exit status, 128 + signal; -1: not started */
    bool late;                 /* killed at its deadline, with its session's process group */
    int64_t from_us, until_us; /* wall clock of its start and of its last word */
    pid_t pid;                 /* inner, as the rest */
    int fd;
    double deadline;
};

/* At most `at_once` run at a time, each for `seconds`. A program that cannot be started is no error here:
 * status -1, its text says why. Once stop() (NULL: never) is true all are killed.
 * Errors  ECH_UNAVAILABLE (pipes, memory, stopped). */
int ech_gather(struct ech_asking *asks, size_t count, size_t at_once, double seconds, bool (*stop)(void),
               struct ech_err *err);
void ech_gather_fini(struct ech_asking *asks, size_t count); /* text and argv of each */

#endif
