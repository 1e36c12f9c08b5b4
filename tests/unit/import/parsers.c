/* The pure parts of import and export: JSON rows, CSV rows, .npy headers, decimal text, column types. */
#include "tests/harness.h"

#include "data/convert.h"
#include "data/csv.h"
#include "data/decimal.h"
#include "data/import.h"
#include "data/jsonl.h"
#include "data/npy.h"
#include "data/schema.h"
#include "data/text_row.h"

#include <math.h>

/* ---- decimal ---- */

static uint32_t bits32(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void check_f32(uint32_t bits)
{
    float value;
    char text[ECH_DECIMAL_MAX];
    memcpy(&value, &bits, sizeof bits);
    if (isnan(value))
        return;
    int length = ech_print_f32(value, text);
    assert_int_equal((size_t)length, strlen(text));
    assert_true(strpbrk(text, ".ey") != NULL);
    if (bits32(strtof(text, NULL)) != bits || bits32(ech_read_f32(text, (size_t)length)) != bits ||
        bits32((float)ech_read_f64(text, (size_t)length)) != bits)
        fail_msg("%08x prints as %s", bits, text);
}

static void f32_text(void **state)
{
    (void)state;
    static const uint32_t edges[] = {0,          0x80000000, 1,          0x7FFFFF,   0x800000,   0x7F7FFFFF,
                                     0x7F800000, 0xFF800000, 0x3F800000, 0x3DCCCCCD, 0x4B800000, 0x4B800001,
                                     0x3727C5AC, 0x3727C5AD, 0x4B18967F, 0x4B189680, 0x3F7FFFFF};
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++)
        check_f32(edges[i]);
    uint32_t x = 12345;
    for (int i = 0; i < 100000; i++) {
        x = x * 1664525u + 1013904223u;
        check_f32(x);
        check_f32((x & 0x83FFFFFF) | 0x3C000000); /* near one: what embeddings look like */
    }
    char text[ECH_DECIMAL_MAX];
    ech_print_f32(0.1f, text);
    assert_string_equal(text, "0.1");
    ech_print_f32(-1.0f, text);
    assert_string_equal(text, "-1.0");
    ech_print_f32(1e20f, text);
    assert_string_equal(text, "1e+20");
    ech_print_f32(-INFINITY, text);
    assert_string_equal(text, "-Infinity");
    ech_print_f64(0.1, text);
    assert_string_equal(text, "0.1");
}

static void f64_text(void **state)
{
    (void)state;
    uint64_t x = 99, back;
    for (int i = 0; i < 50000; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        double value, read;
        char text[ECH_DECIMAL_MAX];
        memcpy(&value, &x, sizeof x);
        if (isnan(value))
            continue;
        read = ech_read_f64(text, (size_t)ech_print_f64(value, text));
        memcpy(&back, &read, sizeof back);
        assert_true(back == x);
    }
}

/* Reading agrees with the C library on numbers of all lengths. */
static void read_like_libc(void **state)
{
    (void)state;
    srand(5);
    for (int i = 0; i < 100000; i++) {
        char text[64];
        int digits = 1 + rand() % 20, n = 0;
        if (rand() % 3 == 0)
            text[n++] = '-';
        for (int d = 0; d < digits; d++)
            text[n++] = (char)('0' + rand() % 10);
        if (rand() % 2) {
            text[n++] = '.';
            for (int d = 1 + rand() % 20; d > 0; d--)
                text[n++] = (char)('0' + rand() % 10);
        }
        text[n] = '\0';
        if (rand() % 2)
            n += sprintf(text + n, "e%d", rand() % 80 - 40);
        if (bits32(ech_read_f32(text, (size_t)n)) != bits32(strtof(text, NULL)) ||
            ech_read_f64(text, (size_t)n) != strtod(text, NULL))
            fail_msg("%s is read differently", text);
    }
    /* lies on the border of two floats as a double, but not as a decimal */
    const char *border = "1.00000005960464477540";
    assert_true(bits32(ech_read_f32(border, strlen(border))) == bits32(strtof(border, NULL)));
}

