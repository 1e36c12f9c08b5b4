/* What a writer is; shared by writer.c (open, append) and writer_publish.c (finish, publish).
 *
 * Cost: 2 MiB of buffers a ragged column, 1 MiB a fixed one (less where a rank has less); 48 bytes a column
 * for each shard this rank has rows in. */
#ifndef ECH_DATA_WRITER_INTERNAL_H
#define ECH_DATA_WRITER_INTERNAL_H

#include "data/layout.h"
#include "data/writer_stream.h"

/* Where a column's writing stands. */
struct ech_cursor {
    size_t part; /* index into layout->parts; part_count: all is written */
    int64_t row; /* own rows of the part that are written */
    int64_t bytes;
    int fd; /* of the part's shard, -1 before its first row */
    char *path;
    struct ech_writer_stream main, offsets;
    unsigned char *main_buffer, *offsets_buffer;
};

struct ech_writer {
    struct ech_comm *comm;
    const struct ech_layout *layout; /* borrowed */
    char *partial;
    struct ech_place *places;   /* [part_count][count] */
    int64_t *file_bytes;        /* [part_count] */
    struct ech_cursor *cursors; /* [count] */
    struct ech_err failure;     /* the first failure of an append: publish agrees on it */
};

char *ech_writer_shard_path(const struct ech_writer *writer, int64_t shard, struct ech_err *err);
/* Streams of a column in one of its parts; the own bytes of each. fd and buffers are the caller's. */
void ech_writer_place_streams(const struct ech_writer *writer, int column, size_t part,
                              struct ech_writer_stream *main, struct ech_writer_stream *offsets);
/* Every own row of every column has come, and is in its file. */
int ech_writer_complete(struct ech_writer *writer, struct ech_err *err);

#endif
