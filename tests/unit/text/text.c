/* runtime/text: against goldens of the reference tokenizers (goldens/make.py), and hostile files. */
#include "tests/harness.h"

#include "base/fault.h"
#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "text/tokenizer.h"
#include "text/trie.h"
#include "text/unicode.h"

#include <pthread.h>

static void must(int code, const struct ech_err *err)
{
    if (code != ECH_OK)
        fail_msg("status %d: %s", code, err->text);
}

static char *golden(const char *name)
{
    char path[4096], *data;
    const char *source = getenv("ECH_SOURCE");
    struct ech_err err = ECH_ERR_NONE;
    snprintf(path, sizeof path, "%s/tests/unit/text/goldens/%s", source ? source : ".", name);
    must(ech_read_file(path, 1 << 24, &data, NULL, &err), &err);
    return data;
}

static struct ech_tokenizer *parse(const char *json)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_tokenizer *t;
    must(ech_tokenizer_parse("tokenizer.json", json, strlen(json), &t, &err), &err);
    return t;
}

static struct ech_encoder *encoder_of(void)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_encoder *encoder;
    must(ech_encoder_create(&encoder, &err), &err);
    return encoder;
}

static struct ech_encoded encode(const struct ech_tokenizer *t, struct ech_encoder *encoder, const char *text,
                                 int64_t most, bool all)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_encoded out;
    must(ech_tokenizer_encode(t, encoder, text, strlen(text), most, all, &out, &err), &err);
    return out;
}

/* Every case whole, and cut at several lengths: a cut is the front of the whole with the special tokens. */
static void check_case(const struct ech_tokenizer *t, struct ech_encoder *encoder, const json_t *line)
{
    const char *text = json_string_value(json_object_get(line, "text"));
    const json_t *ids = json_object_get(line, "ids");
    int64_t count = (int64_t)json_array_size(ids), added = ech_tokenizer_added(t), before = added / 2;
    struct ech_encoded got = encode(t, encoder, text, 100000, false);
    if (got.count != count || got.needed != count)
        fail_msg("\"%.60s\": %lld ids, %lld expected", text, (long long)got.count, (long long)count);
    for (int64_t i = 0; i < count; i++)
        if (got.ids[i] != json_integer_value(json_array_get(ids, (size_t)i)))
            fail_msg("\"%.60s\": id %lld is %d", text, (long long)i, (int)got.ids[i]);
    for (int64_t most = added + 1; most < count; most = most * 2 + 1) {
        got = encode(t, encoder, text, most, most % 2);
        assert_int_equal(got.count, most);
        assert_true(most % 2 ? got.needed == count : got.needed > most);
        for (int64_t i = 0; i < most - (added - before); i++)
            assert_int_equal(got.ids[i], json_integer_value(json_array_get(ids, (size_t)i)));
        if (added)
            assert_int_equal(got.ids[most - 1], json_integer_value(json_array_get(ids, (size_t)count - 1)));
    }
}

static void goldens(void **state)
{
    (void)state;
    struct ech_tokenizer *t = NULL;
    struct ech_encoder *encoder = encoder_of();
    char *cases = golden("cases.jsonl"), *at = cases, file[64] = "";
    int count = 0;
    for (char *end; (end = strchr(at, '\n')); at = end + 1, count++) {
        json_t *line;
        struct ech_err err = ECH_ERR_NONE;
        must(ech_json_parse("cases.jsonl", at, (size_t)(end - at), &line, &err), &err);
        const char *name = json_string_value(json_object_get(line, "file"));
        if (strcmp(name, file) != 0) {
            snprintf(file, sizeof file, "%s", name);
            ech_tokenizer_close(t);
            char *json = golden(file);
            t = parse(json);
            ech_free(json);
        }
        check_case(t, encoder, line);
        json_decref(line);
    }
    assert_true(count > 400);
    ech_tokenizer_close(t);
    ech_encoder_destroy(encoder);
    ech_free(cases);
}

