/* What is printed loads again to the same values; the identity's lines; reference file and JSON Schema. */
#include "tests/unit/config/load.h"

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"

static char *printed(const struct ech_config *config, bool origins)
{
    struct ech_str text;
    ech_str_init(&text);
    assert_int_equal(ech_config_print(config, origins, &text, NULL), ECH_OK);
    return ech_str_take(&text, NULL);
}

static void round_trip(void **state)
{
    (void)state;
    static const char *const jobs[] = {
        BASIC,
        "kind: embed\nmodel: \"m: # \\\" \\\\ ä\"\nname: \"null\"\ninput: {dataset: \"a\\nb\", template: "
        "\"{{ {x} }}\"}\n"
        "output: {dataset: b, keep: [no, \"null\", \"a.b-c_d\"], shard_bytes: 1025}\n"
        "options: {prefix: \" a\\t\\x7f\\u0085\\u2028\\ufeff\\U0001F600: \", prompt: \"~\", normalize: on}\n"
        "resources: {time: 1-00:00:01, memory: 1.5GiB, threads: 3}\n"
        "limits: {heartbeat: 0.1, spool_sync: 0.123456789, phase: 1:02, spool_sync_bytes: 64MB}\n",
        "kind: retrieve\noutput: {dataset: b}\noptions: {index: i, query: [\"a, b\", \"[x]\", \"\", \"'\"], "
        "join: []}\n"
        "model: m\n",
    };
    for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++) {
        struct ech_config *config = load_good(jobs[i], NULL, NULL), *again;
        struct ech_str one, two;
        ech_str_init(&one);
        ech_str_init(&two);
        char *text = printed(config, false), *with = printed(config, true);
        assert_int_equal(ech_config_affecting(config, &one, NULL), ECH_OK);
        ech_config_destroy(config);
        for (int origins = 0; origins < 2; origins++) {
            struct ech_config_request request = {.path = "saved/job.yaml", .saved = true};
            assert_int_equal(ech_mkdir_all("saved", NULL), ECH_OK);
            write_bytes("saved/job.yaml", origins ? with : text, strlen(origins ? with : text));
            struct ech_err err = ECH_ERR_NONE;
            if (ech_config_load(&request, &again, &err) != ECH_OK)
                fail_msg("%d:%d: %s\nin\n%s", err.line, err.column, err.text, text);
            char *second = printed(again, false);
            assert_string_equal(second, text);
            ech_free(second);
            ech_str_clear(&two);
            assert_int_equal(ech_config_affecting(again, &two, NULL), ECH_OK);
            assert_string_equal(one.data, two.data);
            ech_config_destroy(again);
        }
        ech_str_fini(&one);
        ech_str_fini(&two);
        ech_free(text);
        ech_free(with);
    }
}

static char *affecting(const char *const *sets)
{
    struct ech_config *config = load_good(BASIC, sets, NULL);
    struct ech_str text;
    ech_str_init(&text);
    assert_int_equal(ech_config_affecting(config, &text, NULL), ECH_OK);
    ech_config_destroy(config);
    return ech_str_take(&text, NULL);
}

/* What changes the result changes the lines; what does not, does not. */
static void identity(void **state)
{
    (void)state;
    char *base = affecting(NULL);
    assert_string_equal(base, "kind.version=1\nkind=embed\ninput.column=text\ninput.template=null\n"
                              "output.keep=[]\noutput.shard_bytes=256MiB\noptions.pooling=model\n"
                              "options.normalize=auto\noptions.max_tokens=auto\noptions.on_long=truncate\n"
                              "options.prompt=null\noptions.prefix=null\nprecision.weights=f32\nprecision."
                              "compute=f32\nnumerics=strict\n");
    static const char *const same[] = {
        "resources.threads=2",  "max_errors=3",           "model=/elsewhere",  "name=x",
        "balance.probe=no",     "resources.backend=avx2", "output.dataset=/o", "runs=/r",
        "output.exists=replace"};
    static const char *const other[] = {
        "input.column=c",      "input.template={a}",      "options.normalize=yes", "output.keep=[a]",
        "options.prefix=x\ny", "output.shard_bytes=1MiB", "options.on_long=error"};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        char *text = affecting(WORDS(same[i]));
        assert_string_equal(text, base);
        ech_free(text);
    }
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        char *text = affecting(WORDS(other[i]));
        int lines[2] = {0, 0};
        for (size_t k = 0; base[k]; k++)
            lines[0] += base[k] == '\n';
        for (size_t k = 0; text[k]; k++)
            lines[1] += text[k] == '\n';
        assert_string_not_equal(text, base);
        assert_int_equal(lines[0], lines[1]); /* a line break in a value stays inside its line */
        ech_free(text);
    }
    ech_free(base);
}

