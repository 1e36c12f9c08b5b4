/* Writing plain and packed files: see stream.h. */
#include "data/stream.h"

#include "base/io.h"
#include "base/mem.h"

#include <zlib.h>
#include <zstd.h>

enum { OUTPUT = 64 << 10, GZIP_LEVEL = 6, ZSTD_LEVEL = 3 };

struct ech_pack {
    int fd;
    const char *path;
    enum ech_codec codec;
    z_stream gz;
    bool gz_open;
    ZSTD_CCtx *zstd;
    unsigned char *output;
};

int ech_pack_open(int fd, const char *path, enum ech_codec codec, struct ech_pack **out, struct ech_err *err)
{
    struct ech_pack *p = ech_calloc(1, sizeof *p, err);
    if (!p)
        return ECH_UNAVAILABLE;
    p->fd = fd;
    p->path = path;
    p->codec = codec;
    p->output = ech_calloc(OUTPUT, 1, err);
    bool good = p->output != NULL;
    if (good && codec == ECH_GZIP)
        good = p->gz_open =
            deflateInit2(&p->gz, GZIP_LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK;
    if (good && codec == ECH_ZSTD)
        good = (p->zstd = ZSTD_createCCtx()) != NULL &&
               !ZSTD_isError(ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL)) &&
               !ZSTD_isError(ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_checksumFlag, 1));
    if (!good) {
        ech_pack_close(p);
        return ech_fail(err, ECH_UNAVAILABLE, "out of memory: packing %s", path);
    }
    *out = p;
    return ECH_OK;
}

static int deflate_some(struct ech_pack *p, const void *data, size_t bytes, bool last, struct ech_err *err)
{
    p->gz.next_in = (unsigned char *)(uintptr_t)data; /* zlib only reads it */
    p->gz.avail_in = (unsigned)bytes;
    do {
        p->gz.next_out = p->output;
        p->gz.avail_out = OUTPUT;
        if (deflate(&p->gz, last ? Z_FINISH : Z_NO_FLUSH) == Z_STREAM_ERROR)
            return ech_fail(err, ECH_BUG, "zlib refuses to pack %s", p->path);
        int code = ech_write_all(p->fd, p->path, p->output, OUTPUT - p->gz.avail_out, err);
        if (code != ECH_OK)
            return code;
    } while (p->gz.avail_out == 0);
    return ECH_OK;
}

static int zstd_some(struct ech_pack *p, const void *data, size_t bytes, bool last, struct ech_err *err)
{
    ZSTD_inBuffer in = {data, bytes, 0};
    for (bool more = true; more;) {
        ZSTD_outBuffer out = {p->output, OUTPUT, 0};
        size_t left = ZSTD_compressStream2(p->zstd, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left))
            return ech_fail(err, ECH_UNAVAILABLE, "packing %s: %s", p->path, ZSTD_getErrorName(left));
        int code = ech_write_all(p->fd, p->path, p->output, out.pos, err);
        if (code != ECH_OK)
            return code;
        more = last ? left != 0 : in.pos < in.size;
    }
    return ECH_OK;
}

static int pack_some(struct ech_pack *p, const void *data, size_t bytes, bool last, struct ech_err *err)
{
    return p->codec == ECH_PLAIN  ? ech_write_all(p->fd, p->path, data, bytes, err)
           : p->codec == ECH_GZIP ? deflate_some(p, data, bytes, last, err)
                                  : zstd_some(p, data, bytes, last, err);
}

int ech_pack_write(struct ech_pack *p, const void *data, size_t bytes, struct ech_err *err)
{
    const unsigned char *from = data;
    while (bytes > 0) {
        size_t piece = bytes < 1u << 30 ? bytes : 1u << 30; /* zlib counts in 32 bits */
        int code = pack_some(p, from, piece, false, err);
        if (code != ECH_OK)
            return code;
        from += piece;
        bytes -= piece;
    }
    return ECH_OK;
}

int ech_pack_finish(struct ech_pack *p, struct ech_err *err)
{
    return pack_some(p, "", 0, true, err);
}

void ech_pack_close(struct ech_pack *p)
{
    if (!p)
        return;
    if (p->gz_open)
        deflateEnd(&p->gz);
    ZSTD_freeCCtx(p->zstd);
    ech_free(p->output);
    ech_free(p);
}
