/* runtime/model: the engine. A row's bits depend on the row alone; options, bad rows, budgets, faults. */
#include "tests/unit/model/fixture.h"

#include "base/fault.h"
#include "base/num.h"
#include "model/engine.h"
#include "model/lanes.h"

#include <math.h>

/* Rows of many lengths: texts of the small vocabulary, some of them empty. */
struct column {
    struct ech_str bytes;
    uint64_t offsets[200];
    int64_t rows;
};

static struct column make_column(int64_t rows)
{
    static const char *const words[] = {"hello ", "world ", "unable ", "[MASK] ", "x", "a b ", ", ", "zzz "};
    struct column c = {.rows = rows};
    ech_str_init(&c.bytes);
    srand(9);
    for (int64_t i = 0; i < rows; i++) {
        for (int n = rand() % 16; n > 0; n--)
            ech_str_adds(&c.bytes, words[rand() % 8]);
        c.offsets[i + 1] = c.bytes.length;
    }
    if (!c.bytes.data)
        ech_str_adds(&c.bytes, "");
    return c;
}

static const struct ech_engine_options plain = {.model = "m", .backend = "auto", .threads = 1};

static struct ech_engine *open_engine(const struct ech_engine_options *options)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_engine *engine = NULL;
    must(ech_engine_open(options, &engine, &err), &err);
    return engine;
}

static struct ech_result *next_result(struct ech_engine *engine)
{
    struct ech_err err = ECH_ERR_NONE;
    ech_engine_step(engine, 60);
    struct ech_result *r = ech_engine_poll(engine, &err);
    must(err.code, &err);
    assert_non_null(r);
    return r;
}

static void submit(struct ech_engine *engine, const struct column *c, int64_t first, int64_t rows,
                   int64_t tag)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_batch *batch;
    must(ech_engine_prepare(engine, (const unsigned char *)c->bytes.data, c->offsets + first, rows, &batch,
                            &err),
         &err);
    must(ech_engine_submit(engine, batch, tag, &err), &err);
}

static struct ech_result *run(struct ech_engine *engine, const struct column *c, int64_t first, int64_t rows)
{
    submit(engine, c, first, rows, first);
    return next_result(engine);
}

static void assert_same(const float *a, const float *b, int64_t count)
{
    assert_memory_equal(a, b, (size_t)count * sizeof *a);
}

/* Every row alone is the truth; then batches of all sizes, lanes and micro-batches. */
static void same_bits(void **state)
{
    (void)state;
    enum { ROWS = 60 };
    struct column c = make_column(ROWS);
    float truth[ROWS][HIDDEN];
    put_model("m");
    struct ech_engine *engine = open_engine(&plain);
    for (int64_t i = 0; i < ROWS; i++) {
        struct ech_result *r = run(engine, &c, i, 1);
        assert_int_equal(r->dim, HIDDEN);
        memcpy(truth[i], r->values, sizeof truth[i]);
        ech_result_destroy(r);
    }
    ech_engine_close(engine);
    static const struct {
        int threads;
        int64_t microbatch, batch;
        const char *backend;
    } ways[] = {{1, 0, 60, "auto"},  {2, 0, 7, "auto"},   {3, 1, 60, "auto"},      {2, 24, 13, "auto"},
                {4, 100, 1, "auto"}, {2, 37, 60, "auto"}, {1, 0, 60, "ref_exact"}, {3, 50, 16, "ref_exact"}};
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        struct ech_engine_options o = plain;
        o.threads = ways[w].threads;
        o.microbatch_tokens = ways[w].microbatch;
        o.backend = ways[w].backend;
        engine = open_engine(&o);
        if (strncmp(ech_engine_numerics(engine), "cpu-f32", 7) != 0) {
            ech_engine_close(engine); /* OpenBLAS promises other bits */
            continue;
        }
        for (int64_t i = 0; i < ROWS; i += ways[w].batch)
            submit(engine, &c, i, ech_min64(ways[w].batch, ROWS - i), i);
        for (int64_t i = 0; i < ROWS; i += ways[w].batch) {
            struct ech_result *r = next_result(engine);
            assert_same(r->values, truth[r->tag], r->rows * HIDDEN);
            assert_true(r->seconds > 0);
            ech_result_destroy(r);
        }
        ech_engine_close(engine);
    }
    ech_str_fini(&c.bytes);
}

