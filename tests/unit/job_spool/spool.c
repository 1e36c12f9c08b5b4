/* job/spool: encoding against the byte list of its header, scans of whole, torn and damaged files, reading.
 */
#include "tests/unit/job_spool/blocks.h"

#include "base/fault.h"
#include "base/io.h"
#include "job/spool_format.h"
#include "job/spool_io.h"

#include <fcntl.h>
#include <unistd.h>

struct spool {
    struct ech_str bytes;
    size_t starts[16], ends[16]; /* of each record; the end without padding */
    int records;
};

static void add(struct spool *s, const struct ech_spool_head *head, int64_t first, int64_t rows)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_block *block = test_block(first, rows, &err);
    assert_non_null(block);
    s->starts[s->records] = s->bytes.length;
    assert_int_equal(ech_spool_put_block(head, block, 0, &s->bytes, &err), ECH_OK);
    const unsigned char *at = (unsigned char *)s->bytes.data + s->starts[s->records];
    s->ends[s->records] = s->starts[s->records] + ech_record_head_bytes(TEST_COLUMNS) + ech_get_u64(at + 48);
    assert_int_equal(s->bytes.length % 8, 0);
    s->records++;
    ech_block_destroy(block);
}

static struct spool small(const struct ech_spool_head *head)
{
    struct spool s = {0};
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_spool_put_head(head, &s.bytes, &err), ECH_OK);
    assert_int_equal(s.bytes.length, 256);
    add(&s, head, 10, 3);
    add(&s, head, 13, 1);
    add(&s, head, 0, 5);
    return s;
}

static int scan(const struct spool *s, size_t bytes, const struct ech_spool_head *head,
                struct ech_spool_index *index, struct ech_err *err)
{
    *index = (struct ech_spool_index){0};
    *err = (struct ech_err)ECH_ERR_NONE;
    return ech_spool_scan_bytes("mem", s->bytes.data, bytes, head, 7, index, err);
}

static void bytes_of_the_format(void **state)
{
    (void)state;
    struct ech_spool_head head = test_head(2, 5);
    struct spool s = small(&head);
    const unsigned char *d = (unsigned char *)s.bytes.data, *r = d + 256;
    assert_memory_equal(d, "ECHSPOOL\1\0\0\0\4\0\0\0", 16);
    assert_int_equal(ech_get_u64(d + 16), 0x1234);
    assert_int_equal(ech_get_u64(d + 24), 0x5678);
    assert_memory_equal(d + 32, "\2\0\0\0\5\0\0\0cpu f32 test\0", 21);
    for (int i = 120; i < 248; i++)
        assert_int_equal(d[i], 0);
    assert_int_equal(ech_get_u64(d + 248), ech_hash_bytes(d, 248).low);
    assert_memory_equal(r, "ECHRECRD", 8);
    assert_int_equal(ech_get_u64(r + 16), 10);
    assert_int_equal(ech_get_u64(r + 24), 3);
    assert_int_equal(ech_get_u64(r + 40), 27);
    /* rows 10, 11, 12: vec 12 bytes each; words 5, 12, 6 bytes; ids 2, 3, 0 values; pair 16 bytes each */
    uint64_t want[4] = {36, 24 + 5 + 12 + 6, 24 + 16 + 24 + 0, 48};
    uint64_t payload = 0;
    for (int c = 0; c < 4; payload += want[c++])
        assert_int_equal(ech_get_u64(r + 80 + 8 * c), want[c]);
    assert_int_equal(ech_get_u64(r + 48), payload);
    assert_int_equal(ech_get_u64(r + 64 + 8), ech_hash_bytes(r + 120, payload).low);
    assert_int_equal(ech_get_u64(r + 112), ech_hash_bytes(r, 112).low);
    assert_int_equal(ech_get_u64(r + 120 + 36 + 8), 12); /* the second word's length */
    ech_str_fini(&s.bytes);
}

