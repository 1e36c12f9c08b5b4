/* Marian's items under Hugging Face's names, and what special:model.yml says of them: see marian.h. */
#include "model/marian.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 256, VALUE = 128, LAYERS_MOST = 1000, TEXT_MOST = 1 << 20 };
static const char settings_name[] = "special:model.yml";

struct build {
    const char *path;
    struct ech_tensor_list *items, *out;
    unsigned char *used;
    char *settings; /* the text, with its NUL */
    json_t *config;
    struct ech_err *err;
    int code; /* the first failure; later calls do nothing */
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct ech_tensor *)a)->name, ((const struct ech_tensor *)b)->name);
}

static const struct ech_tensor *take(struct build *b, const char *name)
{
    struct ech_tensor key = {.name = (char *)(uintptr_t)name};
    const struct ech_tensor *t =
        b->items->count ? bsearch(&key, b->items->items, b->items->count, sizeof key, by_name) : NULL;
    if (t)
        b->used[t - b->items->items] = 1;
    return t;
}

static void fail_missing(struct build *b, const char *name)
{
    if (b->code == ECH_OK)
        b->code = ech_fail(b->err, ECH_DATA, "%s has no item %.100s", b->path, name);
}

/* A top-level key of the settings: flat YAML as Marian's own writer makes it. false: not there. */
static bool setting(const struct build *b, const char *key, char out[VALUE])
{
    size_t length = strlen(key);
    for (const char *line = b->settings; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, length) != 0 || line[length] != ':')
            continue;
        const char *from = line + length + 1, *end = from + strcspn(from, "\n");
        while (from < end && isspace((unsigned char)*from))
            from++;
        while (end > from && isspace((unsigned char)end[-1]))
            end--;
        if (end - from >= 2 && (*from == '"' || *from == '\'') && end[-1] == *from) {
            from++;
            end--;
        }
        snprintf(out, VALUE, "%.*s", (int)(end - from), from);
        return true;
    }
    out[0] = '\0';
    return false;
}

static int64_t setting_int(struct build *b, const char *key, int64_t least, int64_t most)
{
    char text[VALUE], *end = text;
    int64_t value = setting(b, key, text) ? strtoll(text, &end, 10) : -1;
    if (b->code == ECH_OK && (end == text || *end || value < least || value > most))
        b->code =
            ech_fail(b->err, ECH_DATA, "%s: %s says %s: \"%s\", a number from %lld to %lld was expected",
                     b->path, settings_name, key, text, (long long)least, (long long)most);
    return b->code == ECH_OK ? value : least;
}

/* What would change every result and is not here. An absent key is what it was before the setting existed. */
static void want(struct build *b, const char *key, const char *a, const char * or)
{
    char text[VALUE];
    if (b->code == ECH_OK && setting(b, key, text) && strcmp(text, a) != 0 && strcmp(text, or) != 0)
        b->code = ech_fail(b->err, ECH_DATA, "%s: %s says %s: \"%s\", which is not supported (\"%s\" is)",
                           b->path, settings_name, key, text, a);
}

static void add(struct build *b, const struct ech_tensor *view, const char *name)
{
    struct ech_tensor copy = *view,
                      *t = b->code == ECH_OK ? ech_tensor_list_add_named(b->out, name, b->err) : NULL;
    if (!t) {
        b->code = b->code == ECH_OK ? ECH_UNAVAILABLE : b->code;
        return;
    }
    copy.name = t->name;
    *t = copy;
}

/* The multiplier of the product's input, by the item's name; 0: none. */
static float input_scale(struct build *b, const char *name)
{
    char key[NAME];
    float value = 0;
    snprintf(key, sizeof key, "%.200s_QuantMultA", name);
    const struct ech_tensor *t = take(b, key);
    if (t && t->dtype == ECH_ST_F32 && t->elements == 1)
        memcpy(&value, t->data, sizeof value);
    if (b->code == ECH_OK && value != 0 && !(value >= 0x1p-100f && value <= 0x1p100f))
        b->code =
            ech_fail(b->err, ECH_DATA, "%s: %s is %g, which is no multiplier", b->path, key, (double)value);
    return value;
}

