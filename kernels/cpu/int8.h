/* ECH_FMT_INT8: what the tiles of every instruction set share. A is Q8: bytes value + 128, so the sums begin
 * at `starts` (panels_int.h) to take the 128s back; sums are exact in i32, whatever the order.
 * Included after a v16_*.h, its narrow_*.h and w16_*.h, mathv.h and rows_types.h. */
#ifndef ECH_KERNELS_CPU_INT8_H
#define ECH_KERNELS_CPU_INT8_H

#include <string.h>

#include "kernels/cpu/product_format.h"
#include "kernels/panels.h"

INLINE void int8_sums_load(const struct tile *t, const int rows, const int vectors, struct w16 sum[][4])
{
    FOR(r, rows)
    {
        FOR(v, vectors) sum[r][v] = t->resume ? w16_load(t->c + r * t->ldc + 16 * v) : w16_zero();
    }
}

/* What the end of a tile reads, by column and row (whole vectors also where columns are missing), and where
 * its f32 or bf16 results go. */
struct int8_end {
    const float *scale, *start, *bias, *x_scale, *residual;
    char *out;
    int64_t out_bytes, ldr; /* between rows */
    bool half;
};

/* `room`: for a bias whose last vector is not whole. */
INLINE struct int8_end int8_end_of(const struct tile *t, const int vectors, float *room)
{
    static const float ZEROS[ECH_PANEL] = {0};
    const struct tile_end *e = t->end;
    const struct ech_linear_args *a = e->args;
    struct int8_end f = {.scale = ZEROS, .start = ZEROS, .bias = ZEROS, .x_scale = ZEROS};
    if (e->tail) { /* else k is 0, and so are the sums */
        f.scale = e->tail + e->column;
        f.start = f.scale + e->tail_stride;
        f.x_scale = e->x_scale;
    }
    if (a->bias && a->n - e->column >= 16 * vectors)
        f.bias = a->bias + e->column;
    else if (a->bias) {
        FOR(v, vectors) v16_store(room + 16 * v, tile_column(e, a->bias, v));
        f.bias = room;
    }
    f.out = e->direct ? e->y : (char *)t->c;
    f.out_bytes = e->direct ? e->y_bytes : 4 * t->ldc;
    f.half = e->direct && a->y_type == ECH_A_BF16;
    f.residual = e->direct ? e->residual : NULL;
    f.ldr = a->ldr;
    return f;
}

/* To c, or y = fma(sum, x_scale * scale, bias or 0) and out. The barrier keeps what is for the end out of the
 * loop's registers: the first loads of the next tile must not wait for vectors. */
INLINE void int8_finish(const struct tile *t, const int rows, const int vectors, struct w16 sum[][4])
{
    __asm__ volatile("" ::: "memory");
    if (!t->end) {
        FOR(r, rows)
        {
            FOR(v, vectors) w16_store(t->c + r * t->ldc + 16 * v, sum[r][v]);
        }
        return;
    }
    _Alignas(64) float room[ECH_PANEL];
    const struct int8_end f = int8_end_of(t, vectors, room);
    struct v16 scale[4];
    FOR(v, vectors)
    {
        const struct w16 start = w16_load(f.start + 16 * v);
        scale[v] = v16_load(f.scale + 16 * v);
        FOR(r, rows) sum[r][v] = w16_add(sum[r][v], start);
    }
    FOR(r, rows)
    {
        const struct v16 x_scale = v16_set(f.x_scale[r]);
        struct v16 x[4];
        FOR(v, vectors)
        x[v] = v16_fma(w16_float(sum[r][v]), v16_mul(x_scale, scale[v]), v16_load(f.bias + 16 * v));
        if (f.residual) {
            FOR(v, vectors) x[v] = v16_add(x[v], v16_load(f.residual + r * f.ldr + 16 * v));
        }
        char *out = f.out + r * f.out_bytes;
        if (f.half) {
            FOR(v, vectors) v16_store_bf16((uint16_t *)out + 16 * v, x[v]);
        } else {
            FOR(v, vectors) v16_store((float *)out + 16 * v, x[v]);
        }
    }
}

/* Rows of x as Q8 bytes, ech_q8_stride(k) of them at to + r * ld (bytes), and their scales. Four rows at a
 * time: the division of one hides behind the others. */
static void int8_rows(const struct ech_linear_args *a, int64_t row, int64_t rows, uint8_t *to, int64_t ld,
                      float *scale)
{
    if (a->x_type == ECH_A_Q8) {
        for (int64_t r = 0; r < rows; r++) {
            memcpy(to + r * ld, (const uint8_t *)a->x + (row + r) * a->ldx, (size_t)ech_q8_stride(a->k));
            scale[r] = a->x_scale[row + r];
        }
        return;
    }
    const float *x = (const float *)a->x + row * a->ldx;
    for (int64_t r = 0; r < rows && a->x_multiplier > 0; r++)
        scale[r] = q8_fixed(x + r * a->ldx, a->k, a->x_multiplier, to + r * ld);
    for (int64_t r = 0; r < rows && a->x_multiplier == 0; r += 4) {
        const int64_t end = rows - r < 4 ? rows : r + 4;
        for (int64_t i = r; i < end; i++)
            scale[i] = q8_most(x + i * a->ldx, a->k);
        for (int64_t i = r; i < end; i++)
            scale[i] = q8_values(x + i * a->ldx, a->k, scale[i], to + i * ld);
    }
}

#endif
