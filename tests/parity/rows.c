/* A row's bits depend on its own tokens alone: decoded by itself, among others, in another order, its prompt
 * cut into pieces, beside other sizes of cache, step and team. */
#include "tests/parity/writers.h"

enum { TOKENS = 12, VOCAB_MOST = 128, LOGITS = TOKENS * VOCAB_MOST };

struct way {
    int64_t sequences, context, step, piece; /* piece: tokens of a prompt in one step */
    int threads;
    bool backwards, alone;
    const char *backend;
};

struct row {
    const int32_t *prompt, *source;
    int64_t count, source_count, done;
    int32_t out[TOKENS + 1];
    float logits[LOGITS];
};

/* One more piece of the prompt or one more token. */
static struct ech_step_item next(struct row *r, int sequence, int64_t length, const struct way *w)
{
    struct ech_step_item item = {.sequence = sequence, .count = 1, .want = ECH_WANT_LAST};
    if (length < r->count) {
        item.ids = r->prompt + length;
        item.count = r->count - length < w->piece ? r->count - length : w->piece;
        if (length + item.count < r->count)
            item.want = ECH_WANT_NONE;
    } else
        item.ids = &r->out[r->done - 1];
    return item;
}

static void run_some(struct ech_lm *lm, struct row *rows, int64_t count, const struct way *w)
{
    struct ech_err err = ECH_ERR_NONE;
    int64_t vocab = ech_lm_vocab(lm), wanted;
    int sequence[ROWS_MOST];
    assert_true(vocab <= VOCAB_MOST);
    for (int64_t i = 0; i < count; i++) {
        struct row *r = &rows[w->backwards ? count - 1 - i : i];
        struct ech_sequence_options o = {.room = r->count + TOKENS,
                                         .prompt = r->count,
                                         .source = r->source,
                                         .source_count = r->source_count};
        must(ech_lm_add(lm, &o, &sequence[i], &err), &err);
        assert_true(sequence[i] >= 0);
        r->done = 0;
    }
    for (bool more = true; more;) {
        struct ech_step_item items[ROWS_MOST];
        struct row *of[ROWS_MOST];
        int64_t n = 0, at = 0;
        more = false;
        for (int64_t i = 0; i < count; i++) {
            struct row *r = &rows[w->backwards ? count - 1 - i : i];
            if (r->done == TOKENS)
                continue;
            of[n] = r;
            items[n++] = next(r, sequence[i], ech_lm_length(lm, sequence[i]), w);
        }
        must(ech_lm_step(lm, items, n, &wanted, &err), &err);
        for (int64_t i = 0; i < n; i++) {
            const float *logits;
            more = true;
            if (items[i].want == ECH_WANT_NONE)
                continue;
            must(ech_lm_logits(lm, at++, 1, &logits, &err), &err);
            memcpy(of[i]->logits + of[i]->done * vocab, logits, (size_t)vocab * sizeof *logits);
            of[i]->out[of[i]->done++] = ech_argmax(logits, vocab);
        }
    }
    for (int64_t i = 0; i < count; i++)
        ech_lm_remove(lm, sequence[i]);
}

static void run(const char *folder, const struct way *w, struct row *rows, int64_t count)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_lm *lm = NULL;
    struct ech_lm_options options = {.model = folder_with(folder, NULL),
                                     .backend = w->backend,
                                     .threads = w->threads,
                                     .sequences = w->sequences,
                                     .context = w->context,
                                     .step_tokens = w->step};
    must(ech_lm_open(&options, &lm, &err), &err);
    if (w->alone)
        for (int64_t i = 0; i < count; i++)
            run_some(lm, rows + i, 1, w);
    else
        run_some(lm, rows, count, w);
    ech_lm_close(lm);
}

static void compare(const char *folder, const struct way *ways, size_t count)
{
    static struct row first[ROWS_MOST], other[ROWS_MOST];
    static const int32_t start = 0;
    struct input in = read_input(folder, "ids", true);
    bool reads = folder_has(folder, "decoder_ids.npy");
    for (int64_t i = 0; i < in.rows; i++) {
        const int32_t *ids = in.ids + in.offsets[i];
        int64_t tokens = (int64_t)(in.offsets[i + 1] - in.offsets[i]);
        first[i] = reads ? (struct row){.prompt = &start, .count = 1, .source = ids, .source_count = tokens}
                         : (struct row){.prompt = ids, .count = tokens};
    }
    run(folder, &ways[0], first, in.rows);
    for (size_t i = 1; i < count; i++) {
        memcpy(other, first, sizeof other);
        run(folder, &ways[i], other, in.rows);
        for (int64_t r = 0; r < in.rows; r++)
            if (memcmp(first[r].logits, other[r].logits, sizeof first[r].logits) != 0 ||
                memcmp(first[r].out, other[r].out, sizeof first[r].out) != 0)
                fail_msg("%s: row %lld has other bits in way %zu", folder, (long long)r, i);
    }
}

