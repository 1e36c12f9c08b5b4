/* Starting programs without a shell. */
#ifndef ECH_LAUNCHER_CHILD_H
#define ECH_LAUNCHER_CHILD_H

#include "base/err.h"

#include <sys/types.h>

struct ech_child_spec {
    char *const *argv;
    const char *const *env; /* "NAME=value" each, added to ours; NULL-terminated */
    int output;             /* descriptor for stdout and stderr, -1: ours */
    bool errors_alone;      /* `output` is for stderr; stdout is ours */
    bool session;           /* its own session; stdin is /dev/null */
    int death_signal;       /* sent to it when this process dies, 0: none */
};
/* ECH_UNAVAILABLE where it cannot be executed. */
int ech_child_start(const struct ech_child_spec *spec, pid_t *pid, struct ech_err *err);

/* Run a program to its end; its exit status (128 + signal), or a code with err filled. */
int ech_child_wait(const struct ech_child_spec *spec, struct ech_err *err);
/* Its stdout and stderr together (at most 8 MiB), NULL where it could not be run. Owner: the caller. */
char *ech_child_output(char *const *argv, int *status);

#endif
