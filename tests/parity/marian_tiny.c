/* A Marian model with a recurrent decoder, its int8 weights as f32: given the reference's own words, the next
 * word is the reference's nearly everywhere. The reference rounds activations to int8 and takes words of a
 * shortlist, so equality is not asked for. */
#include "tests/parity/writers.h"

enum { WORDS = 512 };

static const char *model(void)
{
    static char path[4096];
    const char *root = getenv("ECH_TEST_MODELS");
    snprintf(path, sizeof path, "%s/bergamot-enpt", root ? root : "models");
    if (!ech_path_exists(path))
        ECH_SKIP("models", "%s is not there (ci/get-model bergamot-enpt)", path);
    return path;
}

static int64_t read_ids(const json_t *list, int32_t *out)
{
    int64_t count = (int64_t)json_array_size(list);
    assert_true(count > 0 && count < WORDS);
    for (int64_t i = 0; i < count; i++)
        out[i] = (int32_t)json_integer_value(json_array_get(list, (size_t)i));
    return count;
}

/* How many of a line's words are the best one after those before it, of how many. */
static void follow(struct ech_lm *lm, const json_t *line, int64_t *same, int64_t *all)
{
    struct ech_err err = ECH_ERR_NONE;
    int32_t source[WORDS], words[WORDS + 1];
    int64_t count = read_ids(json_object_get(line, "source_ids"), source), rows;
    int64_t length = read_ids(json_object_get(line, "target_ids"), words + 1);
    struct ech_sequence_options o = {.room = length, .prompt = 1, .source = source, .source_count = count};
    struct ech_step_item item = {.ids = words, .count = length, .want = ECH_WANT_ALL};
    words[0] = -1;
    must(ech_lm_add(lm, &o, &item.sequence, &err), &err);
    must(ech_lm_step(lm, &item, 1, &rows, &err), &err);
    assert_int_equal(rows, length);
    for (int64_t i = 0; i < length; i++) {
        const float *logits;
        must(ech_lm_logits(lm, i, 1, &logits, &err), &err);
        *same += ech_argmax(logits, ech_lm_vocab(lm)) == words[i + 1];
        ++*all;
    }
    ech_lm_remove(lm, item.sequence);
}

static void forced(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_lm *lm = NULL;
    struct ech_lm_options options = {.model = model(), .threads = 2, .context = WORDS};
    int64_t same = 0, all = 0;
    char *data, *end;
    char path[4200];
    snprintf(path, sizeof path, "%s/ids.jsonl", ech_test_data("goldens/translation"));
    must(ech_read_file(path, 1 << 24, &data, NULL, &err), &err);
    must(ech_lm_open(&options, &lm, &err), &err);
    for (char *at = data; (end = strchr(at, '\n')); at = end + 1) {
        json_t *line;
        must(ech_json_parse("line", at, (size_t)(end - at), &line, &err), &err);
        follow(lm, line, &same, &all);
        json_decref(line);
    }
    fprintf(stderr, "%lld of %lld words\n", (long long)same, (long long)all);
    assert_true(all > 4000);
    if (!(same * 100 >= all * 97))
        fail_msg("%lld of %lld words are the reference's, 97 %% were expected", (long long)same,
                 (long long)all);
    ech_lm_close(lm);
    ech_free(data);
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(forced)};
ECH_TEST_MAIN(tests)
