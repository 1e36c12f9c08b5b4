/* A file's blocks, 64 rows of them, taken apart into a panel in scratch: bytes for the tiles of block_tile.h,
 * or f32 for those of ECH_FMT_F32. Included after block_tile.h. */
#ifndef ECH_KERNELS_CPU_BLOCK_PANEL_H
#define ECH_KERNELS_CPU_BLOCK_PANEL_H

#include "kernels/blocks_values.h"
#include "kernels/panels.h"

/* A block of each of 16 rows. Rows past the last are zeros with scales of 0. */
struct block_rows {
    struct ech_block_values v[16];
};

enum { BLOCK_ROWS_LD = sizeof(struct ech_block_values) / sizeof(float) };

/* The bytes of 32 elements from `first` on: [8 words][16 rows]. */
INLINE void block_take_words(const struct block_rows *rows, int64_t first, float *to)
{
    const float *from = (const float *)(const void *)(rows->v[0].bytes + first);
    FOR(i, 2) v16_transpose4(to + 64 * i, 16, from + 4 * i, BLOCK_ROWS_LD);
}

/* A value a row. */
INLINE void block_column(const float *from, float *to)
{
    FOR(j, 16) to[j] = from[j * BLOCK_ROWS_LD];
}

/* The step at element `first` of a block, 16 outputs. */
INLINE void block_step_bytes(const struct block_rows *rows, int64_t first, const int groups, const bool mins,
                             float *to)
{
    const int64_t g0 = first / (BLOCK_STEP / groups);
    block_take_words(rows, first, to);
    FOR(g, groups)
    {
        block_column(&rows->v[0].scale[g0 + g], to + BLOCK_BYTES + 16 * g);
        if (mins)
            block_column(&rows->v[0].min[g0 + g], to + BLOCK_BYTES + 16 * (groups + g));
    }
}

/* The same as 32 rows of f32, 64 apart. */
INLINE void block_step_f32(const struct block_rows *rows, int64_t first, const int groups, const bool mins,
                           const int offset, float *to)
{
    _Alignas(64) float words[BLOCK_BYTES], scale[16], min[16];
    const int64_t g0 = first / (BLOCK_STEP / groups);
    const struct w16 minus = w16_set_int(-offset);
    block_take_words(rows, first, words);
    FOR(g, groups)
    {
        block_column(&rows->v[0].scale[g0 + g], scale);
        if (mins)
            block_column(&rows->v[0].min[g0 + g], min);
        const struct v16 by = v16_load(scale), less = mins ? v16_load(min) : v16_zero();
        for (int i = g * 8 / groups; i < (g + 1) * 8 / groups; i++) {
            const struct w16 four = w16_load(words + 16 * i);
            FOR(b, 4)
            {
                struct v16 x = v16_mul(by, w16_float(w16_add(w16_byte(four, b), minus)));
                v16_store(to + (4 * i + b) * ECH_PANEL, mins ? v16_sub(x, less) : x);
            }
        }
    }
}

/* Outputs [first, first + 16) of W, of which `rows` exist. `lane` words on at each step. */
INLINE void block_lane(const struct ech_linear_args *a, int64_t first, int64_t rows, float *to,
                       const enum ech_wtype type, const struct ech_block_type t, const bool f32)
{
    const int groups = (int)(BLOCK_STEP / t.group);
    const int64_t bytes = a->k / t.elements * t.bytes,
                  step = f32 ? BLOCK_STEP * ECH_PANEL : 4 * block_lane_words(groups, t.mins);
    const uint8_t *w = (const uint8_t *)a->packed + first * bytes;
    struct block_rows block;
    if (rows < 16)
        memset(&block, 0, sizeof block);
    for (int64_t k = 0; k < a->k; k += t.elements, w += t.bytes) {
        for (int64_t j = 0; j < rows; j++)
            ech_bv_values(type, w + j * bytes, &block.v[j]);
        for (int64_t i = 0; i < t.elements; i += BLOCK_STEP, to += step)
            if (f32)
                block_step_f32(&block, i, groups, t.mins, t.offset, to);
            else
                block_step_bytes(&block, i, groups, t.mins, to);
    }
}

