/* sentencepiece models and their like: goldens of the references (goldens/make.py), and hostile files. */
#include "tests/harness.h"

#include "base/fault.h"
#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "text/sentencepiece.h"
#include "text/tokenizer.h"
#include "text/vocab_source.h"

#include <math.h>

enum { MOST = 4096 };

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
    snprintf(path, sizeof path, "%s/tests/unit/spm/goldens/%s", source ? source : ".", name);
    must(ech_read_file(path, 1 << 24, &data, bytes, &err), &err);
    return data;
}

/* One of the goldens' files, opened in both ways that there are. */
struct opened {
    char name[64];
    struct ech_sentencepiece *model; /* NULL: a tokenizer.json */
    struct ech_tokenizer *tokenizer;
    struct ech_encoder *encoder;
    struct ech_sp_scratch scratch;
};

static void close_file(struct opened *o)
{
    if (o->model)
        ech_sentencepiece_fini(o->model);
    ech_free(o->model);
    ech_tokenizer_close(o->tokenizer);
    ech_encoder_destroy(o->encoder);
    ech_sp_scratch_fini(&o->scratch);
    memset(o, 0, sizeof *o);
}

static void open_file(struct opened *o, const char *name)
{
    size_t bytes;
    struct ech_err err = ECH_ERR_NONE;
    char *data = golden(name, &bytes);
    close_file(o);
    snprintf(o->name, sizeof o->name, "%s", name);
    if (strstr(name, ".json"))
        must(ech_tokenizer_parse(name, data, bytes, &o->tokenizer, &err), &err);
    else {
        o->model = ech_calloc(1, sizeof *o->model, &err);
        must(ech_sentencepiece_parse(name, data, bytes, o->model, &err), &err);
        must(ech_tokenizer_parse_spm(name, data, bytes, &o->tokenizer, &err), &err);
    }
    must(ech_encoder_create(&o->encoder, &err), &err);
    ech_free(data);
}

static void check_ids(const json_t *line, const int32_t *ids, int64_t count)
{
    const json_t *want = json_object_get(line, "ids");
    const char *name = json_string_value(json_object_get(line, "file"));
    const char *text = json_string_value(json_object_get(line, "text"));
    if (count != (int64_t)json_array_size(want))
        fail_msg("%s, \"%.60s\": %lld ids, %zu expected", name, text ? text : "(bytes)", (long long)count,
                 json_array_size(want));
    for (int64_t i = 0; i < count; i++)
        if (ids[i] != json_integer_value(json_array_get(want, (size_t)i)))
            fail_msg("%s, \"%.60s\": id %lld is %d, %lld expected", name, text ? text : "(bytes)",
                     (long long)i, (int)ids[i],
                     (long long)json_integer_value(json_array_get(want, (size_t)i)));
}

static void check_model(struct opened *o, const json_t *line, const char *text, size_t bytes)
{
    int32_t ids[MOST];
    struct ech_err err = ECH_ERR_NONE;
    struct ech_id_sink sink = {.ids = ids, .limit = MOST};
    must(ech_sentencepiece_encode(o->model, &o->scratch, (const unsigned char *)text, bytes, &sink, &err),
         &err);
    check_ids(line, ids, sink.found);
}

static void check_tokenizer(struct opened *o, const json_t *line, const char *text, size_t bytes)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_encoded got;
    const struct ech_encode_options options = {.most = MOST, .bare = true};
    must(ech_tokenizer_encode_with(o->tokenizer, o->encoder, text, bytes, &options, &got, &err), &err);
    assert_true(got.invalid_at < 0);
    check_ids(line, got.ids, got.count);
}

static void check_back(struct opened *o, const json_t *line)
{
    int32_t ids[MOST];
    struct ech_err err = ECH_ERR_NONE;
    struct ech_decoded got;
    const json_t *list = json_object_get(line, "ids"), *back = json_object_get(line, "back");
    size_t count = json_array_size(list);
    for (size_t i = 0; i < count; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(list, i));
    must(ech_tokenizer_decode(o->tokenizer, o->encoder, ids, (int64_t)count, true, &got, &err), &err);
    if (got.bytes != json_string_length(back) || memcmp(got.text, json_string_value(back), got.bytes) != 0)
        fail_msg("%s: decoded \"%.*s\", \"%s\" expected", o->name, (int)got.bytes, got.text,
                 json_string_value(back));
}

