/* ECH_FMT_INT8: what the tiles of every instruction set share. A is Q8: bytes value + 128, so the sums begin
 * at `starts` (panels_int.h) to take the 128s back; sums are exact in i32, whatever the order.
 * Included after a v16_*.h, its narrow_*.h and w16_*.h, mathv.h and rows_types.h. */
#ifndef ECH_KERNELS_CPU_INT8_H
#define ECH_KERNELS_CPU_INT8_H

#include <string.h>

#include "kernels/cpu/product_format.h"

INLINE void int8_sums_load(const struct tile *t, const int rows, const int vectors, struct w16 sum[][4])
{
    FOR(r, rows)
    {
        FOR(v, vectors) sum[r][v] = t->resume ? w16_load(t->c + r * t->ldc + 16 * v) : w16_zero();
    }
}

/* To c, or y = fma(sum, x_scale * scale, bias or 0) and out. No tail: k is 0 and so are the sums. */
INLINE void int8_finish(const struct tile *t, const int rows, const int vectors, struct w16 sum[][4])
{
    const struct tile_end *e = t->end;
    if (!e) {
        FOR(r, rows)
        {
            FOR(v, vectors) w16_store(t->c + r * t->ldc + 16 * v, sum[r][v]);
        }
        return;
    }
    struct v16 x[TILE_ROWS_MAX][4];
    FOR(v, vectors)
    {
        const float *tail = e->tail ? e->tail + e->column + 16 * v : NULL;
        struct v16 scale = tail ? v16_load(tail) : v16_zero();
        struct w16 start = tail ? w16_load(tail + e->tail_stride) : w16_zero();
        struct v16 bias = e->args->bias ? tile_column(e, e->args->bias, v) : v16_zero();
        FOR(r, rows)
        {
            struct v16 both = tail ? v16_mul(v16_set(e->x_scale[r]), scale) : v16_zero();
            x[r][v] = v16_fma(w16_float(w16_add(sum[r][v], start)), both, bias);
        }
    }
    tile_results(t, rows, vectors, x);
}

/* One row of x as Q8 bytes, ech_q8_stride(k) of them, and its scale. */
static float int8_row(const struct ech_linear_args *a, int64_t row, uint8_t *to)
{
    if (a->x_type == ECH_A_F32)
        return q8_row((const float *)a->x + row * a->ldx, a->k, to);
    memcpy(to, (const uint8_t *)a->x + row * a->ldx, (size_t)ech_q8_stride(a->k));
    return a->x_scale[row];
}

#endif
