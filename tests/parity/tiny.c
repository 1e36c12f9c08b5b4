/* Tiny random models of each architecture against the reference implementation, a test for each folder of
 * goldens/tiny, on every backend: hidden states, poolers and classes of encoders, logits and greedy tokens of
 * decoders. */
#include "tests/parity/folder.h"
#include "tests/parity/writers.h"

/* What is compared of a folder. */
/* BRIEF: one batch of logits, no long text and no writing. */
enum what { ENCODER = 1, WRITER = 2, TRANSLATOR = 4, BRIEF = 8 };

struct folder {
    const char *name;
    int what;
    double tolerance;
    const char *config[4]; /* others that give the same answers; then those with answers of their own */
    const char *variant[4];
};

static const struct folder folders[] = {
    {"bert", ENCODER, 2e-5, {0}, {0}},
    {"bert_seqcls", ENCODER, 1e-5, {0}, {0}},
    {"bert_cross", ENCODER, 1e-5, {0}, {0}},
    {"bert_tokencls", ENCODER, 1e-5, {0}, {0}},
    {"roberta", ENCODER, 1e-5, {0}, {0}},
    {"xlm_roberta", ENCODER, 1e-5, {0}, {0}},
    {"distilbert", ENCODER, 1e-5, {0}, {0}},
    {"mpnet", ENCODER, 1e-5, {0}, {0}},
    {"electra", ENCODER, 1e-5, {0}, {0}},
    {"albert", ENCODER, 1e-5, {0}, {0}},
    {"modernbert", ENCODER, 1e-5, {"v4"}, {0}},
    {"deberta_v2", ENCODER, 1e-5, {0}, {0}},
    {"nomic_bert", ENCODER, 1e-5, {0}, {0}},
    {"lora_bert", ENCODER, 1e-5, {0}, {0}},
    {"gpt2", WRITER, 1e-5, {0}, {0}},
    {"gpt_neox", WRITER, 1e-5, {"v4"}, {0}},
    {"opt", WRITER, 1e-5, {0}, {0}},
    {"bloom", WRITER, 1e-5, {0}, {0}},
    {"phi", WRITER, 1e-5, {"v4"}, {0}},
    {"llama", WRITER, 2e-5, {"v4"}, {0}},
    {"llama3_rope", WRITER, 1e-5, {"v4"}, {"linear", "dynamic", "yarn"}},
    {"mistral", WRITER, 1e-5, {"v4"}, {0}},
    {"mixtral", WRITER, 1e-5, {"v4"}, {0}},
    {"qwen2", WRITER, 1e-5, {"v4"}, {0}},
    {"qwen3", WRITER, 1e-5, {"v4"}, {0}},
    {"qwen3_moe", WRITER, 1e-5, {"v4"}, {0}},
    {"gemma", WRITER, 2e-5, {"v4"}, {0}},
    {"gemma2", WRITER, 2e-5, {"v4"}, {0}},
    {"gemma3_text", WRITER, 1e-5, {"v4"}, {0}},
    {"phi3", WRITER, 1e-5, {"v4"}, {"longrope"}},
    {"olmo2", WRITER, 1e-5, {"v4"}, {0}},
    {"smollm3", WRITER, 1e-5, {"v4"}, {0}},
    {"starcoder2", WRITER, 1e-5, {"v4"}, {0}},
    {"falcon", WRITER, 1e-5, {"v4"}, {0}},
    {"t5", TRANSLATOR, 1e-5, {0}, {0}},
    {"t5_gated", TRANSLATOR, 1e-5, {"mt5"}, {0}},
    {"bart", TRANSLATOR, 1e-5, {0}, {0}},
    {"mbart", TRANSLATOR, 1e-5, {0}, {0}},
    {"marian", TRANSLATOR, 1e-5, {0}, {0}},
    {"m2m_100", TRANSLATOR, 1e-5, {0}, {0}},
    {"pegasus", TRANSLATOR, 1e-5, {0}, {0}},
};
enum { FOLDERS = sizeof folders / sizeof *folders };

