/* Nomic BERT: BERT with rotary positions, a gated MLP and fused q, k, v. Its published files spell their
 * settings as GPT-2's do. */
#include "model/spec_read.h"

static const struct ech_spec_key keys[] = {
    {"num_hidden_layers|n_layer", ECH_KEY(layers)},
    {"hidden_size|n_embd", ECH_KEY(hidden)},
    {"num_attention_heads|n_head", ECH_KEY(heads)},
    {"?head_dim", ECH_KEY(head_dim)},
    {"intermediate_size|n_inner", ECH_KEY(intermediate)},
    {"vocab_size", ECH_KEY(vocab)},
    {"max_position_embeddings|n_positions", ECH_KEY(positions)},
    {"type_vocab_size", ECH_KEY(types)},
};

/* Settings of the published spelling that would make it another model. */
static int refuse_others(const json_t *config, const char *path, struct ech_err *err)
{
    static const struct {
        const char *key;
        bool wanted;
    } flags[] = {{"prenorm", false}, {"use_rms_norm", false}, {"parallel_block", false}, {"causal", false}};
    static const char *const numbers[] = {"rotary_scaling_factor", "rotary_emb_scale_base", "num_experts"};
    const char *act = "swiglu";
    int code = ECH_OK;
    for (size_t i = 0; code == ECH_OK && i < sizeof flags / sizeof *flags; i++)
        code = ech_spec_refuse(config, path, flags[i].key, flags[i].wanted, err);
    for (size_t i = 0; code == ECH_OK && i < sizeof numbers / sizeof *numbers; i++)
        if (json_number_value(json_object_get(config, numbers[i])) != 0)
            code = ech_fail(err, ECH_DATA, "%s: \"%s\": %g is not supported", path, numbers[i],
                            json_number_value(json_object_get(config, numbers[i])));
    if (code == ECH_OK)
        code = ech_json_get_str(config, path, "activation_function", false, &act, err);
    if (code == ECH_OK && strcmp(act, "swiglu") != 0)
        code = ech_fail(err, ECH_DATA, "%s: activation_function \"%.60s\" is not supported (known: swiglu)",
                        path, act);
    return code;
}

static int read_rope(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    bool published = json_object_get(config, "rotary_emb_base") != NULL, interleaved = false;
    struct ech_rope_defaults rope = {.head_dim = s->head_dim ? s->head_dim : s->hidden / s->heads,
                                     .context = s->positions,
                                     .base = 1000,
                                     .part = 1,
                                     .base_key = published ? "rotary_emb_base" : NULL,
                                     .part_key = published ? "rotary_emb_fraction" : NULL};
    int code = ech_rope_read(config, path, &rope, &s->ropes[0], err);
    if (code == ECH_OK)
        code = ech_spec_bool(config, path, "rotary_emb_interleaved", &interleaved, err);
    if (code == ECH_OK)
        s->ropes[0].interleaved = s->ropes[0].interleaved || interleaved;
    return code;
}

static int read_nomic(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    int code = ech_spec_counts(config, path, keys, sizeof keys / sizeof *keys, s, err);
    s->norm_eps = 1e-12f;
    s->gated = true;
    s->kinds[0].rope = 0;
    if (code == ECH_OK)
        code = ech_spec_float(config, path, "layer_norm_eps", &s->norm_eps, err);
    if (code == ECH_OK)
        code = ech_spec_float(config, path, "layer_norm_epsilon", &s->norm_eps, err);
    if (code == ECH_OK)
        code = ech_spec_act(config, path, "hidden_act", "silu", s, err);
    if (code == ECH_OK)
        code = refuse_others(config, path, err);
    return code == ECH_OK ? read_rope(config, path, s, err) : code;
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
