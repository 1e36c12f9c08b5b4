/* Reading a dataset: see dataset.h. Opening compares every shard with the manifest through HDF5; reading is
 * pread at the addresses found, through a small cache of open files behind one lock. */
#include "data/dataset.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"
#include "data/dataset_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static int place_shard(struct ech_dataset *ds, size_t shard, struct ech_err *err)
{
    const struct ech_manifest *m = &ds->manifest;
    const struct ech_shard_spec spec = {m->columns, (int)m->column_count, m->shards[shard].rows, NULL};
    char *path = ech_path_join(ds->path, m->shards[shard].file, err);
    int code = path ? ech_shard_inspect(path, &spec, m->shards[shard].bytes,
                                        &ds->places[shard * m->column_count], err)
                    : ECH_UNAVAILABLE;
    ech_free(path);
    return code;
}

static int open_local(struct ech_dataset *ds, const char *path, const char *copy, struct ech_err *err)
{
    if (!(ds->path = ech_strdup(path, err)))
        return ECH_UNAVAILABLE;
    int code =
        copy ? ech_manifest_read_file(copy, &ds->manifest, err) : ech_manifest_read(path, &ds->manifest, err);
    if (code != ECH_OK)
        return code;
    size_t shards = ds->manifest.shard_count;
    ds->places = ech_calloc(shards * ds->manifest.column_count, sizeof *ds->places, err);
    code = ds->places ? ECH_OK : ECH_UNAVAILABLE;
    for (size_t s = 0; s < shards && code == ECH_OK; s++)
        code = place_shard(ds, s, err);
    return code;
}

int ech_dataset_open(const char *path, struct ech_dataset **out, struct ech_err *err)
{
    return ech_dataset_open_frozen(path, NULL, out, err);
}

int ech_dataset_open_frozen(const char *path, const char *copy, struct ech_dataset **out, struct ech_err *err)
{
    struct ech_dataset *ds = ech_calloc(1, sizeof *ds, err);
    if (!ds)
        return ECH_UNAVAILABLE;
    pthread_mutex_init(&ds->lock, NULL);
    for (int i = 0; i < ECH_OPEN_FILES; i++)
        ds->files[i] = (struct ech_open_file){.shard = -1, .fd = -1};
    int code = open_local(ds, path, copy, err);
    if (code != ECH_OK) {
        ech_dataset_close(ds);
        return code;
    }
    *out = ds;
    return ECH_OK;
}

void ech_dataset_close(struct ech_dataset *ds)
{
    if (!ds)
        return;
    for (int i = 0; i < ECH_OPEN_FILES; i++)
        if (ds->files[i].fd >= 0)
            ech_close(ds->files[i].fd, ds->path, NULL);
    pthread_mutex_destroy(&ds->lock);
    ech_manifest_fini(&ds->manifest);
    ech_free(ds->places);
    ech_free(ds->path);
    ech_free(ds);
}

const struct ech_manifest *ech_dataset_manifest(const struct ech_dataset *ds)
{
    return &ds->manifest;
}

const char *ech_dataset_path(const struct ech_dataset *ds)
{
    return ds->path;
}

int64_t ech_dataset_rows(const struct ech_dataset *ds)
{
    return ds->manifest.rows;
}

int ech_dataset_columns(const struct ech_dataset *ds)
{
    return (int)ds->manifest.column_count;
}

const struct ech_column *ech_dataset_column(const struct ech_dataset *ds, int index)
{
    ECH_ASSERT(index >= 0 && index < ech_dataset_columns(ds), "column %d of %d", index,
               ech_dataset_columns(ds));
    return &ds->manifest.columns[index];
}

struct ech_hash ech_dataset_identity(const struct ech_dataset *ds)
{
    return ds->manifest.identity;
}

static int no_such_column(const struct ech_dataset *ds, const char *name, struct ech_err *err)
{
    const char *names[ECH_COLUMNS_MAX + 1] = {NULL};
    char list[768] = "";
    for (size_t c = 0; c < ds->manifest.column_count; c++) {
        names[c] = ds->manifest.columns[c].name;
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", c ? ", " : "", names[c]);
    }
    const char *nearest = ech_nearest(name, names);
    return ech_fail(err, ECH_CONFIG, "%s has no column '%.64s'%s%s%s; it has: %s", ds->path, name,
                    nearest ? " (did you mean '" : "", nearest ? nearest : "", nearest ? "'?)" : "", list);
}

