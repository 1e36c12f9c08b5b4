/* runtime/data: columns, cells, the memory of row sizes. */
#include "tests/harness.h"

#include "data/layout.h"

static void names(void **state)
{
    (void)state;
    assert_true(ech_column_name_valid("text"));
    assert_true(ech_column_name_valid("_a.b-2"));
    assert_false(ech_column_name_valid(""));
    assert_false(ech_column_name_valid("2a"));
    assert_false(ech_column_name_valid("."));
    assert_false(ech_column_name_valid("a/b"));
    assert_false(ech_column_name_valid("a b"));
    assert_false(ech_column_name_valid("caf\xc3\xa9"));
    char longest[ECH_NAME_MAX + 1];
    memset(longest, 'a', sizeof longest);
    longest[63] = '\0';
    assert_true(ech_column_name_valid(longest));
    longest[63] = 'a';
    longest[64] = '\0';
    assert_false(ech_column_name_valid(longest));
}

static void types(void **state)
{
    (void)state;
    enum ech_ctype type;
    enum ech_dtype dtype;
    for (int i = ECH_TEXT; i <= ECH_INTS; i++)
        assert_true(ech_ctype_parse(ech_ctype_name((enum ech_ctype)i), &type) && (int)type == i);
    for (int i = ECH_U8; i <= ECH_I64; i++)
        assert_true(ech_dtype_parse(ech_dtype_name((enum ech_dtype)i), &dtype) && (int)dtype == i);
    assert_false(ech_ctype_parse("Text", &type));
    assert_false(ech_dtype_parse("f8", &dtype));
    struct ech_column c = {.name = "x", .type = ECH_TENSOR, .dtype = ECH_F16, .dim = 384};
    assert_int_equal(ech_column_row_bytes(&c), 768);
    c = (struct ech_column){.name = "x", .type = ECH_TEXT, .dtype = ECH_U8};
    assert_int_equal(ech_column_row_bytes(&c), -1);
}

static void refused_columns(void **state)
{
    (void)state;
    static const struct ech_column bad[] = {
        {.name = "a b", .type = ECH_TEXT, .dtype = ECH_U8},
        {.name = "a", .type = ECH_TEXT, .dtype = ECH_F32},
        {.name = "a", .type = ECH_JSON, .dtype = ECH_U8, .dim = 1},
        {.name = "a", .type = ECH_TENSOR, .dtype = ECH_F32, .dim = 0},
        {.name = "a", .type = ECH_TENSOR, .dtype = ECH_I64, .dim = 4},
        {.name = "a", .type = ECH_TENSOR, .dtype = ECH_F32, .dim = (int64_t)1 << 40},
        {.name = "a", .type = ECH_INTS, .dtype = ECH_U8},
        {.name = "a", .type = ECH_INTS, .dtype = ECH_I64, .dim = -1},
        {.name = "a", .type = (enum ech_ctype)9, .dtype = ECH_U8},
    };
    struct ech_layout *layout = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ech_err err = ECH_ERR_NONE;
        assert_int_equal(ech_layout_create(&bad[i], 1, 1000, &layout, &err), ECH_CONFIG);
        assert_true(err.text[0] != '\0' && layout == NULL);
    }
    const struct ech_column twice[2] = {{.name = "a", .type = ECH_TEXT}, {.name = "a", .type = ECH_TEXT}};
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_layout_create(twice, 2, 1000, &layout, &err), ECH_CONFIG);
    assert_non_null(strstr(err.text, "two columns have the name a"));
    assert_int_equal(ech_layout_create(twice, 1, 0, &layout, NULL), ECH_CONFIG);
    assert_int_equal(ech_layout_create(twice, 0, 1, &layout, NULL), ECH_CONFIG);
}

static void cells(void **state)
{
    (void)state;
    struct ech_cells c = {0};
    assert_int_equal(ech_cells_add(&c, "ab", 2, NULL), ECH_OK);
    assert_int_equal(ech_cells_add(&c, NULL, 0, NULL), ECH_OK);
    assert_int_equal(ech_cells_add(&c, "cde", 3, NULL), ECH_OK);
    assert_int_equal(c.rows, 3);
    assert_true(c.offsets[0] == 0 && c.offsets[1] == 2 && c.offsets[2] == 2 && c.offsets[3] == 5);
    assert_memory_equal(c.bytes, "abcde", 5);
    assert_int_equal(ech_cells_reset(&c, NULL), ECH_OK);
    assert_true(c.rows == 0 && c.offsets[0] == 0);
    assert_int_equal(ech_cells_add(&c, "z", 1, NULL), ECH_OK);
    assert_true(c.rows == 1 && c.offsets[1] == 1 && c.bytes[0] == 'z');
    ech_cells_fini(&c);
    assert_null(c.bytes);
}

