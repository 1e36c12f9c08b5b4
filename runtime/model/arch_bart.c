/* The encoder-decoders of one line: BART, mBART, Marian, M2M-100 (NLLB), Pegasus, and the translation models
 * of Marian and CTranslate2 files, which are given in Marian's names. They differ in where norms stand, in
 * positions and in what the decoder has in place of self attention. */
#include "model/spec_read.h"

#include <math.h>

enum { FIRST = 2 };

#define PAIR(slot, name) [ECH_T_##slot##_W] = name ".weight", [ECH_T_##slot##_B] = "?" name ".bias"
#define BOTH(side)                                                                                           \
    [ECH_T_WORD] = "shared.weight|" side ".embed_tokens.weight",                                             \
    [ECH_T_POSITION] = side ".embed_positions.weight",                                                       \
    [ECH_T_NORM_W] = "?" side ".layernorm_embedding.weight",                                                 \
    [ECH_T_NORM_B] = "?" side ".layernorm_embedding.bias", PAIR(O, side ".layers.%d.self_attn.out_proj"),    \
    PAIR(Q, side ".layers.%d.self_attn.q_proj"), PAIR(K, side ".layers.%d.self_attn.k_proj"),                \
    PAIR(V, side ".layers.%d.self_attn.v_proj"), PAIR(UP, side ".layers.%d.fc1"),                            \
    PAIR(DOWN, side ".layers.%d.fc2")
#define CROSSED                                                                                              \
    [ECH_T_HEAD_W] = "/lm_head.weight", [ECH_T_HEAD_B] = "?/final_logits_bias|/lm_head.bias",                \
    PAIR(XQ, "decoder.layers.%d.encoder_attn.q_proj"), PAIR(XK, "decoder.layers.%d.encoder_attn.k_proj"),    \
    PAIR(XV, "decoder.layers.%d.encoder_attn.v_proj"), PAIR(XO, "decoder.layers.%d.encoder_attn.out_proj")
#define BEFORE(side)                                                                                         \
    PAIR(IN1, side ".layers.%d.self_attn_layer_norm"), PAIR(IN2, side ".layers.%d.final_layer_norm"),        \
        PAIR(FINAL, side ".layer_norm")
#define AFTER(side)                                                                                          \
    PAIR(NORM1, side ".layers.%d.self_attn_layer_norm"), PAIR(NORM2, side ".layers.%d.final_layer_norm")

static const char *const encoder_before[ECH_T_SLOTS] = {BOTH("encoder"), BEFORE("encoder")};
static const char *const decoder_before[ECH_T_SLOTS] = {
    BOTH("decoder"), CROSSED, BEFORE("decoder"), PAIR(INX, "decoder.layers.%d.encoder_attn_layer_norm")};
/* A recurrent cell under a norm of its own in place of self attention. */
static const char *const decoder_ssru[ECH_T_SLOTS] = {
    [ECH_T_WORD] = "shared.weight|decoder.embed_tokens.weight",
    [ECH_T_POSITION] = "decoder.embed_positions.weight",
    CROSSED,
    PAIR(CELL, "decoder.layers.%d.rnn.w"),
    PAIR(FORGET, "decoder.layers.%d.rnn.wf"),
    PAIR(NORM1, "decoder.layers.%d.rnn_layer_norm"),
    PAIR(NORMX, "decoder.layers.%d.encoder_attn_layer_norm"),
    PAIR(UP, "decoder.layers.%d.fc1"),
    PAIR(DOWN, "decoder.layers.%d.fc2"),
    PAIR(NORM2, "decoder.layers.%d.final_layer_norm"),
};

static int read_sizes(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    static const struct ech_spec_key encoder[] = {{"encoder_layers", ECH_KEY(layers)},
                                                  {"encoder_attention_heads", ECH_KEY(heads)},
                                                  {"encoder_ffn_dim", ECH_KEY(intermediate)}};
    static const struct ech_spec_key decoder[] = {{"decoder_layers", ECH_KEY(layers)},
                                                  {"decoder_attention_heads", ECH_KEY(heads)},
                                                  {"decoder_ffn_dim", ECH_KEY(intermediate)}};
    static const struct ech_spec_key both[] = {{"d_model", ECH_KEY(hidden)},
                                               {"?max_position_embeddings", ECH_KEY(positions)}};
    bool reads = s->part == ECH_PART_ENCODER;
    int code = ech_spec_counts(config, path, both, 2, s, err);
    if (code == ECH_OK)
        code = ech_spec_counts(config, path, reads ? encoder : decoder, 3, s, err);
    const struct ech_spec_key words = {reads ? "vocab_size" : "decoder_vocab_size|vocab_size",
                                       ECH_KEY(vocab)};
    return code == ECH_OK ? ech_spec_counts(config, path, &words, 1, s, err) : code;
}

