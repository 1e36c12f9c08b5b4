/* Export: rows of a dataset as JSON Lines, CSV (always with a header row), plain lines or .npy, also packed
 * (.gz, .zst). Streamed; each rank writes its rows at their place in the one file (a packed file: rank 0
 * alone), and the bytes do not depend on the number of ranks. Importing the file with the same column types
 * gives the same rows; NaN and infinities are written as NaN, Infinity, -Infinity, which JSON proper lacks.
 */
#ifndef ECH_DATA_EXPORT_H
#define ECH_DATA_EXPORT_H

#include "comm/comm.h"
#include "data/import.h"

struct ech_export_options {
    enum ech_format format;     /* AUTO: by the target's name */
    const char *const *columns; /* names, in this order; none: all */
    int column_count;
    int64_t first, end; /* rows [first, end); end 0: to the last */
    char delimiter;     /* CSV; 0: comma, or tab for .tsv */
    bool replace;       /* an existing file is replaced */
};

struct ech_export_result {
    int64_t rows, bytes; /* bytes: before packing */
};

/* Writes TARGET.partial, then renames.
 * Calls   Collective; arguments equal on all ranks.
 * Errors  ECH_EXISTS; ECH_USAGE a column or row that is not there, a format that cannot hold the columns;
 *         ECH_DATA a row that lines cannot hold (it has a line break); ECH_IO. */
int ech_export(struct ech_comm *comm, const char *dataset, const struct ech_export_options *options,
               const char *target, struct ech_export_result *result, struct ech_err *err);

#endif
