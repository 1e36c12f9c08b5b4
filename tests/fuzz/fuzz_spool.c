/* Spool files are hostile until parsed. An input is scanned as it is and once more with its checksums made
 * good (else no mutation gets past them); what the scan accepts must be readable from a file, row by row,
 * within its lengths. Input: a spool file of the columns below. */
#include "tests/fuzz/fuzz.h"

#include "base/mem.h"
#include "job/spool_format.h"
#include "job/spool_io.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct ech_column columns[3] = {
    {"vec", ECH_TENSOR, ECH_F32, 3}, {"words", ECH_TEXT, ECH_U8, 0}, {"ids", ECH_INTS, ECH_I64, 0}};
static const struct ech_spool_head head = {
    .identity = {1, 2}, .numerics = "fuzz", .columns = columns, .columns_count = 3};
enum { HEAD = ECH_RECORD_FIXED_BYTES + 8 * 3 + 8 };

static void put_hash(unsigned char *at, struct ech_hash h)
{
    ech_put_u64(at, h.high);
    ech_put_u64(at + 8, h.low);
}

/* Wherever a record's magic stands: the payload's and the head's checksums become right. */
static void make_good(unsigned char *data, size_t bytes)
{
    if (bytes < ECH_SPOOL_HEAD_BYTES)
        return;
    put_hash(data + 16, head.identity);
    put_hash(data + 104, ech_spool_columns_hash(&head));
    ech_put_u64(data + 248, ech_hash_bytes(data, 248).low);
    for (size_t at = ECH_SPOOL_HEAD_BYTES; at + HEAD <= bytes; at += 8) {
        uint64_t payload = ech_get_u64(data + at + 48);
        if (memcmp(data + at, ECH_RECORD_MAGIC, 8) != 0)
            continue;
        if (payload <= bytes - at - HEAD)
            put_hash(data + at + 64, ech_hash_bytes(data + at + HEAD, payload));
        ech_put_u64(data + at + HEAD - 8, ech_hash_bytes(data + at, HEAD - 8).low);
    }
}

static void read_back(int fd, const struct ech_spool_entry *entry)
{
    struct ech_cells cells = {0};
    int64_t rows = entry->rows < 5000 ? entry->rows : 5000;
    for (int c = 0; c < 3; c++) {
        uint64_t *sizes = calloc((size_t)rows, sizeof *sizes);
        struct ech_spool_want want = {fd, "fuzz", c, entry->first + entry->rows - rows, rows};
        cells.rows = 0;
        int code = ech_spool_read(fd, "fuzz", &head, entry, c, want.first, rows, &cells, NULL);
        if (!sizes || code != ECH_OK || ech_spool_sizes(&head, entry, &want, sizes, NULL) != ECH_OK)
            abort(); /* what the scan accepts can be read */
        for (int64_t i = 0; i < rows; i++)
            if (cells.offsets[i + 1] - cells.offsets[i] != sizes[i])
                abort();
        free(sizes);
    }
    ech_cells_fini(&cells);
}

static void scan(const unsigned char *data, size_t bytes)
{
    struct ech_spool_index memory = {0}, index = {0};
    char path[64];
    int fd = memfd_create("fuzz", 0);
    if (fd < 0 || write(fd, data, bytes) != (ssize_t)bytes)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int code = ech_spool_scan_bytes("fuzz", data, bytes, &head, 0, &memory, NULL);
    if (ech_spool_scan(path, &head, 0, &index, NULL) != code || index.count != memory.count ||
        index.damaged != memory.damaged)
        abort(); /* both ways of reading agree */
    for (size_t i = 0; i < index.count; i++)
        read_back(fd, &index.entries[i]);
    close(fd);
    ech_spool_index_fini(&memory);
    ech_spool_index_fini(&index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    unsigned char *copy = malloc(bytes ? bytes : 1);
    if (!copy)
        return 0;
    memcpy(copy, data, bytes);
    scan(copy, bytes);
    make_good(copy, bytes);
    scan(copy, bytes);
    free(copy);
    return 0;
}
