/* The files of an import: what they are, and which bytes of them each rank takes. The files stand in the
 * given order in one imagined line of bytes, cut into equal parts; a packed file belongs whole to the rank
 * that holds its first byte. A rank owns the rows that begin in its part. */
#ifndef ECH_DATA_SOURCE_H
#define ECH_DATA_SOURCE_H

#include "comm/comm.h"
#include "data/stream.h"

struct ech_source_file {
    const char *path; /* borrowed */
    enum ech_codec codec;
    int64_t bytes; /* in the folder, packed or not */
};

struct ech_piece {
    int file;
    int64_t begin, end; /* rows that begin in [begin, end); INT64_MAX for a packed file */
    bool odd;           /* CSV: an odd number of quotes stands before begin */
};

/* Looks at every file on rank 0 and tells all. files: count entries, filled.
 * Calls   Collective. Errors: ECH_NOINPUT, agreed. */
int ech_source_inspect(struct ech_comm *comm, const char *const *paths, int count,
                       struct ech_source_file *files, struct ech_err *err);

/* The pieces of one rank, at most one a file. Pure. Returns their number; pieces: count entries. */
int ech_source_split(const struct ech_source_file *files, int count, int rank, int size,
                     struct ech_piece *pieces);

/* Sets `odd` of a first piece that begins inside a file: every rank counts the quotes of its last piece.
 * Calls   Collective. Cost: 16 bytes a rank on each rank. */
int ech_source_parity(struct ech_comm *comm, const struct ech_source_file *files, struct ech_piece *pieces,
                      int count, struct ech_err *err);

/* Line and column (from 1, in bytes) of an offset in the unpacked file; zeros where it cannot be read again.
 */
void ech_source_place(const struct ech_source_file *file, int64_t offset, int *line, int *column);

#endif
