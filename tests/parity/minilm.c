/* all-MiniLM-L6-v2 against goldens of the reference implementation: token ids equal, vectors within 2e-6,
 * hidden states within 1e-5. */
#include "tests/parity/common.h"
#include "tests/parity/lines.h"

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "text/tokenizer.h"

static const char *model(void)
{
    static char path[4096];
    const char *root = getenv("ECH_TEST_MODELS");
    snprintf(path, sizeof path, "%s/all-MiniLM-L6-v2", root ? root : "models");
    if (!ech_path_exists(path))
        ECH_SKIP("data", "%s is not there (ci/get-model all-MiniLM-L6-v2)", path);
    return path;
}

/* The 64 texts as one column. */
struct texts {
    struct ech_str bytes;
    uint64_t offsets[128];
    int64_t rows;
};

static char *slurp(const char *name)
{
    char path[4200], *data;
    struct ech_err err = ECH_ERR_NONE;
    snprintf(path, sizeof path, "%s/%s", ech_test_data("goldens/minilm"), name);
    must(ech_read_file(path, 1 << 24, &data, NULL, &err), &err);
    return data;
}

static struct texts read_texts(void)
{
    struct texts t = {.rows = 0};
    char *data = slurp("texts.jsonl"), *at = data;
    json_t *line;
    ech_str_init(&t.bytes);
    while ((line = next_line(&at))) {
        const json_t *text = json_object_get(line, "text");
        ech_str_add(&t.bytes, json_string_value(text), json_string_length(text));
        t.offsets[++t.rows] = t.bytes.length;
        json_decref(line);
    }
    ech_free(data);
    assert_int_equal(t.rows, 64);
    return t;
}

static void compare_ids(const char *file, int64_t most, int64_t expected_rows)
{
    struct texts t = read_texts();
    struct ech_err err = ECH_ERR_NONE;
    struct ech_tokenizer *tokenizer;
    struct ech_encoder *encoder;
    must(ech_tokenizer_open(model(), &tokenizer, &err), &err);
    must(ech_encoder_create(&encoder, &err), &err);
    char *data = slurp(file), *at = data;
    json_t *line;
    int64_t rows = 0;
    for (; (line = next_line(&at)); rows++) {
        int64_t row = json_integer_value(json_object_get(line, "row"));
        const json_t *ids = json_object_get(line, "ids");
        for (int all = 0; all < 2; all++) {
            struct ech_encoded got;
            must(ech_tokenizer_encode(tokenizer, encoder, t.bytes.data + t.offsets[row],
                                      t.offsets[row + 1] - t.offsets[row], most, all, &got, &err),
                 &err);
            assert_int_equal(got.invalid_at, -1);
            assert_int_equal(got.count, json_array_size(ids));
            assert_true(got.needed >= got.count);
            for (int64_t i = 0; i < got.count; i++)
                assert_int_equal(got.ids[i], json_integer_value(json_array_get(ids, (size_t)i)));
        }
        json_decref(line);
    }
    assert_int_equal(rows, expected_rows);
    ech_free(data);
    ech_str_fini(&t.bytes);
    ech_encoder_destroy(encoder);
    ech_tokenizer_close(tokenizer);
}

static void ids_256(void **state)
{
    (void)state;
    compare_ids("ids.jsonl", 256, 64);
}

static void ids_512(void **state)
{
    (void)state;
    compare_ids("ids512.jsonl", 512, 3);
}

/* Another implementation's answers for the same vocabulary (bert-bge): texts between marks, ids a line
 * without special tokens. */
static void ids_bge(void **state)
{
    (void)state;
    static const char mark[] = "\n__ggml_vocab_test__\n";
    struct ech_err err = ECH_ERR_NONE;
    struct ech_tokenizer *tokenizer;
    struct ech_encoder *encoder;
    char *texts, *ids;
    must(ech_read_file(ech_test_data("models/vocab-goldens/bert-bge.gguf.inp"), 1 << 20, &texts, NULL, &err),
         &err);
    must(ech_read_file(ech_test_data("models/vocab-goldens/bert-bge.gguf.out"), 1 << 20, &ids, NULL, &err),
         &err);
    must(ech_tokenizer_open(model(), &tokenizer, &err), &err);
    must(ech_encoder_create(&encoder, &err), &err);
    int count = 0;
    char *next = ids;
    for (char *text = texts, *end; text; text = end ? end + strlen(mark) : NULL, count++) {
        struct ech_encoded got;
        end = strstr(text, mark);
        size_t bytes = end ? (size_t)(end - text) : strlen(text);
        must(ech_tokenizer_encode(tokenizer, encoder, text, bytes, 4096, true, &got, &err), &err);
        for (int64_t i = 1; i < got.count - 1; i++)
            assert_int_equal(got.ids[i], strtol(next, &next, 10));
        assert_true(*next == '\n' || *next == '\0');
        next += *next == '\n';
    }
    assert_int_equal(count, 47);
    ech_free(texts);
    ech_free(ids);
    ech_encoder_destroy(encoder);
    ech_tokenizer_close(tokenizer);
}

