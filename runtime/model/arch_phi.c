/* Phi 1 and 2: attention and MLP side by side under one norm, biases everywhere, a part of each head turns.
 */
#include "model/spec_read.h"

static const struct ech_spec_key keys[] = {
    {"num_hidden_layers", ECH_KEY(layers)},          {"hidden_size", ECH_KEY(hidden)},
    {"num_attention_heads", ECH_KEY(heads)},         {"?num_key_value_heads", ECH_KEY(kv_heads)},
    {"intermediate_size", ECH_KEY(intermediate)},    {"vocab_size", ECH_KEY(vocab)},
    {"max_position_embeddings", ECH_KEY(positions)},
};

static int read_phi(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    int code = ech_spec_counts(config, path, keys, sizeof keys / sizeof *keys, s, err);
    s->parallel = true;
    s->norm_eps = 1e-5f;
    s->kinds[0].rope = 0;
    s->head = ECH_HEAD_LM;
    if (code == ECH_OK)
        code = ech_spec_float(config, path, "layer_norm_eps", &s->norm_eps, err);
    if (code == ECH_OK)
        code = ech_spec_act(config, path, "hidden_act", "gelu_new", s, err);
    if (code == ECH_OK)
        code = ech_spec_bool(config, path, "tie_word_embeddings", &s->tied, err);
    if (code == ECH_OK)
        code = ech_spec_refuse(config, path, "qk_layernorm", false, err);
    if (code != ECH_OK)
        return code;
    struct ech_rope_defaults rope = {
        .head_dim = s->hidden / s->heads, .context = s->positions, .base = 10000, .part = 0.5};
    return ech_rope_read(config, path, &rope, &s->ropes[0], err);
}

#define LAYER            "layers.%d."
#define PAIR(slot, name) [ECH_T_##slot##_W] = name ".weight", [ECH_T_##slot##_B] = name ".bias"
static const char *const types[] = {"phi", NULL};
const struct ech_arch ech_arch_phi = {
    .model_types = types,
    .part = ECH_PART_DECODER,
    .names = {[ECH_T_WORD] = "embed_tokens.weight",
              PAIR(FINAL, "final_layernorm"),
              PAIR(HEAD, "/lm_head"),
              PAIR(IN1, LAYER "input_layernorm"),
              PAIR(Q, LAYER "self_attn.q_proj"),
              PAIR(K, LAYER "self_attn.k_proj"),
              PAIR(V, LAYER "self_attn.v_proj"),
              PAIR(O, LAYER "self_attn.dense"),
              PAIR(UP, LAYER "mlp.fc1"),
              PAIR(DOWN, LAYER "mlp.fc2")},
    .read = read_phi,
};
