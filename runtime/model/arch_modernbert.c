/* ModernBERT: norms before both halves (the first layer's attention has none), gated MLP, rotary positions
 * with a base for each kind of layer; most layers see a window on either side. */
#include "model/spec_read.h"

static const struct ech_spec_key keys[] = {
    {"num_hidden_layers", ECH_KEY(layers)},  {"hidden_size", ECH_KEY(hidden)},
    {"num_attention_heads", ECH_KEY(heads)}, {"intermediate_size", ECH_KEY(intermediate)},
    {"vocab_size", ECH_KEY(vocab)},          {"max_position_embeddings", ECH_KEY(positions)},
};

/* local_attention counts both sides. */
static int read_kinds(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    bool sliding[ECH_LAYERS_MOST] = {false}, listed = json_is_array(json_object_get(config, "layer_types"));
    int64_t local = 128, every = 3;
    int code = ech_spec_sliding(config, path, 0, s, sliding, err);
    if (code == ECH_OK && json_object_get(config, "local_attention"))
        code = ech_spec_count(config, path, "local_attention", 1 << 28, &local, err);
    if (code == ECH_OK && json_object_get(config, "global_attn_every_n_layers"))
        code = ech_spec_count(config, path, "global_attn_every_n_layers", ECH_LAYERS_MOST, &every, err);
    for (int64_t layer = 0; code == ECH_OK && layer < s->layers; layer++) {
        bool window = listed ? sliding[layer] : layer % every != 0;
        struct ech_layer_kind kind = {
            .window = window ? local / 2 + 1 : 0, .rope = window ? 1 : 0, .bare = layer == 0};
        code = ech_spec_put_kind(s, path, layer, kind, err);
    }
    return code;
}

static int read_ropes(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    struct ech_rope_defaults all = {.head_dim = s->hidden / s->heads,
                                    .context = s->positions,
                                    .base = 160000,
                                    .part = 1,
                                    .layer_type = "full_attention",
                                    .base_key = "global_rope_theta"};
    struct ech_rope_defaults local = all;
    local.base = 10000;
    local.layer_type = "sliding_attention";
    local.base_key = "local_rope_theta";
    int code = ech_rope_read(config, path, &all, &s->ropes[0], err);
    return code == ECH_OK ? ech_rope_read(config, path, &local, &s->ropes[1], err) : code;
}

static int read_modernbert(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    int code = ech_spec_counts(config, path, keys, sizeof keys / sizeof *keys, s, err);
    s->norm_eps = 1e-5f;
    s->gated = true;
    if (code == ECH_OK)
        code = ech_spec_float(config, path, "norm_eps", &s->norm_eps, err);
    if (code == ECH_OK)
        code = ech_spec_act(config, path, "hidden_activation", "gelu", s, err);
    if (code == ECH_OK)
        code = read_kinds(config, path, s, err);
    return code == ECH_OK ? read_ropes(config, path, s, err) : code;
}

#define PAIR(slot, name) [ECH_T_##slot##_W] = name ".weight", [ECH_T_##slot##_B] = "?" name ".bias"
#define LAYER            "layers.%d."
static const char *const types[] = {"modernbert", NULL};
const struct ech_arch ech_arch_modernbert = {
    .model_types = types,
    .part = ECH_PART_ENCODER,
    .names = {[ECH_T_WORD] = "embeddings.tok_embeddings.weight",
              PAIR(NORM, "embeddings.norm"),
              PAIR(FINAL, "final_norm"),
              PAIR(IN1, LAYER "attn_norm"),
              PAIR(QKV, LAYER "attn.Wqkv"),
              PAIR(O, LAYER "attn.Wo"),
              PAIR(IN2, LAYER "mlp_norm"),
              PAIR(GATEUP, LAYER "mlp.Wi"),
              PAIR(DOWN, LAYER "mlp.Wo")},
    .read = read_modernbert,
};
