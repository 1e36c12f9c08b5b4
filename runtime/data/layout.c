/* Which row lies in which shard: see layout.h. Pass 1 counts; the agreement sums over the ranks before, walks
 * the own sizes once to find the shards, and joins shards that neighbours share. */
#include "data/layout.h"

#include "base/mem.h"
#include "base/num.h"
#include "data/manifest.h"

#include <string.h>

static int check_column(const struct ech_column *columns, int index, struct ech_err *err)
{
    const struct ech_column *c = &columns[index];
    if (memchr(c->name, '\0', sizeof c->name) == NULL || !ech_column_name_valid(c->name))
        return ech_fail(
            err, ECH_CONFIG,
            "column %d: '%.63s' is not a name: letters, digits, '_', '.', '-', at most 63, first a "
            "letter or '_'",
            index, c->name);
    bool text = c->type == ECH_TEXT || c->type == ECH_JSON;
    bool fits = text                  ? c->dtype == ECH_U8 && c->dim == 0
                : c->type == ECH_INTS ? c->dtype == ECH_I64 && c->dim >= 0
                : c->type == ECH_TENSOR
                    ? (c->dtype == ECH_F16 || c->dtype == ECH_F32 || c->dtype == ECH_F64) && c->dim > 0
                    : false;
    if (!fits || c->dim > INT32_MAX)
        return ech_fail(
            err, ECH_CONFIG,
            "column %s: type %d, dtype %d and dim %lld do not go together (text, json: u8, 0; tensor: "
            "f16, f32, f64, 1 or more; ints: i64, 0 or more)",
            c->name, (int)c->type, (int)c->dtype, (long long)c->dim);
    for (int other = 0; other < index; other++)
        if (strcmp(columns[other].name, c->name) == 0)
            return ech_fail(err, ECH_CONFIG, "two columns have the name %s", c->name);
    return ECH_OK;
}

int ech_columns_check(const struct ech_column *columns, int count, struct ech_err *err)
{
    if (count < 1 || count > ECH_COLUMNS_MAX)
        return ech_fail(err, ECH_CONFIG, "%d columns, 1 to %d can be stored", count, ECH_COLUMNS_MAX);
    for (int c = 0; c < count; c++) {
        int code = check_column(columns, c, err);
        if (code != ECH_OK)
            return code;
    }
    return ECH_OK;
}

int ech_layout_create(const struct ech_column *columns, int count, int64_t shard_bytes,
                      struct ech_layout **out, struct ech_err *err)
{
    int code = ech_columns_check(columns, count, err);
    if (code != ECH_OK)
        return code;
    if (shard_bytes < 1)
        return ech_fail(err, ECH_CONFIG, "shard_bytes is %lld, at least 1 is needed", (long long)shard_bytes);
    struct ech_layout *layout = ech_calloc(1, sizeof *layout, err);
    if (!layout)
        return ECH_UNAVAILABLE;
    memcpy(layout->columns, columns, (size_t)count * sizeof *columns);
    layout->count = count;
    layout->shard_bytes = shard_bytes;
    ech_sizes_init(&layout->sizes);
    for (int c = 0; c < count; c++) {
        bool ragged = columns[c].dim == 0;
        layout->ragged += ragged;
        layout->fixed_bytes += ragged ? (int64_t)sizeof(uint64_t) : ech_column_row_bytes(&columns[c]);
    }
    *out = layout;
    return ECH_OK;
}

void ech_layout_destroy(struct ech_layout *layout)
{
    if (!layout)
        return;
    ech_sizes_fini(&layout->sizes);
    ech_free(layout->parts);
    ech_free(layout->spans);
    ech_free(layout);
}

static int too_large(struct ech_err *err)
{
    return ech_fail(err, ECH_DATA, "the rows of one rank have more bytes than 63 bits can count");
}