static void compare_states(const struct folder *f, const char *path, const char *backend,
                           const char *precision, double tolerance)
{
    struct input in = read_input(f->name, "ids", true);
    struct npy want = folder_array(f->name, "expected_last_hidden_state");
    struct ech_err err = ECH_ERR_NONE;
    struct ech_engine *engine = open_engine(&(struct ech_engine_options){
        .model = path, .backend = backend, .weights = precision, .threads = 2, .pooling = ECH_POOLING_NONE});
    struct ech_batch *batch;
    must(
        ech_engine_prepare_ids(engine, in.ids, in.typed ? in.types : NULL, in.offsets, in.rows, &batch, &err),
        &err);
    struct ech_result *r = run_batch(engine, batch);
    double far = 0;
    assert_int_equal(r->dim, want.shape[2]);
    for (int64_t row = 0; row < in.rows; row++) {
        int64_t first = (int64_t)in.offsets[row], count = (int64_t)in.offsets[row + 1] - first;
        assert_int_equal(r->row_tokens[row], count);
        far = fmax(far,
                   distance(r->values + first * r->dim, want.f + row * in.length * r->dim, count * r->dim));
    }
    within(f->name, precision, backend, far, &want, tolerance);
    ech_result_destroy(r);
    ech_engine_close(engine);
    npy_free(&want);
}

/* The pooler's vectors, and classes of rows or of tokens, where the folder has answers of that kind. */
static void compare_head(const struct folder *f, const char *answers, const char *path, const char *backend,
                         const char *precision, double tolerance)
{
    struct input in = read_input(f->name, "ids", true);
    struct npy want = folder_array(f->name, answers);
    struct ech_err err = ECH_ERR_NONE;
    bool pooler = strcmp(answers, "expected_pooler_output") == 0, each = want.dims == 3;
    struct ech_engine *engine =
        open_engine(&(struct ech_engine_options){.model = path,
                                                 .backend = backend,
                                                 .weights = precision,
                                                 .threads = 2,
                                                 .classes = !pooler,
                                                 .pooling = pooler ? ECH_POOLING_POOLER : ECH_POOLING_MODEL});
    struct ech_batch *batch;
    must(
        ech_engine_prepare_ids(engine, in.ids, in.typed ? in.types : NULL, in.offsets, in.rows, &batch, &err),
        &err);
    struct ech_result *r = run_batch(engine, batch);
    double far = 0;
    assert_int_equal(r->dim, want.shape[want.dims - 1]);
    for (int64_t row = 0; row < in.rows; row++) {
        int64_t first = each ? (int64_t)in.offsets[row] : row;
        int64_t count = each ? (int64_t)in.offsets[row + 1] - first : 1;
        const float *answer = want.f + row * (each ? in.length : 1) * r->dim;
        far = fmax(far, distance(r->values + first * r->dim, answer, count * r->dim));
    }
    within(f->name, answers, backend, far, &want, tolerance);
    ech_result_destroy(r);
    ech_engine_close(engine);
    npy_free(&want);
}

static void compare_heads(const struct folder *f, const char *path, const char *backend)
{
    static const char *const answers[] = {"expected_pooler_output", "expected_logits"};
    char file[64];
    for (int i = 0; i < 2; i++) {
        snprintf(file, sizeof file, "%s.npy", answers[i]);
        if (folder_has(f->name, file))
            compare_head(f, answers[i], path, backend, "f32", f->tolerance);
    }
}

/* Logits and greedy tokens of one configuration; variant: only long_logits, of its own. */
static void compare_writer(const struct folder *f, const char *config, bool variant, const char *backend)
{
    char file[64], expected[64];
    struct input in = read_input(f->name, "ids", true), longer = read_input(f->name, "long_ids", false);
    snprintf(file, sizeof file, "config_%s.json", config ? config : "");
    snprintf(expected, sizeof expected, "expected_long_logits_%s", config ? config : "");
    struct ech_lm *d = open_decoder(folder_with(f->name, config ? file : NULL), backend);
    if (!variant) {
        compare_logits(d, f->name, &in, NULL, "expected_logits", f->tolerance);
        if (!(f->what & BRIEF))
            compare_greedy(d, f->name, &in);
    }
    if (!(f->what & BRIEF))
        compare_logits(d, f->name, &longer, NULL, variant ? expected : "expected_long_logits", f->tolerance);
    ech_lm_close(d);
}

