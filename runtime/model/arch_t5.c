/* T5 and mT5: RMS norms before each half, relative position biases of the first layer for all, no scale of
 * scores; version 1.1 gates its MLP and has a head of its own. */
#include "model/spec_read.h"

#include <math.h>

#define ATTENTION(side, slot, layer, name)                                                                   \
    [ECH_T_##slot##_W] = side ".block.%d.layer." layer "." name ".weight"
#define MLP(side, layer, name) side ".block.%d.layer." layer ".DenseReluDense." name ".weight"
#define NAMES(side, mlp)                                                                                     \
    [ECH_T_WORD] = "shared.weight|" side ".embed_tokens.weight",                                             \
    [ECH_T_RELATIVE] = side ".block.0.layer.0.SelfAttention.relative_attention_bias.weight",                 \
    ATTENTION(side, Q, "0", "SelfAttention.q"), ATTENTION(side, K, "0", "SelfAttention.k"),                  \
    ATTENTION(side, V, "0", "SelfAttention.v"), ATTENTION(side, O, "0", "SelfAttention.o"),                  \
    ATTENTION(side, IN1, "0", "layer_norm"),                                                                 \
    ATTENTION(side, IN2, mlp, "layer_norm"), [ECH_T_GATE_W] = "?" MLP(side, mlp, "wi_0"),                    \
    [ECH_T_UP_W] = MLP(side, mlp, "wi") "|" MLP(side, mlp, "wi_1"), [ECH_T_DOWN_W] = MLP(side, mlp, "wo"),   \
    [ECH_T_FINAL_W] = side ".final_layer_norm.weight"

/* "relu", "gated-gelu" (by tanh), "gated-silu". */
static int read_act(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    const char *text = ech_spec_is(s, "mt5") ? "gated-gelu" : "relu";
    int code = ech_json_get_str(config, path, "feed_forward_proj", false, &text, err);
    s->gated = strncmp(text, "gated-", 6) == 0;
    const char *act = s->gated ? text + 6 : text;
    if (s->gated && strcmp(act, "gelu") == 0)
        act = "gelu_new";
    return code == ECH_OK ? ech_spec_act(config, path, "dense_act_fn", act, s, err) : code;
}

static int read_t5(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    bool reads = s->part == ECH_PART_ENCODER, scaled;
    const struct ech_spec_key keys[] = {
        {reads ? "num_layers" : "num_decoder_layers|num_layers", ECH_KEY(layers)},
        {"d_model", ECH_KEY(hidden)},
        {"num_heads", ECH_KEY(heads)},
        {"d_kv", ECH_KEY(head_dim)},
        {"d_ff", ECH_KEY(intermediate)},
        {"vocab_size", ECH_KEY(vocab)},
        {"relative_attention_num_buckets", ECH_KEY(buckets)},
        {"?relative_attention_max_distance", ECH_KEY(distance)}};
    s->distance = 128;
    int code = ech_spec_counts(config, path, keys, sizeof keys / sizeof *keys, s, err);
    s->norm = ECH_NORM_RMS;
    s->norm_eps = 1e-6f;
    s->attention_scale = 1;
    s->tied = !ech_spec_is(s, "mt5");
    s->head = reads ? ECH_HEAD_NONE : ECH_HEAD_LM;
    if (code == ECH_OK && (s->buckets % 4 != 0 || s->distance <= s->buckets))
        code = ech_fail(err, ECH_DATA, "%s: %lld relative_attention_num_buckets up to a distance of %lld",
                        path, (long long)s->buckets, (long long)s->distance);
    if (code == ECH_OK)
        code = ech_spec_float(config, path, "layer_norm_epsilon", &s->norm_eps, err);
    if (code == ECH_OK)
        code = read_act(config, path, s, err);
    if (code == ECH_OK)
        code = ech_spec_bool(config, path, "tie_word_embeddings", &s->tied, err);
    scaled = s->tied;
    if (code == ECH_OK)
        code = ech_spec_bool(config, path, "scale_decoder_outputs", &scaled, err);
    s->head_scale = scaled && !reads ? 1.0f / sqrtf((float)s->hidden) : 0;
    return code;
}

static const char *const types[] = {"t5", "mt5", NULL};
const struct ech_arch ech_arch_t5_encoder = {
    .model_types = types, .part = ECH_PART_ENCODER, .names = {NAMES("encoder", "1")}, .read = read_t5};
const struct ech_arch ech_arch_t5_decoder = {
    .model_types = types,
    .part = ECH_PART_DECODER,
    .names = {NAMES("decoder", "2"), ATTENTION("decoder", XQ, "1", "EncDecAttention.q"),
              ATTENTION("decoder", XK, "1", "EncDecAttention.k"),
              ATTENTION("decoder", XV, "1", "EncDecAttention.v"),
              ATTENTION("decoder", XO, "1", "EncDecAttention.o"),
              ATTENTION("decoder", INX, "1", "layer_norm"), [ECH_T_HEAD_W] = "/lm_head.weight"},
    .read = read_t5};