/* A function a type and form, so that sizes and the way to take a block apart are constants. */
#define BLOCK_LANES(name, ...)                                                                               \
    static void block_lane_##name##_bytes(const struct ech_linear_args *a, int64_t first, int64_t rows,      \
                                          float *to)                                                         \
    {                                                                                                        \
        block_lane(a, first, rows, to, ECH_W_##name, (struct ech_block_type){#name, __VA_ARGS__}, false);    \
    }                                                                                                        \
    static void block_lane_##name##_f32(const struct ech_linear_args *a, int64_t first, int64_t rows,        \
                                        float *to)                                                           \
    {                                                                                                        \
        block_lane(a, first, rows, to, ECH_W_##name, (struct ech_block_type){#name, __VA_ARGS__}, true);     \
    }
ECH_BLOCK_TYPES(BLOCK_LANES)

/* By type: those without groups have none. */
#define BLOCK_LANES_NAME(name, ...) {block_lane_##name##_bytes, block_lane_##name##_f32},
static void (*const BLOCK_LANE[ECH_WTYPES][2])(const struct ech_linear_args *, int64_t, int64_t, float *) = {
    {NULL}, {NULL}, {NULL}, ECH_BLOCK_TYPES(BLOCK_LANES_NAME)};

/* 16 elements of a row of a type without blocks. */
INLINE struct v16 block_load_plain(const uint8_t *row, enum ech_wtype type, int64_t i, int64_t k)
{
    float x[16] = {0};
    if (k - i >= 16 && type == ECH_W_F16)
        return v16_from_f16((const uint16_t *)(const void *)(row + 2 * i));
    if (k - i >= 16 && type == ECH_W_BF16)
        return v16_from_bf16((const uint16_t *)(const void *)(row + 2 * i));
    if (k - i >= 16)
        return v16_load((const float *)(const void *)(row + 4 * i));
    for (int64_t j = 0; i + j < k; j++)
        x[j] = ech_load_weight(row, type, i + j);
    return v16_load(x);
}

static void block_lane_plain(const struct ech_linear_args *a, int64_t first, int64_t rows, float *to)
{
    _Alignas(64) float part[16 * 16] = {0}, turned[16 * 16];
    const int64_t bytes = a->k * (int64_t)ech_wtype_bytes(a->w_type);
    for (int64_t k = 0; k < a->k; k += 16) {
        const int64_t count = a->k - k < 16 ? a->k - k : 16;
        for (int64_t j = 0; j < rows; j++)
            v16_store(part + 16 * j,
                      block_load_plain((const uint8_t *)a->packed + (first + j) * bytes, a->w_type, k, a->k));
        FOR(i, 4) v16_transpose4(turned + 64 * i, 16, part + 4 * i, 16);
        for (int64_t i = 0; i < count; i++)
            v16_store(to + (k + i) * ECH_PANEL, v16_load(turned + 16 * i));
    }
}

/* Panel `panel` of W at `to`; `lane`: words between 16 outputs and the next 16 in a step. */
static void block_panel(const struct ech_linear_args *a, int64_t panel, int64_t lane, float *to)
{
    for (int64_t v = 0; v < 4; v++) {
        const int64_t first = panel * ECH_PANEL + 16 * v, left = a->n - first,
                      rows = left < 0    ? 0
                             : left < 16 ? left
                                         : 16;
        if (ech_block_type(a->w_type)->group == 0)
            block_lane_plain(a, first, rows, to + lane * v);
        else
            BLOCK_LANE[a->w_type][a->format == ECH_FMT_BLOCK](a, first, rows, to + lane * v);
    }
}

#endif
