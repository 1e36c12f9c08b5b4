/* Loading texts in tests: job.yaml is written and loaded with some --set and environment. */
#ifndef ECH_TESTS_UNIT_CONFIG_LOAD_H
#define ECH_TESTS_UNIT_CONFIG_LOAD_H

#include "tests/harness.h"

#include "config/config.h"

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define BASIC      "kind: embed\nmodel: m\ninput: {dataset: a}\noutput: {dataset: b}\n"

static inline void write_bytes(const char *path, const char *text, size_t bytes)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, bytes, f), bytes);
    fclose(f);
}

static inline int load_from(const char *text, const char *const *sets, const char *const *env,
                            struct ech_config **out, struct ech_err *err)
{
    struct ech_config_request request = {.path = "job.yaml", .sets = sets, .env = env};
    write_bytes("job.yaml", text, strlen(text));
    return ech_config_load(&request, out, err);
}

static inline struct ech_config *load_good(const char *text, const char *const *sets, const char *const *env)
{
    struct ech_config *config = NULL;
    struct ech_err err = ECH_ERR_NONE;
    if (load_from(text, sets, env, &config, &err) != ECH_OK)
        fail_msg("%s:%d:%d: %s\nin\n%s", err.file, err.line, err.column, err.text, text);
    return config;
}

/* The whole message must contain `says`; line 0: no position. */
static inline void load_bad_from(const char *text, const char *const *sets, const char *const *env, int line,
                                 int column, const char *says)
{
    struct ech_config *config = NULL;
    struct ech_err err = ECH_ERR_NONE;
    int code = load_from(text, sets, env, &config, &err);
    if (code != ECH_CONFIG || config || err.line != line || err.column != column || !strstr(err.text, says))
        fail_msg("%d:%d: \"%s\" was expected, code %d, %d:%d: %s\nin\n%s", line, column, says, code, err.line,
                 err.column, err.text, text);
    assert_string_equal(err.file, line ? "job.yaml" : "");
}

static inline void load_bad(const char *text, int line, int column, const char *says)
{
    load_bad_from(text, NULL, NULL, line, column, says);
}

#endif