/* A weight of stated shape (in, out), as (out, in): int8 lies so, floats are read transposed. */
static void put_weight(struct build *b, const char *from, const char *to)
{
    const struct ech_tensor *t = take(b, from);
    if (!t || t->dims != 2) {
        fail_missing(b, from);
        return;
    }
    struct ech_tensor view = *t;
    view.shape[0] = t->shape[1];
    view.shape[1] = t->shape[0];
    view.transposed = t->dtype != ECH_ST_I8;
    view.input_scale = input_scale(b, from);
    add(b, &view, to);
}

/* (1, n) as (n). */
static void put_vector(struct build *b, const char *from, const char *to)
{
    const struct ech_tensor *t = take(b, from);
    if (!t || t->dims != 2 || t->shape[0] != 1) {
        fail_missing(b, from);
        return;
    }
    struct ech_tensor view = *t;
    view.dims = 1;
    view.shape[0] = t->shape[1];
    add(b, &view, to);
}

/* A row per word, as stated. `multiplier`: of the output product's input. */
static void put_words(struct build *b, const char *from, const char *to, const char *multiplier)
{
    const struct ech_tensor *t = take(b, from);
    if (!t || t->dims != 2) {
        fail_missing(b, from);
        return;
    }
    struct ech_tensor view = *t;
    char own[NAME];
    snprintf(own, sizeof own, "%s_QuantMultA", from);
    take(b, own); /* of Wemb it holds a quantised float: not read */
    view.input_scale = multiplier ? input_scale(b, multiplier) : 0;
    add(b, &view, to);
}

#define PAIR(tail_from, tail_to)                                                                             \
    (snprintf(f, sizeof f, "%.150s" tail_from, from), snprintf(t, sizeof t, "%.150s" tail_to, to))

static void put_attention(struct build *b, const char *from, const char *to, const char *norm)
{
    static const char *const parts[][2] = {
        {"q", "q_proj"}, {"k", "k_proj"}, {"v", "v_proj"}, {"o", "out_proj"}};
    char f[NAME], t[NAME];
    for (int i = 0; i < 4; i++) {
        snprintf(f, sizeof f, "%s_W%s", from, parts[i][0]);
        snprintf(t, sizeof t, "%s.%s.weight", to, parts[i][1]);
        put_weight(b, f, t);
        snprintf(f, sizeof f, "%s_b%s", from, parts[i][0]);
        snprintf(t, sizeof t, "%s.%s.bias", to, parts[i][1]);
        put_vector(b, f, t);
    }
    snprintf(f, sizeof f, "%s_Wo_ln_scale", from);
    snprintf(t, sizeof t, "%s.weight", norm);
    put_vector(b, f, t);
    snprintf(f, sizeof f, "%s_Wo_ln_bias", from);
    snprintf(t, sizeof t, "%s.bias", norm);
    put_vector(b, f, t);
}

static void put_ffn(struct build *b, const char *from, const char *to)
{
    char f[NAME], t[NAME];
    PAIR("_ffn_W1", ".fc1.weight");
    put_weight(b, f, t);
    PAIR("_ffn_b1", ".fc1.bias");
    put_vector(b, f, t);
    PAIR("_ffn_W2", ".fc2.weight");
    put_weight(b, f, t);
    PAIR("_ffn_b2", ".fc2.bias");
    put_vector(b, f, t);
    PAIR("_ffn_ffn_ln_scale", ".final_layer_norm.weight");
    put_vector(b, f, t);
    PAIR("_ffn_ffn_ln_bias", ".final_layer_norm.bias");
    put_vector(b, f, t);
}

static void put_ssru(struct build *b, const char *from, const char *to)
{
    char f[NAME], t[NAME];
    PAIR("_rnn_W", ".rnn.w.weight");
    put_weight(b, f, t);
    PAIR("_rnn_Wf", ".rnn.wf.weight");
    put_weight(b, f, t);
    PAIR("_rnn_bf", ".rnn.wf.bias");
    put_vector(b, f, t);
    PAIR("_rnn_ffn_ln_scale", ".rnn_layer_norm.weight");
    put_vector(b, f, t);
    PAIR("_rnn_ffn_ln_bias", ".rnn_layer_norm.bias");
    put_vector(b, f, t);
}