static int check_row_bytes(const struct ech_column *column, int64_t row, uint64_t bytes, struct ech_err *err)
{
    int64_t fixed = ech_column_row_bytes(column);
    if (fixed >= 0 && bytes != (uint64_t)fixed)
        return ech_fail(err, ECH_DATA, "own row %lld, column %s: %llu bytes, a row has %lld", (long long)row,
                        column->name, (unsigned long long)bytes, (long long)fixed);
    if (bytes % ech_dtype_bytes(column->dtype) != 0)
        return ech_fail(err, ECH_DATA, "own row %lld, column %s: %llu bytes are no whole number of %s values",
                        (long long)row, column->name, (unsigned long long)bytes,
                        ech_dtype_name(column->dtype));
    return ECH_OK;
}

int ech_layout_add(struct ech_layout *layout, const uint64_t *row_bytes, struct ech_err *err)
{
    ECH_ASSERT(!layout->agreed, "row %lld is added after the agreement", (long long)layout->rows);
    uint64_t ragged[ECH_COLUMNS_MAX];
    int count = 0;
    int64_t bytes = layout->fixed_bytes;
    for (int c = 0; c < layout->count; c++) {
        int code = check_row_bytes(&layout->columns[c], layout->rows, row_bytes[c], err);
        if (code != ECH_OK)
            return code;
        if (layout->columns[c].dim != 0)
            continue;
        ragged[count++] = row_bytes[c];
        if (row_bytes[c] > INT64_MAX || __builtin_add_overflow(bytes, (int64_t)row_bytes[c], &bytes))
            return too_large(err);
    }
    if (__builtin_add_overflow(layout->bytes, bytes, &bytes))
        return too_large(err);
    int code = count > 0 ? ech_sizes_put(&layout->sizes, ragged, count, err) : ECH_OK;
    if (code != ECH_OK)
        return code;
    layout->bytes = bytes;
    layout->rows++;
    return ECH_OK;
}

int ech_layout_add_fixed(struct ech_layout *layout, int64_t rows, struct ech_err *err)
{
    ECH_ASSERT(!layout->agreed, "%lld rows are added after the agreement", (long long)rows);
    int64_t bytes;
    if (layout->ragged > 0)
        return ech_fail(err, ECH_BUG, "rows of one size are announced, but %d columns are ragged",
                        layout->ragged);
    if (rows < 0 || __builtin_mul_overflow(rows, layout->fixed_bytes, &bytes) ||
        __builtin_add_overflow(layout->bytes, bytes, &bytes))
        return too_large(err);
    layout->bytes = bytes;
    layout->rows += rows;
    return ECH_OK;
}

/* The part of shard `key`, the last one or a new one. */
static int part_of(struct ech_layout *layout, int64_t key, struct ech_err *err)
{
    if (layout->part_count > 0 && layout->parts[layout->part_count - 1].key == key)
        return ECH_OK;
    size_t columns = (size_t)layout->count, n = layout->part_count;
    int code = ech_grow((void **)&layout->parts, &layout->part_capacity, n + 1, sizeof *layout->parts, err);
    if (code == ECH_OK)
        code = ech_grow((void **)&layout->spans, &layout->span_capacity, (n + 1) * columns,
                        sizeof *layout->spans, err);
    if (code != ECH_OK)
        return code;
    layout->parts[n] = (struct ech_part){.key = key, .group = -1};
    memset(&layout->spans[n * columns], 0, columns * sizeof *layout->spans);
    layout->part_count++;
    return ECH_OK;
}

static int walk_ragged(struct ech_layout *layout, struct ech_sizes_reader *reader, struct ech_err *err)
{
    int64_t before = layout->bytes_before;
    for (int64_t row = 0; row < layout->rows; row++) {
        int code = part_of(layout, before / layout->shard_bytes, err);
        if (code != ECH_OK)
            return code;
        size_t part = layout->part_count - 1;
        layout->parts[part].rows++;
        before += layout->fixed_bytes;
        struct ech_span *spans = &layout->spans[part * (size_t)layout->count];
        for (int c = 0; c < layout->count; c++) {
            uint64_t bytes;
            if (layout->columns[c].dim != 0)
                continue;
            if ((code = ech_sizes_get(reader, &bytes, err)) != ECH_OK)
                return code;
            spans[c].own += (int64_t)bytes;
            before += (int64_t)bytes;
        }
    }
    return ECH_OK;
}

