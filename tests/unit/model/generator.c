/* The generator: a row's text follows from the row, the options and the weights alone; where texts end; rows
 * that cannot be. */
#include "tests/unit/model/writer.h"

#include "model/generator.h"

#include <math.h>

enum { ROWS = 14, IDS = 80, TWINS_MOST = 3 };

/* --- a generator over one of the two models --- */

struct way {
    const char *model, *kv;
    int64_t sequences, step_tokens, cache_rows, logits_rows; /* 0: enough */
    int threads, twins;
    struct ech_generator_options more; /* what the rows must not depend on is not among these */
};

struct made {
    struct ech_lm *lm, *twins[TWINS_MOST];
    struct ech_tokenizer *tokenizer;
    struct ech_generator *generator;
};

static struct made open_way(const struct way *way)
{
    struct ech_err err = ECH_ERR_NONE;
    struct made m = {0};
    struct ech_generator_options options = way->more;
    struct ech_lm_options lm = {.model = way->model,
                                .kv = way->kv,
                                .backend = "auto",
                                .threads = way->threads ? way->threads : 1,
                                .sequences = way->sequences ? way->sequences : 4,
                                .step_tokens = 512,
                                .logits_rows = way->logits_rows ? way->logits_rows : 16,
                                .cache_bytes = way->cache_rows * RANDOM_ROW};
    must(ech_lm_open(&lm, &m.lm, &err), &err);
    must(ech_tokenizer_open(way->model, &m.tokenizer, &err), &err);
    for (int i = 0; i < way->twins; i++)
        must(ech_lm_twin(m.lm, &m.twins[i], &err), &err);
    options.decoder = m.lm;
    options.twins = m.twins;
    options.twins_count = way->twins;
    options.tokenizer = m.tokenizer;
    options.threads = lm.threads;
    options.sequences = lm.sequences;
    options.step_tokens = way->step_tokens ? way->step_tokens : 512;
    options.logits_rows = lm.logits_rows;
    must(ech_generator_open(&options, &m.generator, &err), &err);
    return m;
}

static void close_way(struct made *m)
{
    ech_generator_close(m->generator);
    ech_tokenizer_close(m->tokenizer);
    for (int i = 0; i < TWINS_MOST; i++)
        ech_lm_close(m->twins[i]);
    ech_lm_close(m->lm);
}

/* Greedy, nothing forced; tokens END end. */
static struct ech_generator_options plain(void)
{
    struct ech_generator_options o = {.sampling = ECH_SAMPLING_GREEDY, .log_probabilities = true};
    o.rules = (struct ech_generator_rules){
        .ends = {END, -1}, .banned = {-1}, .forced_first = -1, .forced_last = -1};
    return o;
}

static struct ech_request *add(struct ech_write_batch *batch, uint64_t row, const int32_t *ids, int64_t count,
                               int64_t most, int64_t scored)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_request *r;
    must(ech_write_batch_add(batch, &r, &err), &err);
    *r = (struct ech_request){.row = row, .count = count, .most = most, .scored = scored};
    r->ids = ech_calloc((size_t)count, sizeof *r->ids, &err);
    assert_non_null(r->ids);
    memcpy(r->ids, ids, (size_t)count * sizeof *ids);
    must(ech_write_batch_row(batch, &err), &err);
    return r;
}

static struct ech_write_batch *new_batch(int64_t tag)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_write_batch *batch;
    must(ech_write_batch_create(tag, &batch, &err), &err);
    return batch;
}

static struct ech_write_batch *wait_for(struct ech_generator *g)
{
    for (int i = 0; i < 400; i++) {
        struct ech_err err = ECH_ERR_NONE;
        struct ech_write_batch *batch = ech_generator_poll(g, &err);
        must(err.code, &err);
        if (batch)
            return batch;
        ech_generator_step(g, 0.1);
    }
    fail_msg("nothing came within 40 s");
    return NULL;
}

