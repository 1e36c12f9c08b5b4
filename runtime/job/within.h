/* Opening a kind so that it stays within the memory of its node: the same for a run and for `echelon plan`.
 */
#ifndef ECH_JOB_WITHIN_H
#define ECH_JOB_WITHIN_H

#include "job/kind.h"

struct ech_within {
    int64_t memory;  /* of the node, 0: no limit */
    int64_t process; /* bytes that each of its processes has anyway */
    int places;      /* processes on it */
    bool may_split;  /* several ranks may hold the weights together: who holds what is decided later */
};
/* The stream makes its batches smaller to stay within its part. Where the node cannot hold all of its ranks
 * the parts are larger and fewer work; where it cannot hold one, it opens all the same, as small as it can,
 * and will rest. env->memory is what it got (0: no limit). */
int ech_open_within(const struct ech_kind_ops *kind, struct ech_stream_env *env,
                    const struct ech_within *within, struct ech_stream **out, struct ech_err *err);

#endif
