/* Writing a dataset: finish and publish (contract: writer.h).
 *
 * Order, each step agreed on by all ranks: all rows are in their files and synced; blocks shared by
 * neighbours are hashed from the file; the first rank of each shard takes the roots; rank 0 writes the
 * manifest, syncs and renames. Until the last rename a reader finds the old dataset or none. While publishing
 * every rank holds 16 + 16 bytes a column for each shard of the dataset. */
#include "data/writer.h"

#include "base/fault.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/manifest.h"
#include "data/writer_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static int sync_file(const char *path, struct ech_err *err)
{
    int fd, code = ech_open(path, O_WRONLY, &fd, err);
    if (code != ECH_OK)
        return code;
    code = ech_fdatasync(fd, path, err);
    int closed = ech_close(fd, path, code == ECH_OK ? err : NULL);
    return code != ECH_OK ? code : closed;
}

static int sync_parts(struct ech_writer *writer, struct ech_err *err)
{
    int code = ech_writer_complete(writer, err);
    for (size_t p = 0; p < writer->layout->part_count && code == ECH_OK; p++) {
        char *path = ech_writer_shard_path(writer, writer->layout->parts[p].shard, err);
        code = path ? sync_file(path, err) : ECH_UNAVAILABLE;
        ech_free(path);
    }
    return code;
}

static int hash_part_edges(struct ech_writer *writer, size_t p, const char *path, int fd,
                           unsigned char *block, struct ech_err *err)
{
    struct ech_writer_stream streams[2];
    int read_fd, code = ech_open(path, O_RDONLY, &read_fd, err);
    if (code != ECH_OK)
        return code;
    for (int c = 0; c < writer->layout->count && code == ECH_OK; c++) {
        ech_writer_place_streams(writer, c, p, &streams[0], &streams[1]);
        for (int s = 0; s < 2 && code == ECH_OK; s++) {
            streams[s].fd = fd;
            streams[s].path = path;
            code = ech_writer_stream_hash_edge(&streams[s], read_fd, block, err);
        }
    }
    ech_close(read_fd, path, NULL);
    return code;
}

/* Shared shards only: blocks with bytes of several ranks, all of which have synced. */
static int hash_edges(struct ech_writer *writer, struct ech_err *err)
{
    unsigned char *block = ech_alloc_aligned(ECH_HASH_BLOCK, err);
    int code = block ? ECH_OK : ECH_UNAVAILABLE;
    for (size_t p = 0; p < writer->layout->part_count && code == ECH_OK; p++) {
        if (writer->layout->parts[p].group < 0)
            continue;
        int fd = -1;
        char *path = ech_writer_shard_path(writer, writer->layout->parts[p].shard, err);
        code = path ? ech_open(path, O_WRONLY, &fd, err) : ECH_UNAVAILABLE;
        if (code == ECH_OK)
            code = hash_part_edges(writer, p, path, fd, block, err);
        if (code == ECH_OK)
            code = ech_fdatasync(fd, path, err);
        if (fd >= 0) {
            int closed = ech_close(fd, path, code == ECH_OK ? err : NULL);
            code = code != ECH_OK ? code : closed;
        }
        ech_free(path);
    }
    ech_free(block);
    return code;
}

/* What the manifest says of a shard, sent from its first rank to all. */
struct record {
    int64_t rows, bytes;
    struct ech_hash roots[];
};

static size_t record_bytes(const struct ech_writer *writer)
{
    return sizeof(struct record) + (size_t)writer->layout->count * sizeof(struct ech_hash);
}

static int take_root(int fd, const char *path, const struct ech_place *place, struct ech_hash *root,
                     struct ech_err *err)
{
    struct ech_hash *blocks = ech_calloc((size_t)place->blocks, sizeof *blocks, err);
    if (!blocks)
        return ECH_UNAVAILABLE;
    int code = ech_pread_all(fd, path, blocks, (size_t)place->blocks * sizeof *blocks, place->checks, err);
    if (code == ECH_OK)
        *root = ech_hash_root(blocks, place->blocks);
    ech_free(blocks);
    return code;
}