static void halves(void **state)
{
    (void)state;
    for (unsigned h = 0; h < 65536; h++) {
        float value = ech_f16_to_f32((uint16_t)h);
        if (!isnan(value))
            assert_int_equal(ech_f16_from_f64((double)value), h);
    }
    assert_int_equal(ech_f16_from_f64(65504), 0x7BFF);
    assert_int_equal(ech_f16_from_f64(65519.99), 0x7BFF);
    assert_int_equal(ech_f16_from_f64(65520), 0x7C00);
    assert_int_equal(ech_f16_from_f64(1 + 1.0 / 2048), 0x3C00); /* half way: to even */
    assert_int_equal(ech_f16_from_f64(1 + 1.0 / 2048 + 1e-9), 0x3C01);
    assert_int_equal(ech_f16_from_f64(1 + 3.0 / 2048), 0x3C02);
    assert_int_equal(ech_f16_from_f64(2.98e-8), 0);
    assert_int_equal(ech_f16_from_f64(6.0975e-05), 0x03FF);
    assert_int_equal(ech_f16_from_f64(6.1034e-05), 0x0400); /* rounds up into the normal numbers */
}

static void whole_numbers(void **state)
{
    (void)state;
    int64_t v;
    assert_true(ech_read_i64("-9223372036854775808", 20, &v) && v == INT64_MIN);
    assert_true(ech_read_i64("9223372036854775807", 19, &v) && v == INT64_MAX);
    assert_false(ech_read_i64("9223372036854775808", 19, &v));
    assert_false(ech_read_i64("-9223372036854775809", 20, &v));
    assert_false(ech_read_i64("", 0, &v));
    assert_false(ech_read_i64("1.", 2, &v));
}

/* ---- JSON rows ---- */

static void expect_bad_json(const char *text, size_t at_wanted, const char *word)
{
    struct ech_jrow row = {0};
    struct ech_err err = ECH_ERR_NONE;
    size_t at = 999;
    assert_int_equal(ech_jsonl_parse(text, strlen(text), &row, &at, &err), ECH_DATA);
    if (at != at_wanted || !strstr(err.text, word))
        fail_msg("%s: at %zu: %s", text, at, err.text);
    ech_jrow_fini(&row);
}

static void json_refused(void **state)
{
    (void)state;
    expect_bad_json("", 0, "object was expected");
    expect_bad_json("[1]", 0, "JSON array is not JSON Lines");
    expect_bad_json("{\"a\":1", 6, "',' or '}'");
    expect_bad_json("{\"a\":1,}", 7, "key in quotes");
    expect_bad_json("{\"a\":01}", 6, "begin with 0");
    expect_bad_json("{\"a\":-}", 6, "digit");
    expect_bad_json("{\"a\":1.}", 7, "behind the point");
    expect_bad_json("{\"a\":1e}", 7, "exponent");
    expect_bad_json("{\"a\":+1}", 5, "value was expected");
    expect_bad_json("{\"a\":tru}", 5, "value was expected");
    expect_bad_json("{\"a\":\"x", 7, "does not end");
    expect_bad_json("{\"a\":\"\\x\"}", 7, "no such escape");
    expect_bad_json("{\"a\":\"\\u12g4\"}", 10, "hexadecimal");
    expect_bad_json("{\"a\":\"\t\"}", 6, "control character");
    expect_bad_json("{\"a\" 1}", 5, "':'");
    expect_bad_json("{\"a\":1} 2", 8, "goes on");
    expect_bad_json("{\"a\":[1 2]}", 8, "',' or ']'");
    expect_bad_json("{'a':1}", 1, "quotes");
    char deep[2000] = "{\"a\":";
    memset(deep + 5, '[', 1000);
    expect_bad_json(deep, 261, "nested deeper");
}

static struct ech_jvalue only_value(const char *text, struct ech_jrow *row)
{
    size_t at;
    assert_int_equal(ech_jsonl_parse(text, strlen(text), row, &at, NULL), ECH_OK);
    assert_int_equal(row->count, 1);
    return row->members[0].value;
}