/* One text through a generator. */
static struct ech_write_batch *run_one(struct ech_generator *g, uint64_t row, const int32_t *ids,
                                       int64_t count, int64_t most, int64_t scored)
{
    struct ech_write_batch *batch = new_batch(0);
    add(batch, row, ids, count, most, scored);
    ech_generator_submit(g, batch);
    return wait_for(g);
}

/* --- the same whatever else is under way --- */

static int64_t prompt_of(int row, int32_t *ids)
{
    int64_t count = 1 + row * 5 % 9;
    for (int64_t i = 0; i < count; i++)
        ids[i] = (int32_t)(LETTER_A + (row * 31 + i * 17) % (WORDS - LETTER_A));
    return count;
}

struct result {
    int64_t count, scores;
    enum ech_finish finish;
    int32_t ids[IDS];
    double log_probabilities[IDS], score[IDS];
};

static void keep(const struct ech_write_batch *batch, struct result *results)
{
    for (int64_t i = 0; i < batch->count; i++) {
        const struct ech_request *r = &batch->requests[i];
        const struct ech_written *w = &batch->written[i];
        struct result *to = &results[r->row - 1000];
        assert_null(r->error);
        assert_true(w->count <= IDS && r->count <= IDS);
        memset(to, 0, sizeof *to);
        to->count = w->count;
        to->finish = w->finish;
        to->scores = r->count - r->scored;
        if (w->count)
            memcpy(to->ids, w->ids, (size_t)w->count * sizeof *w->ids);
        if (w->count && w->log_probabilities)
            memcpy(to->log_probabilities, w->log_probabilities, (size_t)w->count * sizeof(double));
        if (to->scores)
            memcpy(to->score, w->scores, (size_t)to->scores * sizeof(double));
    }
}

/* All rows in `batches` of them, from the first or from the last on. */
static void run_rows(struct ech_generator *g, int batches, bool backwards, struct result *results)
{
    int row = 0;
    for (int b = 0; b < batches; b++) {
        struct ech_write_batch *batch = new_batch(b);
        for (int end = ROWS * (b + 1) / batches; row < end; row++) {
            int32_t ids[IDS];
            int which = backwards ? ROWS - 1 - row : row;
            int64_t count = prompt_of(which, ids), most = which % 5 == 4 ? 0 : 3 + which * 7 % 30;
            add(batch, 1000 + (uint64_t)which, ids, count, most, which % 3 == 0 || most == 0 ? 1 : count);
        }
        ech_generator_submit(g, batch);
    }
    for (int b = 0; b < batches; b++) {
        struct ech_write_batch *batch = wait_for(g);
        assert_true(batch->tokens > 0);
        keep(batch, results);
        ech_write_batch_destroy(batch);
    }
}

static void compare(const struct result *a, const struct result *b, const char *how)
{
    for (int row = 0; row < ROWS; row++)
        if (memcmp(&a[row], &b[row], sizeof *a) != 0)
            fail_msg("row %d differs from itself alone: %s", row, how);
}

static void alone(struct ech_generator_options more, const char *kv, struct result *out)
{
    struct made m = open_way(&(struct way){.model = "random", .kv = kv, .sequences = 1, .more = more});
    for (int row = 0; row < ROWS; row++) {
        int32_t ids[IDS];
        int64_t count = prompt_of(row, ids), most = row % 5 == 4 ? 0 : 3 + row * 7 % 30;
        struct ech_write_batch *batch = run_one(m.generator, 1000 + (uint64_t)row, ids, count, most,
                                                row % 3 == 0 || most == 0 ? 1 : count);
        keep(batch, out);
        ech_write_batch_destroy(batch);
    }
    close_way(&m);
}