/* Cut at every byte: exactly the whole records before the cut remain. */
static void torn_anywhere(void **state)
{
    (void)state;
    struct ech_spool_head head = test_head(2, 5);
    struct spool s = small(&head);
    struct ech_spool_index index;
    struct ech_err err;
    for (size_t cut = 0; cut <= s.bytes.length; cut++) {
        size_t whole = 0;
        while (whole < (size_t)s.records && s.ends[whole] <= cut)
            whole++;
        char *exact = ech_strndup(s.bytes.data, cut, NULL); /* the sanitizer sees a byte too many */
        exact = realloc(exact, cut ? cut : 1);
        struct spool part = {.bytes = {.data = exact}};
        assert_int_equal(scan(&part, cut, &head, &index, &err), ECH_OK);
        free(exact);
        assert_int_equal(index.count, whole);
        bool clean = cut == 0 || cut == 256;
        for (int i = 0; i < s.records; i++)
            clean = clean || (cut >= s.ends[i] && cut <= ((s.ends[i] + 7) & ~(size_t)7));
        assert_int_equal(index.damaged, !clean);
        for (size_t i = 0; i < whole; i++) {
            assert_int_equal(index.entries[i].offset, s.starts[i]);
            assert_int_equal(index.entries[i].file, 7);
            assert_int_equal(index.entries[i].attempt, 2);
        }
        ech_spool_index_fini(&index);
    }
    ech_str_fini(&s.bytes);
}

/* Any one byte changed: that record alone is lost (padding: none); in the head, all. */
static void damaged_anywhere(void **state)
{
    (void)state;
    struct ech_spool_head head = test_head(2, 5);
    struct spool s = small(&head);
    struct ech_spool_index index;
    struct ech_err err;
    for (size_t at = 0; at < s.bytes.length; at++)
        for (int mask = 1; mask <= 128; mask *= 128) {
            s.bytes.data[at] = (char)(s.bytes.data[at] ^ mask);
            assert_int_equal(scan(&s, s.bytes.length, &head, &index, &err), ECH_OK);
            s.bytes.data[at] = (char)(s.bytes.data[at] ^ mask);
            int hit = -1;
            for (int i = 0; i < s.records; i++)
                hit = at >= s.starts[i] && at < s.ends[i] ? i : hit;
            assert_int_equal(index.count, at < 256 ? 0 : hit >= 0 ? 2 : 3);
            assert_int_equal(index.damaged, at < 256 || hit >= 0);
            for (size_t i = 0; hit >= 0 && i < index.count; i++)
                assert_int_equal(index.entries[i].offset, s.starts[(int)i + ((int)i >= hit)]);
            ech_spool_index_fini(&index);
        }
    ech_str_fini(&s.bytes);
}

/* Heads with a good checksum and lying numbers: refused, no read past the end, no overflow. */
static void lying_heads(void **state)
{
    (void)state;
    static const struct {
        int at;
        uint64_t value;
    } lies[] = {{16, UINT64_MAX}, {16, INT64_MAX},      {24, 0},          {24, UINT64_MAX}, {24, INT64_MAX},
                {24, 4},          {24, 1ULL << 61},     {32, 4},          {32, UINT64_MAX}, {40, UINT64_MAX},
                {48, 0},          {48, UINT64_MAX},     {48, 1ULL << 63}, {56, 1},          {80, 0},
                {80, UINT64_MAX}, {88, UINT64_MAX - 7}, {88, 23},         {96, 0},          {96, 1ULL << 40}};
    struct ech_spool_head head = test_head(2, 5);
    struct ech_spool_index index;
    struct ech_err err;
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        struct spool s = small(&head);
        unsigned char *r = (unsigned char *)s.bytes.data + 256;
        ech_put_u64(r + lies[i].at, lies[i].value);
        ech_put_u64(r + 112, ech_hash_bytes(r, 112).low);
        assert_int_equal(scan(&s, s.bytes.length, &head, &index, &err), ECH_OK);
        assert_int_equal(index.count, 2);
        assert_int_equal(index.damaged, 1);
        ech_spool_index_fini(&index);
        ech_str_fini(&s.bytes);
    }
}

