/* Llama and those that differ from it by a line or two: Mistral, Mixtral, Qwen 2 and 3 (dense and mixed),
 * SmolLM3, OLMo 2, Phi-3. RMS norms, rotary positions, gated MLP, no biases but where the file has them. */
#include "model/spec_read.h"

#define LAYER     "layers.%d."
#define ATTENTION LAYER "self_attn."
#define COMMON                                                                                               \
    [ECH_T_WORD] = "embed_tokens.weight", [ECH_T_FINAL_W] = "norm.weight",                                   \
    [ECH_T_HEAD_W] = "/lm_head.weight", [ECH_T_O_W] = ATTENTION "o_proj.weight",                             \
    [ECH_T_O_B] = "?" ATTENTION "o_proj.bias", [ECH_T_DOWN_W] = LAYER "mlp.down_proj.weight",                \
    [ECH_T_DOWN_B] = "?" LAYER "mlp.down_proj.bias"
#define APART                                                                                                \
    [ECH_T_Q_W] = ATTENTION "q_proj.weight", [ECH_T_Q_B] = "?" ATTENTION "q_proj.bias",                      \
    [ECH_T_K_W] = ATTENTION "k_proj.weight", [ECH_T_K_B] = "?" ATTENTION "k_proj.bias",                      \
    [ECH_T_V_W] = ATTENTION "v_proj.weight", [ECH_T_V_B] = "?" ATTENTION "v_proj.bias",                      \
    [ECH_T_QNORM_W] = ATTENTION "q_norm.weight", [ECH_T_KNORM_W] = ATTENTION "k_norm.weight",                \
    [ECH_T_GATE_W] = LAYER "mlp.gate_proj.weight", [ECH_T_GATE_B] = "?" LAYER "mlp.gate_proj.bias",          \
    [ECH_T_UP_W] = LAYER "mlp.up_proj.weight", [ECH_T_UP_B] = "?" LAYER "mlp.up_proj.bias"
#define NORMS_BEFORE                                                                                         \
    [ECH_T_IN1_W] = LAYER "input_layernorm.weight", [ECH_T_IN2_W] = LAYER "post_attention_layernorm.weight"
#define MIXTRAL LAYER "block_sparse_moe."
#define EXPERT(mixtral, other)                                                                               \
    MIXTRAL "experts.%e." mixtral ".weight|" LAYER "mlp.experts.%e." other ".weight"

/* OLMo 2 norms what attention and MLP give, not what they take. */
static const char *const olmo2_names[ECH_T_SLOTS] = {
    COMMON,
    APART,
    [ECH_T_OUT1_W] = LAYER "post_attention_layernorm.weight",
    [ECH_T_OUT2_W] = LAYER "post_feedforward_layernorm.weight",
};

static const char *const phi3_names[ECH_T_SLOTS] = {
    COMMON,
    NORMS_BEFORE,
    [ECH_T_QKV_W] = ATTENTION "qkv_proj.weight",
    [ECH_T_GATEUP_W] = LAYER "mlp.gate_up_proj.weight",
};

static const struct ech_spec_key keys[] = {
    {"num_hidden_layers", ECH_KEY(layers)},  {"hidden_size", ECH_KEY(hidden)},
    {"num_attention_heads", ECH_KEY(heads)}, {"?num_key_value_heads", ECH_KEY(kv_heads)},
    {"?head_dim", ECH_KEY(head_dim)},        {"intermediate_size", ECH_KEY(intermediate)},
    {"vocab_size", ECH_KEY(vocab)},          {"max_position_embeddings", ECH_KEY(positions)},
};

static bool mixed(const struct ech_spec *s)
{
    return ech_spec_is(s, "mixtral") || ech_spec_is(s, "qwen3_moe");
}

static int read_experts(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    static const struct ech_spec_key counts[] = {{"num_local_experts|num_experts", ECH_KEY(experts)},
                                                 {"num_experts_per_tok", ECH_KEY(experts_used)}};
    bool mixtral = ech_spec_is(s, "mixtral");
    int code = ech_spec_counts(config, path, counts, 2, s, err);
    s->experts_normed = mixtral;
    s->expert_inner = s->intermediate;
    if (code == ECH_OK && !mixtral)
        code = ech_spec_count(config, path, "moe_intermediate_size", 1 << 28, &s->expert_inner, err);
    if (code == ECH_OK && !mixtral)
        code = ech_spec_bool(config, path, "norm_topk_prob", &s->experts_normed, err);
    return code;
}

