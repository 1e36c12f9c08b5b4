/* config.json's keys from the pairs of a GGUF: what all architectures share; see gguf_arch.h. */
#include "model/gguf_arch.h"

#include "base/json.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

static void own_key(const struct ech_gguf *g, const char *key, char out[192])
{
    snprintf(out, 192, "%s.%s", g->architecture, key);
}

int ech_gguf_own_int(const struct ech_gguf *g, const char *key, int64_t *out, struct ech_err *err)
{
    char name[192];
    own_key(g, key, name);
    return ech_gguf_int(g, name, out, err);
}

int ech_gguf_own_float(const struct ech_gguf *g, const char *key, double *out, struct ech_err *err)
{
    char name[192];
    own_key(g, key, name);
    return ech_gguf_float(g, name, out, err);
}

int ech_gguf_put_int(const struct ech_gguf *g, const char *key, json_t *config, const char *name,
                     struct ech_err *err)
{
    int64_t value = INT64_MIN;
    int code = ech_gguf_own_int(g, key, &value, err);
    if (code == ECH_OK && value != INT64_MIN)
        json_object_set_new(config, name, json_integer(value));
    return code;
}

int ech_gguf_put_float(const struct ech_gguf *g, const char *key, json_t *config, const char *name,
                       struct ech_err *err)
{
    char own[192];
    double value = 0;
    own_key(g, key, own);
    int code = ech_gguf_find(g, own) ? ech_gguf_float(g, own, &value, err) : ECH_OK;
    if (code != ECH_OK || !ech_gguf_find(g, own))
        return code;
    json_t *number = json_real(value); /* NULL: not finite */
    if (!number)
        return ech_fail(err, ECH_DATA, "%s: %s is not a finite number", g->path, own);
    json_object_set_new(config, name, number);
    return ECH_OK;
}

const struct ech_tensor *ech_gguf_named(const struct ech_tensor_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, name) == 0)
            return &list->items[i];
    return NULL;
}

static int put_ids(const struct ech_gguf *g, json_t *config, struct ech_err *err)
{
    static const struct {
        const char *key, *name;
    } ids[] = {{"tokenizer.ggml.bos_token_id", "bos_token_id"},
               {"tokenizer.ggml.eos_token_id", "eos_token_id"},
               {"tokenizer.ggml.padding_token_id", "pad_token_id"}};
    int code = ECH_OK;
    for (size_t i = 0; code == ECH_OK && i < sizeof ids / sizeof *ids; i++) {
        int64_t id = -1;
        code = ech_gguf_int(g, ids[i].key, &id, err);
        if (code == ECH_OK && id >= 0)
            json_object_set_new(config, ids[i].name, json_integer(id));
    }
    return code;
}

/* A tensor of at most a few thousand numbers as a list. */
static int put_table(const struct ech_tensor *t, const char *name, json_t *to, struct ech_err *err)
{
    enum { MOST = 1 << 16 };
    if (t->elements > MOST)
        return ech_fail(err, ECH_DATA, "tensor %.100s has %lld values, at most %d were expected", t->name,
                        (long long)t->elements, MOST);
    float *values = ech_calloc((size_t)t->elements, sizeof *values, err);
    int code = values ? ech_tensor_to_f32(t, 0, t->elements, values, err) : ECH_UNAVAILABLE;
    json_t *list = json_array();
    for (int64_t i = 0; code == ECH_OK && i < t->elements; i++) {
        json_t *number = json_real((double)values[i]);
        if (!number)
            code = ech_fail(err, ECH_DATA, "tensor %.100s holds values that are not finite", t->name);
        else
            json_array_append_new(list, number);
    }
    ech_free(values);
    if (code == ECH_OK)
        json_object_set(to, name, list);
    json_decref(list);
    return code;
}

static int put_yarn(const struct ech_gguf *g, json_t *scaling, struct ech_err *err)
{
    int code = ech_gguf_put_int(g, "rope.scaling.original_context_length", scaling,
                                "original_max_position_embeddings", err);
    if (code == ECH_OK)
        code = ech_gguf_put_float(g, "rope.scaling.yarn_beta_fast", scaling, "beta_fast", err);
    return code == ECH_OK ? ech_gguf_put_float(g, "rope.scaling.yarn_beta_slow", scaling, "beta_slow", err)
                          : code;
}

