/* Keys of config.json that not all architectures have, from the pairs and tensors of a GGUF. */
#include "model/gguf_arch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARGUMENTS                                                                                            \
    const struct ech_gguf *g, const struct ech_tensor_list *named, json_t *config, struct ech_err *err

static void put_text(json_t *config, const char *name, const char *value)
{
    json_object_set_new(config, name, json_string(value));
}

static void put_int(json_t *config, const char *name, int64_t value)
{
    json_object_set_new(config, name, json_integer(value));
}

static void put_flag(json_t *config, const char *name, bool value)
{
    json_object_set_new(config, name, json_boolean(value));
}

static int64_t get_int(const json_t *config, const char *name)
{
    return json_integer_value(json_object_get(config, name));
}

/* The same value under the name that this architecture gives it. */
static void also(json_t *config, const char *from, const char *to)
{
    json_t *value = json_object_get(config, from);
    if (value)
        json_object_set(config, to, value);
}

static int64_t rows_of(const struct ech_tensor_list *named, const char *name)
{
    const struct ech_tensor *t = ech_gguf_named(named, name);
    return t ? t->shape[0] : 0;
}

int ech_gguf_config_silu(ARGUMENTS)
{
    (void)g, (void)named, (void)err;
    put_text(config, "hidden_act", "silu");
    put_flag(config, "use_sliding_window", json_object_get(config, "sliding_window") != NULL);
    return ECH_OK;
}

int ech_gguf_config_mixtral(ARGUMENTS)
{
    int code = ech_gguf_config_silu(g, named, config, err);
    if (code == ECH_OK)
        code = ech_gguf_put_int(g, "expert_count", config, "num_local_experts", err);
    return code == ECH_OK ? ech_gguf_put_int(g, "expert_used_count", config, "num_experts_per_tok", err)
                          : code;
}

/* Every fourth layer is not rotated: the file does not say so, the architecture does. */
int ech_gguf_config_smollm3(ARGUMENTS)
{
    enum { STEP = 4, LAYERS_MOST = 4096 };
    int64_t layers = get_int(config, "num_hidden_layers");
    json_t *rotated = json_array();
    for (int64_t i = 0; i < layers && i < LAYERS_MOST; i++)
        json_array_append_new(rotated, json_integer((i + 1) % STEP != 0));
    json_object_set_new(config, "no_rope_layers", rotated);
    put_int(config, "no_rope_layer_interval", STEP);
    return ech_gguf_config_silu(g, named, config, err);
}

/* Layers without a router are dense. */
static void put_dense_layers(const struct ech_gguf *g, json_t *config)
{
    json_t *dense = json_array();
    for (size_t i = 0; i < g->tensors.count; i++) {
        const char *name = g->tensors.items[i].name;
        const char *dot = strncmp(name, "blk.", 4) == 0 ? strchr(name + 4, '.') : NULL;
        if (dot && strcmp(dot, ".ffn_gate.weight") == 0)
            json_array_append_new(dense, json_integer(strtoll(name + 4, NULL, 10)));
    }
    json_object_set_new(config, "mlp_only_layers", dense);
}

int ech_gguf_config_moe(ARGUMENTS)
{
    bool third = strcmp(g->architecture, "qwen3moe") == 0;
    int code = ech_gguf_config_silu(g, named, config, err);
    if (code == ECH_OK)
        code = ech_gguf_put_int(g, "expert_count", config, "num_experts", err);
    if (code == ECH_OK)
        code = ech_gguf_put_int(g, "expert_used_count", config, "num_experts_per_tok", err);
    if (code == ECH_OK)
        code = ech_gguf_put_int(g, "expert_feed_forward_length", config, "moe_intermediate_size", err);
    if (code == ECH_OK && !third)
        code = ech_gguf_put_int(g, "expert_shared_feed_forward_length", config,
                                "shared_expert_intermediate_size", err);
    put_int(config, "decoder_sparse_step", 1);
    put_flag(config, "norm_topk_prob", third);
    put_dense_layers(g, config);
    return code;
}

/* The largest models scale scores by the width of a plain head; the file does not say so. */
static int64_t gemma_scalar(const json_t *config, const char *architecture)
{
    int64_t layers = get_int(config, "num_hidden_layers"), heads = get_int(config, "num_attention_heads");
    int64_t largest = strcmp(architecture, "gemma2") == 0 ? 46 : 62;
    return layers == largest ? get_int(config, "hidden_size") / heads : get_int(config, "head_dim");
}

int ech_gguf_config_gemma(ARGUMENTS)
{
    (void)named;
    put_text(config, "hidden_act", "gelu_pytorch_tanh");
    put_text(config, "hidden_activation", "gelu_pytorch_tanh");
    if (strcmp(g->architecture, "gemma") == 0)
        return ECH_OK;
    put_int(config, "query_pre_attn_scalar", gemma_scalar(config, g->architecture));
    int code = ech_gguf_put_float(g, "attn_logit_softcapping", config, "attn_logit_softcapping", err);
    if (code == ECH_OK)
        code = ech_gguf_put_float(g, "final_logit_softcapping", config, "final_logit_softcapping", err);
    if (strcmp(g->architecture, "gemma3") != 0 || code != ECH_OK)
        return code;
    put_int(config, "sliding_window_pattern", 6);
    json_object_set_new(config, "rope_local_base_freq", json_real(10000));
    code = ech_gguf_put_int(g, "attention.sliding_window_pattern", config, "sliding_window_pattern", err);
    if (code != ECH_OK)
        return code;
    return ech_gguf_put_float(g, "rope.freq_base_swa", config, "rope_local_base_freq", err);
}

