/* Top-k over vectors. Included after a v16_*.h and its narrow_*.h.
 *
 * A heap of `count` indices lies in the caller's result; the row is read 64 elements at a time and only those
 * above the heap's root, the lowest value that is in, are looked at one by one. Where too many would be (a
 * large count, a rising row) the scan begins again from a floor: a first pass takes the maxima of CLASSES
 * classes of elements, and below a value that at least `count` maxima exceed nothing can be in. */
#ifndef ECH_KERNELS_CPU_ROWS_SELECT_H
#define ECH_KERNELS_CPU_ROWS_SELECT_H

#include <math.h>

#include "kernels/check.h"
#include "kernels/ref/narrow.h"
#include "kernels/ref/select.h"

/* From FLOOR_COUNT on a selection begins with a floor; below a SHARE of the row it is worth its pass. */
enum { CLASSES = 8192, FLOOR_COUNT = 64, FLOOR_SHARE = 16 };

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

/* A value below the last of the `count` largest, or -inf. Class c: the elements i with i mod CLASSES = c. */
static float topk_floor(const float *x, int64_t cols, int64_t count)
{
    _Alignas(64) float maxima[CLASSES];
    for (int64_t c = 0; c < CLASSES; c += 16)
        v16_store(maxima + c, v16_set(-INFINITY));
    for (int64_t i = 0; i + 16 <= cols; i += CLASSES) {
        int64_t width = cols - i < CLASSES ? (cols - i) / 16 * 16 : CLASSES;
        for (int64_t c = 0; c < width; c += 16)
            v16_store(maxima + c, v16_maximum(v16_load(x + i + c), v16_load(maxima + c)));
    }
    return floor_of(maxima, count);
}

/* What a scan of a row has found. */
struct selection {
    const float *x;
    int32_t *heap; /* a heap once `held` is `count` */
    int64_t held, count;
    int64_t patience; /* how many more may be taken */
    float limit;      /* only what is above it, or NaN, can be in */
};

/* Element i, which is above the limit that its group of 64 began with. */
static void selection_take(struct selection *s, int32_t i)
{
    if (s->held == s->count) {
        s->patience -= ech_heap_offer(s->x, s->heap, s->count, i);
    } else {
        s->heap[s->held++] = i;
        if (s->held == s->count)
            ech_heap_make(s->x, s->heap, s->count);
    }
    if (s->held == s->count)
        s->limit = s->x[s->heap[0]];
}

/* From i on in steps of 64: where something is above `limit` or NaN, or fewer than 64 are left. A loop of its
 * own: it runs at the speed of memory. */
static __attribute__((noinline)) int64_t skip_below(const float *x, int64_t i, int64_t cols, float limit)
{
    const struct v16 most = v16_set(limit);
    for (; i + 64 <= cols; i += 64) {
        uint32_t any = 0;
        FOR(v, 4) any |= v16_above(v16_load(x + i + 16 * v), most);
        if (any)
            break;
    }
    return i;
}

/* Scans [i, cols); false: out of patience. A NaN as the limit: all that are in are NaN, later ones rank
 * behind. */
static bool selection_scan(struct selection *s, int64_t i, int64_t cols)
{
    const float *x = s->x;
    while (!isnan(s->limit) && (i = skip_below(x, i, cols, s->limit)) + 64 <= cols) {
        for (uint64_t mask = above_64(x + i, v16_set(s->limit)); mask; mask &= mask - 1)
            selection_take(s, (int32_t)(i + __builtin_ctzll(mask)));
        if (s->patience <= 0)
            return false;
        i += 64;
    }
    for (; i < cols && !isnan(s->limit); i++)
        if (!(x[i] <= s->limit))
            selection_take(s, (int32_t)i);
    return true;
}

/* An empty selection above `floor`; without one, the first `count` elements. Returns where to go on. */
static int64_t selection_begin(struct selection *s, float floor, int64_t patience)
{
    int64_t i = 0;
    s->held = 0;
    s->limit = floor;
    s->patience = patience;
    while (floor == -INFINITY && i < s->count)
        selection_take(s, (int32_t)i++);
    return i;
}

static void topk_row(const float *x, int64_t cols, int64_t count, int32_t *heap)
{
    const bool able = cols >= CLASSES && cols >= FLOOR_SHARE * count && count <= CLASSES / 4 * 3;
    const bool many = able && count >= FLOOR_COUNT;
    struct selection s = {.x = x, .heap = heap, .count = count};
    int64_t i = selection_begin(&s, many ? topk_floor(x, cols, count) : -INFINITY,
                                able && !many ? FLOOR_SHARE * count + FLOOR_COUNT : INT64_MAX);
    if (!selection_scan(&s, i, cols)) {
        i = selection_begin(&s, topk_floor(x, cols, count), INT64_MAX);
        selection_scan(&s, i, cols);
    }
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
