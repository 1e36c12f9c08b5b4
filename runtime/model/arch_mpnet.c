/* MPNet: BERT without token types, positions from 2, one table of relative position biases for all layers. */
#include "model/spec_read.h"

enum { DISTANCE = 128, PAD = 1 };

static const char *const types[] = {"mpnet", NULL};

static const struct ech_spec_key keys[] = {
    {"num_hidden_layers", ECH_KEY(layers)},  {"hidden_size", ECH_KEY(hidden)},
    {"num_attention_heads", ECH_KEY(heads)}, {"intermediate_size", ECH_KEY(intermediate)},
    {"vocab_size", ECH_KEY(vocab)},          {"max_position_embeddings", ECH_KEY(positions)},
};

static int read_mpnet(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    double eps = 1e-12;
    int code = ech_spec_counts(config, path, keys, sizeof keys / sizeof *keys, s, err);
    s->buckets = 32;
    if (code == ECH_OK && json_object_get(config, "relative_attention_num_buckets"))
        code = ech_spec_count(config, path, "relative_attention_num_buckets", DISTANCE, &s->buckets, err);
    if (code == ECH_OK && s->buckets % 4 != 0)
        code =
            ech_fail(err, ECH_DATA, "%s: %lld relative_attention_num_buckets, a multiple of 4 was expected",
                     path, (long long)s->buckets);
    if (code == ECH_OK)
        code = ech_json_get_float(config, path, "layer_norm_eps", false, &eps, err);
    if (code == ECH_OK)
        code = ech_spec_act(config, path, "hidden_act", "gelu", s, err);
    s->norm_eps = (float)eps;
    s->embed = s->hidden;
    s->table = ECH_TABLE_LEARNED;
    s->distance = DISTANCE;
    s->skip_pad = true;
    s->pad = PAD;
    return code;
}

#define LAYER "encoder.layer.%d."
const struct ech_arch ech_arch_mpnet = {
    .model_types = types,
    .part = ECH_PART_ENCODER,
    .names =
        {
            [ECH_T_WORD] = "embeddings.word_embeddings.weight",
            [ECH_T_POSITION] = "embeddings.position_embeddings.weight",
            [ECH_T_NORM_W] = "embeddings.LayerNorm.weight",
            [ECH_T_NORM_B] = "embeddings.LayerNorm.bias",
            [ECH_T_RELATIVE] = "encoder.relative_attention_bias.weight",
            [ECH_T_Q_W] = LAYER "attention.attn.q.weight",
            [ECH_T_Q_B] = LAYER "attention.attn.q.bias",
            [ECH_T_K_W] = LAYER "attention.attn.k.weight",
            [ECH_T_K_B] = LAYER "attention.attn.k.bias",
            [ECH_T_V_W] = LAYER "attention.attn.v.weight",
            [ECH_T_V_B] = LAYER "attention.attn.v.bias",
            [ECH_T_O_W] = LAYER "attention.attn.o.weight",
            [ECH_T_O_B] = LAYER "attention.attn.o.bias",
            [ECH_T_NORM1_W] = LAYER "attention.LayerNorm.weight",
            [ECH_T_NORM1_B] = LAYER "attention.LayerNorm.bias",
            [ECH_T_UP_W] = LAYER "intermediate.dense.weight",
            [ECH_T_UP_B] = LAYER "intermediate.dense.bias",
            [ECH_T_DOWN_W] = LAYER "output.dense.weight",
            [ECH_T_DOWN_B] = LAYER "output.dense.bias",
            [ECH_T_NORM2_W] = LAYER "output.LayerNorm.weight",
            [ECH_T_NORM2_B] = LAYER "output.LayerNorm.bias",
        },
    .read = read_mpnet,
};
