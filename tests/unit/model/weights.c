/* runtime/model/safetensors: whole files, and everything that a header can lie about. */
#include "tests/unit/model/fixture.h"

#include "model/safetensors.h"

#include <math.h>

/* A file of this header and `bytes` bytes of data. */
static size_t make_file(const char *header, size_t bytes, char out[4096])
{
    size_t length = strlen(header);
    memset(out, 0, 4096);
    out[0] = (char)(length & 0xFF);
    out[1] = (char)(length >> 8);
    memcpy(out + 8, header, length);
    assert_true(8 + length + bytes <= 4096);
    return 8 + length + bytes;
}

#define T(name, dtype, shape, begin, end)                                                                    \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"

static const struct {
    const char *header;
    size_t bytes;
    const char *says;
} lies[] = {
    {"{" T("a", "F32", "[2]", "0", "8") "}", 7,
     "truncated: tensor a ends at byte 8 of the data, the file has 7"},
    {"{" T("a", "F32", "[2]", "0", "8") "}", 9, "the tensors end at byte 8 of the data, the file at 9"},
    {"{" T("a", "F32", "[2]", "0", "7") "}", 8, "7 bytes by its offsets, 8 by its shape"},
    {"{" T("a", "F32", "[3]", "0", "8") "}", 8, "8 bytes by its offsets, 12 by its shape"},
    {"{" T("a", "F32", "[2]", "8", "0") "}", 8, "data_offsets"},
    {"{" T("a", "F32", "[2]", "-8", "0") "}", 8, "data_offsets"},
    {"{" T("a", "F32", "[2]", "0", "9223372036854775807") "}", 8, "bytes by its offsets"},
    {"{" T("a", "F32", "[2]", "0", "99999999999999999999") "}", 8, "JSON"},
    {"{" T("a", "F32", "[2]", "0", "8") "," T("b", "F32", "[2]", "4", "12") "}", 12, "overlap"},
    {"{" T("a", "F32", "[2]", "0", "8") "," T("b", "F32", "[1]", "12", "16") "}", 16, "leave a gap"},
    {"{" T("a", "F32", "[2]", "0", "8") "," T("b", "F32", "[2]", "0", "8") "}", 8, "overlap"},
    {"{" T("a", "F32", "[2]", "0", "8") "," T("a", "F32", "[2]", "8", "16") "}", 16, "duplicate"},
    {"{" T("a", "F33", "[2]", "0", "8") "}", 8, "unknown dtype F33"},
    {"{" T("a", "F32", "[4294967296,4294967296]", "0", "8") "}", 8, "too large"},
    {"{" T("a", "F32", "[9223372036854775807]", "0", "8") "}", 8, "too large"},
    {"{" T("a", "F32", "[-2]", "0", "8") "}", 8, "dimension 0"},
    {"{" T("a", "F32", "[2.0]", "0", "8") "}", 8, "dimension 0"},
    {"{" T("a", "F32", "[1,1,1,1,1,1,1,1,2]", "0", "8") "}", 8, "at most 8"},
    {"{" T("a", "F32", "2", "0", "8") "}", 8, "shape"},
    {"{\"a\":7}", 0, "not an object"},
    {"{\"a\":{}}", 0, "dtype"},
    {"{}", 4, "end at byte 0"},
    {"[]", 0, "does not begin with '{'"},
    {"{\"a\":", 0, "JSON"},
    {" {}", 0, "does not begin with '{'"},
};

static void lying_headers(void **state)
{
    (void)state;
    char file[4096];
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct ech_err err = ECH_ERR_NONE;
        size_t bytes = make_file(lies[i].header, lies[i].bytes, file);
        expect(ech_safetensors_check("f", file, bytes, &err), ECH_DATA, &err, lies[i].says);
    }
}

static void lying_lengths(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    unsigned char file[32] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    expect(ech_safetensors_check("f", file, 32, &err), ECH_DATA, &err, "at most 100000000");
    ech_err_clear(&err);
    expect(ech_safetensors_check("f", file, 5, &err), ECH_DATA, &err, "truncated: 5 bytes");
    memset(file, 0, sizeof file);
    file[0] = 25;
    ech_err_clear(&err);
    expect(ech_safetensors_check("f", file, 32, &err), ECH_DATA, &err,
           "a header of 25 bytes is stated, the file has 24");
    file[0] = 0;
    ech_err_clear(&err);
    expect(ech_safetensors_check("f", file, 8, &err), ECH_DATA, &err, "does not begin");
}

static void deep_header(void **state)
{
    (void)state;
    char file[4096];
    struct ech_err err = ECH_ERR_NONE;
    char header[4000];
    memset(header, '[', sizeof header);
    memcpy(header, "{\"a\":", 5);
    header[sizeof header - 1] = '\0';
    size_t bytes = make_file(header, 0, file);
    assert_int_equal(ech_safetensors_check("f", file, bytes, &err), ECH_DATA);
}

/* Every prefix of a good file is refused, whatever it cuts. */
static void every_prefix(void **state)
{
    (void)state;
    char file[4096];
    size_t bytes = make_file("{\"__metadata__\":{\"format\":\"pt\"}," T("a", "F32", "[2]", "0", "8") "," T(
                                 "e", "I64", "[0,3]", "8", "8") "," T("b", "BF16", "[1,2]", "8", "12") "}",
                             12, file);
    for (size_t cut = 0; cut < bytes; cut++) {
        struct ech_err err = ECH_ERR_NONE;
        char *copy = malloc(cut + 1); /* exact size: a read beyond it is seen */
        memcpy(copy, file, cut);
        assert_int_equal(ech_safetensors_check("f", copy, cut, &err), ECH_DATA);
        free(copy);
    }
    struct ech_err err = ECH_ERR_NONE;
    must(ech_safetensors_check("f", file, bytes, &err), &err);
}

