/* The problems of one load, gathered so that a user sees all of them at once. Nothing is allocated: noting a
 * problem cannot fail. */
#ifndef ECH_CONFIG_PROBLEM_H
#define ECH_CONFIG_PROBLEM_H

#include "base/err.h"

enum { ECH_PROBLEMS_MOST = 20 };

struct ech_problem {
    int line, column; /* 0: not in the file (then the text names its origin) */
    char text[400];
};

struct ech_problems {
    const char *file; /* name for people; borrowed */
    int count;        /* of items */
    int more;         /* found beyond them */
    struct ech_problem items[ECH_PROBLEMS_MOST];
};

void ech_problem_add(struct ech_problems *problems, int line, int column, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* ECH_OK where there is none; else ECH_CONFIG: the first in the order of the file decides the position, the
 * others follow in the text, a line each. */
int ech_problems_report(struct ech_problems *problems, struct ech_err *err);

#endif