static void poolings(void **state)
{
    (void)state;
    struct column c = make_column(20);
    put_model("m");
    struct ech_engine_options o = plain;
    o.pooling = ECH_POOLING_NONE;
    struct ech_engine *engine = open_engine(&o);
    struct ech_result *hidden = run(engine, &c, 0, 20);
    ech_engine_close(engine);
    for (int kind = ECH_POOLING_MEAN; kind <= ECH_POOLING_MAX; kind++)
        for (int normalize = ECH_NO; normalize <= ECH_YES; normalize++) {
            o.pooling = (enum ech_pooling)kind;
            o.normalize = (enum ech_tristate)normalize;
            engine = open_engine(&o);
            struct ech_result *r = run(engine, &c, 0, 20);
            const float *x = hidden->values;
            for (int64_t row = 0; row < 20; x += hidden->row_tokens[row++] * HIDDEN) {
                double want[HIDDEN], norm = 0;
                for (int d = 0; d < HIDDEN; d++) {
                    want[d] = kind == ECH_POOLING_MEAN ? 0 : (double)x[d];
                    for (int64_t t = 0; t < hidden->row_tokens[row]; t++) {
                        double v = (double)x[t * HIDDEN + d];
                        want[d] = kind == ECH_POOLING_MEAN  ? want[d] + v / (double)hidden->row_tokens[row]
                                  : kind == ECH_POOLING_MAX ? fmax(want[d], v)
                                                            : want[d];
                    }
                    norm += want[d] * want[d];
                }
                for (int d = 0; d < HIDDEN; d++)
                    assert_true(fabs((double)r->values[row * HIDDEN + d] -
                                     want[d] / (normalize == ECH_YES ? sqrt(norm) : 1)) < 1e-5);
            }
            ech_result_destroy(r);
            ech_engine_close(engine);
        }
    ech_result_destroy(hidden);
    ech_str_fini(&c.bytes);
}

static struct ech_result *one_text(const struct ech_engine_options *o, const char *text, size_t bytes)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_engine *engine = open_engine(o);
    struct ech_batch *batch;
    uint64_t offsets[2] = {0, bytes};
    must(ech_engine_prepare(engine, (const unsigned char *)text, offsets, 1, &batch, &err), &err);
    must(ech_engine_submit(engine, batch, 0, &err), &err);
    struct ech_result *r = next_result(engine);
    ech_engine_close(engine);
    return r;
}

/* Prompt and prefix are as if they stood in the text. */
static void leads(void **state)
{
    (void)state;
    put_model("m");
    struct ech_engine_options with = plain;
    struct ech_result *want = one_text(&plain, "hello world", 11), *got;
    with.prefix = "hello ";
    got = one_text(&with, "world", 5);
    assert_same(want->values, got->values, HIDDEN);
    ech_result_destroy(got);
    with.prefix = NULL;
    with.prompt = "query";
    got = one_text(&with, "world", 5);
    assert_same(want->values, got->values, HIDDEN);
    ech_result_destroy(got);
    with.prefix = "wor";
    got = one_text(&with, "ld", 2);
    assert_same(want->values, got->values, HIDDEN);
    ech_result_destroy(got);
    ech_result_destroy(want);
    with.prefix = "\xFF";
    struct ech_err err = ECH_ERR_NONE;
    struct ech_engine *engine;
    expect(ech_engine_load(&with, &engine, &err), ECH_CONFIG, &err, "prefix is not valid UTF-8");
}

/* Bad rows say why and yield zeros; their neighbours do not notice. */
static void bad_rows(void **state)
{
    (void)state;
    static const char text[] = "hello world"
                               "a b \xFF"
                               "x"
                               "a b c a b c a b c a b c a b c a b c a b c a b c a b c a b c a b c a b c";
    const uint64_t offsets[] = {0, 11, 16, 17, sizeof text - 1};
    struct ech_err err = ECH_ERR_NONE;
    put_model("m");
    struct ech_engine_options o = plain;
    o.on_long_error = true;
    o.prefix = "a ";
    struct ech_engine *engine = open_engine(&o);
    struct ech_batch *batch;
    must(ech_engine_prepare(engine, (const unsigned char *)text, offsets, 4, &batch, &err), &err);
    int64_t tokens = ech_batch_tokens(batch);
    must(ech_engine_submit(engine, batch, 5, &err), &err);
    struct ech_result *r = next_result(engine);
    assert_int_equal(r->rows, 4);
    assert_int_equal(r->tokens, tokens);
    assert_null(r->errors[0]);
    assert_string_equal(r->errors[1], "not valid UTF-8 at byte 4");
    assert_null(r->errors[2]);
    assert_string_equal(r->errors[3], "too long: 39 tokens, the most is 24");
    assert_int_equal(r->row_tokens[1], 0);
    static const float zeros[HIDDEN];
    assert_same(r->values + HIDDEN, zeros, HIDDEN);
    assert_same(r->values + 3 * HIDDEN, zeros, HIDDEN);
    struct ech_result *alone = one_text(&o, "x", 1);
    assert_same(r->values + 2 * HIDDEN, alone->values, HIDDEN);
    ech_result_destroy(alone);
    ech_result_destroy(r);
    ech_engine_close(engine);
    o.on_long_error = false;
    r = one_text(&o, text + 17, sizeof text - 18);
    assert_null(r->errors[0]);
    assert_int_equal(r->row_tokens[0], 24);
    ech_result_destroy(r);
}

