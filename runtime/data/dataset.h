/* Reading a dataset: a folder with dataset.yaml and shards (formats: data/README.md). Readers believe only
 * the manifest. HDF5 is called at open alone (one thread); afterwards rows come by pread at the datasets'
 * offsets in their files, and reading is thread-safe. */
#ifndef ECH_DATA_DATASET_H
#define ECH_DATA_DATASET_H

#include "base/hash.h"
#include "data/column.h"

struct ech_dataset;
struct ech_manifest; /* data/manifest.h */

/* Calls   Local. Errors: ECH_NOINPUT missing; ECH_DATA not a dataset, a shard is missing, truncated or does
 *         not fit the manifest; a newer format version says so. */
int ech_dataset_open(const char *path, struct ech_dataset **out, struct ech_err *err);
/* The dataset at the generation it had when it was frozen: rows appended since are not there. `copy`: file
 * that ech_dataset_freeze wrote; NULL: the dataset as it is. */
int ech_dataset_open_frozen(const char *path, const char *copy, struct ech_dataset **out,
                            struct ech_err *err);
/* Keep the manifest in a file, so that whoever works on the dataset is not disturbed by an append. Where the
 * file is there already, the dataset must be the one it speaks of, or one that grew out of it: ECH_CONFIG
 * names the difference. Calls   Local, one process. */
int ech_dataset_freeze(const char *path, const char *copy, struct ech_err *err);
void ech_dataset_close(struct ech_dataset *ds);

const struct ech_manifest *ech_dataset_manifest(const struct ech_dataset *ds);
const char *ech_dataset_path(const struct ech_dataset *ds);
int64_t ech_dataset_rows(const struct ech_dataset *ds);
int ech_dataset_columns(const struct ech_dataset *ds);
const struct ech_column *ech_dataset_column(const struct ech_dataset *ds, int index);
/* Index of a column; a missing one is ECH_CONFIG with the nearest name and the list of those there are. */
int ech_dataset_find(const struct ech_dataset *ds, const char *name, int *index, struct ech_err *err);
/* Hash over the manifest less its provenance: what a job's identity takes as its input. */
struct ech_hash ech_dataset_identity(const struct ech_dataset *ds);

/* Rows [first, first + count) of a column, over shard boundaries. Thread-safe. cells is reused.
 * Errors  ECH_USAGE outside the dataset; ECH_IO, ECH_DATA (offsets that do not ascend: shard, column, row).
 */
int ech_dataset_read(const struct ech_dataset *ds, int column, int64_t first, int64_t count,
                     struct ech_cells *cells, struct ech_err *err);
/* Sizes only: bytes of each row into sizes[count]. */
int ech_dataset_row_sizes(const struct ech_dataset *ds, int column, int64_t first, int64_t count,
                          uint64_t *sizes, struct ech_err *err);

/* Bytes of all rows of a column (offsets not counted). */
int64_t ech_dataset_column_bytes(const struct ech_dataset *ds, int column);

/* What HDF5 this program was linked with, one line; false: it is not a parallel one. */
bool ech_data_library(char *out, size_t bytes);

#endif
