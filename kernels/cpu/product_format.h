/* What a format brings to the product (product.h); plain data and functions, so that a file compiled for more
 * instructions than the backend asks for (dpbf16, VNNI) can bring them.
 *
 * Packed weights are panels of 64 columns, each `steps` steps of `4 lane_words` words, then `tail` values a
 * column: [tail][64 panels] f32. kernels/panels.c packs them; the layout is that of ref_exact too. */
#ifndef ECH_KERNELS_CPU_PRODUCT_FORMAT_H
#define ECH_KERNELS_CPU_PRODUCT_FORMAT_H

#include "kernels/cpu/tile.h"

struct product_format {
    int64_t unit; /* elements of k in a step */
    int64_t
        lane_words; /* words that 16 columns take in a step: 16, unless a step holds more than a word each */
    int64_t row_words; /* words that a row of x takes in a step: 1 likewise */
    int64_t block;     /* steps in a block of k: 4 lane_words block words are a few times L1 */
    int64_t tail;      /* f32 values a column after the panels */
    const struct tile_table *tiles;
    int64_t strip,
        rows; /* vectors of a strip and rows of a tile where the format has its own; 0: by the rows */

    /* May x be A as it lies (stride a->ldx elements)? Then `bring` is not called; x_scale is a->x_scale. */
    bool (*in_place)(const struct ech_linear_args *a);
    /* Rows [row, row + rows) of x become A at `to` (row stride `ld` words; zeros up to whole steps), and
     * their scales where the format has one. */
    void (*bring)(const struct ech_linear_args *a, int64_t row, int64_t rows, float *to, int64_t ld,
                  float *scale);
};

/* One row of x (m is 1) on a file's own blocks: what is made of the row (bytes, bring), and the sums of
 * outputs [first, first + 64), as many as there are (whole vectors of sums are written). */
struct block_vector {
    size_t (*bytes)(int64_t k);
    void (*bring)(const struct ech_linear_args *a, void *x);
    void (*run)(const struct ech_linear_args *a, const void *x, int64_t first, float *sums);
};

#endif
