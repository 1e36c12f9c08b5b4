/* How the ranks of a job differ: the numerics class of each, the memory it needs, whether it works, and where
 * in its node's shared segment its weights lie (ranks that compute alike share one packed copy). */
#ifndef ECH_JOB_RANKS_H
#define ECH_JOB_RANKS_H

#include "comm/comm.h"
#include "job/spool.h"

struct ech_rank_facts {
    char numerics[64], way[64]; /* way: backend and precision, what packed weights depend on */
    int64_t process, workspace, weights;
    int32_t node;
    bool fits, works; /* works: found here */
};

/* What this rank's part is. */
struct ech_rank_part {
    bool works;                  /* false: it has no place in its node's memory; it claims no rows */
    size_t shared_bytes, offset; /* of the node's segment, and of this rank's packed weights in it */
    int64_t part, parts;         /* of packing them; parts 0: nobody here needs them */
};
/* `all`: ech_comm_size facts, gathered; `works` is filled in for the ranks of this node. Local. `budget`:
 * bytes of a node, 0: no limit. */
int ech_rank_parts(struct ech_comm *comm, struct ech_rank_facts *all, int64_t budget,
                   struct ech_rank_part *out, struct ech_err *err);

/* A text column before the last one, the same in all rows: the class that computed them. */
int ech_block_add_text(struct ech_block *block, const char *text, struct ech_err *err);

#endif
