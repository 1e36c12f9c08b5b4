/* Two small language models of our own in the test's folder, with one vocabulary of 101 tokens, each a byte:
 *   random    weights of no meaning, for what must be equal bit by bit
 *   counter   writes the token behind the last one, in the order of the vocabulary, whatever stood before:
 *             a b c ... z, the two bytes of an e with an accent, a blank, a new line, ... */
#ifndef ECH_TESTS_MODEL_WRITER_H
#define ECH_TESTS_MODEL_WRITER_H

#include "tests/unit/model/fixture.h"

enum {
    WORDS = 101,
    BEGIN = 1,
    END = 2,
    LETTER_A = 3,
    LETTER_Z = 28,
    ACCENT_1 = 29,
    ACCENT_2 = 30,
    BLANK = 31
};
enum { CONTEXT = 64, RANDOM_ROW = 2 * 2 * 16 * 4 }; /* bytes of a token's keys and values, f32 */

/* The token as tokenizer.json writes it. */
static inline const char *word_of(int id, char out[8])
{
    static const char *const first[] = {"<pad>", "<s>", "</s>"};
    const char *some = id == ACCENT_1 ? "\u00c3" : id == ACCENT_2 ? "\u00a9" : NULL;
    int c = id <= LETTER_Z ? 'a' + id - LETTER_A : '!' + id - 33;
    if (id > LETTER_Z && c >= 'a')
        c += 26;
    if (id < LETTER_A)
        snprintf(out, 8, "%s", first[id]);
    else if (some || id == BLANK || id == BLANK + 1)
        snprintf(out, 8, "%s", some ? some : id == BLANK ? "\u0120" : "\u010a");
    else if (c == '"' || c == '\\')
        snprintf(out, 8, "\\%c", c);
    else
        snprintf(out, 8, "%c", c);
    return out;
}

static inline void put_tokenizer(const char *folder)
{
    struct ech_str s;
    char word[8], path[512];
    ech_str_init(&s);
    ech_str_adds(&s, "{\"version\":\"1.0\",\"added_tokens\":[");
    for (int id = 0; id < LETTER_A; id++)
        ech_str_addf(
            &s,
            "%s{\"id\":%d,\"content\":\"%s\",\"special\":true,\"single_word\":false,\"lstrip\":false,"
            "\"rstrip\":false,\"normalized\":false}",
            id ? "," : "", id, word_of(id, word));
    ech_str_adds(&s, "],\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":"
                     "false,\"trim_offsets\":true,\"use_regex\":true},\"post_processor\":null,\"decoder\":{"
                     "\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":"
                     "true},\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{");
    for (int id = 0; id < WORDS; id++)
        ech_str_addf(&s, "%s\"%s\":%d", id ? "," : "", word_of(id, word), id);
    ech_str_adds(&s, "}}}");
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    put_text(path, s.data);
    ech_str_fini(&s);
}

static inline void put_writer_config(const char *folder, int hidden, int inner, int layers, int kv_heads)
{
    char path[512], text[512];
    snprintf(text, sizeof text,
             "{\"model_type\":\"llama\",\"architectures\":[\"LlamaForCausalLM\"],\"hidden_act\":\"silu\","
             "\"hidden_size\":%d,\"intermediate_size\":%d,\"num_hidden_layers\":%d,\"num_attention_heads\":4,"
             "\"num_key_value_heads\":%d,\"max_position_embeddings\":%d,\"rms_norm_eps\":1e-6,\"rope_theta\":"
             "10000.0,\"vocab_size\":%d,\"bos_token_id\":1,\"eos_token_id\":2,\"tie_word_embeddings\":false}",
             hidden, inner, layers, kv_heads, CONTEXT, WORDS);
    snprintf(path, sizeof path, "%s/config.json", folder);
    put_text(path, text);
}

/* what: 'r' random, '0' zeros, '1' ones, 'e' the row's own column, 'h' the column of the row before. */
static inline void add_kind(struct weights *w, const char *name, int64_t rows, int64_t cols, char what)
{
    size_t begin = w->data.length;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < (cols ? cols : 1); j++) {
            float value = what == 'r'   ? 4 * next_value(w)
                          : what == 'e' ? (float)(i == j)
                          : what == 'h' ? (float)(i == j + 1)
                                        : (float)(what == '1');
            ech_str_add(&w->data, &value, sizeof value);
        }
    ech_str_addf(&w->header, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%lld", w->header.length ? "," : "{",
                 name, (long long)rows);
    if (cols)
        ech_str_addf(&w->header, ",%lld", (long long)cols);
    ech_str_addf(&w->header, "],\"data_offsets\":[%zu,%zu]}", begin, w->data.length);
}

static inline void put_writer(const char *folder, bool random)
{
    const struct {
        const char *name;
        int64_t rows, cols; /* 0: hidden, -1: inner, -2: keys */
    } layer[] = {{"self_attn.q_proj", 0, 0}, {"self_attn.k_proj", -2, 0}, {"self_attn.v_proj", -2, 0},
                 {"self_attn.o_proj", 0, 0}, {"mlp.gate_proj", -1, 0},    {"mlp.up_proj", -1, 0},
                 {"mlp.down_proj", 0, -1},   {"input_layernorm", 0, 1},   {"post_attention_layernorm", 0, 1}};
    int hidden = random ? 32 : 128, inner = random ? 48 : 8, layers = random ? 2 : 1;
    const int64_t sizes[] = {hidden, inner, random ? 16 : hidden};
    struct weights w = {.seed = 5};
    char name[512];
    ech_str_init(&w.header);
    ech_str_init(&w.data);
    add_kind(&w, "model.embed_tokens.weight", WORDS, hidden, random ? 'r' : 'e');
    for (int l = 0; l < layers; l++)
        for (size_t i = 0; i < sizeof layer / sizeof *layer; i++) {
            bool norm = layer[i].cols == 1;
            snprintf(name, sizeof name, "model.layers.%d.%s.weight", l, layer[i].name);
            add_kind(&w, name, sizes[-layer[i].rows], norm ? 0 : sizes[-layer[i].cols],
                     norm     ? '1'
                     : random ? 'r'
                              : '0');
        }
    add_kind(&w, "model.norm.weight", hidden, 0, '1');
    add_kind(&w, "lm_head.weight", WORDS, hidden, random ? 'r' : 'h');
    snprintf(name, sizeof name, "%s/model.safetensors", folder);
    write_weights(&w, name);
    put_writer_config(folder, hidden, inner, layers, random ? 2 : 4);
    put_tokenizer(folder);
}

#endif