static void characters(void **state)
{
    (void)state;
    assert_int_equal(ech_char_class('a'), ECH_CHAR_WORD | ECH_CHAR_LETTER);
    assert_int_equal(ech_char_class('7'), ECH_CHAR_WORD | ECH_CHAR_NUMBER);
    assert_int_equal(ech_char_class(0xBD), ECH_CHAR_NUMBER);                    /* a fraction: no word */
    assert_int_equal(ech_char_class(0x24B6), ECH_CHAR_WORD);                    /* circled: alphabetic */
    assert_int_equal(ech_char_class(0x200D), ECH_CHAR_CONTROL | ECH_CHAR_WORD); /* the joiner */
    assert_int_equal(ech_char_class('\t'), ECH_CHAR_SPACE);
    assert_int_equal(ech_char_class('\v'), ECH_CHAR_CONTROL | ECH_CHAR_SPACE);
    assert_int_equal(ech_char_class('$'), ECH_CHAR_PUNCT);
    assert_int_equal(ech_char_class(0x3000), ECH_CHAR_SPACE);
    assert_int_equal(ech_char_class(0x200B), ECH_CHAR_CONTROL);
    assert_int_equal(ech_char_class(0xE000), ECH_CHAR_CONTROL); /* private use */
    assert_int_equal(ech_char_class(0x378), 0);                 /* unassigned: kept */
    assert_true(ech_char_class(0x4E00) & ECH_CHAR_CJK);
    assert_false(ech_char_class(0xAC00) & ECH_CHAR_CJK);
    assert_true(ech_char_class(0x301) & ECH_CHAR_MARK);
    assert_false(ech_char_class(0x898) & ECH_CHAR_MARK);  /* of Unicode 14 */
    assert_false(ech_char_class(0x61D) & ECH_CHAR_PUNCT); /* of Unicode 14 */
    assert_true(ech_char_class(0x166D) & ECH_CHAR_PUNCT); /* until Unicode 9 */
    static const int32_t marks[] = {0x301, 0x903, 0x20DD, 0x1885, 0x1CF3, 0xA9BD},
                         bare[] = {'a', 0x111C9, 0x4E00};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        assert_true(ech_char_is_mark(marks[i]));
    for (size_t i = 0; i < sizeof bare / sizeof *bare; i++)
        assert_false(ech_char_is_mark(bare[i]));
    int32_t lower[2];
    assert_int_equal(ech_char_lower(0x130, lower), 2);
    assert_int_equal(ech_char_lower(0x1E9E, lower), 1);
    assert_int_equal(lower[0], 0xDF);
    for (int32_t c = 0; c < 0x110000; c += c < 0x3000 ? 1 : 97) { /* what is put is read back */
        unsigned char bytes[8] = {0};
        const unsigned char *p = bytes;
        if (c >= 0xD800 && c < 0xE000)
            continue;
        size_t length = ech_char_put(c, bytes);
        assert_int_equal(ech_char_next(&p), c);
        assert_int_equal(p - bytes, length);
    }
}

/* Random entries against a plain search. */
static void trie_random(void **state)
{
    (void)state;
    struct ech_trie trie;
    struct ech_err err = ECH_ERR_NONE;
    char entries[300][8];
    srand(3);
    must(ech_trie_init(&trie, &err), &err);
    for (int i = 0; i < 300; i++) {
        int length = 1 + rand() % 6;
        for (int j = 0; j < length; j++)
            entries[i][j] = (char)('a' + rand() % 3);
        entries[i][length] = '\0';
        must(ech_trie_add(&trie, (uint32_t)i % 2, entries[i], (size_t)length, i, &err), &err);
    }
    for (int round = 0; round < 2000; round++) {
        char text[16] = {0};
        int32_t value = -1, want = -1;
        size_t longest = 0, length = (size_t)(rand() % 10);
        uint32_t root = (uint32_t)(rand() % 2);
        for (size_t j = 0; j < length; j++)
            text[j] = (char)('a' + rand() % 3);
        for (int i = (int)root; i < 300; i += 2) {
            size_t n = strlen(entries[i]);
            if (n <= length && n >= longest && memcmp(entries[i], text, n) == 0) {
                longest = n;
                want = i; /* of equal entries the last counts */
            }
        }
        assert_int_equal(ech_trie_longest(&trie, root, text, length, &value), longest);
        assert_int_equal(value, want);
        if (longest > 0)
            assert_int_equal(ech_trie_exact(&trie, root, text, longest), want);
    }
    ech_trie_fini(&trie);
}

static void invalid_utf8(void **state)
{
    (void)state;
    char *json = golden("tokenizer-uncased.json");
    struct ech_tokenizer *t = parse(json);
    struct ech_encoder *encoder = encoder_of();
    struct ech_err err = ECH_ERR_NONE;
    struct ech_encoded out = encode(t, encoder, "hello \xC3(", 10, true);
    assert_int_equal(out.invalid_at, 6);
    assert_int_equal(out.count, 0);
    assert_int_equal(encode(t, encoder, "\xED\xA0\x80", 10, true).invalid_at, 0); /* a surrogate */
    assert_int_equal(ech_tokenizer_encode(t, encoder, "a", 1, 2, true, &out, &err), ECH_CONFIG);
    assert_non_null(strstr(err.text, "2 special tokens"));
    ech_encoder_destroy(encoder);
    ech_tokenizer_close(t);
    ech_free(json);
}

