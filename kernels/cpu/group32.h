/* 32 elements of a row of x as s8 with a scale of their own: how ECH_FMT_INT4 and ECH_FMT_BLOCK_INT8 take x.
 * Included after a v16_*.h, its narrow_*.h and w16_*.h, mathv.h and rows_types.h. */
#ifndef ECH_KERNELS_CPU_GROUP32_H
#define ECH_KERNELS_CPU_GROUP32_H

/* Values at `to` (32 bytes), their sums over the first and the second 16; returns the scale. A NaN or an
 * infinity: zeros, and that as the scale. */
INLINE float group32_values(struct v16 x0, struct v16 x1, void *to, int32_t sums[2])
{
    const float most = v16_largest_magnitude(v16_magnitude(v16_magnitude(v16_zero(), x0), x1));
    const bool flat = most < ECH_Q8_LEAST, zeros = flat || !isfinite(most);
    struct w16 q0 = w16_zero(), q1 = w16_zero();
    if (!zeros) {
        const struct v16 by = v16_set(127.0f / most);
        q0 = w16_round(v16_mul(x0, by));
        q1 = w16_round(v16_mul(x1, by));
    }
    w16_store_bytes(to, q0);
    w16_store_bytes((char *)to + 16, q1);
    sums[0] = w16_sum(q0);
    sums[1] = w16_sum(q1);
    return flat ? 0.0f : most / 127.0f;
}

#endif
