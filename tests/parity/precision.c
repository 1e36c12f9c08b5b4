/* What the precisions keep of f32, on the 3,000 sentences of STS-B's development set: the vectors' cosine to
 * those of f32, and how well the cosine of a pair follows the people's scores (Spearman). And that a
 * precision gives the same bits on every backend of its class. */
#include "tests/parity/common.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"

#include <string.h>

enum { PAIRS = 1500, DIM = 384 };

static const char *model(void)
{
    static char path[4096];
    const char *root = getenv("ECH_TEST_MODELS");
    snprintf(path, sizeof path, "%s/all-MiniLM-L6-v2", root ? root : "models");
    if (!ech_path_exists(path))
        ECH_SKIP("data", "%s is not there (ci/get-model all-MiniLM-L6-v2)", path);
    return path;
}

/* Sentence 2i and 2i + 1 are pair i. */
struct pairs {
    struct ech_str bytes;
    uint64_t offsets[2 * PAIRS + 1];
    double scores[PAIRS];
};

/* One CSV field, unquoted, onto `out`; the character after it. */
static const char *field(const char *at, struct ech_str *out)
{
    bool quoted = *at == '"';
    at += quoted;
    for (; *at && (quoted ? *at != '"' || at[1] == '"' : *at != ',' && *at != '\n' && *at != '\r'); at++) {
        at += quoted && *at == '"';
        ech_str_addc(out, *at);
    }
    return at + quoted;
}

static struct pairs *read_pairs(void)
{
    struct ech_err err = ECH_ERR_NONE;
    struct pairs *p = ech_calloc(1, sizeof *p, &err);
    char *data;
    must(ech_read_file(ech_test_data("data/stsb/dev.en.csv"), 1 << 24, &data, NULL, &err), &err);
    ech_str_init(&p->bytes);
    const char *at = data;
    for (int i = 0; i < PAIRS; i++) {
        for (int side = 0; side < 2; side++) {
            at = field(at, &p->bytes);
            p->offsets[2 * i + side + 1] = p->bytes.length;
            assert_int_equal(*at++, ',');
        }
        char *end;
        p->scores[i] = strtod(at, &end);
        at = end + strspn(end, "\r\n");
    }
    assert_true(*at == '\0');
    ech_free(data);
    return p;
}

static void free_pairs(struct pairs *p)
{
    ech_str_fini(&p->bytes);
    ech_free(p);
}

struct precision {
    const char *weights, *compute;
};

/* Vectors of the first `rows` sentences; the caller frees. NULL: this backend has no such precision. */
static float *vectors(const struct pairs *p, const char *backend, struct precision precision, int64_t rows,
                      char numerics[64])
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_engine *engine;
    struct ech_engine_options options = {.model = model(),
                                         .backend = backend,
                                         .weights = precision.weights,
                                         .compute = precision.compute,
                                         .threads = 2};
    int code = ech_engine_open(&options, &engine, &err);
    if (code == ECH_UNAVAILABLE)
        return NULL;
    must(code, &err);
    struct ech_batch *batch;
    must(ech_engine_prepare(engine, (unsigned char *)p->bytes.data, p->offsets, rows, &batch, &err), &err);
    struct ech_result *r = run_batch(engine, batch);
    float *copy = ech_calloc((size_t)(rows * DIM), sizeof *copy, &err);
    memcpy(copy, r->values, (size_t)(rows * DIM) * sizeof *copy);
    ech_result_destroy(r);
    snprintf(numerics, 64, "%s", ech_engine_numerics(engine));
    ech_engine_close(engine);
    return copy;
}

