/* runtime/model/heads: classes and poolers of the small model. Which head a file has, its labels, what is
 * refused by name; a row's bits depend on the row alone; pairs. */
#include "tests/unit/model/fixture.h"

#include "base/fault.h"
#include "model/engine.h"
#include "model/heads.h"

#include <math.h>

static const struct ech_engine_options plain = {.model = "m", .backend = "auto", .threads = 2};

static struct ech_engine *open_engine(struct ech_engine_options o)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_engine *engine = NULL;
    must(ech_engine_open(&o, &engine, &err), &err);
    return engine;
}

static struct ech_result *finish(struct ech_engine *engine, struct ech_batch *batch)
{
    struct ech_err err = ECH_ERR_NONE;
    must(ech_engine_submit(engine, batch, 0, &err), &err);
    ech_engine_step(engine, 60);
    struct ech_result *r = ech_engine_poll(engine, &err);
    must(err.code, &err);
    assert_non_null(r);
    return r;
}

static const char texts[] = "hello world"
                            "x"
                            "unable a b , hello"
                            "\xFF"
                            "world world world hello x zzz";
static const uint64_t offsets[] = {0, 11, 12, 30, 31, 60};
enum { ROWS = 5, BAD = 3 };

static struct ech_result *run(struct ech_engine *engine, int64_t first, int64_t rows)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_batch *batch;
    must(ech_engine_prepare(engine, (const unsigned char *)texts, offsets + first, rows, &batch, &err), &err);
    return finish(engine, batch);
}

/* Every row alone gives the bits it has among the others, on every exact backend. */
static void alone(struct ech_engine_options o, const float *want, const int64_t *starts, int64_t dim)
{
    static const char *const backends[] = {"auto", "avx2", "ref_exact"};
    for (int b = 0; b < 3; b++) {
        o.backend = backends[b];
        struct ech_engine *engine = open_engine(o);
        for (int64_t row = 0; row < ROWS; row++) {
            struct ech_result *r = run(engine, row, 1);
            int64_t count = starts[row + 1] - starts[row];
            assert_int_equal(r->errors[0] != NULL, row == BAD);
            assert_memory_equal(r->values, want + starts[row] * dim, (size_t)(count * dim) * sizeof *want);
            ech_result_destroy(r);
        }
        ech_engine_close(engine);
    }
}

/* The classes of rows, by hand from the pooler's vectors; those from the first token's state. */
static void rows(void **state)
{
    (void)state;
    static const int64_t starts[] = {0, 1, 2, 3, 4, 5};
    put_headed(HEADED("BertForSequenceClassification", ""));
    struct ech_engine_options o = plain, pooler = plain;
    o.classes = true;
    pooler.pooling = ECH_POOLING_POOLER;
    pooler.normalize = ECH_NO;
    struct ech_engine *engine = open_engine(o), *pooled = open_engine(pooler);
    assert_int_equal(ech_engine_dim(engine), CLASSES);
    assert_int_equal(ech_engine_labels(engine)->count, CLASSES);
    assert_string_equal(ech_engine_labels(engine)->names[1], "maybe");
    struct ech_result *r = run(engine, 0, ROWS), *v = run(pooled, 0, ROWS);
    static const float zeros[CLASSES];
    assert_memory_equal(r->values + BAD * CLASSES, zeros, sizeof zeros);
    for (int64_t i = 0; i < ROWS * HIDDEN; i++)
        assert_true(fabsf(v->values[i]) <= 1); /* of a tanh */
    assert_true(fabsf(r->values[0] - r->values[CLASSES]) > 1e-4f);
    alone(o, r->values, starts, CLASSES);
    alone(pooler, v->values, starts, HIDDEN);
    ech_result_destroy(r);
    ech_engine_close(engine);
    ech_engine_close(pooled);
    pooler.normalize = ECH_YES;
    pooled = open_engine(pooler);
    r = run(pooled, 0, ROWS);
    for (int64_t row = 0; row < ROWS; row++) {
        double norm = 0;
        for (int64_t i = 0; i < HIDDEN; i++)
            norm += (double)v->values[row * HIDDEN + i] * (double)v->values[row * HIDDEN + i];
        for (int64_t i = 0; row != BAD && i < HIDDEN; i++)
            assert_true(fabs((double)v->values[row * HIDDEN + i] / sqrt(norm) -
                             (double)r->values[row * HIDDEN + i]) < 1e-6);
    }
    ech_result_destroy(r);
    ech_result_destroy(v);
    ech_engine_close(pooled);
}