/* Rows of one size: where each shard begins is arithmetic. */
static int walk_fixed(struct ech_layout *layout, struct ech_err *err)
{
    int64_t width = layout->fixed_bytes, at = layout->bytes_before;
    for (int64_t left = layout->rows; left > 0;) {
        int64_t key = at / layout->shard_bytes, room = layout->shard_bytes - at % layout->shard_bytes;
        int64_t rows = ech_min64(left, (room - 1) / width + 1);
        int code = part_of(layout, key, err);
        if (code != ECH_OK)
            return code;
        layout->parts[layout->part_count - 1].rows += rows;
        left -= rows;
        at += rows * width;
    }
    return ECH_OK;
}

static int find_parts(struct ech_layout *layout, struct ech_err *err)
{
    struct ech_sizes_reader reader;
    int code;
    if (layout->ragged > 0) {
        code = ech_sizes_read(&layout->sizes, &reader, err);
        if (code == ECH_OK)
            code = walk_ragged(layout, &reader, err);
        ech_sizes_read_end(&reader);
    } else {
        code = walk_fixed(layout, err);
    }
    ech_sizes_fini(&layout->sizes);
    for (size_t p = 0; p < layout->part_count; p++)
        for (int c = 0; c < layout->count; c++)
            if (layout->columns[c].dim > 0)
                layout->spans[p * (size_t)layout->count + (size_t)c].own =
                    layout->parts[p].rows * ech_column_row_bytes(&layout->columns[c]);
    return code;
}

/* What a rank tells the others: its first and its last part (the same where it has one). */
struct edges {
    int64_t parts, rows;
    int64_t first_key, first_rows, last_key, last_rows;
    int64_t bytes[]; /* [2][count]: first, last */
};

static size_t edges_bytes(const struct ech_layout *layout)
{
    return sizeof(struct edges) + 2 * (size_t)layout->count * sizeof(int64_t);
}

static const struct edges *edges_of(const struct ech_layout *layout, const void *all, int rank)
{
    return (const struct edges *)((const char *)all + (size_t)rank * edges_bytes(layout));
}

static void fill_edges(const struct ech_layout *layout, struct edges *mine)
{
    mine->parts = (int64_t)layout->part_count;
    mine->rows = layout->rows;
    if (layout->part_count == 0)
        return;
    size_t last = layout->part_count - 1, columns = (size_t)layout->count;
    mine->first_key = layout->parts[0].key;
    mine->first_rows = layout->parts[0].rows;
    mine->last_key = layout->parts[last].key;
    mine->last_rows = layout->parts[last].rows;
    for (size_t c = 0; c < columns; c++) {
        mine->bytes[c] = layout->spans[c].own;
        mine->bytes[columns + c] = layout->spans[last * columns + c].own;
    }
}

/* Take in the ranks before this one that hold rows of the first part's shard. */
static void join_before(struct ech_layout *layout, const void *all, int rank)
{
    struct ech_part *part = &layout->parts[0];
    for (int other = rank - 1; other >= 0; other--) {
        const struct edges *e = edges_of(layout, all, other);
        if (e->parts == 0)
            continue;
        if (e->last_key != part->key)
            return;
        part->row_in_shard += e->last_rows;
        part->group_ranks_before++;
        for (int c = 0; c < layout->count; c++)
            layout->spans[c].before += e->bytes[layout->count + c];
        if (e->parts > 1)
            return;
    }
}

static void join_after(struct ech_layout *layout, const void *all, int rank, int size)
{
    size_t last = layout->part_count - 1;
    struct ech_part *part = &layout->parts[last];
    for (int other = rank + 1; other < size; other++) {
        const struct edges *e = edges_of(layout, all, other);
        if (e->parts == 0)
            continue;
        if (e->first_key != part->key)
            return;
        part->shard_rows += e->first_rows; /* those after; completed by number_parts */
        part->group_ranks_after++;
        for (int c = 0; c < layout->count; c++)
            layout->spans[last * (size_t)layout->count + (size_t)c].total += e->bytes[c];
        if (e->parts > 1)
            return;
    }
}