/* The plain C backend computes some 30 tokens a second: beside a faster one it sees the shortest texts alone.
 */
enum { SHORT_BYTES = 24 };

static void vectors_of(const char *backend, bool whole)
{
    struct texts t = read_texts();
    struct ech_err err = ECH_ERR_NONE;
    char path[4200];
    snprintf(path, sizeof path, "%s/embeddings.npy", ech_test_data("goldens/minilm"));
    struct npy want = npy_read(path);
    struct ech_engine *engine =
        open_engine(&(struct ech_engine_options){.model = model(), .backend = backend, .threads = 2});
    assert_int_equal(ech_engine_dim(engine), 384);
    assert_int_equal(ech_engine_max_tokens(engine), 256);
    double far = 0;
    int64_t compared = 0;
    for (int64_t first = 0; first < t.rows; first += whole ? t.rows : 1) {
        int64_t rows = whole ? t.rows : 1;
        if (!whole && t.offsets[first + 1] - t.offsets[first] > SHORT_BYTES)
            continue;
        struct ech_batch *batch;
        must(ech_engine_prepare(engine, (unsigned char *)t.bytes.data, t.offsets + first, rows, &batch, &err),
             &err);
        struct ech_result *r = run_batch(engine, batch);
        for (int64_t i = 0; i < rows; i++)
            assert_null(r->errors[i]);
        far = fmax(far, distance(r->values, want.f + first * 384, rows * 384));
        compared += rows;
        ech_result_destroy(r);
    }
    assert_true(compared == t.rows || (!whole && compared >= 15));
    fprintf(stderr, "%s (%s): max |difference| %.2e\n", backend, ech_engine_numerics(engine), far);
    if (!(far <= 2e-6))
        fail_msg("%s is %.2e from the reference, 2e-6 is allowed", backend, far);
    ech_engine_close(engine);
    npy_free(&want);
    ech_str_fini(&t.bytes);
}

static void vectors(void **state)
{
    (void)state;
    const char *names[8];
    int count = backends(names);
    for (int i = 0; i < count; i++)
        vectors_of(names[i], count == 1 || strcmp(names[i], "ref_exact") != 0);
}

static void hidden_states(void **state)
{
    (void)state;
    struct texts t = read_texts();
    struct ech_err err = ECH_ERR_NONE;
    const char *names[8];
    int count = backends(names);
    for (int i = 0; i < count; i++) {
        struct ech_engine *engine = open_engine(&(struct ech_engine_options){
            .model = model(), .backend = names[i], .threads = 1, .pooling = ECH_POOLING_NONE});
        for (int row = 2; row < 4; row++) {
            char path[4200];
            snprintf(path, sizeof path, "%s/hidden-%d.npy", ech_test_data("goldens/minilm"), row);
            struct npy want = npy_read(path);
            struct ech_batch *batch;
            must(ech_engine_prepare(engine, (unsigned char *)t.bytes.data, t.offsets + row, 1, &batch, &err),
                 &err);
            struct ech_result *r = run_batch(engine, batch);
            assert_int_equal(r->tokens * r->dim, want.elements);
            double far = distance(r->values, want.f, want.elements);
            if (!(far <= 1e-5))
                fail_msg("%s, text %d: %.2e, 1e-5 is allowed", names[i], row, far);
            ech_result_destroy(r);
            npy_free(&want);
        }
        ech_engine_close(engine);
    }
    ech_str_fini(&t.bytes);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(ids_256), cmocka_unit_test(ids_512),       cmocka_unit_test(ids_bge),
    cmocka_unit_test(vectors), cmocka_unit_test(hidden_states),
};
ECH_TEST_MAIN(tests)