/* The vectors have length 1. */
static double cosine(const float *a, const float *b)
{
    double sum = 0;
    for (int i = 0; i < DIM; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

struct ranked {
    double value, rank;
    int at;
};

static int by_value(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return x->value < y->value ? -1 : x->value > y->value;
}

static int by_place(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return x->at - y->at;
}

/* Ranks from 1; equal values share the mean of theirs. */
static void rank(struct ranked *r)
{
    qsort(r, PAIRS, sizeof *r, by_value);
    for (int i = 0, end; i < PAIRS; i = end) {
        for (end = i + 1; end < PAIRS && !(r[end].value > r[i].value); end++)
            ;
        for (int j = i; j < end; j++)
            r[j].rank = (i + end + 1) / 2.0;
    }
    qsort(r, PAIRS, sizeof *r, by_place);
}

static double spearman(const struct pairs *p, const float *v)
{
    static struct ranked a[PAIRS], b[PAIRS];
    const double mean = (PAIRS + 1) / 2.0;
    double ab = 0, aa = 0, bb = 0;
    for (int i = 0; i < PAIRS; i++) {
        a[i] = (struct ranked){.value = p->scores[i], .at = i};
        b[i] = (struct ranked){.value = cosine(v + 2 * i * DIM, v + (2 * i + 1) * DIM), .at = i};
    }
    rank(a);
    rank(b);
    for (int i = 0; i < PAIRS; i++) {
        double x = a[i].rank - mean, y = b[i].rank - mean;
        ab += x * y, aa += x * x, bb += y * y;
    }
    return ab / sqrt(aa * bb);
}

/* Measured on this set: bf16 0.99999, int8 0.9993, int4 0.98. */
static const struct bound {
    struct precision precision;
    double cosine, spearman;
} BOUNDS[] = {
    {{"bf16", "f32"}, 0.9999, 0.0005},
    {{"bf16", "bf16"}, 0.9999, 0.0005},
    {{"int8", "int8"}, 0.997, 0.002},
    {{"int4", "int8"}, 0.95, 0.02},
};
enum { BOUND_COUNT = sizeof BOUNDS / sizeof BOUNDS[0] };

static void quality(void **state)
{
    (void)state;
    struct pairs *p = read_pairs();
    char numerics[64];
    float *base = vectors(p, "auto", (struct precision){"f32", "f32"}, 2 * PAIRS, numerics);
    double plain = spearman(p, base);
    fprintf(stderr, "f32 (%s): Spearman %.5f\n", numerics, plain);
    assert_true(fabs(plain - 0.86716) < 2e-5); /* the reference implementation in f32 */
    int compared = 0;
    for (int i = 0; i < BOUND_COUNT; i++) {
        const struct bound *b = &BOUNDS[i];
        float *v = vectors(p, "auto", b->precision, 2 * PAIRS, numerics);
        if (!v)
            continue; /* OpenBLAS alone */
        double sum = 0, least = 1, found = spearman(p, v);
        for (int r = 0; r < 2 * PAIRS; r++) {
            double c = cosine(base + r * DIM, v + r * DIM);
            sum += c;
            least = c < least ? c : least;
        }
        sum /= 2 * PAIRS;
        fprintf(stderr,
                "weights %s, compute %s (%s): cosine to f32 %.6f (least %.5f), Spearman %.5f (%+.5f)\n",
                b->precision.weights, b->precision.compute, numerics, sum, least, found, found - plain);
        if (!(sum >= b->cosine) || !(fabs(found - plain) <= b->spearman))
            fail_msg("%s: cosine %.6f, Spearman off by %.5f; %g and %g are allowed", numerics, sum,
                     found - plain, b->cosine, b->spearman);
        ech_free(v);
        compared++;
    }
    assert_true(compared == BOUND_COUNT || compared == 0);
    ech_free(base);
    free_pairs(p);
}

/* Plain C is slow: it sees the first sentences alone. */
static void one_class_one_result(void **state)
{
    (void)state;
    enum { FEW = 4, MANY = 200 };
    struct pairs *p = read_pairs();
    const char *names[8];
    int count = backends(names);
    for (int i = -1; i < BOUND_COUNT; i++) {
        struct precision precision = i < 0 ? (struct precision){"f32", "f32"} : BOUNDS[i].precision;
        float *first = NULL;
        char class[64] = "", mine[64];
        int64_t first_rows = 0;
        for (int b = 0; b < count; b++) {
            int64_t rows = strcmp(names[b], "ref_exact") == 0 ? FEW : MANY;
            float *v = vectors(p, names[b], precision, rows, mine);
            bool other = v && first && strcmp(class, mine) != 0;
            if (v && first && !other &&
                memcmp(v, first, (size_t)((rows < first_rows ? rows : first_rows) * DIM) * sizeof *v) != 0)
                fail_msg("%s: backend %s gives other bits than the first backend of its class", mine,
                         names[b]);
            if (first || !v) {
                ech_free(v);
                continue;
            }
            first = v;
            first_rows = rows;
            memcpy(class, mine, sizeof class);
        }
        ech_free(first);
    }
    free_pairs(p);
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(quality), cmocka_unit_test(one_class_one_result)};
ECH_TEST_MAIN(tests)
