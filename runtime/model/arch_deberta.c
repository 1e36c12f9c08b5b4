/* DeBERTa version 2 and 3: BERT whose scores also ask what a token's content says of a distance, and what a
 * distance says of a token's content (disentangled attention). Not here: keys and queries of their own for
 * distances (share_att_key: false), the convolution of the xlarge models, a narrower embedding. */
#include "model/spec_read.h"

#include <math.h>

static const struct ech_spec_key keys[] = {
    {"num_hidden_layers", ECH_KEY(layers)},          {"hidden_size", ECH_KEY(hidden)},
    {"num_attention_heads", ECH_KEY(heads)},         {"?attention_head_size", ECH_KEY(head_dim)},
    {"intermediate_size", ECH_KEY(intermediate)},    {"vocab_size", ECH_KEY(vocab)},
    {"max_position_embeddings", ECH_KEY(positions)},
};

/* A list of texts, or one text with | between them. */
static bool next_word(const json_t *list, size_t *at, const char **word, size_t *bytes)
{
    const char *text = json_string_value(list);
    if (!text) {
        *word = json_string_value(json_array_get(list, *at));
        *bytes = *word ? strlen(*word) : 0;
        return (*at)++ < json_array_size(list);
    }
    text += *at;
    *word = text;
    *bytes = strcspn(text, "|");
    *at += *bytes + (text[*bytes] == '|');
    return *bytes > 0;
}

static bool is_word(const char *word, size_t bytes, const char *known)
{
    return word && strlen(known) == bytes && strncmp(word, known, bytes) == 0;
}

static int read_position_scores(const json_t *config, const char *path, struct ech_spec *s,
                                struct ech_err *err)
{
    const json_t *list = json_object_get(config, "pos_att_type");
    const char *word;
    size_t at = 0, bytes;
    while (next_word(list, &at, &word, &bytes)) {
        s->content_to_position = s->content_to_position || is_word(word, bytes, "c2p");
        s->position_to_content = s->position_to_content || is_word(word, bytes, "p2c");
        if (!is_word(word, bytes, "c2p") && !is_word(word, bytes, "p2c"))
            return ech_fail(err, ECH_DATA, "%s: pos_att_type \"%.*s\" is not supported (known: c2p, p2c)",
                            path, (int)(bytes < 60 ? bytes : 60), word ? word : "");
    }
    s->disentangled = s->content_to_position || s->position_to_content;
    return ECH_OK;
}

static int read_distances(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    int64_t most = -1, buckets = -1;
    const char *norm = "none";
    bool shared = false;
    int code = ech_json_get_int(config, path, "max_relative_positions", false, &most, err);
    if (code == ECH_OK)
        code = ech_json_get_int(config, path, "position_buckets", false, &buckets, err);
    if (code == ECH_OK)
        code = ech_json_get_str(config, path, "norm_rel_ebd", false, &norm, err);
    if (code == ECH_OK)
        code = ech_spec_bool(config, path, "share_att_key", &shared, err);
    if (code != ECH_OK)
        return code;
    if (!shared)
        return ech_fail(err, ECH_DATA, "%s: \"share_att_key\": false is not supported", path);
    if (strcmp(norm, "none") != 0 && strcmp(norm, "layer_norm") != 0)
        return ech_fail(err, ECH_DATA,
                        "%s: norm_rel_ebd \"%.60s\" is not supported (known: none, layer_norm)", path, norm);
    s->relative_norm = strcmp(norm, "layer_norm") == 0;
    s->distance = most < 1 ? s->positions : most;
    s->buckets = buckets > 0 ? buckets : 0;
    s->relative = s->buckets ? s->buckets : s->distance;
    if (s->relative > 1 << 20 || s->distance > 1 << 20 || s->buckets == 1 ||
        (s->buckets && s->distance < s->buckets / 2 + 2))
        return ech_fail(err, ECH_DATA, "%s: %lld position_buckets over %lld positions are not supported",
                        path, (long long)s->buckets, (long long)s->distance);
    return ECH_OK;
}

static int refuse_others(const json_t *config, const char *path, const struct ech_spec *s,
                         struct ech_err *err)
{
    int64_t kernel = 0, embed = s->hidden;
    int code = ech_json_get_int(config, path, "conv_kernel_size", false, &kernel, err);
    if (code == ECH_OK && kernel > 0)
        return ech_fail(err, ECH_DATA, "%s: \"conv_kernel_size\": %lld is not supported", path,
                        (long long)kernel);
    if (code == ECH_OK)
        code = ech_json_get_int(config, path, "embedding_size", false, &embed, err);
    if (code == ECH_OK && embed != s->hidden)
        return ech_fail(err, ECH_DATA, "%s: \"embedding_size\" other than \"hidden_size\" is not supported",
                        path);
    return code;
}

static int read_deberta(const json_t *config, const char *path, struct ech_spec *s, struct ech_err *err)
{
    bool absolute = true, relative = false;
    int code = ech_spec_counts(config, path, keys, sizeof keys / sizeof *keys, s, err);
    s->norm_eps = 1e-7f;
    if (code == ECH_OK)
        code = ech_spec_float(config, path, "layer_norm_eps", &s->norm_eps, err);
    if (code == ECH_OK)
        code = ech_spec_act(config, path, "hidden_act", "gelu", s, err);
    if (code == ECH_OK)
        code = ech_spec_bool(config, path, "position_biased_input", &absolute, err);
    if (code == ECH_OK)
        code = ech_spec_bool(config, path, "relative_attention", &relative, err);
    if (code == ECH_OK)
        code = ech_json_get_int(config, path, "type_vocab_size", false, &s->types, err);
    if (code == ECH_OK)
        code = refuse_others(config, path, s, err);
    s->types = s->types > 0 ? s->types : 0;
    s->table = absolute ? ECH_TABLE_LEARNED : ECH_TABLE_NONE;
    if (code == ECH_OK && relative)
        code = read_position_scores(config, path, s, err);
    if (code != ECH_OK || !s->disentangled)
        return code;
    int64_t dim = s->head_dim ? s->head_dim : s->hidden / s->heads;
    int terms = 1 + s->content_to_position + s->position_to_content;
    s->attention_scale = 1.0f / sqrtf((float)(dim * terms));
    return read_distances(config, path, s, err);
}

#define PAIR(slot, name) [ECH_T_##slot##_W] = name ".weight", [ECH_T_##slot##_B] = name ".bias"
#define LAYER            "encoder.layer.%d."
static const char *const types[] = {"deberta-v2", NULL};
const struct ech_arch ech_arch_deberta = {
    .model_types = types,
    .part = ECH_PART_ENCODER,
    .names = {[ECH_T_WORD] = "embeddings.word_embeddings.weight",
              [ECH_T_POSITION] = "embeddings.position_embeddings.weight",
              [ECH_T_TYPE] = "embeddings.token_type_embeddings.weight",
              PAIR(NORM, "embeddings.LayerNorm"),
              [ECH_T_RELATIVE] = "encoder.rel_embeddings.weight",
              PAIR(RELNORM, "encoder.LayerNorm"),
              PAIR(Q, LAYER "attention.self.query_proj"),
              PAIR(K, LAYER "attention.self.key_proj"),
              PAIR(V, LAYER "attention.self.value_proj"),
              PAIR(O, LAYER "attention.output.dense"),
              PAIR(NORM1, LAYER "attention.output.LayerNorm"),
              PAIR(UP, LAYER "intermediate.dense"),
              PAIR(DOWN, LAYER "output.dense"),
              PAIR(NORM2, LAYER "output.LayerNorm")},
    .read = read_deberta,
};
