/* DistilBERT: BERT without token types, under names of its own. */
#include "model/spec_read.h"

static const char *const types[] = {"distilbert", NULL};

static const struct ech_spec_key keys[] = {
    {"n_layers", ECH_KEY(layers)},  {"dim", ECH_KEY(hidden)},
    {"n_heads", ECH_KEY(heads)},    {"hidden_dim", ECH_KEY(intermediate)},
    {"vocab_size", ECH_KEY(vocab)}, {"max_position_embeddings", ECH_KEY(positions)},
};

/* sinusoidal_pos_embds only says how the stored position table was made. */
static int read_distilbert(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    int code = ech_spec_counts(config, path, keys, sizeof keys / sizeof *keys, s, err);
    if (code == ECH_OK)
        code = ech_spec_act(config, path, "activation", "gelu", s, err);
    s->embed = s->hidden;
    s->table = ECH_TABLE_LEARNED;
    s->norm_eps = 1e-12f;
    return code;
}

#define LAYER "transformer.layer.%d."
const struct ech_arch ech_arch_distilbert = {
    .model_types = types,
    .part = ECH_PART_ENCODER,
    .names =
        {
            [ECH_T_WORD] = "embeddings.word_embeddings.weight",
            [ECH_T_POSITION] = "embeddings.position_embeddings.weight",
            [ECH_T_NORM_W] = "embeddings.LayerNorm.weight",
            [ECH_T_NORM_B] = "embeddings.LayerNorm.bias",
            [ECH_T_Q_W] = LAYER "attention.q_lin.weight",
            [ECH_T_Q_B] = LAYER "attention.q_lin.bias",
            [ECH_T_K_W] = LAYER "attention.k_lin.weight",
            [ECH_T_K_B] = LAYER "attention.k_lin.bias",
            [ECH_T_V_W] = LAYER "attention.v_lin.weight",
            [ECH_T_V_B] = LAYER "attention.v_lin.bias",
            [ECH_T_O_W] = LAYER "attention.out_lin.weight",
            [ECH_T_O_B] = LAYER "attention.out_lin.bias",
            [ECH_T_NORM1_W] = LAYER "sa_layer_norm.weight",
            [ECH_T_NORM1_B] = LAYER "sa_layer_norm.bias",
            [ECH_T_UP_W] = LAYER "ffn.lin1.weight",
            [ECH_T_UP_B] = LAYER "ffn.lin1.bias",
            [ECH_T_DOWN_W] = LAYER "ffn.lin2.weight",
            [ECH_T_DOWN_B] = LAYER "ffn.lin2.bias",
            [ECH_T_NORM2_W] = LAYER "output_layer_norm.weight",
            [ECH_T_NORM2_B] = LAYER "output_layer_norm.bias",
        },
    .read = read_distilbert,
};
