/* StarCoder2: layer norms, biases, a plain MLP, rotary positions, a window. */
#include "model/spec_read.h"

static const struct ech_spec_key keys[] = {
    {"num_hidden_layers", ECH_KEY(layers)},          {"hidden_size", ECH_KEY(hidden)},
    {"num_attention_heads", ECH_KEY(heads)},         {"?num_key_value_heads", ECH_KEY(kv_heads)},
    {"intermediate_size", ECH_KEY(intermediate)},    {"vocab_size", ECH_KEY(vocab)},
    {"max_position_embeddings", ECH_KEY(positions)},
};

static int read_starcoder2(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    int code = ech_spec_counts(config, path, keys, sizeof keys / sizeof *keys, s, err);
    s->norm_eps = 1e-5f;
    s->kinds[0].rope = 0;
    s->tied = true;
    s->head = ECH_HEAD_LM;
    if (code == ECH_OK)
        code = ech_spec_float(config, path, "norm_epsilon", &s->norm_eps, err);
    if (code == ECH_OK)
        code = ech_spec_act(config, path, "hidden_act", "gelu_pytorch_tanh", s, err);
    if (code == ECH_OK)
        code = ech_spec_bool(config, path, "tie_word_embeddings", &s->tied, err);
    if (code == ECH_OK)
        code = ech_spec_window(config, path, &s->kinds[0].window, err);
    if (code != ECH_OK)
        return code;
    struct ech_rope_defaults rope = {
        .head_dim = s->hidden / s->heads, .context = s->positions, .base = 10000, .part = 1};
    return ech_rope_read(config, path, &rope, &s->ropes[0], err);
}

#define LAYER "layers.%d."
#define PAIR(slot, name)                                                                                     \
    [ECH_T_##slot##_W] = LAYER name ".weight", [ECH_T_##slot##_B] = "?" LAYER name ".bias"
static const char *const types[] = {"starcoder2", NULL};
const struct ech_arch ech_arch_starcoder2 = {
    .model_types = types,
    .part = ECH_PART_DECODER,
    .names = {[ECH_T_WORD] = "embed_tokens.weight",
              [ECH_T_FINAL_W] = "norm.weight",
              [ECH_T_FINAL_B] = "norm.bias",
              [ECH_T_HEAD_W] = "/lm_head.weight",
              PAIR(IN1, "input_layernorm"),
              PAIR(Q, "self_attn.q_proj"),
              PAIR(K, "self_attn.k_proj"),
              PAIR(V, "self_attn.v_proj"),
              PAIR(O, "self_attn.o_proj"),
              PAIR(IN2, "post_attention_layernorm"),
              PAIR(UP, "mlp.c_fc"),
              PAIR(DOWN, "mlp.c_proj")},
    .read = read_starcoder2,
};