static void ids(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    put_model("m");
    struct ech_engine *engine = open_engine(&plain);
    struct ech_batch *batch;
    int32_t row[30] = {2, 6, 9, 3}, types[30] = {0, 0, 1, 1};
    const uint64_t two[] = {0, 4, 4}, back[] = {4, 0}, many[] = {0, 30};
    must(ech_engine_prepare_ids(engine, row, types, two, 2, &batch, &err), &err);
    must(ech_engine_submit(engine, batch, 0, &err), &err);
    struct ech_result *typed = next_result(engine);
    assert_null(typed->errors[0]);
    assert_string_equal(typed->errors[1], "the row has no tokens");
    must(ech_engine_prepare_ids(engine, row, NULL, two, 1, &batch, &err), &err);
    must(ech_engine_submit(engine, batch, 0, &err), &err);
    struct ech_result *untyped = next_result(engine);
    assert_memory_not_equal(typed->values, untyped->values, HIDDEN * sizeof(float));
    ech_result_destroy(typed);
    ech_result_destroy(untyped);
    must(ech_engine_prepare_ids(engine, row, NULL, many, 1, &batch, &err), &err);
    must(ech_engine_submit(engine, batch, 0, &err), &err);
    typed = next_result(engine);
    assert_string_equal(typed->errors[0], "too long: 30 tokens, the most is 24");
    ech_result_destroy(typed);
    expect(ech_engine_prepare_ids(engine, row, NULL, back, 1, &batch, &err), ECH_DATA, &err, "go back");
    row[1] = VOCAB;
    ech_err_clear(&err);
    expect(ech_engine_prepare_ids(engine, row, NULL, two, 1, &batch, &err), ECH_DATA, &err,
           "token id 80 at 1, 0 to 79");
    row[1] = -1;
    ech_err_clear(&err);
    expect(ech_engine_prepare_ids(engine, row, NULL, two, 1, &batch, &err), ECH_DATA, &err, "token id -1");
    row[1] = 1;
    types[0] = 2;
    ech_err_clear(&err);
    expect(ech_engine_prepare_ids(engine, row, types, two, 1, &batch, &err), ECH_DATA, &err,
           "token type 2 at 0");
    ech_engine_close(engine);
}

static void empty_batches(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    put_model("m");
    struct ech_engine *engine = open_engine(&plain);
    struct column c = make_column(0);
    assert_null(ech_engine_poll(engine, &err));
    ech_engine_step(engine, 60); /* nothing in flight: at once */
    struct ech_result *r = run(engine, &c, 0, 0);
    assert_int_equal(r->rows, 0);
    ech_result_destroy(r);
    ech_str_fini(&c.bytes);
    ech_engine_close(engine);
}

/* Parts packed by turns give the bytes of one; the file mapping may go away after the start. */
static void packing(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    put_model("m");
    struct ech_engine *one, *many;
    must(ech_engine_load(&plain, &one, &err), &err);
    must(ech_engine_load(&plain, &many, &err), &err);
    size_t bytes = ech_engine_packed_bytes(one);
    void *a = ech_alloc_aligned(bytes, &err), *b = ech_alloc_aligned(bytes, &err);
    memset(a, 0, bytes);
    memset(b, 0, bytes);
    must(ech_engine_pack(one, a, 0, 1, &err), &err);
    for (int64_t part = 6; part >= 0; part--)
        must(ech_engine_pack(many, b, part, 7, &err), &err);
    assert_memory_equal(a, b, bytes);
    expect(ech_engine_pack(one, a, 2, 2, &err), ECH_BUG, &err, "part 2 of 2");
    must(ech_engine_start(many, &err), &err);
    ech_err_clear(&err);
    expect(ech_engine_start(many, &err), ECH_BUG, &err, "started once");
    struct column c = make_column(3);
    ech_result_destroy(run(many, &c, 0, 3));
    ech_str_fini(&c.bytes);
    ech_engine_close(one);
    ech_engine_close(many);
    ech_free(a);
    ech_free(b);
}

