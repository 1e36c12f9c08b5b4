/* Top-k over vectors. Included after a v16_*.h and its narrow_*.h.
 *
 * A heap of `count` indices lies in the caller's result; the row is read 64 elements at a time and only those
 * above the heap's root, the lowest value that is in, are looked at one by one. A large count would begin
 * with a long climb of the root: there a first pass takes the maxima of CLASSES classes of elements, and a
 * value that at least `count` maxima exceed is a floor below which nothing can be in. */
#ifndef ECH_KERNELS_CPU_ROWS_SELECT_H
#define ECH_KERNELS_CPU_ROWS_SELECT_H

#include <math.h>

#include "kernels/check.h"
#include "kernels/ref/narrow.h"
#include "kernels/ref/select.h"

enum { CLASSES = 4096, FLOOR_COUNT = 64, FLOOR_SHARE = 16 };

/* Bit i: element i of 64 is above `limit` or NaN. */
INLINE uint64_t above_64(const float *x, struct v16 limit)
{
    uint64_t mask = 0;
    FOR(v, 4) mask |= (uint64_t)v16_above(v16_load(x + 16 * v), limit) << 16 * v;
    return mask;
}

/* Floats in ascending order as ascending integers, and back. */
static int32_t ordered(int32_t bits)
{
    return bits < 0 ? bits ^ 0x7fffffff : bits;
}

/* The largest value that at least `count` of the maxima exceed; -inf if there is none. */
static float floor_of(const float *maxima, int64_t count)
{
    int64_t low = ordered((int32_t)0xff800000), high = ordered(0x7f800000);
    while (high - low > 1) {
        int64_t middle = (low + high) / 2, found = 0;
        const float value = ech_from_bits((uint32_t)ordered((int32_t)middle));
        for (int64_t i = 0; i < CLASSES; i += 64)
            found += __builtin_popcountll(above_64(maxima + i, v16_set(value)));
        *(found >= count ? &low : &high) = middle;
    }
    return ech_from_bits((uint32_t)ordered((int32_t)low));
}

/* A value below the last of the `count` largest, or -inf. */
static float topk_floor(const float *x, int64_t cols, int64_t count)
{
    if (count < FLOOR_COUNT || count > CLASSES / 2 || cols < CLASSES || cols < FLOOR_SHARE * count)
        return -INFINITY;
    _Alignas(64) float maxima[CLASSES];
    const int64_t vectors = cols / 16, parts = CLASSES / 16;
    for (int64_t p = 0; p < parts; p++) {
        struct v16 most = v16_set(-INFINITY);
        for (int64_t v = vectors * p / parts; v < vectors * (p + 1) / parts; v++)
            most = v16_maximum(v16_load(x + 16 * v), most);
        v16_store(maxima + 16 * p, most);
    }
    return floor_of(maxima, count);
}

/* What a scan of a row has found. */
struct selection {
    const float *x;
    int32_t *heap; /* a heap once `held` is `count` */
    int64_t held, count;
    float limit; /* only what is above it, or NaN, can be in */
};

/* Element i, which is above the limit that its group of 64 began with. */
static void selection_take(struct selection *s, int32_t i)
{
    if (s->held == s->count) {
        if (ech_heap_offer(s->x, s->heap, s->count, i))
            s->limit = s->x[s->heap[0]];
        return;
    }
    s->heap[s->held++] = i;
    if (s->held == s->count) {
        ech_heap_make(s->x, s->heap, s->count);
        s->limit = s->x[s->heap[0]];
    }
}

static void topk_row(const float *x, int64_t cols, int64_t count, int32_t *heap)
{
    struct selection s = {.x = x, .heap = heap, .count = count, .limit = topk_floor(x, cols, count)};
    int64_t i = 0;
    for (; s.limit == -INFINITY && s.held < count; i++)
        selection_take(&s, (int32_t)i);
    /* A NaN as the limit: all that are in are NaN, and later ones rank behind. */
    for (; i + 64 <= cols && !isnan(s.limit); i += 64)
        for (uint64_t mask = above_64(x + i, v16_set(s.limit)); mask; mask &= mask - 1)
            selection_take(&s, (int32_t)(i + __builtin_ctzll(mask)));
    for (; i < cols && !isnan(s.limit); i++)
        if (!(x[i] <= s.limit))
            selection_take(&s, (int32_t)i);
    ech_heap_sort(x, heap, count);
}

static int topk(struct ech_queue *queue, const struct ech_topk_args *a)
{
    (void)queue;
    int rc = ech_check_topk(a);
    if (rc || a->count == 0)
        return rc;
    for (int64_t r = 0; r < a->rows; r++) {
        const float *x = a->x + r * a->ldx;
        int32_t *indices = a->indices + r * a->count;
        topk_row(x, a->cols, a->count, indices);
        for (int64_t i = 0; a->values && i < a->count; i++)
            a->values[r * a->count + i] = x[indices[i]];
    }
    return ECH_OP_OK;
}

#endif