static int put_longrope(const struct ech_gguf *g, const struct ech_tensor *longs, json_t *config,
                        json_t *scaling, struct ech_err *err)
{
    const struct ech_tensor *shorts = ech_gguf_named(&g->tensors, "rope_factors_short.weight");
    if (!shorts)
        return ech_fail(err, ECH_DATA, "%s has rope_factors_long.weight, not rope_factors_short.weight",
                        g->path);
    json_object_set_new(scaling, "rope_type", json_string("longrope"));
    int code = put_table(longs, "long_factor", scaling, err);
    if (code == ECH_OK)
        code = put_table(shorts, "short_factor", scaling, err);
    if (code == ECH_OK)
        code = ech_gguf_put_float(g, "rope.scaling.attn_factor", scaling, "attention_factor", err);
    return code == ECH_OK ? ech_gguf_put_int(g, "rope.scaling.original_context_length", config,
                                             "original_max_position_embeddings", err)
                          : code;
}

/* rope_scaling, by the tables if there are some, else by the named type. */
static int fill_scaling(const struct ech_gguf *g, json_t *config, json_t *scaling, struct ech_err *err)
{
    const struct ech_tensor *table = ech_gguf_named(&g->tensors, "rope_freqs.weight");
    const struct ech_tensor *longs = ech_gguf_named(&g->tensors, "rope_factors_long.weight");
    char key[192], type[32] = "";
    double factor = 0;
    if (longs)
        return put_longrope(g, longs, config, scaling, err);
    own_key(g, "rope.scaling.type", key);
    int code = ech_gguf_text(g, key, type, sizeof type, err);
    if (code == ECH_OK)
        code = ech_gguf_own_float(g, "rope.scale_linear", &factor, err); /* an old spelling */
    if (code == ECH_OK && factor != 0 && type[0] == '\0')
        snprintf(type, sizeof type, "linear");
    if (code == ECH_OK)
        code = ech_gguf_own_float(g, "rope.scaling.factor", &factor, err);
    if (code != ECH_OK)
        return code;
    bool scaled = type[0] && strcmp(type, "none") != 0 && factor != 0 && factor != 1;
    if (table && scaled)
        return ech_fail(err, ECH_DATA, "%s has rope_freqs.weight beside rope scaling of type %s", g->path,
                        type);
    if (table) {
        json_object_set_new(scaling, "rope_type", json_string("factors"));
        return put_table(table, "factors", scaling, err);
    }
    if (!scaled)
        return ECH_OK;
    if (strcmp(type, "linear") != 0 && strcmp(type, "yarn") != 0)
        return ech_fail(err, ECH_DATA, "%s: rope.scaling.type is \"%s\", linear and yarn are supported",
                        g->path, type);
    json_object_set_new(scaling, "rope_type", json_string(type));
    json_object_set_new(scaling, "factor", json_real(factor));
    return strcmp(type, "yarn") == 0 ? put_yarn(g, scaling, err) : ECH_OK;
}

static int put_scaling(const struct ech_gguf *g, json_t *config, struct ech_err *err)
{
    json_t *scaling = json_object();
    int code = fill_scaling(g, config, scaling, err);
    if (code == ECH_OK && json_object_size(scaling))
        json_object_set(config, "rope_scaling", scaling);
    json_decref(scaling);
    return code;
}

/* Heads and their width; what of each head is rotated. */
static int put_heads(const struct ech_gguf *g, json_t *config, struct ech_err *err)
{
    int64_t hidden = 0, heads = 0, groups = 0, width = 0, value = 0, rotated = 0;
    int code = ech_gguf_own_int(g, "embedding_length", &hidden, err);
    if (code == ECH_OK)
        code = ech_gguf_own_int(g, "attention.head_count", &heads, err);
    if (code == ECH_OK && (hidden < 1 || heads < 1))
        return ech_fail(err, ECH_DATA, "%s: %s.embedding_length is %lld, %s.attention.head_count %lld",
                        g->path, g->architecture, (long long)hidden, g->architecture, (long long)heads);
    groups = heads;
    width = code == ECH_OK ? hidden / heads : 0;
    if (code == ECH_OK)
        code = ech_gguf_own_int(g, "attention.head_count_kv", &groups, err);
    if (code == ECH_OK)
        code = ech_gguf_own_int(g, "attention.key_length", &width, err);
    value = width;
    if (code == ECH_OK)
        code = ech_gguf_own_int(g, "attention.value_length", &value, err);
    rotated = width;
    if (code == ECH_OK)
        code = ech_gguf_own_int(g, "rope.dimension_count", &rotated, err);
    if (code != ECH_OK)
        return code;
    if (value != width || rotated < 0 || rotated > width)
        return ech_fail(err, ECH_DATA,
                        "%s: heads of %lld (keys), %lld (values), %lld rotated are not supported", g->path,
                        (long long)width, (long long)value, (long long)rotated);
    json_object_set_new(config, "hidden_size", json_integer(hidden));
    json_object_set_new(config, "num_attention_heads", json_integer(heads));
    json_object_set_new(config, "num_key_value_heads", json_integer(groups));
    json_object_set_new(config, "head_dim", json_integer(width));
    if (rotated != width)
        json_object_set_new(config, "partial_rotary_factor", json_real((double)rotated / (double)width));
    return ECH_OK;
}

