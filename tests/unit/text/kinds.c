/* runtime/text: a tokenizer.json of every kind of component against checksums of the reference's ids and
 * decoded texts (goldens/kinds.py). */
#include "tests/harness.h"

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "text/tokenizer.h"

#include <dirent.h>

enum { MOST = 1 << 14 };

static void must(int code, const struct ech_err *err)
{
    if (code != ECH_OK)
        fail_msg("status %d: %s", code, err->text);
}

static char *golden(const char *name, size_t *bytes)
{
    char path[4096], *data;
    const char *source = getenv("ECH_SOURCE");
    struct ech_err err = ECH_ERR_NONE;
    snprintf(path, sizeof path, "%s/tests/unit/text/goldens/%s", source ? source : ".", name);
    must(ech_read_file(path, 1 << 24, &data, bytes, &err), &err);
    return data;
}

static struct ech_tokenizer *open_golden(const char *name)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_tokenizer *t;
    size_t bytes;
    char *json = golden(name, &bytes);
    must(ech_tokenizer_parse(name, json, bytes, &t, &err), &err);
    ech_free(json);
    return t;
}

static uint32_t mix(uint32_t h, const void *data, size_t bytes)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < bytes; i++)
        h = (h ^ p[i]) * 16777619u;
    return h;
}

/* Ids of the text and what they decode to, as one number; the ids at every shorter limit begin the same. */
static uint32_t answer(const struct ech_tokenizer *t, struct ech_encoder *e, const char *text, size_t bytes)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_encoded got, cut;
    struct ech_decoded back;
    static int32_t ids[MOST];
    must(ech_tokenizer_encode(t, e, text, bytes, MOST, true, &got, &err), &err);
    assert_true(got.count == got.needed);
    int64_t count = got.count, added = ech_tokenizer_added(t);
    memcpy(ids, got.ids, (size_t)count * sizeof *ids);
    must(ech_tokenizer_decode(t, e, ids, count, false, &back, &err), &err);
    assert_int_equal(strlen(back.text), back.bytes);
    uint32_t sum = mix(mix(2166136261u, ids, (size_t)count * sizeof *ids), back.text, back.bytes);
    for (int64_t most = added + 1; most < count; most = most * 2 + 1) {
        must(ech_tokenizer_encode(t, e, text, bytes, most, false, &cut, &err), &err);
        assert_int_equal(cut.count, most);
        assert_true(cut.needed > most);
    }
    return sum;
}

static void check_kind(char *line, const json_t *const *texts, size_t count)
{
    char *at = strchr(line, ' ');
    struct ech_err err = ECH_ERR_NONE;
    struct ech_encoder *e;
    assert_non_null(at);
    *at++ = '\0';
    struct ech_tokenizer *t = open_golden(line);
    must(ech_encoder_create(&e, &err), &err);
    for (size_t i = 0; i < count; i++) {
        uint32_t want = (uint32_t)strtoul(at, &at, 16);
        uint32_t got = answer(t, e, json_string_value(texts[i]), json_string_length(texts[i]));
        if (got != want)
            fail_msg("%s: text %zu (\"%.60s\"): %08x, %08x expected", line, i, json_string_value(texts[i]),
                     (unsigned)got, (unsigned)want);
    }
    ech_encoder_destroy(e);
    ech_tokenizer_close(t);
}

static void kinds(void **state)
{
    (void)state;
    char *lines = golden("texts.jsonl", NULL), *sums = golden("kinds.txt", NULL), *at = lines, *end;
    json_t *texts[512];
    size_t count = 0, files = 0;
    for (; (end = strchr(at, '\n')); at = end + 1) {
        json_error_t error;
        *end = '\0';
        texts[count] = json_loads(at, JSON_DECODE_ANY, &error);
        assert_non_null(texts[count++]);
    }
    for (at = sums; (end = strchr(at, '\n')); at = end + 1, files++) {
        *end = '\0';
        check_kind(at, (const json_t *const *)texts, count);
    }
    for (size_t i = 0; i < count; i++)
        json_decref(texts[i]);
    assert_true(count > 100 && files > 20);
    ech_free(lines);
    ech_free(sums);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(kinds),
};
ECH_TEST_MAIN(tests)
