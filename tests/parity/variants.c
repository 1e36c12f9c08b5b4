/* Variants of architectures that goldens/tiny leaves out (variants/, written by make_variants.py): logits
 * within the tolerance of those folders, on every backend. */
#include "tests/parity/common.h"

#include "model/lm.h"

static const char *const names[] = {"falcon_40b", "falcon_11b", "falcon_heads", "neox_sequential"};

static struct npy read_array(const char *folder, const char *file)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s.npy", folder, file);
    return npy_read(path);
}

static void compare(const char *folder, const char *backend)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_lm *lm = NULL;
    struct ech_lm_options options = {.model = folder, .backend = backend, .threads = 1};
    struct npy ids = read_array(folder, "ids"), want = read_array(folder, "expected_logits");
    int64_t length = ids.shape[1], vocab = want.shape[2], rows;
    int32_t tokens[64];
    double far = 0, most = 0;
    must(ech_lm_open(&options, &lm, &err), &err);
    assert_int_equal(ech_lm_vocab(lm), vocab);
    assert_true(length <= 64);
    for (int64_t row = 0; row < ids.shape[0]; row++) {
        struct ech_sequence_options o = {.room = length, .prompt = length};
        struct ech_step_item item = {.ids = tokens, .count = length, .want = ECH_WANT_ALL};
        const float *logits;
        for (int64_t i = 0; i < length; i++)
            tokens[i] = (int32_t)ids.i[row * length + i];
        must(ech_lm_add(lm, &o, &item.sequence, &err), &err);
        must(ech_lm_step(lm, &item, 1, &rows, &err), &err);
        must(ech_lm_logits(lm, 0, length, &logits, &err), &err);
        far = fmax(far, distance(logits, want.f + row * length * vocab, length * vocab));
        ech_lm_remove(lm, item.sequence);
    }
    for (int64_t i = 0; i < want.elements; i++)
        most = fmax(most, fabs((double)want.f[i]));
    fprintf(stderr, "%s on %s: %.2e\n", folder, backend, far / most);
    if (!(far <= 1e-5 * most))
        fail_msg("%s on %s: %.2e, 1e-5 is allowed", folder, backend, far / most);
    ech_lm_close(lm);
    npy_free(&ids);
    npy_free(&want);
}

static void logits(void **state)
{
    (void)state;
    const char *source = getenv("ECH_SOURCE"), *backend[8];
    char folder[4096];
    int count = backends(backend);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int b = 0; b < count; b++) {
            snprintf(folder, sizeof folder, "%s/tests/parity/variants/%s", source ? source : ".", names[i]);
            compare(folder, backend[b]);
        }
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(logits)};
ECH_TEST_MAIN(tests)