static void tokens(void **state)
{
    (void)state;
    int64_t starts[ROWS + 1] = {0};
    put_headed(HEADED("BertForTokenClassification", ""));
    struct ech_engine_options o = plain;
    o.classes = true;
    struct ech_engine *engine = open_engine(o);
    assert_true(ech_engine_labels(engine)->tokens);
    struct ech_result *r = run(engine, 0, ROWS);
    for (int64_t row = 0; row < ROWS; row++)
        starts[row + 1] = starts[row] + r->row_tokens[row];
    assert_int_equal(r->row_tokens[0], 4);
    assert_int_equal(r->ids[0], r->ids[4]); /* each row begins alike */
    alone(o, r->values, starts, CLASSES);
    ech_result_destroy(r);
    ech_engine_close(engine);
}

static struct ech_result *run_pair(struct ech_engine *engine, const char *first, const char *second)
{
    struct ech_err err = ECH_ERR_NONE;
    char both[256];
    size_t a = strlen(first), b = strlen(second);
    uint64_t at[] = {0, a, a + b};
    struct ech_batch *batch;
    snprintf(both, sizeof both, "%s%s", first, second);
    must(ech_engine_prepare_pairs(engine, (const unsigned char *)both, at, 1, &batch, &err), &err);
    return finish(engine, batch);
}

/* A pair is [CLS] first [SEP] second [SEP], the second's tokens of type 1. */
static void pairs(void **state)
{
    (void)state;
    put_headed(HEADED("BertForSequenceClassification", ""));
    put_pair_template();
    struct ech_engine_options o = plain;
    struct ech_err err = ECH_ERR_NONE;
    o.classes = true;
    struct ech_engine *engine = open_engine(o);
    struct ech_result *one = run(engine, 0, 1), *pair = run_pair(engine, "hello world", "x"), *got;
    assert_int_equal(pair->row_tokens[0], 6);
    int32_t types[6] = {0, 0, 0, 0, 1, 1}, ids[6];
    memcpy(ids, pair->ids, sizeof ids);
    assert_memory_equal(ids, one->ids, 4 * sizeof *ids);
    const uint64_t whole[] = {0, 6};
    struct ech_batch *batch;
    must(ech_engine_prepare_ids(engine, ids, types, whole, 1, &batch, &err), &err);
    got = finish(engine, batch);
    assert_memory_equal(got->values, pair->values, CLASSES * sizeof(float));
    ech_result_destroy(got);
    got = run_pair(engine, "x", "hello world");
    assert_memory_not_equal(got->values, pair->values, CLASSES * sizeof(float));
    ech_result_destroy(got);
    got = run_pair(engine, "hello", "\xFF");
    assert_string_equal(got->errors[0], "not valid UTF-8 at byte 5");
    ech_result_destroy(got);
    ech_result_destroy(one);
    ech_result_destroy(pair);
    ech_engine_close(engine);
}

static void refused(void **state)
{
    (void)state;
#define ROW "BertForSequenceClassification"
    static const struct {
        const char *config, *says;
    } bad[] = {
        {CONFIG_TEXT(""), "\"architectures\" says nothing: a model ...ForSequenceClassification or"},
        {CONFIG_TEXT(",\"architectures\":[\"BertForMaskedLM\"]"), "says BertForMaskedLM"},
        {HEADED(ROW, ",\"problem_type\":\"ranking\""), "problem_type \"ranking\" is not supported"},
        {HEADED(ROW, ",\"sentence_transformers\":{\"activation_fn\":\"torch.nn.modules.activation.ReLU\"}"),
         "torch.nn.modules.activation.ReLU of the scores"},
        {CONFIG_TEXT(",\"architectures\":[\"" ROW "\"]"), "classifier.weight has shape [3, 36], [2, 36]"},
        {CONFIG_TEXT(",\"architectures\":[\"" ROW "\"],\"id2label\":{\"0\":\"a\",\"2\":\"b\"}"),
         "id2label has no text for label 1 of 2"},
        {CONFIG_TEXT(",\"architectures\":[\"" ROW "\"],\"id2label\":[]"), "id2label is not an object"},
        {CONFIG_TEXT(",\"architectures\":[\"" ROW "\"],\"num_labels\":0"), "0 labels, 1 to"},
    };
    struct ech_engine_options o = plain;
    o.classes = true;
    struct ech_engine *engine = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ech_err err = ECH_ERR_NONE;
        put_headed(bad[i].config);
        expect(ech_engine_load(&o, &engine, &err), ECH_DATA, &err, bad[i].says);
    }
    struct ech_err err = ECH_ERR_NONE;
    put_model("m"); /* without a head */
    put_text("m/config.json", HEADED(ROW, ""));
    expect(ech_engine_load(&o, &engine, &err), ECH_DATA, &err, "has no tensor pooler.dense.weight");
}

