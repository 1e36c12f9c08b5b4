/* One row of f32 into bf16, f16 or Q8 over vectors: the bits of kernels/ref/narrow.h.
 * Included after a v16_*.h, its narrow_*.h and mathv.h. Vectors past a row's end hold zeros. */
#ifndef ECH_KERNELS_CPU_ROWS_TYPES_H
#define ECH_KERNELS_CPU_ROWS_TYPES_H

#include <math.h>
#include <string.h>

#include "kernels/ops.h"
#include "kernels/ref/narrow.h"

INLINE struct v16 row_load(const float *x, int64_t i, int64_t cols)
{
    return cols - i >= 16 ? v16_load(x + i) : v16_load_part(x + i, cols - i);
}

INLINE void row_store(float *y, int64_t i, int64_t cols, struct v16 v)
{
    if (cols - i >= 16)
        v16_store(y + i, v);
    else
        v16_store_part(y + i, v, cols - i);
}

static inline void bf16_row(const float *x, int64_t cols, uint16_t *y)
{
    int64_t i = 0;
    for (; i + 16 <= cols; i += 16)
        v16_store_bf16(y + i, v16_load(x + i));
    if (i < cols)
        v16_store_bf16_part(y + i, v16_load_part(x + i, cols - i), cols - i);
}

static inline void f16_row(const float *x, int64_t cols, uint16_t *y)
{
    for (int64_t i = 0; i < cols; i += 16)
        v16_store_halves(y + i, v16_f16_halves(row_load(x, i, cols)), cols - i);
}

/* The values of a row whose largest magnitude is known; returns the scale. Also the padding is written. */
static inline float q8_values(const float *x, int64_t cols, float most, uint8_t *y)
{
    const bool flat = most < ECH_Q8_LEAST;
    if (cols == 0)
        return 0.0f; /* y may be NULL */
    if (flat || !isfinite(most)) {
        memset(y, 128, (size_t)ech_q8_stride(cols));
        return flat ? 0.0f : most / 127.0f;
    }
    const struct v16 by = v16_set(127.0f / most);
    struct v16 v[4];
    int64_t i = 0;
    for (; i + 64 <= cols; i += 64) {
        FOR(j, 4) v[j] = v16_mul(v16_load(x + i + 16 * j), by);
        v16_store_q8(y + i, v);
    }
    if (i < cols) {
        FOR(j, 4) v[j] = cols - i > 16 * j ? v16_mul(row_load(x, i + 16 * j, cols), by) : v16_zero();
        v16_store_q8(y + i, v);
    }
    return most / 127.0f;
}

/* The largest magnitude by its bits: an infinity beats numbers, a NaN beats all. */
static inline float q8_most(const float *x, int64_t cols)
{
    struct v16 most[4] = {v16_zero(), v16_zero(), v16_zero(), v16_zero()};
    int64_t i = 0;
    for (; i + 64 <= cols; i += 64)
        FOR(v, 4) most[v] = v16_magnitude(most[v], v16_load(x + i + 16 * v));
    for (; i < cols; i += 16)
        most[0] = v16_magnitude(most[0], row_load(x, i, cols));
    FOR(v, 3) most[0] = v16_magnitude(most[0], most[v + 1]);
    return v16_largest_magnitude(most[0]);
}

static inline float q8_row(const float *x, int64_t cols, uint8_t *y)
{
    return q8_values(x, cols, q8_most(x, cols), y);
}

/* The same with a scale that is fixed (ops.h, x_multiplier). */
static inline float q8_fixed(const float *x, int64_t cols, float multiplier, uint8_t *y)
{
    const struct v16 by = v16_set(multiplier), least = v16_set(-127), largest = v16_set(127);
    struct v16 most[4] = {v16_zero(), v16_zero(), v16_zero(), v16_zero()}, v[4];
    for (int64_t i = 0; i < cols; i += 64) {
        const bool whole = cols - i >= 64;
        FOR(j, 4)
        {
            const int64_t at = i + 16 * j;
            v[j] = whole ? v16_load(x + at) : cols > at ? row_load(x, at, cols) : v16_zero();
            most[j] = v16_magnitude(most[j], v[j]);
            v[j] = v16_minimum(v16_maximum(v16_mul(v[j], by), least), largest);
        }
        v16_store_q8(y + i, v);
    }
    FOR(j, 3) most[0] = v16_magnitude(most[0], most[j + 1]);
    const float found = v16_largest_magnitude(most[0]);
    if (!isfinite(found))
        memset(y, 128, (size_t)ech_q8_stride(cols));
    return isfinite(found) ? 1.0f : found;
}

/* `scale` is written for Q8 only. */
INLINE void narrow_row(enum ech_atype type, const float *x, int64_t cols, void *y, float *scale)
{
    switch (type) {
    case ECH_A_BF16:
        bf16_row(x, cols, y);
        break;
    case ECH_A_F16:
        f16_row(x, cols, y);
        break;
    case ECH_A_Q8:
        *scale = q8_row(x, cols, y);
        break;
    default:
        if (cols > 0)
            memcpy(y, x, (size_t)cols * sizeof *x);
        break;
    }
}

#endif
