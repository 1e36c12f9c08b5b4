/* The manual page, made from the tables of the verbs. */
#ifndef ECH_LAUNCHER_MAN_H
#define ECH_LAUNCHER_MAN_H

#include "base/err.h"

#include <stdio.h>

/* echelon(1) in man(7) macros. */
int ech_man_print(const char *version, FILE *out, struct ech_err *err);

#endif
