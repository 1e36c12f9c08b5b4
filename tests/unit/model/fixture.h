/* A small model of our own in the test's folder: random BERT of 2 layers with the tokenizer of the text
 * tests. Each test changes what it is about. */
#ifndef ECH_TESTS_MODEL_FIXTURE_H
#define ECH_TESTS_MODEL_FIXTURE_H

#include "tests/harness.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"

#include <jansson.h>

enum { LAYERS = 2, HIDDEN = 36, HEADS = 3, INNER = 70, VOCAB = 80, POSITIONS = 48, TYPES = 2 };

static inline void must(int code, const struct ech_err *err)
{
    if (code != ECH_OK)
        fail_msg("status %d: %s", code, err->text);
}

static inline void expect(int code, int wanted, const struct ech_err *err, const char *says)
{
    if (code != wanted || !strstr(err->text, says))
        fail_msg("status %d, \"%s\"; status %d with \"%s\" was expected", code, err->text, wanted, says);
}

static inline void put_file(const char *name, const void *data, size_t bytes)
{
    struct ech_err err = ECH_ERR_NONE;
    char *dir = ech_path_dir(name, &err);
    must(ech_mkdir_all(dir, &err), &err);
    must(ech_write_file(name, data, bytes, &err), &err);
    ech_free(dir);
}

static inline void put_text(const char *name, const char *text)
{
    put_file(name, text, strlen(text));
}

/* Weight files: tensors gathered one by one, then written. */
struct weights {
    struct ech_str header, data;
    unsigned seed;
};

static inline float next_value(struct weights *w)
{
    w->seed = w->seed * 1664525u + 1013904223u;
    return ((float)(w->seed >> 8) / 16777216.0f - 0.5f) * 0.5f;
}

/* dims 1 or 2; the values are random, norms' gains near 1. */
static inline void add_tensor(struct weights *w, const char *name, int64_t rows, int64_t cols)
{
    size_t begin = w->data.length;
    int64_t count = rows * (cols ? cols : 1);
    bool gain = strstr(name, "LayerNorm.weight") != NULL;
    for (int64_t i = 0; i < count; i++) {
        float value = next_value(w) + (gain ? 1.0f : 0.0f);
        ech_str_add(&w->data, &value, sizeof value);
    }
    ech_str_addf(&w->header, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%lld", w->header.length ? "," : "{",
                 name, (long long)rows);
    if (cols)
        ech_str_addf(&w->header, ",%lld", (long long)cols);
    ech_str_addf(&w->header, "],\"data_offsets\":[%zu,%zu]}", begin, w->data.length);
}

static inline void write_weights(struct weights *w, const char *path)
{
    struct ech_str file;
    ech_str_init(&file);
    ech_str_addc(&w->header, '}');
    unsigned char length[8] = {(unsigned char)w->header.length, (unsigned char)(w->header.length >> 8),
                               (unsigned char)(w->header.length >> 16)};
    ech_str_add(&file, length, 8);
    ech_str_add(&file, w->header.data, w->header.length);
    ech_str_add(&file, w->data.data, w->data.length);
    put_file(path, file.data, file.length);
    ech_str_fini(&file);
    ech_str_fini(&w->header);
    ech_str_fini(&w->data);
}

static inline void add_pair(struct weights *w, const char *prefix, const char *name, int64_t out, int64_t in)
{
    char full[256];
    snprintf(full, sizeof full, "%s%s.weight", prefix, name);
    add_tensor(w, full, out, in);
    snprintf(full, sizeof full, "%s%s.bias", prefix, name);
    add_tensor(w, full, out, 0);
}

static inline void add_layer(struct weights *w, const char *prefix, int layer)
{
    char p[128];
    snprintf(p, sizeof p, "%sencoder.layer.%d.", prefix, layer);
    add_pair(w, p, "attention.self.query", HIDDEN, HIDDEN);
    add_pair(w, p, "attention.self.key", HIDDEN, HIDDEN);
    add_pair(w, p, "attention.self.value", HIDDEN, HIDDEN);
    add_pair(w, p, "attention.output.dense", HIDDEN, HIDDEN);
    add_pair(w, p, "attention.output.LayerNorm", HIDDEN, 0);
    add_pair(w, p, "intermediate.dense", INNER, HIDDEN);
    add_pair(w, p, "output.dense", HIDDEN, INNER);
    add_pair(w, p, "output.LayerNorm", HIDDEN, 0);
}

static inline void put_weights(const char *path, const char *prefix)
{
    struct weights w = {.seed = 11};
    char name[128];
    static const struct {
        const char *name;
        int rows;
    } tables[] = {{"word", VOCAB}, {"position", POSITIONS}, {"token_type", TYPES}};
    ech_str_init(&w.header);
    ech_str_init(&w.data);
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%sembeddings.%s_embeddings.weight", prefix, tables[i].name);
        add_tensor(&w, name, tables[i].rows, HIDDEN);
    }
    add_pair(&w, prefix, "embeddings.LayerNorm", HIDDEN, 0);
    for (int layer = 0; layer < LAYERS; layer++)
        add_layer(&w, prefix, layer);
    write_weights(&w, path);
}

