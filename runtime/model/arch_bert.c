/* BERT, RoBERTa, XLM-RoBERTa, CamemBERT and Electra: one encoder, one set of tensor names. Heads and poolers
 * that a file may hold are not used. */
#include "model/spec_read.h"

enum { MOST = 1 << 28 };

static const char *const types[] = {"bert", "roberta", "xlm-roberta", "camembert", "electra", NULL};

static const struct ech_spec_key keys[] = {
    {"num_hidden_layers", ECH_KEY(layers)},  {"hidden_size", ECH_KEY(hidden)},
    {"num_attention_heads", ECH_KEY(heads)}, {"intermediate_size", ECH_KEY(intermediate)},
    {"vocab_size", ECH_KEY(vocab)},          {"max_position_embeddings", ECH_KEY(positions)},
    {"type_vocab_size", ECH_KEY(types)},
};

static int read_bert(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    double eps = 1e-12;
    s->pad = 0;
    int code = ech_spec_counts(config, path, keys, sizeof keys / sizeof *keys, s, err);
    if (code == ECH_OK)
        code = ech_json_get_float(config, path, "layer_norm_eps", false, &eps, err);
    if (code == ECH_OK)
        code = ech_spec_act(config, path, "hidden_act", "gelu", s, err);
    s->norm_eps = (float)eps;
    s->embed = s->hidden;
    s->table = ECH_TABLE_LEARNED;
    if (code == ECH_OK && strcmp(s->model_type, "electra") == 0 && json_object_get(config, "embedding_size"))
        code = ech_spec_count(config, path, "embedding_size", MOST, &s->embed, err);
    s->skip_pad = strcmp(s->model_type, "bert") != 0 && strcmp(s->model_type, "electra") != 0;
    if (code == ECH_OK && s->skip_pad)
        s->pad = 1;
    if (code == ECH_OK)
        code = ech_json_get_int(config, path, "pad_token_id", false, &s->pad, err);
    return code;
}

#define LAYER "encoder.layer.%d."
const struct ech_arch ech_arch_bert = {
    .model_types = types,
    .part = ECH_PART_ENCODER,
    .names =
        {
            [ECH_T_WORD] = "embeddings.word_embeddings.weight",
            [ECH_T_POSITION] = "embeddings.position_embeddings.weight",
            [ECH_T_TYPE] = "embeddings.token_type_embeddings.weight",
            [ECH_T_NORM_W] = "embeddings.LayerNorm.weight",
            [ECH_T_NORM_B] = "embeddings.LayerNorm.bias",
            [ECH_T_PROJECT_W] = "embeddings_project.weight",
            [ECH_T_PROJECT_B] = "embeddings_project.bias",
            [ECH_T_Q_W] = LAYER "attention.self.query.weight",
            [ECH_T_Q_B] = LAYER "attention.self.query.bias",
            [ECH_T_K_W] = LAYER "attention.self.key.weight",
            [ECH_T_K_B] = LAYER "attention.self.key.bias",
            [ECH_T_V_W] = LAYER "attention.self.value.weight",
            [ECH_T_V_B] = LAYER "attention.self.value.bias",
            [ECH_T_O_W] = LAYER "attention.output.dense.weight",
            [ECH_T_O_B] = LAYER "attention.output.dense.bias",
            [ECH_T_NORM1_W] = LAYER "attention.output.LayerNorm.weight",
            [ECH_T_NORM1_B] = LAYER "attention.output.LayerNorm.bias",
            [ECH_T_UP_W] = LAYER "intermediate.dense.weight",
            [ECH_T_UP_B] = LAYER "intermediate.dense.bias",
            [ECH_T_DOWN_W] = LAYER "output.dense.weight",
            [ECH_T_DOWN_B] = LAYER "output.dense.bias",
            [ECH_T_NORM2_W] = LAYER "output.LayerNorm.weight",
            [ECH_T_NORM2_B] = LAYER "output.LayerNorm.bias",
        },
    .read = read_bert,
};
