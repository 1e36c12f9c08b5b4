/* ALBERT: BERT whose layers share their weights, under a narrower embedding. */
#include "model/spec_read.h"

static const struct ech_spec_key keys[] = {
    {"num_hidden_layers", ECH_KEY(layers)},
    {"num_hidden_groups", ECH_KEY(groups)},
    {"hidden_size", ECH_KEY(hidden)},
    {"num_attention_heads", ECH_KEY(heads)},
    {"intermediate_size", ECH_KEY(intermediate)},
    {"vocab_size", ECH_KEY(vocab)},
    {"embedding_size", ECH_KEY(embed)},
    {"max_position_embeddings", ECH_KEY(positions)},
    {"type_vocab_size", ECH_KEY(types)},
};

static int read_albert(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    int64_t inner = 1;
    int code = ech_spec_counts(config, path, keys, sizeof keys / sizeof *keys, s, err);
    s->table = ECH_TABLE_LEARNED;
    s->norm_eps = 1e-12f;
    if (code == ECH_OK)
        code = ech_json_get_int(config, path, "inner_group_num", false, &inner, err);
    if (code == ECH_OK && inner != 1)
        code =
            ech_fail(err, ECH_DATA, "%s: \"inner_group_num\": %lld is not supported", path, (long long)inner);
    if (code == ECH_OK && s->embed == s->hidden)
        code =
            ech_fail(err, ECH_DATA, "%s: \"embedding_size\" equal to \"hidden_size\" is not supported", path);
    if (code == ECH_OK)
        code = ech_spec_float(config, path, "layer_norm_eps", &s->norm_eps, err);
    return code == ECH_OK ? ech_spec_act(config, path, "hidden_act", "gelu_new", s, err) : code;
}

#define PAIR(slot, name) [ECH_T_##slot##_W] = name ".weight", [ECH_T_##slot##_B] = name ".bias"
#define LAYER            "encoder.albert_layer_groups.%d.albert_layers.0."
static const char *const types[] = {"albert", NULL};
const struct ech_arch ech_arch_albert = {
    .model_types = types,
    .part = ECH_PART_ENCODER,
    .names = {[ECH_T_WORD] = "embeddings.word_embeddings.weight",
              [ECH_T_POSITION] = "embeddings.position_embeddings.weight",
              [ECH_T_TYPE] = "embeddings.token_type_embeddings.weight",
              PAIR(NORM, "embeddings.LayerNorm"),
              PAIR(PROJECT, "encoder.embedding_hidden_mapping_in"),
              PAIR(Q, LAYER "attention.query"),
              PAIR(K, LAYER "attention.key"),
              PAIR(V, LAYER "attention.value"),
              PAIR(O, LAYER "attention.dense"),
              PAIR(NORM1, LAYER "attention.LayerNorm"),
              PAIR(UP, LAYER "ffn"),
              PAIR(DOWN, LAYER "ffn_output"),
              PAIR(NORM2, LAYER "full_layer_layer_norm")},
    .read = read_albert,
};
