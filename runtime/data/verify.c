/* Verifying a dataset: see verify.h. Two passes over what this part owns: blocks, numbered through shards,
 * columns and parts of a column; then the rows of its ragged columns. */
#include "data/verify.h"

#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"
#include "data/dataset_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct verifier {
    const struct ech_dataset *ds;
    void (*report)(const struct ech_damage *damage, void *context);
    void *context;
    struct ech_verify sums;
    bool note; /* what follows is no damage */
    unsigned char *block;
    struct ech_err *err;
};

static void damage(struct verifier *v, int64_t shard, int column, int64_t first, int64_t end, const char *fmt,
                   ...) __attribute__((format(printf, 6, 7)));
static void damage(struct verifier *v, int64_t shard, int column, int64_t first, int64_t end, const char *fmt,
                   ...)
{
    const struct ech_manifest_shard *s = &v->ds->manifest.shards[shard];
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    v->sums.damages += !v->note;
    v->sums.notes += v->note;
    const struct ech_damage d = {.file = s->file,
                                 .column = v->ds->manifest.columns[column].name,
                                 .shard = shard,
                                 .first_row = s->first_row + first,
                                 .end_row = s->first_row + ech_min64(end, s->rows),
                                 .text = text,
                                 .note = v->note};
    if (v->report)
        v->report(&d, v->context);
}

/* Row of the shard that holds element `at` of a ragged column: the last whose offset is not above it. Damaged
 * offsets give a wrong row, never a read outside. */
static int row_at(struct verifier *v, int64_t shard, int column, uint64_t at, int64_t *row)
{
    int64_t low = 0, high = v->ds->manifest.shards[shard].rows;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        uint64_t offset;
        int code =
            ech_dataset_read_range(v->ds, shard, column, ECH_PART_OFFSETS, middle * 8, 8, &offset, v->err);
        if (code != ECH_OK)
            return code;
        if (offset <= at)
            low = middle;
        else
            high = middle;
    }
    *row = low;
    return ECH_OK;
}

/* Rows that have bytes in [from, to) of the main part or of the offsets. */
static int rows_of(struct verifier *v, int64_t shard, int column, bool offsets, int64_t from, int64_t to,
                   int64_t *first, int64_t *end)
{
    const struct ech_column *c = &v->ds->manifest.columns[column];
    int64_t width = offsets ? 8 : ech_column_row_bytes(c);
    if (width > 0) {
        *first = ech_max64(from / width - offsets, 0); /* an offset ends the row before it */
        *end = (to - 1) / width + 1;
        return ECH_OK;
    }
    uint64_t element = ech_dtype_bytes(c->dtype);
    int code = row_at(v, shard, column, (uint64_t)from / element, first);
    if (code == ECH_OK)
        code = row_at(v, shard, column, (uint64_t)(to - 1) / element, end);
    if (code != ECH_OK)
        return code;
    ++*end;
    if (*end <= *first) { /* the offsets are damaged too: any row may be meant */
        *first = 0;
        *end = v->ds->manifest.shards[shard].rows;
    }
    return ECH_OK;
}

static int check_block(struct verifier *v, int64_t shard, int column, int64_t block)
{
    const struct ech_place *place = ech_dataset_place(v->ds, shard, column);
    int64_t main_blocks = ech_blocks(place->main_bytes);
    bool offsets = block >= main_blocks;
    int64_t total = offsets ? place->offsets_bytes : place->main_bytes;
    int64_t from = (block - (offsets ? main_blocks : 0)) * ECH_HASH_BLOCK;
    int64_t to = ech_min64(from + ECH_HASH_BLOCK, total), first, end;
    struct ech_hash stored;
    int code = ech_dataset_read_range(v->ds, shard, column, offsets ? ECH_PART_OFFSETS : ECH_PART_MAIN, from,
                                      (size_t)(to - from), v->block, v->err);
    if (code == ECH_OK)
        code = ech_dataset_read_range(v->ds, shard, column, ECH_PART_CHECKS, block * (int64_t)sizeof stored,
                                      sizeof stored, &stored, v->err);
    if (code != ECH_OK)
        return code;
    v->sums.blocks++;
    v->sums.bytes += to - from;
    if (ech_hash_equal(stored, ech_hash_bytes(v->block, (size_t)(to - from))))
        return ECH_OK;
    code = rows_of(v, shard, column, offsets, from, to, &first, &end);
    if (code == ECH_OK)
        damage(v, shard, column, first, end, "bytes %lld to %lld of its %s do not fit their hash",
               (long long)from, (long long)to, offsets ? "offsets" : "content");
    return code;
}

static int check_root(struct verifier *v, int64_t shard, int column)
{
    const struct ech_manifest *m = &v->ds->manifest;
    const struct ech_place *place = ech_dataset_place(v->ds, shard, column);
    struct ech_hash *blocks = ech_calloc((size_t)place->blocks, sizeof *blocks, v->err);
    if (!blocks)
        return ECH_UNAVAILABLE;
    int code = ech_dataset_read_range(v->ds, shard, column, ECH_PART_CHECKS, 0,
                                      (size_t)place->blocks * sizeof *blocks, blocks, v->err);
    struct ech_hash wanted = ech_manifest_root(m, (size_t)shard, (size_t)column);
    if (code == ECH_OK && !ech_hash_equal(ech_hash_root(blocks, place->blocks), wanted))
        damage(v, shard, column, 0, m->shards[shard].rows,
               "its hashes do not fit the manifest: they are damaged, or the shard is another one");
    ech_free(blocks);
    return code;
}

