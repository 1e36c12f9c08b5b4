/* The spool's bytes: encoding, and parsing of heads. Pure; spool_scan.c walks a file, spool_io.c reads it. */
#include "job/spool.h"

#include "base/mem.h"
#include "base/str.h"
#include "job/spool_format.h"

#include <inttypes.h>

int ech_block_create(int columns_count, struct ech_block **out, struct ech_err *err)
{
    struct ech_block *block = ech_calloc(1, sizeof *block, err);
    if (!block)
        return ECH_UNAVAILABLE;
    block->columns = ech_calloc((size_t)columns_count, sizeof *block->columns, err);
    if (!block->columns) {
        ech_free(block);
        return ECH_UNAVAILABLE;
    }
    block->columns_count = columns_count;
    *out = block;
    return ECH_OK;
}

void ech_block_destroy(struct ech_block *block)
{
    if (!block)
        return;
    for (int c = 0; c < block->columns_count; c++)
        ech_cells_fini(&block->columns[c]);
    ech_free(block->columns);
    ech_free(block);
}

void ech_spool_index_fini(struct ech_spool_index *index)
{
    ech_free(index->entries);
    *index = (struct ech_spool_index){0};
}

struct ech_hash ech_spool_columns_hash(const struct ech_spool_head *head)
{
    struct ech_hash h = {0, 0};
    for (int c = 0; c < head->columns_count; c++) {
        const struct ech_column *column = &head->columns[c];
        uint64_t dim = htole64((uint64_t)column->dim);
        ech_hash_add_str(&h, column->name);
        ech_hash_add_str(&h, ech_ctype_name(column->type));
        ech_hash_add_str(&h, ech_dtype_name(column->dtype));
        ech_hash_add(&h, &dim, sizeof dim);
    }
    return h;
}

static void put_hash(unsigned char *at, struct ech_hash h)
{
    ech_put_u64(at, h.high);
    ech_put_u64(at + 8, h.low);
}

static struct ech_hash get_hash(const unsigned char *at)
{
    return (struct ech_hash){ech_get_u64(at), ech_get_u64(at + 8)};
}

int ech_spool_put_head(const struct ech_spool_head *head, struct ech_str *out, struct ech_err *err)
{
    unsigned char data[ECH_SPOOL_HEAD_BYTES] = {0};
    size_t length = strnlen(head->numerics, sizeof head->numerics);
    if (head->columns_count < 1 || head->columns_count > ECH_COLUMNS_MAX)
        return ech_fail(err, ECH_BUG, "spool: %d columns, 1 to %d were expected", head->columns_count,
                        ECH_COLUMNS_MAX);
    if (length == sizeof head->numerics || head->attempt < 0 || head->rank < 0)
        return ech_fail(err, ECH_BUG, "spool: attempt %d, rank %d or the numerics class is out of range",
                        head->attempt, head->rank);
    memcpy(data, ECH_SPOOL_MAGIC, 8);
    ech_put_u32(data + 8, ECH_SPOOL_VERSION);
    ech_put_u32(data + 12, (uint32_t)head->columns_count);
    put_hash(data + 16, head->identity);
    ech_put_u32(data + 32, (uint32_t)head->attempt);
    ech_put_u32(data + 36, (uint32_t)head->rank);
    memcpy(data + 40, head->numerics, length);
    put_hash(data + 104, ech_spool_columns_hash(head));
    ech_put_u64(data + 248, ech_hash_bytes(data, 248).low);
    ech_str_add(out, data, sizeof data);
    return ech_str_check(out, err);
}

