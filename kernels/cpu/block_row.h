/* ECH_FMT_BLOCK for one row of x: 32 outputs side by side, their blocks taken apart in L1, an FMA as soon as
 * 16 outputs' element is a vector: no panel is written. The chains of tile_f32.h. Included after
 * block_panel.h. */
#ifndef ECH_KERNELS_CPU_BLOCK_ROW_H
#define ECH_KERNELS_CPU_BLOCK_ROW_H

enum { ROW_SIDE = 2 }; /* chains of 16 outputs that hide each other's latency */

/* One group of a step: words [from, to) of all outputs, x of the step's first element. */
INLINE void block_row_group(float words[ROW_SIDE][BLOCK_BYTES], const int from, const int to, const float *x,
                            const struct v16 *by, const struct v16 *less, const int offset, const bool mins,
                            struct v16 *sum)
{
    const struct w16 minus = w16_set_int(-offset);
    for (int i = from; i < to; i++) {
        struct w16 four[ROW_SIDE];
        FOR(v, ROW_SIDE) four[v] = w16_load(words[v] + 16 * i);
        FOR(b, 4)
        {
            const struct v16 factor = v16_set(x[4 * i + b]);
            FOR(v, ROW_SIDE)
            {
                struct v16 w = v16_mul(by[v], w16_float(w16_add(w16_byte(four[v], b), minus)));
                w = mins ? v16_sub(w, less[v]) : w;
                sum[v] = v16_fma(factor, w, sum[v]);
            }
        }
    }
}

/* 32 elements from `first` of the blocks that were taken apart. */
INLINE void block_row_step(const struct block_rows *rows, int64_t first, const float *x, const int groups,
                           const bool mins, const int offset, struct v16 *sum)
{
    _Alignas(64) float words[ROW_SIDE][BLOCK_BYTES], column[16];
    const int64_t g0 = first / (BLOCK_STEP / groups);
    FOR(v, ROW_SIDE) block_take_words(&rows[v], first, words[v]);
    FOR(g, groups)
    {
        struct v16 by[ROW_SIDE], less[ROW_SIDE];
        FOR(v, ROW_SIDE)
        {
            block_column(&rows[v].v[0].scale[g0 + g], column);
            by[v] = v16_load(column);
            less[v] = by[v];
            if (mins) {
                block_column(&rows[v].v[0].min[g0 + g], column);
                less[v] = v16_load(column);
            }
        }
        block_row_group(words, g * 8 / groups, (g + 1) * 8 / groups, x, by, less, offset, mins, sum);
    }
}

/* Outputs [first, first + 32), of which `count` exist. The lines of the next 32 are asked for on the way. */
INLINE void block_row_run(const struct ech_linear_args *a, int64_t first, int64_t count, float *sums,
                          const enum ech_wtype type, const struct ech_block_type t)
{
    const int64_t bytes = a->k / t.elements * t.bytes;
    const uint8_t *w = (const uint8_t *)a->packed + first * bytes, *ahead = w + 16 * ROW_SIDE * bytes;
    const float *x = a->x;
    struct block_rows rows[ROW_SIDE];
    struct v16 sum[ROW_SIDE];
    if (count < 16 * ROW_SIDE)
        memset(rows, 0, sizeof rows);
    FOR(v, ROW_SIDE) sum[v] = v16_zero();
    for (int64_t k = 0; k < a->k; k += t.elements, w += t.bytes) {
        for (int64_t i = 0; i < 16 * ROW_SIDE * t.bytes; i += 64)
            __builtin_prefetch(ahead + i);
        ahead += 16 * ROW_SIDE * t.bytes;
        for (int64_t j = 0; j < count; j++)
            ech_bv_values(type, w + j * bytes, &rows[j / 16].v[j % 16]);
        for (int64_t i = 0; i < t.elements; i += BLOCK_STEP)
            block_row_step(rows, i, x + k + i, (int)(BLOCK_STEP / t.group), t.mins, t.offset, sum);
    }
    FOR(v, ROW_SIDE) v16_store(sums + 16 * v, sum[v]);
}

#define BLOCK_ROWS_OF(name, ...)                                                                             \
    static void block_row_##name(const struct ech_linear_args *a, int64_t first, int64_t count, float *sums) \
    {                                                                                                        \
        block_row_run(a, first, count, sums, ECH_W_##name, (struct ech_block_type){#name, __VA_ARGS__});     \
    }
ECH_BLOCK_TYPES(BLOCK_ROWS_OF)

/* Types without groups: 16 of k of 16 outputs at a time. */
static void block_row_plain(const struct ech_linear_args *a, int64_t first, int64_t count, float *sums)
{
    const int64_t bytes = a->k * (int64_t)ech_wtype_bytes(a->w_type);
    const uint8_t *w = (const uint8_t *)a->packed + first * bytes;
    const float *x = a->x;
    struct v16 sum[ROW_SIDE];
    _Alignas(64) float part[ROW_SIDE * 256] = {0}, turned[ROW_SIDE][256];
    FOR(v, ROW_SIDE) sum[v] = v16_zero();
    for (int64_t k = 0; k < a->k; k += 16) {
        for (int64_t j = 0; j < count; j++)
            v16_store(part + 16 * j, block_load_plain(w + j * bytes, a->w_type, k, a->k));
        FOR(v, ROW_SIDE)
        {
            FOR(i, 4) v16_transpose4(turned[v] + 64 * i, 16, part + 256 * v + 4 * i, 16);
        }
        for (int64_t i = 0; i < 16 && k + i < a->k; i++)
            FOR(v, ROW_SIDE) sum[v] = v16_fma(v16_set(x[k + i]), v16_load(turned[v] + 16 * i), sum[v]);
    }
    FOR(v, ROW_SIDE) v16_store(sums + 16 * v, sum[v]);
}

#define BLOCK_ROW_NAME(name, ...) block_row_##name,
static void (*const BLOCK_ROW[ECH_WTYPES])(const struct ech_linear_args *, int64_t, int64_t, float *) = {
    block_row_plain, block_row_plain, block_row_plain, ECH_BLOCK_TYPES(BLOCK_ROW_NAME)};

static size_t block_row_bytes(int64_t k)
{
    (void)k;
    return 0;
}

static void block_row_bring(const struct ech_linear_args *a, void *x)
{
    (void)a, (void)x;
}

static void block_row(const struct ech_linear_args *a, const void *x, int64_t first, float *sums)
{
    (void)x;
    for (int64_t j = 0; j < ECH_PANEL && first + j < a->n; j += 16 * ROW_SIDE) {
        const int64_t left = a->n - first - j;
        BLOCK_ROW[a->w_type](a, first + j, left < 16 * ROW_SIDE ? left : 16 * ROW_SIDE, sums + j);
    }
}

static const struct block_vector BLOCK_ROW_F32 = {block_row_bytes, block_row_bring, block_row};

#endif
