/* Variables of CTranslate2 under Hugging Face's names: encoder-decoders and Whisper in Marian's, encoders in
 * BERT's. Sizes are read off the shapes. */
#include "model/ct2.h"

#include "base/mem.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { NAME = 256, LAYERS_MOST = 4096 };

struct build {
    struct ech_ct2 *m;
    struct ech_tensor_list *out;
    json_t *config;
    struct ech_err *err;
    bool whisper;
    int code; /* the first failure; later calls do nothing */
};

static const struct ech_tensor *take(struct build *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static const struct ech_tensor *take(struct build *b, const char *fmt, ...)
{
    char name[NAME];
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    return ech_ct2_take(b->m, name);
}

static double number(struct build *b, double otherwise, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static double number(struct build *b, double otherwise, const char *fmt, ...)
{
    char name[NAME];
    double value = otherwise;
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    return ech_ct2_number(b->m, name, &value) ? value : otherwise;
}

static void put(struct build *b, const struct ech_tensor *view, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void put(struct build *b, const struct ech_tensor *view, const char *fmt, ...)
{
    char name[NAME];
    va_list args;
    if (!view || b->code != ECH_OK)
        return;
    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    struct ech_tensor copy = *view, *t = ech_tensor_list_add_named(b->out, name, b->err);
    if (!t) {
        b->code = ECH_UNAVAILABLE;
        return;
    }
    copy.name = t->name;
    *t = copy;
}

static void put_linear(struct build *b, const char *from, const char *to)
{
    put(b, take(b, "%s/weight", from), "%s.weight", to);
    put(b, take(b, "%s/bias", from), "%s.bias", to);
}

static void put_norm(struct build *b, const char *from, const char *to)
{
    put(b, take(b, "%s/gamma", from), "%s.weight", to);
    put(b, take(b, "%s/beta", from), "%s.bias", to);
}

/* Whisper's keys have no bias: the file pads the stacked one with zeros there. */
static bool all_zero(const struct ech_tensor *t)
{
    for (size_t i = 0; i < t->bytes; i++)
        if (t->data[i])
            return false;
    return true;
}

/* Equal parts of a stacked product, `parts` names. */
static void put_stacked(struct build *b, const char *from, int parts, const char *const *names,
                        const char *to)
{
    for (int bias = 0; bias < 2 && b->code == ECH_OK; bias++) {
        const struct ech_tensor *t = take(b, "%s/%s", from, bias ? "bias" : "weight");
        if (!t)
            continue;
        if (t->dims < 1 || t->shape[0] % parts != 0) {
            b->code = ech_fail(b->err, ECH_DATA, "%s: %.100s has no rows for %d equal parts", b->m->path,
                               t->name, parts);
            return;
        }
        for (int i = 0; i < parts; i++) {
            struct ech_tensor part = ech_tensor_rows(t, t->shape[0] / parts * i, t->shape[0] / parts);
            if (bias && b->whisper && strcmp(names[i], "k_proj") == 0 && all_zero(&part))
                continue;
            put(b, &part, "%s.%s.%s", to, names[i], bias ? "bias" : "weight");
        }
    }
}

static const char *const marian_qkv[] = {"q_proj", "k_proj", "v_proj"};
static const char *const bert_qkv[] = {"query", "key", "value"};

static void put_marian_layer(struct build *b, const char *side, int layer)
{
    char from[NAME], to[NAME], name[NAME], part[NAME];
    snprintf(from, sizeof from, "%s/layer_%d", side, layer);
    snprintf(to, sizeof to, "model.%s.layers.%d", side, layer);
#define FROM(tail) (snprintf(name, sizeof name, "%.200s/" tail, from), name)
#define TO(tail)   (snprintf(part, sizeof part, "%.200s." tail, to), part)
    put_stacked(b, FROM("self_attention/linear_0"), 3, marian_qkv, TO("self_attn"));
    put_linear(b, FROM("self_attention/linear_1"), TO("self_attn.out_proj"));
    put_norm(b, FROM("self_attention/layer_norm"), TO("self_attn_layer_norm"));
    put_linear(b, FROM("attention/linear_0"), TO("encoder_attn.q_proj"));
    put_stacked(b, FROM("attention/linear_1"), 2, marian_qkv + 1, TO("encoder_attn"));
    put_linear(b, FROM("attention/linear_2"), TO("encoder_attn.out_proj"));
    put_norm(b, FROM("attention/layer_norm"), TO("encoder_attn_layer_norm"));
    put_linear(b, FROM("ffn/linear_0"), TO("fc1"));
    put_linear(b, FROM("ffn/linear_1"), TO("fc2"));
    put_norm(b, FROM("ffn/layer_norm"), TO("final_layer_norm"));
}

static int count_layers(struct build *b, const char *side)
{
    int layers = 0;
    while (layers < LAYERS_MOST && take(b, "%s/layer_%d/self_attention/linear_0/weight", side, layers))
        layers++;
    return layers;
}

static void set_int(struct build *b, const char *key, int64_t value)
{
    json_object_set_new(b->config, key, json_integer(value));
}

static void set_text(struct build *b, const char *key, const char *value)
{
    json_object_set_new(b->config, key, json_string(value));
}

static void set_flag(struct build *b, const char *key, bool value)
{
    json_object_set_new(b->config, key, json_boolean(value));
}

static void set_real(struct build *b, const char *key, double value)
{
    json_object_set_new(b->config, key, json_real(value));
}

static void set_act(struct build *b, const char *key, const char *side)
{
    static const char *const names[] = {"relu",   "gelu_pytorch_tanh", "silu", "gelu", "quick_gelu", "tanh",
                                        "sigmoid"};
    double act = number(b, number(b, 0, "%s/activation", side), "%s/layer_0/ffn/activation", side);
    if (act >= 0 && act < sizeof names / sizeof *names)
        set_text(b, key, names[(int)act]);
    else if (b->code == ECH_OK)
        b->code =
            ech_fail(b->err, ECH_DATA, "%s: the activation %g of %s is not known", b->m->path, act, side);
}

/* Files of the first versions do not say how many heads there are; their names do. */
static int64_t heads_of(struct build *b, const char *side)
{
    double old = strcmp(b->m->spec, "TransformerBase") == 0  ? 8
                 : strcmp(b->m->spec, "TransformerBig") == 0 ? 16
                                                             : 0;
    double heads = number(b, number(b, old, "num_heads"), "%s/num_heads", side);
    if (!(heads >= 1 && heads <= 4096) && b->code == ECH_OK)
        b->code = ech_fail(b->err, ECH_DATA, "%s does not say how many heads %s has", b->m->path, side);
    return b->code == ECH_OK ? (int64_t)heads : 0;
}

/* Any of the names that versions gave to the word vectors of a side. */
static const struct ech_tensor *words_of(struct build *b, const char *side)
{
    const struct ech_tensor *t = take(b, "%s/embeddings_0/weight", side);
    const struct ech_tensor *other = take(b, "%s/embeddings/weight", side);
    return t ? t : other;
}

static bool scaled(struct build *b, const char *side)
{
    double flag = number(b, 1, "%s/embeddings/multiply_by_sqrt_depth", side);
    return number(b, flag, "%s/scale_embeddings", side) != 0;
}

static void put_side(struct build *b, const char *side)
{
    char key[NAME], to[NAME];
    int layers = count_layers(b, side);
    const struct ech_tensor *positions = take(b, "%s/position_encodings/encodings", side);
    snprintf(key, sizeof key, "%s_layers", side);
    set_int(b, key, layers);
    snprintf(key, sizeof key, "%s_attention_heads", side);
    set_int(b, key, heads_of(b, side));
    for (int i = 0; i < layers && b->code == ECH_OK; i++)
        put_marian_layer(b, side, i);
    put(b, positions, "model.%s.embed_positions.weight", side);
    snprintf(key, sizeof key, "%s/layer_norm", side);
    snprintf(to, sizeof to, "model.%s.layer_norm", side);
    put_norm(b, key, to);
    snprintf(key, sizeof key, "%s/layernorm_embedding", side);
    snprintf(to, sizeof to, "model.%s.layernorm_embedding", side);
    put_norm(b, key, to);
}

/* Both sides' switches must agree: one key says it for both. */
static double both(struct build *b, const char *what, double otherwise)
{
    double e = number(b, otherwise, "encoder/%s", what), d = number(b, otherwise, "decoder/%s", what);
    if (e != d && b->code == ECH_OK)
        b->code = ech_fail(b->err, ECH_DATA, "%s: %s is %g in the encoder, %g in the decoder", b->m->path,
                           what, e, d);
    return d;
}

static void put_head(struct build *b, const struct ech_tensor *words)
{
    const struct ech_tensor *head = take(b, "decoder/projection/weight"),
                            *bias = take(b, "decoder/projection/bias");
    bool tied = !head || (words && head->data == words->data);
    set_flag(b, "tie_word_embeddings", tied);
    if (!tied)
        put(b, head, "lm_head.weight");
    if (bias && bias->dims == 1) { /* Hugging Face keeps it as one row */
        struct ech_tensor row = *bias;
        row.dims = 2;
        row.shape[1] = row.shape[0];
        row.shape[0] = 1;
        put(b, &row, "final_logits_bias");
    }
}

static void set_widths(struct build *b, const struct ech_tensor *words, const char *side)
{
    char key[NAME];
    const struct ech_tensor *up = take(b, "%s/layer_0/ffn/linear_0/weight", side);
    if (words && words->dims == 2)
        set_int(b, "d_model", words->shape[1]);
    snprintf(key, sizeof key, "%s_ffn_dim", side);
    if (up && up->dims == 2)
        set_int(b, key, up->shape[0]);
}

static int need(struct build *b, const struct ech_tensor *t, const char *what, int dims)
{
    if (b->code == ECH_OK && (!t || t->dims != dims))
        b->code = ech_fail(b->err, ECH_DATA, "%s has no %s of %d dimensions", b->m->path, what, dims);
    return b->code;
}

static int64_t rows_of(struct build *b, const char *fmt, const char *side)
{
    char name[NAME];
    snprintf(name, sizeof name, "%s/%s", side, fmt);
    const struct ech_tensor *t = ech_ct2_take(b->m, name);
    return t && t->dims ? t->shape[0] : 0;
}

static void put_translation(struct build *b)
{
    const struct ech_tensor *source = words_of(b, "encoder"), *target = words_of(b, "decoder");
    if (need(b, source, "encoder/embeddings/weight", 2) != ECH_OK ||
        need(b, target, "decoder/embeddings/weight", 2) != ECH_OK)
        return;
    bool shared = source->data == target->data,
         table = take(b, "encoder/position_encodings/encodings") != NULL;
    set_text(b, "model_type", "marian");
    set_flag(b, "ech_encoder_decoder", true);
    set_flag(b, "is_encoder_decoder", true);
    put(b, source, shared ? "model.shared.weight" : "model.encoder.embed_tokens.weight");
    if (!shared)
        put(b, target, "model.decoder.embed_tokens.weight");
    set_flag(b, "share_encoder_decoder_embeddings", shared);
    put_side(b, "encoder");
    put_side(b, "decoder");
    put_head(b, target);
    set_widths(b, source, "encoder");
    set_widths(b, target, "decoder");
    set_int(b, "vocab_size", source->shape[0]);
    set_int(b, "decoder_vocab_size", target->shape[0]);
    both(b, "activation", 0);
    set_act(b, "activation_function", "decoder");
    set_flag(b, "scale_embedding", scaled(b, "encoder") && scaled(b, "decoder"));
    set_flag(b, "ech_normalize_before", both(b, "pre_norm", 1) != 0);
    set_text(b, "ech_positions", table ? "table" : "sinusoids");
    set_int(b, "ech_position_first", 1);
    set_flag(b, "ech_start_zero", number(b, 0, "decoder/start_from_zero_embedding") != 0);
    set_text(b, "ech_decoder_cell", "attention");
    set_flag(b, "ech_attention_scale", true);
    if (table)
        set_int(b, "max_position_embeddings", rows_of(b, "position_encodings/encodings", "encoder"));
}

static void put_whisper(struct build *b)
{
    const struct ech_tensor *words = words_of(b, "decoder"), *conv = take(b, "encoder/conv1/weight");
    if (need(b, words, "decoder/embeddings/weight", 2) != ECH_OK ||
        need(b, conv, "encoder/conv1/weight", 3) != ECH_OK)
        return;
    b->whisper = true;
    set_text(b, "model_type", "whisper");
    set_flag(b, "is_encoder_decoder", true);
    put(b, words, "model.decoder.embed_tokens.weight");
    put_linear(b, "encoder/conv1", "model.encoder.conv1");
    put_linear(b, "encoder/conv2", "model.encoder.conv2");
    put_side(b, "encoder");
    put_side(b, "decoder");
    put_head(b, words);
    set_widths(b, words, "encoder");
    set_widths(b, words, "decoder");
    set_int(b, "vocab_size", words->shape[0]);
    set_int(b, "num_mel_bins", conv->shape[1]);
    set_int(b, "max_source_positions", rows_of(b, "position_encodings/encodings", "encoder"));
    set_int(b, "max_target_positions", rows_of(b, "position_encodings/encodings", "decoder"));
    set_act(b, "activation_function", "decoder");
    set_flag(b, "scale_embedding", scaled(b, "decoder"));
    bool odd = both(b, "pre_norm", 1) == 0 || number(b, 0, "decoder/start_from_zero_embedding") != 0;
    if (odd && b->code == ECH_OK)
        b->code =
            ech_fail(b->err, ECH_DATA,
                     "%s: a Whisper model with norms behind its blocks or an empty first word is not known",
                     b->m->path);
}

static void put_bert_layer(struct build *b, int layer)
{
    char from[NAME], to[NAME], name[NAME], part[NAME];
    snprintf(from, sizeof from, "encoder/layer_%d", layer);
    snprintf(to, sizeof to, "encoder.layer.%d", layer);
    put_stacked(b, FROM("self_attention/linear_0"), 3, bert_qkv, TO("attention.self"));
    put_linear(b, FROM("self_attention/linear_1"), TO("attention.output.dense"));
    put_norm(b, FROM("self_attention/layer_norm"), TO("attention.output.LayerNorm"));
    put_linear(b, FROM("ffn/linear_0"), TO("intermediate.dense"));
    put_linear(b, FROM("ffn/linear_1"), TO("output.dense"));
    put_norm(b, FROM("ffn/layer_norm"), TO("output.LayerNorm"));
}

static void put_encoder(struct build *b)
{
    const struct ech_tensor *words = take(b, "encoder/embeddings_0/weight"),
                            *types = take(b, "encoder/embeddings_1/weight");
    const struct ech_tensor *positions = take(b, "encoder/position_encodings/encodings");
    const struct ech_tensor *up = take(b, "encoder/layer_0/ffn/linear_0/weight");
    if (need(b, words, "encoder/embeddings_0/weight", 2) != ECH_OK ||
        need(b, types, "encoder/embeddings_1/weight", 2) != ECH_OK ||
        need(b, positions, "encoder/position_encodings/encodings", 2) != ECH_OK ||
        need(b, up, "encoder/layer_0/ffn/linear_0/weight", 2) != ECH_OK)
        return;
    int layers = count_layers(b, "encoder");
    set_text(b, "model_type", "bert");
    put(b, words, "embeddings.word_embeddings.weight");
    put(b, types, "embeddings.token_type_embeddings.weight");
    put(b, positions, "embeddings.position_embeddings.weight");
    put_norm(b, "encoder/layernorm_embedding", "embeddings.LayerNorm");
    put_linear(b, "pooler_dense", "pooler.dense");
    for (int i = 0; i < layers && b->code == ECH_OK; i++)
        put_bert_layer(b, i);
    set_int(b, "num_hidden_layers", layers);
    set_int(b, "hidden_size", words->shape[1]);
    set_int(b, "num_attention_heads", heads_of(b, "encoder"));
    set_int(b, "intermediate_size", up->shape[0]);
    set_int(b, "vocab_size", words->shape[0]);
    set_int(b, "max_position_embeddings", positions->shape[0]);
    set_int(b, "type_vocab_size", types->shape[0]);
    set_act(b, "hidden_act", "encoder");
    bool odd = number(b, 1, "encoder/pre_norm") != 0 || scaled(b, "encoder") ||
               number(b, 1, "encoder/embeddings_merge") != 1 || number(b, 5, "pooler_activation") != 5;
    if (odd && b->code == ECH_OK)
        b->code = ech_fail(b->err, ECH_DATA,
                           "%s: an encoder that differs from BERT (norms, scaled or merged embeddings) "
                           "is not supported",
                           b->m->path);
}

/* Switches that are off, or that say what needs no saying. */
static void take_idle(struct build *b)
{
    static const struct {
        const char *name;
        double idle;
    } idle[] = {{"alibi", 0},
                {"with_relative_position", 0},
                {"use_relative_position", 0},
                {"embeddings_merge", 1},
                {"parallel_residual", 0},
                {"multi_query_attention", 0},
                {"layer_norm_use_residual", 0},
                {"alibi_use_positive_positions", 0}};
    static const char *const sides[] = {"", "encoder/", "decoder/"};
    for (size_t i = 0; i < sizeof idle / sizeof *idle; i++)
        for (int side = 0; side < 3; side++) {
            double value = number(b, idle[i].idle, "%s%s", sides[side], idle[i].name);
            if (value != idle[i].idle && strcmp(idle[i].name, "alibi_use_positive_positions") != 0 &&
                b->code == ECH_OK)
                b->code = ech_fail(b->err, ECH_DATA, "%s: %s%s is %g, which is not supported", b->m->path,
                                   sides[side], idle[i].name, value);
        }
    take(b, "decoder/alignment_layer");
    take(b, "decoder/alignment_heads");
}

static void check_used(struct build *b)
{
    for (size_t i = 0; b->code == ECH_OK && i < b->m->variables.count; i++)
        if (!b->m->used[i])
            b->code = ech_fail(b->err, ECH_DATA, "%s: the variable %.100s of a %s is not supported",
                               b->m->path, b->m->variables.items[i].name, b->m->spec);
}

static const struct {
    const char *spec;
    void (*put)(struct build *b);
} specs[] = {{"TransformerBase", put_translation},
             {"TransformerBig", put_translation},
             {"TransformerSpec", put_translation},
             {"WhisperSpec", put_whisper},
             {"TransformerEncoderSpec", put_encoder}};

static void describe(struct build *b, const json_t *beside)
{
    void (*fill)(struct build *) = NULL;
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++)
        if (strcmp(specs[i].spec, b->m->spec) == 0)
            fill = specs[i].put;
    if (!fill) {
        b->code = ech_fail(b->err, ECH_DATA, "%s: the specification %s of CTranslate2 is not supported",
                           b->m->path, b->m->spec);
        return;
    }
    json_object_update(b->config, (json_t *)(uintptr_t)beside);
    set_text(b, "ech_format", "ctranslate2");
    set_real(b, "layer_norm_eps", 1e-5);
    const json_t *eps = json_object_get(beside, "layer_norm_epsilon");
    if (json_is_real(eps))
        set_real(b, "layer_norm_eps", json_real_value(eps));
    fill(b);
    take_idle(b);
    check_used(b);
}

int ech_ct2_describe(struct ech_ct2 *m, const json_t *beside, struct ech_tensor_list *out, json_t **config,
                     struct ech_err *err)
{
    struct build b = {.m = m, .out = out, .config = json_object(), .err = err, .code = ECH_OK};
    if (!b.config)
        return ech_fail(err, ECH_UNAVAILABLE, "no memory for the configuration of %s", m->path);
    describe(&b, beside);
    if (b.code == ECH_OK)
        *config = b.config;
    else
        json_decref(b.config);
    return b.code;
}