static int put_sizes(const struct ech_gguf *g, const struct ech_gguf_arch *arch, json_t *config,
                     struct ech_err *err)
{
    static const struct {
        const char *key, *name;
    } ints[] = {{"block_count", "num_hidden_layers"},
                {"feed_forward_length", "intermediate_size"},
                {"context_length", "max_position_embeddings"},
                {"attention.sliding_window", "sliding_window"}};
    bool rms = arch->traits & ECH_GGUF_RMS;
    int code = ECH_OK;
    for (size_t i = 0; code == ECH_OK && i < sizeof ints / sizeof *ints; i++)
        code = ech_gguf_put_int(g, ints[i].key, config, ints[i].name, err);
    if (code == ECH_OK)
        code =
            ech_gguf_put_float(g, rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon",
                               config, rms ? "rms_norm_eps" : "layer_norm_eps", err);
    json_object_set_new(config, "rope_theta", json_real(10000));
    return code == ECH_OK ? ech_gguf_put_float(g, "rope.freq_base", config, "rope_theta", err) : code;
}

static void put_traits(const struct ech_gguf_arch *arch, json_t *config)
{
    static const struct {
        int trait;
        const char *name;
    } flags[] = {{ECH_GGUF_INTERLEAVED, "ech_rope_interleaved"},
                 {ECH_GGUF_PLUS_ONE, "ech_norm_plus_one"},
                 {ECH_GGUF_STACKED, "ech_qkv_stacked"},
                 {ECH_GGUF_OUT_IN, "ech_linear_out_in"}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (arch->traits & flags[i].trait)
            json_object_set_new(config, flags[i].name, json_true());
}

/* What the tensors show: words, a head of its own, biases. */
static void put_shown(const struct ech_gguf *g, const struct ech_gguf_arch *arch, json_t *config)
{
    const struct ech_tensor *words = ech_gguf_named(&g->tensors, "token_embd.weight");
    if (words && words->dims == 2)
        json_object_set_new(config, "vocab_size", json_integer(words->shape[0]));
    if (arch->traits & ECH_GGUF_ENCODER)
        return;
    json_object_set_new(config, "tie_word_embeddings",
                        json_boolean(!ech_gguf_named(&g->tensors, "output.weight")));
    json_object_set_new(config, "attention_bias",
                        json_boolean(ech_gguf_named(&g->tensors, "blk.0.attn_q.bias") != NULL));
    json_object_set_new(config, "mlp_bias",
                        json_boolean(ech_gguf_named(&g->tensors, "blk.0.ffn_up.bias") != NULL));
}

/* A text that is not UTF-8 is left out: nothing could be rendered with it. */
static void put_chat(const struct ech_gguf *g, json_t *config)
{
    const struct ech_gguf_value *v = ech_gguf_find(g, "tokenizer.chat_template");
    json_t *text = v && !v->array && v->type == ECH_GGUF_STRING
                       ? json_stringn((const char *)v->data, (size_t)v->count)
                       : NULL;
    if (text)
        json_object_set_new(config, "chat_template", text);
}

static int fill(const struct ech_gguf *g, const struct ech_gguf_arch *arch,
                const struct ech_tensor_list *named, json_t *config, struct ech_err *err)
{
    json_object_set_new(config, "ech_format", json_string("gguf"));
    json_object_set_new(config, "model_type", json_string(arch ? arch->model_type : g->architecture));
    put_chat(g, config);
    int code = put_ids(g, config, err);
    if (!arch || code != ECH_OK)
        return code;
    put_traits(arch, config);
    put_shown(g, arch, config);
    code = put_sizes(g, arch, config, err);
    if (code == ECH_OK)
        code = put_heads(g, config, err);
    if (code == ECH_OK)
        code = put_scaling(g, config, err);
    return code == ECH_OK && arch->config ? arch->config(g, named, config, err) : code;
}

int ech_gguf_config(const struct ech_gguf *g, const struct ech_gguf_arch *arch,
                    const struct ech_tensor_list *named, json_t **out, struct ech_err *err)
{
    json_t *config = json_object();
    if (!config)
        return ech_fail(err, ECH_UNAVAILABLE, "no memory for the configuration of %s", g->path);
    int code = fill(g, arch, named, config, err);
    if (code == ECH_OK)
        *out = config;
    else
        json_decref(config);
    return code;
}