static const struct {
    const char *how;
    struct way way;
    int batches;
    bool backwards;
} ways[] = {
    {"all at once", {.sequences = ROWS}, 1, false},
    {"backwards, in batches of one", {.sequences = 5}, ROWS, true},
    {"three at a time, prompts in pieces", {.sequences = 3, .step_tokens = 4}, 4, false},
    {"more rows than a step has tokens", {.sequences = ROWS, .step_tokens = 3, .logits_rows = 2}, 2, true},
    {"a cache of one whole row", {.sequences = ROWS, .cache_rows = CONTEXT}, 2, false},
    {"two threads", {.sequences = 6, .threads = 2}, 3, true},
    {"two lanes", {.sequences = 4, .twins = 1}, 3, true},
    {"four lanes, small caches", {.sequences = 3, .cache_rows = CONTEXT, .twins = 3}, 4, false},
};

static void same_in_all_ways(struct ech_generator_options more, const char *kv)
{
    static struct result want[ROWS], got[ROWS];
    put_writer("random", true);
    alone(more, kv, want);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct way way = ways[i].way;
        way.model = "random";
        way.more = more;
        way.kv = kv;
        struct made m = open_way(&way);
        memset(got, 1, sizeof got);
        run_rows(m.generator, ways[i].batches, ways[i].backwards, got);
        compare(want, got, ways[i].how);
        close_way(&m);
    }
}

static void greedy(void **state)
{
    (void)state;
    same_in_all_ways(plain(), NULL);
}

/* Keys and values in bf16: other numbers, the same in all ways. */
static void half_cache(void **state)
{
    (void)state;
    same_in_all_ways(plain(), "bf16");
}

static void sampled(void **state)
{
    (void)state;
    struct ech_generator_options more = plain();
    more.sampling = (struct ech_sampling){
        .temperature = 1.5, .top_k = 60, .top_p = 0.98, .min_p = 0.001, .repetition_penalty = 1.3, .seed = 9};
    more.rules.banned[0] = 40;
    more.rules.banned[1] = -1;
    same_in_all_ways(more, NULL);
}

/* The seed and the row's number decide, nothing else. */
static void seeds(void **state)
{
    (void)state;
    const int32_t ids[] = {7, 50, 31};
    int equal[3] = {0};
    put_writer("random", true);
    struct ech_generator_options more = plain();
    more.sampling.temperature = 1;
    struct result first[8], other[8];
    for (int pass = 0; pass < 3; pass++) {
        more.sampling.seed = pass == 2;
        struct made m = open_way(&(struct way){.model = "random", .sequences = 8, .more = more});
        struct ech_write_batch *batch = new_batch(0);
        for (int row = 0; row < 8; row++)
            add(batch, 1000 + (uint64_t)row, ids, 3, 12, 3);
        ech_generator_submit(m.generator, batch);
        batch = wait_for(m.generator);
        keep(batch, pass ? other : first);
        ech_write_batch_destroy(batch);
        close_way(&m);
        for (int row = 0; row < 8; row++)
            equal[pass] += pass ? memcmp(&first[row], &other[row], sizeof *first) == 0
                                : row && memcmp(&first[0], &first[row], sizeof *first) == 0;
    }
    assert_int_equal(equal[0], 0); /* no two rows alike */
    assert_int_equal(equal[1], 8); /* each row as before */
    assert_int_equal(equal[2], 0); /* another seed, other texts */
}

/* What was written, read again as a prompt, has the log-probabilities that it was written with. */
static void scores(void **state)
{
    (void)state;
    const int32_t prompt[] = {12, 90, 4, 4, 61};
    int32_t ids[IDS];
    struct result written[1], read[1];
    put_writer("random", true);
    struct made m = open_way(&(struct way){.model = "random", .step_tokens = 7, .more = plain()});
    struct ech_write_batch *batch = run_one(m.generator, 1000, prompt, 5, 20, 5);
    keep(batch, written);
    ech_write_batch_destroy(batch);
    memcpy(ids, prompt, sizeof prompt);
    memcpy(ids + 5, written->ids, (size_t)written->count * sizeof *ids);
    batch = run_one(m.generator, 1000, ids, 5 + written->count, 0, 5);
    keep(batch, read);
    assert_true(written->count > 0);
    assert_int_equal(read->scores, written->count);
    assert_memory_equal(read->score, written->log_probabilities, (size_t)written->count * sizeof(double));
    ech_write_batch_destroy(batch);
    close_way(&m);
}

