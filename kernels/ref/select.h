/* The order of top-k and a heap over it: NaN first, then larger values, then lower indices. The heap holds
 * indices into the row; its root ranks last of those held. No arithmetic: the same on every backend. */
#ifndef ECH_KERNELS_REF_SELECT_H
#define ECH_KERNELS_REF_SELECT_H

#include <stdbool.h>
#include <stdint.h>

static inline bool ech_ranks_before(const float *x, int32_t a, int32_t b)
{
    const float u = x[a], v = x[b];
    const bool u_nan = u != u, v_nan = v != v;
    if (u_nan != v_nan)
        return u_nan;
    return u > v || (!(u < v) && a < b);
}

static inline void ech_heap_sift(const float *x, int32_t *heap, int64_t count, int64_t at)
{
    const int32_t moving = heap[at];
    for (int64_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && ech_ranks_before(x, heap[child], heap[child + 1]))
            child++;
        if (!ech_ranks_before(x, moving, heap[child]))
            break;
        heap[at] = heap[child];
    }
    heap[at] = moving;
}

static inline void ech_heap_make(const float *x, int32_t *heap, int64_t count)
{
    for (int64_t at = count / 2 - 1; at >= 0; at--)
        ech_heap_sift(x, heap, count, at);
}

/* Index i, higher than all that the heap holds, joins if it ranks before the root, which leaves. */
static inline bool ech_heap_offer(const float *x, int32_t *heap, int64_t count, int32_t i)
{
    if (!ech_ranks_before(x, i, heap[0]))
        return false;
    heap[0] = i;
    ech_heap_sift(x, heap, count, 0);
    return true;
}

/* The heap becomes a list, first rank first. */
static inline void ech_heap_sort(const float *x, int32_t *heap, int64_t count)
{
    for (int64_t last = count - 1; last > 0; last--) {
        int32_t worst = heap[0];
        heap[0] = heap[last];
        heap[last] = worst;
        ech_heap_sift(x, heap, last, 0);
    }
}

#endif