static void lower_first(void **state)
{
    (void)state;
    char *json = golden("tokenizer-cased.json");
    struct ech_tokenizer *t = parse(json);
    struct ech_encoder *encoder = encoder_of();
    struct ech_encoded upper = encode(t, encoder, "HELLO [SEP]", 10, true);
    int32_t unknown = upper.ids[1], sep = upper.ids[upper.count - 1];
    assert_int_equal(upper.count, 4);
    assert_int_equal(upper.ids[2], sep);
    ech_tokenizer_lower_first(t);
    struct ech_encoded lower = encode(t, encoder, "HELLO [SEP]", 10, true);
    assert_int_equal(lower.count, 6); /* hello [ unknown ]: the special token is lowered away */
    assert_int_not_equal(lower.ids[1], unknown);
    assert_int_equal(lower.ids[3], unknown);
    ech_encoder_destroy(encoder);
    ech_tokenizer_close(t);
    ech_free(json);
}

#define MODEL(more) "\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":0,\"a\":1}" more "}"
#define BERT        "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
#define SINGLE(pieces)                                                                                       \
    "{" BERT MODEL("") ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"special_tokens\":{\"x\":{"    \
                       "\"ids\":[1]},\"y\":{\"ids\":[9]},\"z\":{}},\"single\":[" pieces "]}}"

#define BPE(more) "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2}" more "}}"
#define SPLIT(pattern, behavior)                                                                             \
    "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":" pattern ",\"behavior\":\"" behavior                \
    "\"}," MODEL("") "}"