/* Row lengths that do not add up to their column, under good checksums. */
static void lying_lengths(void **state)
{
    (void)state;
    static const uint64_t lies[] = {0, 6, UINT64_MAX, 1ULL << 63};
    struct ech_spool_head head = test_head(2, 5);
    struct ech_spool_index index;
    struct ech_err err;
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        struct spool s = small(&head);
        unsigned char *r = (unsigned char *)s.bytes.data + 256, *payload = r + 120;
        uint64_t bytes = ech_get_u64(r + 48);
        ech_put_u64(payload + 36, lies[i]); /* 5 bytes in truth */
        struct ech_hash h = ech_hash_bytes(payload, bytes);
        ech_put_u64(r + 64, h.high);
        ech_put_u64(r + 72, h.low);
        ech_put_u64(r + 112, ech_hash_bytes(r, 112).low);
        assert_int_equal(scan(&s, s.bytes.length, &head, &index, &err), ECH_OK);
        assert_int_equal(index.count, 2);
        ech_spool_index_fini(&index);
        ech_str_fini(&s.bytes);
    }
}

/* A damaged record whose payload looks like a record does not give birth to one. */
static void record_in_a_payload(void **state)
{
    (void)state;
    struct ech_column column = {"text", ECH_TEXT, ECH_U8, 0};
    struct ech_spool_head head = test_head(1, 0);
    head.columns = &column;
    head.columns_count = 1;
    struct ech_str inner = {0}, file = {0};
    struct ech_block *block;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_spool_index index = {0};
    assert_int_equal(ech_block_create(1, &block, &err), ECH_OK);
    block->first = 1000;
    block->rows = 1;
    ech_cells_add(&block->columns[0], "false", 5, &err);
    assert_int_equal(ech_spool_put_block(&head, block, 0, &inner, &err), ECH_OK);
    ech_cells_reset(&block->columns[0], &err);
    ech_cells_add(&block->columns[0], inner.data, inner.length, &err);
    block->first = 0;
    ech_spool_put_head(&head, &file, &err);
    ech_spool_put_block(&head, block, 0, &file, &err);
    file.data[file.length - 1] ^= 1;
    file.data[256 + 96 + 8 + 1] ^= 1; /* the payload's hash is wrong, its head is good */
    assert_int_equal(ech_spool_scan_bytes("mem", file.data, file.length, &head, 0, &index, &err), ECH_OK);
    assert_int_equal(index.count, 0);
    ech_spool_index_fini(&index);
    ech_block_destroy(block);
    ech_str_fini(&inner);
    ech_str_fini(&file);
}

static void assert_refused(const struct spool *s, const struct ech_spool_head *other, const char *word)
{
    struct ech_spool_index index;
    struct ech_err err;
    assert_int_equal(scan(s, s->bytes.length, other, &index, &err), ECH_DATA);
    if (!strstr(err.text, word))
        fail_msg("\"%s\" is not in: %s", word, err.text);
    assert_int_equal(index.count, 0);
    ech_spool_index_fini(&index);
}

static void other_jobs(void **state)
{
    (void)state;
    struct ech_spool_head head = test_head(2, 5), other;
    struct spool s = small(&head);
    struct ech_column columns[TEST_COLUMNS];
    other = head;
    other.identity.low++;
    assert_refused(&s, &other, "identity");
    other = head;
    strcpy(other.numerics, "cuda sm_90 f32");
    assert_refused(&s, &other, "cuda sm_90 f32");
    other = head;
    other.columns_count = 3;
    assert_refused(&s, &other, "columns");
    memcpy(columns, test_columns, sizeof columns);
    columns[3].dim = 3;
    other = head;
    other.columns = columns;
    assert_refused(&s, &other, "columns");
    ech_put_u32((unsigned char *)s.bytes.data + 8, 2);
    ech_put_u64((unsigned char *)s.bytes.data + 248, ech_hash_bytes(s.bytes.data, 248).low);
    assert_refused(&s, &head, "version 2");
    ech_str_fini(&s.bytes);
}

