/* Import: JSON Lines, CSV, plain lines and .npy files become a dataset. The files are read in two passes
 * (sizes, then values: contiguous datasets need their size first), each rank taking the rows that begin in
 * its part of the bytes; packed files (.gz, .zst) are unpacked by one rank. Memory does not grow with the
 * files. The dataset's bytes do not depend on the number of ranks.
 *
 * JSON Lines: types follow from the values (schema.h); where the first 1,000 rows of each rank mislead, the
 * first pass is made again. A source that changes between the passes is an error. */
#ifndef ECH_DATA_IMPORT_H
#define ECH_DATA_IMPORT_H

#include "comm/comm.h"
#include "data/schema.h"

enum ech_format { ECH_FORMAT_AUTO, ECH_JSONL, ECH_CSV, ECH_LINES, ECH_NPY };
const char *ech_format_name(enum ech_format format); /* "auto", "jsonl", "csv", "lines", "npy" */
/* By name, or ECH_USAGE with the nearest one. */
int ech_format_parse(const char *name, enum ech_format *out, struct ech_err *err);
/* By a file's name, with or without .gz or .zst; .tsv is CSV with tabs. ECH_USAGE where it tells nothing. */
int ech_format_of_name(const char *path, enum ech_format *out, bool *tabs, struct ech_err *err);

struct ech_import_options {
    const char *const *sources; /* files, concatenated in this order */
    int source_count;
    enum ech_format format;
    const struct ech_want *wants; /* columns to take, in this order; none: all */
    int want_count;
    bool no_header;    /* CSV: columns are c0, c1, ... */
    char delimiter;    /* CSV; 0: comma, or tab for .tsv */
    bool keep_invalid; /* store text that is not UTF-8 (it is reported when used); otherwise an error */
    bool replace;      /* an existing dataset is replaced */
    bool append;       /* the rows are added to the existing dataset `target`, whose columns they must have */
    int64_t shard_bytes; /* 0: 256 MiB */
    int64_t row_max;     /* bytes of a row in the file; 0: 64 MiB */
};

struct ech_import_result {
    int64_t rows, bytes; /* added */
    int columns, files;
    int passes; /* over the files */
};

/* target: folder of the dataset. Nothing but TARGET.partial-<tag> is written before the final rename, and
 * that is removed after an error.
 * Calls   Collective; options equal on all ranks.
 * Errors  ECH_DATA with file:line:column of the first bad row; ECH_NOINPUT; ECH_EXISTS; ECH_USAGE; ECH_IO. */
int ech_import(struct ech_comm *comm, const struct ech_import_options *options, const char *target,
               struct ech_import_result *result, struct ech_err *err);

#endif
