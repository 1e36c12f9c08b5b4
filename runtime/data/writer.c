/* Writing a dataset: open and append (contract: writer.h). HDF5 is called at open alone, where each shard
 * gets its datasets at their final addresses; rows then go by pwrite, which is as fast as H5Dwrite on
 * contiguous datasets, leaves the same bytes, needs no collective call in append, and may be called from an
 * I/O thread. */
#include "data/writer.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"
#include "data/writer_internal.h"

#include <fcntl.h>
#include <string.h>

char *ech_writer_shard_path(const struct ech_writer *writer, int64_t shard, struct ech_err *err)
{
    char name[ECH_SHARD_NAME];
    return ech_path_join(writer->partial, ech_shard_name(shard, name), err);
}

static size_t buffer_bytes(int64_t bytes)
{
    return bytes < ECH_HASH_BLOCK ? (size_t)bytes : ECH_HASH_BLOCK;
}

/* Largest own piece of a column in any part: no buffer need be larger. */
static int prepare_cursor(struct ech_writer *writer, int column, struct ech_err *err)
{
    const struct ech_layout *layout = writer->layout;
    struct ech_cursor *cursor = &writer->cursors[column];
    int64_t bytes = 0, rows = 0;
    for (size_t p = 0; p < layout->part_count; p++) {
        bytes = ech_max64(bytes, layout->spans[p * (size_t)layout->count + (size_t)column].own);
        rows = ech_max64(rows, layout->parts[p].rows);
    }
    cursor->main_buffer = ech_alloc_aligned(buffer_bytes(bytes), err);
    if (cursor->main_buffer && layout->columns[column].dim == 0)
        cursor->offsets_buffer = ech_alloc_aligned(buffer_bytes((rows + 1) * 8), err);
    bool ready = cursor->main_buffer && (layout->columns[column].dim > 0 || cursor->offsets_buffer);
    return ready ? ECH_OK : ECH_UNAVAILABLE;
}

static struct ech_writer *prepare(struct ech_comm *comm, const char *partial, const struct ech_layout *layout,
                                  struct ech_err *err)
{
    struct ech_writer *writer = ech_calloc(1, sizeof *writer, err);
    if (!writer)
        return NULL;
    size_t columns = (size_t)layout->count, parts = layout->part_count;
    *writer = (struct ech_writer){.comm = comm, .layout = layout, .failure = ECH_ERR_NONE};
    writer->partial = ech_strdup(partial, err);
    writer->places = ech_calloc(parts * columns, sizeof *writer->places, err);
    writer->file_bytes = ech_calloc(parts, sizeof *writer->file_bytes, err);
    writer->cursors = ech_calloc(columns, sizeof *writer->cursors, err);
    bool ready = writer->partial && writer->places && writer->file_bytes && writer->cursors;
    for (size_t c = 0; writer->cursors && c < columns; c++)
        writer->cursors[c].fd = -1;
    for (int c = 0; ready && c < layout->count; c++)
        ready = prepare_cursor(writer, c, err) == ECH_OK;
    if (!ready) {
        ech_writer_close(writer);
        return NULL;
    }
    return writer;
}

static int create_part(struct ech_writer *writer, size_t p, struct ech_comm *group, struct ech_err *err)
{
    const struct ech_layout *layout = writer->layout;
    size_t columns = (size_t)layout->count;
    int64_t main_bytes[ECH_COLUMNS_MAX];
    for (size_t c = 0; c < columns; c++)
        main_bytes[c] = layout->spans[p * columns + c].total;
    struct ech_shard_spec spec = {layout->columns, layout->count, layout->parts[p].shard_rows, main_bytes};
    struct ech_err local = ECH_ERR_NONE;
    char *path = ech_writer_shard_path(writer, layout->parts[p].shard, &local);
    int code = group ? ech_agree(group, &local) : local.code;
    if (code == ECH_OK)
        code = ech_shard_create(path, &spec, group, &writer->places[p * columns], &writer->file_bytes[p],
                                &local);
    if (code != ECH_OK && err->code == ECH_OK)
        *err = local;
    ech_free(path);
    return code;
}

/* Shared shards of one parity: a rank is in at most one of them, so their groups work at the same time. */
static int create_shared(struct ech_writer *writer, int parity, struct ech_err *err)
{
    const struct ech_layout *layout = writer->layout;
    struct ech_comm *group = NULL;
    struct ech_err local = ECH_ERR_NONE;
    size_t p = 0;
    while (p < layout->part_count && (layout->parts[p].group < 0 || layout->parts[p].group % 2 != parity))
        p++;
    bool member = p < layout->part_count;
    int color = member ? (int)(layout->parts[p].group / 2) : -1; /* fewer than ranks */
    int code = ech_comm_split(writer->comm, color, &group, &local);
    if (code == ECH_OK && member)
        create_part(writer, p, group, &local);
    ech_comm_close(group);
    code = ech_agree(writer->comm, &local);
    if (code != ECH_OK && err->code == ECH_OK)
        *err = local;
    return code;
}