static void put_layer(struct build *b, const char *side, int64_t number, bool ssru)
{
    char from[64], to[64], f[NAME], t[NAME], norm[NAME];
    snprintf(from, sizeof from, "%s_l%lld", side, (long long)number);
    snprintf(to, sizeof to, "model.%s.layers.%lld", side, (long long)number - 1);
    if (ssru)
        put_ssru(b, from, to);
    else {
        PAIR("_self", ".self_attn");
        snprintf(norm, sizeof norm, "%s.self_attn_layer_norm", to);
        put_attention(b, f, t, norm);
    }
    if (strcmp(side, "decoder") == 0) {
        PAIR("_context", ".encoder_attn");
        snprintf(norm, sizeof norm, "%s.encoder_attn_layer_norm", to);
        put_attention(b, f, t, norm);
    }
    put_ffn(b, from, to);
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

static bool is_true(const struct build *b, const char *key)
{
    char text[VALUE];
    return setting(b, key, text) && strcmp(text, "true") == 0;
}

/* One table for all, one a side, or a head of its own. */
static void put_tables(struct build *b)
{
    bool all = is_true(b, "tied-embeddings-all"), source = all || is_true(b, "tied-embeddings-src");
    bool head = all || is_true(b, "tied-embeddings");
    if (source)
        put_words(b, "Wemb", "model.shared.weight", head ? "none" : NULL);
    else {
        put_words(b, "encoder_Wemb", "model.encoder.embed_tokens.weight", NULL);
        put_words(b, "decoder_Wemb", "model.decoder.embed_tokens.weight", head ? "none" : NULL);
    }
    if (!head)
        put_weight(b, "decoder_ff_logit_out_W", "lm_head.weight");
    const struct ech_tensor *bias = take(b, "decoder_ff_logit_out_b");
    if (bias)
        add(b, bias, "final_logits_bias");
    set_flag(b, "share_encoder_decoder_embeddings", source);
    set_flag(b, "tie_word_embeddings", head);
}

static void put_act(struct build *b)
{
    static const char *const acts[][2] = {{"relu", "relu"}, {"swish", "silu"}, {"gelu", "gelu"}};
    char text[VALUE];
    setting(b, "transformer-ffn-activation", text);
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        if (strcmp(text, acts[i][0]) == 0) {
            set_text(b, "activation_function", acts[i][1]);
            return;
        }
    if (b->code == ECH_OK)
        b->code =
            ech_fail(b->err, ECH_DATA,
                     "%s: %s says transformer-ffn-activation: \"%s\"; relu, swish and gelu are supported",
                     b->path, settings_name, text);
}

static void check_settings(struct build *b)
{
    want(b, "type", "transformer", "transformer");
    want(b, "transformer-preprocess", "", "~");
    want(b, "transformer-postprocess", "dan", "an");
    want(b, "transformer-postprocess-emb", "d", "");
    want(b, "transformer-postprocess-top", "", "~");
    want(b, "transformer-ffn-depth", "2", "2");
    want(b, "transformer-train-position-embeddings", "false", "false");
    want(b, "transformer-train-positions", "false", "false");
    want(b, "transformer-no-projection", "false", "false");
    want(b, "transformer-rnn-projection", "false", "false");
    want(b, "transformer-depth-scaling", "false", "false");
    want(b, "transformer-tied-layers", "[]", "");
    want(b, "transformer-decoder-autoreg", "self-attention", "rnn");
    want(b, "transformer-pool", "false", "false");
    want(b, "ulr", "false", "false");
    want(b, "right-left", "false", "false");
    want(b, "lemma-dim-emb", "0", "0");
    want(b, "factors-combine", "sum", "");
}

static bool uses_ssru(struct build *b)
{
    char text[VALUE];
    setting(b, "transformer-decoder-autoreg", text);
    if (strcmp(text, "rnn") != 0)
        return false;
    want(b, "dec-cell", "ssru", "ssru");
    want(b, "dec-cell-base-depth", "2", "2");
    return true;
}

static void put_config(struct build *b, bool ssru, bool int8)
{
    set_text(b, "ech_format", "marian");
    set_text(b, "model_type", "marian");
    set_flag(b, "ech_encoder_decoder", true);
    set_flag(b, "is_encoder_decoder", true);
    set_flag(b, "scale_embedding", true);
    set_flag(b, "ech_normalize_before", false);
    set_text(b, "ech_positions", "sinusoids");
    set_int(b, "ech_position_first", 0);
    set_flag(b, "ech_start_zero", true);
    set_text(b, "ech_decoder_cell", ssru ? "ssru" : "attention");
    set_flag(b, "ech_attention_scale", true);
    json_object_set_new(b->config, "layer_norm_eps", json_real(1e-6));
    set_int(b, "eos_token_id", 0);
    set_int(b, "unk_token_id", 1);
    if (int8)
        set_text(b, "ech_compute", "int8");
    put_act(b);
}

/* Sizes from shapes; of heads alone the settings know. */
static void put_sizes(struct build *b, int64_t encoder, int64_t decoder)
{
    char name[NAME];
    const struct ech_tensor *source = take(b, "Wemb"), *target = source;
    int64_t heads = setting_int(b, "transformer-heads", 1, 4096);
    if (!source) {
        source = take(b, "encoder_Wemb");
        target = take(b, "decoder_Wemb");
    }
    snprintf(name, sizeof name, "encoder_l1_ffn_W1");
    const struct ech_tensor *up = take(b, name), *down = take(b, "decoder_l1_ffn_W1");
    if (b->code != ECH_OK || !source || !target || !up || !down)
        return;
    set_int(b, "d_model", source->shape[1]);
    set_int(b, "vocab_size", source->shape[0]);
    set_int(b, "decoder_vocab_size", target->shape[0]);
    set_int(b, "encoder_layers", encoder);
    set_int(b, "decoder_layers", decoder);
    set_int(b, "encoder_attention_heads", heads);
    set_int(b, "decoder_attention_heads", heads);
    set_int(b, "encoder_ffn_dim", up->shape[1]);
    set_int(b, "decoder_ffn_dim", down->shape[1]);
}

static bool has_int8(const struct build *b)
{
    for (size_t i = 0; i < b->items->count; i++)
        if (b->items->items[i].dtype == ECH_ST_I8 && b->items->items[i].elements > 1)
            return true;
    return false;
}

static void describe(struct build *b)
{
    check_settings(b);
    bool ssru = uses_ssru(b);
    int64_t encoder = setting_int(b, "enc-depth", 1, LAYERS_MOST),
            decoder = setting_int(b, "dec-depth", 1, LAYERS_MOST);
    put_tables(b);
    for (int64_t i = 1; b->code == ECH_OK && i <= encoder; i++)
        put_layer(b, "encoder", i, false);
    for (int64_t i = 1; b->code == ECH_OK && i <= decoder; i++)
        put_layer(b, "decoder", i, ssru);
    put_config(b, ssru, has_int8(b));
    put_sizes(b, encoder, decoder);
    for (size_t i = 0; b->code == ECH_OK && i < b->items->count; i++)
        if (!b->used[i] && strncmp(b->items->items[i].name, "special:", 8) != 0)
            b->code = ech_fail(b->err, ECH_DATA, "%s: the item %.100s is not supported", b->path,
                               b->items->items[i].name);
}

static int read_settings(struct build *b)
{
    const struct ech_tensor *t = take(b, settings_name);
    if (!t || t->bytes != (size_t)t->elements || t->bytes > TEXT_MOST)
        return ech_fail(b->err, ECH_DATA, "%s has no text %s: not a model of Marian's transformer?", b->path,
                        settings_name);
    b->settings = ech_strndup((const char *)t->data, t->bytes, b->err);
    return b->settings ? ECH_OK : ECH_UNAVAILABLE;
}

static int sort_items(struct build *b)
{
    if (b->items->count > 1)
        qsort(b->items->items, b->items->count, sizeof *b->items->items, by_name);
    for (size_t i = 1; i < b->items->count; i++)
        if (strcmp(b->items->items[i - 1].name, b->items->items[i].name) == 0)
            return ech_fail(b->err, ECH_DATA, "%s: the item %.100s is there twice", b->path,
                            b->items->items[i].name);
    return ECH_OK;
}

int ech_marian_describe(const char *path, struct ech_tensor_list *items, struct ech_tensor_list *out,
                        json_t **config, struct ech_err *err)
{
    struct build b = {.path = path, .items = items, .out = out, .err = err, .code = ECH_OK};
    b.used = ech_calloc(items->count, 1, err);
    b.config = json_object();
    b.code = b.used && b.config ? sort_items(&b) : ECH_UNAVAILABLE;
    if (b.code == ECH_OK)
        b.code = read_settings(&b);
    if (b.code == ECH_OK)
        describe(&b);
    if (b.code == ECH_OK)
        *config = b.config;
    else
        json_decref(b.config);
    ech_free(b.settings);
    ech_free(b.used);
    return b.code;
}
