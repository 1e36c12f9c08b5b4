/* Reading plain and packed files: see stream.h. */
#include "data/stream.h"

#include "base/io.h"
#include "base/mem.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { INPUT = 64 << 10 };

struct ech_stream {
    const char *path;
    enum ech_codec codec;
    int fd;
    int64_t offset; /* plain files: next byte */
    z_stream gz;
    bool gz_open;
    ZSTD_DCtx *zstd;
    unsigned char *input; /* packed bytes not used yet: [at, filled) */
    size_t at, filled;
    bool input_end, inside; /* inside: a member or frame has begun and not ended */
};

int ech_codec_detect(const char *path, enum ech_codec *codec, int64_t *bytes, struct ech_err *err)
{
    int fd, code = ech_open(path, O_RDONLY | O_NONBLOCK, &fd, err);
    if (code != ECH_OK)
        return code;
    struct stat st;
    unsigned char head[4] = {0};
    size_t got;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        code =
            ech_fail(err, ECH_NOINPUT, "%s is not a regular file: an import reads its sources twice", path);
    else
        code = ech_read_some(fd, path, head, sizeof head, &got, err);
    close(fd);
    if (code != ECH_OK)
        return code;
    *bytes = st.st_size;
    *codec = head[0] == 0x1F && head[1] == 0x8B         ? ECH_GZIP
             : memcmp(head, "\x28\xB5\x2F\xFD", 4) == 0 ? ECH_ZSTD
                                                        : ECH_PLAIN;
    return ECH_OK;
}

enum ech_codec ech_codec_of_name(const char *name, size_t *stem)
{
    size_t length = strlen(name);
    *stem = length;
    if (length > 3 && strcmp(name + length - 3, ".gz") == 0) {
        *stem = length - 3;
        return ECH_GZIP;
    }
    if (length > 4 && strcmp(name + length - 4, ".zst") == 0) {
        *stem = length - 4;
        return ECH_ZSTD;
    }
    return ECH_PLAIN;
}

static int open_codec(struct ech_stream *s, struct ech_err *err)
{
    if (s->codec == ECH_PLAIN)
        return ECH_OK;
    s->input = ech_calloc(INPUT, 1, err);
    if (!s->input)
        return ECH_UNAVAILABLE;
    s->gz_open = s->codec == ECH_GZIP && inflateInit2(&s->gz, 15 + 16) == Z_OK;
    s->zstd = s->codec == ECH_ZSTD ? ZSTD_createDCtx() : NULL;
    return s->gz_open || s->zstd ? ECH_OK
                                 : ech_fail(err, ECH_UNAVAILABLE, "out of memory: unpacking %s", s->path);
}

int ech_stream_open(const char *path, enum ech_codec codec, int64_t offset, struct ech_stream **out,
                    struct ech_err *err)
{
    struct ech_stream *s = ech_calloc(1, sizeof *s, err);
    if (!s)
        return ECH_UNAVAILABLE;
    s->path = path;
    s->codec = codec;
    s->offset = offset;
    s->fd = -1;
    int code = ech_open(path, O_RDONLY, &s->fd, err);
    if (code == ECH_OK && offset > 0 && lseek(s->fd, offset, SEEK_SET) != offset)
        code = ech_fail(err, ECH_IO, "cannot go to byte %lld of %s", (long long)offset, path);
    if (code == ECH_OK)
        code = open_codec(s, err);
    if (code != ECH_OK) {
        ech_stream_close(s);
        return code;
    }
    *out = s;
    return ECH_OK;
}

static int damaged(const struct ech_stream *s, const char *why, struct ech_err *err)
{
    return ech_fail_at(err, ECH_DATA, s->path, 0, 0, "the packed data is damaged: %s", why);
}

/* Unpack what is in the input into data[*done, bytes). */
static int inflate_some(struct ech_stream *s, unsigned char *data, size_t bytes, size_t *done,
                        struct ech_err *err)
{
    if (!s->inside && inflateReset(&s->gz) != Z_OK)
        return damaged(s, "zlib cannot begin a member", err);
    size_t room = bytes - *done < 1u << 30 ? bytes - *done : 1u << 30;
    s->gz.next_in = s->input + s->at;
    s->gz.avail_in = (unsigned)(s->filled - s->at);
    s->gz.next_out = data + *done;
    s->gz.avail_out = (unsigned)room;
    int status = inflate(&s->gz, Z_NO_FLUSH);
    s->at = s->filled - s->gz.avail_in;
    *done += room - s->gz.avail_out;
    s->inside = status != Z_STREAM_END;
    if (status == Z_MEM_ERROR)
        return ech_fail(err, ECH_UNAVAILABLE, "out of memory: unpacking %s", s->path);
    if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
        return damaged(s, s->gz.msg ? s->gz.msg : "not gzip", err);
    return ECH_OK;
}

static int zstd_some(struct ech_stream *s, unsigned char *data, size_t bytes, size_t *done,
                     struct ech_err *err)
{
    ZSTD_inBuffer in = {s->input, s->filled, s->at};
    ZSTD_outBuffer out = {data, bytes, *done};
    size_t left = ZSTD_decompressStream(s->zstd, &out, &in);
    s->at = in.pos;
    *done = out.pos;
    if (ZSTD_isError(left))
        return damaged(s, ZSTD_getErrorName(left), err);
    s->inside = left != 0;
    return ECH_OK;
}

static int refill(struct ech_stream *s, struct ech_err *err)
{
    if (s->at < s->filled || s->input_end)
        return ECH_OK;
    s->at = 0;
    int code = ech_read_some(s->fd, s->path, s->input, INPUT, &s->filled, err);
    s->input_end = s->filled < INPUT;
    return code;
}

int ech_stream_read(struct ech_stream *s, void *data, size_t bytes, size_t *got, struct ech_err *err)
{
    if (s->codec == ECH_PLAIN)
        return ech_read_some(s->fd, s->path, data, bytes, got, err);
    size_t done = 0;
    while (done < bytes) {
        int code = refill(s, err);
        if (code != ECH_OK)
            return code;
        size_t at = s->at, before = done;
        bool more = s->at < s->filled;
        if (!more && !s->inside)
            break;
        code = s->codec == ECH_GZIP ? inflate_some(s, data, bytes, &done, err)
                                    : zstd_some(s, data, bytes, &done, err);
        if (code != ECH_OK)
            return code;
        if (s->at == at && done == before && s->input_end)
            return damaged(s, "it ends in the middle", err);
    }
    *got = done;
    return ECH_OK;
}

void ech_stream_close(struct ech_stream *s)
{
    if (!s)
        return;
    if (s->gz_open)
        inflateEnd(&s->gz);
    ZSTD_freeDCtx(s->zstd);
    if (s->fd >= 0)
        close(s->fd);
    ech_free(s->input);
    ech_free(s);
}
