/* Vocabularies inside of model files against their goldens: ids equal. */
#include "tests/harness.h"
#include "tests/parity/lines.h"

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "model/weights.h"
#include "text/tokenizer.h"

enum { MOST = 4096 };

static void must(int code, const struct ech_err *err)
{
    if (code != ECH_OK)
        fail_msg("status %d: %s", code, err->text);
}

static char *slurp(const char *path)
{
    char *data;
    struct ech_err err = ECH_ERR_NONE;
    must(ech_read_file(path, 1 << 24, &data, NULL, &err), &err);
    return data;
}

static const char *model(const char *name, const char *file)
{
    static char path[4096];
    const char *root = getenv("ECH_TEST_MODELS");
    snprintf(path, sizeof path, "%s/%s/%s", root ? root : "models", name, file);
    if (!ech_path_exists(path))
        ECH_SKIP("models", "%s is not there (ci/get-model %s)", path, name);
    return path;
}

static struct ech_tokenizer *open_source(const char *path)
{
    struct ech_weights *weights;
    struct ech_tokenizer *t;
    struct ech_err err = ECH_ERR_NONE;
    must(ech_weights_open(path, &weights, &err), &err);
    assert_non_null(ech_weights_vocab(weights));
    must(ech_tokenizer_from_source(NULL, ech_weights_vocab(weights), &t, &err), &err);
    ech_weights_close(weights);
    return t;
}

static struct ech_encoded encode(const struct ech_tokenizer *t, struct ech_encoder *e, const char *text,
                                 size_t bytes, bool bare)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_encoded got;
    const struct ech_encode_options options = {.most = MOST, .bare = bare, .literal = bare};
    must(ech_tokenizer_encode_with(t, e, text, bytes, &options, &got, &err), &err);
    assert_true(got.invalid_at < 0);
    return got;
}

/* One line of ids in decimal against those that came. */
static void check_line(const char *text, char *line, struct ech_encoded got)
{
    int64_t n = 0;
    for (char *at = line, *end;; at = end, n++) {
        long id = strtol(at, &end, 10);
        if (end == at)
            break;
        if (n >= got.count || got.ids[n] != id)
            fail_msg("\"%.80s\": id %lld is %d, %ld expected", text, (long long)n,
                     n < got.count ? got.ids[n] : -1, id);
    }
    if (n != got.count)
        fail_msg("\"%.80s\": %lld ids, %lld expected", text, (long long)got.count, (long long)n);
}

static void check_file(const char *name)
{
    static const char mark[] = "\n__ggml_vocab_test__\n";
    char path[4200];
    const char *folder = ech_test_data("models/vocab-goldens");
    struct ech_err err = ECH_ERR_NONE;
    struct ech_encoder *e;
    snprintf(path, sizeof path, "%s/%s.gguf", folder, name);
    struct ech_tokenizer *t = open_source(path);
    strcat(path, ".inp");
    char *texts = slurp(path), *at = texts;
    snprintf(path, sizeof path, "%s/%s.gguf.out", folder, name);
    char *lines = slurp(path), *line = lines;
    int count = 0;
    must(ech_encoder_create(&e, &err), &err);
    for (char *next; at; at = next, count++) {
        char *stop = strstr(at, mark), *end = strchr(line, '\n');
        size_t bytes = stop ? (size_t)(stop - at) : strlen(at);
        next = stop ? stop + sizeof mark - 1 : NULL;
        if (!end && !next && bytes == 0)
            break;
        assert_non_null(end);
        *end = 0;
        at[bytes] = 0;
        check_line(at, line, encode(t, e, at, bytes, true));
        line = end + 1;
    }
    printf("%s: %d texts, %s\n", name, count, ech_tokenizer_kind(t));
    assert_true(count > 30);
    ech_encoder_destroy(e);
    ech_tokenizer_close(t);
    ech_free(texts);
    ech_free(lines);
}

static void llama_spm(void **state)
{
    (void)state;
    check_file("llama-spm");
}

static void gpt2(void **state)
{
    (void)state;
    check_file("gpt-2");
}

