/* Files of several jobs: names, order, what a step takes from the file, and what is wrong with a file. */
#include "tests/unit/config/load.h"

#include "config/steps.h"

#define VECTORS "  - {name: vectors, kind: embed, model: m, input: {dataset: a}, output: {dataset: v}}\n"
#define HITS                                                                                                 \
    "  - name: hits\n    after: [vectors]\n    kind: retrieve\n    model: m\n    output: {dataset: h}\n"     \
    "    options: {index: v, query: [x]}\n"

static void steps_of(const char *text, struct ech_steps *out)
{
    struct ech_err err = ECH_ERR_NONE;
    write_bytes("job.yaml", text, strlen(text));
    if (ech_steps_load("job.yaml", out, &err) != ECH_OK)
        fail_msg("%s:%d:%d: %s\nin\n%s", err.file, err.line, err.column, err.text, text);
}

static void wrong(const char *text, int line, int column, const char *says)
{
    struct ech_steps steps;
    struct ech_err err = ECH_ERR_NONE;
    write_bytes("job.yaml", text, strlen(text));
    int code = ech_steps_load("job.yaml", &steps, &err);
    if (code != ECH_CONFIG || steps.count || err.line != line || err.column != column ||
        !strstr(err.text, says))
        fail_msg("%d:%d: \"%s\" was expected, code %d, %d:%d: %s\nin\n%s", line, column, says, code, err.line,
                 err.column, err.text, text);
}

/* In the order of `after`, else of the file. */
static void order(void **state)
{
    (void)state;
    struct ech_steps steps;
    steps_of("steps:\n  - {name: d, after: [b, c]}\n  - {name: a}\n  - {name: c, after: a}\n"
             "  - {name: b, after: [a]}\n",
             &steps);
    const char *expected[] = {"a", "c", "b", "d"};
    assert_int_equal(steps.count, 4);
    for (int i = 0; i < 4; i++)
        assert_string_equal(steps.items[i].name, expected[i]);
    assert_int_equal(steps.items[3].after.count, 2);
    assert_string_equal(steps.items[3].after.items[0], "b");
    assert_int_equal(steps.items[1].after.count, 1);
    assert_int_equal(steps.items[0].after.count, 0);
    ech_steps_fini(&steps);
}

/* One job, and what is no job at all, has no steps: loading it says the rest. */
static void none(void **state)
{
    (void)state;
    static const char *const texts[] = {BASIC, "", "- a\n", "kind: [\n", "text\n", "steps_: 1\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct ech_steps steps;
        steps_of(texts[i], &steps);
        assert_int_equal(steps.count, 0);
    }
    struct ech_steps steps;
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_steps_load("absent.yaml", &steps, &err), ECH_NOINPUT);
    assert_int_equal(ech_steps_load("-", &steps, &err), ECH_OK);
}

static void faults(void **state)
{
    (void)state;
    wrong("steps:\n", 1, 1, "steps is no list, a list of jobs with names was expected");
    wrong("steps: []\n", 1, 1, "steps is empty");
    wrong("steps: {a: 1}\n", 1, 1, "steps is no list");
    wrong("steps: [a]\n", 1, 9, "a step is a value, a map of keys was expected");
    wrong("steps:\n  - {kind: embed}\n", 2, 5, "a step without a name");
    wrong("steps:\n  - {name: }\n", 2, 6, "a step's name is \"\"");
    wrong("steps:\n  - {name: [a]}\n", 2, 6, "a step's name is");
    wrong("steps:\n  - {name: a/b}\n", 2, 6, "a step's name is \"a/b\"");
    wrong("steps:\n  - {name: -a}\n", 2, 6, "a step's name is \"-a\"");
    wrong("steps:\n  - {name: a}\n  - {name: a}\n", 3, 6, "two steps are called a (the other one in line 2)");
    wrong("steps:\n  - {name: a, steps: []}\n", 2, 15, "a step has no steps of its own");
    wrong("steps:\n  - {name: hits}\n  - {name: b, after: hit}\n", 3, 22,
          "after: no step is called \"hit\": did you mean hits?");
    wrong("steps:\n  - {name: a, after: a}\n", 2, 22, "after: step a would wait for itself");
    wrong("steps:\n  - {name: a, after: [[a]]}\n", 2, 23, "after: no step is called \"\"");
    wrong("steps:\n  - {name: z}\n  - {name: a, after: b}\n  - {name: b, after: a}\n", 3, 5,
          "step a waits for itself through `after` of others");
}

