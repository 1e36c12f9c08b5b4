/* text/metrics: against sacrebleu's numbers (goldens/make_metrics.py). */
#include "tests/harness.h"

#include "base/fault.h"
#include "base/mem.h"
#include "text/metrics.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static struct ech_line line_of(const json_t *text)
{
    return (struct ech_line){.text = json_string_value(text), .bytes = json_string_length(text)};
}

static void same_tokens(const json_t *golden)
{
    char *out = NULL;
    size_t capacity = 0, bytes, i;
    const json_t *text;
    struct ech_err err = ECH_ERR_NONE;
    json_array_foreach(json_object_get(golden, "hypotheses"), i, text)
    {
        const json_t *want = json_array_get(json_object_get(golden, "tokens"), i);
        assert_int_equal(ech_tokenize_13a(line_of(text), &out, &capacity, &bytes, &err), ECH_OK);
        if (bytes != json_string_length(want) || memcmp(out, json_string_value(want), bytes) != 0)
            fail_msg("\"%s\" became \"%.*s\", \"%s\" was expected", json_string_value(text), (int)bytes, out,
                     json_string_value(want));
    }
    ech_free(out);
}

static int add_all(struct ech_metrics *m, const json_t *golden, struct ech_err *err)
{
    const json_t *references = json_object_get(golden, "references"), *text;
    struct ech_line lines[ECH_REFERENCES_MOST];
    int count = (int)json_array_size(references), code = ECH_OK;
    size_t i;
    json_array_foreach(json_object_get(golden, "hypotheses"), i, text)
    {
        for (int r = 0; r < count; r++)
            lines[r] = line_of(json_array_get(json_array_get(references, (size_t)r), i));
        code = ech_metrics_add(m, line_of(text), lines, count, err);
        if (code != ECH_OK)
            break;
    }
    return code;
}

static double number(const json_t *golden, const char *key)
{
    return json_number_value(json_object_get(golden, key));
}

static void near(const char *what, double got, double want)
{
    if (!(fabs(got - want) <= 1e-9 * (1 + fabs(want))))
        fail_msg("%s %.12g, %.12g was expected", what, got, want);
}

static void same_scores(const json_t *golden)
{
    struct ech_metrics *m;
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_metrics_create(&m, &err), ECH_OK);
    assert_int_equal(add_all(m, golden, &err), ECH_OK);
    struct ech_bleu b = ech_metrics_bleu(m);
    near("BLEU", b.score, number(golden, "bleu"));
    near("brevity", b.brevity, number(golden, "bp"));
    assert_int_equal(b.hypothesis_tokens, (int64_t)number(golden, "hyp_len"));
    assert_int_equal(b.reference_tokens, (int64_t)number(golden, "ref_len"));
    for (size_t n = 0; n < ECH_BLEU_ORDER; n++) {
        near("precision", b.precision[n],
             json_number_value(json_array_get(json_object_get(golden, "precisions"), n)));
        assert_int_equal(b.correct[n],
                         json_integer_value(json_array_get(json_object_get(golden, "correct"), n)));
        assert_int_equal(b.total[n], json_integer_value(json_array_get(json_object_get(golden, "total"), n)));
    }
    near("chrF", ech_metrics_chrf(m).score, number(golden, "chrf"));
    ech_metrics_destroy(m);
}

static void each_golden(void (*check)(const json_t *))
{
    char path[4096], *text = NULL;
    size_t room = 0;
    const char *source = getenv("ECH_SOURCE");
    snprintf(path, sizeof path, "%s/tests/unit/text/goldens/metrics.jsonl", source ? source : ".");
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    int seen = 0;
    for (ssize_t n; (n = getline(&text, &room, f)) > 0; seen++) {
        json_t *golden = json_loadb(text, (size_t)n, 0, NULL);
        assert_non_null(golden);
        check(golden);
        json_decref(golden);
    }
    free(text);
    fclose(f);
    assert_true(seen >= 14);
}

static void tokens_are_13a(void **state)
{
    (void)state;
    each_golden(same_tokens);
}

static void scores_are_sacrebleus(void **state)
{
    (void)state;
    each_golden(same_scores);
}

static void memory_fails(void **state)
{
    (void)state;
    struct ech_line line = {.text = "a b c d e", .bytes = 9};
    for (int n = 1;; n++) {
        struct ech_metrics *m = NULL;
        struct ech_err err = ECH_ERR_NONE;
        ech_fault_arm(ECH_FAULT_ALLOC, n);
        int code = ech_metrics_create(&m, &err);
        if (code == ECH_OK)
            code = ech_metrics_add(m, line, &line, 1, &err);
        bool touched = ech_fault_fired();
        ech_fault_arm(-1, 0);
        ech_metrics_destroy(m);
        if (!touched) {
            assert_int_equal(code, ECH_OK);
            return;
        }
        assert_int_equal(code, ECH_UNAVAILABLE);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(tokens_are_13a),
    cmocka_unit_test(scores_are_sacrebleus),
    cmocka_unit_test(memory_fails),
};
ECH_TEST_MAIN(tests)