static int load(struct ech_engine_options o, struct ech_err *err)
{
    struct ech_engine *engine = NULL;
    int code = ech_engine_load(&o, &engine, err);
    ech_engine_close(engine);
    return code;
}

#define REFUSED(code, says, change)                                                                          \
    do {                                                                                                     \
        struct ech_err why = ECH_ERR_NONE;                                                                   \
        struct ech_engine_options asked = plain;                                                             \
        asked.change;                                                                                        \
        expect(load(asked, &why), code, &why, says);                                                         \
    } while (0)

static void options(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    put_model("m");
    REFUSED(ECH_CONFIG, "threads is 0", threads = 0);
    REFUSED(ECH_CONFIG, "no model", model = NULL);
    REFUSED(ECH_NOINPUT, "nowhere", model = "nowhere");
    REFUSED(ECH_CONFIG, "must not be negative", max_tokens = -1);
    REFUSED(ECH_CONFIG, "max_tokens is 49, the model's positions end at 48", max_tokens = 49);
    REFUSED(ECH_CONFIG, "2 special tokens leave no room", max_tokens = 2);
    REFUSED(ECH_UNAVAILABLE, "no backend 'warp'", backend = "warp");
    REFUSED(ECH_UNAVAILABLE, "the memory budget is 1000 bytes", memory_bytes = 1000);
    REFUSED(ECH_CONFIG, "weights in f32 with compute in int8", compute = "int8");
    REFUSED(ECH_UNAVAILABLE, "does not compute in f16, it has f32", weights = "f16");
    struct ech_engine_options four = plain;
    four.weights = "int4"; /* compute follows: int8 */
    four.backend = "ref_exact";
    must(load(four, &err), &err);
    must(load((struct ech_engine_options){.model = "m", .threads = 1, .max_tokens = 48}, &err), &err);
    struct ech_engine *engine;
    struct ech_engine_options o = plain;
    must(ech_engine_load(&o, &engine, &err), &err);
    size_t whole = ech_engine_workspace_bytes(engine);
    assert_int_equal(ech_engine_max_tokens(engine), 24);
    assert_true(ech_engine_flops(engine, 10) > 0);
    ech_engine_close(engine);
    o.memory_bytes = (int64_t)whole / 2; /* smaller micro-batches fit */
    must(ech_engine_load(&o, &engine, &err), &err);
    assert_true(ech_engine_workspace_bytes(engine) <= whole / 2);
    ech_engine_close(engine);
}

static void file_list(void **state)
{
    (void)state;
    static const char *const want[] = {"config.json",
                                       "model.safetensors",
                                       "tokenizer.json",
                                       "modules.json",
                                       "config_sentence_transformers.json",
                                       "1_Pooling/config.json",
                                       "sentence_bert_config.json"};
    put_model("m");
    struct ech_engine *engine = open_engine(&plain);
    const char *const *files = ech_engine_files(engine);
    size_t count = 0;
    for (; files[count]; count++)
        assert_true(count < 7 && strcmp(files[count], want[count]) == 0);
    assert_int_equal(count, 7);
    ech_engine_close(engine);
}

static void no_tokenizer(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    put_model("m");
    must(ech_remove_all("m/tokenizer.json", &err), &err);
    struct ech_engine *engine = open_engine(&plain);
    struct column c = make_column(1);
    struct ech_batch *batch;
    expect(ech_engine_prepare(engine, (unsigned char *)c.bytes.data, c.offsets, 1, &batch, &err), ECH_NOINPUT,
           &err, "neither tokenizer.json nor vocab.txt");
    ech_engine_close(engine);
    ech_str_fini(&c.bytes);
    put_text("m/tokenizer.json", "{\"model\":{\"type\":\"Bigram\"}}");
    REFUSED(ECH_DATA, "\"Bigram\"", prefix = NULL);
    put_text("m/tokenizer.json",
             "{\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"model\":{\"type\":\"WordPiece\","
             "\"vocab\":{\"[UNK]\":80}}}");
    REFUSED(ECH_DATA, "ids up to 80, the model embeds 80", prefix = NULL);
}