static int create_own(struct ech_writer *writer, struct ech_err *err)
{
    int code = ECH_OK;
    for (size_t p = 0; p < writer->layout->part_count && code == ECH_OK; p++)
        if (writer->layout->parts[p].group < 0)
            code = create_part(writer, p, NULL, err);
    return code;
}

static int create_folder(const char *partial, struct ech_err *err)
{
    if (ech_path_exists(partial))
        return ech_fail(err, ECH_EXISTS,
                        "%s exists already: another run writes there, or one was stopped; "
                        "remove it if none is running",
                        partial);
    return ech_mkdir_all(partial, err);
}

int ech_writer_open(struct ech_comm *comm, const char *partial, const struct ech_layout *layout,
                    struct ech_writer **out, struct ech_err *err)
{
    ECH_ASSERT(layout->agreed, "a writer opens %s before its layout is agreed on", partial);
    struct ech_err local = ECH_ERR_NONE;
    struct ech_writer *writer = prepare(comm, partial, layout, &local);
    int code = ech_agree(comm, &local);
    if (code == ECH_OK) {
        if (ech_comm_rank(comm) == 0)
            create_folder(partial, &local);
        code = ech_agree(comm, &local);
    }
    for (int parity = 0; parity < 2 && code == ECH_OK; parity++)
        if (ech_comm_size(comm) > 1)
            code = create_shared(writer, parity, &local);
    if (code == ECH_OK) {
        create_own(writer, &local);
        code = ech_agree(comm, &local);
    }
    if (code != ECH_OK) {
        ech_writer_close(writer);
        if (err && err->code == ECH_OK)
            *err = local;
        return code;
    }
    *out = writer;
    return ECH_OK;
}

void ech_writer_place_streams(const struct ech_writer *writer, int column, size_t part,
                              struct ech_writer_stream *main, struct ech_writer_stream *offsets)
{
    const struct ech_layout *layout = writer->layout;
    size_t at = part * (size_t)layout->count + (size_t)column;
    const struct ech_place *place = &writer->places[at];
    const struct ech_span *span = &layout->spans[at];
    const struct ech_part *p = &layout->parts[part];
    *main = (struct ech_writer_stream){
        .fd = -1, .base = place->main, .total = place->main_bytes, .checks = place->checks};
    ech_writer_stream_start(main, span->before, span->before + span->own);
    *offsets = (struct ech_writer_stream){.fd = -1, .base = place->offsets, .total = place->offsets_bytes};
    if (place->offsets_bytes == 0)
        return;
    offsets->checks = place->checks + ech_blocks(place->main_bytes) * (int64_t)sizeof(struct ech_hash);
    int64_t end = p->row_in_shard + p->rows;
    ech_writer_stream_start(offsets, p->row_in_shard * 8, (end + (end == p->shard_rows)) * 8);
}

static int enter_part(struct ech_writer *writer, int column, struct ech_err *err)
{
    struct ech_cursor *cursor = &writer->cursors[column];
    cursor->path = ech_writer_shard_path(writer, writer->layout->parts[cursor->part].shard, err);
    if (!cursor->path)
        return ECH_UNAVAILABLE;
    int code = ech_open(cursor->path, O_WRONLY, &cursor->fd, err);
    if (code != ECH_OK)
        return code;
    ech_writer_place_streams(writer, column, cursor->part, &cursor->main, &cursor->offsets);
    cursor->main.fd = cursor->offsets.fd = cursor->fd;
    cursor->main.path = cursor->offsets.path = cursor->path;
    cursor->main.buffer = cursor->main_buffer;
    cursor->offsets.buffer = cursor->offsets_buffer;
    cursor->row = cursor->bytes = 0;
    return ECH_OK;
}

static int changed(const struct ech_writer *writer, int column, struct ech_err *err)
{
    const struct ech_cursor *cursor = &writer->cursors[column];
    const struct ech_part *part = &writer->layout->parts[cursor->part];
    return ech_fail(err, ECH_DATA,
                    "column %s, shard %lld: its rows have other sizes than when they were counted; the input "
                    "changed between the two passes",
                    writer->layout->columns[column].name, (long long)part->shard);
}

/* The part's last own row is in: its final offset, where this rank has the shard's last row, and the file. */
static int leave_part(struct ech_writer *writer, int column, struct ech_err *err)
{
    struct ech_cursor *cursor = &writer->cursors[column];
    if (cursor->main.at != cursor->main.end)
        return changed(writer, column, err);
    int code = ECH_OK;
    if (cursor->offsets.at < cursor->offsets.end) {
        uint64_t total =
            (uint64_t)cursor->main.total / ech_dtype_bytes(writer->layout->columns[column].dtype);
        code = ech_writer_stream_put(&cursor->offsets, &total, sizeof total, err);
    }
    if (code == ECH_OK)
        code = ech_writer_stream_flush(&cursor->main, err);
    if (code == ECH_OK)
        code = ech_writer_stream_flush(&cursor->offsets, err);
    int closed = ech_close(cursor->fd, cursor->path, code == ECH_OK ? err : NULL);
    cursor->fd = -1;
    ech_free(cursor->path);
    cursor->path = NULL;
    cursor->part++;
    return code != ECH_OK ? code : closed;
}

