/* The traps of YAML, and files that mean harm. */
#include "tests/unit/config/load.h"

#include "base/clock.h"
#include "config/kinds/embed.h"
#include "config/kinds/retrieve.h"

#include <unistd.h>

/* `no` is a text where a text is asked, and false where a truth value is. */
static void norway(void **state)
{
    (void)state;
    struct ech_config *config =
        load_good("kind: embed\nname: no\nmodel: m\ninput: {dataset: a, column: off}\n"
                  "output: {dataset: b, keep: [yes, no]}\n"
                  "options: {normalize: no, prefix: on}\nbalance: {probe: no}\n",
                  NULL, NULL);
    const struct ech_job *job = ech_config_job(config);
    const struct ech_embed_options *options = job->options;
    assert_string_equal(job->name, "no");
    assert_string_equal(job->input.column, "off");
    assert_string_equal(job->output.keep.items[0], "yes");
    assert_string_equal(job->output.keep.items[1], "no");
    assert_string_equal(options->prefix, "on");
    assert_int_equal(options->normalize, 1); /* auto no yes */
    assert_false(job->balance.probe);
    ech_config_destroy(config);
}

static void numbers(void **state)
{
    (void)state;
    struct ech_config *config = load_good(BASIC "name: 012\nmax_errors: 012\n"
                                                "resources: {time: 1:30:00, threads: 010, memory: 1.5GiB}\n"
                                                "limits: {heartbeat: 90s, phase: 15m, stop_margin: 1:30}\n",
                                          NULL, NULL);
    const struct ech_job *job = ech_config_job(config);
    assert_string_equal(job->name, "012");
    assert_int_equal(job->max_errors, 12);
    assert_true(job->resources.time == 5400);
    assert_int_equal(job->resources.threads, 10);
    assert_int_equal(job->resources.memory, 3LL << 29);
    assert_true(job->limits.heartbeat == 90 && job->limits.phase == 900 && job->limits.stop_margin == 90);
    ech_config_destroy(config);
    load_bad(BASIC "max_errors: 0x10\n", 5, 1, "max_errors is \"0x10\", an integer from 0 to");
    load_bad(BASIC "max_errors: 1e3\n", 5, 1, "an integer");
    load_bad(BASIC "max_errors: 99999999999999999999\n", 5, 1, "an integer");
    load_bad(BASIC "max_errors: -1\n", 5, 1, "an integer from 0");
    load_bad(BASIC "resources: {nodes: 0}\n", 5, 13, "from 1 to 100000");
    load_bad(BASIC "resources: {threads: 0}\n", 5, 13, "\"auto\" or an integer from 1");
    load_bad(BASIC "resources: {time: 1:75}\n", 5, 13, "a time (90s, 15m, 1:30:00)");
    load_bad(BASIC "resources: {memory: lots}\n", 5, 13, "a size (4096, 64KiB, 16GiB)");
    load_bad(BASIC "balance: {probe: 1}\n", 5, 11, "true or false");
    load_bad(BASIC "limits: {heartbeat: nan}\n", 5, 10, "a time");
}

/* Quotes make no difference, `null` and an empty value mean "not given", "null" in quotes is a word. */
static void nothing(void **state)
{
    (void)state;
    struct ech_config *config = load_good("kind: 'embed'\nmodel: m\nname:\ninput: {dataset: a, column: ~}\n"
                                          "output: {dataset: b}\nbalance:\nmax_errors: null\n"
                                          "options: {prefix: \"null\"}\nresources: {nodes: \"3\"}\n",
                                          NULL, NULL);
    const struct ech_job *job = ech_config_job(config);
    assert_string_equal(job->name, "job");
    assert_string_equal(job->input.column, "text");
    assert_int_equal(job->max_errors, 1000);
    assert_int_equal(job->resources.nodes, 3);
    assert_string_equal(((const struct ech_embed_options *)job->options)->prefix, "null");
    ech_config_destroy(config);
    load_bad("kind: embed\nmodel:\ninput: {dataset: a}\noutput: {dataset: b}\n", 2, 1, "model is missing");
    load_bad("", 1, 1, "the file is empty");
    load_bad("# only a comment\n", 1, 1, "the file is empty");
    load_bad("- kind: embed\n", 1, 1, "a list, a map of keys was expected");
    load_bad("embed\n", 1, 1, "a value, a map of keys was expected");
    load_bad(BASIC "runs: \"\"\n", 5, 1, "runs is empty, a path was expected");
}

static void duplicate_keys(void **state)
{
    (void)state;
    load_bad(BASIC "kind: embed\n", 5, 1, "the key \"kind\" is given twice, first in line 1");
    load_bad(BASIC "resources:\n  nodes: 1\n  nodes: 2\n", 7, 3, "\"nodes\" is given twice, first in line 6");
    load_bad(BASIC "output: {dataset: c}\n", 5, 1, "\"output\" is given twice, first in line 4");
}

static void anchor_bomb(void **state)
{
    (void)state;
    load_bad("a: &a [x, x]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b]\n", 1, 4, "anchors (&name) are not allowed");
    load_bad(BASIC "name: *a\n", 5, 7, "aliases (*name) are not allowed");
    load_bad(BASIC "<<: {name: x}\n", 5, 1, "unknown key \"<<\"");
    load_bad(BASIC "name: !!str 3\n", 5, 7, "tags (!name) are not allowed");
}

