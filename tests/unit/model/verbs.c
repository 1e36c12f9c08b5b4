/* `echelon model show | check`, as functions. */
#include "tests/unit/model/fixture.h"

#include "base/json.h"
#include "model/show.h"

static char output[8192];

static int verb(struct ech_err *err, int argc, const char *a, const char *b, const char *c)
{
    char words[3][256];
    char *argv[] = {words[0], words[1], words[2], NULL};
    const char *given[] = {a, b, c};
    for (int i = 0; i < argc; i++)
        snprintf(words[i], sizeof words[i], "%s", given[i]);
    FILE *out = tmpfile();
    assert_non_null(out);
    ech_err_clear(err);
    int code = ech_model_verb(argc, argv, out, err);
    rewind(out);
    output[fread(output, 1, sizeof output - 1, out)] = '\0';
    fclose(out);
    return code;
}

static void show(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    put_model("m");
    must(verb(&err, 2, "show", "m", NULL), &err);
    assert_non_null(strstr(output, "bert: 2 layers, hidden 36, 3 heads of 12, intermediate 70"));
    assert_non_null(strstr(output, "max tokens     24 (the positions end at 48)"));
    assert_non_null(strstr(output, "36 values, mean pooling, normalised"));
    assert_non_null(strstr(output, "1_Pooling/config.json"));
    must(verb(&err, 3, "show", "--json", "m"), &err);
    json_t *root;
    must(ech_json_parse("out", output, strlen(output), &root, &err), &err);
    /* tables, 2 norm vectors, and in each layer 4 d d + 2 d f weights, 9 d + f vectors */
    int64_t want = (VOCAB + POSITIONS + TYPES + 2) * HIDDEN +
                   LAYERS * (4 * HIDDEN * HIDDEN + 2 * HIDDEN * INNER + 9 * HIDDEN + INNER);
    assert_int_equal(json_integer_value(json_object_get(root, "parameters")), want);
    assert_int_equal(json_array_size(json_object_get(root, "files")), 7);
    assert_string_equal(json_string_value(json_object_get(root, "stored_types")), "F32 37");
    json_decref(root);
}

static void check(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    char *data;
    size_t bytes;
    put_model("m");
    must(verb(&err, 2, "check", "m", NULL), &err);
    assert_non_null(strstr(output, "ok: 37 tensors"));
    must(ech_read_file("m/model.safetensors", 1 << 24, &data, &bytes, &err), &err);
    const uint32_t nan_bits = 0x7FC00001, inf_bits = 0xFF800000;
    memcpy(data + bytes - 8, &nan_bits, 4); /* the last tensor: the second norm's shift of layer 1 */
    memcpy(data + bytes - 4, &inf_bits, 4);
    put_file("m/model.safetensors", data, bytes);
    assert_int_equal(verb(&err, 2, "check", "m", NULL), ECH_DATA);
    assert_non_null(strstr(output,
                           "tensor encoder.layer.1.output.LayerNorm.bias: 2 of 36 values are not finite, "
                           "the first is element 34"));
    assert_non_null(strstr(err.text, "1 of 37 tensors"));
    put_file("m/model.safetensors", data, bytes - 1);
    expect(verb(&err, 2, "check", "m", NULL), ECH_DATA, &err, "truncated");
    ech_free(data);
}

static void words(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    must(verb(&err, 1, "--help", NULL, NULL), &err);
    assert_non_null(strstr(output, "exit status"));
    must(verb(&err, 2, "show", "--help", NULL), &err);
    assert_non_null(strstr(output, "echelon model show models/all-MiniLM-L6-v2"));
    assert_int_equal(verb(&err, 3, "show", "m", "--jsn"), ECH_USAGE);
    assert_non_null(strstr(err.text, "json"));
    assert_int_equal(verb(&err, 1, "shwo", NULL, NULL), ECH_USAGE);
    assert_non_null(strstr(err.text, "did you mean show?"));
    assert_int_equal(verb(&err, 0, NULL, NULL, NULL), ECH_USAGE);
    assert_int_equal(verb(&err, 1, "check", NULL, NULL), ECH_USAGE);
    assert_int_equal(verb(&err, 2, "check", "nowhere", NULL), ECH_NOINPUT);
}

/* Any file, without an engine: sizes, types, and the cache of the rows that are asked for. */
static void show_file(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    char path[200];
    const char *source = getenv("ECH_SOURCE");
    snprintf(path, sizeof path, "%.150s/tests/fuzz/corpus/gguf/llama", source ? source : ".");
    must(verb(&err, 3, "show", path, "--batch=3"), &err);
    assert_non_null(strstr(output, "llama: 1 layers, hidden 8, 2 heads of 4 on 1 of keys, intermediate 8"));
    assert_non_null(strstr(output, "in the file: llama, 4 tokens"));
    assert_non_null(strstr(output, "for 3 rows of 16 tokens"));
    must(verb(&err, 3, "show", path, "--json"), &err);
    json_t *root;
    must(ech_json_parse("out", output, strlen(output), &root, &err), &err);
    const json_t *type = json_object_get(json_object_get(root, "stored_types"), "F32");
    assert_int_equal(json_integer_value(json_object_get(type, "tensors")), 11);
    /* keys and values of one head of 4, 16 tokens, f32 */
    assert_int_equal(json_integer_value(json_object_get(root, "cache_bytes_f32")), 2 * 4 * 16 * 4);
    json_decref(root);
    must(verb(&err, 2, "check", path, NULL), &err);
    assert_non_null(strstr(output, "ok: 11 tensors"));
    assert_int_equal(verb(&err, 3, "show", path, "--batch=0"), ECH_USAGE);
    assert_int_equal(verb(&err, 3, "show", path, "--tokens=many"), ECH_USAGE);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(show),
    cmocka_unit_test(show_file),
    cmocka_unit_test(check),
    cmocka_unit_test(words),
};
ECH_TEST_MAIN(tests)
