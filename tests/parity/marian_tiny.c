/* A Marian model with a recurrent decoder: ids of its sentencepiece file, its int8 arithmetic (encoder,
 * logits, the words of a shortlist) beside a reference that does the same, and its weights as f32. Whole
 * translations of the same lines: tests/mpi/translation.py. */
#include "tests/parity/writers.h"

#include "model/shortlist.h"
#include "text/tokenizer.h"

enum { WORDS = 512, FEW = 4096 };
static void *memory; /* of the open model */

static const char *model_file(const char *name)
{
    static char path[4096];
    const char *root = getenv("ECH_TEST_MODELS");
    snprintf(path, sizeof path, "%s/bergamot-enpt%s%s", root ? root : "models", name ? "/" : "",
             name ? name : "");
    if (!ech_path_exists(path))
        ECH_SKIP("models", "%s is not there (ci/get-model bergamot-enpt)", path);
    return path;
}

static const char *golden(const char *name)
{
    static char path[4200];
    snprintf(path, sizeof path, "%s/%s", ech_test_data("goldens/translation"), name);
    return path;
}

static struct ech_lm *open_model(const char *backend, const char *compute, int64_t sequences)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_lm *lm = NULL;
    struct ech_lm_options options = {.model = model_file(NULL),
                                     .backend = backend,
                                     .compute = compute,
                                     .threads = 1,
                                     .sequences = sequences,
                                     .context = WORDS};
    must(ech_lm_load(&options, &lm, &err), &err);
    ech_lm_keep_head(lm);
    void *packed = ech_alloc_aligned(ech_lm_packed_bytes(lm), &err);
    must(packed ? ECH_OK : ECH_UNAVAILABLE, &err);
    must(ech_lm_pack(lm, packed, 0, 1, &err), &err);
    must(ech_lm_start(lm, &err), &err);
    memory = packed;
    return lm;
}

static void close_model(struct ech_lm *lm)
{
    ech_lm_close(lm);
    ech_free(memory);
}

/* The lines of goldens/translation/ids.jsonl, one after the other. */
struct lines {
    char *data, *at;
};

static struct lines open_lines(void)
{
    struct ech_err err = ECH_ERR_NONE;
    struct lines l;
    must(ech_read_file(golden("ids.jsonl"), 1 << 24, &l.data, NULL, &err), &err);
    l.at = l.data;
    return l;
}

static json_t *next_line(struct lines *l)
{
    struct ech_err err = ECH_ERR_NONE;
    char *end = strchr(l->at, '\n');
    json_t *line = NULL;
    if (!end) {
        ech_free(l->data);
        return NULL;
    }
    must(ech_json_parse("line", l->at, (size_t)(end - l->at), &line, &err), &err);
    l->at = end + 1;
    return line;
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

/* Of 100 words, how many at least are the reference's. */
static void follow_all(const char *compute, int least)
{
    struct ech_lm *lm = open_model("auto", compute, 1);
    struct lines lines = open_lines();
    int64_t same = 0, all = 0;
    for (json_t *line; (line = next_line(&lines)); json_decref(line))
        follow(lm, line, &same, &all);
    fprintf(stderr, "%s: %lld of %lld words\n", ech_lm_numerics(lm), (long long)same, (long long)all);
    assert_true(all > 4000);
    if (!(same * 100 >= all * least))
        fail_msg("%lld of %lld words are the reference's, %d %% were expected", (long long)same,
                 (long long)all, least);
    close_model(lm);
}

/* The reference rounds to int8 and takes words of a shortlist: equality is not asked for. */
static void as_floats(void **state)
{
    (void)state;
    follow_all("f32", 97);
}

static void as_integers(void **state)
{
    (void)state;
    follow_all(NULL, 99);
}

static void source_ids(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_tokenizer *tokenizer;
    struct ech_encoder *encoder;
    struct ech_encoded got;
    char *data, *text, path[4200];
    size_t bytes;
    int64_t rows = 0;
    must(ech_read_file(model_file("vocab.enpt.spm"), 1 << 24, &data, &bytes, &err), &err);
    must(ech_tokenizer_parse_spm("vocab", data, bytes, &tokenizer, &err), &err);
    must(ech_encoder_create(&encoder, &err), &err);
    ech_free(data);
    snprintf(path, sizeof path, "%s/dev.en", ech_test_data("data/flores-en-pt"));
    must(ech_read_file(path, 1 << 24, &text, NULL, &err), &err);
    struct lines lines = open_lines();
    char *at = text;
    for (json_t *line; (line = next_line(&lines)); json_decref(line), rows++) {
        int32_t want[WORDS];
        int64_t count = read_ids(json_object_get(line, "source_ids"), want);
        size_t length = strcspn(at, "\n");
        must(ech_tokenizer_encode(tokenizer, encoder, at, length, WORDS, true, &got, &err), &err);
        assert_int_equal(got.count, count - 1); /* the end is the kind's */
        assert_memory_equal(got.ids, want, (size_t)got.count * sizeof *want);
        at += length + 1;
    }
    assert_int_equal(rows, 200);
    ech_free(text);
    ech_encoder_destroy(encoder);
    ech_tokenizer_close(tokenizer);
}

/* Words of line 0. */
static int64_t golden_words(const int32_t *source, int64_t count, int32_t *out)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_shortlist *list;
    int32_t *words;
    int64_t n;
    json_t *want;
    must(ech_shortlist_open(model_file("lex.50.50.enpt.s2t.bin"), 32000, 32000, &list, &err), &err);
    must(ech_shortlist_words(list, source, count, &words, &n, &err), &err);
    must(ech_json_load(golden("shortlist-0.json"), 1 << 20, &want, &err), &err);
    assert_int_equal(n, (int64_t)json_array_size(want));
    assert_true(n <= FEW);
    for (int64_t i = 0; i < n; i++)
        assert_int_equal(words[i], json_integer_value(json_array_get(want, (size_t)i)));
    memcpy(out, words, (size_t)n * sizeof *out);
    json_decref(want);
    ech_free(words);
    ech_shortlist_close(list);
    return n;
}

