/* Blocks with content that depends on the row alone, and the columns they fill. */
#ifndef ECH_TESTS_BLOCKS_H
#define ECH_TESTS_BLOCKS_H

#include "tests/harness.h"

#include "base/mem.h"
#include "base/str.h"
#include "job/spool.h"

/* vec: f32 x 3; words: ragged text, 0 to 12 bytes; ids: ragged i64, 0 to 3 values; pair: i64 x 2. */
static const struct ech_column test_columns[4] = {{"vec", ECH_TENSOR, ECH_F32, 3},
                                                  {"words", ECH_TEXT, ECH_U8, 0},
                                                  {"ids", ECH_INTS, ECH_I64, 0},
                                                  {"pair", ECH_INTS, ECH_I64, 2}};
enum { TEST_COLUMNS = 4 };

static inline struct ech_spool_head test_head(int attempt, int rank)
{
    return (struct ech_spool_head){.identity = {0x1234, 0x5678},
                                   .attempt = attempt,
                                   .rank = rank,
                                   .numerics = "cpu f32 test",
                                   .columns = test_columns,
                                   .columns_count = TEST_COLUMNS};
}

/* The bytes of one cell. Returns their count (at most 24). */
static inline size_t test_cell(int column, int64_t row, unsigned char *out)
{
    switch (column) {
    case 0: {
        float v[3] = {(float)row, (float)row / 2, -1};
        memcpy(out, v, sizeof v);
        return sizeof v;
    }
    case 1: {
        size_t n = (size_t)((row * 7) % 13);
        for (size_t i = 0; i < n; i++)
            out[i] = (unsigned char)('a' + (row + (int64_t)i) % 26);
        return n;
    }
    case 2: {
        int64_t v[3] = {row, -row, row * row};
        size_t n = 8 * (size_t)(row % 4);
        memcpy(out, v, n);
        return n;
    }
    default: {
        int64_t v[2] = {row * 3, ~row};
        memcpy(out, v, sizeof v);
        return sizeof v;
    }
    }
}

/* NULL where memory is short. */
static inline struct ech_block *test_block(int64_t first, int64_t rows, struct ech_err *err)
{
    struct ech_block *block;
    unsigned char cell[32];
    if (ech_block_create(TEST_COLUMNS, &block, err) != ECH_OK)
        return NULL;
    block->first = first;
    block->rows = rows;
    block->errors = rows / 5;
    block->tokens = rows * 9;
    for (int c = 0; c < TEST_COLUMNS; c++)
        for (int64_t r = first; r < first + rows; r++)
            if (ech_cells_add(&block->columns[c], cell, test_cell(c, r, cell), err) != ECH_OK) {
                ech_block_destroy(block);
                return NULL;
            }
    return block;
}

/* Cells hold rows [first, first + rows) of `column` from their row `at` on. */
static inline void assert_cells(const struct ech_cells *cells, int64_t at, int column, int64_t first,
                                int64_t rows)
{
    unsigned char cell[32];
    assert_true(cells->rows >= at + rows);
    for (int64_t i = 0; i < rows; i++) {
        size_t bytes = test_cell(column, first + i, cell);
        assert_int_equal(cells->offsets[at + i + 1] - cells->offsets[at + i], bytes);
        if (bytes)
            assert_memory_equal(cells->bytes + cells->offsets[at + i], cell, bytes);
    }
}

#endif