static const struct {
    const char *json, *says;
} hostile[] = {
    {"", "JSON"},
    {"[]", "not an object"},
    {"{}", "\"model\" is missing"},
    {"{\"model\":{\"type\":\"Other\"}}", "model \"Other\" is not supported"},
    {"{\"model\":{\"type\":\"BPE\"}}", "vocab"},
    {BPE(",\"dropout\":0.1"), "dropout"},
    {BPE(",\"merges\":[\"a c\"]"), "\"c\", which is not in the vocabulary"},
    {BPE(",\"merges\":[\"b a\"]"), "\"ba\", which is not in the vocabulary"},
    {BPE(",\"merges\":[\"a b c\"]"), "merge 1 is not a pair"},
    {BPE(",\"merges\":[[\"a\"]]"), "merge 1 is not a pair"},
    {BPE(",\"merges\":[],\"continuing_subword_prefix\":7"), "continuing_subword_prefix"},
    {BPE(",\"merges\":[\"a b\"],\"continuing_subword_prefix\":\"###\""), "shorter than the prefix"},
    {"{\"normalizer\":{\"type\":\"NFKX\"}," MODEL("") "}", "normalizer \"NFKX\" is not supported"},
    {"{\"normalizer\":{\"type\":\"Sequence\"}," MODEL("") "}", "normalizers"},
    {"{\"normalizer\":{\"type\":\"Replace\",\"content\":\"\"}," MODEL("") "}", "no pattern"},
    {"{\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"?\"}," MODEL("") "}",
     "not base64"},
    {"{\"normalizer\":{\"type\":\"BertNormalizer\",\"lowercase\":1}," MODEL("") "}", "\"lowercase\""},
    {"{\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}," MODEL("") "}", "pre_tokenizer \"UnicodeScripts\""},
    {"{\"pre_tokenizer\":{}," MODEL("") "}", "pre_tokenizer \"(no type)\""},
    {SPLIT("{\"Regex\":\"[\"}", "Isolated"), "cannot be used"},
    {SPLIT("{\"Regex\":\"[a&&b]\"}", "Isolated"), "\"&&\", which is not supported"},
    {SPLIT("{\"Regex\":\"[a[b]]\"}", "Isolated"), "[..[..]..]"},
    {SPLIT("{\"Regex\":\"a{2}+\"}", "Isolated"), "{..}+"},
    {SPLIT("{\"Regex\":\"(?m)a\"}", "Isolated"), "(?m"},
    {SPLIT("{\"Regex\":\"\\\\y\"}", "Isolated"), "\\y"},
    {SPLIT("{\"String\":\"a\"}", "Sideways"), "behavior \"Sideways\""},
    {SPLIT("{}", "Isolated"), "no pattern"},
    {"{\"pre_tokenizer\":{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"ab\"}," MODEL("") "}",
     "not one character"},
    {"{\"pre_tokenizer\":{\"type\":\"FixedLength\",\"length\":0}," MODEL("") "}", "length 0"},
    {"{\"decoder\":{\"type\":\"Nothing\"}," MODEL("") "}", "decoder \"Nothing\" is not supported"},
    {"{\"decoder\":{\"type\":\"Strip\",\"content\":\" \",\"start\":-1,\"stop\":0}," MODEL("") "}",
     "negative"},
    {"{" BERT "\"model\":{\"type\":\"WordPiece\",\"vocab\":{}}}", "vocab"},
    {"{" BERT "\"model\":{\"type\":\"WordPiece\",\"vocab\":[1]}}", "vocab"},
    {"{" BERT "\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":1}}}",
     "\"[UNK]\" is not in the vocabulary"},
    {"{" BERT "\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":1,\"a\":2}}}", "duplicate"},
    {"{" BERT "\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":-1}}}", "id -1"},
    {"{" BERT "\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":4294967296}}}", "id 4294967296"},
    {"{" BERT "\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":\"b\"}}}", "not an integer"},
    {"{" BERT MODEL(",\"max_input_chars_per_word\":1000000000000") "}", "max_input_chars_per_word"},
    {"{" BERT MODEL(",\"unk_token\":7") "}", "unk_token"},
    {"{" BERT MODEL("") ",\"added_tokens\":{}}", "added_tokens"},
    {"{" BERT MODEL("") ",\"added_tokens\":[1]}", "added_tokens"},
    {"{" BERT MODEL("") ",\"added_tokens\":[{\"id\":1}]}", "content"},
    {"{" BERT MODEL("") ",\"added_tokens\":[{\"id\":-5,\"content\":\"q\"}]}", "id -5"},
    {"{" BERT MODEL("") ",\"post_processor\":{\"type\":\"Bytes\"}}", "post_processor \"Bytes\""},
    {"{" BERT MODEL("") ",\"post_processor\":{\"type\":\"BertProcessing\"}}", "post-processor"},
    {"{" BERT MODEL(
         "") ",\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"a\",7],\"sep\":[\"a\",1]}}",
     "token id 7"},
    {SINGLE(""), "0 sequences"},
    {SINGLE("{\"Sequence\":{\"id\":\"A\"}},{\"Sequence\":{\"id\":\"A\"}}"), "2 sequences"},
    {SINGLE("{\"Sequence\":{\"id\":\"B\"}}"), "neither"},
    {SINGLE("7"), "neither"},
    {SINGLE("{\"SpecialToken\":{\"id\":\"q\"}}"), "has no ids"},
    {SINGLE("{\"SpecialToken\":{\"id\":\"y\"}}"), "token id 9"},
    {SINGLE("{\"SpecialToken\":{\"id\":\"x\",\"type_id\":256}}"), "type_id 256"},
    {"{" BERT MODEL("") ",\"truncation\":{\"direction\":\"Left\"}}", "direction \"Left\""},
};

static void hostile_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        struct ech_err err = ECH_ERR_NONE;
        struct ech_tokenizer *t = NULL;
        int code = ech_tokenizer_parse("t.json", hostile[i].json, strlen(hostile[i].json), &t, &err);
        if (code != ECH_DATA || t || !strstr(err.text, hostile[i].says))
            fail_msg("%s: status %d, \"%s\"", hostile[i].json, code, err.text);
    }
}

static void deep_file(void **state)
{
    (void)state;
    enum { DEPTH = 100000 };
    char *json = malloc(DEPTH + 1);
    struct ech_err err = ECH_ERR_NONE;
    struct ech_tokenizer *t;
    memset(json, '[', DEPTH);
    json[DEPTH] = '\0';
    assert_int_equal(ech_tokenizer_parse("t.json", json, DEPTH, &t, &err), ECH_DATA);
    free(json);
}

static void write_text(const char *name, const char *text)
{
    struct ech_err err = ECH_ERR_NONE;
    must(ech_write_file(name, text, strlen(text), &err), &err);
}

