/* A growing argument list for execve, and finding programs. The first failure sticks (checked once). */
#ifndef ECH_LAUNCHER_ARGV_H
#define ECH_LAUNCHER_ARGV_H

#include "base/err.h"

#include <stddef.h>

struct ech_argv {
    char **items; /* count, then NULL */
    size_t count, capacity;
    bool failed;
};

void ech_argv_init(struct ech_argv *argv);
void ech_argv_fini(struct ech_argv *argv);
void ech_argv_add(struct ech_argv *argv, const char *text);
void ech_argv_addf(struct ech_argv *argv, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void ech_argv_add_all(struct ech_argv *argv, char *const *items); /* NULL-terminated */
int ech_argv_check(const struct ech_argv *argv, struct ech_err *err);

/* Absolute path of a program: `name` itself where it has a slash, else the first hit in PATH.
 * NULL: not found (err untouched) or no memory. Owner: the caller, ech_free. */
char *ech_find_program(const char *name);
/* Path of echelon-rank: the variable ECHELON_RANK, else beside this program. ECH_UNAVAILABLE with what to
 * do. Owner: the caller. */
int ech_find_rank_program(char **path, struct ech_err *err);
/* mpirun of Open MPI; ECH_UNAVAILABLE with what to install. Owner: the caller. */
/* $ECHELON_MPIRUN, else mpirun in PATH. */
int ech_find_mpirun(char **path, struct ech_err *err);

#endif
