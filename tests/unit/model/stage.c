/* runtime/model: a model cut into stages gives the bits of the whole one, in every precision and any cut. */
#include "tests/unit/model/fixture.h"

#include "model/stage.h"

#include <unistd.h>

enum { ROWS = 40, STAGES_MOST = 3 };

struct cut {
    int count;
    struct ech_stage stage[STAGES_MOST];
};
static const struct cut cuts[] = {
    {1, {{0, 2, true, true}}},
    {2, {{0, 1, true, false}, {1, 2, false, true}}},
    {2, {{0, 0, true, false}, {0, 2, false, true}}},
    {3, {{0, 0, true, false}, {0, 1, false, false}, {1, 2, false, true}}},
};
enum { CUTS = sizeof cuts / sizeof *cuts };

struct column {
    struct ech_str bytes;
    uint64_t offsets[ROWS + 1];
};

/* Texts of many lengths; some are empty, some are no UTF-8. */
static void make_column(struct column *c)
{
    static const char *const words[] = {"hello ", "world ", "unable ", "[MASK] ", "x", "a b ", ", ", "zzz "};
    ech_str_init(&c->bytes);
    srand(5);
    c->offsets[0] = 0;
    for (int i = 0; i < ROWS; i++) {
        for (int n = rand() % 16; n > 0; n--)
            ech_str_adds(&c->bytes, words[rand() % 8]);
        if (i % 11 == 7)
            ech_str_addc(&c->bytes, (char)0xff);
        c->offsets[i + 1] = c->bytes.length;
    }
}

static struct ech_result *next(struct ech_engine *engine)
{
    struct ech_err err = ECH_ERR_NONE;
    ech_engine_step(engine, 60);
    struct ech_result *r = ech_engine_poll(engine, &err);
    must(err.code, &err);
    assert_non_null(r);
    return r;
}

static struct ech_batch *prepare(struct ech_engine *engine, const struct column *c)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_batch *batch;
    must(ech_engine_prepare(engine, (const unsigned char *)c->bytes.data, c->offsets, ROWS, &batch, &err),
         &err);
    return batch;
}

static struct ech_engine *open_stage(const struct ech_engine_options *o, struct ech_stage stage,
                                     void **packed)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_engine *engine;
    size_t bytes;
    must(ech_engine_load(o, &engine, &err), &err);
    must(ech_stage_bytes(engine, stage, &bytes, &err), &err);
    must(ech_engine_narrow(engine, stage, &err), &err);
    assert_int_equal(ech_engine_packed_bytes(engine), bytes);
    *packed = ech_alloc_aligned(bytes + 64, &err);
    must(ech_engine_pack(engine, *packed, 0, 1, &err), &err);
    must(ech_engine_start(engine, &err), &err);
    return engine;
}

/* One piece through all stages, as messages would carry it. */
static void pass(struct ech_engine *const *stages, int count, struct ech_batch *whole, int64_t first,
                 int64_t end)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_batch *piece;
    int32_t tokens[ROWS];
    must(ech_stage_slice(stages[0], whole, first, end, &piece, &err), &err);
    for (int s = 0; s < count; s++) {
        must(ech_engine_submit(stages[s], piece, first, &err), &err);
        struct ech_result *r = next(stages[s]);
        assert_int_equal(r->tag, first);
        for (int64_t i = 0; i < r->rows; i++)
            tokens[i] = (int32_t)r->row_tokens[i];
        if (s + 1 < count)
            must(ech_stage_receive(stages[s + 1], tokens, r->rows, r->values, &piece, &err), &err);
        else
            ech_stage_gather(whole, first, end - first, r->values);
        ech_result_destroy(r);
    }
}

static struct ech_result *run_cut(const struct ech_engine_options *o, const struct cut *cut,
                                  const struct column *c)
{
    struct ech_engine *stages[STAGES_MOST];
    void *packed[STAGES_MOST];
    for (int s = 0; s < cut->count; s++)
        stages[s] = open_stage(o, cut->stage[s], &packed[s]);
    struct ech_batch *whole = prepare(stages[0], c);
    assert_int_equal(ech_batch_rows(whole), ROWS);
    int64_t pieces = 0;
    for (int64_t at = 0, rows; at < ROWS; at += rows, pieces++) {
        rows = ech_stage_cut(stages[0], whole, at);
        assert_true(rows > 0);
        pass(stages, cut->count, whole, at, at + rows);
    }
    assert_true(pieces > 1);
    for (int s = 0; s < cut->count; s++) {
        ech_engine_close(stages[s]);
        ech_free(packed[s]);
    }
    return ech_stage_finish(whole, 77, 0.5);
}