int ech_gguf_config_starcoder2(ARGUMENTS)
{
    (void)g, (void)named, (void)err;
    put_text(config, "hidden_act", "gelu_pytorch_tanh");
    put_flag(config, "use_bias", true);
    also(config, "layer_norm_eps", "norm_epsilon");
    return ECH_OK;
}

int ech_gguf_config_phi(ARGUMENTS)
{
    (void)g, (void)named, (void)err;
    put_text(config, "hidden_act", "gelu_new");
    put_flag(config, "qk_layernorm", false);
    return ECH_OK;
}

int ech_gguf_config_gpt2(ARGUMENTS)
{
    (void)g, (void)err;
    put_text(config, "activation_function", "gelu_new");
    also(config, "hidden_size", "n_embd");
    also(config, "num_hidden_layers", "n_layer");
    also(config, "num_attention_heads", "n_head");
    also(config, "intermediate_size", "n_inner");
    also(config, "layer_norm_eps", "layer_norm_epsilon");
    put_int(config, "n_positions", rows_of(named, "transformer.wpe.weight"));
    put_flag(config, "scale_attn_weights", true);
    return ECH_OK;
}

int ech_gguf_config_neox(ARGUMENTS)
{
    int parallel = 1;
    char key[96];
    (void)named;
    put_text(config, "hidden_act", "gelu");
    also(config, "rope_theta", "rotary_emb_base");
    json_t *part = json_object_get(config, "partial_rotary_factor");
    json_object_set_new(config, "rotary_pct", json_real(part ? json_real_value(part) : 1));
    snprintf(key, sizeof key, "%s.use_parallel_residual", g->architecture);
    int code = ech_gguf_flag(g, key, &parallel, err);
    put_flag(config, "use_parallel_residual", parallel);
    put_flag(config, "attention_bias", true);
    return code;
}

int ech_gguf_config_bloom(ARGUMENTS)
{
    (void)g, (void)named, (void)err;
    also(config, "num_hidden_layers", "n_layer");
    also(config, "num_attention_heads", "n_head");
    also(config, "layer_norm_eps", "layer_norm_epsilon");
    put_flag(config, "apply_residual_connection_post_layernorm", false);
    return ECH_OK;
}

int ech_gguf_config_falcon(ARGUMENTS)
{
    (void)g, (void)err;
    bool two_norms = ech_gguf_named(named, "transformer.h.0.ln_attn.weight") != NULL;
    put_text(config, "activation", "gelu");
    also(config, "num_key_value_heads", "num_kv_heads");
    also(config, "intermediate_size", "ffn_hidden_size");
    also(config, "layer_norm_eps", "layer_norm_epsilon");
    int64_t keys = get_int(config, "num_key_value_heads"), heads = get_int(config, "num_attention_heads");
    put_flag(config, "new_decoder_architecture", two_norms || (keys > 1 && keys < heads));
    put_flag(config, "multi_query", keys == 1);
    put_flag(config, "parallel_attn", true);
    put_flag(config, "bias", false);
    put_flag(config, "alibi", false);
    return ECH_OK;
}

static int put_pooling(const struct ech_gguf *g, json_t *config, struct ech_err *err)
{
    static const char *const names[] = {"none", "mean", "cls", "last", "rank"};
    int64_t pooling = -1;
    int code = ech_gguf_own_int(g, "pooling_type", &pooling, err);
    if (code != ECH_OK || pooling == -1)
        return code;
    if (pooling < 0 || pooling >= (int64_t)(sizeof names / sizeof *names))
        return ech_fail(err, ECH_DATA, "%s: %s.pooling_type is %lld, which is not known", g->path,
                        g->architecture, (long long)pooling);
    put_text(config, "ech_pooling", names[pooling]);
    return ECH_OK;
}

int ech_gguf_config_bert(ARGUMENTS)
{
    put_text(config, "hidden_act", "gelu");
    put_int(config, "type_vocab_size", rows_of(named, "embeddings.token_type_embeddings.weight"));
    if (ech_gguf_named(named, "embeddings.position_embeddings.weight"))
        put_int(config, "max_position_embeddings", rows_of(named, "embeddings.position_embeddings.weight"));
    return put_pooling(g, config, err);
}

int ech_gguf_config_nomic(ARGUMENTS)
{
    put_text(config, "hidden_act", "silu");
    put_int(config, "type_vocab_size", rows_of(named, "embeddings.token_type_embeddings.weight"));
    return put_pooling(g, config, err);
}

int ech_gguf_config_t5(ARGUMENTS)
{
    bool gated = ech_gguf_named(named, "encoder.block.0.layer.1.DenseReluDense.wi_0.weight") != NULL;
    int64_t layers = get_int(config, "num_hidden_layers");
    put_text(config, "feed_forward_proj", gated ? "gated-gelu" : "relu");
    also(config, "hidden_size", "d_model");
    also(config, "intermediate_size", "d_ff");
    also(config, "head_dim", "d_kv");
    also(config, "num_attention_heads", "num_heads");
    also(config, "num_hidden_layers", "num_layers");
    also(config, "rms_norm_eps", "layer_norm_epsilon");
    put_int(config, "num_decoder_layers", layers);
    put_int(config, "relative_attention_max_distance", 128);
    put_int(config, "decoder_start_token_id", 0);
    put_flag(config, "is_encoder_decoder", true);
    put_flag(config, "scale_decoder_outputs", json_is_true(json_object_get(config, "tie_word_embeddings")));
    int code = ech_gguf_put_int(g, "decoder_block_count", config, "num_decoder_layers", err);
    if (code == ECH_OK)
        code = ech_gguf_put_int(g, "decoder_start_token_id", config, "decoder_start_token_id", err);
    return code == ECH_OK ? ech_gguf_put_int(g, "attention.relative_buckets_count", config,
                                             "relative_attention_num_buckets", err)
                          : code;
}
