/* Walk a spool file record by record. A damaged place is skipped: past the record where its head is good, to
 * the next record's magic (they lie at multiples of 8) where it is not. Memory does not grow with a record.
 */
#include "base/mem.h"
#include "job/spool_format.h"

#define XXH_STATIC_LINKING_ONLY /* the state on the stack */
#include <xxhash.h>

/* Follows a payload as it streams by, and adds up the row lengths of ragged columns. */
struct payload_walk {
    const struct ech_spool_head *head;
    const struct ech_spool_record *record;
    int column;
    uint64_t at, word, sum; /* in the column; of the length being read; of its lengths */
    bool good;
};

/* Lengths lie at any address (the column before may be ragged), so they are put together byte by byte. */
static void walk_lengths(struct payload_walk *walk, const unsigned char *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        walk->word |= (uint64_t)data[i] << (8 * (walk->at % 8));
        if (++walk->at % 8 == 0) {
            if (__builtin_add_overflow(walk->sum, walk->word, &walk->sum))
                walk->good = false;
            walk->word = 0;
        }
    }
}

static void walk_payload(struct payload_walk *walk, const unsigned char *data, size_t bytes)
{
    while (bytes > 0 && walk->column < walk->head->columns_count) {
        uint64_t all = walk->record->column_bytes[walk->column], table = 0, left;
        if (ech_column_row_bytes(&walk->head->columns[walk->column]) < 0)
            table = 8 * (uint64_t)walk->record->rows;
        left = (walk->at < table ? table : all) - walk->at;
        size_t take = bytes < left ? bytes : (size_t)left;
        if (walk->at < table)
            walk_lengths(walk, data, take);
        else
            walk->at += take;
        data += take;
        bytes -= take;
        if (walk->at >= table && table > 0 && walk->sum != all - table)
            walk->good = false;
        if (walk->at == all) {
            walk->column++;
            walk->at = walk->sum = 0;
        }
    }
}

/* *good: the payload at `offset` (it lies in the file) has the record's hash and sound lengths. */
static int check_payload(const struct ech_spool_source *source, const struct ech_spool_head *head,
                         const struct ech_spool_record *record, uint64_t offset, bool *good,
                         struct ech_err *err)
{
    struct payload_walk state = {.head = head, .record = record, .good = true};
    XXH3_state_t hash;
    XXH3_128bits_reset(&hash);
    for (uint64_t left = record->payload; left > 0;) {
        const unsigned char *data;
        size_t got;
        int code = source->view(source->context, offset, 1, &data, &got, err);
        if (code != ECH_OK)
            return code;
        size_t take = got < left ? got : (size_t)left;
        XXH3_128bits_update(&hash, data, take);
        walk_payload(&state, data, take);
        offset += take;
        left -= take;
    }
    XXH128_hash_t found = XXH3_128bits_digest(&hash);
    *good = state.good && found.high64 == record->hash.high && found.low64 == record->hash.low;
    return ECH_OK;
}

/* Bytes to go on to the next place where a record's magic stands, or past all that is in view. */
static size_t to_next_magic(const unsigned char *data, size_t bytes)
{
    size_t at = 8;
    while (at + 8 <= bytes && memcmp(data + at, ECH_RECORD_MAGIC, 8) != 0)
        at += 8;
    return at;
}

static int add_entry(struct ech_spool_index *index, const struct ech_spool_entry *entry, struct ech_err *err)
{
    int code = ech_grow((void **)&index->entries, &index->capacity, index->count + 1, sizeof *entry, err);
    if (code == ECH_OK)
        index->entries[index->count++] = *entry;
    return code;
}

/* One step from *offset: a good record is added, a damaged one counted once (`lost`: while searching). */
static int step(const struct ech_spool_source *source, const struct ech_spool_head *head,
                struct ech_spool_entry entry, uint64_t *offset, bool *lost, struct ech_spool_index *index,
                struct ech_err *err)
{
    size_t head_bytes = ech_record_head_bytes(head->columns_count), got;
    const unsigned char *data;
    struct ech_spool_record record;
    int code = source->view(source->context, *offset, head_bytes, &data, &got, err);
    if (code != ECH_OK)
        return code;
    if (!ech_spool_parse_record(data, head, &record)) {
        index->damaged += !*lost;
        *lost = true;
        *offset += to_next_magic(data, got);
        return ECH_OK;
    }
    *lost = false;
    uint64_t start = *offset + head_bytes;
    bool good = record.payload <= source->bytes - start;
    if (good) {
        code = check_payload(source, head, &record, start, &good, err);
        *offset = start + ((record.payload + 7) & ~(uint64_t)7);
    } else
        *offset = source->bytes; /* torn: the file ends inside this record */
    if (code != ECH_OK)
        return code;
    if (!good) {
        index->damaged++;
        return ECH_OK;
    }
    entry.first = record.first;
    entry.rows = record.rows;
    entry.errors = record.errors;
    entry.tokens = record.tokens;
    entry.offset = start - head_bytes;
    return add_entry(index, &entry, err);
}

int ech_spool_scan_source(const struct ech_spool_source *source, const struct ech_spool_head *expected,
                          int32_t file, struct ech_spool_index *index, struct ech_err *err)
{
    const unsigned char *data;
    size_t got, head_bytes = ech_record_head_bytes(expected->columns_count);
    bool good = false, lost = false;
    struct ech_spool_entry entry = {.file = file};
    if (source->bytes < ECH_SPOOL_HEAD_BYTES) {
        index->damaged += source->bytes > 0;
        return ECH_OK;
    }
    int code = source->view(source->context, 0, ECH_SPOOL_HEAD_BYTES, &data, &got, err);
    if (code == ECH_OK)
        code = ech_spool_parse_head(source->name, data, expected, &good, &entry.attempt, err);
    if (code != ECH_OK)
        return code;
    if (!good) {
        index->damaged++;
        return ECH_OK;
    }
    uint64_t offset = ECH_SPOOL_HEAD_BYTES;
    while (code == ECH_OK && offset < source->bytes && source->bytes - offset >= head_bytes)
        code = step(source, expected, entry, &offset, &lost, index, err);
    if (code == ECH_OK && offset < source->bytes && !lost)
        index->damaged++; /* torn inside a record's head */
    return code;
}

struct memory {
    const unsigned char *data;
    size_t bytes;
};

static int view_memory(void *context, uint64_t offset, size_t least, const unsigned char **data, size_t *got,
                       struct ech_err *err)
{
    const struct memory *memory = context;
    (void)least;
    (void)err;
    *data = memory->data + offset;
    *got = memory->bytes - (size_t)offset;
    return ECH_OK;
}

int ech_spool_scan_bytes(const char *name, const void *data, size_t bytes,
                         const struct ech_spool_head *expected, int32_t file, struct ech_spool_index *index,
                         struct ech_err *err)
{
    struct memory memory = {.data = data, .bytes = bytes};
    struct ech_spool_source source = {.name = name, .bytes = bytes, .context = &memory, .view = view_memory};
    return ech_spool_scan_source(&source, expected, file, index, err);
}