static void same_bits(void **state)
{
    static const char *const folders[] = {"llama", "gpt2", "bloom", "gemma3_text", "mixtral", "t5", "marian"};
    static const struct way ways[] = {
        {.sequences = 1, .context = 40, .step = 32, .piece = 32, .threads = 1, .alone = true},
        {.sequences = 4, .context = 40, .step = 64, .piece = 64, .threads = 1},
        {.sequences = 4, .context = 40, .step = 64, .piece = 64, .threads = 1, .backwards = true},
        {.sequences = 5, .context = 60, .step = 16, .piece = 2, .threads = 2},
    };
    (void)state;
    for (size_t f = 0; f < sizeof folders / sizeof *folders; f++)
        compare(folders[f], ways, sizeof ways / sizeof *ways);
}

/* On the CUDA backend, run by the emulator: alone and among others, prompts in pieces. */
static void cuda(void **state)
{
    (void)state;
#ifdef ECH_CUDA_EMULATED
    static const struct way ways[] = {
        {.sequences = 1,
         .context = 40,
         .step = 32,
         .piece = 32,
         .threads = 1,
         .alone = true,
         .backend = "cuda"},
        {.sequences = 5,
         .context = 60,
         .step = 16,
         .piece = 3,
         .threads = 1,
         .backwards = true,
         .backend = "cuda"},
    };
    char why[256] = "";
    setenv("ECH_CUDA_LIBRARY", ECH_CUDA_EMULATED, 1);
    if (!ech_ops_find("cuda", why))
        fail_msg("%s", why);
    compare("gemma3_text", ways, 2);
#else
    ECH_SKIP("cuda", "the emulator is not built: CUDA's headers are not here");
#endif
}

/* What does not fit is refused by name; a cache that is full says so without an error. */
static void limits(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_lm *lm = NULL;
    struct ech_lm_options options = {
        .model = folder_with("llama", NULL), .threads = 1, .sequences = 2, .context = 32, .step_tokens = 8};
    int a, b;
    int64_t rows;
    const int32_t ids[9] = {1, 2, 3, 4, 5, 6, 7, 8, 101};
    must(ech_lm_open(&options, &lm, &err), &err);
    struct ech_sequence_options o = {.room = 33};
    assert_int_equal(ech_lm_add(lm, &o, &a, &err), ECH_DATA);
    assert_non_null(strstr(err.text, "at most 32"));
    o.room = 32;
    ech_err_clear(&err);
    must(ech_lm_add(lm, &o, &a, &err), &err);
    must(ech_lm_add(lm, &o, &b, &err), &err);
    assert_true(a == 0 && b == 1);
    must(ech_lm_add(lm, &o, &b, &err), &err);
    assert_int_equal(b, -1);
    struct ech_step_item item = {.sequence = 0, .ids = ids, .count = 9, .want = ECH_WANT_ALL};
    assert_int_equal(ech_lm_step(lm, &item, 1, &rows, &err), ECH_DATA);
    assert_non_null(strstr(err.text, "token id 101"));
    ech_err_clear(&err);
    item.ids = ids;
    item.count = 8;
    must(ech_lm_step(lm, &item, 1, &rows, &err), &err);
    assert_int_equal(rows, 8);
    ech_lm_remove(lm, 0);
    assert_int_equal(ech_lm_step(lm, &item, 1, &rows, &err), ECH_BUG);
    ech_lm_close(lm);
}

/* The logits of few words are those that the whole head has for them. */
static void few_words(void **state)
{
    static const char *const folders[] = {"marian", "gemma2", "llama"};
    static const int32_t words[] = {100, 0, 7, 55, 56}, prompt[] = {3, 4, 5};
    (void)state;
    for (size_t f = 0; f < sizeof folders / sizeof *folders; f++) {
        struct ech_err err = ECH_ERR_NONE;
        struct ech_lm *lm = open_decoder(folder_with(folders[f], NULL), "auto");
        struct ech_sequence_options o = {.room = 3, .prompt = 3, .source = words, .source_count = 5};
        struct ech_step_item item = {.ids = prompt, .count = 3, .want = ECH_WANT_ALL};
        const float *all, *few;
        float own[VOCAB_MOST];
        int64_t rows;
        must(ech_lm_add(lm, &o, &item.sequence, &err), &err);
        must(ech_lm_restrict(lm, item.sequence, words, 5, &err), &err);
        must(ech_lm_step(lm, &item, 1, &rows, &err), &err);
        must(ech_lm_logits(lm, 1, 1, &all, &err), &err);
        memcpy(own, all, (size_t)ech_lm_vocab(lm) * sizeof *own);
        must(ech_lm_restricted(lm, item.sequence, 1, &few, &err), &err);
        for (int i = 0; i < 5; i++)
            assert_memory_equal(&few[i], &own[words[i]], sizeof *few);
        assert_int_equal(ech_lm_restrict(lm, item.sequence, words, 0, &err), ECH_DATA);
        ech_lm_close(lm);
    }
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(same_bits), cmocka_unit_test(cuda),
                                          cmocka_unit_test(limits), cmocka_unit_test(few_words)};
ECH_TEST_MAIN(tests)