static int take_roots(struct ech_writer *writer, size_t p, struct record *record, struct ech_err *err)
{
    const struct ech_layout *layout = writer->layout;
    int fd = -1;
    char *path = ech_writer_shard_path(writer, layout->parts[p].shard, err);
    int code = path ? ech_open(path, O_RDONLY, &fd, err) : ECH_UNAVAILABLE;
    record->rows = layout->parts[p].shard_rows;
    record->bytes = writer->file_bytes[p];
    for (int c = 0; c < layout->count && code == ECH_OK; c++)
        code = take_root(fd, path, &writer->places[p * (size_t)layout->count + (size_t)c], &record->roots[c],
                         err);
    if (fd >= 0)
        ech_close(fd, path, NULL);
    ech_free(path);
    return code;
}

/* Records of the shards whose first rows this rank has, in order. */
static int take_records(struct ech_writer *writer, char **records, size_t *bytes, struct ech_err *err)
{
    const struct ech_layout *layout = writer->layout;
    size_t each = record_bytes(writer), used = 0;
    char *out = ech_calloc(layout->part_count, each, err);
    int code = out ? ECH_OK : ECH_UNAVAILABLE;
    for (size_t p = 0; p < layout->part_count && code == ECH_OK; p++)
        if (layout->parts[p].row_in_shard == 0) {
            code = take_roots(writer, p, (struct record *)(out + used), err);
            used += each;
        }
    if (code != ECH_OK) {
        ech_free(out);
        return code;
    }
    *records = out;
    *bytes = used;
    return ECH_OK;
}

/* All shards' records, in order, on every rank. */
static int finish(struct ech_writer *writer, void **records, struct ech_err *err)
{
    struct ech_err local = writer->failure;
    char *mine = NULL;
    size_t bytes = 0, *counts = NULL;
    if (local.code == ECH_OK)
        sync_parts(writer, &local);
    int code = ech_agree(writer->comm, &local);
    if (code == ECH_OK && ech_comm_size(writer->comm) > 1) {
        hash_edges(writer, &local);
        code = ech_agree(writer->comm, &local);
    }
    if (code == ECH_OK) {
        counts = ech_calloc((size_t)ech_comm_size(writer->comm), sizeof *counts, &local);
        if (counts)
            take_records(writer, &mine, &bytes, &local);
        code = ech_agree(writer->comm, &local);
    }
    if (code == ECH_OK)
        code = ech_allgatherv(writer->comm, mine, bytes, records, counts, &local);
    if (code != ECH_OK && err->code == ECH_OK)
        *err = local;
    ech_free(mine);
    ech_free(counts);
    return code;
}

static int copy_columns(struct ech_manifest *m, const struct ech_layout *layout, struct ech_err *err)
{
    m->columns = ech_calloc((size_t)layout->count, sizeof *m->columns, err);
    if (!m->columns)
        return ECH_UNAVAILABLE;
    memcpy(m->columns, layout->columns, (size_t)layout->count * sizeof *m->columns);
    m->column_count = (size_t)layout->count;
    return ECH_OK;
}

static int add_shards(struct ech_manifest *m, const struct ech_writer *writer, const void *records,
                      struct ech_err *err)
{
    size_t count = (size_t)writer->layout->shards, columns = m->column_count;
    int code =
        ech_grow((void **)&m->shards, &m->shard_capacity, m->shard_count + count, sizeof *m->shards, err);
    if (code == ECH_OK)
        code = ech_grow((void **)&m->roots, &m->root_capacity, (m->shard_count + count) * columns,
                        sizeof *m->roots, err);
    for (size_t i = 0; i < count && code == ECH_OK; i++) {
        const struct record *r = (const struct record *)((const char *)records + i * record_bytes(writer));
        struct ech_manifest_shard *s = &m->shards[m->shard_count];
        *s = (struct ech_manifest_shard){
            .generation = m->generation, .first_row = m->rows, .rows = r->rows, .bytes = r->bytes};
        ech_shard_name((int64_t)m->shard_count, s->file);
        memcpy(&m->roots[m->shard_count * columns], r->roots, columns * sizeof *m->roots);
        m->shard_count++;
        m->root_count += columns;
        if (__builtin_add_overflow(m->rows, r->rows, &m->rows))
            code = ech_fail(err, ECH_DATA, "more rows than 63 bits can count");
    }
    return code;
}

