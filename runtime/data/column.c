/* Columns and rows in memory: see column.h. */
#include "data/column.h"

#include "base/mem.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "shards hold little-endian numbers as they are");

static const char *const ctype_names[] = {
    [ECH_TEXT] = "text", [ECH_JSON] = "json", [ECH_TENSOR] = "tensor", [ECH_INTS] = "ints"};

static const struct {
    const char *name;
    size_t bytes;
} dtypes[] = {
    [ECH_U8] = {"u8", 1},   [ECH_F16] = {"f16", 2}, [ECH_F32] = {"f32", 4},
    [ECH_F64] = {"f64", 8}, [ECH_I64] = {"i64", 8},
};

enum {
    CTYPES = sizeof ctype_names / sizeof ctype_names[0],
    DTYPES = sizeof dtypes / sizeof dtypes[0],
};

int64_t ech_column_row_bytes(const struct ech_column *column)
{
    return column->dim > 0 ? column->dim * (int64_t)dtypes[column->dtype].bytes : -1;
}

size_t ech_dtype_bytes(enum ech_dtype dtype)
{
    return dtypes[dtype].bytes;
}

const char *ech_ctype_name(enum ech_ctype type)
{
    return ctype_names[type];
}

const char *ech_dtype_name(enum ech_dtype dtype)
{
    return dtypes[dtype].name;
}

bool ech_ctype_parse(const char *name, enum ech_ctype *out)
{
    for (int i = 0; i < CTYPES; i++)
        if (strcmp(name, ctype_names[i]) == 0) {
            *out = (enum ech_ctype)i;
            return true;
        }
    return false;
}

bool ech_dtype_parse(const char *name, enum ech_dtype *out)
{
    for (int i = 0; i < DTYPES; i++)
        if (strcmp(name, dtypes[i].name) == 0) {
            *out = (enum ech_dtype)i;
            return true;
        }
    return false;
}

bool ech_column_name_valid(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    static const char more[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789.-";
    size_t length = strlen(name);
    return length > 0 && length < ECH_NAME_MAX && strspn(name, letters) > 0 && strspn(name, more) == length;
}

void ech_cells_fini(struct ech_cells *cells)
{
    ech_free(cells->bytes);
    ech_free(cells->offsets);
    *cells = (struct ech_cells){0};
}

int ech_cells_reset(struct ech_cells *cells, struct ech_err *err)
{
    int code = ech_grow((void **)&cells->offsets, &cells->offsets_capacity, 1, sizeof *cells->offsets, err);
    if (code != ECH_OK)
        return code;
    cells->offsets[0] = 0;
    cells->rows = 0;
    return ECH_OK;
}

int ech_cells_add(struct ech_cells *cells, const void *bytes, size_t count, struct ech_err *err)
{
    size_t rows = (size_t)cells->rows, used = rows ? (size_t)cells->offsets[rows] : 0, need;
    if (__builtin_add_overflow(used, count, &need))
        return ech_fail(err, ECH_UNAVAILABLE, "a row of %zu bytes does not fit in memory", count);
    int code =
        ech_grow((void **)&cells->offsets, &cells->offsets_capacity, rows + 2, sizeof *cells->offsets, err);
    if (code == ECH_OK)
        code = ech_grow((void **)&cells->bytes, &cells->bytes_capacity, need, 1, err);
    if (code != ECH_OK)
        return code;
    if (rows == 0)
        cells->offsets[0] = 0;
    if (count)
        memcpy(cells->bytes + used, bytes, count);
    cells->offsets[rows + 1] = need;
    cells->rows++;
    return ECH_OK;
}