static void types(void **state)
{
    (void)state;
    static const struct {
        uint16_t bits;
        float f16, bf16;
    } values[] = {{0x3C00, 1.0f, 0x1p-7f},       {0x3F80, 1.875f, 1.0f},          {0xC000, -2.0f, -2.0f},
                  {0x0001, 0x1p-24f, 0x1p-133f}, {0x7BFF, 65504.0f, 0},           {0x8000, -0.0f, -0.0f},
                  {0x7C00, INFINITY, 0x1p+121f}, {0xFC00, -INFINITY, -0x1p+121f}, {0x03FF, 0x1.FF8p-15f, 0}};
    enum { COUNT = sizeof values / sizeof *values };
    char file[4096];
    struct ech_err err = ECH_ERR_NONE;
    struct ech_weights *w;
    size_t bytes = make_file("{" T("h", "F16", "[9]", "0", "18") "," T("i", "I32", "[1]", "36", "40") "," T(
                                 "b", "BF16", "[9]", "18", "36") "}",
                             40, file);
    for (int i = 0; i < COUNT; i++) {
        memcpy(file + bytes - 40 + 2 * i, &values[i].bits, 2);
        memcpy(file + bytes - 22 + 2 * i, &values[i].bits, 2);
    }
    put_file("model.safetensors", file, bytes);
    must(ech_weights_open(".", &w, &err), &err);
    assert_int_equal(ech_weights_count(w), 3);
    float out[COUNT];
    must(ech_tensor_to_f32(ech_weights_find(w, "h"), 0, COUNT, out, &err), &err);
    for (int i = 0; i < COUNT; i++)
        assert_memory_equal(&out[i], &values[i].f16, sizeof *out);
    must(ech_tensor_to_f32(ech_weights_find(w, "b"), 0, COUNT, out, &err), &err);
    for (int i = 0; i < COUNT; i++)
        if (values[i].bf16 != 0)
            assert_memory_equal(&out[i], &values[i].bf16, sizeof *out);
    must(ech_tensor_to_f32(ech_weights_find(w, "h"), 2, 1, out, &err), &err);
    assert_true(out[0] == -2.0f);
    expect(ech_tensor_to_f32(ech_weights_find(w, "i"), 0, 1, out, &err), ECH_DATA, &err, "stored as I32");
    assert_null(ech_weights_find(w, "x"));
    ech_weights_close(w);
}

static void files(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_weights *w = NULL;
    expect(ech_weights_open(".", &w, &err), ECH_NOINPUT, &err, "neither model.safetensors nor");
    put_text("model.safetensors", "");
    ech_err_clear(&err);
    expect(ech_weights_open(".", &w, &err), ECH_DATA, &err, "truncated: it is empty");
    must(ech_remove_all("model.safetensors", &err), &err);
    must(ech_mkdir_all("model.safetensors", &err), &err);
    ech_err_clear(&err);
    expect(ech_weights_open(".", &w, &err), ECH_NOINPUT, &err, "not a regular file");
    assert_null(w);
}

#define INDEX "model.safetensors.index.json"

static void index_of_shards(void **state)
{
    (void)state;
    char file[4096];
    struct ech_err err = ECH_ERR_NONE;
    struct ech_weights *w = NULL;
    put_file("one.safetensors", file, make_file("{" T("a", "F32", "[1]", "0", "4") "}", 4, file));
    put_file("two.safetensors", file, make_file("{" T("b", "F32", "[1]", "0", "4") "}", 4, file));
    put_text(INDEX, "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\"}}");
    must(ech_weights_open(".", &w, &err), &err);
    assert_int_equal(ech_weights_count(w), 2);
    assert_string_equal(ech_weights_at(w, 1)->name, "b");
    assert_string_equal(ech_weights_files(w)[0], INDEX);
    assert_string_equal(ech_weights_files(w)[2], "two.safetensors");
    assert_null(ech_weights_files(w)[3]);
    ech_weights_close(w);
    static const struct {
        const char *index, *says;
        int code;
    } wrong[] = {
        {"{}", "weight_map", ECH_DATA},
        {"{\"weight_map\":{\"a\":\"../one.safetensors\"}}", "not the name of a file", ECH_DATA},
        {"{\"weight_map\":{\"a\":7}}", "not the name of a file", ECH_DATA},
        {"{\"weight_map\":{\"a\":\"none.safetensors\"}}", "none.safetensors", ECH_NOINPUT},
        {"{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\"}}", "tensor b is not in",
         ECH_DATA},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        put_text(INDEX, wrong[i].index);
        ech_err_clear(&err);
        expect(ech_weights_open(".", &w, &err), wrong[i].code, &err, wrong[i].says);
    }
    put_file("two.safetensors", file, make_file("{" T("a", "F32", "[1]", "0", "4") "}", 4, file));
    put_text(INDEX, "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\"}}");
    ech_err_clear(&err);
    expect(ech_weights_open(".", &w, &err), ECH_DATA, &err, "tensor a is in two files");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(lying_headers),   cmocka_unit_test(lying_lengths), cmocka_unit_test(deep_header),
    cmocka_unit_test(every_prefix),    cmocka_unit_test(types),         cmocka_unit_test(files),
    cmocka_unit_test(index_of_shards),
};
ECH_TEST_MAIN(tests)