int ech_spool_parse_head(const char *name, const unsigned char *data, const struct ech_spool_head *expected,
                         bool *good, int32_t *attempt, struct ech_err *err)
{
    *good = false;
    if (memcmp(data, ECH_SPOOL_MAGIC, 8) != 0 || ech_get_u64(data + 248) != ech_hash_bytes(data, 248).low)
        return ECH_OK;
    char found[ECH_HASH_HEX], wanted[ECH_HASH_HEX], numerics[64] = "";
    uint32_t version = ech_get_u32(data + 8), columns = ech_get_u32(data + 12),
             number = ech_get_u32(data + 32);
    if (version != ECH_SPOOL_VERSION)
        return ech_fail(err, ECH_DATA, "%s: spool format version %" PRIu32 ", version %d was expected", name,
                        version, ECH_SPOOL_VERSION);
    struct ech_hash identity = get_hash(data + 16);
    if (!ech_hash_equal(identity, expected->identity))
        return ech_fail(err, ECH_DATA, "%s holds rows of another job: its identity is %s, %s was expected",
                        name, ech_hash_print(identity, found), ech_hash_print(expected->identity, wanted));
    memcpy(numerics, expected->numerics, strnlen(expected->numerics, sizeof numerics - 1));
    if (memcmp(data + 40, numerics, sizeof numerics) != 0)
        return ech_fail(err, ECH_DATA,
                        "%s: its rows are of the numerics class \"%.64s\", \"%s\" was expected", name,
                        (const char *)data + 40, numerics);
    if (columns != (uint32_t)expected->columns_count ||
        !ech_hash_equal(get_hash(data + 104), ech_spool_columns_hash(expected)))
        return ech_fail(err, ECH_DATA,
                        "%s: its %" PRIu32 " columns differ in name, type or size from the job's %d", name,
                        columns, expected->columns_count);
    if (number > INT32_MAX)
        return ech_fail(err, ECH_DATA, "%s: attempt %" PRIu32 " is out of range", name, number);
    *attempt = (int32_t)number;
    *good = true;
    return ECH_OK;
}

/* Bytes of one column in the payload; false where its cells do not fit the column. */
static bool measure_column(const struct ech_column *column, const struct ech_cells *cells, int64_t rows,
                           uint64_t *bytes)
{
    int64_t row_bytes = ech_column_row_bytes(column);
    if (cells->rows != rows || !cells->offsets || cells->offsets[0] != 0)
        return false;
    for (int64_t i = 0; i < rows; i++)
        if (cells->offsets[i + 1] < cells->offsets[i] ||
            (row_bytes >= 0 && cells->offsets[i + 1] - cells->offsets[i] != (uint64_t)row_bytes))
            return false;
    *bytes = cells->offsets[rows] + (row_bytes < 0 ? 8 * (uint64_t)rows : 0);
    return true;
}

static int measure(const struct ech_spool_head *head, const struct ech_block *block, uint64_t *column_bytes,
                   uint64_t *payload, struct ech_err *err)
{
    int64_t end;
    if (block->columns_count != head->columns_count)
        return ech_fail(err, ECH_BUG, "spool: a block of %d columns, %d were expected", block->columns_count,
                        head->columns_count);
    if (block->first < 0 || block->rows < 1 || __builtin_add_overflow(block->first, block->rows, &end) ||
        block->errors < 0 || block->errors > block->rows || block->tokens < 0)
        return ech_fail(err, ECH_BUG,
                        "spool: a block of %" PRId64 " rows from %" PRId64 ", %" PRId64
                        " of them errors, cannot be",
                        block->rows, block->first, block->errors);
    *payload = 0;
    for (int c = 0; c < head->columns_count; c++) {
        if (!measure_column(&head->columns[c], &block->columns[c], block->rows, &column_bytes[c]))
            return ech_fail(err, ECH_BUG,
                            "spool: the cells of column %s do not fit a block of %" PRId64 " rows",
                            head->columns[c].name, block->rows);
        *payload += column_bytes[c];
    }
    return ECH_OK;
}

static uint64_t padded(uint64_t bytes)
{
    return (bytes + 7) & ~(uint64_t)7;
}

int ech_spool_record_bytes(const struct ech_spool_head *head, const struct ech_block *block, uint64_t *bytes,
                           struct ech_err *err)
{
    uint64_t column_bytes[ECH_COLUMNS_MAX], payload;
    int code = measure(head, block, column_bytes, &payload, err);
    if (code == ECH_OK)
        *bytes = ech_record_head_bytes(head->columns_count) + padded(payload);
    return code;
}

static void put_lengths(const struct ech_cells *cells, struct ech_str *out)
{
    unsigned char piece[8 * 256];
    size_t fill = 0;
    for (int64_t i = 0; i < cells->rows; i++) {
        ech_put_u64(piece + fill, cells->offsets[i + 1] - cells->offsets[i]);
        fill += 8;
        if (fill == sizeof piece || i + 1 == cells->rows) {
            ech_str_add(out, piece, fill);
            fill = 0;
        }
    }
}