static void json_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum ech_jkind kind;
        int64_t count;
        bool big;
    } cases[] = {
        {"{\"a\":null}", ECH_J_NULL, 0, false},
        {"{\"a\":true}", ECH_J_BOOL, 0, false},
        {"{\"a\":-7}", ECH_J_INT, 0, false},
        {"{\"a\":1e2}", ECH_J_FLOAT, 0, false},
        {"{\"a\":NaN}", ECH_J_FLOAT, 0, false},
        {"{\"a\":9223372036854775808}", ECH_J_FLOAT, 0, true},
        {"{\"a\":\"\"}", ECH_J_STRING, 0, false},
        {"{\"a\":[]}", ECH_J_INTS, 0, false},
        {"{\"a\":[1, 2 ,3]}", ECH_J_INTS, 3, false},
        {"{\"a\":[1,2.5]}", ECH_J_FLOATS, 2, false},
        {"{\"a\":[1,null]}", ECH_J_OTHER, 2, false},
        {"{\"a\":[[1]]}", ECH_J_OTHER, 1, false},
        {" { \"a\" : { \"b\" : [] } } \r", ECH_J_OTHER, 0, false},
    };
    struct ech_jrow row = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ech_jvalue v = only_value(cases[i].text, &row);
        if (v.kind != cases[i].kind || v.count != cases[i].count || v.big != cases[i].big)
            fail_msg("%s: kind %d, %lld values", cases[i].text, v.kind, (long long)v.count);
    }
    ech_jrow_fini(&row);
}

static void json_strings(void **state)
{
    (void)state;
    struct ech_jrow row = {0};
    struct ech_str out = {0}, again = {0};
    bool lone = false;
    struct ech_jvalue v = only_value("{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00z\"}", &row);
    ech_json_unescape(v.text, v.bytes, &out, &lone);
    assert_string_equal(out.data, "\"\\/\b\f\n\r\t\xC3\xA9\xF0\x9F\x98\x80z");
    assert_false(lone);
    ech_text_put_string(&again, out.data, out.length);
    assert_string_equal(again.data, "\"\\\"\\\\/\\b\\f\\n\\r\\t\xC3\xA9\xF0\x9F\x98\x80z\"");
    ech_str_clear(&out);
    v = only_value("{\"a\":\"\\udc00\\ud800\\u0041\"}", &row);
    ech_json_unescape(v.text, v.bytes, &out, &lone);
    assert_true(lone);
    assert_string_equal(out.data, "\xED\xB0\x80\xED\xA0\x80"
                                  "A");
    ech_str_fini(&out);
    ech_str_fini(&again);
    ech_jrow_fini(&row);
}

/* ---- converting ---- */

static int put(const char *type, const char *json, struct ech_str *out, struct ech_err *err)
{
    struct ech_want want;
    struct ech_jvalue value;
    char spec[64];
    int count;
    size_t at;
    ech_err_clear(err);
    ech_str_clear(out);
    snprintf(spec, sizeof spec, "c:%s", type);
    assert_int_equal(ech_wants_parse(spec, &want, &count, err), ECH_OK);
    assert_int_equal(ech_json_value(json, strlen(json), &value, &at, err), ECH_OK);
    return ech_put_json(&want.column, &value, false, out, err);
}