/* What published families do. */
static void choose_family(struct ech_spec *s, bool *before)
{
    bool learned = ech_spec_is(s, "bart") || ech_spec_is(s, "mbart");
    *before = !ech_spec_is(s, "bart") && !ech_spec_is(s, "marian");
    s->table = learned ? ECH_TABLE_LEARNED : ECH_TABLE_SINES;
    s->first = learned || ech_spec_is(s, "m2m_100") ? FIRST : 0;
    s->sines_by_half = ech_spec_is(s, "m2m_100");
    if (learned)
        s->positions += FIRST;
}

/* What a translation file says instead (weights.h). */
static int read_generic(const json_t *config, const char *path, struct ech_spec *s, bool *before,
                        struct ech_err *err)
{
    const char *positions = "sinusoids", *cell = "attention";
    bool scaled = true;
    s->first = 0;
    s->sines_by_half = true;
    int code = ech_spec_bool(config, path, "ech_normalize_before", before, err);
    if (code == ECH_OK)
        code = ech_json_get_str(config, path, "ech_positions", false, &positions, err);
    if (code == ECH_OK)
        code = ech_json_get_str(config, path, "ech_decoder_cell", false, &cell, err);
    if (code == ECH_OK)
        code = ech_json_get_int(config, path, "ech_position_first", false, &s->first, err);
    if (code == ECH_OK && s->part == ECH_PART_DECODER)
        code = ech_spec_bool(config, path, "ech_start_zero", &s->zero_start, err);
    if (code == ECH_OK)
        code = ech_spec_bool(config, path, "ech_attention_scale", &scaled, err);
    if (code == ECH_OK && (s->first < 0 || s->first > 1024))
        code = ech_fail(err, ECH_DATA, "%s: ech_position_first is %lld", path, (long long)s->first);
    s->attention_scale = scaled ? 0 : 1;
    bool table = strcmp(positions, "table") == 0;
    s->table = table ? ECH_TABLE_LEARNED : strcmp(positions, "none") == 0 ? ECH_TABLE_NONE : ECH_TABLE_SINES;
    if (table)
        s->first = 0;
    s->ssru = s->part == ECH_PART_DECODER && strcmp(cell, "ssru") == 0;
    if (code == ECH_OK && s->ssru && *before)
        code =
            ech_fail(err, ECH_DATA, "%s: ech_decoder_cell \"ssru\" with norms before is not supported", path);
    return code;
}

static int read_bart(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    bool generic = false, scaled = false, before = false, reads = s->part == ECH_PART_ENCODER;
    int code = read_sizes(config, path, s, err);
    choose_family(s, &before);
    s->norm_eps = 1e-5f;
    s->tied = true;
    s->head = reads ? ECH_HEAD_NONE : ECH_HEAD_LM;
    if (code == ECH_OK)
        code = ech_spec_bool(config, path, "ech_encoder_decoder", &generic, err);
    if (code == ECH_OK && generic)
        code = read_generic(config, path, s, &before, err);
    if (code == ECH_OK)
        code = ech_spec_float(config, path, "layer_norm_eps", &s->norm_eps, err);
    if (code == ECH_OK)
        code = ech_spec_act(config, path, "activation_function", "gelu", s, err);
    if (code == ECH_OK)
        code = ech_spec_bool(config, path, "scale_embedding", &scaled, err);
    if (code == ECH_OK)
        code = ech_spec_bool(config, path, "tie_word_embeddings", &s->tied, err);
    s->embed_scale = scaled ? sqrtf((float)s->hidden) : 0;
    if (before)
        s->names = reads ? encoder_before : decoder_before;
    if (s->ssru)
        s->names = decoder_ssru;
    return code;
}

static const char *const types[] = {"bart", "mbart", "marian", "m2m_100", "pegasus", NULL};
const struct ech_arch ech_arch_bart_encoder = {
    .model_types = types,
    .part = ECH_PART_ENCODER,
    .names = {BOTH("encoder"), AFTER("encoder")},
    .read = read_bart,
};
const struct ech_arch ech_arch_bart_decoder = {
    .model_types = types,
    .part = ECH_PART_DECODER,
    .names = {BOTH("decoder"), CROSSED, AFTER("decoder"),
              PAIR(NORMX, "decoder.layers.%d.encoder_attn_layer_norm")},
    .read = read_bart,
};
