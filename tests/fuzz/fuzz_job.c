/* Any bytes as a job file. Parts divided by a zero byte: the first is the file, the others are --set (or,
 * with a leading "E", environment). What loads must print, load again from what was printed, and print the
 * same. */
#include "tests/fuzz/fuzz.h"

#include "config/state.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

enum { PARTS = 8 };

struct input {
    char *text; /* the file */
    size_t bytes;
    char *sets[PARTS + 1], *env[PARTS + 1];
};

static void cut(const uint8_t *data, size_t size, struct input *in)
{
    const uint8_t *end = memchr(data, '\0', size);
    int sets = 0, env = 0;
    in->bytes = end ? (size_t)(end - data) : size;
    in->text = ech_strndup((const char *)data, in->bytes, NULL);
    while (end && sets < PARTS && env < PARTS) {
        const uint8_t *from = end + 1;
        size_t left = size - (size_t)(from - data);
        end = memchr(from, '\0', left);
        size_t length = end ? (size_t)(end - from) : left;
        if (length && *from == 'E')
            in->env[env++] = ech_sprintf(NULL, "ECHELON_%.*s", (int)length - 1, (const char *)from + 1);
        else
            in->sets[sets++] = ech_strndup((const char *)from, length, NULL);
    }
}

static void require(bool good, const char *what, const char *text)
{
    if (good)
        return;
    fprintf(stderr, "%s\n%s\n", what, text);
    __builtin_trap();
}

static void print_all(const struct ech_config *config, struct ech_str *out)
{
    require(ech_config_print(config, false, out, NULL) == ECH_OK, "print", "");
    require(ech_config_affecting(config, out, NULL) == ECH_OK, "affecting", "");
}

static void check_round_trip(const struct ech_config *config)
{
    struct ech_config_request request = {.path = "job.yaml", .saved = true};
    struct ech_config *again = NULL;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_str yaml, one, two;
    ech_str_init(&yaml);
    ech_str_init(&one);
    ech_str_init(&two);
    require(ech_config_print(config, true, &yaml, NULL) == ECH_OK, "print", "");
    int code = ech_config_load_text(&request, yaml.data, yaml.length, &again, &err);
    require(code == ECH_OK, err.text, yaml.data);
    print_all(config, &one);
    print_all(again, &two);
    require(strcmp(one.data, two.data) == 0, "a round trip changes values", one.data);
    ech_config_destroy(again);
    ech_str_fini(&yaml);
    ech_str_fini(&one);
    ech_str_fini(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {0};
    cut(data, size, &in);
    struct ech_config *config = NULL;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_config_request request = {
        .path = "job.yaml", .sets = (const char *const *)in.sets, .env = (const char *const *)in.env};
    int code = ech_config_load_text(&request, in.text, in.bytes, &config, &err);
    require(code == err.code, "the code and the error differ", err.text);
    require(code == ECH_OK || code == ECH_CONFIG, "an unexpected code", err.text);
    require((code == ECH_OK) == (config != NULL), "a job although it failed", err.text);
    if (config) {
        struct ech_str json;
        ech_str_init(&json);
        require(ech_config_print_json(config, &json, NULL) == ECH_OK, "json", "");
        json_t *root = NULL;
        require(ech_json_parse("json", json.data, json.length, &root, NULL) == ECH_OK, "json", json.data);
        json_decref(root);
        ech_str_fini(&json);
        check_round_trip(config);
    }
    ech_config_destroy(config);
    ech_free(in.text);
    for (int i = 0; i < PARTS; i++) {
        ech_free(in.sets[i]);
        ech_free(in.env[i]);
    }
    return 0;
}
