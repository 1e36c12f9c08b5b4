/* job/seal_cover: pure decisions against slow and plain versions of themselves. */
#include "tests/harness.h"

#include "base/fault.h"
#include "base/mem.h"
#include "job/seal_cover.h"

enum { UNHELD = -1 };

static struct ech_spool_entry entry(int64_t first, int64_t end, int attempt, int file, uint64_t offset)
{
    return (struct ech_spool_entry){
        .first = first, .rows = end - first, .attempt = attempt, .file = file, .offset = offset};
}

static bool before(const struct ech_spool_entry *a, const struct ech_spool_entry *b)
{
    if (a->attempt != b->attempt)
        return a->attempt < b->attempt;
    return a->file != b->file ? a->file < b->file : a->offset < b->offset;
}

/* Row by row, by looking at every record. */
static int64_t plain(const struct ech_spool_index *index, int64_t row)
{
    int64_t best = UNHELD;
    for (size_t i = 0; i < index->count; i++) {
        const struct ech_spool_entry *e = &index->entries[i];
        if (e->first <= row && row < e->first + e->rows &&
            (best == UNHELD || before(e, &index->entries[best])))
            best = (int64_t)i;
    }
    return best;
}

static void check_range(const struct ech_spool_index *index, int64_t first, int64_t end)
{
    struct ech_cover cover;
    struct ech_err err = ECH_ERR_NONE;
    int64_t gap = first;
    while (gap < end && plain(index, gap) != UNHELD)
        gap++;
    int code = ech_cover_rows(index, first, end, &cover, &err);
    if (gap < end) {
        char text[64];
        snprintf(text, sizeof text, "row %lld is in no", (long long)gap);
        assert_int_equal(code, ECH_DATA);
        assert_non_null(strstr(err.text, text));
        return;
    }
    assert_int_equal(code, ECH_OK);
    int64_t row = first;
    for (size_t i = 0; i < cover.count; i++) {
        assert_int_equal(cover.pieces[i].first, row);
        assert_true(cover.pieces[i].rows > 0);
        if (i)
            assert_int_not_equal(cover.pieces[i].entry, cover.pieces[i - 1].entry);
        for (int64_t k = 0; k < cover.pieces[i].rows; k++, row++)
            assert_int_equal(cover.pieces[i].entry, plain(index, row));
    }
    assert_int_equal(row, end);
    ech_cover_fini(&cover);
}

static void check(struct ech_spool_entry *entries, size_t count, int64_t rows)
{
    struct ech_spool_index index = {.entries = entries, .count = count};
    ech_spool_index_sort(&index);
    for (size_t i = 1; i < count; i++)
        assert_true(entries[i - 1].first <= entries[i].first);
    for (int64_t first = 0; first <= rows; first++)
        for (int64_t end = first; end <= rows; end++)
            check_range(&index, first, end);
}
#define CHECK(rows, ...)                                                                                     \
    do {                                                                                                     \
        struct ech_spool_entry list[] = {__VA_ARGS__};                                                       \
        check(list, sizeof list / sizeof list[0], rows);                                                     \
    } while (0)

static void shapes(void **state)
{
    (void)state;
    check(NULL, 0, 3);                                                          /* nothing */
    CHECK(6, entry(0, 6, 1, 0, 0));                                             /* one */
    CHECK(6, entry(3, 6, 1, 0, 0), entry(0, 3, 1, 0, 8));                       /* touching */
    CHECK(6, entry(0, 2, 1, 0, 0), entry(4, 6, 1, 1, 0));                       /* a gap */
    CHECK(6, entry(1, 5, 1, 0, 0));                                             /* both ends open */
    CHECK(8, entry(0, 5, 1, 0, 0), entry(3, 8, 1, 1, 0));                       /* overlap */
    CHECK(8, entry(0, 5, 2, 0, 0), entry(3, 8, 1, 1, 0));                       /* the later is older */
    CHECK(9, entry(0, 9, 2, 0, 0), entry(3, 6, 1, 1, 0));                       /* nested, better */
    CHECK(9, entry(0, 9, 1, 0, 0), entry(3, 6, 2, 1, 0));                       /* nested, worse */
    CHECK(5, entry(0, 5, 1, 1, 0), entry(0, 5, 1, 0, 8), entry(0, 5, 1, 0, 0)); /* equal ranges */
    CHECK(9, entry(0, 9, 3, 0, 0), entry(1, 8, 2, 0, 0), entry(2, 7, 1, 0, 0)); /* an onion */
}

