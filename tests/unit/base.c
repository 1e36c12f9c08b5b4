/* runtime/base: numbers, hashes, row sets, strings, JSON, files, faults. */
#include "tests/harness.h"

#include "base/fault.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rowset.h"
#include "base/str.h"

static void numbers(void **state)
{
    (void)state;
    int64_t i;
    double d;
    assert_true(ech_parse_int("012", &i) && i == 12);
    assert_true(ech_parse_int("-9223372036854775808", &i) && i == INT64_MIN);
    assert_false(ech_parse_int("9223372036854775808", &i));
    assert_false(ech_parse_int("1e3", &i));
    assert_false(ech_parse_int("", &i));
    assert_false(ech_parse_int("0x10", &i));
    assert_true(ech_parse_float("1e-3", &d) && d == 1e-3);
    assert_false(ech_parse_float("nan", &d));
    assert_false(ech_parse_float("1e999", &d));
    assert_true(ech_parse_time("1:30:00", &d) && d == 5400);
    assert_true(ech_parse_time("90s", &d) && d == 90);
    assert_true(ech_parse_time("1:30", &d) && d == 90);
    assert_true(ech_parse_time("2-12:00:00", &d) && d == 2.5 * 86400);
    assert_true(ech_parse_time("15m", &d) && d == 900);
    assert_false(ech_parse_time("1:75", &d));
    assert_false(ech_parse_time("1:2:3:4", &d));
    assert_false(ech_parse_time("soon", &d));
    assert_true(ech_parse_bytes("16GiB", &i) && i == (int64_t)16 << 30);
    assert_true(ech_parse_bytes("1.5 GiB", &i) && i == (int64_t)3 << 29);
    assert_true(ech_parse_bytes("200MB", &i) && i == 200000000);
    assert_false(ech_parse_bytes("-1", &i));
    assert_false(ech_parse_bytes("16 apples", &i));
    char out[32];
    assert_string_equal(ech_print_count(-1234567, out, sizeof out), "-1,234,567");
    assert_string_equal(ech_print_time(5400, out, sizeof out), "1:30:00");
    assert_string_equal(ech_print_bytes(1536, out, sizeof out), "1.5 KiB");
    int narrow;
    assert_int_equal(ech_to_int(1LL << 40, &narrow, NULL), ECH_DATA);
}

static void hashes(void **state)
{
    (void)state;
    char hex[ECH_HASH_HEX];
    struct ech_hash h = ech_hash_bytes("", 0), back;
    assert_string_equal(ech_hash_print(h, hex), "99aa06d3014798d86001c324468d497f"); /* XXH3-128 of "" */
    assert_true(ech_hash_parse(hex, &back) && ech_hash_equal(h, back));
    assert_false(ech_hash_parse("99AA06d3014798d86001c324468d497f", &back));
    struct ech_hash a = {0, 0}, b = {0, 0};
    ech_hash_add_str(&a, "ab");
    ech_hash_add_str(&a, "c");
    ech_hash_add_str(&b, "a");
    ech_hash_add_str(&b, "bc");
    assert_false(ech_hash_equal(a, b));
}

/* A row set against a plain array of flags, random operations. */
static void rowset_random(void **state)
{
    (void)state;
    enum { N = 64 };
    srand(7);
    for (int round = 0; round < 2000; round++) {
        struct ech_rowset set;
        bool flag[N] = {false};
        ech_rowset_init(&set);
        for (int step = 0; step < 12; step++) {
            int a = rand() % N, b = rand() % (N + 1), put = rand() % 2;
            int64_t added, fresh = 0;
            for (int i = a; i < b; i++) {
                fresh += !flag[i];
                flag[i] = put;
            }
            if (put) {
                assert_int_equal(ech_rowset_add(&set, a, b, &added, NULL), ECH_OK);
                assert_int_equal(added, fresh);
            } else
                assert_int_equal(ech_rowset_remove(&set, a, b, NULL), ECH_OK);
            int64_t rows = 0;
            for (int i = 0; i < N; i++) {
                assert_int_equal(ech_rowset_has(&set, i, i + 1), flag[i]);
                rows += flag[i];
            }
            assert_int_equal(set.rows, rows);
            for (size_t i = 1; i < set.count; i++)
                assert_true(set.ranges[i - 1].end < set.ranges[i].first);
        }
        struct ech_range got;
        int64_t next = 0;
        while (ech_rowset_take(&set, 5, &got))
            for (int64_t r = got.first; r < got.end; r++, next = r)
                assert_true(flag[r] && r >= next);
        assert_int_equal(set.rows, 0);
        ech_rowset_fini(&set);
    }
}