static size_t from_hex(const char *hex, char *out)
{
    size_t n = 0;
    for (unsigned byte; sscanf(hex + 2 * n, "%2x", &byte) == 1; n++)
        out[n] = (char)byte;
    return n;
}

static void check_case(struct opened *o, const json_t *line)
{
    char bytes[1024];
    const json_t *text = json_object_get(line, "text");
    const char *hex = json_string_value(json_object_get(line, "hex"));
    if (text && o->model)
        check_model(o, line, json_string_value(text), json_string_length(text));
    if (text)
        check_tokenizer(o, line, json_string_value(text), json_string_length(text));
    if (hex)
        check_model(o, line, bytes, from_hex(hex, bytes));
    check_back(o, line);
}

static void goldens(void **state)
{
    (void)state;
    struct opened o = {0};
    struct ech_err err = ECH_ERR_NONE;
    int files = 0, lines = 0;
    char *cases = golden("cases.jsonl", NULL);
    for (char *at = cases, *end; (end = strchr(at, '\n')); at = end + 1, lines++) {
        json_t *line;
        must(ech_json_parse("cases.jsonl", at, (size_t)(end - at), &line, &err), &err);
        const char *name = json_string_value(json_object_get(line, "file"));
        if (strcmp(o.name, name) != 0) {
            open_file(&o, name);
            files++;
        }
        check_case(&o, line);
        json_decref(line);
    }
    printf("%d files, %d cases\n", files, lines);
    assert_true(files >= 18 && lines >= 500);
    close_file(&o);
    ech_free(cases);
}

static const char *refused(const char *data, size_t bytes)
{
    static struct ech_err err;
    struct ech_sentencepiece model;
    err = (struct ech_err)ECH_ERR_NONE;
    if (ech_sentencepiece_parse("x.model", data, bytes, &model, &err) == ECH_OK)
        fail_msg("%s", "a broken file was read");
    assert_true(err.code == ECH_DATA || err.code == ECH_UNAVAILABLE);
    return err.text;
}

#define REFUSED(data, part)                                                                                  \
    do {                                                                                                     \
        const char *text = refused(data, sizeof(data) - 1);                                                  \
        if (!strstr(text, part))                                                                             \
            fail_msg("\"%s\" does not say \"%s\"", text, part);                                              \
    } while (0)

/* Pieces: field 1 of the file; text, score, type. */
#define UNK "\x0a\x09\x0a\x05<unk>\x18\x02"