static void compare(const struct ech_engine_options *o, const struct column *c)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_engine *engine;
    int code = ech_engine_open(o, &engine, &err);
    if (code == ECH_UNAVAILABLE)
        return; /* a format that this processor has not */
    must(code, &err);
    must(ech_engine_submit(engine, prepare(engine, c), 0, &err), &err);
    struct ech_result *truth = next(engine);
    ech_engine_close(engine);
    for (int i = 0; i < CUTS; i++) {
        struct ech_result *r = run_cut(o, &cuts[i], c);
        int64_t vectors = o->pooling == ECH_POOLING_NONE ? r->tokens : r->rows;
        assert_true(r->tag == 77 && r->rows == truth->rows && r->tokens == truth->tokens);
        for (int row = 0; row < ROWS; row++)
            assert_int_equal(r->errors[row] != NULL, truth->errors[row] != NULL);
        if (memcmp(r->values, truth->values, (size_t)(vectors * HIDDEN) * sizeof(float)) != 0)
            fail_msg("cut %d, backend %s, weights %s, compute %s: other bits", i, o->backend, o->weights,
                     o->compute ? o->compute : "auto");
        ech_result_destroy(r);
    }
    ech_result_destroy(truth);
}

static void cuts_change_no_bit(void **state)
{
    (void)state;
    static const char *const backends[] = {"auto", "avx2", "ref_exact", "openblas"};
    static const char *const precisions[][2] = {
        {"f32", NULL}, {"bf16", NULL}, {"bf16", "f32"}, {"int8", NULL}, {"int4", NULL}};
    struct column c;
    put_model("m");
    make_column(&c);
    for (int b = 0; b < 4; b++)
        for (int p = 0; p < 5; p++)
            for (int threads = 1; threads < 3; threads++)
                compare(
                    &(struct ech_engine_options){.model = "m",
                                                 .backend = backends[b],
                                                 .weights = precisions[p][0],
                                                 .compute = precisions[p][1],
                                                 .threads = threads,
                                                 .microbatch_tokens = 30,
                                                 .pooling = b == 1 ? ECH_POOLING_NONE : ECH_POOLING_MODEL},
                    &c);
    ech_str_fini(&c.bytes);
}

/* The stages' bytes add up to the model's. */
static void bytes_add_up(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_engine *engine;
    struct ech_engine_options o = {.model = "m", .backend = "auto", .threads = 1};
    put_model("m");
    must(ech_engine_load(&o, &engine, &err), &err);
    assert_int_equal(ech_engine_layers(engine), LAYERS);
    for (int i = 0; i < CUTS; i++) {
        size_t sum = 0, bytes;
        for (int s = 0; s < cuts[i].count; s++) {
            must(ech_stage_bytes(engine, cuts[i].stage[s], &bytes, &err), &err);
            sum += bytes;
        }
        assert_int_equal(sum, ech_engine_packed_bytes(engine));
    }
    size_t none;
    expect(ech_stage_bytes(engine, (struct ech_stage){1, 3, false, true}, &none, &err), ECH_BUG, &err,
           "the model has 2");
    double speed = 0;
    ech_err_clear(&err);
    must(ech_stage_probe(engine, 20, 0.02, &speed, &err), &err);
    assert_true(speed > 0 && ech_stage_layer_flops(engine, 20) > 0);
    ech_engine_close(engine);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_engine_options o = {.model = "m", .backend = "auto", .threads = 1};
    void *packed;
    put_model("m");
    struct ech_engine *engine = open_stage(&o, cuts[1].stage[1], &packed);
    expect(ech_engine_narrow(engine, cuts[1].stage[0], &err), ECH_BUG, &err, "started already");
    ech_err_clear(&err);
    const int32_t tokens[] = {3, 1 << 20};
    const float states[3 * HIDDEN] = {0};
    struct ech_batch *piece;
    expect(ech_stage_receive(engine, tokens, 2, states, &piece, &err), ECH_BUG, &err, "a lane holds");
    ech_engine_close(engine);
    ech_free(packed);
}

/* Weights cut short between loading and packing: a named error, no SIGBUS, no vectors of zeros. */
static void lost_weights_are_named(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_engine *engine;
    struct ech_engine_options o = {.model = "m", .backend = "auto", .threads = 1};
    put_model("m");
    must(ech_engine_load(&o, &engine, &err), &err);
    void *packed = ech_alloc_aligned(ech_engine_packed_bytes(engine), &err);
    assert_int_equal(truncate("m/model.safetensors", 6000), 0);
    expect(ech_engine_pack(engine, packed, 0, 1, &err), ECH_IO, &err,
           "model.safetensors was cut short while it was read: it has 6000 bytes");
    ech_engine_close(engine);
    ech_free(packed);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(lost_weights_are_named),
    cmocka_unit_test(cuts_change_no_bit),
    cmocka_unit_test(bytes_add_up),
    cmocka_unit_test(what_cannot_be_is_refused),
};

ECH_TEST_MAIN(tests)
