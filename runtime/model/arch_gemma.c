/* Gemma 1 to 3: gains stored less one, scaled embeddings, a tied head; from 2 on norms before and after both
 * halves, caps, windows in most layers; from 3 on normed queries and keys and a rotary base for each kind. */
#include "model/spec_read.h"

#include <math.h>

#define LAYER     "layers.%d."
#define ATTENTION LAYER "self_attn."
#define COMMON                                                                                               \
    [ECH_T_WORD] = "embed_tokens.weight", [ECH_T_FINAL_W] = "norm.weight",                                   \
    [ECH_T_HEAD_W] = "/lm_head.weight", [ECH_T_Q_W] = ATTENTION "q_proj.weight",                             \
    [ECH_T_Q_B] = "?" ATTENTION "q_proj.bias", [ECH_T_K_W] = ATTENTION "k_proj.weight",                      \
    [ECH_T_K_B] = "?" ATTENTION "k_proj.bias", [ECH_T_V_W] = ATTENTION "v_proj.weight",                      \
    [ECH_T_V_B] = "?" ATTENTION "v_proj.bias", [ECH_T_O_W] = ATTENTION "o_proj.weight",                      \
    [ECH_T_O_B] = "?" ATTENTION "o_proj.bias", [ECH_T_GATE_W] = LAYER "mlp.gate_proj.weight",                \
    [ECH_T_UP_W] = LAYER "mlp.up_proj.weight", [ECH_T_DOWN_W] = LAYER "mlp.down_proj.weight",                \
    [ECH_T_IN1_W] = LAYER "input_layernorm.weight"

static const char *const newer_names[ECH_T_SLOTS] = {
    COMMON,
    [ECH_T_QNORM_W] = ATTENTION "q_norm.weight",
    [ECH_T_KNORM_W] = ATTENTION "k_norm.weight",
    [ECH_T_OUT1_W] = LAYER "post_attention_layernorm.weight",
    [ECH_T_IN2_W] = LAYER "pre_feedforward_layernorm.weight",
    [ECH_T_OUT2_W] = LAYER "post_feedforward_layernorm.weight",
};

static const struct ech_spec_key keys[] = {
    {"num_hidden_layers", ECH_KEY(layers)},  {"hidden_size", ECH_KEY(hidden)},
    {"num_attention_heads", ECH_KEY(heads)}, {"?num_key_value_heads", ECH_KEY(kv_heads)},
    {"?head_dim", ECH_KEY(head_dim)},        {"intermediate_size", ECH_KEY(intermediate)},
    {"vocab_size", ECH_KEY(vocab)},          {"max_position_embeddings", ECH_KEY(positions)},
};

/* Layers are local and global in turn; Gemma 3 gives the local ones a base of their own, without scaling. */
static int read_layers(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    bool sliding[ECH_LAYERS_MOST] = {false}, third = ech_spec_is(s, "gemma3_text");
    int64_t window = 0, pattern = third ? 6 : ech_spec_is(s, "gemma2") ? 2 : 0;
    struct ech_rope_defaults all = {.head_dim = s->head_dim,
                                    .context = s->positions,
                                    .base = third ? 1e6 : 1e4,
                                    .part = 1,
                                    .layer_type = third ? "full_attention" : NULL};
    struct ech_rope_defaults local = all;
    local.base = 1e4;
    local.base_key = "rope_local_base_freq";
    local.layer_type = "sliding_attention";
    local.plain = true;
    int code = ech_spec_window(config, path, &window, err);
    if (code == ECH_OK && json_object_get(config, "sliding_window_pattern"))
        code = ech_spec_count(config, path, "sliding_window_pattern", ECH_LAYERS_MOST, &pattern, err);
    if (code == ECH_OK)
        code = ech_spec_sliding(config, path, pattern, s, sliding, err);
    for (int64_t layer = 0; code == ECH_OK && layer < s->layers; layer++) {
        struct ech_layer_kind kind = {.window = sliding[layer] ? window : 0,
                                      .rope = third && sliding[layer] ? 1 : 0};
        code = ech_spec_put_kind(s, path, layer, kind, err);
    }
    if (code == ECH_OK)
        code = ech_rope_read(config, path, &all, &s->ropes[0], err);
    if (code == ECH_OK && third)
        code = ech_rope_read(config, path, &local, &s->ropes[1], err);
    return code;
}

static int read_numbers(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    float queries = (float)s->head_dim;
    bool plus_one = false;
    int code = ech_spec_float(config, path, "rms_norm_eps", &s->norm_eps, err);
    if (code == ECH_OK)
        code = ech_spec_act(config, path, "hidden_activation", "gelu_pytorch_tanh", s, err);
    if (code == ECH_OK)
        code = ech_spec_bool(config, path, "tie_word_embeddings", &s->tied, err);
    if (code == ECH_OK)
        code = ech_spec_float(config, path, "query_pre_attn_scalar", &queries, err);
    if (code == ECH_OK)
        code = ech_spec_float(config, path, "attn_logit_softcapping", &s->softcap, err);
    if (code == ECH_OK)
        code = ech_spec_float(config, path, "final_logit_softcapping", &s->head_softcap, err);
    if (code == ECH_OK)
        code = ech_spec_refuse(config, path, "use_bidirectional_attention", false, err);
    if (code == ECH_OK)
        code = ech_spec_bool(config, path, "ech_norm_plus_one", &plus_one, err);
    s->gain_offset = plus_one ? 0 : 1;
    s->attention_scale = (float)pow((double)queries, -0.5);
    return code;
}

static int read_gemma(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    s->head_dim = 256;
    int code = ech_spec_counts(config, path, keys, sizeof keys / sizeof *keys, s, err);
    s->norm = ECH_NORM_RMS;
    s->norm_eps = 1e-6f;
    s->gated = s->tied = true;
    s->head = ECH_HEAD_LM;
    s->embed_scale = (float)sqrt((double)s->hidden);
    if (!ech_spec_is(s, "gemma"))
        s->names = newer_names;
    if (ech_spec_is(s, "gemma3_text"))
        s->qk_norm = ECH_QK_HEAD;
    if (code == ECH_OK)
        code = read_numbers(config, path, s, err);
    if (code == ECH_OK)
        code = read_layers(config, path, s, err);
    return code;
}

static const char *const types[] = {"gemma", "gemma2", "gemma3_text", NULL};
const struct ech_arch ech_arch_gemma = {
    .model_types = types,
    .part = ECH_PART_DECODER,
    .names = {COMMON, [ECH_T_IN2_W] = LAYER "post_attention_layernorm.weight"},
    .read = read_gemma,
};