int ech_spool_put_block(const struct ech_spool_head *head, const struct ech_block *block, int64_t epoch,
                        struct ech_str *out, struct ech_err *err)
{
    static const unsigned char zeros[ECH_RECORD_HEAD_MAX];
    uint64_t column_bytes[ECH_COLUMNS_MAX], payload;
    size_t start = out->length, head_bytes = ech_record_head_bytes(head->columns_count);
    int code = measure(head, block, column_bytes, &payload, err);
    if (code != ECH_OK)
        return code;
    if (epoch < 0 || epoch > UINT32_MAX)
        return ech_fail(err, ECH_BUG, "spool: epoch %" PRId64 " is out of range", epoch);
    ech_str_add(out, zeros, head_bytes);
    for (int c = 0; c < head->columns_count; c++) {
        const struct ech_cells *cells = &block->columns[c];
        if (ech_column_row_bytes(&head->columns[c]) < 0)
            put_lengths(cells, out);
        ech_str_add(out, cells->bytes, cells->offsets[cells->rows]);
    }
    ech_str_add(out, zeros, padded(payload) - payload);
    if ((code = ech_str_check(out, err)) != ECH_OK)
        return code;
    unsigned char *data = (unsigned char *)out->data + start;
    memcpy(data, ECH_RECORD_MAGIC, 8);
    ech_put_u32(data + 8, (uint32_t)epoch);
    ech_put_u64(data + 16, (uint64_t)block->first);
    ech_put_u64(data + 24, (uint64_t)block->rows);
    ech_put_u64(data + 32, (uint64_t)block->errors);
    ech_put_u64(data + 40, (uint64_t)block->tokens);
    ech_put_u64(data + 48, payload);
    put_hash(data + 64, ech_hash_bytes(data + head_bytes, payload));
    for (int c = 0; c < head->columns_count; c++)
        ech_put_u64(data + ECH_RECORD_FIXED_BYTES + 8 * c, column_bytes[c]);
    ech_put_u64(data + head_bytes - 8, ech_hash_bytes(data, head_bytes - 8).low);
    return ECH_OK;
}

static bool column_fits(const struct ech_column *column, int64_t rows, uint64_t bytes)
{
    int64_t row_bytes = ech_column_row_bytes(column);
    uint64_t least;
    if (__builtin_mul_overflow((uint64_t)rows, row_bytes < 0 ? 8 : (uint64_t)row_bytes, &least))
        return false;
    return row_bytes < 0 ? bytes >= least : bytes == least;
}

bool ech_spool_parse_record(const unsigned char *data, const struct ech_spool_head *head,
                            struct ech_spool_record *out)
{
    size_t head_bytes = ech_record_head_bytes(head->columns_count);
    if (memcmp(data, ECH_RECORD_MAGIC, 8) != 0 ||
        ech_get_u64(data + head_bytes - 8) != ech_hash_bytes(data, head_bytes - 8).low)
        return false;
    int64_t end;
    uint64_t sum = 0;
    out->first = (int64_t)ech_get_u64(data + 16);
    out->rows = (int64_t)ech_get_u64(data + 24);
    out->errors = (int64_t)ech_get_u64(data + 32);
    out->tokens = (int64_t)ech_get_u64(data + 40);
    out->payload = ech_get_u64(data + 48);
    out->hash = get_hash(data + 64);
    if (out->first < 0 || out->rows < 1 || __builtin_add_overflow(out->first, out->rows, &end) ||
        out->errors < 0 || out->errors > out->rows || out->tokens < 0 || ech_get_u64(data + 56) != 0)
        return false;
    for (int c = 0; c < head->columns_count; c++) {
        out->column_bytes[c] = ech_get_u64(data + ECH_RECORD_FIXED_BYTES + 8 * c);
        if (!column_fits(&head->columns[c], out->rows, out->column_bytes[c]) ||
            __builtin_add_overflow(sum, out->column_bytes[c], &sum))
            return false;
    }
    return sum == out->payload;
}
