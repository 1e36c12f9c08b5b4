/* BLOOM: ALiBi, a norm of the embedding, q, k, v fused head by head, a tied head. */
#include "model/spec_read.h"

static const struct ech_spec_key keys[] = {
    {"n_layer|num_hidden_layers", ECH_KEY(layers)},
    {"hidden_size|n_embed", ECH_KEY(hidden)},
    {"n_head|num_attention_heads", ECH_KEY(heads)},
    {"vocab_size", ECH_KEY(vocab)},
    {"?seq_length", ECH_KEY(positions)},
};

static int read_bloom(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    bool stacked = false;
    int code = ech_spec_counts(config, path, keys, sizeof keys / sizeof *keys, s, err);
    s->intermediate = 4 * s->hidden;
    s->alibi = s->tied = true;
    s->norm_eps = 1e-5f;
    s->act = ECH_ACT_GELU_TANH;
    s->head = ECH_HEAD_LM;
    if (code == ECH_OK)
        code = ech_spec_float(config, path, "layer_norm_epsilon", &s->norm_eps, err);
    if (code == ECH_OK)
        code = ech_spec_bool(config, path, "tie_word_embeddings", &s->tied, err);
    if (code == ECH_OK)
        code = ech_spec_refuse(config, path, "apply_residual_connection_post_layernorm", false, err);
    if (code == ECH_OK)
        code = ech_spec_bool(config, path, "ech_qkv_stacked", &stacked, err);
    s->fused = stacked ? ECH_FUSED_STACKED : ECH_FUSED_BY_HEAD;
    return code;
}

#define LAYER "h.%d."
static const char *const types[] = {"bloom", NULL};
const struct ech_arch ech_arch_bloom = {
    .model_types = types,
    .part = ECH_PART_DECODER,
    .names =
        {
            [ECH_T_WORD] = "word_embeddings.weight",
            [ECH_T_NORM_W] = "word_embeddings_layernorm.weight",
            [ECH_T_NORM_B] = "word_embeddings_layernorm.bias",
            [ECH_T_FINAL_W] = "ln_f.weight",
            [ECH_T_FINAL_B] = "ln_f.bias",
            [ECH_T_HEAD_W] = "/lm_head.weight",
            [ECH_T_IN1_W] = LAYER "input_layernorm.weight",
            [ECH_T_IN1_B] = LAYER "input_layernorm.bias",
            [ECH_T_QKV_W] = LAYER "self_attention.query_key_value.weight",
            [ECH_T_QKV_B] = LAYER "self_attention.query_key_value.bias",
            [ECH_T_O_W] = LAYER "self_attention.dense.weight",
            [ECH_T_O_B] = LAYER "self_attention.dense.bias",
            [ECH_T_IN2_W] = LAYER "post_attention_layernorm.weight",
            [ECH_T_IN2_B] = LAYER "post_attention_layernorm.bias",
            [ECH_T_UP_W] = LAYER "mlp.dense_h_to_4h.weight",
            [ECH_T_UP_B] = LAYER "mlp.dense_h_to_4h.bias",
            [ECH_T_DOWN_W] = LAYER "mlp.dense_4h_to_h.weight",
            [ECH_T_DOWN_B] = LAYER "mlp.dense_4h_to_h.bias",
        },
    .read = read_bloom,
};
