/* The sizes of rows, remembered compactly: variable-length integers (7 bits a byte, low bits first), one MiB
 * in memory, what is more in a file without a name. */
#include "data/layout.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { VARINT_MAX = 10 };

void ech_sizes_init(struct ech_sizes *sizes)
{
    *sizes = (struct ech_sizes){.fd = -1};
}

void ech_sizes_fini(struct ech_sizes *sizes)
{
    if (sizes->fd >= 0)
        ech_close(sizes->fd, sizes->path, NULL);
    ech_free(sizes->buffer);
    ech_sizes_init(sizes);
}

static int open_spill(struct ech_sizes *sizes, struct ech_err *err)
{
    const char *dir = getenv("TMPDIR");
    snprintf(sizes->path, sizeof sizes->path, "%.400s/echelon-sizes-%ld-%llx", dir && *dir ? dir : "/tmp",
             (long)getpid(), (unsigned long long)ech_mono_ns());
    int code = ech_open(sizes->path, O_RDWR | O_CREAT | O_EXCL, &sizes->fd, err);
    if (code != ECH_OK)
        return ech_prefix(err, "row sizes of a large input are kept in TMPDIR");
    unlink(sizes->path);
    return ECH_OK;
}

static int spill(struct ech_sizes *sizes, struct ech_err *err)
{
    int code = sizes->fd < 0 ? open_spill(sizes, err) : ECH_OK;
    if (code == ECH_OK)
        code = ech_write_all(sizes->fd, sizes->path, sizes->buffer, sizes->used, err);
    if (code != ECH_OK)
        return code;
    sizes->spilled += (int64_t)sizes->used;
    sizes->used = 0;
    return ECH_OK;
}

int ech_sizes_put(struct ech_sizes *sizes, const uint64_t *values, int count, struct ech_err *err)
{
    if (!sizes->buffer) {
        sizes->buffer = ech_calloc(ECH_SIZES_MEMORY, 1, err);
        if (!sizes->buffer)
            return ECH_UNAVAILABLE;
    }
    if (sizes->used + (size_t)count * VARINT_MAX > ECH_SIZES_MEMORY) {
        int code = spill(sizes, err);
        if (code != ECH_OK)
            return code;
    }
    unsigned char *to = sizes->buffer + sizes->used;
    for (int i = 0; i < count; i++) {
        uint64_t v = values[i];
        for (; v >= 128; v >>= 7)
            *to++ = (unsigned char)(v | 128);
        *to++ = (unsigned char)v;
    }
    sizes->used = (size_t)(to - sizes->buffer);
    return ECH_OK;
}

int ech_sizes_read(const struct ech_sizes *sizes, struct ech_sizes_reader *reader, struct ech_err *err)
{
    *reader = (struct ech_sizes_reader){.sizes = sizes};
    if (sizes->spilled > 0 && !(reader->chunk = ech_calloc(ECH_SIZES_MEMORY, 1, err)))
        return ECH_UNAVAILABLE;
    return ECH_OK;
}

void ech_sizes_read_end(struct ech_sizes_reader *reader)
{
    ech_free(reader->chunk);
    *reader = (struct ech_sizes_reader){0};
}

/* Spilled chunks first, then what is still in memory. */
static int refill(struct ech_sizes_reader *reader, struct ech_err *err)
{
    const struct ech_sizes *sizes = reader->sizes;
    int64_t left = sizes->spilled - reader->next;
    if (left > 0) {
        size_t bytes = left < ECH_SIZES_MEMORY ? (size_t)left : ECH_SIZES_MEMORY;
        int code = ech_pread_all(sizes->fd, sizes->path, reader->chunk, bytes, reader->next, err);
        if (code != ECH_OK)
            return code;
        reader->at = reader->chunk;
        reader->end = reader->chunk + bytes;
        reader->next += (int64_t)bytes;
        return ECH_OK;
    }
    ECH_ASSERT(left == 0 && sizes->used > 0, "row sizes are read past their end");
    reader->at = sizes->buffer;
    reader->end = sizes->buffer + sizes->used;
    reader->next++;
    return ECH_OK;
}

int ech_sizes_get(struct ech_sizes_reader *reader, uint64_t *value, struct ech_err *err)
{
    uint64_t v = 0;
    for (unsigned shift = 0;; shift += 7) {
        if (reader->at == reader->end) {
            int code = refill(reader, err);
            if (code != ECH_OK)
                return code;
        }
        unsigned char byte = *reader->at++;
        v |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            *value = v;
            return ECH_OK;
        }
    }
}