int ech_dataset_find(const struct ech_dataset *ds, const char *name, int *index, struct ech_err *err)
{
    for (size_t c = 0; c < ds->manifest.column_count; c++)
        if (strcmp(ds->manifest.columns[c].name, name) == 0) {
            *index = (int)c;
            return ECH_OK;
        }
    return no_such_column(ds, name, err);
}

/* A slot for the shard's file: the one that has it, a free one, or the one unused longest. -1: all are busy.
 */
static int pick_slot(struct ech_dataset *ds, int64_t shard)
{
    int best = -1;
    for (int i = 0; i < ECH_OPEN_FILES; i++) {
        const struct ech_open_file *f = &ds->files[i];
        if (f->shard == shard)
            return i;
        if (f->users == 0 && (best < 0 || f->last_use < ds->files[best].last_use))
            best = i;
    }
    return best;
}

static int open_shard(const struct ech_dataset *ds, int64_t shard, int *fd, struct ech_err *err)
{
    char *path = ech_path_join(ds->path, ds->manifest.shards[shard].file, err);
    int code = path ? ech_open(path, O_RDONLY, fd, err) : ECH_UNAVAILABLE;
    ech_free(path);
    return code;
}

/* A descriptor to read the shard with; slot says how to give it back. */
static int acquire(struct ech_dataset *ds, int64_t shard, int *fd, int *slot, struct ech_err *err)
{
    pthread_mutex_lock(&ds->lock);
    int code = ECH_OK, i = pick_slot(ds, shard);
    if (i >= 0 && ds->files[i].shard != shard) {
        struct ech_open_file *f = &ds->files[i];
        if (f->fd >= 0)
            ech_close(f->fd, ds->path, NULL);
        *f = (struct ech_open_file){.shard = -1, .fd = -1};
        code = open_shard(ds, shard, &f->fd, err);
        if (code == ECH_OK)
            f->shard = shard;
    } else if (i < 0) {
        code = open_shard(ds, shard, fd, err); /* more threads than slots: a file of its own */
    }
    if (code == ECH_OK && i >= 0) {
        ds->files[i].users++;
        ds->files[i].last_use = ++ds->uses;
        *fd = ds->files[i].fd;
    }
    *slot = i;
    pthread_mutex_unlock(&ds->lock);
    return code;
}

static void release(struct ech_dataset *ds, int fd, int slot)
{
    if (slot < 0) {
        ech_close(fd, ds->path, NULL);
        return;
    }
    pthread_mutex_lock(&ds->lock);
    ds->files[slot].users--;
    pthread_mutex_unlock(&ds->lock);
}

/* The one way to a dataset's bytes. Reading does not change what the caller sees, so it takes a const
 * dataset; the cache of open files behind it is locked. */
int ech_dataset_read_range(const struct ech_dataset *ds, int64_t shard, int column, enum ech_shard_part part,
                           int64_t first, size_t bytes, void *to, struct ech_err *err)
{
    struct ech_dataset *cache = (struct ech_dataset *)(uintptr_t)ds;
    const struct ech_place *place = ech_dataset_place(ds, shard, column);
    int64_t base = part == ECH_PART_MAIN      ? place->main
                   : part == ECH_PART_OFFSETS ? place->offsets
                                              : place->checks;
    int fd, slot;
    if (bytes == 0)
        return ECH_OK;
    int code = acquire(cache, shard, &fd, &slot, err);
    if (code != ECH_OK)
        return code;
    code = ech_pread_all(fd, ds->manifest.shards[shard].file, to, bytes, base + first, err);
    release(cache, fd, slot);
    if (code != ECH_OK && err)
        ech_prefix(err, "%s", ds->path);
    return code;
}

const struct ech_place *ech_dataset_place(const struct ech_dataset *ds, int64_t shard, int column)
{
    return &ds->places[(size_t)shard * ds->manifest.column_count + (size_t)column];
}

int64_t ech_dataset_column_bytes(const struct ech_dataset *ds, int column)
{
    int64_t bytes = 0;
    for (size_t s = 0; s < ds->manifest.shard_count; s++)
        bytes += ech_dataset_place(ds, (int64_t)s, column)->main_bytes;
    return bytes;
}

