/* ECH_FMT_BLOCK_INT8: tiles over groups of 16 or 32, and x as groups of 32. A file's blocks come here taken
 * apart (block_panel.h): a step is 32 of k; for each 16 outputs [8 words][16 outputs][4 bytes] (value +
 * offset), then a scale an output for each group of the step, then a min likewise where the type has mins.
 *
 * A step of a row of A is 13 words: 32 s8, their f32 scale, for each 16 the start of a dot (-offset x the sum
 * of the values) and what multiplies a min (-(scale x the sum)); of a group of 32 the first of each is used.
 * Sums are exact in i32; an FMA a group and one more for a min. Included after group32.h, and before the
 * block_step of the instruction set (block_madd.h, block_vnni.h). */
#ifndef ECH_KERNELS_CPU_BLOCK_TILE_H
#define ECH_KERNELS_CPU_BLOCK_TILE_H

#include "kernels/blocks.h"
#include "kernels/cpu/group32.h"
#include "kernels/cpu/product_format.h"

enum { BLOCK_STEP = 32, BLOCK_BYTES = 8 * 16 }; /* of k; words of 16 outputs' bytes */
enum { BLOCK_SCALE = 8, BLOCK_START = 9, BLOCK_MIN = 11, BLOCK_ROW_WORDS = 13 };

INLINE int64_t block_lane_words(const int groups, const bool mins)
{
    return BLOCK_BYTES + 16 * groups * (mins ? 2 : 1);
}

/* The sums of rows by vectors of 16 outputs (`lane` words apart) go on over one step, from 13 words of each
 * row at a and the step's at w. A byte is at most 63 (31 in groups of 32) unless `wide`. */
INLINE void block_step(const float *w, int64_t lane, const float *a, int64_t lda, const int rows,
                       const int vectors, const int groups, const bool mins, const bool wide,
                       struct v16 sum[][4]);

INLINE void tile_block(const struct tile *t, const int rows, const int vectors, const int groups,
                       const bool mins, const bool wide)
{
    struct v16 sum[TILE_ROWS_MAX][4];
    const float *a = t->a, *b = t->b;
    const int64_t lda = t->lda, ldb = t->ldb, lane = block_lane_words(groups, mins);
    tile_prefetch(t, rows, vectors);
    tile_sums_load(t, rows, vectors, sum);
    for (int64_t k = t->k; k > 0; k--, a += BLOCK_ROW_WORDS, b += ldb)
        block_step(b, lane, a, lda, rows, vectors, groups, mins, wide, sum);
    tile_finish(t, rows, vectors, sum);
}

/* Strips of two vectors (a panel has four) and eight rows keep 16 sums and the bytes in registers, six by
 * VNNI their dots too; AVX2 one vector, four rows. */
#if TILE_VECTORS == 4
#ifdef BLOCK_DOTS_IN_REGISTERS
enum { BLOCK_STRIP = 2, BLOCK_TILE_ROWS = 6 };
#else
enum { BLOCK_STRIP = 2, BLOCK_TILE_ROWS = 8 };
#endif
#define BLOCK_SHAPES(run, table)                                                                             \
    TILE_SHAPES_8(run, 2)                                                                                    \
    static const struct tile_table table = {{{NULL}, {TILE_NAMES_8(run, 2)}}};
#else
enum { BLOCK_STRIP = 1, BLOCK_TILE_ROWS = 4 };
#define BLOCK_SHAPES(run, table)                                                                             \
    TILE_SHAPES_6(run, 1)                                                                                    \
    static const struct tile_table table = {{{TILE_NAMES_6(run, 1)}}};
#endif

static void block_bring(const struct ech_linear_args *a, int64_t row, int64_t rows, float *to, int64_t ld,
                        float *scale)
{
    (void)scale;
    const struct ech_block_type *type = ech_block_type(a->w_type);
    const int parts = type->group == BLOCK_STEP ? 1 : 2;
    for (int64_t r = 0; r < rows; r++) {
        const float *x = (const float *)a->x + (row + r) * a->ldx;
        float *step = to + r * ld;
        for (int64_t i = 0; i < a->k; i += BLOCK_STEP, step += BLOCK_ROW_WORDS) {
            int32_t sums[2];
            const float by = group32_values(v16_load(x + i), v16_load(x + i + 16), step, sums);
            sums[0] += parts == 1 ? sums[1] : 0;
            step[BLOCK_SCALE] = by;
            for (int p = 0; p < parts; p++) {
                const int32_t start = -type->offset * sums[p];
                memcpy(step + BLOCK_START + p, &start, sizeof start);
                step[BLOCK_MIN + p] = -(by * (float)sums[p]);
            }
        }
    }
}

static bool block_in_place(const struct ech_linear_args *a)
{
    (void)a;
    return false;
}

#define BLOCK_FORMAT(name, groups, mins, wide)                                                               \
    INLINE void name(const struct tile *t, const int rows, const int vectors)                                \
    {                                                                                                        \
        tile_block(t, rows, vectors, groups, mins, wide);                                                    \
    }                                                                                                        \
    BLOCK_SHAPES(name, name##_tiles)                                                                         \
    static const struct product_format name##_format = {.unit = BLOCK_STEP,                                  \
                                                        .lane_words =                                        \
                                                            BLOCK_BYTES + 16 * (groups) * ((mins) ? 2 : 1),  \
                                                        .row_words = BLOCK_ROW_WORDS,                        \
                                                        .block = 64,                                         \
                                                        .tiles = &name##_tiles,                              \
                                                        .strip = BLOCK_STRIP,                                \
                                                        .rows = BLOCK_TILE_ROWS,                             \
                                                        .in_place = block_in_place,                          \
                                                        .bring = block_bring};

#ifdef BLOCK_BYTES_WIDE /* the dots take any byte */
#define block_wide_format block_plain_format
#else
BLOCK_FORMAT(block_wide, 1, false, true)
#endif
BLOCK_FORMAT(block_plain, 1, false, false)
BLOCK_FORMAT(block_mins, 1, true, false)
BLOCK_FORMAT(block_halves, 2, false, false)
BLOCK_FORMAT(block_halves_mins, 2, true, false)

/* The tiles of a type with groups. */
static const struct product_format *block_format(const struct ech_block_type *type)
{
    if (type->group < BLOCK_STEP)
        return type->mins ? &block_halves_mins_format : &block_halves_format;
    return type->mins ? &block_mins_format : type->offset == 128 ? &block_wide_format : &block_plain_format;
}

#endif