/* One walk over all ranks: number of this rank's first shard, of all shards, and of its shared shards. */
static void number_shards(struct ech_layout *layout, const void *all, int rank, int size)
{
    int64_t shards = 0, groups = 0, last_key = -1, shared_key = -1, first_shard = 0;
    for (int other = 0; other < size; other++) {
        const struct edges *e = edges_of(layout, all, other);
        if (e->parts == 0)
            continue;
        bool shared = e->first_key == last_key;
        if (shared && shared_key != last_key) {
            shared_key = last_key;
            groups++;
        }
        if (other == rank) {
            first_shard = shards - shared;
            if (layout->parts[0].group_ranks_before > 0)
                layout->parts[0].group = groups - 1;
            struct ech_part *last = &layout->parts[layout->part_count - 1];
            if (last->group_ranks_after > 0 && last->group < 0)
                last->group = groups; /* it becomes shared by the next rank with rows */
        }
        shards += e->parts - shared;
        last_key = e->last_key;
    }
    layout->shards = shards;
    for (size_t p = 0; p < layout->part_count; p++)
        layout->parts[p].shard = first_shard + (int64_t)p;
}

static void place_parts(struct ech_layout *layout, const void *all, int rank, int size)
{
    if (layout->part_count > 0) {
        join_before(layout, all, rank);
        join_after(layout, all, rank, size);
    }
    number_shards(layout, all, rank, size);
    for (size_t p = 0; p < layout->part_count; p++) {
        layout->parts[p].shard_rows += layout->parts[p].row_in_shard + layout->parts[p].rows;
        for (int c = 0; c < layout->count; c++) {
            struct ech_span *span = &layout->spans[p * (size_t)layout->count + (size_t)c];
            span->total += span->before + span->own;
        }
    }
}

/* Better now than after everything is written. */
static int check_shards(const struct ech_layout *layout, struct ech_err *err)
{
    int64_t each = ECH_MANIFEST_SHARD_BYTES + ECH_MANIFEST_ROOT_BYTES * (int64_t)layout->count;
    int64_t most = ECH_MANIFEST_BYTES_MOST / each;
    if (layout->shards <= most)
        return ECH_OK;
    return ech_fail(
        err, ECH_CONFIG,
        "%lld shards of %lld bytes: a manifest of %d columns can list %lld; use a larger shard_bytes",
        (long long)layout->shards, (long long)layout->shard_bytes, layout->count, (long long)most);
}

int ech_layout_agree(struct ech_layout *layout, struct ech_comm *comm, struct ech_err *err)
{
    ECH_ASSERT(!layout->agreed, "a layout is agreed on twice");
    struct ech_err local = ECH_ERR_NONE;
    int rank = ech_comm_rank(comm), size = ech_comm_size(comm);
    int64_t before[2] = {layout->rows, layout->bytes}, total[2] = {layout->rows, layout->bytes};
    struct edges *mine = ech_calloc(1, edges_bytes(layout), &local);
    void *all = mine ? ech_calloc((size_t)size, edges_bytes(layout), &local) : NULL;
    int code = ech_exscan_i64(comm, before, 2, &local);
    if (code == ECH_OK)
        code = ech_sum_i64(comm, total, 2, &local);
    if (code == ECH_OK && (total[1] < 0 || before[1] < 0))
        code = too_large(&local);
    layout->first_row = before[0];
    layout->bytes_before = before[1];
    layout->all_rows = total[0];
    if (code == ECH_OK && local.code == ECH_OK)
        find_parts(layout, &local);
    code = ech_agree(comm, &local);
    if (code == ECH_OK) {
        fill_edges(layout, mine);
        code = ech_allgather(comm, mine, edges_bytes(layout), all, &local);
    }
    if (code == ECH_OK) {
        place_parts(layout, all, rank, size);
        layout->agreed = true;
        code = check_shards(layout, &local); /* the same on all ranks */
    }
    if (code != ECH_OK && err && err->code == ECH_OK)
        *err = local;
    ech_free(mine);
    ech_free(all);
    return code;
}

int64_t ech_layout_rows(const struct ech_layout *layout)
{
    return layout->all_rows;
}
