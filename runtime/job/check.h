/* Are the inputs what was written? A damaged shard would give wrong results that look right, so its bytes are
 * compared with their hashes before any row runs. */
#ifndef ECH_JOB_CHECK_H
#define ECH_JOB_CHECK_H

#include "comm/comm.h"
#include "data/dataset.h"

/* Each rank reads its part of the dataset. `key` names it in the job file.
 * Calls   Collective.
 * Errors  ECH_DATA: shard, column and rows of the first damage (agreed by all); those of reading. */
int ech_check_dataset(struct ech_comm *comm, const struct ech_dataset *ds, const char *key,
                      struct ech_err *err);

#endif
