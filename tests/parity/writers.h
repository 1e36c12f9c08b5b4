/* Decoders of goldens/tiny against the reference implementation: logits from ids, greedy tokens. */
#ifndef ECH_TESTS_PARITY_WRITERS_H
#define ECH_TESTS_PARITY_WRITERS_H

#include "tests/parity/folder.h"

#include "model/lm.h"
#include "model/sampling.h"

static inline struct ech_lm *open_decoder(const char *path, const char *backend)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_lm *decoder = NULL;
    struct ech_lm_options options = {
        .model = path, .backend = backend, .threads = 1, .sequences = 4, .logits_rows = 64};
    must(ech_lm_open(&options, &decoder, &err), &err);
    return decoder;
}

/* Logits of all tokens of some rows in one step, against expected (rows, length, vocab). */
static inline void compare_logits(struct ech_lm *decoder, const char *folder, const struct input *in,
                                  const struct input *sources, const char *expected, double tolerance)
{
    struct ech_err err = ECH_ERR_NONE;
    struct npy want = folder_array(folder, expected);
    struct ech_step_item items[ROWS_MOST] = {{0}};
    int64_t rows = 0, vocab = ech_lm_vocab(decoder), at = 0;
    double far = 0;
    assert_int_equal(want.shape[2], vocab);
    for (int64_t i = 0; i < in->rows; i++) {
        int64_t count = (int64_t)(in->offsets[i + 1] - in->offsets[i]);
        struct ech_sequence_options o = {.room = count, .prompt = count};
        if (sources) {
            o.source = sources->ids + sources->offsets[i];
            o.source_count = (int64_t)(sources->offsets[i + 1] - sources->offsets[i]);
        }
        items[i] =
            (struct ech_step_item){.ids = in->ids + in->offsets[i], .count = count, .want = ECH_WANT_ALL};
        must(ech_lm_add(decoder, &o, &items[i].sequence, &err), &err);
        assert_true(items[i].sequence >= 0);
    }
    must(ech_lm_step(decoder, items, in->rows, &rows, &err), &err);
    assert_int_equal(rows, in->offsets[in->rows]);
    for (int64_t i = 0; i < in->rows; i++)
        for (int64_t t = 0; t < items[i].count; t++, at++) {
            const float *logits;
            must(ech_lm_logits(decoder, at, 1, &logits, &err), &err);
            far = fmax(far, distance(logits, want.f + (i * want.shape[1] + t) * vocab, vocab));
        }
    for (int64_t i = 0; i < in->rows; i++)
        ech_lm_remove(decoder, items[i].sequence);
    within(folder, expected, ech_lm_backend(decoder), far, &want, tolerance);
    npy_free(&want);
}

/* One sequence of best tokens: a prompt (or the decoder's start), then `count` more; forced: the first of
 * them, or -1; banned: never chosen, or -1. */
static inline void run_greedy(struct ech_lm *decoder, const int32_t *prompt, int64_t prompt_count,
                              const struct ech_sequence_options *sequence, int32_t forced, int32_t banned,
                              int64_t count, int32_t *out)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_sequence_options o = *sequence;
    struct ech_step_item item = {.ids = prompt, .count = prompt_count, .want = ECH_WANT_LAST};
    int64_t rows, vocab = ech_lm_vocab(decoder);
    float own[1024];
    assert_true(vocab <= 1024);
    o.room = prompt_count + count;
    o.prompt = prompt_count;
    must(ech_lm_add(decoder, &o, &item.sequence, &err), &err);
    assert_true(item.sequence >= 0);
    for (int64_t i = 0; i < count; i++) {
        const float *logits;
        must(ech_lm_step(decoder, &item, 1, &rows, &err), &err);
        must(ech_lm_logits(decoder, 0, 1, &logits, &err), &err);
        memcpy(own, logits, (size_t)vocab * sizeof *own);
        if (banned >= 0)
            own[banned] = -INFINITY;
        out[i] = i == 0 && forced >= 0 ? forced : ech_argmax(own, vocab);
        item.ids = &out[i];
        item.count = 1;
    }
    ech_lm_remove(decoder, item.sequence);
}

static inline int64_t setting(const char *folder, const char *key, int64_t otherwise)
{
    struct ech_err err = ECH_ERR_NONE;
    json_t *root;
    must(ech_json_load(folder_file(folder, "generate.json"), 1 << 20, &root, &err), &err);
    const json_t *greedy = json_object_get(root, "greedy"), *value = json_object_get(greedy, key);
    if (strcmp(key, "bad_words_ids") == 0)
        value = json_array_get(json_array_get(value, 0), 0);
    int64_t found = json_is_integer(value) ? json_integer_value(value) : otherwise;
    json_decref(root);
    return found;
}

/* Row 0 of the prompts, or every source. */
static inline void compare_greedy(struct ech_lm *decoder, const char *folder, const struct input *in)
{
    struct npy want = folder_array(folder, "expected_greedy");
    int64_t count = want.shape[want.dims - 1], rows = ech_lm_has_source(decoder) ? in->rows : 1;
    int32_t out[64], start = (int32_t)setting(folder, "decoder_start_token_id", 0);
    int32_t forced = (int32_t)setting(folder, "forced_bos_token_id", -1);
    int32_t banned = (int32_t)setting(folder, "bad_words_ids", -1);
    assert_true(count <= 64 && want.elements == rows * count);
    for (int64_t row = 0; row < rows; row++) {
        int64_t length = (int64_t)(in->offsets[row + 1] - in->offsets[row]);
        struct ech_sequence_options o = {.source = in->ids + in->offsets[row], .source_count = length};
        if (ech_lm_has_source(decoder))
            run_greedy(decoder, &start, 1, &o, forced, banned, count, out);
        else
            run_greedy(decoder, in->ids, length, &o, -1, -1, count, out);
        for (int64_t i = 0; i < count; i++)
            if (out[i] != want.i[row * count + i])
                fail_msg("%s on %s: token %lld of row %lld is %d, %lld was expected", folder,
                         ech_lm_backend(decoder), (long long)i, (long long)row, (int)out[i],
                         (long long)want.i[row * count + i]);
    }
    npy_free(&want);
}

#endif