/* Qwen's switch: without it a window that is named is not used. */
static int read_window(const json_t *config, const char *path, const struct ech_spec *s, int64_t *window,
                       bool sliding[ECH_LAYERS_MOST], struct ech_err *err)
{
    bool qwen = strncmp(s->model_type, "qwen", 4) == 0 || ech_spec_is(s, "smollm3"), used = !qwen;
    int64_t first = 0;
    int code = ech_spec_window(config, path, window, err);
    if (code == ECH_OK && qwen)
        code = ech_spec_bool(config, path, "use_sliding_window", &used, err);
    if (code == ECH_OK)
        code = ech_spec_sliding(config, path, 0, s, sliding, err);
    if (code == ECH_OK && qwen && used && json_object_get(config, "max_window_layers"))
        code = ech_json_get_int(config, path, "max_window_layers", true, &first, err);
    bool listed = json_is_array(json_object_get(config, "layer_types"));
    for (int64_t layer = 0; code == ECH_OK && !listed && layer < s->layers; layer++)
        sliding[layer] = used && *window > 0 && layer >= first;
    return code;
}

static bool in_list(const json_t *list, int64_t value)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_integer_value(json_array_get(list, i)) == value)
            return true;
    return false;
}

static int read_kinds(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    bool sliding[ECH_LAYERS_MOST] = {false};
    int64_t window, step = 1;
    const json_t *ropes = json_object_get(config, "no_rope_layers"),
                 *dense = json_object_get(config, "mlp_only_layers");
    int code = read_window(config, path, s, &window, sliding, err);
    if (code == ECH_OK && ech_spec_is(s, "qwen3_moe") && json_object_get(config, "decoder_sparse_step"))
        code = ech_spec_count(config, path, "decoder_sparse_step", 1 << 20, &step, err);
    for (int64_t layer = 0; code == ECH_OK && layer < s->layers; layer++) {
        struct ech_layer_kind kind = {.window = sliding[layer] ? window : 0};
        if (ech_spec_is(s, "smollm3") && ropes)
            kind.rope = json_integer_value(json_array_get(ropes, (size_t)layer)) ? 0 : -1;
        kind.experts = mixed(s) && (layer + 1) % step == 0 && !in_list(dense, layer);
        code = ech_spec_put_kind(s, path, layer, kind, err);
    }
    return code;
}

static int read_llama(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    int code = ech_spec_counts(config, path, keys, sizeof keys / sizeof *keys, s, err);
    s->norm = ECH_NORM_RMS;
    s->norm_eps = 1e-6f;
    s->gated = true;
    s->head = ECH_HEAD_LM;
    if (ech_spec_is(s, "olmo2"))
        s->names = olmo2_names;
    if (ech_spec_is(s, "phi3"))
        s->names = phi3_names;
    if (ech_spec_is(s, "qwen3") || ech_spec_is(s, "qwen3_moe"))
        s->qk_norm = ECH_QK_HEAD;
    if (ech_spec_is(s, "olmo2"))
        s->qk_norm = ECH_QK_ALL;
    if (code == ECH_OK)
        code = ech_spec_float(config, path, "rms_norm_eps", &s->norm_eps, err);
    if (code == ECH_OK)
        code = ech_spec_act(config, path, "hidden_act", "silu", s, err);
    if (code == ECH_OK)
        code = ech_spec_bool(config, path, "tie_word_embeddings", &s->tied, err);
    if (code == ECH_OK && mixed(s))
        code = read_experts(config, path, s, err);
    if (code == ECH_OK)
        code = read_kinds(config, path, s, err);
    if (code != ECH_OK)
        return code;
    struct ech_rope_defaults rope = {.head_dim = s->head_dim ? s->head_dim : s->hidden / s->heads,
                                     .context = s->positions,
                                     .base = 10000,
                                     .part = 1};
    code = ech_rope_read(config, path, &rope, &s->ropes[0], err);
    if (code == ECH_OK && s->ropes[0].dynamic > 0) /* the number of positions is that before scaling */
        s->positions = (int64_t)((double)s->positions * s->ropes[0].dynamic);
    return code;
}

static const char *const types[] = {"llama",     "mistral", "mixtral", "qwen2", "qwen3",
                                    "qwen3_moe", "smollm3", "olmo2",   "phi3",  NULL};
const struct ech_arch ech_arch_llama = {
    .model_types = types,
    .part = ECH_PART_DECODER,
    .names = {COMMON, APART, NORMS_BEFORE, [ECH_T_ROUTER_W] = MIXTRAL "gate.weight|" LAYER "mlp.gate.weight",
              [ECH_T_XGATE_W] = EXPERT("w1", "gate_proj"), [ECH_T_XUP_W] = EXPERT("w3", "up_proj"),
              [ECH_T_XDOWN_W] = EXPERT("w2", "down_proj")},
    .read = read_llama,
};
