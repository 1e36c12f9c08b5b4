/* Tiny random encoders of each architecture against the reference implementation: hidden states from token
 * ids, through the engine, on every backend; rows of padding are not compared. */
#include "tests/parity/common.h"

#include "base/io.h"

static struct npy array(const char *name, const char *file)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", ech_test_data("goldens/tiny"), name);
    size_t at = strlen(path);
    snprintf(path + at, sizeof path - at, "/%s.npy", file);
    return npy_read(path);
}

static bool has(const char *name, const char *file)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s/%s", ech_test_data("goldens/tiny"), name, file);
    return ech_path_exists(path);
}

struct input {
    int32_t ids[256], types[256];
    uint64_t offsets[8];
    int64_t rows, length;
    bool typed;
};

/* The rows without their padding. */
static struct input read_input(const char *name)
{
    struct npy ids = array(name, "ids"), mask = array(name, "mask"), types = {0};
    struct input in = {
        .rows = ids.shape[0], .length = ids.shape[1], .typed = has(name, "token_type_ids.npy")};
    if (in.typed)
        types = array(name, "token_type_ids");
    assert_true(ids.elements <= 256 && in.rows < 8 && ids.i && mask.i);
    uint64_t at = 0;
    for (int64_t row = 0; row < in.rows; row++) {
        for (int64_t t = 0; t < in.length; t++)
            if (mask.i[row * in.length + t]) {
                in.ids[at] = (int32_t)ids.i[row * in.length + t];
                in.types[at++] = in.typed ? (int32_t)types.i[row * in.length + t] : 0;
            }
        in.offsets[row + 1] = at;
    }
    npy_free(&ids);
    npy_free(&mask);
    npy_free(&types);
    return in;
}

static void compare_in(const char *name, const char *backend, const char *precision, double tolerance)
{
    struct input in = read_input(name);
    struct npy want = array(name, "expected_last_hidden_state");
    struct ech_err err = ECH_ERR_NONE;
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", ech_test_data("goldens/tiny"), name);
    struct ech_engine *engine = open_engine(&(struct ech_engine_options){
        .model = path, .backend = backend, .weights = precision, .threads = 2, .pooling = ECH_POOLING_NONE});
    struct ech_batch *batch;
    must(
        ech_engine_prepare_ids(engine, in.ids, in.typed ? in.types : NULL, in.offsets, in.rows, &batch, &err),
        &err);
    struct ech_result *r = run_batch(engine, batch);
    assert_int_equal(r->dim, want.shape[2]);
    double scale = 0, far = 0;
    for (int64_t i = 0; i < want.elements; i++)
        scale = fmax(scale, fabs((double)want.f[i]));
    for (int64_t row = 0; row < in.rows; row++) {
        int64_t first = (int64_t)in.offsets[row], count = (int64_t)in.offsets[row + 1] - first;
        assert_int_equal(r->row_tokens[row], count);
        far = fmax(far,
                   distance(r->values + first * r->dim, want.f + row * in.length * r->dim, count * r->dim));
    }
    fprintf(stderr, "%s %s %s: %.2e of %.0e\n", name, backend, precision, far / scale, tolerance);
    if (!(far <= tolerance * scale))
        fail_msg("%s on %s in %s: %.2e, %.0e is allowed", name, backend, precision, far / scale, tolerance);
    ech_result_destroy(r);
    ech_engine_close(engine);
    npy_free(&want);
}

static void on_all(const char *name, double tolerance)
{
    const char *names[8];
    int count = backends(names);
    for (int i = 0; i < count; i++)
        compare_in(name, names[i], "f32", tolerance);
}

static void bert(void **state)
{
    (void)state;
    on_all("bert", 2e-5);
}

static void bert_seqcls(void **state)
{
    (void)state;
    on_all("bert_seqcls", 1e-5);
}

static void roberta(void **state)
{
    (void)state;
    on_all("roberta", 1e-5);
}

static void xlm_roberta(void **state)
{
    (void)state;
    on_all("xlm_roberta", 1e-5);
}

static void distilbert(void **state)
{
    (void)state;
    on_all("distilbert", 1e-5);
}

static void mpnet(void **state)
{
    (void)state;
    on_all("mpnet", 1e-5);
}

static void electra(void **state)
{
    (void)state;
    on_all("electra", 1e-5);
}

/* Every architecture on the CUDA backend, run by the emulator; one of them in each precision. */
static void cuda(void **state)
{
    (void)state;
#ifdef ECH_CUDA_EMULATED
    static const char *const names[] = {"bert",       "bert_seqcls", "roberta", "xlm_roberta",
                                        "distilbert", "mpnet",       "electra"};
    char why[256] = "";
    setenv("ECH_CUDA_LIBRARY", ECH_CUDA_EMULATED, 1);
    if (!ech_ops_find("cuda", why))
        fail_msg("%s", why);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        compare_in(names[i], "cuda", "f32", 2e-5);
    compare_in("bert", "cuda", "bf16", 3e-2);
    compare_in("bert", "cuda", "f16", 5e-3);
    compare_in("bert", "cuda", "int8", 5e-2);
#else
    ECH_SKIP("cuda", "the emulator is not built: CUDA's headers are not here");
#endif
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(bert),        cmocka_unit_test(bert_seqcls), cmocka_unit_test(roberta),
    cmocka_unit_test(xlm_roberta), cmocka_unit_test(distilbert),  cmocka_unit_test(mpnet),
    cmocka_unit_test(electra),     cmocka_unit_test(cuda),
};
ECH_TEST_MAIN(tests)