/* Batches that no lane began do not come back; the engine goes on. */
static void cancel(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct column c = make_column(100);
    put_model("m");
    struct ech_engine *engine = open_engine(&plain);
    for (int round = 0; round < 5; round++) {
        for (int64_t i = 0; i < 20; i++)
            submit(engine, &c, 0, 100, i);
        ech_engine_cancel(engine);
        int came = 0;
        struct ech_result *r;
        for (int wait = 0; wait < 3; wait++) {
            ech_engine_step(engine, 1);
            while ((r = ech_engine_poll(engine, &err))) {
                came++;
                ech_result_destroy(r);
            }
        }
        assert_true(came < 20);
        r = run(engine, &c, 0, 10);
        assert_int_equal(r->rows, 10);
        ech_result_destroy(r);
    }
    submit(engine, &c, 0, 100, 1); /* closing with work in flight */
    ech_engine_close(engine);
    ech_str_fini(&c.bytes);
}

/* The cut: whole rows, near the target, within the capacity; equal shares at the tail. */
static void cuts(void **state)
{
    (void)state;
    const int64_t starts[] = {0, 100, 200, 200, 300, 560, 570};
    assert_int_equal(ech_lanes_cut(starts, 6, 0, 240, 256), 3);
    assert_int_equal(ech_lanes_cut(starts, 6, 0, 100, 256), 1);
    assert_int_equal(ech_lanes_cut(starts, 6, 0, 160, 256), 2); /* 200 is nearer than 100 */
    assert_int_equal(ech_lanes_cut(starts, 6, 3, 240, 260), 1);
    assert_int_equal(ech_lanes_cut(starts, 6, 4, 240, 260), 1); /* a long row alone */
    assert_int_equal(ech_lanes_cut(starts, 6, 5, 240, 260), 1);
    assert_int_equal(ech_lanes_target(100000, 2, 240), 240);
    assert_int_equal(ech_lanes_target(300, 2, 240), 150);
    assert_int_equal(ech_lanes_target(10, 2, 240), 64);
    assert_int_equal(ech_lanes_target(0, 2, 16), 16);
}

/* One failure at every place that can fail: a clean error, nothing lost, then a whole run. */
static int whole_life(const struct column *c, struct ech_err *err)
{
    struct ech_engine *engine = NULL;
    struct ech_batch *batch = NULL;
    struct ech_engine_options o = plain;
    o.backend = "ref_exact";
    int code = ech_engine_open(&o, &engine, err);
    if (code == ECH_OK)
        code = ech_engine_prepare(engine, (const unsigned char *)c->bytes.data, c->offsets, c->rows, &batch,
                                  err);
    if (code == ECH_OK)
        code = ech_engine_submit(engine, batch, 0, err);
    if (code == ECH_OK) {
        ech_engine_step(engine, 60);
        struct ech_result *r = ech_engine_poll(engine, err);
        code = err->code;
        assert_true(code != ECH_OK || r);
        ech_result_destroy(r);
    }
    ech_engine_close(engine);
    return code;
}

static void faults(void **state)
{
    (void)state;
    struct column c = make_column(2);
    put_model("m");
    bool fired = true;
    int64_t n = 1;
    for (; fired; n = n < 200 ? n + 1 : n * 13 / 10) {
        struct ech_err err = ECH_ERR_NONE;
        ech_fault_arm(-1, n);
        int code = whole_life(&c, &err);
        fired = ech_fault_fired();
        ech_fault_arm(-1, 0);
        if (fired != (code != ECH_OK) || (fired && !err.text[0]))
            fail_msg("fault %lld: status %d, \"%s\"", (long long)n, code, err.text);
    }
    assert_true(n > 30);
    ech_str_fini(&c.bytes);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(same_bits), cmocka_unit_test(poolings),     cmocka_unit_test(leads),
    cmocka_unit_test(bad_rows),  cmocka_unit_test(ids),          cmocka_unit_test(empty_batches),
    cmocka_unit_test(packing),   cmocka_unit_test(options),      cmocka_unit_test(file_list),
    cmocka_unit_test(cancel),    cmocka_unit_test(no_tokenizer), cmocka_unit_test(cuts),
    cmocka_unit_test(faults),
};
ECH_TEST_MAIN(tests)
