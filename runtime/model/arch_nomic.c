/* Nomic BERT: BERT with rotary positions, a gated MLP and fused q, k, v. */
#include "model/spec_read.h"

static const struct ech_spec_key keys[] = {
    {"num_hidden_layers", ECH_KEY(layers)},          {"hidden_size", ECH_KEY(hidden)},
    {"num_attention_heads", ECH_KEY(heads)},         {"?head_dim", ECH_KEY(head_dim)},
    {"intermediate_size", ECH_KEY(intermediate)},    {"vocab_size", ECH_KEY(vocab)},
    {"max_position_embeddings", ECH_KEY(positions)}, {"type_vocab_size", ECH_KEY(types)},
};

static int read_nomic(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    int code = ech_spec_counts(config, path, keys, sizeof keys / sizeof *keys, s, err);
    s->norm_eps = 1e-12f;
    s->gated = true;
    s->kinds[0].rope = 0;
    if (code == ECH_OK)
        code = ech_spec_float(config, path, "layer_norm_eps", &s->norm_eps, err);
    if (code == ECH_OK)
        code = ech_spec_act(config, path, "hidden_act", "silu", s, err);
    if (code != ECH_OK)
        return code;
    struct ech_rope_defaults rope = {.head_dim = s->head_dim ? s->head_dim : s->hidden / s->heads,
                                     .context = s->positions,
                                     .base = 1000,
                                     .part = 1};
    return ech_rope_read(config, path, &rope, &s->ropes[0], err);
}

#define PAIR(slot, name) [ECH_T_##slot##_W] = name ".weight", [ECH_T_##slot##_B] = "?" name ".bias"
#define LAYER            "encoder.layers.%d."
static const char *const types[] = {"nomic_bert", NULL};
const struct ech_arch ech_arch_nomic = {
    .model_types = types,
    .part = ECH_PART_ENCODER,
    .names = {[ECH_T_WORD] = "embeddings.word_embeddings.weight",
              [ECH_T_TYPE] = "embeddings.token_type_embeddings.weight",
              PAIR(NORM, "emb_ln"),
              PAIR(QKV, LAYER "attn.Wqkv"),
              PAIR(O, LAYER "attn.out_proj"),
              PAIR(NORM1, LAYER "norm1"),
              PAIR(GATE, LAYER "mlp.fc12"),
              PAIR(UP, LAYER "mlp.fc11"),
              PAIR(DOWN, LAYER "mlp.fc2"),
              PAIR(NORM2, LAYER "norm2")},
    .read = read_nomic,
};