static void converting(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_str out = {0};
    assert_int_equal(put("text", "{\"x\": 1}", &out, &err), ECH_OK);
    assert_string_equal(out.data, "{\"x\": 1}");
    assert_int_equal(put("json", "\"a\\n\"", &out, &err), ECH_OK);
    assert_string_equal(out.data, "\"a\\n\"");
    assert_int_equal(put("json", "null", &out, &err), ECH_OK);
    assert_string_equal(out.data, "null");
    assert_int_equal(put("json", "[NaN]", &out, &err), ECH_DATA);
    assert_int_equal(put("text", "null", &out, &err), ECH_OK);
    assert_int_equal(out.length, 0);
    assert_int_equal(put("text", "\"\\ud800\"", &out, &err), ECH_DATA);
    assert_non_null(strstr(err.text, "surrogate"));
    assert_int_equal(put("ints[1]", "true", &out, &err), ECH_OK);
    assert_true(out.length == 8 && out.data[0] == 1);
    assert_int_equal(put("ints[1]", "1.5", &out, &err), ECH_DATA);
    assert_non_null(strstr(err.text, "1.5 is not a 64-bit integer"));
    assert_int_equal(put("ints[1]", "\"5\"", &out, &err), ECH_DATA);
    assert_int_equal(put("ints[2]", "[1,2,3]", &out, &err), ECH_DATA);
    assert_non_null(strstr(err.text, "3 values, 2 were expected"));
    assert_int_equal(put("ints[2]", "7", &out, &err), ECH_DATA);
    assert_int_equal(put("ints[]", "[1,2,3]", &out, &err), ECH_OK);
    assert_int_equal(out.length, 24);
    assert_int_equal(put("ints[]", "[]", &out, &err), ECH_OK);
    assert_int_equal(put("ints[1]", "null", &out, &err), ECH_DATA);
    assert_non_null(strstr(err.text, "c:json"));
    assert_int_equal(put("f32[1]", "1e39", &out, &err), ECH_DATA);
    assert_non_null(strstr(err.text, "fits f32"));
    assert_int_equal(put("f64[1]", "1e39", &out, &err), ECH_OK);
    assert_int_equal(put("f32[2]", "[-Infinity,NaN]", &out, &err), ECH_OK);
    assert_int_equal(put("f16[1]", "65520", &out, &err), ECH_DATA);
    assert_int_equal(put("f16[1]", "65519", &out, &err), ECH_OK);
    ech_str_fini(&out);
}

static void cells(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
        double value;
    } cases[] = {{"007", true, 7},   {" +1.5 ", true, 1.5}, {".5", true, 0.5},   {"1e2", true, 100},
                 {"true", true, 1},  {"1,5", false, 0},     {"", false, 0},      {"x", false, 0},
                 {"0x10", false, 0}, {"[1]", true, 1},      {"1e999", false, 0}, {"12 3", false, 0}};
    struct ech_column column = {"c", ECH_TENSOR, ECH_F64, 1};
    struct ech_str out = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double value = 0;
        ech_str_clear(&out);
        bool good = ech_put_cell(&column, cases[i].text, strlen(cases[i].text), &out, NULL) == ECH_OK;
        if (good)
            memcpy(&value, out.data, sizeof value);
        if (good != cases[i].good || (good && value != cases[i].value))
            fail_msg("\"%s\": %d, %g", cases[i].text, good, value);
    }
    ech_str_clear(&out);
    assert_int_equal(ech_put_cell(&column, "-inf", 4, &out, NULL), ECH_OK);
    assert_int_equal(ech_put_cell(&column, "12", 1, &out, NULL), ECH_OK); /* the 2 is no part of the cell */
    double read;
    memcpy(&read, out.data + 8, sizeof read);
    assert_true(read == 1);
    ech_str_fini(&out);
}

/* ---- column types ---- */

static struct ech_column infer(const char *const *values)
{
    struct ech_seen seen = {.least = INT64_MAX, .most = -1};
    for (; *values; values++) {
        struct ech_jvalue v;
        size_t at;
        assert_int_equal(ech_json_value(*values, strlen(*values), &v, &at, NULL), ECH_OK);
        ech_seen_add(&seen, &v);
    }
    return ech_column_resolve(NULL, &seen);
}

