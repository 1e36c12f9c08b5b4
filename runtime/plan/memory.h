/* Which ranks of a node may work within its memory. */
#ifndef ECH_PLAN_MEMORY_H
#define ECH_PLAN_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

struct ech_memory_rank {
    int64_t process;   /* bytes that the process has anyway, working or not */
    int64_t workspace; /* of a working one */
    int64_t weights;   /* of its group, once for all its working members */
    int group;         /* ranks of one number share their weights */
    bool fits;         /* false: it cannot work, whatever the others do */
    bool works;        /* out */
};
/* Sets `works` of a node's ranks: in order, each that still fits into `budget` (bytes; 0: no limit). Returns
 * how many do. Cost: count^2. */
int ech_memory_share(struct ech_memory_rank *ranks, int count, int64_t budget);
/* Bytes of the node if all those that work do. */
int64_t ech_memory_used(const struct ech_memory_rank *ranks, int count);

#endif