static void tabs(void **state)
{
    (void)state;
    load_bad("kind: embed\ninput:\n\tdataset: a\n", 3, 1,
             "a tab in the indentation: YAML allows spaces only");
    load_bad("kind: embed\ninput:\n  dataset: a\n \tcolumn: b\n", 4, 2, "a tab in the indentation");
    /* A tab inside a text harms nobody. */
    ech_config_destroy(load_good(BASIC "options: {prefix: \"a\tb\"}\n", NULL, NULL));
}

static void deep_nesting(void **state)
{
    (void)state;
    enum { DEEP = 300000 };
    static char text[DEEP + 16];
    memcpy(text, "name: ", 6);
    memset(text + 6, '[', DEEP);
    load_bad(text, 1, 70, "nested more than 64 levels deep");
    for (int i = 0; i < DEEP; i += 4)
        memcpy(text + 6 + i, "{a: ", 4);
    load_bad(text, 1, 259, "nested more than 64 levels deep");
    char blocks[8000];
    size_t n = 0;
    for (int i = 0; i < 80; i++)
        n += (size_t)snprintf(blocks + n, sizeof blocks - n, "%*sa:\n", i, "");
    load_bad(blocks, 65, 65, "nested more than 64 levels deep");
}

static void too_much(void **state)
{
    (void)state;
    int64_t start = ech_mono_ns();
    write_bytes("job.yaml", "kind: embed\n", 12);
    assert_int_equal(truncate("job.yaml", 100 << 20), 0);
    struct ech_config *config = NULL;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_config_request request = {.path = "job.yaml"};
    assert_int_equal(ech_config_load(&request, &config, &err), ECH_CONFIG);
    assert_non_null(strstr(err.text, "104857600 bytes, a job file has at most 16777216"));
    assert_true(ech_mono_ns() - start < 200000000);

    size_t bytes = 0, most = 1 << 20;
    char *text = malloc(most);
    for (int i = 0; bytes + 32 < most; i++)
        bytes += (size_t)snprintf(text + bytes, most - bytes, "k%d: 1\n", i);
    load_bad(text, 1001, 1, "more than 1000 keys in one map");
    bytes = (size_t)snprintf(text, most, BASIC "output_keep: [");
    while (bytes + 4 < most)
        bytes += (size_t)snprintf(text + bytes, most - bytes, "a,");
    struct ech_err many = ECH_ERR_NONE;
    assert_int_equal(load_from(text, NULL, NULL, &config, &many), ECH_CONFIG);
    assert_non_null(strstr(many.text, "more than 100000 values"));
    free(text);
}

static void bytes(void **state)
{
    (void)state;
    load_bad("kind: embed\nname: \xC3\xA4\xFF\n", 2, 8, "not valid UTF-8 (byte 0xff)");
    load_bad("kind: embed\nname: \xED\xA0\x80\n", 2, 7, "not valid UTF-8");
    load_bad("kind: embed\nname: \x01\n", 2, 7, "control characters are not allowed");
    load_bad("kind: embed\nname: \"a\\0b\"\n", 2, 7, "a NUL character in a value");
    load_bad("kind: embed\nname: \"\\uD800\"\n", 2, 10, "invalid Unicode character");
    load_bad("kind: embed\n---\nkind: embed\n", 2, 1, "a second document in one file");
    load_bad("? [a]\n: b\n", 1, 3, "a key must be a word");
    load_bad("kind: \"embed\nname: x\n", 3, 1, "scanning a quoted scalar (begun in line 1)");
    load_bad("kind: embed\n  name: x\n", 2, 7, "mapping values are not allowed");
    load_bad("kind: embed\ninput: {dataset: a}\nname: {a} {b}\n", 3, 11,
             "a text that begins with { needs quotes");
    load_bad(BASIC "name: {a}\n", 5, 1, "name is a map, a text was expected (a text that begins with {");
    load_bad(BASIC "\"\\e[2J\\nkey\": 1\n", 5, 1,
             "unknown key \"?[2J?key\""); /* no escape reaches a terminal */
    write_bytes("job.yaml", "kind: em\0bed\n", 13);
    struct ech_config *config = NULL;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_config_request request = {.path = "job.yaml"};
    assert_int_equal(ech_config_load(&request, &config, &err), ECH_CONFIG);
    assert_int_equal(err.line, 1);
    ech_config_destroy(load_good("\xEF\xBB\xBF" BASIC, NULL, NULL));
    ech_config_destroy(load_good("%YAML 1.1\n---\n" BASIC "...\n", NULL, NULL));
}

static void no_file(void **state)
{
    (void)state;
    struct ech_config *config = NULL;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_config_request request = {.path = "missing.yaml"};
    assert_int_equal(ech_config_load(&request, &config, &err), ECH_NOINPUT);
    assert_non_null(strstr(err.text, "missing.yaml"));
    request.path = ".";
    ech_err_clear(&err);
    assert_int_equal(ech_config_load(&request, &config, &err), ECH_NOINPUT);
    assert_non_null(strstr(err.text, "is a folder"));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(norway),         cmocka_unit_test(numbers),     cmocka_unit_test(nothing),
    cmocka_unit_test(duplicate_keys), cmocka_unit_test(anchor_bomb), cmocka_unit_test(tabs),
    cmocka_unit_test(deep_nesting),   cmocka_unit_test(too_much),    cmocka_unit_test(bytes),
    cmocka_unit_test(no_file),
};
ECH_TEST_MAIN(tests)
