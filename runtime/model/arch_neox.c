/* GPT-NeoX (Pythia): attention and MLP side by side, each under its own norm; q, k, v fused head by head; a
 * part of each head turns. */
#include "model/spec_read.h"

static const struct ech_spec_key keys[] = {
    {"num_hidden_layers", ECH_KEY(layers)},  {"hidden_size", ECH_KEY(hidden)},
    {"num_attention_heads", ECH_KEY(heads)}, {"intermediate_size", ECH_KEY(intermediate)},
    {"vocab_size", ECH_KEY(vocab)},          {"max_position_embeddings", ECH_KEY(positions)},
};

static int read_neox(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    bool stacked = false;
    int code = ech_spec_counts(config, path, keys, sizeof keys / sizeof *keys, s, err);
    s->parallel = true;
    s->norm_eps = 1e-5f;
    s->kinds[0].rope = 0;
    s->head = ECH_HEAD_LM;
    if (code == ECH_OK)
        code = ech_spec_float(config, path, "layer_norm_eps", &s->norm_eps, err);
    if (code == ECH_OK)
        code = ech_spec_act(config, path, "hidden_act", "gelu", s, err);
    if (code == ECH_OK)
        code = ech_spec_bool(config, path, "tie_word_embeddings", &s->tied, err);
    if (code == ECH_OK)
        code = ech_spec_bool(config, path, "use_parallel_residual", &s->parallel, err);
    if (code == ECH_OK)
        code = ech_spec_bool(config, path, "ech_qkv_stacked", &stacked, err);
    s->fused = stacked ? ECH_FUSED_STACKED : ECH_FUSED_BY_HEAD;
    if (code != ECH_OK)
        return code;
    struct ech_rope_defaults rope = {.head_dim = s->hidden / s->heads,
                                     .context = s->positions,
                                     .base = 10000,
                                     .part = 0.25,
                                     .base_key = "rotary_emb_base",
                                     .part_key = "rotary_pct"};
    return ech_rope_read(config, path, &rope, &s->ropes[0], err);
}

#define LAYER "layers.%d."
static const char *const types[] = {"gpt_neox", NULL};
const struct ech_arch ech_arch_neox = {
    .model_types = types,
    .part = ECH_PART_DECODER,
    .names =
        {
            [ECH_T_WORD] = "embed_in.weight",
            [ECH_T_FINAL_W] = "final_layer_norm.weight",
            [ECH_T_FINAL_B] = "final_layer_norm.bias",
            [ECH_T_HEAD_W] = "/embed_out.weight",
            [ECH_T_IN1_W] = LAYER "input_layernorm.weight",
            [ECH_T_IN1_B] = LAYER "input_layernorm.bias",
            [ECH_T_QKV_W] = LAYER "attention.query_key_value.weight",
            [ECH_T_QKV_B] = "?" LAYER "attention.query_key_value.bias",
            [ECH_T_O_W] = LAYER "attention.dense.weight",
            [ECH_T_O_B] = "?" LAYER "attention.dense.bias",
            [ECH_T_IN2_W] = LAYER "post_attention_layernorm.weight",
            [ECH_T_IN2_B] = LAYER "post_attention_layernorm.bias",
            [ECH_T_UP_W] = LAYER "mlp.dense_h_to_4h.weight",
            [ECH_T_UP_B] = LAYER "mlp.dense_h_to_4h.bias",
            [ECH_T_DOWN_W] = LAYER "mlp.dense_4h_to_h.weight",
            [ECH_T_DOWN_B] = LAYER "mlp.dense_4h_to_h.bias",
        },
    .read = read_neox,
};
