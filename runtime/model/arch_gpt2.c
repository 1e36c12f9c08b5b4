/* GPT-2: learned positions, layer norms before both halves, fused q, k, v in matrices stored [in, out]. */
#include "model/spec_read.h"

static const struct ech_spec_key keys[] = {
    {"n_layer|num_hidden_layers", ECH_KEY(layers)},
    {"n_embd|hidden_size", ECH_KEY(hidden)},
    {"n_head|num_attention_heads", ECH_KEY(heads)},
    {"?n_inner", ECH_KEY(intermediate)},
    {"vocab_size", ECH_KEY(vocab)},
    {"n_positions|max_position_embeddings", ECH_KEY(positions)},
};

static int read_gpt2(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    bool out_in = false;
    int code = ech_spec_counts(config, path, keys, sizeof keys / sizeof *keys, s, err);
    if (!s->intermediate)
        s->intermediate = 4 * s->hidden;
    s->table = ECH_TABLE_LEARNED;
    s->norm_eps = 1e-5f;
    s->tied = true;
    s->head = ECH_HEAD_LM;
    if (code == ECH_OK)
        code = ech_spec_float(config, path, "layer_norm_epsilon", &s->norm_eps, err);
    if (code == ECH_OK)
        code = ech_spec_act(config, path, "activation_function", "gelu_new", s, err);
    if (code == ECH_OK)
        code = ech_spec_bool(config, path, "tie_word_embeddings", &s->tied, err);
    if (code == ECH_OK)
        code = ech_spec_refuse(config, path, "scale_attn_weights", true, err);
    if (code == ECH_OK)
        code = ech_spec_refuse(config, path, "scale_attn_by_inverse_layer_idx", false, err);
    if (code == ECH_OK)
        code = ech_spec_bool(config, path, "ech_linear_out_in", &out_in, err);
    s->in_out = !out_in;
    return code;
}

#define LAYER "h.%d."
static const char *const types[] = {"gpt2", NULL};
const struct ech_arch ech_arch_gpt2 = {
    .model_types = types,
    .part = ECH_PART_DECODER,
    .names =
        {
            [ECH_T_WORD] = "wte.weight",
            [ECH_T_POSITION] = "wpe.weight",
            [ECH_T_FINAL_W] = "ln_f.weight",
            [ECH_T_FINAL_B] = "ln_f.bias",
            [ECH_T_HEAD_W] = "/lm_head.weight",
            [ECH_T_IN1_W] = LAYER "ln_1.weight",
            [ECH_T_IN1_B] = LAYER "ln_1.bias",
            [ECH_T_QKV_W] = LAYER "attn.c_attn.weight",
            [ECH_T_QKV_B] = LAYER "attn.c_attn.bias",
            [ECH_T_O_W] = LAYER "attn.c_proj.weight",
            [ECH_T_O_B] = LAYER "attn.c_proj.bias",
            [ECH_T_IN2_W] = LAYER "ln_2.weight",
            [ECH_T_IN2_B] = LAYER "ln_2.bias",
            [ECH_T_UP_W] = LAYER "mlp.c_fc.weight",
            [ECH_T_UP_B] = LAYER "mlp.c_fc.bias",
            [ECH_T_DOWN_W] = LAYER "mlp.c_proj.weight",
            [ECH_T_DOWN_B] = LAYER "mlp.c_proj.bias",
        },
    .read = read_gpt2,
};