/* The same content has the same uuid, whoever imports it. */
static struct ech_hash content_uuid(const struct ech_manifest *m)
{
    struct ech_hash h = {0, 0};
    for (size_t c = 0; c < m->column_count; c++) {
        int64_t kind[3] = {m->columns[c].type, m->columns[c].dtype, m->columns[c].dim};
        ech_hash_add_str(&h, m->columns[c].name);
        ech_hash_add(&h, kind, sizeof kind);
    }
    ech_hash_add(&h, &m->rows, sizeof m->rows);
    ech_hash_add(&h, m->roots, m->root_count * sizeof *m->roots);
    return h;
}

static int write_manifest(struct ech_manifest *m, const char *folder, struct ech_err *err)
{
    struct ech_str text;
    ech_str_init(&text);
    int code = ech_manifest_print(m, &text, err);
    char *path = code == ECH_OK ? ech_path_join(folder, ECH_MANIFEST_NAME, err) : NULL;
    if (code == ECH_OK)
        code = path ? ech_write_file(path, text.data, text.length, err) : ECH_UNAVAILABLE;
    ech_free(path);
    ech_str_fini(&text);
    return code;
}

static int sync_parent(const char *path, struct ech_err *err)
{
    char *parent = ech_path_dir(path, err);
    int code = parent ? ech_fsync_dir(parent, err) : ECH_UNAVAILABLE;
    ech_free(parent);
    return code;
}

static void remove_leftover(const char *path)
{
    struct ech_err err = ECH_ERR_NONE;
    if (ech_remove_all(path, &err) != ECH_OK)
        ech_log(ECH_LOG_WARN, "data", "%s is left over and can be removed: %s", path, err.text);
}

static bool is_dataset(const char *folder)
{
    char *path = ech_path_join(folder, ECH_MANIFEST_NAME, NULL);
    bool there = path && ech_path_exists(path);
    ech_free(path);
    return there;
}

/* Old and new change places in one step, so that the name always leads to a whole dataset; where the file
 * system cannot do that, the old one steps aside first and comes back if the new one cannot follow. */
static int exchange(const char *partial, const char *target, struct ech_err *err)
{
    if (ech_fault(ECH_FAULT_RENAME))
        return ech_fail(err, ECH_IO, "replacing %s: injected failure", target);
    if (renameat2(AT_FDCWD, partial, AT_FDCWD, target, RENAME_EXCHANGE) == 0) {
        int code = sync_parent(target, err);
        if (code == ECH_OK)
            remove_leftover(partial);
        return code;
    }
    if (errno != EINVAL && errno != ENOSYS)
        return ech_fail_errno(err, ECH_IO, errno, "replacing %s by %s", target, partial);
    char *aside = ech_sprintf(err, "%s.replaced", partial);
    int code = aside ? ech_rename_new(target, aside, err) : ECH_UNAVAILABLE;
    if (code == ECH_OK && (code = ech_rename(partial, target, err)) != ECH_OK)
        ech_rename(aside, target, NULL);
    if (code == ECH_OK && (code = sync_parent(target, err)) == ECH_OK)
        remove_leftover(aside);
    ech_free(aside);
    return code;
}

static int move_into_place(const char *partial, const struct ech_publish *how, struct ech_err *err)
{
    size_t length = strlen(how->target);
    while (length > 1 && how->target[length - 1] == '/')
        length--;
    char *target = ech_strndup(how->target, length, err);
    if (!target)
        return ECH_UNAVAILABLE;
    int code;
    if (how->replace && ech_path_exists(target)) {
        code = is_dataset(target)
                   ? exchange(partial, target, err)
                   : ech_fail(err, ECH_EXISTS,
                              "%s exists and is not a dataset: it is not replaced; remove it or "
                              "name another output",
                              target);
    } else {
        code = ech_rename_new(partial, target, err);
        if (code == ECH_OK)
            code = sync_parent(target, err);
    }
    ech_free(target);
    return code;
}

static int publish_new(struct ech_writer *writer, const struct ech_publish *how, const void *records,
                       struct ech_err *err)
{
    struct ech_manifest m = {.generation = 1, .uuid = how->uuid};
    int code = copy_columns(&m, writer->layout, err);
    if (code == ECH_OK)
        code = add_shards(&m, writer, records, err);
    if (code == ECH_OK && ech_hash_equal(m.uuid, (struct ech_hash){0, 0}))
        m.uuid = content_uuid(&m);
    if (code == ECH_OK && how->provenance)
        code = ech_manifest_add_provenance(&m, how->provenance, err);
    if (code == ECH_OK)
        code = write_manifest(&m, writer->partial, err);
    ech_manifest_fini(&m);
    return code == ECH_OK ? move_into_place(writer->partial, how, err) : code;
}

