/* The verb `config`. */
#include "tests/unit/config/load.h"

#include "config/schema.h"
#include "config/verbs.h"

/* Runs the verb; its output is in `text`. */
static int run(const char *const *words, char *text, size_t bytes, struct ech_err *err)
{
    char *argv[16];
    int argc = 0;
    for (; words[argc]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc];
    FILE *out = tmpfile();
    ech_err_clear(err);
    int code = ech_config_verb(argc, argv, out, err);
    rewind(out);
    size_t length = fread(text, 1, bytes - 1, out);
    text[length] = '\0';
    fclose(out);
    assert_int_equal(code, err->code);
    return code;
}

static char text[1 << 16];
static struct ech_err err;

static void check_and_show(void **state)
{
    (void)state;
    char ok[64], all[256];
    snprintf(ok, sizeof ok, "good.yaml: ok, embed, %d values\n", ech_schema_count(ech_kind_find("embed")));
    snprintf(all, sizeof all, "%sbad.yaml: wrong\nworse.yaml: wrong\n%s", ok, ok);
    write_bytes("good.yaml", BASIC, strlen(BASIC));
    write_bytes("bad.yaml", "kind: embed\nmodl: m\n", 20);
    write_bytes("worse.yaml", "kind: [\n", 8);
    assert_int_equal(run(WORDS("check", "good.yaml"), text, sizeof text, &err), ECH_OK);
    assert_string_equal(text, ok);
    assert_int_equal(
        run(WORDS("check", "good.yaml", "bad.yaml", "worse.yaml", "good.yaml"), text, sizeof text, &err),
        ECH_CONFIG);
    assert_string_equal(text, all);
    assert_string_equal(err.file, "bad.yaml");
    assert_non_null(strstr(err.text, "did you mean model?"));
    assert_non_null(strstr(err.text, "\nworse.yaml:2:1: not valid YAML"));
    assert_int_equal(run(WORDS("check", "missing.yaml"), text, sizeof text, &err), ECH_NOINPUT);

    assert_int_equal(run(WORDS("show", "good.yaml", "--set", "retries=3"), text, sizeof text, &err), ECH_OK);
    assert_non_null(strstr(text, "\nretries: 3  # --set\n"));
    assert_non_null(strstr(text, "kind: embed  # good.yaml:1\n"));
    assert_int_equal(run(WORDS("show", "--json", "good.yaml"), text, sizeof text, &err), ECH_OK);
    assert_non_null(strstr(text, "{\"key\":\"retries\",\"value\":0,\"origin\":\"default\"}"));
    setenv("ECHELON_RETRIES", "4", 1);
    assert_int_equal(run(WORDS("show", "good.yaml"), text, sizeof text, &err), ECH_OK);
    assert_non_null(strstr(text, "\nretries: 4  # ECHELON_RETRIES\n"));
}

static void schema_and_reference(void **state)
{
    (void)state;
    assert_int_equal(run(WORDS("schema"), text, sizeof text, &err), ECH_OK);
    assert_non_null(strstr(text, "\"$schema\""));
    assert_int_equal(run(WORDS("reference"), text, sizeof text, &err), ECH_OK);
    assert_non_null(strstr(text, "\nkind: embed\n"));
    assert_int_equal(run(WORDS("schema", "x"), text, sizeof text, &err), ECH_USAGE);
}

static void usage(void **state)
{
    (void)state;
    static const char *const verbs[] = {"show", "check", "schema", "reference"};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(run(WORDS(verbs[i], "--help"), text, sizeof text, &err), ECH_OK);
        assert_true(strstr(text, "usage: echelon config ") && strstr(text, "\nexample:\n") &&
                    strstr(text, "\nexit status:\n"));
    }
    assert_int_equal(run(WORDS("--help"), text, sizeof text, &err), ECH_OK);
    assert_true(strstr(text, "check") && strstr(text, "example:") && strstr(text, "exit status:"));
    assert_int_equal(run(WORDS(NULL), text, sizeof text, &err), ECH_USAGE);
    assert_int_equal(run(WORDS("shwo"), text, sizeof text, &err), ECH_USAGE);
    assert_non_null(strstr(err.text, "did you mean show?"));
    assert_int_equal(run(WORDS("show", "--jsn", "x"), text, sizeof text, &err), ECH_USAGE);
    assert_non_null(strstr(err.text, "did you mean --json?"));
    assert_int_equal(run(WORDS("show"), text, sizeof text, &err), ECH_USAGE);
    assert_string_equal(text, "");
}

/* A full output device is an error, not silence. */
static void full_output(void **state)
{
    (void)state;
    FILE *out = fopen("/dev/full", "w");
    if (!out)
        ECH_SKIP("devfull", "/dev/full is not there");
    char *argv[] = {"schema"};
    ech_err_clear(&err);
    assert_int_equal(ech_config_verb(1, argv, out, &err), ECH_IO);
    fclose(out);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(check_and_show),
    cmocka_unit_test(schema_and_reference),
    cmocka_unit_test(usage),
    cmocka_unit_test(full_output),
};
ECH_TEST_MAIN(tests)