static void vocab_folder(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_tokenizer *t = NULL;
    assert_int_equal(ech_tokenizer_open(".", &t, &err), ECH_NOINPUT);
    write_text("vocab.txt", "[PAD]\n[UNK]\n[CLS]\r\n[SEP]\n[MASK]\nhello\n##s\nCafe\n");
    ech_err_clear(&err);
    must(ech_tokenizer_open(".", &t, &err), &err);
    struct ech_encoder *encoder = encoder_of();
    struct ech_encoded out = encode(t, encoder, "Hellos [MASK] h\xC3\xA9llo", 16, true);
    const int32_t want[] = {2, 5, 6, 4, 5, 3};
    assert_int_equal(out.count, 6);
    assert_memory_equal(out.ids, want, sizeof want);
    assert_string_equal(ech_tokenizer_files(t)[0], "vocab.txt");
    assert_null(ech_tokenizer_files(t)[1]);
    ech_tokenizer_close(t);
    write_text("tokenizer_config.json", "{\"do_lower_case\":false,\"cls_token\":{\"content\":\"[MASK]\"}}");
    must(ech_tokenizer_open(".", &t, &err), &err);
    out = encode(t, encoder, "Cafe caf\xC3\xA9", 16, true);
    const int32_t cased[] = {4, 7, 1, 3};
    assert_int_equal(out.count, 4);
    assert_memory_equal(out.ids, cased, sizeof cased);
    ech_tokenizer_close(t);
    ech_encoder_destroy(encoder);
    write_text("tokenizer_config.json", "{\"tokenizer_class\":\"GPT2Tokenizer\"}");
    assert_int_equal(ech_tokenizer_open(".", &t, &err), ECH_DATA);
    assert_non_null(strstr(err.text, "GPT2Tokenizer"));
    write_text("tokenizer_config.json", "{}");
    write_text("vocab.txt", "a\nb\n");
    ech_err_clear(&err);
    assert_int_equal(ech_tokenizer_open(".", &t, &err), ECH_DATA);
    assert_non_null(strstr(err.text, "unk_token \"[UNK]\""));
}

struct job {
    const struct ech_tokenizer *t;
    int64_t sum;
};

static void *encode_many(void *argument)
{
    struct job *job = argument;
    struct ech_encoder *encoder = encoder_of();
    for (int i = 0; i < 200; i++) {
        struct ech_encoded out = encode(job->t, encoder, "hello unable [MASK] caf\xC3\xA9 x xxxxx", 20, true);
        for (int64_t k = 0; k < out.count; k++)
            job->sum += out.ids[k] * (k + 1);
    }
    ech_encoder_destroy(encoder);
    return NULL;
}

static void threads(void **state)
{
    (void)state;
    char *json = golden("tokenizer-uncased.json");
    struct ech_tokenizer *t = parse(json);
    struct job jobs[3] = {{t, 0}, {t, 0}, {t, 0}};
    pthread_t thread[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, encode_many, &jobs[i]), 0);
    encode_many(&jobs[2]);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    assert_true(jobs[2].sum > 0 && jobs[0].sum == jobs[2].sum && jobs[1].sum == jobs[2].sum);
    ech_tokenizer_close(t);
    ech_free(json);
}

/* Every allocation fails once: a clean error, then a whole run. */
static void faults(void **state)
{
    (void)state;
    char *json = golden("tokenizer-uncased.json");
    bool fired = true;
    for (int64_t n = 1; fired; n++) {
        struct ech_err err = ECH_ERR_NONE;
        struct ech_tokenizer *t = NULL;
        struct ech_encoder *encoder = NULL;
        struct ech_encoded out;
        ech_fault_arm(ECH_FAULT_ALLOC, n);
        int code = ech_tokenizer_parse("t.json", json, strlen(json), &t, &err);
        if (code == ECH_OK)
            code = ech_encoder_create(&encoder, &err);
        if (code == ECH_OK)
            code = ech_tokenizer_encode(t, encoder, "a\xE3\x80\xAF\xE3\x80\xAE b", 9, 10, true, &out, &err);
        fired = ech_fault_fired();
        ech_fault_arm(-1, 0);
        assert_int_equal(code, fired ? ECH_UNAVAILABLE : ECH_OK);
        ech_encoder_destroy(encoder);
        ech_tokenizer_close(t);
    }
    ech_free(json);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(goldens),      cmocka_unit_test(characters),   cmocka_unit_test(trie_random),
    cmocka_unit_test(invalid_utf8), cmocka_unit_test(lower_first),  cmocka_unit_test(hostile_files),
    cmocka_unit_test(deep_file),    cmocka_unit_test(vocab_folder), cmocka_unit_test(threads),
    cmocka_unit_test(faults),
};
ECH_TEST_MAIN(tests)