static struct ech_config *load_step(const char *text, const char *step, const char *const *sets)
{
    struct ech_config *config = NULL;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_config_request request = {.path = "job.yaml", .sets = sets, .step = step};
    write_bytes("job.yaml", text, strlen(text));
    if (ech_config_load(&request, &config, &err) != ECH_OK)
        fail_msg("%s:%d:%d: %s\nin\n%s", err.file, err.line, err.column, err.text, text);
    return config;
}

/* Keys beside `steps` are every step's; its own win, key by key; --set wins over both. */
static void shared(void **state)
{
    (void)state;
    static const char text[] =
        "name: nightly\nmax_errors: 5\nprecision: bf16\nresources: {nodes: 2, time: 10m}\nsteps:\n"
        "  - {name: vectors, kind: embed, model: m, input: {dataset: a}, output: {dataset: v},"
        " resources: {nodes: 3}}\n" HITS "    resources: {time: }\n    precision: {compute: f32}\n";
    struct ech_config *config = load_step(text, "vectors", NULL);
    const struct ech_job *job = ech_config_job(config);
    assert_string_equal(job->name, "nightly-vectors");
    assert_string_equal(job->kind_name, "embed");
    assert_int_equal(job->max_errors, 5);
    assert_int_equal(job->resources.nodes, 3);
    assert_true(job->resources.time == 600);
    ech_config_destroy(config);
    config = load_step(text, "hits", WORDS("max_errors=7", "name=other"));
    job = ech_config_job(config);
    assert_string_equal(job->name, "other-hits");
    assert_string_equal(job->kind_name, "retrieve");
    assert_int_equal(job->max_errors, 7);
    assert_int_equal(job->resources.nodes, 2);
    assert_true(job->resources.time == 0);
    assert_int_equal(job->precision.compute, 1);
    ech_config_destroy(config);
    config = load_step("steps:\n" VECTORS, "vectors", NULL);
    assert_string_equal(ech_config_job(config)->name, "job-vectors");
    ech_config_destroy(config);
}

static void step_bad(const char *text, const char *step, int line, int column, const char *says)
{
    struct ech_config *config = NULL;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_config_request request = {.path = "job.yaml", .step = step};
    write_bytes("job.yaml", text, strlen(text));
    int code = ech_config_load(&request, &config, &err);
    if (code != ECH_CONFIG || config || err.line != line || err.column != column || !strstr(err.text, says))
        fail_msg("%d:%d: \"%s\" was expected, code %d, %d:%d: %s\nin\n%s", line, column, says, code, err.line,
                 err.column, err.text, text);
}

static void loading(void **state)
{
    (void)state;
    load_bad("steps:\n" VECTORS, 1, 1, "--step NAME takes one of them");
    step_bad("steps:\n" VECTORS, "hits", 1, 1, "steps: none of them is called hits");
    step_bad(BASIC, "hits", 1, 1, "the file has no steps, thus none called hits");
    step_bad("steps:\n  - {name: a, kind: embed, model: m, input: {dataset: a}}\n", "a", 2, 5,
             "output.dataset is missing");
    step_bad("steps:\n  - {name: a, kindd: embed}\n", "a", 2, 5, "job.yaml:2:15: unknown key \"kindd\"");
    step_bad("after: b\nsteps:\n" VECTORS, "vectors", 1, 1, "after: it belongs to a step");
    load_bad(BASIC "after: x\n", 5, 1, "after: it belongs to a step");
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(order), cmocka_unit_test(none),
                                          cmocka_unit_test(faults), cmocka_unit_test(shared),
                                          cmocka_unit_test(loading)};
ECH_TEST_MAIN(tests)