static uint64_t size_of(int64_t i)
{
    static const uint64_t special[] = {0, 1, 127, 128, 16383, 16384, (uint64_t)1 << 40, UINT64_MAX};
    return i % 5 == 0 ? special[i / 5 % 8] : (uint64_t)(i * 7919 % 300);
}

/* More than the memory holds: three chunks are spilled. */
static void row_sizes(void **state)
{
    (void)state;
    for (int64_t count = 0; count < 3000000; count = count * 40 + 7) {
        struct ech_sizes sizes;
        struct ech_sizes_reader reader;
        ech_sizes_init(&sizes);
        for (int64_t i = 0; i < count; i++) {
            uint64_t pair[2] = {size_of(2 * i), size_of(2 * i + 1)};
            assert_int_equal(ech_sizes_put(&sizes, pair, 2, NULL), ECH_OK);
        }
        assert_true(count < 1000000 || sizes.spilled > 2 * ECH_SIZES_MEMORY);
        assert_int_equal(ech_sizes_read(&sizes, &reader, NULL), ECH_OK);
        for (int64_t i = 0; i < 2 * count; i++) {
            uint64_t value;
            assert_int_equal(ech_sizes_get(&reader, &value, NULL), ECH_OK);
            if (value != size_of(i))
                fail_msg("value %lld of %lld", (long long)i, (long long)count);
        }
        ech_sizes_read_end(&reader);
        ech_sizes_fini(&sizes);
    }
}

/* Shards of fixed rows by arithmetic and the same rows one by one. */
static void fixed_layouts(void **state)
{
    (void)state;
    const struct ech_column column = {.name = "v", .type = ECH_TENSOR, .dtype = ECH_F32, .dim = 3};
    struct ech_comm *comm;
    assert_int_equal(ech_comm_open_self(&comm, NULL), ECH_OK);
    for (int64_t shard_bytes = 1; shard_bytes < 100; shard_bytes += 7)
        for (int64_t rows = 0; rows < 40; rows += 13) {
            struct ech_layout *a, *b;
            uint64_t bytes = 12;
            assert_int_equal(ech_layout_create(&column, 1, shard_bytes, &a, NULL), ECH_OK);
            assert_int_equal(ech_layout_create(&column, 1, shard_bytes, &b, NULL), ECH_OK);
            assert_int_equal(ech_layout_add_fixed(a, rows, NULL), ECH_OK);
            for (int64_t i = 0; i < rows; i++)
                assert_int_equal(ech_layout_add(b, &bytes, NULL), ECH_OK);
            assert_int_equal(ech_layout_agree(a, comm, NULL), ECH_OK);
            assert_int_equal(ech_layout_agree(b, comm, NULL), ECH_OK);
            int64_t row = 0, last = -1, shards = 0; /* the rule itself, row by row */
            for (; row < rows; row++) {
                shards += row * 12 / shard_bytes != last;
                last = row * 12 / shard_bytes;
                assert_int_equal(a->parts[shards - 1].key, last);
            }
            assert_true(a->shards == shards && b->shards == shards && ech_layout_rows(a) == rows);
            for (int64_t s = 0; s < shards; s++)
                assert_int_equal(a->parts[s].rows, b->parts[s].rows);
            ech_layout_destroy(a);
            ech_layout_destroy(b);
        }
    struct ech_layout *a;
    struct ech_err err = ECH_ERR_NONE;
    uint64_t wrong = 11;
    assert_int_equal(ech_layout_create(&column, 1, 100, &a, NULL), ECH_OK);
    assert_int_equal(ech_layout_add(a, &wrong, &err), ECH_DATA);
    assert_non_null(strstr(err.text, "11 bytes, a row has 12"));
    assert_int_equal(ech_layout_add_fixed(a, INT64_MAX / 5, NULL), ECH_DATA);
    assert_int_equal(ech_layout_add_fixed(a, -1, NULL), ECH_DATA);
    ech_layout_destroy(a);
    ech_comm_close(comm);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(names), cmocka_unit_test(types),     cmocka_unit_test(refused_columns),
    cmocka_unit_test(cells), cmocka_unit_test(row_sizes), cmocka_unit_test(fixed_layouts),
};

ECH_TEST_MAIN(tests)
