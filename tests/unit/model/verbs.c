/* `echelon model show | check`, as functions. */
#include "tests/unit/model/fixture.h"

#include "base/json.h"
#include "model/show.h"

#include <dirent.h>

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

/* Every folder that the reference implementation made: a page, and a check, also where nothing here can
 * compute it. */
static void every_folder(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    char root[4096], path[4400];
    int shown = 0;
    snprintf(root, sizeof root, "%s", ech_test_data("goldens/tiny"));
    DIR *d = opendir(root);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        snprintf(path, sizeof path, "%s/%s/config.json", root, e->d_name);
        if (!ech_path_exists(path))
            continue;
        snprintf(path, sizeof path, "%s/%s", root, e->d_name);
        const char *const verbs[] = {"show", "check"};
        for (int i = 0; i < 2; i++) {
            int code = verb(&err, 2, verbs[i], path, NULL);
            if (code != ECH_OK)
                expect(code, ECH_DATA, &err, "is not supported");
            assert_true(i == 1 ? code != ECH_OK || strstr(output, "all finite") != NULL
                               : strstr(output, "parameters ") != NULL);
        }
        shown++;
    }
    closedir(d);
    assert_true(shown > 40);
}

/* Of a file that is cut anywhere it is said so; one with a flipped byte is refused or read, never more than
 * it. */
static void damaged(void **state)
{
    (void)state;
    static const char *const files[] = {"gguf/llama", "gguf/blocks", "ct2/whole", "marian/ssru_int8",
                                        "npz/stored"};
    const char *source = getenv("ECH_SOURCE");
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        struct ech_err err = ECH_ERR_NONE;
        char path[400], *data;
        size_t bytes;
        int64_t passed = 0;
        snprintf(path, sizeof path, "%.300s/tests/fuzz/corpus/%s", source ? source : ".", files[f]);
        must(ech_read_file(path, 1 << 20, &data, &bytes, &err), &err);
        size_t step = bytes / 300 + 1;
        for (size_t cut = 0; cut < bytes; cut += step) {
            put_file("damaged", data, cut);
            if (verb(&err, 2, "check", "damaged", NULL) == ECH_OK)
                fail_msg("%s: cut to %zu of %zu bytes it passes", files[f], cut, bytes);
            assert_true(err.text[0] != '\0');
        }
        for (size_t at = 0; at < bytes; at += step) {
            data[at] = (char)(data[at] ^ 0x55);
            put_file("damaged", data, bytes);
            int code = verb(&err, 2, "check", "damaged", NULL);
            assert_true(code == ECH_OK || err.text[0] != '\0');
            passed += code == ECH_OK;
            data[at] = (char)(data[at] ^ 0x55);
        }
        assert_true(passed < (int64_t)(bytes / step));
        ech_free(data);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(show),  cmocka_unit_test(show_file), cmocka_unit_test(every_folder),
    cmocka_unit_test(check), cmocka_unit_test(damaged),   cmocka_unit_test(words),
};
ECH_TEST_MAIN(tests)
