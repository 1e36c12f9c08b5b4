/* runtime/text: a tokenizer.json of every kind of component against checksums of the reference's ids and
 * decoded texts (goldens/kinds.py). */
#include "tests/harness.h"

#include "base/fault.h"
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

static void check_pair(const struct ech_tokenizer *t, struct ech_encoder *e, const json_t *line)
{
    const char *first = json_string_value(json_object_get(line, "first"));
    const char *second = json_string_value(json_object_get(line, "second"));
    const json_t *ids = json_object_get(line, "ids"), *types = json_object_get(line, "types");
    const struct ech_text_pair pair = {first, strlen(first), second, strlen(second)};
    const struct ech_encode_options options = {.most = json_integer_value(json_object_get(line, "most"))};
    struct ech_err err = ECH_ERR_NONE;
    struct ech_encoded got;
    must(ech_tokenizer_encode_pair(t, e, &pair, &options, &got, &err), &err);
    assert_int_equal(got.count, json_array_size(ids));
    assert_true(got.needed >= got.count);
    for (int64_t i = 0; i < got.count; i++) {
        assert_int_equal(got.ids[i], json_integer_value(json_array_get(ids, (size_t)i)));
        assert_int_equal(got.types ? got.types[i] : 0, json_integer_value(json_array_get(types, (size_t)i)));
    }
}

static void pairs(void **state)
{
    (void)state;
    char *lines = golden("pairs.jsonl", NULL), *at = lines, file[64] = "";
    struct ech_tokenizer *t = NULL;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_encoder *e;
    int count = 0;
    must(ech_encoder_create(&e, &err), &err);
    for (char *end; (end = strchr(at, '\n')); at = end + 1, count++) {
        json_t *line;
        must(ech_json_parse("pairs.jsonl", at, (size_t)(end - at), &line, &err), &err);
        const char *name = json_string_value(json_object_get(line, "file"));
        if (strcmp(name, file) != 0) {
            snprintf(file, sizeof file, "%s", name);
            ech_tokenizer_close(t);
            t = open_golden(file);
        }
        check_pair(t, e, line);
        json_decref(line);
    }
    assert_true(count > 100);
    ech_encoder_destroy(e);
    ech_tokenizer_close(t);
    ech_free(lines);
}

static int32_t first_id(const struct ech_tokenizer *t, struct ech_encoder *e, const char *text, bool literal)
{
    const struct ech_encode_options options = {.most = 100, .bare = true, .literal = literal};
    struct ech_err err = ECH_ERR_NONE;
    struct ech_encoded got;
    must(ech_tokenizer_encode_with(t, e, text, strlen(text), &options, &got, &err), &err);
    assert_true(got.count > 0);
    return got.ids[0];
}

/* Special tokens by text, by role, as plain text, and left out of what is decoded. */
static void special_tokens(void **state)
{
    (void)state;
    struct ech_tokenizer *t = open_golden("kind-llama3.json");
    struct ech_err err = ECH_ERR_NONE;
    struct ech_encoder *e;
    struct ech_decoded back;
    struct ech_encoded got;
    size_t bytes;
    must(ech_encoder_create(&e, &err), &err);
    int32_t start = ech_tokenizer_id(t, "<|im_start|>", 12), s = ech_tokenizer_id(t, "<s>", 3);
    assert_true(start > 0 && s >= 0);
    assert_string_equal(ech_tokenizer_token(t, start, &bytes), "<|im_start|>");
    assert_int_equal(bytes, 12);
    assert_null(ech_tokenizer_token(t, ech_tokenizer_largest_id(t) + 1, &bytes));
    assert_null(ech_tokenizer_token(t, -1, &bytes));
    assert_true(ech_tokenizer_is_special(t, start));
    assert_false(ech_tokenizer_is_special(t, ech_tokenizer_id(t, "t", 1)));
    assert_false(ech_tokenizer_is_special(t, 1 << 30));
    assert_int_equal(ech_tokenizer_id(t, "no such token", 13), -1);
    assert_int_equal(first_id(t, e, "<|im_start|>x", false), start);
    assert_int_not_equal(first_id(t, e, "<|im_start|>x", true), start);
    must(ech_tokenizer_encode(t, e, "a<|im_start|>b", 14, 100, true, &got, &err), &err);
    const int32_t ids[] = {got.ids[0], got.ids[1], got.ids[2], got.ids[3]};
    assert_int_equal(got.count, 4);
    assert_int_equal(ids[0], s);
    must(ech_tokenizer_decode(t, e, ids, 4, true, &back, &err), &err);
    assert_string_equal(back.text, "ab");
    must(ech_tokenizer_decode(t, e, ids, 4, false, &back, &err), &err);
    assert_string_equal(back.text, "<s>a<|im_start|>b");
    must(ech_tokenizer_decode(t, e, ids, 0, false, &back, &err), &err);
    assert_string_equal(back.text, "");
    assert_string_equal(ech_tokenizer_kind(t), "BPE");
    ech_encoder_destroy(e);
    ech_tokenizer_close(t);
}