static void inferring(void **state)
{
    (void)state;
    static const struct {
        const char *values[4];
        enum ech_ctype type;
        int64_t dim;
    } cases[] = {
        {{"\"a\"", "null"}, ECH_TEXT, 0},
        {{"null"}, ECH_TEXT, 0},
        {{"1", "-2"}, ECH_INTS, 1},
        {{"true", "false"}, ECH_INTS, 1},
        {{"true", "1"}, ECH_JSON, 0},
        {{"1", "2.5"}, ECH_TENSOR, 1},
        {{"1", "\"x\""}, ECH_JSON, 0},
        {{"[1,2]", "[3,4]"}, ECH_INTS, 2},
        {{"[1,2]", "[3]"}, ECH_INTS, 0},
        {{"[]", "[]"}, ECH_INTS, 0},
        {{"[1,2]", "[3.5,4]"}, ECH_TENSOR, 2},
        {{"[1.5,2]", "[3]"}, ECH_JSON, 0},
        {{"[1]", "1"}, ECH_JSON, 0},
        {{"{}"}, ECH_JSON, 0},
        {{"99999999999999999999"}, ECH_JSON, 0},
        {{"[1,\"a\"]"}, ECH_JSON, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ech_column c = infer(cases[i].values);
        if (c.type != cases[i].type || c.dim != cases[i].dim)
            fail_msg("%s, ...: %s[%lld]", cases[i].values[0], ech_ctype_name(c.type), (long long)c.dim);
    }
}

static void wants(void **state)
{
    (void)state;
    static struct ech_want w[ECH_COLUMNS_MAX];
    struct ech_err err = ECH_ERR_NONE;
    int count;
    assert_int_equal(
        ech_wants_parse("id,score:f64,v:f16[384],tags:ints[],title=Review Title:text", w, &count, &err),
        ECH_OK);
    assert_int_equal(count, 5);
    assert_false(w[0].typed);
    assert_true(w[1].typed && !w[1].sized && w[1].column.dtype == ECH_F64);
    assert_true(w[2].column.dim == 384 && w[2].column.dtype == ECH_F16);
    assert_true(w[3].sized && w[3].column.dim == 0 && w[3].column.type == ECH_INTS);
    assert_string_equal(w[4].source, "Review Title");
    assert_string_equal(w[4].column.name, "title");
    static const struct {
        const char *text, *word;
    } bad[] = {{"a:tekst", "did you mean text"},
               {"a,a", "twice"},
               {"a=x,b=x", "asked for twice"},
               {"1a", "NEW=1a"},
               {"a:f32[0]", "number"},
               {"a:f32[]", "same number"},
               {"a:text[3]", "no [n]"},
               {"a:f32[3", "] is missing"},
               {"", "1 to 255"},
               {"a,,b", "1 to 255"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ech_err_clear(&err);
        assert_int_equal(ech_wants_parse(bad[i].text, w, &count, &err), ECH_USAGE);
        if (!strstr(err.text, bad[i].word))
            fail_msg("%s: %s", bad[i].text, err.text);
    }
}

/* ---- CSV rows ---- */

static void csv_fields(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t count;
        const char *fields[4];
    } cases[] = {
        {"a,b,c", 3, {"a", "b", "c"}},
        {"", 1, {""}},
        {"\"\"", 1, {""}},
        {",", 2, {"", ""}},
        {"\"a\"\"b\",c", 2, {"a\"b", "c"}},
        {"\"a\nb\r\nc\",", 2, {"a\nb\r\nc", ""}},
        {"\"\"\"\"", 1, {"\""}},
        {" \xC3\xA9 ,\"x,y\"", 2, {" \xC3\xA9 ", "x,y"}},
    };
    struct ech_csv_row row = {0};
    struct ech_str out = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t at;
        assert_int_equal(ech_csv_parse(cases[i].text, strlen(cases[i].text), ',', &row, &at, NULL), ECH_OK);
        assert_int_equal(row.count, cases[i].count);
        for (size_t f = 0; f < row.count; f++) {
            ech_str_clear(&out);
            ech_str_adds(&out, "");
            ech_csv_unquote(&row.fields[f], &out);
            assert_string_equal(out.data, cases[i].fields[f]);
        }
    }
    ech_str_fini(&out);
    ech_csv_row_fini(&row);
}

static void csv_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t at;
        const char *word;
    } cases[] = {{"a\"b", 1, "inside a field"},
                 {"x,\"a\"b", 5, "behind the closing quote"},
                 {"x,\"ab", 2, "never closed"},
                 {"a\rb", 1, "carriage return"},
                 {"\"a\" ,b", 3, "delimiter was expected"},
                 {"\"\"\"", 0, "never closed"}};
    struct ech_csv_row row = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ech_err err = ECH_ERR_NONE;
        size_t at = 99;
        assert_int_equal(ech_csv_parse(cases[i].text, strlen(cases[i].text), ',', &row, &at, &err), ECH_DATA);
        if (at != cases[i].at || !strstr(err.text, cases[i].word))
            fail_msg("%s: at %zu: %s", cases[i].text, at, err.text);
    }
    ech_csv_row_fini(&row);
}

