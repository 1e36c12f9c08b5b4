/* Columns: the types a dataset can hold, and rows in memory. */
#ifndef ECH_DATA_COLUMN_H
#define ECH_DATA_COLUMN_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum ech_ctype {
    ECH_TEXT,   /* UTF-8 text: bytes + offsets */
    ECH_JSON,   /* text that is one JSON value a row: stored as text; exports show the value, not a string */
    ECH_TENSOR, /* [rows, dim] f32, f16 or f64 */
    ECH_INTS    /* int64: [rows, dim], or ragged (dim 0): values + offsets */
};
enum ech_dtype { ECH_U8, ECH_F16, ECH_F32, ECH_F64, ECH_I64 };

enum { ECH_NAME_MAX = 64, ECH_COLUMNS_MAX = 256 };

struct ech_column {
    char name[ECH_NAME_MAX]; /* [A-Za-z_][A-Za-z0-9_.-]*, unique in its dataset, at most 63 bytes */
    enum ech_ctype type;
    enum ech_dtype dtype;
    int64_t dim; /* values a row; 0: ragged (text, json, ragged ints) */
};

/* Bytes of one row, or -1 where rows differ. */
int64_t ech_column_row_bytes(const struct ech_column *column);
size_t ech_dtype_bytes(enum ech_dtype dtype);
const char *ech_ctype_name(enum ech_ctype type);  /* "text", "json", "tensor", "ints" */
const char *ech_dtype_name(enum ech_dtype dtype); /* "u8", "f16", "f32", "f64", "i64" */
bool ech_ctype_parse(const char *name, enum ech_ctype *out);
bool ech_dtype_parse(const char *name, enum ech_dtype *out);
bool ech_column_name_valid(const char *name);

/* Consecutive rows of one column, whatever its type: row i is bytes [offsets[i], offsets[i+1]).
 * Owner: the caller; grows on demand and is reused by the next read. */
struct ech_cells {
    int64_t rows;
    unsigned char *bytes;
    uint64_t *offsets; /* rows + 1, offsets[0] = 0 */
    size_t bytes_capacity, offsets_capacity;
};
void ech_cells_fini(struct ech_cells *cells);
int ech_cells_reset(struct ech_cells *cells, struct ech_err *err);
int ech_cells_add(struct ech_cells *cells, const void *bytes, size_t count, struct ech_err *err);

#endif
