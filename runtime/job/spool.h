/* The spool: a rank's finished rows on the shared file system, append-only and checksummed. A row counts once
 * its record is whole, its checksum is good and the file was synced. All integers little endian.
 *
 * File: header (256 bytes)
 *     0  char[8]  "ECHSPOOL"
 *     8  u32      version 1
 *    12  u32      columns (1..256)
 *    16  u128     identity of the job (high, low)
 *    32  u32      attempt, u32 rank
 *    40  char[64] numerics class, NUL-padded
 *   104  u128     hash of the columns' names, types and dims, in order
 *   120  zeros
 *   248  u64      low half of XXH3-128 over bytes 0..247
 * then records, each at a multiple of 8:
 *     0  char[8]  "ECHRECRD"
 *     8  u32      epoch, u32 step (0 until a kind iterates)
 *    16  i64      first row, i64 rows (>= 1)
 *    32  i64      rows that ended in the errors column, i64 tokens
 *    48  u64      payload bytes, u64 reserved (0)
 *    64  u128     XXH3-128 of the payload
 *    80  u64      bytes of each column in the payload, one a column
 *  80+8c u64      low half of XXH3-128 over all of the record's bytes before
 *  88+8c payload: the columns one after the other: fixed-size rows: their bytes; ragged: u64 length a row,
 * then the bytes; zero-padded to a multiple of 8 (padding not in `payload bytes`, not hashed) Row ranges of
 * different records may overlap (re-executed rows): equal bytes within a numerics class. */
#ifndef ECH_JOB_SPOOL_H
#define ECH_JOB_SPOOL_H

#include "base/hash.h"
#include "base/rowset.h"
#include "data/column.h"

struct ech_spool_head {
    struct ech_hash identity;
    int attempt, rank;
    char numerics[64];
    const struct ech_column *columns; /* borrowed */
    int columns_count;
};

/* Finished rows, column by column (in the order of the output's produced columns). */
struct ech_block {
    int64_t first, rows, errors, tokens;
    int columns_count;
    struct ech_cells *columns; /* each `rows` long */
};
/* Cells ready to be filled. Owner: the caller. */
int ech_block_create(int columns_count, struct ech_block **out, struct ech_err *err);
void ech_block_destroy(struct ech_block *block);

/* Encoding is pure: a header or one record appended to `out` (job/spool_io.c writes it). */
struct ech_str;
int ech_spool_put_head(const struct ech_spool_head *head, struct ech_str *out, struct ech_err *err);
int ech_spool_put_block(const struct ech_spool_head *head, const struct ech_block *block, int64_t epoch,
                        struct ech_str *out, struct ech_err *err);

/* One good record of one file. */
struct ech_spool_entry {
    int64_t first, rows, errors, tokens;
    int32_t file; /* index in the caller's list of files */
    int32_t attempt;
    uint64_t offset; /* of the record in its file */
};
struct ech_spool_index {
    struct ech_spool_entry *entries;
    size_t count, capacity;
    int64_t damaged; /* places skipped: torn tails, bad checksums */
};
void ech_spool_index_fini(struct ech_spool_index *index);

/* Read a whole file, check everything, append the good records. A file of another identity, numerics class or
 * column set is ECH_DATA (names what differs); a torn or damaged record is skipped, reading goes on at the
 * next record's magic; an empty or headless file (a crash at birth) holds nothing. Memory: one buffer of 1
 * MiB. */
int ech_spool_scan(const char *path, const struct ech_spool_head *expected, int32_t file,
                   struct ech_spool_index *index, struct ech_err *err);
/* The parser behind it, over a whole file in memory (fuzzed). */
int ech_spool_scan_bytes(const char *name, const void *data, size_t bytes,
                         const struct ech_spool_head *expected, int32_t file, struct ech_spool_index *index,
                         struct ech_err *err);
/* Read rows [first, first + rows) of one column of a record back (checked against the file again only in
 * lengths). `cells` is appended to. */
int ech_spool_read(int fd, const char *path, const struct ech_spool_head *head,
                   const struct ech_spool_entry *entry, int column, int64_t first, int64_t rows,
                   struct ech_cells *cells, struct ech_err *err);

#endif