/* --- where texts end --- */

/* What the counter writes behind a token, and why it ended. */
static void counts(struct ech_generator_options more, int32_t from, int64_t most, const int32_t *want,
                   int64_t count, enum ech_finish finish)
{
    struct made m = open_way(&(struct way){.model = "counter", .more = more});
    struct ech_write_batch *batch = run_one(m.generator, 0, &from, 1, most, 1);
    const struct ech_written *w = batch->written;
    if (w->count != count || w->finish != finish)
        fail_msg("%lld tokens, \"%s\"; %lld, \"%s\" expected", (long long)w->count,
                 ech_finish_name(w->finish), (long long)count, ech_finish_name(finish));
    for (int64_t i = 0; i < count; i++)
        assert_int_equal(w->ids[i], want ? want[i] : from + 1 + i);
    ech_write_batch_destroy(batch);
    close_way(&m);
}

static void ends(void **state)
{
    (void)state;
    put_writer("counter", false);
    struct ech_generator_options more = plain();
    counts(more, LETTER_A, 5, NULL, 5, ECH_FINISH_LENGTH);
    more.rules.ends[0] = LETTER_A + 9;
    counts(more, LETTER_A, 50, NULL, 8, ECH_FINISH_END);
    more.rules.ends[1] = LETTER_A + 3; /* a chat's end beside the model's */
    more.rules.ends[2] = -1;
    counts(more, LETTER_A, 50, NULL, 2, ECH_FINISH_END);
    counts(more, LETTER_A + 2, 50, NULL, 0, ECH_FINISH_END);
    counts(more, BEGIN, 1, (const int32_t[]){2}, 1, ECH_FINISH_LENGTH);
}

static void rules(void **state)
{
    (void)state;
    put_writer("counter", false);
    struct ech_generator_options more = plain();
    more.rules.forced_first = 60;
    more.rules.forced_last = END;
    counts(more, LETTER_A, 4, (const int32_t[]){60, 61, 62}, 3, ECH_FINISH_END);
    more = plain();
    more.rules.banned[0] = LETTER_A + 1; /* the next best are all alike: the lowest number */
    more.rules.banned[1] = INT32_MAX;    /* no token of the model's */
    more.rules.banned[2] = -1;
    counts(more, LETTER_A, 2, (const int32_t[]){0, 1}, 2, ECH_FINISH_LENGTH);
}

static void allow_thirds(struct ech_request *r)
{
    struct ech_err err = ECH_ERR_NONE;
    r->allowed = ech_calloc(WORDS, sizeof *r->allowed, &err);
    assert_non_null(r->allowed);
    for (int32_t id = END; id < WORDS; id += 3)
        r->allowed[r->allowed_count++] = id;
}

/* Of a part of the words: the same ones whether the whole head is computed (for log-probabilities) or theirs
 * alone, beside rows that may write all. */
