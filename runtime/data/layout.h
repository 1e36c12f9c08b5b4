/* Inside of the layout (contract: data/writer.h): which of this rank's rows lie in which shard, and where.
 *
 * Size of a row = its bytes in all columns + 8 for each ragged column (its entry in offsets). Shard key of a
 * row = floor(sizes of all rows before it, of all ranks / shard_bytes); keys without rows are skipped when
 * shards are numbered.
 *
 * Cost: pass 1 must remember the size of every own row, since where a shard ends is not known before all
 * ranks have counted. Rows of one size cost nothing. Otherwise 1 byte for each ragged column below 128 bytes,
 * 2 below 16 KiB, 3 below 2 MiB: the first MiB in memory, the rest in an unlinked file in TMPDIR. Afterwards:
 * one struct ech_part and 24 bytes a column for each shard this rank has rows in; during the agreement 56 +
 * 16 bytes a column for each rank. */
#ifndef ECH_DATA_LAYOUT_H
#define ECH_DATA_LAYOUT_H

#include "data/writer.h"

/* This rank's rows of one shard. */
struct ech_part {
    int64_t key;
    int64_t shard;        /* number of the shard */
    int64_t rows;         /* of this rank */
    int64_t row_in_shard; /* of its first row */
    int64_t shard_rows;   /* of all ranks */
    int64_t group;        /* -1: this rank alone; else the number of the shared shard, in order */
    int group_ranks_before, group_ranks_after;
};

/* Bytes of one column of a part. */
struct ech_span {
    int64_t own, before, total;
};

struct ech_sizes { /* what pass 1 remembers, layout_sizes.c */
    unsigned char *buffer;
    size_t used;
    int fd; /* -1: nothing was spilled */
    int64_t spilled;
    char path[512];
};

struct ech_layout {
    struct ech_column columns[ECH_COLUMNS_MAX];
    int count, ragged;
    int64_t shard_bytes;
    int64_t fixed_bytes; /* sizes of the fixed columns together, and 8 for each ragged one */
    int64_t rows, bytes; /* own; bytes: sum of the sizes */
    struct ech_sizes sizes;
    bool agreed;
    int64_t first_row, all_rows, shards;
    int64_t bytes_before; /* of the ranks before */
    struct ech_part *parts;
    struct ech_span *spans; /* [part_count][count] */
    size_t part_count, part_capacity, span_capacity;
};

/* Names, types, dtypes and dims that can be stored. ECH_CONFIG with the reason. */
int ech_columns_check(const struct ech_column *columns, int count, struct ech_err *err);

/* Remember the sizes of a row's ragged columns; read them again from the start. */
enum { ECH_SIZES_MEMORY = 1 << 20 };
void ech_sizes_init(struct ech_sizes *sizes);
void ech_sizes_fini(struct ech_sizes *sizes);
int ech_sizes_put(struct ech_sizes *sizes, const uint64_t *values, int count, struct ech_err *err);

struct ech_sizes_reader {
    const struct ech_sizes *sizes;
    unsigned char *chunk; /* of the spilled part */
    const unsigned char *at, *end;
    int64_t next; /* offset of the next chunk */
};
int ech_sizes_read(const struct ech_sizes *sizes, struct ech_sizes_reader *reader, struct ech_err *err);
void ech_sizes_read_end(struct ech_sizes_reader *reader);
int ech_sizes_get(struct ech_sizes_reader *reader, uint64_t *value, struct ech_err *err);

#endif