static void strings(void **state)
{
    (void)state;
    static const char *const names[] = {"dataset", "column", "columns", "keep", NULL};
    assert_string_equal(ech_nearest("colunm", names), "column");
    assert_string_equal(ech_nearest("datset", names), "dataset");
    assert_null(ech_nearest("zebra", names));
    assert_int_equal(ech_edit_distance("", "abc"), 3);
    assert_int_equal(ech_utf8_invalid_at("a\xC3\xA9", 3), -1);
    assert_int_equal(ech_utf8_invalid_at("ab\xC3", 3), 2);
    assert_int_equal(ech_utf8_invalid_at("\xED\xA0\x80", 3), 0); /* a surrogate */
    assert_int_equal(ech_utf8_invalid_at("\xC0\x80", 2), 0);     /* overlong */
    assert_int_equal(ech_utf8_invalid_at("\xF4\x90\x80\x80", 4), 0);
}

static void json(void **state)
{
    (void)state;
    struct ech_str s;
    ech_str_init(&s);
    ech_json_add_str(&s, "a\"b", "x\n\x01\xFFy");
    ech_json_add_float(&s, "f", 0.5);
    ech_json_add_int(&s, "i", -3);
    ech_json_add_bool(&s, "t", true);
    ech_str_addc(&s, '}');
    assert_string_equal(s.data, "{\"a\\\"b\":\"x\\n\\u0001\xEF\xBF\xBDy\",\"f\":0.5,\"i\":-3,\"t\":true}");
    json_t *root;
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_json_parse("t", s.data, s.length, &root, &err), ECH_OK);
    int64_t i = 0;
    assert_int_equal(ech_json_get_int(root, "t", "i", true, &i, &err), ECH_OK);
    assert_int_equal(i, -3);
    assert_int_equal(ech_json_get_int(root, "t", "f", true, &i, &err), ECH_DATA);
    json_decref(root);
    ech_err_clear(&err);
    assert_int_equal(ech_json_parse("t.json", "{\"a\":1,\n\"a\":2}", 14, &root, &err), ECH_DATA);
    assert_int_equal(err.line, 2);
    ech_str_clear(&s); /* objects in an array */
    ech_json_key(&s, "list");
    ech_str_addc(&s, '[');
    ech_json_add_int(&s, "a", 1);
    ech_str_adds(&s, "},");
    ech_json_add_int(&s, "a", 2);
    ech_json_add_int(&s, "b", 3);
    ech_str_adds(&s, "}]}");
    assert_string_equal(s.data, "{\"list\":[{\"a\":1},{\"a\":2,\"b\":3}]}");
    ech_str_fini(&s);
}

static void files(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    char *data;
    size_t bytes;
    assert_int_equal(ech_mkdir_all("a/b/c", &err), ECH_OK);
    assert_int_equal(ech_write_file("a/b/c/f", "hello", 5, &err), ECH_OK);
    assert_int_equal(ech_read_file("a/b/c/f", 5, &data, &bytes, &err), ECH_OK);
    assert_int_equal(bytes, 5);
    assert_string_equal(data, "hello");
    ech_free(data);
    assert_int_equal(ech_read_file("a/b/c/f", 4, &data, &bytes, &err), ECH_DATA);
    ech_err_clear(&err);
    assert_int_equal(ech_read_file("a/none", 4, &data, &bytes, &err), ECH_NOINPUT);
    assert_non_null(strstr(err.text, "a/none"));
    ech_err_clear(&err);
    assert_int_equal(ech_rename_new("a/b", "a/d", &err), ECH_OK);
    assert_int_equal(ech_mkdir_all("a/e", &err), ECH_OK);
    assert_int_equal(ech_rename_new("a/d", "a/e", &err), ECH_EXISTS);
    ech_err_clear(&err);
    assert_int_equal(ech_remove_all("a", &err), ECH_OK);
    assert_false(ech_path_exists("a"));
    char *dir = ech_path_dir("/x/y", NULL), *joined = ech_path_join("x/", "y", NULL);
    assert_string_equal(dir, "/x");
    assert_string_equal(joined, "x/y");
    ech_free(dir);
    ech_free(joined);
}

/* Every injected failure of a file write is an error that names the path and leaves no half-made file. */
static void faults(void **state)
{
    (void)state;
    int64_t n = 1;
    for (;; n++) {
        struct ech_err err = ECH_ERR_NONE;
        ech_fault_arm(-1, n);
        int code = ech_write_file("out", "12345", 5, &err);
        bool fired = ech_fault_fired();
        ech_fault_arm(-1, 0);
        if (!fired) {
            assert_int_equal(code, ECH_OK);
            break;
        }
        assert_int_not_equal(code, ECH_OK);
        assert_true(err.text[0]);
        assert_false(ech_path_exists("out.tmp"));
        ech_remove_all("out", NULL);
    }
    assert_true(n > 5);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(numbers), cmocka_unit_test(hashes), cmocka_unit_test(rowset_random),
    cmocka_unit_test(strings), cmocka_unit_test(json),   cmocka_unit_test(files),
    cmocka_unit_test(faults),
};
ECH_TEST_MAIN(tests)
