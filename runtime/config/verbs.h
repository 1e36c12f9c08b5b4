/* `echelon config show | check | schema | reference`: what the command does, without a process around it. */
#ifndef ECH_CONFIG_VERBS_H
#define ECH_CONFIG_VERBS_H

#include "base/err.h"

#include <stdio.h>

/* argv[0 .. argc) are the words behind "config". What is asked for goes to `out`; the environment is read.
 * Errors  ECH_USAGE; those of ech_config_load; ECH_IO where `out` cannot be written. */
int ech_config_verb(int argc, char **argv, FILE *out, struct ech_err *err);

#endif