static void broken_files(void **state)
{
    (void)state;
    REFUSED("", "no pieces");
    REFUSED("\x0a", "byte 1: a number goes on");
    REFUSED("\x0a\x05"
            "abc",
            "byte 0: a field is longer");
    REFUSED("\x0b\x01", "byte 0: field 1 has wire type 3");
    REFUSED("\x02\x00", "a field number outside");
    REFUSED("\x08\x01", "byte 0: field 1 has wire type 0, 2 was expected");
    REFUSED("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "more than 64 bits");
    REFUSED("\x0a\x02\x0a\x00", "byte 2: a piece without text");
    REFUSED("\x0a\x04\x0a\x02\xc3\x28", "byte 4: a text that is not UTF-8");
    REFUSED("\x0a\x03\x0a\x01\x00", "holds a NUL");
    REFUSED("\x0a\x05\x0a\x01"
            "a\x18\x07",
            "type 7");
    REFUSED("\x0a\x08\x0a\x01"
            "a\x15\x00\x00\xc0\x7f",
            "not a number");
    REFUSED("\x0a\x06\x0a\x01"
            "a\x15\x00\x00",
            "byte 6: a number goes on");
    REFUSED("\x0a\x03\x0a\x01"
            "a",
            "0 unknown pieces");
    REFUSED(UNK UNK, "tokens 0 and 1 are both \"<unk>\"");
    REFUSED(UNK "\x0a\x05\x0a\x01"
                "a\x18\x02",
            "2 unknown pieces");
    REFUSED(UNK "\x0a\x0a\x0a\x06<0x41>\x18\x06", "no byte_fallback");
    REFUSED(UNK "\x0a\x0a\x0a\x06<0x4g>\x18\x06\x12\x03\x98\x02\x01", "\"<0x00>\" to \"<0xFF>\"");
    REFUSED(UNK "\x12\x03\x98\x02\x01", "0 byte pieces, 256");
    REFUSED(UNK "\x12\x02\x18\x05", "model type 5 is not supported");
    REFUSED(UNK "\x1a\x05\x12\x03"
                "abc",
            "x.model: character map of 3 bytes");
}

/* Every front of every file, and every file with one byte changed: refused or read, never worse. */
static void damaged_files(void **state)
{
    (void)state;
    const char *names[] = {"unigram-suffix.model", "bpe.model", "char.model"};
    struct ech_sp_scratch scratch = {0};
    int32_t ids[64];
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        size_t bytes, read = 0;
        char *data = golden(names[n], &bytes);
        for (size_t i = 0; i < bytes; i += i < 600 ? 1 : 37) {
            struct ech_sentencepiece model;
            struct ech_err err = ECH_ERR_NONE;
            char kept = data[i];
            if (ech_sentencepiece_parse("front", data, i, &model, &err) == ECH_OK)
                ech_sentencepiece_fini(&model);
            data[i] = (char)(kept ^ 1 << i % 8);
            if (ech_sentencepiece_parse("changed", data, bytes, &model, &err) == ECH_OK) {
                struct ech_id_sink sink = {.ids = ids, .limit = 64, .count_all = true};
                const char *text = " the quick\tbrown\xC3\xA9 fo\xCC\x81x \xE2\x96\x81 1/2 \xFF";
                must(ech_sentencepiece_encode(&model, &scratch, (const unsigned char *)text, strlen(text),
                                              &sink, &err),
                     &err);
                for (int64_t k = 0; k < sink.found && k < 64; k++)
                    assert_in_range(ids[k], 0, model.vocab.count - 1);
                ech_sentencepiece_fini(&model);
                read++;
            }
            ech_sp_scratch_fini(&scratch);
            data[i] = kept;
        }
        assert_true(read > 0);
        ech_free(data);
    }
}

/* A map with one rule, "a" to "b": one block of units. */
static size_t small_map(unsigned char *blob)
{
    uint32_t units[256], bytes = sizeof units;
    for (uint32_t i = 0; i < 256; i++)
        units[i] = (i ^ 200) & 0xFF;                               /* labels that no walk asks for */
    units[0] = 1u << 10;                                           /* children at 1 ^ byte */
    units[1 ^ 'a'] = 'a' | 0x100u | (uint32_t)(1 ^ 'a' ^ 2) << 10; /* its value at 2 */
    units[2] = 0x80000000;
    memcpy(blob, &bytes, 4);
    memcpy(blob + 4, units, sizeof units);
    memcpy(blob + 4 + sizeof units, "b", 2);
    return 4 + sizeof units + 2;
}

static void put_unit(unsigned char *blob, size_t at, uint32_t unit)
{
    memcpy(blob + 4 + 4 * at, &unit, 4);
}

static void bad_map(unsigned char *blob, size_t bytes, const char *part)
{
    struct ech_charsmap map;
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_charsmap_init(&map, blob, bytes, &err), ECH_DATA);
    if (!strstr(err.text, part))
        fail_msg("\"%s\" does not say \"%s\"", err.text, part);
}

static void character_maps(void **state)
{
    (void)state;
    unsigned char blob[2048];
    size_t bytes = small_map(blob), to_bytes;
    const unsigned char *to;
    struct ech_charsmap map;
    struct ech_err err = ECH_ERR_NONE;
    must(ech_charsmap_init(&map, blob, bytes, &err), &err);
    assert_int_equal(ech_charsmap_longest(&map, (const unsigned char *)"ax", 2, &to, &to_bytes), 1);
    assert_true(to_bytes == 1 && *to == 'b' && !map.plain['a'] && map.plain['b']);
    assert_int_equal(ech_charsmap_longest(&map, (const unsigned char *)"\0", 1, &to, &to_bytes), 0);
    ech_charsmap_fini(&map);
    bad_map(blob, bytes - 1, "do not end with NUL");
    bad_map(blob, 1028, "do not end with NUL");
    bad_map(blob, 1027, "a multiple of 1024");
    put_unit(blob, 2, 0x80000002);
    bad_map(blob, bytes, "byte 12: unit 2 has its replacement outside the pool");
    put_unit(blob, 2, 0x80000000);
    put_unit(blob, 1 ^ 'a', 'a' | 300u << 10);
    bad_map(blob, bytes, "leads outside the array");
    put_unit(blob, 1 ^ 'a', 'a' | (uint32_t)(1 ^ 'a' ^ 1) << 10); /* its children are the root's: a ring */
    bad_map(blob, bytes, "leads back to itself");
    put_unit(blob, 0, 0x80000000);
    bad_map(blob, bytes, "byte 4: unit 0 is the root");
}