static int same_columns(const struct ech_manifest *m, const struct ech_layout *layout, const char *folder,
                        struct ech_err *err)
{
    if ((int)m->column_count != layout->count)
        return ech_fail(err, ECH_CONFIG, "%s has %zu columns, the rows to append have %d", folder,
                        m->column_count, layout->count);
    for (int c = 0; c < layout->count; c++) {
        const struct ech_column *a = &m->columns[c], *b = &layout->columns[c];
        if (strcmp(a->name, b->name) != 0 || a->type != b->type || a->dtype != b->dtype || a->dim != b->dim)
            return ech_fail(
                err, ECH_CONFIG,
                "column %d of %s is %s (%s, %s, dim %lld), that of the rows to append is %s (%s, %s, "
                "dim %lld)",
                c, folder, a->name, ech_ctype_name(a->type), ech_dtype_name(a->dtype), (long long)a->dim,
                b->name, ech_ctype_name(b->type), ech_dtype_name(b->dtype), (long long)b->dim);
    }
    return ECH_OK;
}

/* New shards get the next numbers; what a stopped append may have left under these names is replaced. */
static int move_shards(const struct ech_writer *writer, const char *folder, size_t first, struct ech_err *err)
{
    int code = ECH_OK;
    for (int64_t i = 0; i < writer->layout->shards && code == ECH_OK; i++) {
        char name[ECH_SHARD_NAME];
        char *from = ech_writer_shard_path(writer, i, err);
        char *to = from ? ech_path_join(folder, ech_shard_name((int64_t)first + i, name), err) : NULL;
        code = to ? ech_rename(from, to, err) : ECH_UNAVAILABLE;
        ech_free(from);
        ech_free(to);
    }
    return code == ECH_OK ? ech_fsync_dir(folder, err) : code;
}

static int append_shards(struct ech_writer *writer, const struct ech_publish *how, const void *records,
                         struct ech_err *err)
{
    struct ech_manifest m = {0};
    int code = ech_manifest_read(how->append_to, &m, err);
    if (code != ECH_OK)
        return code;
    size_t first = m.shard_count;
    code = same_columns(&m, writer->layout, how->append_to, err);
    if (code == ECH_OK && writer->layout->shards > 0) {
        m.generation++;
        code = add_shards(&m, writer, records, err);
        if (code == ECH_OK)
            code = ech_manifest_add_provenance(&m, how->provenance, err);
        if (code == ECH_OK)
            code = move_shards(writer, how->append_to, first, err);
        if (code == ECH_OK)
            code = write_manifest(&m, how->append_to, err);
    }
    ech_manifest_fini(&m);
    if (code == ECH_OK)
        remove_leftover(writer->partial);
    return code;
}

/* One append at a time: the folder is locked, where the file system knows locks. */
static int publish_append(struct ech_writer *writer, const struct ech_publish *how, const void *records,
                          struct ech_err *err)
{
    int fd, code = ech_open(how->append_to, O_RDONLY | O_DIRECTORY, &fd, err);
    if (code != ECH_OK)
        return code;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        code = ech_fail(err, ECH_EXISTS, "%s: another append is publishing; try again", how->append_to);
    if (code == ECH_OK)
        code = append_shards(writer, how, records, err);
    ech_close(fd, how->append_to, NULL);
    return code;
}

int ech_writer_publish(struct ech_writer *writer, const struct ech_publish *how, struct ech_err *err)
{
    struct ech_err local = ECH_ERR_NONE;
    void *records = NULL;
    int code = finish(writer, &records, &local);
    if (code == ECH_OK) {
        if (ech_comm_rank(writer->comm) == 0) {
            if (how->append_to)
                publish_append(writer, how, records, &local);
            else
                publish_new(writer, how, records, &local);
        }
        code = ech_agree(writer->comm, &local);
    }
    ech_free(records);
    if (code != ECH_OK && err && err->code == ECH_OK)
        *err = local;
    return code;
}
