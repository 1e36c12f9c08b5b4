/* One shard: an HDF5 file whose datasets are all contiguous, so that after creation and opening its bytes are
 * reached by pwrite and pread at known addresses; HDF5 is called here and nowhere else.
 *
 *   /columns/NAME/bytes    u8  [total]          text, json
 *   /columns/NAME/values   any [rows, dim]      fixed;  i64 [total] ragged ints
 *   /columns/NAME/offsets  u64 [rows + 1]       ragged: row i is elements [offsets[i], offsets[i+1]), from 0
 *   /checks/NAME           u64 [blocks, 2]      XXH3-128 (high, low) of each MiB of bytes|values, then of
 *                                               each MiB of offsets
 *
 * Superblock 0 and version 1 object headers (default bounds), no object times, early allocation, no fill
 * values: the file's bytes follow from columns, sizes and content alone, whoever creates it. */
#ifndef ECH_DATA_SHARD_H
#define ECH_DATA_SHARD_H

#include "base/hash.h"
#include "comm/comm.h"
#include "data/column.h"

/* Where one column lies in the file. A part of zero bytes has address 0. */
struct ech_place {
    int64_t main, main_bytes;       /* bytes or values */
    int64_t offsets, offsets_bytes; /* 0, 0 where rows are of one size */
    int64_t checks, blocks;         /* 16 bytes a block */
};

/* MiB blocks of `bytes`. */
static inline int64_t ech_blocks(int64_t bytes)
{
    return (bytes + ECH_HASH_BLOCK - 1) / ECH_HASH_BLOCK;
}

/* "shard-00042.h5" into out (>= 32 bytes). Returns out. */
enum { ECH_SHARD_NAME = 32 };
const char *ech_shard_name(int64_t index, char out[ECH_SHARD_NAME]);

struct ech_shard_spec {
    const struct ech_column *columns;
    int count;
    int64_t rows;              /* > 0 */
    const int64_t *main_bytes; /* [count] of bytes or values */
};

/* Create a shard with room for its rows; the content of the datasets is undefined until written.
 * places[count] and *file_bytes are set on success. Calls   Collective over `group`, through MPI-IO where it
 * has several ranks; local where group is NULL. Errors  ECH_EXISTS, ECH_IO with HDF5's own words. Equal on
 * the ranks of the group. */
int ech_shard_create(const char *path, const struct ech_shard_spec *spec, struct ech_comm *group,
                     struct ech_place *places, int64_t *file_bytes, struct ech_err *err);

/* Open, compare with what the manifest says (datasets there, their types and shapes, contiguous, inside a
 * file of exactly file_bytes), find the addresses, close. spec->main_bytes is not read. Errors  ECH_NOINPUT
 * missing; ECH_DATA what differs. */
int ech_shard_inspect(const char *path, const struct ech_shard_spec *spec, int64_t file_bytes,
                      struct ech_place *places, struct ech_err *err);

#endif