/* No allocation may fail unseen, and none may be lost. */
static void no_memory(void **state)
{
    (void)state;
    size_t bytes;
    char *data = golden("unigram-bytes.model", &bytes);
    int failed = 0;
    for (int n = 1;; n++, failed++) {
        struct ech_tokenizer *t = NULL;
        struct ech_err err = ECH_ERR_NONE;
        ech_fault_arm(ECH_FAULT_ALLOC, n);
        int code = ech_tokenizer_parse_spm("x", data, bytes, &t, &err);
        ech_fault_arm(-1, 0);
        if (code == ECH_OK) {
            ech_tokenizer_close(t);
            break;
        }
        assert_int_equal(code, ECH_UNAVAILABLE);
    }
    assert_true(failed > 20);
    ech_free(data);
}

/* A vocabulary of arrays: the pieces of a golden, as a GGUF would give them. */
struct arrays {
    struct ech_vocab_source source;
    struct ech_sp_file file;
    char *data;
};

static void take_arrays(struct arrays *a, const char *name, const char *model)
{
    size_t bytes;
    struct ech_err err = ECH_ERR_NONE;
    a->data = golden(name, &bytes);
    must(ech_sp_file_parse(name, a->data, bytes, &a->file, &err), &err);
    a->source = ech_vocab_source_empty();
    a->source.model = model;
    a->source.count = a->file.count;
    a->source.tokens = a->file.tokens;
    a->source.scores = a->file.scores;
    a->source.types = a->file.types;
    a->source.charsmap = a->file.normalizer.charsmap;
    a->source.unk = 0;
    a->source.bos = 1;
    a->source.eos = 2;
}

static void drop_arrays(struct arrays *a)
{
    ech_sp_file_fini(&a->file);
    ech_free(a->data);
}

static void encode_into(const struct ech_tokenizer *t, struct ech_encoder *e, const char *text, bool literal,
                        struct ech_encoded *got)
{
    struct ech_err err = ECH_ERR_NONE;
    const struct ech_encode_options options = {.most = MOST, .literal = literal};
    must(ech_tokenizer_encode_with(t, e, text, strlen(text), &options, got, &err), &err);
}

static void source_llama(void **state)
{
    (void)state;
    struct arrays a;
    struct ech_tokenizer *t;
    struct ech_encoder *e;
    struct ech_encoded got;
    struct ech_decoded text;
    struct ech_err err = ECH_ERR_NONE;
    take_arrays(&a, "bpe-bytes.model", "llama");
    must(ech_tokenizer_from_source("x.gguf", &a.source, &t, &err), &err);
    must(ech_encoder_create(&e, &err), &err);
    encode_into(t, e, "the fox \xE2\x88\x9E</s>  the", false, &got);
    assert_int_equal(got.ids[0], 1); /* bos */
    int ends = 0, bytes = 0;
    for (int64_t i = 0; i < got.count; i++) {
        ends += got.ids[i] == 2;
        bytes += a.file.types[got.ids[i]] == ECH_VOCAB_BYTE;
    }
    assert_true(ends == 1 && bytes == 3);
    must(ech_tokenizer_decode(t, e, got.ids, got.count, true, &text, &err), &err);
    assert_string_equal(text.text, "the fox \xE2\x88\x9E   the");
    encode_into(t, e, "</s>", true, &got);
    for (int64_t i = 0; i < got.count; i++)
        assert_int_not_equal(got.ids[i], 2);
    encode_into(t, e, "", false, &got);
    assert_int_equal(got.count, 1);
    must(ech_tokenizer_decode(t, e, got.ids, 1, false, &text, &err), &err);
    assert_string_equal(text.text, ""); /* bos alone */
    assert_int_equal(ech_tokenizer_role(t, ECH_TOKEN_EOS), 2);
    ech_encoder_destroy(e);
    ech_tokenizer_close(t);
    drop_arrays(&a);
}

