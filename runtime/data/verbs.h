/* The verbs of `data` as the rank program runs them: import, export, append, show, head, verify. */
#ifndef ECH_DATA_VERBS_H
#define ECH_DATA_VERBS_H

#include "comm/comm.h"

#include <stdio.h>

/* argv[0]: the verb; then its options and names, as base/args.h reads them. Only rank 0 writes to `out`.
 * Calls   Collective; argv equal on all ranks.
 * Errors  ECH_USAGE for an unknown verb or option, with the nearest one; what the verb's function says;
 * ECH_IO where `out` cannot be written. verify: ECH_DATA where a dataset is damaged. */
int ech_data_verb(int argc, char **argv, struct ech_comm *comm, FILE *out, struct ech_err *err);

#endif
