/* Falcon: attention and MLP side by side, no biases. 7B and those like it: under one norm, one key head
 * behind the queries of a fused matrix. The new architecture (40B, 180B): several key heads, each behind its
 * queries; mostly a norm for each side. */
#include "model/spec_read.h"

static const struct ech_spec_key keys[] = {
    {"num_hidden_layers|n_layer", ECH_KEY(layers)},
    {"hidden_size", ECH_KEY(hidden)},
    {"num_attention_heads|n_head", ECH_KEY(heads)},
    {"?ffn_hidden_size", ECH_KEY(intermediate)},
    {"vocab_size", ECH_KEY(vocab)},
    {"?max_position_embeddings", ECH_KEY(positions)},
    {"?num_kv_heads|n_head_kv", ECH_KEY(kv_heads)},
};

/* Key heads, and how they lie between the queries. */
static int read_heads(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    bool grouped = false, one_key = true, stacked = false;
    int code = ech_spec_bool(config, path, "new_decoder_architecture", &grouped, err);
    if (code == ECH_OK)
        code = ech_spec_bool(config, path, "multi_query", &one_key, err);
    if (code == ECH_OK)
        code = ech_spec_bool(config, path, "ech_qkv_stacked", &stacked, err);
    if (!grouped)
        s->kv_heads = one_key ? 1 : s->heads;
    else if (!s->kv_heads)
        s->kv_heads = s->heads;
    s->fused = s->kv_heads == 1 || stacked ? ECH_FUSED_STACKED : ECH_FUSED_BY_HEAD;
    return code;
}

static int read_falcon(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    s->positions = 2048;
    int code = ech_spec_counts(config, path, keys, sizeof keys / sizeof *keys, s, err);
    if (!s->intermediate)
        s->intermediate = 4 * s->hidden;
    s->parallel = s->tied = true;
    s->norm_eps = 1e-5f;
    s->kinds[0].rope = 0;
    s->head = ECH_HEAD_LM;
    if (code == ECH_OK)
        code = ech_spec_refuse(config, path, "alibi", false, err);
    if (code == ECH_OK)
        code = ech_spec_float(config, path, "layer_norm_epsilon", &s->norm_eps, err);
    if (code == ECH_OK)
        code = ech_spec_act(config, path, "activation", "gelu", s, err);
    if (code == ECH_OK)
        code = ech_spec_bool(config, path, "tie_word_embeddings", &s->tied, err);
    if (code == ECH_OK)
        code = read_heads(config, path, s, err);
    if (code == ECH_OK)
        code = ech_spec_refuse(config, path, "parallel_attn", true, err);
    if (code != ECH_OK)
        return code;
    struct ech_rope_defaults rope = {
        .head_dim = s->hidden / s->heads, .context = s->positions, .base = 10000, .part = 1};
    return ech_rope_read(config, path, &rope, &s->ropes[0], err);
}

#define LAYER "h.%d."
#define PAIR(slot, name)                                                                                     \
    [ECH_T_##slot##_W] = LAYER name ".weight", [ECH_T_##slot##_B] = "?" LAYER name ".bias"
static const char *const types[] = {"falcon", NULL};
const struct ech_arch ech_arch_falcon = {
    .model_types = types,
    .part = ECH_PART_DECODER,
    .names = {[ECH_T_WORD] = "word_embeddings.weight",
              [ECH_T_FINAL_W] = "ln_f.weight",
              [ECH_T_FINAL_B] = "ln_f.bias",
              [ECH_T_HEAD_W] = "/lm_head.weight",
              [ECH_T_IN1_W] = LAYER "ln_attn.weight|" LAYER "input_layernorm.weight",
              [ECH_T_IN1_B] = "?" LAYER "ln_attn.bias|" LAYER "input_layernorm.bias",
              [ECH_T_IN2_W] = "?" LAYER "ln_mlp.weight",
              [ECH_T_IN2_B] = "?" LAYER "ln_mlp.bias",
              PAIR(QKV, "self_attention.query_key_value"),
              PAIR(O, "self_attention.dense"),
              PAIR(UP, "mlp.dense_h_to_4h"),
              PAIR(DOWN, "mlp.dense_4h_to_h")},
    .read = read_falcon,
};