static void allowed(void **state)
{
    (void)state;
    static struct result all[ROWS], few[ROWS], free_rows[ROWS];
    put_writer("random", true);
    for (int pass = 0; pass < 2; pass++) {
        struct ech_generator_options more = plain();
        more.log_probabilities = pass == 0;
        struct made m = open_way(&(struct way){.model = "random", .sequences = 5, .more = more});
        struct ech_write_batch *batch = new_batch(0);
        for (int row = 0; row < ROWS; row++) {
            int32_t ids[IDS];
            int64_t count = prompt_of(row, ids);
            struct ech_request *r = add(batch, 1000 + (uint64_t)row, ids, count, 12, count);
            if (row % 2)
                allow_thirds(r);
        }
        ech_generator_submit(m.generator, batch);
        batch = wait_for(m.generator);
        keep(batch, pass ? few : all);
        ech_write_batch_destroy(batch);
        close_way(&m);
    }
    alone(plain(), NULL, free_rows);
    for (int row = 0; row < ROWS; row++) {
        assert_int_equal(all[row].count, few[row].count);
        assert_memory_equal(all[row].ids, few[row].ids, sizeof all[row].ids);
        for (int64_t i = 0; i < few[row].count && row % 2; i++)
            assert_int_equal(few[row].ids[i] % 3, END);
        for (int64_t i = 0; i < few[row].count && i < free_rows[row].count && row % 2 == 0; i++)
            assert_int_equal(few[row].ids[i], free_rows[row].ids[i]);
    }
}

static void stop(const char *text, int64_t count, enum ech_finish finish)
{
    const char *stops[] = {"nowhere", text, NULL};
    struct ech_generator_options more = plain();
    more.stops = stops;
    counts(more, LETTER_A + 19, 12, NULL, count, finish); /* behind t */
}

/* Every stop string lies across tokens here, since each token is a byte. */
static void stops(void **state)
{
    (void)state;
    put_writer("counter", false);
    stop("u", 1, ECH_FINISH_STOP);
    stop("vwx", 4, ECH_FINISH_STOP);
    stop("uvwxyz", 6, ECH_FINISH_STOP);
    stop("z\u00e9", 8, ECH_FINISH_STOP); /* two bytes of one letter */
    stop("\u00e9 \n", 10, ECH_FINISH_STOP);
    stop("tuv", 12, ECH_FINISH_LENGTH); /* t is the prompt's */
    stop("uw", 12, ECH_FINISH_LENGTH);
    const char *two[] = {"wxy", "x", NULL};
    assert_int_equal(ech_stop_at("uvwxyz", 6, two), 2);
    assert_int_equal(ech_stop_at("uvxyz", 5, two), 2);
    assert_int_equal(ech_stop_at("uv", 2, two), 2);
    assert_int_equal(ech_stop_at("", 0, NULL), 0);
}

/* A letter whose second byte was not written any more. */
static void half_a_letter(void **state)
{
    (void)state;
    const int32_t y = LETTER_Z - 1;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_encoder *encoder;
    struct ech_decoded text;
    put_writer("counter", false);
    struct ech_generator_options more = plain();
    more.stops = (const char *const[]){"nowhere", NULL};
    struct made m = open_way(&(struct way){.model = "counter", .more = more});
    must(ech_encoder_create(&encoder, &err), &err);
    struct ech_write_batch *batch = run_one(m.generator, 0, &y, 1, 2, 1);
    must(ech_tokenizer_decode(m.tokenizer, encoder, batch->written->ids, batch->written->count, true, &text,
                              &err),
         &err);
    assert_string_equal(text.text, "z\ufffd");
    ech_write_batch_destroy(batch);
    batch = run_one(m.generator, 0, &y, 1, 3, 1);
    must(ech_tokenizer_decode(m.tokenizer, encoder, batch->written->ids, batch->written->count, true, &text,
                              &err),
         &err);
    assert_string_equal(text.text, "z\u00e9");
    ech_write_batch_destroy(batch);
    ech_encoder_destroy(encoder);
    close_way(&m);
}

/* --- what cannot be --- */

static void small_cache(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_lm *lm = NULL;
    struct ech_lm_options o = {
        .model = "random", .threads = 1, .sequences = 8, .cache_bytes = (CONTEXT - 1) * RANDOM_ROW};
    put_writer("random", true);
    expect(ech_lm_open(&o, &lm, &err), ECH_UNAVAILABLE, &err, "one text of 64 tokens take 16384 bytes");
    assert_null(lm);
    o.kv = "bf16"; /* half of it */
    ech_err_clear(&err);
    must(ech_lm_open(&o, &lm, &err), &err);
    assert_int_equal(ech_lm_cache_rows(lm), 2 * (CONTEXT - 1));
    ech_lm_close(lm);
    o.kv = NULL;
    o.cache_least = true;
    must(ech_lm_open(&o, &lm, &err), &err);
    assert_int_equal(ech_lm_cache_rows(lm), CONTEXT);
    ech_lm_close(lm);
    o.context = 2 * CONTEXT;
    expect(ech_lm_open(&o, &lm, &err), ECH_CONFIG, &err, "context is 128, the model's positions end at 64");
}