static void write_text(const char *name, const char *text)
{
    struct ech_err err = ECH_ERR_NONE;
    must(ech_write_file(name, text, strlen(text), &err), &err);
}

/* Roles come from the files beside tokenizer.json; the first that names one decides. */
static void roles(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_tokenizer *t;
    size_t bytes;
    char *json = golden("kind-roberta.json", &bytes);
    must(ech_write_file("tokenizer.json", json, bytes, &err), &err);
    must(ech_tokenizer_open(".", &t, &err), &err);
    assert_int_equal(ech_tokenizer_role(t, ECH_TOKEN_BOS), -1);
    assert_int_equal(ech_tokenizer_role(t, ECH_TOKEN_UNK), ech_tokenizer_id(t, "<unk>", 5));
    assert_null(ech_tokenizer_files(t)[1]);
    ech_tokenizer_close(t);
    write_text("tokenizer_config.json",
               "{\"bos_token\":{\"content\":\"<s>\"},\"pad_token\":null,\"sep_token\":\"none\"}");
    write_text("special_tokens_map.json", "{\"bos_token\":\"</s>\",\"pad_token\":\"<pad>\"}");
    must(ech_tokenizer_open(".", &t, &err), &err);
    assert_int_equal(ech_tokenizer_role(t, ECH_TOKEN_BOS), ech_tokenizer_id(t, "<s>", 3));
    assert_int_equal(ech_tokenizer_role(t, ECH_TOKEN_PAD), ech_tokenizer_id(t, "<pad>", 5));
    assert_int_equal(ech_tokenizer_role(t, ECH_TOKEN_SEP), -1);
    assert_string_equal(ech_tokenizer_files(t)[2], "special_tokens_map.json");
    ech_tokenizer_close(t);
    write_text("tokenizer_config.json", "[]");
    assert_int_equal(ech_tokenizer_open(".", &t, &err), ECH_DATA);
    ech_free(json);
}

/* One encoder for one tokenizer after another: no cache of the one is the other's. */
static void encoder_changes(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_encoder *e;
    must(ech_encoder_create(&e, &err), &err);
    for (int i = 0; i < 6; i++) {
        struct ech_tokenizer *t = open_golden(i % 3 == 0   ? "kind-gpt2.json"
                                              : i % 3 == 1 ? "kind-clip.json"
                                                           : "kind-bert.json");
        int32_t id = first_id(t, e, "the", false);
        size_t bytes;
        const char *token = ech_tokenizer_token(t, id, &bytes);
        assert_true(token && (strncmp(token, "the", 3) == 0 || *token == 't'));
        ech_tokenizer_close(t);
    }
    ech_encoder_destroy(e);
}

/* Every allocation fails once, of every kind of file: a clean error, then a whole run. */
static void faults_of(const char *name)
{
    size_t bytes;
    char *json = golden(name, &bytes);
    bool fired = true;
    for (int64_t n = 1; fired; n += 1 + n / 16) {
        struct ech_err err = ECH_ERR_NONE;
        struct ech_tokenizer *t = NULL;
        struct ech_encoder *e = NULL;
        struct ech_encoded out;
        struct ech_decoded back;
        const int32_t ids[] = {5, 6, 7, 8, 9};
        ech_fault_arm(ECH_FAULT_ALLOC, n);
        int code = ech_tokenizer_parse("t.json", json, bytes, &t, &err);
        if (code == ECH_OK)
            code = ech_encoder_create(&e, &err);
        if (code == ECH_OK)
            code = ech_tokenizer_encode(t, e, "A caf\xC3\xA9 a\xCC\x81 12!", 16, 50, true, &out, &err);
        if (code == ECH_OK)
            code = ech_tokenizer_decode(t, e, ids, 5, false, &back, &err);
        fired = ech_fault_fired();
        ech_fault_arm(-1, 0);
        assert_int_equal(code, fired ? ECH_UNAVAILABLE : ECH_OK);
        ech_encoder_destroy(e);
        ech_tokenizer_close(t);
    }
    ech_free(json);
}

static void faults(void **state)
{
    (void)state;
    static const char *const names[] = {"kind-gpt2.json",           "kind-clip.json",
                                        "kind-deepseek-coder.json", "kind-half-bytes.json",
                                        "kind-behaviors.json",      "kind-ctc.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        faults_of(names[i]);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(kinds), cmocka_unit_test(pairs),           cmocka_unit_test(special_tokens),
    cmocka_unit_test(roles), cmocka_unit_test(encoder_changes), cmocka_unit_test(faults),
};
ECH_TEST_MAIN(tests)
