/* The header of a NumPy .npy file (versions 1, 2, 3): magic, version, length, a Python dictionary, padding.
 * Pure: no I/O. Refused with a reason: big-endian, Fortran order, objects, strings, more than 2 dimensions.
 */
#ifndef ECH_DATA_NPY_H
#define ECH_DATA_NPY_H

#include "base/str.h"
#include "data/column.h"

enum { ECH_NPY_HEADER_MAX = 1 << 20, ECH_NPY_PROLOGUE = 12 };

struct ech_npy {
    int64_t rows, dim;    /* shape (rows,) has dim 1 */
    char kind;            /* 'f' float, 'i' signed, 'u' unsigned, 'b' bool */
    int item_bytes;       /* of one value */
    int64_t header_bytes; /* where the values begin */
};

/* Length of the whole header, from the file's first ECH_NPY_PROLOGUE bytes (fewer: a short file).
 * Errors  ECH_DATA: not a .npy file, unknown version, header larger than ECH_NPY_HEADER_MAX. */
int ech_npy_header_bytes(const void *start, size_t bytes, size_t *header_bytes, struct ech_err *err);
/* header: that many bytes. Errors: ECH_DATA; rows * dim * item_bytes fits int64 on success. */
int ech_npy_parse(const void *header, size_t bytes, struct ech_npy *out, struct ech_err *err);
/* The column that holds such values: tensor of the same width, or ints. name is copied. */
struct ech_column ech_npy_column(const struct ech_npy *npy, const char *name);
/* Append a version 1 header for a column of fixed size (tensor, or ints as int64). */
void ech_npy_put_header(struct ech_str *out, const struct ech_column *column, int64_t rows);

#endif