/* ---- .npy headers ---- */

static size_t npy_file(char *file, int version, const char *dictionary)
{
    size_t length = strlen(dictionary), prologue = version == 1 ? 10 : 12;
    memcpy(file, "\x93NUMPY", 6);
    file[6] = (char)version;
    file[7] = 0;
    for (size_t i = 8; i < prologue; i++)
        file[i] = (char)(length >> (8 * (i - 8)) & 255);
    memcpy(file + prologue, dictionary, length);
    return prologue + length;
}

static void npy_headers(void **state)
{
    (void)state;
    static const struct {
        const char *text, *word; /* word NULL: good */
    } cases[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }   \n", NULL},
        {"{\"shape\":(3,4),\"descr\":\"<f4\",\"fortran_order\":False}", NULL},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (3, 4), }", "big-endian"},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4), }", "Fortran"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (3, 4), }", "values of type |O"},
        {"{'descr': '<U5', 'fortran_order': False, 'shape': (3, 4), }", "values of type"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }", "cannot be read"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (), }", "0 dimensions"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3), }", "3 dimensions"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 0), }", "no values"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 2), }", "larger than"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", "cannot be read"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "cannot be read"},
        {"{'descr': '<f4', 'fortran_order': False}", "cannot be read"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4)", "cannot be read"},
        {"", "cannot be read"},
    };
    char file[512];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int version = 1; version <= 3; version++) {
            struct ech_npy npy;
            struct ech_err err = ECH_ERR_NONE;
            size_t bytes = npy_file(file, version, cases[i].text);
            int code = ech_npy_parse(file, bytes, &npy, &err);
            if (code != (cases[i].word ? ECH_DATA : ECH_OK) ||
                (cases[i].word && !strstr(err.text, cases[i].word)))
                fail_msg("%s: %d %s", cases[i].text, code, err.text);
            if (code == ECH_OK)
                assert_true(npy.rows == 3 && npy.dim == 4 && npy.kind == 'f' && npy.item_bytes == 4);
            assert_int_equal(ech_npy_parse(file, bytes > 20 ? 20 : 5, &npy, NULL), ECH_DATA);
        }
    npy_file(file, 4, "");
    size_t ignored;
    assert_int_equal(ech_npy_header_bytes(file, 12, &ignored, NULL), ECH_DATA);
    npy_file(file, 2, "");
    memset(file + 8, 0xFF, 4);
    assert_int_equal(ech_npy_header_bytes(file, 12, &ignored, NULL), ECH_DATA);
}

static void format_names(void **state)
{
    (void)state;
    enum ech_format format;
    bool tabs = false;
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_format_of_name("x/a.jsonl.zst", &format, &tabs, &err), ECH_OK);
    assert_true(format == ECH_JSONL && !tabs);
    assert_int_equal(ech_format_of_name("a.tsv.gz", &format, &tabs, &err), ECH_OK);
    assert_true(format == ECH_CSV && tabs);
    assert_int_equal(ech_format_of_name("a.gz", &format, &tabs, &err), ECH_USAGE);
    ech_err_clear(&err);
    assert_int_equal(ech_format_parse("jsnl", &format, &err), ECH_USAGE);
    assert_non_null(strstr(err.text, "did you mean jsonl"));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(f32_text),     cmocka_unit_test(f64_text),      cmocka_unit_test(read_like_libc),
    cmocka_unit_test(halves),       cmocka_unit_test(whole_numbers), cmocka_unit_test(json_refused),
    cmocka_unit_test(json_kinds),   cmocka_unit_test(json_strings),  cmocka_unit_test(converting),
    cmocka_unit_test(cells),        cmocka_unit_test(inferring),     cmocka_unit_test(wants),
    cmocka_unit_test(csv_fields),   cmocka_unit_test(csv_refused),   cmocka_unit_test(npy_headers),
    cmocka_unit_test(format_names),
};
ECH_TEST_MAIN(tests)