static void wrong_blocks(void **state)
{
    (void)state;
    struct ech_spool_head head = test_head(1, 0);
    struct ech_str out = {0};
    struct ech_err err = ECH_ERR_NONE;
    struct ech_block *block = test_block(4, 6, &err);
    block->rows = 5;
    assert_int_equal(ech_spool_put_block(&head, block, 0, &out, &err), ECH_BUG);
    block->rows = 6;
    block->first = INT64_MAX - 2;
    assert_int_equal(ech_spool_put_block(&head, block, 0, &out, NULL), ECH_BUG);
    block->first = 4;
    assert_int_equal(ech_spool_put_block(&head, block, 1LL << 32, &out, NULL), ECH_BUG);
    block->errors = 7;
    assert_int_equal(ech_spool_put_block(&head, block, 0, &out, NULL), ECH_BUG);
    block->errors = 0;
    block->columns[0].offsets[3]++;
    assert_int_equal(ech_spool_put_block(&head, block, 0, &out, NULL), ECH_BUG);
    block->columns_count = 3;
    assert_int_equal(ech_spool_put_block(&head, block, 0, &out, NULL), ECH_BUG);
    block->columns_count = 4;
    assert_int_equal(out.length, 0);
    ech_block_destroy(block);
    ech_str_fini(&out);
}

/* A file larger than the reader's buffer, with a record larger than it, scanned and read back in all ways. */
static void large_file(void **state)
{
    (void)state;
    struct ech_spool_head head = test_head(3, 1);
    struct spool s = {0};
    struct ech_err err = ECH_ERR_NONE;
    struct ech_spool_index index = {0}, memory = {0};
    static const struct {
        int64_t first, rows;
    } cut[] = {{0, 7}, {7, 60000}, {60007, 1}, {60008, 900}};
    ech_spool_put_head(&head, &s.bytes, &err);
    for (int i = 0; i < 4; i++)
        add(&s, &head, cut[i].first, cut[i].rows);
    assert_true(s.bytes.length > 3 << 20);
    assert_int_equal(ech_write_file("spool", s.bytes.data, s.bytes.length, &err), ECH_OK);
    assert_int_equal(ech_spool_scan("spool", &head, 0, &index, &err), ECH_OK);
    assert_int_equal(ech_spool_scan_bytes("m", s.bytes.data, s.bytes.length, &head, 0, &memory, &err),
                     ECH_OK);
    assert_int_equal(index.count, 4);
    assert_int_equal(index.damaged, 0);
    assert_memory_equal(index.entries, memory.entries, 4 * sizeof *index.entries);
    int fd;
    assert_int_equal(ech_open("spool", O_RDONLY, &fd, &err), ECH_OK);
    struct ech_cells cells = {0};
    uint64_t sizes[2000];
    unsigned char cell[32];
    for (int c = 0; c < TEST_COLUMNS; c++) {
        const struct ech_spool_entry *e = &index.entries[1];
        cells.rows = 0;
        assert_int_equal(ech_spool_read(fd, "spool", &head, e, c, 30000, 1500, &cells, &err), ECH_OK);
        assert_int_equal(ech_spool_read(fd, "spool", &head, e, c, 60006, 1, &cells, &err), ECH_OK);
        assert_int_equal(ech_spool_read(fd, "spool", &head, e + 1, c, 60007, 1, &cells, &err), ECH_OK);
        assert_int_equal(ech_spool_read(fd, "spool", &head, e, c, 8, 0, &cells, &err), ECH_OK);
        assert_int_equal(cells.rows, 1502);
        assert_cells(&cells, 0, c, 30000, 1500);
        assert_cells(&cells, 1500, c, 60006, 2);
        struct ech_spool_want want = {fd, "spool", c, 5000, 2000};
        assert_int_equal(ech_spool_sizes(&head, e, &want, sizes, &err), ECH_OK);
        for (int i = 0; i < 2000; i++)
            assert_int_equal(sizes[i], test_cell(c, 5000 + i, cell));
        assert_int_equal(ech_spool_read(fd, "spool", &head, e, c, 6, 1, &cells, NULL), ECH_BUG);
        assert_int_equal(ech_spool_read(fd, "spool", &head, e, c, 60000, 8, &cells, NULL), ECH_BUG);
        assert_int_equal(cells.rows, 1502);
    }
    /* A file that was cut after the scan. */
    assert_int_equal(truncate("spool", (off_t)s.ends[1] - 1), 0);
    assert_int_equal(ech_spool_read(fd, "spool", &head, &index.entries[1], 0, 7, 1, &cells, &err), ECH_DATA);
    ech_err_clear(&err);
    assert_int_equal(ech_spool_read(fd, "spool", &head, &index.entries[3], 0, 60008, 1, &cells, &err),
                     ECH_DATA);
    ech_err_clear(&err);
    ech_spool_index_fini(&index);
    assert_int_equal(ech_spool_scan("spool", &head, 0, &index, &err), ECH_OK);
    assert_int_equal(index.count, 1);
    assert_int_equal(index.damaged, 1);
    close(fd);
    ech_cells_fini(&cells);
    ech_spool_index_fini(&index);
    ech_spool_index_fini(&memory);
    ech_str_fini(&s.bytes);
}

