/* Gemma 3 270M from its GGUF, computed on its own blocks, against the reference implementation over the
 * dequantised weights. f32 activations: logits within 5e-3, greedy ids equal where the two best differ by
 * more. Integer products: logits within 1.5; where a greedy id first differs from the reference's, the two
 * best logits of f32 activations behind the same tokens are less than 1 apart. */
#include "tests/parity/lines.h"
#include "tests/parity/writers.h"

enum { NEW = 32, PROMPTS = 8, PROMPT_MOST = 200, WRITTEN = 2 };

struct row {
    int32_t ids[PROMPT_MOST + NEW]; /* the prompt, then the reference's greedy ids */
    int64_t prompt;
    int32_t best[NEW];
    double margin[NEW]; /* between the two best */
};

static const char *model(void)
{
    static char path[4096];
    const char *root = getenv("ECH_TEST_MODELS");
    snprintf(path, sizeof path, "%s/gemma-3-270m", root ? root : "models");
    if (!ech_path_exists(path))
        ECH_SKIP("models", "%s is not there (ci/get-model gemma-3-270m)", path);
    return path;
}

/* --- the reference's answers --- */

static char *slurp(const char *name)
{
    char path[4200], *data;
    struct ech_err err = ECH_ERR_NONE;
    snprintf(path, sizeof path, "%s/%s", ech_test_data("goldens/gemma3"), name);
    must(ech_read_file(path, 1 << 24, &data, NULL, &err), &err);
    return data;
}

static int64_t copy_ids(const json_t *list, int64_t most, int32_t *out)
{
    int64_t count = (int64_t)json_array_size(list);
    assert_in_range(count, 1, most);
    for (int64_t i = 0; i < count; i++)
        out[i] = (int32_t)json_integer_value(json_array_get(list, (size_t)i));
    return count;
}

static void read_rows(struct row rows[PROMPTS])
{
    char *prompts = slurp("prompts.jsonl"), *hf = slurp("hf.jsonl"), *p = prompts, *h = hf;
    for (int i = 0; i < PROMPTS; i++) {
        json_t *prompt = next_line(&p), *want = next_line(&h);
        assert_true(prompt && want);
        rows[i].prompt = copy_ids(json_object_get(prompt, "ids"), PROMPT_MOST, rows[i].ids);
        assert_int_equal(copy_ids(json_object_get(want, "greedy"), NEW, rows[i].ids + rows[i].prompt), NEW);
        json_decref(prompt);
        json_decref(want);
    }
    assert_true(*p == '\0' && *h == '\0');
    ech_free(prompts);
    ech_free(hf);
}

/* --- ours --- */

static struct ech_lm *open_gemma(const char *compute, const char *backend)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_lm *lm = NULL;
    struct ech_lm_options options = {.model = model(),
                                     .backend = backend,
                                     .compute = compute,
                                     .threads = 2,
                                     .context = PROMPT_MOST + NEW,
                                     .sequences = PROMPTS,
                                     .step_tokens = PROMPTS * (PROMPT_MOST + NEW),
                                     .logits_rows = NEW};
    must(ech_lm_open(&options, &lm, &err), &err);
    fprintf(stderr, "%s, packed %zu bytes\n", ech_lm_numerics(lm), ech_lm_packed_bytes(lm));
    return lm;
}

static double margin(const float *logits, int64_t count, int32_t best)
{
    double second = -INFINITY;
    for (int64_t i = 0; i < count; i++)
        if (i != best && (double)logits[i] > second)
            second = (double)logits[i];
    return (double)logits[best] - second;
}

static void compare_first(const float *logits, int64_t vocab, int row, double allowed)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/hf-logits-%d.npy", ech_test_data("goldens/gemma3"), row);
    struct npy want = npy_read(path);
    assert_int_equal(want.elements, vocab);
    double far = distance(logits, want.f, vocab);
    fprintf(stderr, "prompt %d: max |difference| %.2e\n", row, far);
    if (!(far <= allowed))
        fail_msg("prompt %d: the logits are %.2e from the reference, %g is allowed", row, far, allowed);
    npy_free(&want);
}

/* All tokens are known, so each row is one piece: the best token and its lead behind the prompt and behind
 * each of the reference's ids. `allowed` is for the logits behind the first two prompts; INFINITY: not
 * compared. */
static void follow(struct ech_lm *lm, struct row *rows, int count, double allowed)
{
    struct ech_err err = ECH_ERR_NONE;
    int64_t vocab = ech_lm_vocab(lm), wanted, at = 0;
    struct ech_step_item items[PROMPTS] = {{0}};
    for (int i = 0; i < count; i++) {
        items[i] = (struct ech_step_item){
            .ids = rows[i].ids, .count = rows[i].prompt + NEW - 1, .want = ECH_WANT_ALL};
        struct ech_sequence_options o = {.room = items[i].count, .prompt = rows[i].prompt};
        must(ech_lm_add(lm, &o, &items[i].sequence, &err), &err);
        assert_true(items[i].sequence >= 0);
    }
    must(ech_lm_step(lm, items, count, &wanted, &err), &err);
    for (int i = 0; i < count; at += items[i++].count) {
        const float *logits;
        must(ech_lm_logits(lm, at + rows[i].prompt - 1, NEW, &logits, &err), &err);
        if (i < 2 && allowed < INFINITY)
            compare_first(logits, vocab, i, allowed);
        for (int64_t k = 0; k < NEW; k++) {
            rows[i].best[k] = ech_argmax(logits + k * vocab, vocab);
            rows[i].margin[k] = margin(logits + k * vocab, vocab, rows[i].best[k]);
        }
        ech_lm_remove(lm, items[i].sequence);
    }
    assert_int_equal(at, wanted);
}

