/* Rules that join several keys; templates; memory that fails. */
#include "tests/unit/config/load.h"

#include "base/fault.h"
#include "base/io.h"
#include "config/kinds/retrieve.h"
#include "config/template.h"

#include <unistd.h>

static void template_parts(void **state)
{
    (void)state;
    struct ech_template t;
    assert_int_equal(ech_template_parse("{title}: {{{text}}} ä", &t, NULL), ECH_OK);
    assert_int_equal(t.count, 4);
    assert_true(t.parts[0].column && strcmp(t.parts[0].text, "title") == 0);
    assert_true(!t.parts[1].column && strcmp(t.parts[1].text, ": {") == 0);
    assert_true(t.parts[2].column && strcmp(t.parts[2].text, "text") == 0);
    assert_true(!t.parts[3].column && strcmp(t.parts[3].text, "} ä") == 0);
    ech_template_fini(&t);
    static const char *const bad[][2] = {{"", "names no column"},
                                         {"plain", "names no column"},
                                         {"{{a}}", "names no column"},
                                         {"a {", "the { at character 3 has no }"},
                                         {"{a {b}", "the { at character 1 has no }"},
                                         {"a } {b}", "the } at character 3 has no {"},
                                         {"{}", "\"{}\" at character 1 is not the name"},
                                         {"{a b}", "not the name of a column"},
                                         {"{1a}", "not the name of a column"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ech_err err = ECH_ERR_NONE;
        assert_int_equal(ech_template_parse(bad[i][0], &t, &err), ECH_CONFIG);
        if (!strstr(err.text, bad[i][1]))
            fail_msg("%s: %s", bad[i][0], err.text);
    }
}

static void embed_rules(void **state)
{
    (void)state;
    load_bad("kind: embed\nmodel: m\noutput: {dataset: b}\n", 1, 1, "input.dataset is missing: kind embed");
    load_bad("kind: embed\nmodel: m\ninput: {column: x}\noutput: {dataset: b}\n", 3, 1,
             "input.dataset is missing");
    load_bad("kind: embed\ninput: {dataset: a}\noutput: {dataset: b}\n", 1, 1,
             "model is missing: kind embed");
}

static void classify_rules(void **state)
{
    (void)state;
#define CLASSIFY "kind: classify\nmodel: m\ninput: {dataset: a, column: query}\noutput: {dataset: b}\n"
    ech_config_destroy(load_good(CLASSIFY "options: {pair: passage, scores: none}\n", NULL, NULL));
    load_bad(CLASSIFY "options: {pair: 1st}\n", 5, 11, "\"1st\", which is not the name of a column");
    load_bad(CLASSIFY "options: {scores: logits}\n", 5, 11, "one of model, softmax, sigmoid, none");
    load_bad_from(CLASSIFY, WORDS("output.keep=label"), NULL, 0, 0, "kind classify makes a column \"label\"");
    load_bad_from(CLASSIFY, WORDS("resources.ranks_per_worker=2"), NULL, 0, 0,
                  "kind classify runs its model whole");
    load_bad("kind: classify\nmodel: m\noutput: {dataset: b}\n", 1, 1, "kind classify reads a dataset");
}

static void places(void **state)
{
    (void)state;
    load_bad("kind: embed\nmodel: m\ninput: {dataset: a}\noutput: {dataset: .//a/}\n", 4, 10,
             "the same folder");
    assert_int_equal(ech_mkdir_all("real", NULL), ECH_OK);
    assert_int_equal(symlink("real", "link"), 0);
    load_bad("kind: embed\nmodel: m\ninput: {dataset: real}\noutput: {dataset: link}\n", 4, 10,
             "the same folder");
    load_bad("kind: retrieve\nmodel: m\noptions: {index: i, query: q}\noutput: {dataset: i}\n", 4, 10,
             "output.dataset and options.index are the same folder");
    load_bad("kind: embed\nmodel: m\ninput: {dataset: a/in}\noutput: {dataset: a}\n", 4, 10,
             "input.dataset lies inside output.dataset");
    load_bad("kind: embed\nmodel: m\ninput: {dataset: real}\noutput: {dataset: link/new}\n", 4, 10,
             "output.dataset lies inside input.dataset");
    load_bad("kind: retrieve\nmodel: m\noptions: {index: link/i, query: q}\noutput: {dataset: real}\n", 4, 10,
             "options.index lies inside output.dataset");
    load_bad("kind: embed\nmodel: a/m\ninput: {dataset: b}\noutput: {dataset: a}\n", 4, 10,
             "model.path lies inside output.dataset");
    load_bad("kind: embed\nmodel: m\ninput: {dataset: b}\nruns: a/runs\noutput: {dataset: a}\n", 5, 10,
             "runs lies inside output.dataset");
    struct ech_config *apart =
        load_good("kind: embed\nmodel: m\ninput: {dataset: a}\noutput: {dataset: runs/ab}\n", NULL, NULL);
    ech_config_destroy(apart);
}

static void columns(void **state)
{
    (void)state;
    load_bad_from(BASIC, WORDS("output.keep=[id, embedding]"), NULL, 0, 0,
                  "kind embed makes a column \"embedding\" itself");
    load_bad_from(BASIC, WORDS("output.keep=errors"), NULL, 0, 0, "makes a column \"errors\" itself");
    load_bad_from(BASIC, WORDS("output.keep=[id, id]"), NULL, 0, 0, "output.keep: \"id\" is given twice");
    load_bad_from(BASIC, WORDS("output.keep=[a b]"), NULL, 0, 0, "\"a b\" is not the name of a column");
    load_bad_from(BASIC, WORDS("input.column=1a"), NULL, 0, 0, "which is not the name of a column");
    load_bad_from(BASIC, WORDS("input.column=a", "input.template={b}"), NULL, 0, 0,
                  "--set input.template={b}: input.column and input.template are both given");
    load_bad_from(BASIC, WORDS("input.template={b"), NULL, 0, 0, "input.template: the { at character 1");
    load_bad_from(BASIC, WORDS("name=a/b"), NULL, 0, 0, "name is \"a/b\"");
    load_bad_from(BASIC, WORDS("name=.."), NULL, 0, 0, "name is \"..\"");
    load_bad_from(BASIC, WORDS("balance.lease_rows=9", "balance.lease_rows_max=8"), NULL, 0, 0,
                  "balance.lease_rows_max is 8, at least balance.lease_rows (9)");
    load_bad_from(BASIC, WORDS("resources.time=30s"), NULL, 0, 0, "more than limits.stop_margin (30 s)");
}

#define RETRIEVE "kind: retrieve\noutput: {dataset: b}\noptions: {index: i}\n"

static void retrieve_rules(void **state)
{
    (void)state;
    load_bad("kind: retrieve\noutput: {dataset: b}\ninput: {dataset: a}\n", 1, 1, "options.index is missing");
    load_bad(RETRIEVE, 3, 1, "there are no queries: give input.dataset or options.query");
}

static void retrieve_good(void **state)
{
    (void)state;
    load_bad_from(RETRIEVE "input: {dataset: a}\n", WORDS("options.query=x", "model=m"), NULL, 0, 0,
                  "options.query and input.dataset are both given");
    load_bad_from(RETRIEVE, WORDS("options.query=x"), NULL, 1, 1,
                  "model is missing: options.query are texts");
    load_bad_from(RETRIEVE, WORDS("options.query=x", "model=m", "output.keep=id"), NULL, 0, 0,
                  "output.keep copies columns of input.dataset, which is not given");
    load_bad_from(RETRIEVE "input: {dataset: a}\n", WORDS("output.keep=hits.text", "options.join=text"), NULL,
                  0, 0, "kind retrieve makes a column \"hits.text\" itself");
    load_bad_from(RETRIEVE "input: {dataset: a}\n", WORDS("options.join=[t, t]"), NULL, 0, 0,
                  "options.join: \"t\" is given twice");
    load_bad_from(RETRIEVE "input: {dataset: a}\n", WORDS("options.top_k=0"), NULL, 0, 0, "from 1 to 100000");
    struct ech_config *config = load_good(RETRIEVE "input: {dataset: a}\n",
                                          WORDS("output.keep=hits.title", "options.join=text"), NULL);
    const struct ech_retrieve_options *options = ech_config_job(config)->options;
    assert_int_equal(options->top_k, 10);
    assert_string_equal(options->column, "embedding");
    assert_int_equal(options->metric, 0);
    assert_int_equal(options->join.count, 1);
    ech_config_destroy(config);
    config = load_good(RETRIEVE, WORDS("model=m", "options.query=[draw a graph, 'two: 2']"), NULL);
    options = ech_config_job(config)->options;
    assert_int_equal(options->query.count, 2);
    assert_string_equal(options->query.items[1], "two: 2");
    ech_config_destroy(config);
}

static void paths_and_name(void **state)
{
    (void)state;
    char cwd[4096], expected[4200];
    assert_non_null(getcwd(cwd, sizeof cwd));
    struct ech_config *config = load_good("kind: embed\nmodel: ./a//b/.\ninput: {dataset: ../x}\n"
                                          "output: {dataset: /o//}\nruns: .\n",
                                          NULL, NULL);
    const struct ech_job *job = ech_config_job(config);
    snprintf(expected, sizeof expected, "%s/a/b", cwd);
    assert_string_equal(job->model, expected);
    snprintf(expected, sizeof expected, "%s/../x", cwd);
    assert_string_equal(job->input.dataset, expected);
    assert_string_equal(job->output.dataset, "/o");
    assert_string_equal(job->runs, cwd);
    ech_config_destroy(config);
    static const char *const names[][2] = {
        {"my job.v2.yaml", "my-job.v2"}, {".hidden", "_hidden"}, {"plain", "plain"}, {"\xC3\xA4.yml", "_-"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        write_bytes(names[i][0], BASIC, strlen(BASIC));
        struct ech_config_request request = {.path = names[i][0]};
        assert_int_equal(ech_config_load(&request, &config, NULL), ECH_OK);
        assert_string_equal(ech_config_job(config)->name, names[i][1]);
        ech_config_destroy(config);
    }
}

/* Every allocation, open and read fails once: the right code, no leak (the sanitizer looks), no half job. */
static void faults(void **state)
{
    (void)state;
    const char *text = "kind: retrieve\noutput: {dataset: b, keep: [a, b]}\noptions: {index: i}\n"
                       "input: {dataset: q, template: \"{a} {{ {b}\"}\n";
    for (int64_t n = 1;; n++) {
        struct ech_config *config = NULL;
        struct ech_err err = ECH_ERR_NONE;
        struct ech_str out;
        ech_str_init(&out);
        struct ech_config_request request = {
            .path = "job.yaml", .sets = WORDS("options.join=[x, y]"), .env = WORDS("ECHELON_MODEL=m")};
        write_bytes("job.yaml", text, strlen(text));
        ech_fault_arm(-1, n);
        int code = ech_config_load(&request, &config, &err);
        if (code == ECH_OK)
            code = ech_config_print(config, true, &out, &err);
        bool fired = ech_fault_fired();
        ech_fault_arm(-1, 0);
        ech_str_fini(&out);
        if (fired && code != ECH_UNAVAILABLE && code != ECH_IO)
            fail_msg("pass %lld: code %d: %s", (long long)n, code, err.text);
        assert_int_equal(code == ECH_OK, !fired);
        ech_config_destroy(config);
        if (!fired) {
            assert_true(n > 50);
            return;
        }
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(template_parts), cmocka_unit_test(classify_rules), cmocka_unit_test(embed_rules),
    cmocka_unit_test(places),         cmocka_unit_test(columns),        cmocka_unit_test(retrieve_rules),
    cmocka_unit_test(retrieve_good),  cmocka_unit_test(paths_and_name), cmocka_unit_test(faults),
};
ECH_TEST_MAIN(tests)
