/* Bytes of a file in order, unpacked on the way: plain, gzip (zlib) or Zstandard. Memory: two buffers of
 * 64 KiB and the codec's window. */
#ifndef ECH_DATA_STREAM_H
#define ECH_DATA_STREAM_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum ech_codec { ECH_PLAIN, ECH_GZIP, ECH_ZSTD };

/* By the file's first bytes. Errors: ECH_NOINPUT missing, a folder, or no regular file (it is read twice). */
int ech_codec_detect(const char *path, enum ech_codec *codec, int64_t *bytes, struct ech_err *err);
/* By the end of a name: ".gz", ".zst"; ECH_PLAIN otherwise. *stem: length of the name without it. */
enum ech_codec ech_codec_of_name(const char *name, size_t *stem);

struct ech_stream;
/* offset: where to begin; 0 where packed. path is borrowed. */
int ech_stream_open(const char *path, enum ech_codec codec, int64_t offset, struct ech_stream **out,
                    struct ech_err *err);
/* Up to `bytes`; *got < bytes only at the end.
 * Errors  ECH_DATA packed data that is damaged or ends too early; ECH_IO. */
int ech_stream_read(struct ech_stream *stream, void *data, size_t bytes, size_t *got, struct ech_err *err);
void ech_stream_close(struct ech_stream *stream);

/* The same for writing: to an open descriptor, which stays the caller's. */
struct ech_pack;
int ech_pack_open(int fd, const char *path, enum ech_codec codec, struct ech_pack **out, struct ech_err *err);
int ech_pack_write(struct ech_pack *pack, const void *data, size_t bytes, struct ech_err *err);
int ech_pack_finish(struct ech_pack *pack, struct ech_err *err); /* the codec's end mark */
void ech_pack_close(struct ech_pack *pack);

#endif
