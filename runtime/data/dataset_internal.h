/* Inside of a dataset, for dataset.c and verify.c. Cost: 48 bytes a column for each shard, beside the
 * manifest; at most ECH_OPEN_FILES open files. */
#ifndef ECH_DATA_DATASET_INTERNAL_H
#define ECH_DATA_DATASET_INTERNAL_H

#include "data/dataset.h"
#include "data/manifest.h"

#include <pthread.h>

enum { ECH_OPEN_FILES = 64 };

struct ech_open_file {
    int64_t shard; /* -1: free */
    int fd, users;
    uint64_t last_use;
};

struct ech_dataset {
    char *path;
    struct ech_manifest manifest;
    struct ech_place *places; /* [shard_count][column_count] */
    pthread_mutex_t lock;     /* of what follows */
    struct ech_open_file files[ECH_OPEN_FILES];
    uint64_t uses;
};

enum ech_shard_part { ECH_PART_MAIN, ECH_PART_OFFSETS, ECH_PART_CHECKS };

const struct ech_place *ech_dataset_place(const struct ech_dataset *ds, int64_t shard, int column);
/* Shard that holds a row of the dataset. */
int64_t ech_dataset_shard_of(const struct ech_dataset *ds, int64_t row);
/* Bytes [first, first + bytes) of one part of a column; they lie inside it. Thread-safe. */
int ech_dataset_read_range(const struct ech_dataset *ds, int64_t shard, int column, enum ech_shard_part part,
                           int64_t first, size_t bytes, void *to, struct ech_err *err);
/* offsets[rows + 1] of a ragged column from a row of the shard on, checked: ascending, inside the column. */
int ech_dataset_read_offsets(const struct ech_dataset *ds, int column, int64_t shard, int64_t row,
                             int64_t rows, uint64_t *offsets, struct ech_err *err);

#endif