static void random_records(void **state)
{
    (void)state;
    srand(7);
    for (int round = 0; round < 200; round++) {
        struct ech_spool_entry list[12];
        size_t count = (size_t)(rand() % 12);
        for (size_t i = 0; i < count; i++) {
            int64_t first = rand() % 20;
            list[i] = entry(first, first + 1 + rand() % 8, rand() % 3, rand() % 3, i);
        }
        check(list, count, 24);
    }
}

static void cover_faults(void **state)
{
    (void)state;
    struct ech_spool_entry list[] = {entry(0, 5, 1, 0, 0), entry(3, 8, 1, 1, 0)};
    struct ech_spool_index index = {.entries = list, .count = 2};
    int64_t n = 1;
    for (bool fired = true; fired; n++) {
        struct ech_cover cover = {0};
        int32_t owner[2];
        int64_t bytes[2] = {4, 5};
        struct ech_err err = ECH_ERR_NONE;
        ech_fault_arm(ECH_FAULT_ALLOC, n);
        int code = ech_cover_rows(&index, 0, 8, &cover, &err);
        if (code == ECH_OK)
            code = ech_deal_files(bytes, 2, 3, owner, &err);
        fired = ech_fault_fired();
        ech_fault_arm(-1, 0);
        assert_int_equal(code == ECH_OK, !fired);
        ech_cover_fini(&cover);
    }
    assert_true(n > 4);
}

/* The same as looking for the least loaded rank each time. */
static void dealing(void **state)
{
    (void)state;
    srand(11);
    for (int round = 0; round < 100; round++) {
        enum { MOST = 40 };
        int64_t bytes[MOST], load[MOST] = {0};
        int32_t owner[MOST], files = rand() % MOST;
        bool used[MOST] = {false};
        int size = 1 + rand() % 9;
        for (int32_t i = 0; i < files; i++)
            bytes[i] = rand() % 3 ? rand() % 50 : 7;
        assert_int_equal(ech_deal_files(bytes, files, size, owner, NULL), ECH_OK);
        for (int32_t k = 0; k < files; k++) {
            int32_t next = -1;
            int least = 0;
            for (int32_t i = 0; i < files; i++)
                if (!used[i] && (next < 0 || bytes[i] > bytes[next]))
                    next = i;
            for (int rank = 1; rank < size; rank++)
                least = load[rank] < load[least] ? rank : least;
            assert_int_equal(owner[next], least);
            load[least] += bytes[next];
            used[next] = true;
        }
    }
}

static void slices(void **state)
{
    (void)state;
    static const int64_t rows[] = {0, 1, 3, 7, 1000, 1LL << 61};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int size = 1; size < 9; size++) {
            assert_int_equal(ech_slice_first(rows[i], 0, size), 0);
            assert_int_equal(ech_slice_first(rows[i], size, size), rows[i]);
            for (int rank = 0; rank < size; rank++) {
                __int128 exact = (__int128)rows[i] * rank / size;
                assert_true(ech_slice_first(rows[i], rank, size) == (int64_t)exact);
            }
        }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(shapes),  cmocka_unit_test(random_records), cmocka_unit_test(cover_faults),
    cmocka_unit_test(dealing), cmocka_unit_test(slices),
};
ECH_TEST_MAIN(tests)
