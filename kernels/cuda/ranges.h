/* Sequences on their way to a kernel: starts are host arrays, and a launch takes up to RANGES of them by
 * value, so that nothing has to be copied to the device and kept alive. 4 KiB is what every launch may carry.
 */
#ifndef ECH_KERNELS_CUDA_RANGES_H
#define ECH_KERNELS_CUDA_RANGES_H

#include <stdint.h>

enum { RANGES = 236 };

struct ranges {
    int64_t base; /* the first row of the first one */
    int32_t start[RANGES + 1];
};

/* Keys lie where they lie: each sequence's first, from the lowest of them, and how many. */
struct key_ranges {
    int64_t base;
    int32_t start[RANGES], count[RANGES];
};

/* Sequences from `first`, at most RANGES; returns how many. */
static inline int64_t ranges_fill(struct ranges *r, const int64_t *starts, int64_t first, int64_t sequences)
{
    int64_t left = sequences - first, count = left < RANGES ? left : (int64_t)RANGES;
    r->base = starts[first];
    for (int64_t i = 0; i <= RANGES; i++)
        r->start[i] = (int32_t)(starts[first + (i < count ? i : count)] - r->base);
    return count;
}

#endif