#define CONFIG_TEXT(more)                                                                                    \
    "{\"model_type\":\"bert\",\"num_hidden_layers\":2,\"hidden_size\":36,\"num_attention_heads\":3,"         \
    "\"intermediate_size\":70,\"vocab_size\":80,\"max_position_embeddings\":48,\"type_vocab_size\":2" more   \
    "}"

/* `folder` becomes a sentence encoder: mean pooling, normalised, at most 24 tokens. */
static inline void put_model(const char *folder)
{
    char path[512], *json;
    struct ech_err err = ECH_ERR_NONE;
    const char *source = getenv("ECH_SOURCE");
#define AT(name) (snprintf(path, sizeof path, "%s/%s", folder, name), path)
    put_text(AT("config.json"), CONFIG_TEXT(""));
    put_weights(AT("model.safetensors"), "");
    put_text(AT("modules.json"),
             "[{\"type\":\"sentence_transformers.models.Transformer\",\"path\":\"\"},"
             "{\"type\":\"sentence_transformers.models.Pooling\",\"path\":\"1_Pooling\"},"
             "{\"type\":\"sentence_transformers.models.Normalize\",\"path\":\"2_Normalize\"}]");
    put_text(AT("1_Pooling/config.json"),
             "{\"word_embedding_dimension\":36,\"pooling_mode_mean_tokens\":true}");
    put_text(AT("sentence_bert_config.json"), "{\"max_seq_length\":24}");
    put_text(AT("config_sentence_transformers.json"),
             "{\"prompts\":{\"query\":\"hello \",\"document\":\"\"}}");
    snprintf(path, sizeof path, "%s/tests/unit/text/goldens/tokenizer-uncased.json", source ? source : ".");
    must(ech_read_file(path, 1 << 20, &json, NULL, &err), &err);
    put_text(AT("tokenizer.json"), json);
    ech_free(json);
#undef AT
}

enum { CLASSES = 3 };

#define HEADED(class, more)                                                                                  \
    CONFIG_TEXT(                                                                                             \
        ",\"architectures\":[\"" class "\"],\"id2label\":{\"0\":\"no\",\"1\":\"maybe\",\"2\":\"yes\"}" more)

/* The folder m: that model with a pooler and three classes, of rows or of tokens as its class says. */
static inline void put_headed(const char *config)
{
    struct weights w = {.seed = 3};
    put_model("m");
    put_text("m/config.json", config);
    ech_str_init(&w.header);
    ech_str_init(&w.data);
    add_tensor(&w, "bert.embeddings.word_embeddings.weight", VOCAB, HIDDEN);
    add_tensor(&w, "bert.embeddings.position_embeddings.weight", POSITIONS, HIDDEN);
    add_tensor(&w, "bert.embeddings.token_type_embeddings.weight", TYPES, HIDDEN);
    add_pair(&w, "bert.", "embeddings.LayerNorm", HIDDEN, 0);
    for (int layer = 0; layer < LAYERS; layer++)
        add_layer(&w, "bert.", layer);
    add_pair(&w, "bert.", "pooler.dense", HIDDEN, HIDDEN);
    add_pair(&w, "", "classifier", CLASSES, HIDDEN);
    write_weights(&w, "m/model.safetensors");
}

/* Its tokenizer learns what BERT puts round a pair. */
static inline void put_pair_template(void)
{
    json_t *root = json_load_file("m/tokenizer.json", 0, NULL);
    json_t *parts = json_loads("[{\"SpecialToken\":{\"id\":\"[CLS]\",\"type_id\":0}},"
                               "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},"
                               "{\"SpecialToken\":{\"id\":\"[SEP]\",\"type_id\":0}},"
                               "{\"Sequence\":{\"id\":\"B\",\"type_id\":1}},"
                               "{\"SpecialToken\":{\"id\":\"[SEP]\",\"type_id\":1}}]",
                               0, NULL);
    json_object_set_new(json_object_get(root, "post_processor"), "pair", parts);
    assert_int_equal(json_dump_file(root, "m/tokenizer.json", 0), 0);
    json_decref(root);
}

#endif