/* Blocks [from, to) of all, in the order of shards and columns. */
static int check_blocks(struct verifier *v, int64_t from, int64_t to)
{
    const struct ech_manifest *m = &v->ds->manifest;
    int64_t at = 0;
    int code = ECH_OK;
    for (size_t s = 0; s < m->shard_count && at < to; s++)
        for (size_t c = 0; c < m->column_count && at < to; c++) {
            int64_t blocks = ech_dataset_place(v->ds, (int64_t)s, (int)c)->blocks;
            int64_t first = ech_max64(from - at, 0), end = ech_min64(to - at, blocks);
            if (first == 0 && end > 0)
                code = check_root(v, (int64_t)s, (int)c);
            for (int64_t b = first; b < end && code == ECH_OK; b++)
                code = check_block(v, (int64_t)s, (int)c, b);
            if (code != ECH_OK)
                return code;
            at += blocks;
        }
    return ECH_OK;
}

static void check_text(struct verifier *v, int64_t shard, int column, int64_t row,
                       const struct ech_cells *cells)
{
    v->note = true;
    for (int64_t i = 0; i < cells->rows; i++) {
        int64_t bad = ech_utf8_invalid_at((const char *)cells->bytes + cells->offsets[i],
                                          (size_t)(cells->offsets[i + 1] - cells->offsets[i]));
        if (bad >= 0)
            damage(v, shard, column, row + i, row + i + 1, "not valid UTF-8 at its byte %lld",
                   (long long)bad);
    }
    v->note = false;
}

/* Rows to read at once: about a MiB, at least one. Damaged offsets are told; *rows is then how many to pass.
 */
static int next_rows(struct verifier *v, int64_t shard, int column, int64_t row, int64_t most, int64_t *rows,
                     bool *good)
{
    enum { BATCH = 1024 };
    uint64_t offsets[BATCH + 1];
    struct ech_err bad = ECH_ERR_NONE;
    int64_t n = ech_min64(BATCH, most);
    int code = ech_dataset_read_offsets(v->ds, column, shard, row, n, offsets, &bad);
    *rows = n;
    *good = code == ECH_OK;
    if (code == ECH_DATA) {
        damage(v, shard, column, row, row + n, "%s", bad.text);
        return ECH_OK;
    }
    if (code != ECH_OK) {
        if (v->err && v->err->code == ECH_OK)
            *v->err = bad;
        return code;
    }
    int64_t element = (int64_t)ech_dtype_bytes(v->ds->manifest.columns[column].dtype);
    while (*rows > 1 && (int64_t)(offsets[*rows] - offsets[0]) * element > ECH_HASH_BLOCK)
        *rows /= 2;
    return ECH_OK;
}

/* Rows [row, end) of one ragged column in one shard. */
static int check_rows(struct verifier *v, int64_t shard, int column, int64_t row, int64_t end,
                      struct ech_cells *cells)
{
    const struct ech_manifest *m = &v->ds->manifest;
    bool text = m->columns[column].dtype == ECH_U8, good;
    int64_t rows;
    int code = ECH_OK;
    for (; row < end && code == ECH_OK; row += rows) {
        code = next_rows(v, shard, column, row, end - row, &rows, &good);
        if (code == ECH_OK && good && text) {
            code = ech_dataset_read(v->ds, column, m->shards[shard].first_row + row, rows, cells, v->err);
            if (code == ECH_OK)
                check_text(v, shard, column, row, cells);
        }
        v->sums.rows += rows;
    }
    return code;
}

static int check_all_rows(struct verifier *v, int64_t from, int64_t to)
{
    const struct ech_manifest *m = &v->ds->manifest;
    struct ech_cells cells = {0};
    int code = ECH_OK;
    while (from < to && code == ECH_OK) {
        int64_t shard = ech_dataset_shard_of(v->ds, from), start = m->shards[shard].first_row;
        int64_t end = ech_min64(to, start + m->shards[shard].rows);
        for (size_t c = 0; c < m->column_count && code == ECH_OK; c++)
            if (m->columns[c].dim == 0)
                code = check_rows(v, shard, (int)c, from - start, end - start, &cells);
        from = end;
    }
    ech_cells_fini(&cells);
    return code;
}

/* `total` * part / parts without overflow. */
static int64_t share(int64_t total, int part, int parts)
{
    return total / parts * part + total % parts * part / parts;
}

int ech_verify(const struct ech_dataset *ds, int part, int parts,
               void (*report)(const struct ech_damage *damage, void *context), void *context,
               struct ech_verify *out, struct ech_err *err)
{
    ECH_ASSERT(part >= 0 && part < parts, "part %d of %d", part, parts);
    struct verifier v = {.ds = ds, .report = report, .context = context, .err = err};
    int64_t blocks = 0, rows = ds->manifest.rows;
    for (size_t i = 0; i < ds->manifest.shard_count * ds->manifest.column_count; i++)
        blocks += ds->places[i].blocks;
    v.block = ech_alloc_aligned(ECH_HASH_BLOCK, err);
    int code = v.block ? ECH_OK : ECH_UNAVAILABLE;
    if (code == ECH_OK)
        code = check_blocks(&v, share(blocks, part, parts), share(blocks, part + 1, parts));
    if (code == ECH_OK)
        code = check_all_rows(&v, share(rows, part, parts), share(rows, part + 1, parts));
    ech_free(v.block);
    if (code == ECH_OK)
        *out = v.sums;
    return code;
}