static void near(const char *backend, const char *what, const float *got, const struct npy *want,
                 int64_t count)
{
    assert_int_equal(want->elements, count);
    double far = distance(got, want->f, count);
    if (!(far <= 1e-3))
        fail_msg("%s on %s: %g from the reference, 1e-3 was expected", what, backend, far);
}

/* The first word's logits of the few words, which are those of the whole head. */
static void first_word(struct ech_lm *lm, const char *backend, const int32_t *source, int64_t count,
                       const int32_t *words, int64_t n, float *few)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_sequence_options o = {.room = 2, .prompt = 1, .source = source, .source_count = count};
    const int32_t start = -1;
    struct ech_step_item item = {.ids = &start, .count = 1, .want = ECH_WANT_LAST};
    struct npy want = npy_read(golden("logits-0.npy"));
    const float *logits;
    int64_t rows;
    must(ech_lm_add(lm, &o, &item.sequence, &err), &err);
    must(ech_lm_restrict(lm, item.sequence, words, n, &err), &err);
    must(ech_lm_step(lm, &item, 1, &rows, &err), &err);
    must(ech_lm_restricted(lm, item.sequence, 0, &logits, &err), &err);
    memcpy(few, logits, (size_t)n * sizeof *few);
    near(backend, "logits", few, &want, n);
    must(ech_lm_logits(lm, 0, 1, &logits, &err), &err);
    for (int64_t i = 0; i < n; i++)
        assert_memory_equal(&few[i], &logits[words[i]], sizeof *few);
    npy_free(&want);
}

/* Line 0: encoder and first word on each backend that has int8, equal to the last bit. */
static void first_line(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct lines lines = open_lines();
    json_t *line = next_line(&lines);
    struct npy states = npy_read(golden("encoder-0.npy"));
    const char *names[8];
    int32_t source[WORDS], words[FEW];
    float few[FEW], before[FEW], *own = calloc((size_t)states.elements, sizeof *own);
    int64_t count = read_ids(json_object_get(line, "source_ids"), source),
            n = golden_words(source, count, words);
    for (int i = 0, seen = 0, backend_count = backends(names); i < backend_count; i++) {
        char why[256];
        if (!ech_ops_find(names[i], why)->numerics[ECH_FMT_INT8])
            continue;
        struct ech_lm *lm = open_model(names[i], NULL, 1);
        must(ech_lm_encode(lm, source, count, own, &err), &err);
        near(names[i], "the encoder", own, &states, count * ech_lm_hidden(lm));
        first_word(lm, names[i], source, count, words, n, few);
        if (seen++)
            assert_memory_equal(few, before, (size_t)n * sizeof *few);
        memcpy(before, few, (size_t)n * sizeof *few);
        close_model(lm);
    }
    json_decref(line);
    ech_free(lines.data);
    npy_free(&states);
    free(own);
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(as_floats), cmocka_unit_test(as_integers),
                                          cmocka_unit_test(source_ids), cmocka_unit_test(first_line)};
ECH_TEST_MAIN(tests)