static void compare_translator(const struct folder *f, const char *config, const char *backend)
{
    char file[64];
    struct ech_err err = ECH_ERR_NONE;
    struct input in = read_input(f->name, "ids", true), out = read_input(f->name, "decoder_ids", false);
    struct npy want = folder_array(f->name, "expected_encoder_last_hidden_state");
    float states[64 * 64];
    double far = 0;
    snprintf(file, sizeof file, "config_%s.json", config ? config : "");
    struct ech_lm *d = open_decoder(folder_with(f->name, config ? file : NULL), backend);
    int64_t dim = ech_lm_hidden(d);
    for (int64_t row = 0; row < in.rows; row++) {
        int64_t count = (int64_t)(in.offsets[row + 1] - in.offsets[row]);
        assert_true(count * dim <= 64 * 64);
        must(ech_lm_encode(d, in.ids + in.offsets[row], count, states, &err), &err);
        far = fmax(far, distance(states, want.f + row * in.length * dim, count * dim));
    }
    within(f->name, "encoder", backend, far, &want, f->tolerance);
    npy_free(&want);
    compare_logits(d, f->name, &out, &in, "expected_logits", f->tolerance);
    if (!(f->what & BRIEF))
        compare_greedy(d, f->name, &in);
    ech_lm_close(d);
}

static void on_backend(const struct folder *f, const char *backend)
{
    if (f->what & ENCODER) {
        compare_states(f, folder_with(f->name, NULL), backend, "f32", f->tolerance);
        compare_heads(f, folder_with(f->name, NULL), backend);
    }
    if (f->what & WRITER)
        compare_writer(f, NULL, false, backend);
    if (f->what & TRANSLATOR)
        compare_translator(f, NULL, backend);
}

static void folder(void **state)
{
    const struct folder *f = *state;
    const char *names[8];
    int count = backends(names);
    for (int i = 0; i < count; i++)
        on_backend(f, names[i]);
    if (f->what & ENCODER) /* of these the oracle computes enough in no time */
        on_backend(f, "ref");
    for (int i = 0; i < 4 && f->config[i]; i++) {
        char file[64];
        snprintf(file, sizeof file, "config_%s.json", f->config[i]);
        if (f->what & ENCODER)
            compare_states(f, folder_with(f->name, file), names[0], "f32", f->tolerance);
        if (f->what & WRITER)
            compare_writer(f, f->config[i], false, names[0]);
        if (f->what & TRANSLATOR)
            compare_translator(f, f->config[i], names[0]);
    }
    for (int i = 0; i < 4 && f->variant[i]; i++)
        compare_writer(f, f->variant[i], true, names[0]);
}

/* Every folder on the CUDA backend, run by the emulator, which is slow: three of them write; one of them in
 * each precision. */
static void cuda(void **state)
{
    (void)state;
#ifdef ECH_CUDA_EMULATED
    char why[256] = "";
    setenv("ECH_CUDA_LIBRARY", ECH_CUDA_EMULATED, 1);
    if (!ech_ops_find("cuda", why))
        fail_msg("%s", why);
    for (int i = 0; i < FOLDERS; i++) {
        struct folder f = folders[i];
        f.tolerance = 2e-5;
        if (strcmp(f.name, "gemma3_text") != 0 && strcmp(f.name, "qwen3_moe") != 0 &&
            strcmp(f.name, "t5") != 0)
            f.what |= BRIEF;
        on_backend(&f, "cuda");
    }
    compare_states(&folders[0], folder_with("bert", NULL), "cuda", "bf16", 3e-2);
    compare_states(&folders[0], folder_with("bert", NULL), "cuda", "f16", 5e-3);
    compare_states(&folders[0], folder_with("bert", NULL), "cuda", "int8", 5e-2);
#else
    ECH_SKIP("cuda", "the emulator is not built: CUDA's headers are not here");
#endif
}

/* The table's folders as tests, then the rest; names first for ECH_TEST_MAIN's lists. */
int main(int argc, char **argv)
{
    struct CMUnitTest tests[FOLDERS + 1] = {{0}};
    size_t count = FOLDERS + 1, first = 0;
    for (size_t i = 0; i < FOLDERS; i++)
        tests[i] = (struct CMUnitTest){folders[i].name, folder, NULL, NULL, (void *)(uintptr_t)&folders[i]};
    tests[FOLDERS] = (struct CMUnitTest)cmocka_unit_test(cuda);
    if (argc > 1 && strcmp(argv[1], "--list") == 0) {
        for (size_t i = 0; i < count; i++)
            puts(tests[i].name);
        return 0;
    }
    while (argc > 1 && first < count && strcmp(tests[first].name, argv[1]) != 0)
        first++;
    if (first == count) {
        fprintf(stderr, "no test named %s\n", argv[1]);
        return 2;
    }
    if (argc > 1) {
        struct CMUnitTest one[] = {tests[first]};
        return cmocka_run_group_tests(one, NULL, NULL) ? 1 : 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
