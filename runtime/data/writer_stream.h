/* The bytes of one part of a column (bytes|values, or offsets) that a rank owns in one shard, written in
 * order: gathered into blocks of a MiB, each hashed when this rank holds all of it. A block shared with a
 * neighbour is written now and hashed at the end by the rank that owns its first byte. */
#ifndef ECH_DATA_WRITER_STREAM_H
#define ECH_DATA_WRITER_STREAM_H

#include "data/shard.h"

struct ech_writer_stream {
    int fd;           /* borrowed; write-only: no page of a neighbour is ever read back by this client */
    const char *path; /* borrowed */
    int64_t base;     /* address of the part in the file */
    int64_t total;    /* bytes of the part, of all ranks */
    int64_t begin, end, at;
    int64_t checks;        /* address of the part's first block hash */
    unsigned char *buffer; /* ECH_HASH_BLOCK bytes, borrowed; filled from the start of the current block */
    size_t filled;
};

/* Begin at byte `begin` of the part; own bytes are [begin, end). */
void ech_writer_stream_start(struct ech_writer_stream *s, int64_t begin, int64_t end);
int ech_writer_stream_put(struct ech_writer_stream *s, const void *data, size_t bytes, struct ech_err *err);
/* Write what is gathered. */
int ech_writer_stream_flush(struct ech_writer_stream *s, struct ech_err *err);

/* Blocks of [begin, end) that this rank did not hash but whose first byte it owns: at most the last one.
 * Reads it back from fd, which was opened after all ranks have synced. */
int ech_writer_stream_hash_edge(const struct ech_writer_stream *s, int read_fd, unsigned char *block,
                                struct ech_err *err);

#endif