int64_t ech_dataset_shard_of(const struct ech_dataset *ds, int64_t row)
{
    size_t low = 0, high = ds->manifest.shard_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (ds->manifest.shards[middle].first_row <= row)
            low = middle;
        else
            high = middle;
    }
    return (int64_t)low;
}

/* Rows of one shard: offsets are relative to the shard, in elements. */
struct slice {
    int64_t shard, row, rows; /* row: in the shard */
};

static struct slice slice_at(const struct ech_dataset *ds, int64_t first, int64_t count)
{
    int64_t shard = ech_dataset_shard_of(ds, first);
    const struct ech_manifest_shard *s = &ds->manifest.shards[shard];
    int64_t row = first - s->first_row;
    return (struct slice){shard, row, ech_min64(count, s->rows - row)};
}

static int check_offsets(const struct ech_dataset *ds, int column, const struct slice *slice,
                         const uint64_t *offsets, struct ech_err *err)
{
    const struct ech_manifest_shard *s = &ds->manifest.shards[slice->shard];
    const struct ech_column *c = &ds->manifest.columns[column];
    uint64_t last =
        (uint64_t)ech_dataset_place(ds, slice->shard, column)->main_bytes / ech_dtype_bytes(c->dtype);
    for (int64_t i = 0; i <= slice->rows; i++) {
        int64_t row = slice->row + i;
        bool good = offsets[i] <= last && (i == 0 || offsets[i] >= offsets[i - 1]) &&
                    (row > 0 || offsets[i] == 0) && (row < s->rows || offsets[i] == last);
        if (!good)
            return ech_fail(
                err, ECH_DATA,
                "%s/%s, column %s, row %lld: its offset is %llu, after %llu and of %llu in all: the "
                "shard is damaged (verify tells how much)",
                ds->path, s->file, c->name, (long long)(s->first_row + row), (unsigned long long)offsets[i],
                (unsigned long long)(i ? offsets[i - 1] : 0), (unsigned long long)last);
    }
    return ECH_OK;
}

int ech_dataset_read_offsets(const struct ech_dataset *ds, int column, int64_t shard, int64_t row,
                             int64_t rows, uint64_t *offsets, struct ech_err *err)
{
    const struct slice slice = {shard, row, rows};
    int code = ech_dataset_read_range(ds, shard, column, ECH_PART_OFFSETS, row * 8, ((size_t)rows + 1) * 8,
                                      offsets, err);
    return code == ECH_OK ? check_offsets(ds, column, &slice, offsets, err) : code;
}

/* Room for `bytes` more behind the rows that are there; also the offsets of `rows` more. */
static int grow_cells(struct ech_cells *cells, int64_t rows, uint64_t bytes, struct ech_err *err)
{
    size_t have = (size_t)cells->rows, used = (size_t)cells->offsets[have], need;
    if (__builtin_add_overflow(used, bytes, &need))
        return ech_fail(err, ECH_UNAVAILABLE, "rows of %llu bytes do not fit in memory",
                        (unsigned long long)bytes);
    int code = ech_grow((void **)&cells->offsets, &cells->offsets_capacity, have + (size_t)rows + 1,
                        sizeof *cells->offsets, err);
    return code == ECH_OK ? ech_grow((void **)&cells->bytes, &cells->bytes_capacity, need, 1, err) : code;
}

static int read_fixed(const struct ech_dataset *ds, int column, const struct slice *slice,
                      struct ech_cells *cells, struct ech_err *err)
{
    uint64_t width = (uint64_t)ech_column_row_bytes(&ds->manifest.columns[column]), bytes;
    if (__builtin_mul_overflow(width, (uint64_t)slice->rows, &bytes))
        return ech_fail(err, ECH_UNAVAILABLE, "%lld rows do not fit in memory", (long long)slice->rows);
    int code = grow_cells(cells, slice->rows, bytes, err);
    if (code != ECH_OK)
        return code;
    uint64_t *offsets = &cells->offsets[cells->rows];
    code = ech_dataset_read_range(ds, slice->shard, column, ECH_PART_MAIN, slice->row * (int64_t)width,
                                  (size_t)bytes, cells->bytes + offsets[0], err);
    for (int64_t i = 1; i <= slice->rows && code == ECH_OK; i++)
        offsets[i] = offsets[i - 1] + width;
    return code;
}