/* What scores are made by, from the config alone. */
static void acts(void **state)
{
    (void)state;
    static const struct {
        const char *more;
        enum ech_class_act act;
    } known[] = {
        {"{\"architectures\":[\"" ROW "\"]}", ECH_CLASS_SOFTMAX},
        {"{\"architectures\":[\"" ROW "\"],\"num_labels\":1}", ECH_CLASS_SIGMOID},
        {"{\"architectures\":[\"" ROW "\"],\"problem_type\":\"multi_label_classification\"}",
         ECH_CLASS_SIGMOID},
        {"{\"architectures\":[\"" ROW "\"],\"num_labels\":1,\"problem_type\":\"regression\"}",
         ECH_CLASS_NONE},
        {"{\"architectures\":[\"" ROW "\"],\"num_labels\":1,\"sbert_ce_default_activation_function\":"
         "\"torch.nn.modules.linear.Identity\"}",
         ECH_CLASS_NONE},
        {"{\"architectures\":[\"" ROW "\"],\"sentence_transformers\":{\"activation_fn\":"
         "\"torch.nn.modules.activation.Sigmoid\"}}",
         ECH_CLASS_SIGMOID},
        {"{\"architectures\":[\"XForTokenClassification\"],\"num_labels\":1}", ECH_CLASS_SOFTMAX},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct ech_spec spec = {.model_type = "bert"};
        struct ech_err err = ECH_ERR_NONE;
        struct ech_labels labels;
        json_t *config = json_loads(known[i].more, 0, NULL);
        must(ech_spec_read_classes("config.json", config, &spec, &labels, &err), &err);
        assert_int_equal(labels.act, known[i].act);
        assert_int_equal(spec.classes, labels.count);
        assert_string_equal(labels.names[0], "LABEL_0");
        ech_labels_fini(&labels);
        json_decref(config);
    }
    struct ech_spec spec = {.model_type = "electra"};
    struct ech_err err = ECH_ERR_NONE;
    expect(ech_spec_read_pooler("config.json", &spec, &err), ECH_CONFIG, &err, "type electra have no pooler");
}

/* One failure at every place that can fail, over opening, a pair, closing: an error, nothing lost. */
static int whole_life(struct ech_err *err)
{
    static const uint64_t at[] = {0, 11, 12};
    struct ech_engine *engine = NULL;
    struct ech_batch *batch = NULL;
    struct ech_engine_options o = plain;
    o.backend = "ref_exact";
    o.classes = true;
    int code = ech_engine_open(&o, &engine, err);
    if (code == ECH_OK)
        code = ech_engine_prepare_pairs(engine, (const unsigned char *)texts, at, 1, &batch, err);
    if (code == ECH_OK)
        ech_batch_destroy(batch);
    ech_engine_close(engine);
    return code;
}

static void faults(void **state)
{
    (void)state;
    bool fired = true;
    int64_t n = 1;
    put_headed(HEADED(ROW, ""));
    put_pair_template();
    for (; fired; n = n < 200 ? n + 1 : n * 13 / 10) {
        struct ech_err err = ECH_ERR_NONE;
        ech_fault_arm(-1, n);
        int code = whole_life(&err);
        fired = ech_fault_fired();
        ech_fault_arm(-1, 0);
        if (fired != (code != ECH_OK) || (fired && !err.text[0]))
            fail_msg("fault %lld: status %d, \"%s\"", (long long)n, code, err.text);
    }
    assert_true(n > 30);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(rows),    cmocka_unit_test(tokens), cmocka_unit_test(pairs),
    cmocka_unit_test(refused), cmocka_unit_test(acts),   cmocka_unit_test(faults),
};
ECH_TEST_MAIN(tests)