/* Rows that end in a reason of their own; those beside them are written as ever. */
static void bad_rows(void **state)
{
    (void)state;
    int32_t ids[CONTEXT + 2];
    struct ech_err err = ECH_ERR_NONE;
    put_writer("counter", false);
    struct made m = open_way(&(struct way){.model = "counter", .more = plain()});
    struct ech_write_batch *batch = new_batch(3);
    for (int i = 0; i < CONTEXT + 2; i++)
        ids[i] = LETTER_A;
    add(batch, 0, ids, CONTEXT + 1, 1, CONTEXT + 1);
    add(batch, 1, ids, 10, CONTEXT, 10);
    add(batch, 2, (const int32_t[]){5, WORDS}, 2, 3, 2);
    add(batch, 3, (const int32_t[]){-1}, 1, 3, 1);
    add(batch, 4, ids, 1, 3, 1)->error = ech_strdup("the caller's own", &err);
    add(batch, 5, ids, CONTEXT - 4, 5, CONTEXT - 4); /* exactly fits: the last token is not read any more */
    ech_generator_submit(m.generator, batch);
    batch = wait_for(m.generator);
    assert_int_equal(batch->tag, 3);
    static const char *const why[] = {
        "a sequence of 65 tokens, at most 64 fit the context", "a sequence of 73 tokens",
        "token 101 of the prompt is not among the model's 101", "token -1 of the prompt", "the caller's own"};
    for (int i = 0; i < 5; i++) {
        if (!batch->requests[i].error || !strstr(batch->requests[i].error, why[i]))
            fail_msg("row %d: \"%s\", \"%s\" was expected", i, batch->requests[i].error, why[i]);
        assert_int_equal(batch->written[i].count, 0);
    }
    assert_null(batch->requests[5].error);
    assert_int_equal(batch->written[5].count, 5);
    ech_write_batch_destroy(batch);
    close_way(&m);
}

/* A word of the model is no number: rows that hold it say so, the others are as they were. */
static void no_numbers(void **state)
{
    (void)state;
    const char *path = "random/model.safetensors";
    struct ech_err err = ECH_ERR_NONE;
    static struct result want[2], got[2];
    const int32_t good[] = {4, 5, 6}, lost[] = {4, 77, 6};
    char *data;
    size_t bytes;
    put_writer("random", true);
    struct made m = open_way(&(struct way){.model = "random", .more = plain()});
    struct ech_write_batch *batch = run_one(m.generator, 1000, good, 3, 9, 1);
    keep(batch, want);
    ech_write_batch_destroy(batch);
    close_way(&m);
    must(ech_read_file(path, 1 << 20, &data, &bytes, &err), &err);
    const float nan = NAN;
    size_t header = 8 + (size_t)(unsigned char)data[0] + ((size_t)(unsigned char)data[1] << 8);
    memcpy(data + header + (77 * 32 + 3) * sizeof nan, &nan, sizeof nan); /* the embedding comes first */
    put_file(path, data, bytes);
    ech_free(data);
    m = open_way(&(struct way){.model = "random", .more = plain()});
    batch = new_batch(0);
    add(batch, 1001, lost, 3, 9, 3);
    add(batch, 1000, good, 3, 9, 1);
    add(batch, 1001, lost, 3, 0, 1);
    ech_generator_submit(m.generator, batch);
    batch = wait_for(m.generator);
    for (int i = 0; i < 3; i += 2) {
        assert_non_null(batch->requests[i].error);
        assert_string_equal(batch->requests[i].error, "the model's logits are not numbers");
        ech_free(batch->requests[i].error);
        batch->requests[i].error = NULL;
    }
    batch->written[0].count = 0;
    batch->requests[2].scored = 3;
    keep(batch, got);
    assert_memory_equal(&got[0], &want[0], sizeof *want);
    ech_write_batch_destroy(batch);
    close_way(&m);
}