/* The shard's offsets are read to where the cells' will stand and moved by their difference; the last of the
 * rows before, which the first one overwrites, is the place the bytes go to. */
static int read_ragged(const struct ech_dataset *ds, int column, const struct slice *slice,
                       struct ech_cells *cells, struct ech_err *err)
{
    size_t width = ech_dtype_bytes(ds->manifest.columns[column].dtype);
    int code = grow_cells(cells, slice->rows, 0, err);
    if (code != ECH_OK)
        return code;
    uint64_t *offsets = &cells->offsets[cells->rows], used = offsets[0];
    code = ech_dataset_read_offsets(ds, column, slice->shard, slice->row, slice->rows, offsets, err);
    if (code == ECH_OK) {
        uint64_t first = offsets[0] * width;
        for (int64_t i = 0; i <= slice->rows; i++)
            offsets[i] = offsets[i] * width - first + used;
        uint64_t bytes = offsets[slice->rows] - used;
        offsets[0] = used;
        code = grow_cells(cells, slice->rows, bytes, err);
        if (code == ECH_OK)
            code = ech_dataset_read_range(ds, slice->shard, column, ECH_PART_MAIN, (int64_t)first,
                                          (size_t)bytes, cells->bytes + used, err);
    }
    return code;
}

static int check_rows(const struct ech_dataset *ds, int column, int64_t first, int64_t count,
                      struct ech_err *err)
{
    ECH_ASSERT(column >= 0 && column < ech_dataset_columns(ds), "column %d of %d", column,
               ech_dataset_columns(ds));
    if (first < 0 || count < 0 || first > ds->manifest.rows || count > ds->manifest.rows - first)
        return ech_fail(err, ECH_USAGE, "%s: %lld rows from row %lld were asked for, it has %lld", ds->path,
                        (long long)count, (long long)first, (long long)ds->manifest.rows);
    return ECH_OK;
}

int ech_dataset_read(const struct ech_dataset *ds, int column, int64_t first, int64_t count,
                     struct ech_cells *cells, struct ech_err *err)
{
    bool ragged = false;
    int code = check_rows(ds, column, first, count, err);
    if (code == ECH_OK) {
        ragged = ds->manifest.columns[column].dim == 0;
        code = ech_cells_reset(cells, err);
    }
    while (count > 0 && code == ECH_OK) {
        const struct slice slice = slice_at(ds, first, count);
        code =
            ragged ? read_ragged(ds, column, &slice, cells, err) : read_fixed(ds, column, &slice, cells, err);
        if (code == ECH_OK)
            cells->rows += slice.rows;
        first += slice.rows;
        count -= slice.rows;
    }
    if (code != ECH_OK && cells->offsets) {
        cells->rows = 0;
        cells->offsets[0] = 0;
    }
    return code;
}

static int sizes_of_slice(const struct ech_dataset *ds, int column, const struct slice *slice,
                          uint64_t *sizes, struct ech_err *err)
{
    enum { BATCH = 4096 };
    int64_t width = ech_column_row_bytes(&ds->manifest.columns[column]);
    size_t element = ech_dtype_bytes(ds->manifest.columns[column].dtype);
    if (width > 0) {
        for (int64_t i = 0; i < slice->rows; i++)
            sizes[i] = (uint64_t)width;
        return ECH_OK;
    }
    uint64_t offsets[BATCH + 1];
    int code = ECH_OK;
    for (int64_t at = 0; at < slice->rows && code == ECH_OK; at += BATCH) {
        int64_t n = ech_min64(BATCH, slice->rows - at);
        code = ech_dataset_read_offsets(ds, column, slice->shard, slice->row + at, n, offsets, err);
        for (int64_t i = 0; i < n && code == ECH_OK; i++)
            sizes[at + i] = (offsets[i + 1] - offsets[i]) * element;
    }
    return code;
}

int ech_dataset_row_sizes(const struct ech_dataset *ds, int column, int64_t first, int64_t count,
                          uint64_t *sizes, struct ech_err *err)
{
    int code = check_rows(ds, column, first, count, err);
    while (count > 0 && code == ECH_OK) {
        const struct slice slice = slice_at(ds, first, count);
        code = sizes_of_slice(ds, column, &slice, sizes, err);
        sizes += slice.rows;
        first += slice.rows;
        count -= slice.rows;
    }
    return code;
}
