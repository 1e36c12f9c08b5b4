/* Blocks of a MiB on their way into a shard: see writer_stream.h. */
#include "data/writer_stream.h"

#include "base/io.h"
#include "base/num.h"

#include <string.h>

static int64_t block_of(int64_t at)
{
    return at / ECH_HASH_BLOCK;
}

static int64_t block_end(const struct ech_writer_stream *s, int64_t block)
{
    return ech_min64((block + 1) * ECH_HASH_BLOCK, s->total);
}

static int write_check(const struct ech_writer_stream *s, int64_t block, const void *data, size_t bytes,
                       struct ech_err *err)
{
    struct ech_hash h = ech_hash_bytes(data, bytes);
    return ech_pwrite_all(s->fd, s->path, &h, sizeof h, s->checks + block * (int64_t)sizeof h, err);
}

void ech_writer_stream_start(struct ech_writer_stream *s, int64_t begin, int64_t end)
{
    s->begin = s->at = begin;
    s->end = end;
    s->filled = 0;
}

/* `bytes` that end at s->at: written, and hashed where they are a whole block. */
static int emit(struct ech_writer_stream *s, const void *data, size_t bytes, struct ech_err *err)
{
    int64_t from = s->at - (int64_t)bytes, block = block_of(from);
    int code = ech_pwrite_all(s->fd, s->path, data, bytes, s->base + from, err);
    if (code == ECH_OK && from == block * ECH_HASH_BLOCK && s->at == block_end(s, block))
        code = write_check(s, block, data, bytes, err);
    return code;
}

int ech_writer_stream_flush(struct ech_writer_stream *s, struct ech_err *err)
{
    if (s->filled == 0)
        return ECH_OK;
    int code = emit(s, s->buffer, s->filled, err);
    s->filled = 0;
    return code;
}

int ech_writer_stream_put(struct ech_writer_stream *s, const void *data, size_t bytes, struct ech_err *err)
{
    ECH_ASSERT((int64_t)bytes <= s->end - s->at, "%s: %zu bytes at %lld pass the own end %lld", s->path,
               bytes, (long long)s->at, (long long)s->end);
    const unsigned char *from = data;
    int code = ECH_OK;
    while (bytes > 0 && code == ECH_OK) {
        int64_t stop = block_end(s, block_of(s->at));
        size_t room = (size_t)(stop - s->at), part = bytes < room ? bytes : room;
        s->at += (int64_t)part;
        if (s->filled == 0 && part == room) {
            code = emit(s, from, part, err); /* straight from the caller's memory */
        } else {
            memcpy(s->buffer + s->filled, from, part);
            s->filled += part;
            if (part == room)
                code = ech_writer_stream_flush(s, err);
        }
        from += part;
        bytes -= part;
    }
    return code;
}

int ech_writer_stream_hash_edge(const struct ech_writer_stream *s, int read_fd, unsigned char *block,
                                struct ech_err *err)
{
    if (s->begin == s->end)
        return ECH_OK;
    int64_t last = block_of(s->end - 1), from = last * ECH_HASH_BLOCK, to = block_end(s, last);
    if (from < s->begin || to == s->end)
        return ECH_OK; /* a neighbour before owns its first byte, or it was hashed as a whole */
    size_t bytes = (size_t)(to - from);
    int code = ech_pread_all(read_fd, s->path, block, bytes, s->base + from, err);
    return code == ECH_OK ? write_check(s, last, block, bytes, err) : code;
}
