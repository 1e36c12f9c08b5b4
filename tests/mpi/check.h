/* Checks of a program that runs on many ranks: the first failure says where and on which rank, and ends the
 * job. */
#ifndef ECH_TESTS_MPI_CHECK_H
#define ECH_TESTS_MPI_CHECK_H

#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check_rank = -1;

#define CHECK(cond, ...)                                                                                     \
    do {                                                                                                     \
        if (!(cond)) {                                                                                       \
            fprintf(stderr, "%s:%d: rank %d: %s: ", __FILE__, __LINE__, check_rank, #cond);                  \
            fprintf(stderr, __VA_ARGS__);                                                                    \
            fprintf(stderr, "\n");                                                                           \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

static inline void check_ok(const char *what, int code, const struct ech_err *err)
{
    char line[2200];
    CHECK(code == ECH_OK, "%s: code %d: %s", what, code, ech_err_print(err, line, sizeof line));
}
#define OK(call)                                                                                             \
    do {                                                                                                     \
        struct ech_err err = ECH_ERR_NONE;                                                                   \
        int code_ = (call);                                                                                  \
        check_ok(#call, code_, &err);                                                                        \
    } while (0)

#endif
