/* Makes the same dataset on any number of ranks: every column type, rows from a seed, each rank its share. */
#ifndef ECH_TESTS_DATA_MAKE_H
#define ECH_TESTS_DATA_MAKE_H

#include "base/mem.h"
#include "data/writer.h"

#include <stdio.h>
#include <string.h>

static const struct ech_column make_columns[] = {
    {.name = "text", .type = ECH_TEXT, .dtype = ECH_U8},
    {.name = "meta", .type = ECH_JSON, .dtype = ECH_U8},
    {.name = "vector", .type = ECH_TENSOR, .dtype = ECH_F32, .dim = 5},
    {.name = "half", .type = ECH_TENSOR, .dtype = ECH_F16, .dim = 3},
    {.name = "wide", .type = ECH_TENSOR, .dtype = ECH_F64, .dim = 1},
    {.name = "id", .type = ECH_INTS, .dtype = ECH_I64, .dim = 1},
    {.name = "tokens", .type = ECH_INTS, .dtype = ECH_I64},
};
enum { MAKE_COLUMNS = sizeof make_columns / sizeof make_columns[0], MAKE_CELL = 4096 };

static inline uint64_t make_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Cell of a row and column: depends on these alone. Returns its bytes. */
static inline size_t make_cell(int64_t row, int column, unsigned char out[MAKE_CELL])
{
    uint64_t seed = (uint64_t)row * 131 + (uint64_t)column;
    uint64_t first = make_random(&seed);
    const struct ech_column *c = &make_columns[column];
    int64_t width = ech_column_row_bytes(c);
    size_t bytes = width > 0             ? (size_t)width
                   : c->dtype == ECH_I64 ? (size_t)(first % 9) * 8
                   : row % 50 == 7       ? 0
                   : row % 97 == 11      ? 3000
                                         : (size_t)(first % 200);
    if (c->type == ECH_JSON)
        return (size_t)snprintf((char *)out, MAKE_CELL, "{\"row\": %lld}", (long long)row);
    if (c->type == ECH_TEXT) {
        static const char *const letters[] = {"a", "b", " ", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
        size_t used = 0;
        while (used + 4 <= bytes) {
            const char *letter = letters[make_random(&seed) % 6];
            memcpy(out + used, letter, strlen(letter));
            used += strlen(letter);
        }
        return used;
    }
    if (c->dtype == ECH_F32 || c->dtype == ECH_F64) { /* numbers, not NaNs */
        for (size_t i = 0; i < bytes / ech_dtype_bytes(c->dtype); i++) {
            double value = (double)(make_random(&seed) % 100000) / 64;
            float narrow = (float)value;
            memcpy(out + i * ech_dtype_bytes(c->dtype),
                   c->dtype == ECH_F32 ? (void *)&narrow : (void *)&value, ech_dtype_bytes(c->dtype));
        }
        return bytes;
    }
    for (size_t i = 0; i < bytes; i++)
        out[i] = (unsigned char)(make_random(&seed) & 0x3f);
    return bytes;
}

struct make_plan {
    int64_t rows, shard_bytes, slice, first_row;
    const int64_t *cuts; /* [size + 1] first row of each rank, or NULL: equal shares */
};

static inline int64_t make_cut(const struct make_plan *plan, int rank, int size)
{
    return plan->cuts ? plan->cuts[rank] : plan->rows * rank / size;
}

static inline int make_count(struct ech_comm *comm, const struct make_plan *plan, struct ech_layout *layout,
                             struct ech_err *err)
{
    unsigned char cell[MAKE_CELL];
    int rank = ech_comm_rank(comm), size = ech_comm_size(comm), code = ECH_OK;
    for (int64_t row = make_cut(plan, rank, size); row < make_cut(plan, rank + 1, size) && code == ECH_OK;
         row++) {
        uint64_t bytes[MAKE_COLUMNS];
        for (int c = 0; c < MAKE_COLUMNS; c++)
            bytes[c] = make_cell(plan->first_row + row, c, cell);
        code = ech_layout_add(layout, bytes, err);
    }
    return code;
}

/* One column in slices of plan->slice rows. */
static inline int make_append(struct ech_comm *comm, const struct make_plan *plan, struct ech_writer *writer,
                              int column, struct ech_err *err)
{
    unsigned char cell[MAKE_CELL];
    int rank = ech_comm_rank(comm), size = ech_comm_size(comm), code = ECH_OK;
    int64_t row = make_cut(plan, rank, size), end = make_cut(plan, rank + 1, size);
    struct ech_cells cells = {0};
    uint64_t *sizes = ech_calloc((size_t)plan->slice, sizeof *sizes, err);
    if (!sizes)
        return ECH_UNAVAILABLE;
    while (row < end && code == ECH_OK) {
        code = ech_cells_reset(&cells, err);
        for (int64_t i = 0; i < plan->slice && row < end && code == ECH_OK; i++, row++) {
            sizes[i] = make_cell(plan->first_row + row, column, cell);
            code = ech_cells_add(&cells, cell, sizes[i], err);
        }
        if (code == ECH_OK)
            code = ech_writer_append(writer, column, cells.bytes, sizes, cells.rows, err);
    }
    ech_cells_fini(&cells);
    ech_free(sizes);
    return code;
}

/* The whole of it; collective. */
static inline int make_dataset(struct ech_comm *comm, const struct make_plan *plan, const char *partial,
                               const struct ech_publish *how, struct ech_err *err)
{
    struct ech_layout *layout = NULL;
    struct ech_writer *writer = NULL;
    struct ech_err local = ECH_ERR_NONE;
    if (ech_layout_create(make_columns, MAKE_COLUMNS, plan->shard_bytes, &layout, &local) == ECH_OK)
        make_count(comm, plan, layout, &local);
    int code = ech_agree(comm, &local);
    if (code == ECH_OK)
        code = ech_layout_agree(layout, comm, &local);
    if (code == ECH_OK)
        code = ech_writer_open(comm, partial, layout, &writer, &local);
    if (code == ECH_OK) {
        for (int c = 0; c < MAKE_COLUMNS; c++)
            make_append(comm, plan, writer, c, &local);
        code = ech_agree(comm, &local);
        if (code == ECH_OK)
            code = ech_writer_publish(writer, how, &local);
    }
    ech_writer_close(writer);
    ech_layout_destroy(layout);
    if (code != ECH_OK && err->code == ECH_OK)
        *err = local;
    return code;
}

#endif