static void json(void **state)
{
    (void)state;
    struct ech_config *config = load_good(BASIC "resources: {time: 1:30:00}\nlimits: {spool_sync: 0.00001}\n",
                                          WORDS("output.keep=[a, b]"), NULL);
    struct ech_str text;
    ech_str_init(&text);
    assert_int_equal(ech_config_print_json(config, &text, NULL), ECH_OK);
    json_t *root;
    struct ech_err err = ECH_ERR_NONE;
    if (ech_json_parse("json", text.data, text.length, &root, &err) != ECH_OK)
        fail_msg("%s", err.text);
    size_t index;
    json_t *entry;
    int checked = 0;
    json_array_foreach(root, index, entry)
    {
        const char *key = json_string_value(json_object_get(entry, "key"));
        const char *origin = json_string_value(json_object_get(entry, "origin"));
        const json_t *value = json_object_get(entry, "value");
        assert_true(key && origin && value);
        checked++;
        if (strcmp(key, "resources.time") == 0)
            assert_true(json_number_value(value) == 5400 && strcmp(origin, "job.yaml:5") == 0);
        else if (strcmp(key, "limits.spool_sync") == 0)
            assert_true(json_number_value(value) == 0.00001);
        else if (strcmp(key, "output.keep") == 0)
            assert_true(json_array_size(value) == 2 && strcmp(origin, "--set") == 0);
        else if (strcmp(key, "resources.memory") == 0 || strcmp(key, "input.template") == 0)
            assert_true(json_is_null(value));
        else if (strcmp(key, "output.shard_bytes") == 0)
            assert_true(json_integer_value(value) == 256 << 20 && strcmp(origin, "default") == 0);
        else if (strcmp(key, "balance.probe") == 0)
            assert_true(json_is_true(value));
        else if (strcmp(key, "resources.threads") == 0)
            assert_string_equal(json_string_value(value), "auto");
        else
            checked--;
    }
    assert_int_equal(checked, 8);
    json_decref(root);
    ech_str_fini(&text);
    ech_config_destroy(config);
}

static void schema(void **state)
{
    (void)state;
    struct ech_str text;
    ech_str_init(&text);
    assert_int_equal(ech_config_schema_json(&text, NULL), ECH_OK);
    json_t *root;
    struct ech_err err = ECH_ERR_NONE;
    if (ech_json_parse("schema", text.data, text.length, &root, &err) != ECH_OK)
        fail_msg("%d:%d %s", err.line, err.column, err.text);
    const json_t *properties = json_object_get(root, "properties");
    const json_t *resources = json_object_get(json_object_get(properties, "resources"), "properties");
    const json_t *nodes = json_object_get(resources, "nodes");
    assert_int_equal(json_integer_value(json_object_get(nodes, "default")), 1);
    assert_int_equal(json_integer_value(json_object_get(nodes, "minimum")), 1);
    assert_non_null(json_object_get(properties, "steps"));
    const json_t *one = json_object_get(root, "then"); /* a file without steps */
    int kinds = 0;
    while (ech_kinds()[kinds])
        kinds++;
    assert_int_equal(json_array_size(json_object_get(one, "allOf")), kinds);
    const json_t *then = json_object_get(json_array_get(json_object_get(one, "allOf"), 1), "then");
    const json_t *options = json_object_get(json_object_get(then, "properties"), "options");
    assert_non_null(json_object_get(json_object_get(options, "properties"), "top_k"));
    assert_string_equal(json_string_value(json_array_get(json_object_get(options, "required"), 0)), "index");
    json_decref(root);
    ech_str_fini(&text);
}

/* configs/reference.yaml is what the table says. ECH_UPDATE=1 rewrites it. */
static void reference(void **state)
{
    (void)state;
    const char *source = getenv("ECH_SOURCE");
    assert_non_null(source);
    char path[4096], *there = NULL;
    snprintf(path, sizeof path, "%s/configs/reference.yaml", source);
    struct ech_str text;
    ech_str_init(&text);
    assert_int_equal(ech_config_reference(&text, NULL), ECH_OK);
    if (getenv("ECH_UPDATE"))
        assert_int_equal(ech_write_file(path, text.data, text.length, NULL), ECH_OK);
    assert_int_equal(ech_read_file(path, 1 << 20, &there, NULL, NULL), ECH_OK);
    if (strcmp(there, text.data) != 0)
        fail_msg("%s is not what the schema says: run this test with ECH_UPDATE=1", path);
    ech_free(there);
    ech_str_fini(&text);
}

static void examples(void **state)
{
    (void)state;
    static const char *const names[] = {"reference", "embed", "retrieve", "slurm", "steps"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[4096];
        struct ech_err err = ECH_ERR_NONE;
        struct ech_config *config;
        snprintf(path, sizeof path, "%s/configs/%s.yaml", getenv("ECH_SOURCE"), names[i]);
        bool steps = strcmp(names[i], "steps") == 0;
        struct ech_config_request request = {.path = path, .step = steps ? "hits" : NULL};
        if (ech_config_load(&request, &config, &err) != ECH_OK)
            fail_msg("%s:%d:%d: %s", err.file, err.line, err.column, err.text);
        assert_string_equal(ech_config_job(config)->name, steps ? "steps-hits" : names[i]);
        ech_config_destroy(config);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(round_trip), cmocka_unit_test(identity),  cmocka_unit_test(json),
    cmocka_unit_test(schema),     cmocka_unit_test(reference), cmocka_unit_test(examples),
};
ECH_TEST_MAIN(tests)
