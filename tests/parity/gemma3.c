/* Gemma 3 270M from its GGUF, computed on its own blocks with f32 activations, against the reference
 * implementation over the dequantised weights: logits within 5e-3, greedy ids equal where the two best differ
 * by more. */
#include "tests/parity/writers.h"

enum { NEW = 32, PROMPTS = 8 };

static const char *model(void)
{
    static char path[4096];
    const char *root = getenv("ECH_TEST_MODELS");
    snprintf(path, sizeof path, "%s/gemma-3-270m", root ? root : "models");
    if (!ech_path_exists(path))
        ECH_SKIP("models", "%s is not there (ci/get-model gemma-3-270m)", path);
    return path;
}

static char *slurp(const char *name)
{
    char path[4200], *data;
    struct ech_err err = ECH_ERR_NONE;
    snprintf(path, sizeof path, "%s/%s", ech_test_data("goldens/gemma3"), name);
    must(ech_read_file(path, 1 << 24, &data, NULL, &err), &err);
    return data;
}

static json_t *next_line(char **at)
{
    struct ech_err err = ECH_ERR_NONE;
    json_t *root;
    char *end = strchr(*at, '\n');
    if (!end)
        return NULL;
    must(ech_json_parse("line", *at, (size_t)(end - *at), &root, &err), &err);
    *at = end + 1;
    return root;
}

static double margin(const float *logits, int64_t count, int32_t best)
{
    double second = -INFINITY;
    for (int64_t i = 0; i < count; i++)
        if (i != best && (double)logits[i] > second)
            second = (double)logits[i];
    return (double)logits[best] - second;
}

static void compare_first(const float *logits, int64_t vocab, int row)
{
    char path[4200];
    if (row > 1)
        return;
    snprintf(path, sizeof path, "%s/hf-logits-%d.npy", ech_test_data("goldens/gemma3"), row);
    struct npy want = npy_read(path);
    assert_int_equal(want.elements, vocab);
    double far = distance(logits, want.f, vocab);
    fprintf(stderr, "prompt %d: max |difference| %.2e\n", row, far);
    if (!(far <= 5e-3))
        fail_msg("prompt %d: the logits are %.2e from the reference, 5e-3 is allowed", row, far);
    npy_free(&want);
}

static void compare_row(struct ech_lm *lm, const json_t *ids, const json_t *greedy, int row)
{
    struct ech_err err = ECH_ERR_NONE;
    int32_t prompt[512], token;
    int64_t count = (int64_t)json_array_size(ids), rows, vocab = ech_lm_vocab(lm);
    struct ech_sequence_options o = {.room = count + NEW, .prompt = count};
    struct ech_step_item item = {.ids = prompt, .count = count, .want = ECH_WANT_LAST};
    assert_true(count > 0 && count <= 512);
    for (int64_t i = 0; i < count; i++)
        prompt[i] = (int32_t)json_integer_value(json_array_get(ids, (size_t)i));
    must(ech_lm_add(lm, &o, &item.sequence, &err), &err);
    for (int64_t i = 0; i < NEW; i++) {
        const float *logits;
        must(ech_lm_step(lm, &item, 1, &rows, &err), &err);
        must(ech_lm_logits(lm, 0, 1, &logits, &err), &err);
        if (i == 0)
            compare_first(logits, vocab, row);
        int32_t best = ech_argmax(logits, vocab);
        token = (int32_t)json_integer_value(json_array_get(greedy, (size_t)i));
        if (best != token && margin(logits, vocab, best) > 5e-3)
            fail_msg("prompt %d: token %lld is %d, %d was expected", row, (long long)i, (int)best,
                     (int)token);
        item.ids = &token;
        item.count = 1;
    }
    ech_lm_remove(lm, item.sequence);
}

static void reference(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_lm *lm = NULL;
    struct ech_lm_options options = {.model = model(), .threads = 2, .context = 512};
    char *prompts = slurp("prompts.jsonl"), *hf = slurp("hf.jsonl"), *p = prompts, *h = hf;
    json_t *prompt, *want;
    int row = 0;
    must(ech_lm_open(&options, &lm, &err), &err);
    fprintf(stderr, "%s, packed %zu bytes\n", ech_lm_numerics(lm), ech_lm_packed_bytes(lm));
    while ((prompt = next_line(&p)) && (want = next_line(&h))) {
        compare_row(lm, json_object_get(prompt, "ids"), json_object_get(want, "greedy"), row++);
        json_decref(prompt);
        json_decref(want);
    }
    assert_int_equal(row, PROMPTS);
    ech_lm_close(lm);
    ech_free(prompts);
    ech_free(hf);
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(reference)};
ECH_TEST_MAIN(tests)
