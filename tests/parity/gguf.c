/* GGUF files and adapters of goldens/tiny against the reference implementation: logits of the decoded
 * weights, on every backend, the CUDA one by the emulator; integer products near them; and a bf16 cache. */
#include "tests/parity/writers.h"

static const struct file {
    const char *model, *ids, *expected;
    double tolerance, integers; /* integers: under compute int8; 0: the file has no blocks of integers */
} files[] = {
    {"gguf/llama-f32.gguf", "long_ids", "expected_long_logits_f32", 1e-5, 0},
    {"gguf/llama-f16.gguf", "long_ids", "expected_long_logits_f16", 1e-5, 0},
    {"gguf/llama-q8_0.gguf", "long_ids", "expected_long_logits_q8_0", 1e-5, 6e-2},
    {"gguf/llama-q4_0.gguf", "long_ids", "expected_long_logits_q4_0", 1e-5, 6e-2},
    {"gguf/llama256-q4_k_m.gguf", "long_ids_llama256", "expected_long_logits_llama256", 1e-5, 6e-2},
};
enum { FILES = sizeof files / sizeof *files };

static void compare(const struct file *f, const char *backend, const char *compute, const char *kv,
                    double tolerance)
{
    struct ech_err err = ECH_ERR_NONE;
    struct input ids = read_input("gguf", f->ids, false);
    struct ech_lm *lm = NULL;
    char path[FOLDER_PATH];
    struct ech_lm_options options = {.model = path,
                                     .backend = backend,
                                     .compute = compute,
                                     .kv = kv,
                                     .threads = 1,
                                     .sequences = 2,
                                     .logits_rows = 16};
    snprintf(path, sizeof path, "%s/%s", ech_test_data("goldens/tiny"), f->model);
    must(ech_lm_open(&options, &lm, &err), &err);
    fprintf(stderr, "%s, %s\n", f->model, ech_lm_numerics(lm));
    compare_logits(lm, "gguf", &ids, NULL, f->expected, tolerance);
    ech_lm_close(lm);
}

static void logits(void **state)
{
    (void)state;
    const char *names[8];
    int count = backends(names);
    for (int i = 0; i < FILES; i++)
        for (int b = 0; b < count; b++)
            compare(&files[i], names[b], "f32", NULL, files[i].tolerance);
}

static void integers(void **state)
{
    (void)state;
    const char *names[8];
    int count = backends(names), compared = 0;
    for (int b = 0; b < count; b++)
        if (ech_ops_find(names[b], (char[256]){0})->numerics[ECH_FMT_BLOCK_INT8])
            for (int i = 0; i < FILES; i++)
                if (files[i].integers > 0) {
                    compare(&files[i], names[b], "int8", NULL, files[i].integers);
                    compared++;
                }
    assert_true(compared >= 3);
}

/* Keys and values rounded to bf16: the attention of these models is sharp, so their rounding (2^-9) shows. */
static void half_cache(void **state)
{
    (void)state;
    compare(&files[2], NULL, "f32", "bf16", 3e-2);
    compare(&files[4], NULL, "f32", "bf16", 3e-2);
}

static void adapter(void **state)
{
    (void)state;
    const char *names[8];
    int count = backends(names);
    struct input in = read_input("lora_llama", "ids", true),
                 longer = read_input("lora_llama", "long_ids", false);
    for (int b = 0; b < count; b++) {
        struct ech_lm *lm = open_decoder(folder_with("lora_llama", NULL), names[b]);
        compare_logits(lm, "lora_llama", &in, NULL, "expected_logits", 1e-5);
        compare_logits(lm, "lora_llama", &longer, NULL, "expected_long_logits", 1e-5);
        compare_greedy(lm, "lora_llama", &in);
        ech_lm_close(lm);
    }
}

static void cuda(void **state)
{
    (void)state;
#ifdef ECH_CUDA_EMULATED
    char why[256] = "";
    setenv("ECH_CUDA_LIBRARY", ECH_CUDA_EMULATED, 1);
    if (!ech_ops_find("cuda", why))
        fail_msg("%s", why);
    compare(&files[2], "cuda", "f32", NULL, 2e-5);
    compare(&files[4], "cuda", "f32", NULL, 2e-5);
    compare(&files[2], "cuda", "int8", NULL, 6e-2);
    compare(&files[2], "cuda", "f32", "bf16", 3e-2);
#else
    ECH_SKIP("cuda", "the emulator is not built: CUDA's headers are not here");
#endif
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(logits), cmocka_unit_test(integers),
                                          cmocka_unit_test(half_cache), cmocka_unit_test(adapter),
                                          cmocka_unit_test(cuda)};
ECH_TEST_MAIN(tests)