static int64_t first_other(const struct row *r)
{
    int64_t k = 0;
    while (k < NEW && r->best[k] == r->ids[r->prompt + k])
        k++;
    return k;
}

/* The same tokens written one by one have the same best ones. */
static void write_some(struct ech_lm *lm, const struct row *r)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_sequence_options o = {.room = r->prompt + WRITTEN, .prompt = r->prompt};
    struct ech_step_item item = {.ids = r->ids, .count = r->prompt, .want = ECH_WANT_LAST};
    must(ech_lm_add(lm, &o, &item.sequence, &err), &err);
    for (int64_t k = 0; k < WRITTEN; k++) {
        const float *logits;
        int64_t wanted;
        must(ech_lm_step(lm, &item, 1, &wanted, &err), &err);
        must(ech_lm_logits(lm, 0, 1, &logits, &err), &err);
        assert_int_equal(ech_argmax(logits, ech_lm_vocab(lm)), r->best[k]);
        item.ids = &r->ids[r->prompt + k];
        item.count = 1;
    }
    ech_lm_remove(lm, item.sequence);
}

static void reference(void **state)
{
    (void)state;
    static struct row rows[PROMPTS];
    read_rows(rows);
    struct ech_lm *lm = open_gemma("f32", NULL);
    follow(lm, rows, PROMPTS, 5e-3);
    write_some(lm, &rows[1]);
    for (int i = 0; i < PROMPTS; i++) {
        int64_t k = first_other(&rows[i]);
        if (k < NEW && rows[i].margin[k] > 5e-3)
            fail_msg("prompt %d: token %lld is %d, %d was expected", i, (long long)k, (int)rows[i].best[k],
                     (int)rows[i].ids[rows[i].prompt + k]);
    }
    ech_lm_close(lm);
}

static void integers(void **state)
{
    (void)state;
    static struct row rows[PROMPTS], exact[PROMPTS];
    read_rows(rows);
    struct ech_lm *lm = open_gemma("int8", NULL);
    follow(lm, rows, PROMPTS, 1.5);
    write_some(lm, &rows[1]);
    ech_lm_close(lm);
    lm = open_gemma("f32", NULL);
    for (int i = 0; i < PROMPTS; i++) {
        int64_t k = first_other(&rows[i]);
        exact[i] = rows[i];
        if (k == NEW)
            continue;
        follow(lm, &exact[i], 1, INFINITY);
        fprintf(stderr, "prompt %d: another token at %lld, f32's two best are %.3f apart\n", i, (long long)k,
                exact[i].margin[k]);
        if (!(exact[i].margin[k] < 1))
            fail_msg("prompt %d: token %lld is %d, %d was expected: it leads by %.3f in f32", i, (long long)k,
                     (int)rows[i].best[k], (int)rows[i].ids[rows[i].prompt + k], exact[i].margin[k]);
    }
    ech_lm_close(lm);
}

/* Every backend that has integer products on blocks gives the same bits. */
static void integers_everywhere(void **state)
{
    (void)state;
    static struct row rows[PROMPTS];
    struct ech_err err = ECH_ERR_NONE;
    const char *names[8];
    float *first = NULL;
    int count = backends(names), compared = 0;
    read_rows(rows);
    for (int i = 0; i < count; i++) {
        if (!ech_ops_find(names[i], (char[256]){0})->numerics[ECH_FMT_BLOCK_INT8] ||
            strcmp(names[i], "ref_exact") == 0) /* minutes for a token; tests/kernels compares it */
            continue;
        struct ech_lm *lm = open_gemma("int8", names[i]);
        struct ech_sequence_options o = {.room = rows[0].prompt, .prompt = rows[0].prompt};
        struct ech_step_item item = {.ids = rows[0].ids, .count = rows[0].prompt, .want = ECH_WANT_LAST};
        const float *logits;
        int64_t wanted, bytes = ech_lm_vocab(lm) * (int64_t)sizeof *logits;
        must(ech_lm_add(lm, &o, &item.sequence, &err), &err);
        must(ech_lm_step(lm, &item, 1, &wanted, &err), &err);
        must(ech_lm_logits(lm, 0, 1, &logits, &err), &err);
        if (!first) {
            first = malloc((size_t)bytes);
            memcpy(first, logits, (size_t)bytes);
        } else
            assert_memory_equal(first, logits, (size_t)bytes);
        compared++;
        ech_lm_close(lm);
    }
    fprintf(stderr, "%d backends\n", compared);
    assert_true(compared >= 1);
    free(first);
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(reference), cmocka_unit_test(integers),
                                          cmocka_unit_test(integers_everywhere)};
ECH_TEST_MAIN(tests)