static void wrong_files(void **state)
{
    (void)state;
    struct ech_spool_head head = test_head(1, 0);
    struct ech_spool_index index = {0};
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_spool_scan("none", &head, 0, &index, &err), ECH_NOINPUT);
    ech_err_clear(&err);
    ech_mkdir_all("folder", &err);
    assert_int_equal(ech_spool_scan("folder", &head, 0, &index, &err), ECH_DATA);
    ech_err_clear(&err);
    ech_write_file("empty", "", 0, &err);
    assert_int_equal(ech_spool_scan("empty", &head, 0, &index, &err), ECH_OK);
    assert_int_equal(index.damaged, 0);
    ech_write_file("noise", "noise", 5, &err);
    assert_int_equal(ech_spool_scan("noise", &head, 0, &index, &err), ECH_OK);
    assert_int_equal(index.damaged, 1);
    assert_int_equal(index.count, 0);
    ech_spool_index_fini(&index);
}

/* Each failing allocation, open or read of a scan and a read-back is an error, and frees everything. */
static void faults(void **state)
{
    (void)state;
    struct ech_spool_head head = test_head(2, 5);
    struct spool s = small(&head);
    ech_write_file("spool", s.bytes.data, s.bytes.length, NULL);
    ech_str_fini(&s.bytes);
    int64_t n = 1;
    for (;; n++) {
        struct ech_err err = ECH_ERR_NONE;
        struct ech_spool_index index = {0};
        struct ech_cells cells = {0};
        int fd = -1;
        ech_fault_arm(-1, n);
        int code = ech_spool_scan("spool", &head, 0, &index, &err);
        if (code == ECH_OK)
            code = ech_open("spool", O_RDONLY, &fd, &err);
        for (int c = 0; code == ECH_OK && c < TEST_COLUMNS; c++)
            code = ech_spool_read(fd, "spool", &head, &index.entries[0], c, 10, 3, &cells, &err);
        bool fired = ech_fault_fired();
        ech_fault_arm(-1, 0);
        assert_int_equal(code != ECH_OK, fired);
        assert_int_equal(err.text[0] != '\0', fired);
        if (fd >= 0)
            close(fd);
        ech_spool_index_fini(&index);
        ech_cells_fini(&cells);
        if (!fired)
            break;
    }
    assert_true(n > 8);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(bytes_of_the_format),
    cmocka_unit_test(torn_anywhere),
    cmocka_unit_test(damaged_anywhere),
    cmocka_unit_test(lying_heads),
    cmocka_unit_test(lying_lengths),
    cmocka_unit_test(record_in_a_payload),
    cmocka_unit_test(other_jobs),
    cmocka_unit_test(wrong_blocks),
    cmocka_unit_test(large_file),
    cmocka_unit_test(wrong_files),
    cmocka_unit_test(faults),
};
ECH_TEST_MAIN(tests)