static void wrong_options(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    put_writer("counter", false);
    struct made m = open_way(&(struct way){.model = "counter", .more = plain()});
    struct ech_generator *other = NULL;
    struct ech_generator_options o = plain();
    o.decoder = m.lm;
    o.sequences = o.step_tokens = o.logits_rows = 4;
    o.sampling.top_p = NAN;
    expect(ech_generator_open(&o, &other, &err), ECH_CONFIG, &err, "top_p is nan");
    o = plain();
    o.decoder = m.lm;
    o.sequences = o.step_tokens = o.logits_rows = 4;
    o.rules.forced_last = (int32_t)ech_lm_vocab(m.lm);
    err = (struct ech_err)ECH_ERR_NONE;
    expect(ech_generator_open(&o, &other, &err), ECH_DATA, &err, "to end with, is not among");
    assert_null(other);
    close_way(&m);
}

/* --- batches come and go --- */

static void cancel_lanes(int twins)
{
    struct ech_err err = ECH_ERR_NONE;
    const int32_t a = LETTER_A;
    put_writer("counter", false);
    struct made m =
        open_way(&(struct way){.model = "counter", .sequences = 2, .twins = twins, .more = plain()});
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 4; i++) {
            struct ech_write_batch *batch = new_batch(i);
            for (int row = 0; row < 3; row++)
                add(batch, (uint64_t)row, &a, 1, 20, 1);
            ech_generator_submit(m.generator, batch);
        }
        if (round % 2)
            ech_generator_step(m.generator, 0.001);
        ech_generator_cancel(m.generator);
        assert_null(ech_generator_poll(m.generator, &err));
    }
    struct ech_write_batch *batch = run_one(m.generator, 0, &a, 1, 4, 1); /* and it works again */
    assert_int_equal(batch->written->count, 4);
    ech_write_batch_destroy(batch);
    ech_generator_submit(m.generator, new_batch(8)); /* nothing to do is done at once */
    batch = wait_for(m.generator);
    assert_int_equal(batch->tag, 8);
    ech_write_batch_destroy(batch);
    close_way(&m);
}

static void cancelled(void **state)
{
    (void)state;
    cancel_lanes(0);
    cancel_lanes(2);
}

/* Closed with work under way. */
static void closed(void **state)
{
    (void)state;
    const int32_t a = LETTER_A;
    put_writer("counter", false);
    for (int i = 0; i < 5; i++) {
        struct made m =
            open_way(&(struct way){.model = "counter", .sequences = 2, .twins = i % 3, .more = plain()});
        struct ech_write_batch *batch = new_batch(0);
        for (int row = 0; row < 9; row++)
            add(batch, (uint64_t)row, &a, 1, 30, 1);
        ech_generator_submit(m.generator, batch);
        close_way(&m);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(greedy),        cmocka_unit_test(half_cache),    cmocka_unit_test(sampled),
    cmocka_unit_test(seeds),         cmocka_unit_test(scores),        cmocka_unit_test(ends),
    cmocka_unit_test(rules),         cmocka_unit_test(allowed),       cmocka_unit_test(stops),
    cmocka_unit_test(half_a_letter), cmocka_unit_test(small_cache),   cmocka_unit_test(bad_rows),
    cmocka_unit_test(no_numbers),    cmocka_unit_test(wrong_options), cmocka_unit_test(cancelled),
    cmocka_unit_test(closed),
};
ECH_TEST_MAIN(tests)
