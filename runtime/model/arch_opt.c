/* OPT: learned positions from 2, ReLU, layer norms before both halves (after them in the 350m model), and
 * projections where the embedding is narrower than the layers. */
#include "model/spec_read.h"

enum { FIRST = 2 };

#define LAYER "layers.%d."
#define PAIR(slot, name)                                                                                     \
    [ECH_T_##slot##_W] = LAYER name ".weight", [ECH_T_##slot##_B] = "?" LAYER name ".bias"
#define COMMON                                                                                               \
    [ECH_T_WORD] = "embed_tokens.weight", [ECH_T_POSITION] = "embed_positions.weight",                       \
    [ECH_T_PROJECT_W] = "project_in.weight", [ECH_T_UNPROJECT_W] = "project_out.weight",                     \
    [ECH_T_HEAD_W] = "/lm_head.weight", PAIR(Q, "self_attn.q_proj"), PAIR(K, "self_attn.k_proj"),            \
    PAIR(V, "self_attn.v_proj"), PAIR(O, "self_attn.out_proj"), PAIR(UP, "fc1"), PAIR(DOWN, "fc2")

static const char *const after_names[ECH_T_SLOTS] = {COMMON, PAIR(NORM1, "self_attn_layer_norm"),
                                                     PAIR(NORM2, "final_layer_norm")};

static const struct ech_spec_key keys[] = {
    {"num_hidden_layers", ECH_KEY(layers)},   {"hidden_size", ECH_KEY(hidden)},
    {"num_attention_heads", ECH_KEY(heads)},  {"ffn_dim", ECH_KEY(intermediate)},
    {"vocab_size", ECH_KEY(vocab)},           {"max_position_embeddings", ECH_KEY(positions)},
    {"?word_embed_proj_dim", ECH_KEY(embed)},
};

static int read_opt(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    bool before = true;
    int code = ech_spec_counts(config, path, keys, sizeof keys / sizeof *keys, s, err);
    s->table = ECH_TABLE_LEARNED;
    s->first = FIRST;
    s->positions += FIRST;
    s->positions_after = true;
    s->norm_eps = 1e-5f;
    s->tied = true;
    s->head = ECH_HEAD_LM;
    if (code == ECH_OK)
        code = ech_spec_act(config, path, "activation_function", "relu", s, err);
    if (code == ECH_OK)
        code = ech_spec_bool(config, path, "tie_word_embeddings", &s->tied, err);
    if (code == ECH_OK)
        code = ech_spec_bool(config, path, "do_layer_norm_before", &before, err);
    if (code == ECH_OK)
        code = ech_spec_refuse(config, path, "layer_norm_elementwise_affine", true, err);
    if (code == ECH_OK)
        code = ech_spec_refuse(config, path, "_remove_final_layer_norm", false, err);
    if (!before)
        s->names = after_names;
    return code;
}

static const char *const types[] = {"opt", NULL};
const struct ech_arch ech_arch_opt = {
    .model_types = types,
    .part = ECH_PART_DECODER,
    .names = {COMMON, PAIR(IN1, "self_attn_layer_norm"), PAIR(IN2, "final_layer_norm"),
              [ECH_T_FINAL_W] = "final_layer_norm.weight", [ECH_T_FINAL_B] = "final_layer_norm.bias"},
    .read = read_opt,
};