/* The tokenizer has no copy of the pieces: what it answers of them is what the model was given. */
static void source_pieces(void **state)
{
    (void)state;
    struct arrays a;
    struct ech_tokenizer *t;
    struct ech_err err = ECH_ERR_NONE;
    size_t bytes;
    take_arrays(&a, "bpe-bytes.model", "llama");
    size_t last = a.source.count - 1;
    a.source.tokens[last] = a.source.tokens[last - 1]; /* stands twice: the last one is found */
    must(ech_tokenizer_from_source("x.gguf", &a.source, &t, &err), &err);
    assert_int_equal(ech_tokenizer_largest_id(t), last);
    for (size_t id = 0; id <= last; id++) {
        struct ech_vocab_text want = a.source.tokens[id];
        const char *text = ech_tokenizer_token(t, (int64_t)id, &bytes);
        assert_int_equal(bytes, want.bytes);
        assert_memory_equal(text, want.text, bytes);
        assert_int_equal(ech_tokenizer_id(t, want.text, want.bytes), id == last - 1 ? last : id);
        assert_int_equal(ech_tokenizer_is_special(t, (int64_t)id), id <= 2); /* <unk>, <s>, </s> */
    }
    assert_null(ech_tokenizer_token(t, -1, &bytes));
    assert_null(ech_tokenizer_token(t, (int64_t)last + 1, &bytes));
    assert_int_equal(ech_tokenizer_id(t, "no such piece", 13), -1);
    assert_int_equal(ech_tokenizer_id(t, "", 0), -1);
    ech_tokenizer_close(t);
    drop_arrays(&a);
}

static void source_refused(struct ech_vocab_source source, const char *part)
{
    struct ech_tokenizer *t;
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_tokenizer_from_source("x.gguf", &source, &t, &err), ECH_DATA);
    if (!strstr(err.text, part))
        fail_msg("\"%s\" does not say \"%s\"", err.text, part);
}

static void source_t5(void **state)
{
    (void)state;
    struct arrays a;
    struct ech_tokenizer *t;
    struct ech_encoder *e;
    struct ech_encoded got;
    struct ech_err err = ECH_ERR_NONE;
    take_arrays(&a, "unigram.model", "t5");
    a.source.add_space_prefix = 1;
    must(ech_tokenizer_from_source("x.gguf", &a.source, &t, &err), &err);
    must(ech_encoder_create(&e, &err), &err);
    encode_into(t, e, "the \xE2\x88\x9E\xE2\x88\x9E", false, &got);
    assert_int_equal(got.ids[got.count - 1], 2); /* eos */
    assert_int_equal(got.ids[got.count - 2], 0); /* one unknown for two */
    assert_int_not_equal(got.ids[got.count - 3], 0);
    ech_encoder_destroy(e);
    ech_tokenizer_close(t);
    struct ech_vocab_source s = a.source;
    s.model = "rwkv";
    source_refused(s, "\"rwkv\" is not supported");
    s = a.source;
    s.eos = (int64_t)s.count;
    source_refused(s, "the eos token has id");
    s = a.source;
    s.scores = NULL;
    source_refused(s, "without scores");
    s = a.source;
    s.add_bos = 1;
    s.bos = ECH_VOCAB_UNSET;
    source_refused(s, "bos is to be added");
    s = a.source;
    s.count = 0;
    source_refused(s, "without tokens");
    drop_arrays(&a);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(goldens),        cmocka_unit_test(broken_files),  cmocka_unit_test(damaged_files),
    cmocka_unit_test(character_maps), cmocka_unit_test(no_memory),     cmocka_unit_test(source_llama),
    cmocka_unit_test(source_t5),      cmocka_unit_test(source_pieces),
};

ECH_TEST_MAIN(tests)