static void deepseek_coder(void **state)
{
    (void)state;
    check_file("deepseek-coder");
}

static void falcon(void **state)
{
    (void)state;
    check_file("falcon");
}

static void bert_bge(void **state)
{
    (void)state;
    check_file("bert-bge");
}

static void check_list(const char *text, const json_t *ids, struct ech_encoded got)
{
    if (got.count != (int64_t)json_array_size(ids))
        fail_msg("\"%.80s\": %lld ids, %zu expected", text, (long long)got.count, json_array_size(ids));
    for (int64_t i = 0; i < got.count; i++)
        if (got.ids[i] != json_integer_value(json_array_get(ids, (size_t)i)))
            fail_msg("\"%.80s\": id %lld is %d", text, (long long)i, (int)got.ids[i]);
}

/* Prompts with bos, and the text that was generated. */
static void gemma(void **state)
{
    (void)state;
    char *lines = slurp(ech_test_data("goldens/gemma3/prompts.jsonl")), *at = lines;
    struct ech_tokenizer *t = open_source(model("gemma-3-270m", "gemma-3-270m-q4_k_m.gguf"));
    struct ech_encoder *e;
    struct ech_decoded back;
    struct ech_err err = ECH_ERR_NONE;
    json_t *line;
    int count = 0;
    must(ech_encoder_create(&e, &err), &err);
    for (; (line = next_line(&at)); count++) {
        const json_t *text = json_object_get(line, "text"), *greedy = json_object_get(line, "greedy");
        int32_t ids[MOST];
        size_t n = json_array_size(greedy);
        check_list(json_string_value(text), json_object_get(line, "ids"),
                   encode(t, e, json_string_value(text), json_string_length(text), false));
        for (size_t i = 0; i < n; i++)
            ids[i] = (int32_t)json_integer_value(json_array_get(greedy, i));
        must(ech_tokenizer_decode(t, e, ids, (int64_t)n, true, &back, &err), &err);
        assert_string_equal(back.text, json_string_value(json_object_get(line, "greedy_text")));
        json_decref(line);
    }
    assert_true(count == 8);
    ech_encoder_destroy(e);
    ech_tokenizer_close(t);
    ech_free(lines);
}

/* 200 lines of FLORES; the goldens end with </s>. */
static void bergamot(void **state)
{
    (void)state;
    const char *spm = model("bergamot-enpt", "vocab.enpt.spm");
    struct ech_err err = ECH_ERR_NONE;
    struct ech_tokenizer *t;
    struct ech_encoder *e;
    size_t bytes;
    char *file;
    must(ech_read_file(spm, 1 << 26, &file, &bytes, &err), &err);
    must(ech_tokenizer_parse_spm(spm, file, bytes, &t, &err), &err);
    must(ech_encoder_create(&e, &err), &err);
    char *lines = slurp(ech_test_data("goldens/translation/ids.jsonl")), *at = lines;
    char *texts = slurp(ech_test_data("data/flores-en-pt/dev.en")), *text = texts;
    json_t *line;
    int count = 0;
    for (; (line = next_line(&at)); count++) {
        char *end = strchr(text, '\n');
        json_t *ids = json_object_get(line, "source_ids");
        assert_int_equal(json_integer_value(json_array_get(ids, json_array_size(ids) - 1)),
                         ech_tokenizer_role(t, ECH_TOKEN_EOS));
        json_array_remove(ids, json_array_size(ids) - 1);
        *end = 0;
        check_list(text, ids, encode(t, e, text, (size_t)(end - text), true));
        text = end + 1;
        json_decref(line);
    }
    assert_int_equal(count, 200);
    ech_encoder_destroy(e);
    ech_tokenizer_close(t);
    ech_free(file);
    ech_free(lines);
    ech_free(texts);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(llama_spm), cmocka_unit_test(gpt2),     cmocka_unit_test(deepseek_coder),
    cmocka_unit_test(falcon),    cmocka_unit_test(bert_bge), cmocka_unit_test(gemma),
    cmocka_unit_test(bergamot),
};

ECH_TEST_MAIN(tests)
