/* bench io: writing and reading a dataset of vectors beside plain write() and read() of the same bytes by the
 * same ranks, through the page cache; what syncing costs stands apart. */
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"
#include "data/dataset.h"
#include "data/writer.h"
#include "job/bench.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { DIM = 384, SLICE = 4096, ROW_BYTES = DIM * 4 };

struct times {
    double write, sync, read;
};

static double all_done(struct ech_bench *b, double start, struct ech_err *err)
{
    ech_barrier(b->comm, err);
    return ech_mono_s() - start;
}

static int plain_write(const char *path, int fd, const unsigned char *data, int64_t rows, struct ech_err *err)
{
    int code = ECH_OK;
    for (int64_t at = 0; !code && at < rows; at += SLICE)
        code = ech_write_all(fd, path, data, (size_t)(ech_min64(SLICE, rows - at) * ROW_BYTES), err);
    return code;
}

static int plain_read(const char *path, int fd, unsigned char *data, int64_t rows, struct ech_err *err)
{
    int code = ECH_OK;
    for (int64_t at = 0; !code && at < rows; at += SLICE)
        code = ech_pread_all(fd, path, data, (size_t)(ech_min64(SLICE, rows - at) * ROW_BYTES),
                             at * ROW_BYTES, err);
    return code;
}

static int plain(struct ech_bench *b, unsigned char *data, int64_t rows, struct times *t, struct ech_err *err)
{
    char path[4200];
    int fd = -1;
    snprintf(path, sizeof path, "%s/plain-%d", b->folder, ech_comm_rank(b->comm));
    int code = ech_open(path, O_RDWR | O_CREAT | O_TRUNC, &fd, err);
    if ((code = ech_agree(b->comm, err)))
        return code;
    double start = ech_mono_s();
    plain_write(path, fd, data, rows, err);
    t->write = all_done(b, start, err);
    start = ech_mono_s();
    ech_fdatasync(fd, path, err);
    t->sync = all_done(b, start, err);
    start = ech_mono_s();
    plain_read(path, fd, data, rows, err);
    t->read = all_done(b, start, err);
    close(fd);
    unlink(path);
    return ech_agree(b->comm, err);
}

static int write_rows(struct ech_writer *writer, const unsigned char *data, int64_t rows, struct ech_err *err)
{
    int code = ECH_OK;
    for (int64_t at = 0; !code && at < rows; at += SLICE)
        code = ech_writer_append(writer, 0, data, NULL, ech_min64(SLICE, rows - at), err);
    return code;
}

static int dataset_write(struct ech_bench *b, const unsigned char *data, int64_t rows, const char *target,
                         struct times *t, struct ech_err *err)
{
    const struct ech_column column = {"values", ECH_TENSOR, ECH_F32, DIM};
    struct ech_layout *layout = NULL;
    struct ech_writer *writer = NULL;
    char partial[4300];
    snprintf(partial, sizeof partial, "%s.partial-bench", target);
    double start = ech_mono_s();
    int code = ech_layout_create(&column, 1, 64 << 20, &layout, err);
    if (!code)
        code = ech_layout_add_fixed(layout, rows, err);
    if (!(code = ech_agree(b->comm, err)))
        code = ech_layout_agree(layout, b->comm, err);
    if (!code)
        code = ech_writer_open(b->comm, partial, layout, &writer, err);
    if (!code)
        write_rows(writer, data, rows, err);
    if (!(code = ech_agree(b->comm, err))) {
        t->write = all_done(b, start, err);
        struct ech_publish how = {.target = target};
        start = ech_mono_s();
        code = ech_writer_publish(writer, &how, err);
        t->sync = all_done(b, start, err);
    }
    ech_writer_close(writer);
    ech_layout_destroy(layout);
    return code;
}

static int dataset_read(struct ech_bench *b, const char *target, int64_t first, int64_t rows, struct times *t,
                        struct ech_err *err)
{
    struct ech_dataset *ds = NULL;
    struct ech_cells cells = {0};
    double start = ech_mono_s();
    int code = ech_dataset_open(target, &ds, err);
    for (int64_t at = 0; !code && at < rows; at += SLICE)
        code = ech_dataset_read(ds, 0, first + at, ech_min64(SLICE, rows - at), &cells, err);
    t->read = all_done(b, start, err);
    ech_cells_fini(&cells);
    if (ds)
        ech_dataset_close(ds);
    return ech_agree(b->comm, err);
}

int ech_bench_io(struct ech_bench *b, struct ech_err *err)
{
    int64_t rows = (b->mib << 20) / ROW_BYTES / ech_comm_size(b->comm) + 1;
    double mb = (double)rows * ROW_BYTES * ech_comm_size(b->comm) / 1e6;
    unsigned char *data = ech_calloc(SLICE, ROW_BYTES, err);
    struct times p = {0}, d = {0};
    char target[4200];
    snprintf(target, sizeof target, "%s/dataset", b->folder);
    for (size_t i = 0; data && i < (size_t)SLICE * ROW_BYTES; i++)
        data[i] = (unsigned char)(i * 2654435761u >> 24);
    int code = ech_agree(b->comm, err);
    for (int pass = 0; !code && pass < 2; pass++) /* the first warms the page cache's free list */
        code = plain(b, data, rows, &p, err);
    if (!code)
        code = dataset_write(b, data, rows, target, &d, err);
    if (!code)
        code = dataset_read(b, target, rows * ech_comm_rank(b->comm), rows, &d, err);
    if (!code) {
        ech_bench_row(b, "dataset write, with checksums", mb / d.write, "MB/s", mb / p.write, "plain write");
        ech_bench_row(b, "dataset read", mb / d.read, "MB/s", mb / p.read, "plain read");
        ech_bench_row(b, "publish (checks, fsync, rename)", d.sync, "s", 0, "");
        ech_bench_row(b, "plain fdatasync", p.sync, "s", 0, "");
    }
    ech_free(data);
    return code;
}
