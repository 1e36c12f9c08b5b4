/* Inside of a queue: the part that every backend's queue begins with. For backends only. */
#ifndef ECH_KERNELS_QUEUE_H
#define ECH_KERNELS_QUEUE_H

#include "kernels/ops.h"

struct ech_queue {
    const struct ech_ops *ops;
    void *workspace; /* 64-byte aligned, NULL where bytes is 0 */
    size_t bytes;
    int threads; /* >= 1 */
    int device;
    char error[256];
};

/* The scratch of an attention call: its own `workspace`, or the queue's where that is large enough.
 * NULL: there is none. */
static inline void *ech_attention_scratch(const struct ech_queue *queue,
                                          const struct ech_attention_args *args, size_t need)
{
    if (args->workspace)
        return args->workspace;
    return queue && queue->bytes >= need ? queue->workspace : NULL;
}

#endif