/* Starts of `rows` rows, in elements of the column, from the shard's beginning. Returns their bytes in *sum.
 */
static int put_offsets(struct ech_writer *writer, int column, const uint64_t *row_bytes, int64_t rows,
                       size_t *sum, struct ech_err *err)
{
    enum { BATCH = 512 };
    struct ech_cursor *cursor = &writer->cursors[column];
    uint64_t offsets[BATCH], room = (uint64_t)(cursor->main.end - cursor->main.at), total = 0;
    size_t width = ech_dtype_bytes(writer->layout->columns[column].dtype);
    int code = ECH_OK;
    for (int64_t row = 0; row < rows && code == ECH_OK;) {
        size_t n = 0;
        for (; n < BATCH && row < rows; n++, row++) {
            offsets[n] = ((uint64_t)cursor->main.at + total) / width;
            if (row_bytes[row] > room - total || row_bytes[row] % width != 0)
                return changed(writer, column, err);
            total += row_bytes[row];
        }
        code = ech_writer_stream_put(&cursor->offsets, offsets, n * sizeof offsets[0], err);
    }
    *sum = (size_t)total;
    return code;
}

static int append_local(struct ech_writer *writer, int column, const unsigned char *bytes,
                        const uint64_t *row_bytes, int64_t rows, struct ech_err *err)
{
    const struct ech_layout *layout = writer->layout;
    struct ech_cursor *cursor = &writer->cursors[column];
    int64_t width = ech_column_row_bytes(&layout->columns[column]);
    int code = ECH_OK;
    while (rows > 0 && code == ECH_OK) {
        if (cursor->part == layout->part_count)
            return ech_fail(err, ECH_DATA, "column %s: %lld more rows than were counted",
                            layout->columns[column].name, (long long)rows);
        if (cursor->fd < 0 && (code = enter_part(writer, column, err)) != ECH_OK)
            return code;
        int64_t now = ech_min64(rows, layout->parts[cursor->part].rows - cursor->row);
        size_t sum = width > 0 ? (size_t)(now * width) : 0;
        if (width < 0)
            code = put_offsets(writer, column, row_bytes, now, &sum, err);
        if (code == ECH_OK)
            code = ech_writer_stream_put(&cursor->main, bytes, sum, err);
        bytes = sum > 0 ? bytes + sum : bytes;
        row_bytes = width < 0 ? row_bytes + now : row_bytes;
        cursor->row += now;
        rows -= now;
        if (code == ECH_OK && cursor->row == layout->parts[cursor->part].rows)
            code = leave_part(writer, column, err);
    }
    return code;
}

int ech_writer_append(struct ech_writer *writer, int column, const void *bytes, const uint64_t *row_bytes,
                      int64_t rows, struct ech_err *err)
{
    ECH_ASSERT(column >= 0 && column < writer->layout->count, "column %d of %d", column,
               writer->layout->count);
    if (writer->failure.code == ECH_OK)
        append_local(writer, column, bytes, row_bytes, rows, &writer->failure);
    if (writer->failure.code != ECH_OK && err && err->code == ECH_OK)
        *err = writer->failure;
    return writer->failure.code;
}

int ech_writer_complete(struct ech_writer *writer, struct ech_err *err)
{
    for (int c = 0; c < writer->layout->count; c++) {
        const struct ech_cursor *cursor = &writer->cursors[c];
        if (cursor->part < writer->layout->part_count)
            return ech_fail(err, ECH_DATA,
                            "column %s: %lld rows of shard %lld came, %lld were counted; the input changed "
                            "between the two passes",
                            writer->layout->columns[c].name, (long long)(cursor->fd < 0 ? 0 : cursor->row),
                            (long long)writer->layout->parts[cursor->part].shard,
                            (long long)writer->layout->parts[cursor->part].rows);
    }
    return ECH_OK;
}

void ech_writer_close(struct ech_writer *writer)
{
    if (!writer)
        return;
    for (int c = 0; writer->cursors && c < writer->layout->count; c++) {
        struct ech_cursor *cursor = &writer->cursors[c];
        if (cursor->fd >= 0)
            ech_close(cursor->fd, cursor->path, NULL);
        ech_free(cursor->path);
        ech_free(cursor->main_buffer);
        ech_free(cursor->offsets_buffer);
    }
    ech_free(writer->partial);
    ech_free(writer->places);
    ech_free(writer->file_bytes);
    ech_free(writer->cursors);
    ech_free(writer);
}
