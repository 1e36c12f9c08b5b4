/* Writing a dataset together: every rank holds one contiguous range of the rows (some hold none), in rank
 * order. Two passes, because contiguous HDF5 datasets need their sizes first:
 *
 *   layout: each rank adds the sizes of its own rows; all agree -> which row lies in which shard, where.
 *   writer: shards are created in PATH.partial-TAG/ (one rank a shard, or several through MPI-IO where a
 *           shard's rows are held by several ranks); each rank appends its rows, column by column, in any
 *           slicing; finish: edges hashed, /checks written, files synced; publish: manifest, fsync, rename.
 *
 * Shard of a row = floor(bytes of all rows before it / shard_bytes), empty shards skipped: it depends on the
 * data alone, so any number of ranks writes the same bytes. */
#ifndef ECH_DATA_WRITER_H
#define ECH_DATA_WRITER_H

#include "base/hash.h"
#include "base/str.h"
#include "comm/comm.h"
#include "data/column.h"

struct ech_layout;
/* Calls   Local. */
int ech_layout_create(const struct ech_column *columns, int count, int64_t shard_bytes,
                      struct ech_layout **out, struct ech_err *err);
void ech_layout_destroy(struct ech_layout *layout);
/* The next own row: row_bytes[column] each. */
int ech_layout_add(struct ech_layout *layout, const uint64_t *row_bytes, struct ech_err *err);
/* The same twice: pass 1 must hear of every own row, so for rows of one fixed size: */
int ech_layout_add_fixed(struct ech_layout *layout, int64_t rows, struct ech_err *err);
/* Calls   Collective. */
int ech_layout_agree(struct ech_layout *layout, struct ech_comm *comm, struct ech_err *err);
int64_t ech_layout_rows(const struct ech_layout *layout); /* of all ranks */

struct ech_writer;
/* Calls   Collective. `partial`: the folder, created here, must not exist.
 * Errors  ECH_EXISTS, ECH_IO; agreed by all ranks. */
int ech_writer_open(struct ech_comm *comm, const char *partial, const struct ech_layout *layout,
                    struct ech_writer **out, struct ech_err *err);
/* The next own rows of one column. Calls   Local (no collective inside). */
int ech_writer_append(struct ech_writer *writer, int column, const void *bytes, const uint64_t *row_bytes,
                      int64_t rows, struct ech_err *err);
/* What the manifest will say beside columns and shards. */
struct ech_publish {
    struct ech_hash uuid;   /* job identity, or 0: derived from the content */
    const char *provenance; /* YAML block, indented by two blanks, or NULL */
    const char *target;     /* final folder */
    bool replace;           /* an existing dataset is moved away, replaced and then removed */
    const char *append_to;  /* in place of target: a dataset of the same columns gets the shards as its next
                               generation; its old shards stay as they are. Nothing changes for zero rows */
};
/* Calls   Collective. Finishes shards, writes the manifest, fsyncs, renames onto the target. After an error
 *         the partial folder is left for the caller to remove (ech_remove_all by one rank). */
int ech_writer_publish(struct ech_writer *writer, const struct ech_publish *how, struct ech_err *err);
void ech_writer_close(struct ech_writer *writer); /* local; frees, also after an error */

#endif
