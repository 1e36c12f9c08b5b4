/* See summary.h. */
#include "model/summary.h"

#include "base/num.h"

#include <stdio.h>
#include <string.h>

enum { SIZE_LIMIT = 1 << 30 }; /* no arithmetic below overflows with such */

/* Each size under the names that architectures give it; the first that is there counts. */
static int64_t first_int(const json_t *config, const char *const *names)
{
    for (; *names; names++) {
        const json_t *value = json_object_get(config, *names);
        if (json_is_integer(value))
            return ech_max64(0, ech_min64(json_integer_value(value), SIZE_LIMIT));
    }
    return 0;
}
#define FIRST(...) first_int(config, (const char *const[]){__VA_ARGS__, NULL})

static bool any_architecture(const json_t *config, const char *part)
{
    size_t i;
    json_t *name;
    json_array_foreach(json_object_get(config, "architectures"), i, name)
    {
        const char *text = json_string_value(name);
        if (text && strstr(text, part))
            return true;
    }
    return false;
}

/* Decoders have a causal head; files of other formats than Hugging Face's do not list one. */
static bool is_decoder(const json_t *config, const char *type)
{
    static const char *const encoders[] = {"bert",      "nomic_bert", "roberta",    "xlm-roberta",
                                           "camembert", "electra",    "distilbert", "mpnet",
                                           "albert",    "deberta-v2", "modernbert", "vit",
                                           "dinov2",    "clip",       "siglip",     "wav2vec2"};
    for (size_t i = 0; i < sizeof encoders / sizeof *encoders; i++)
        if (strcmp(encoders[i], type) == 0)
            return false;
    return any_architecture(config, "CausalLM") || any_architecture(config, "LMHead") ||
           json_object_get(config, "ech_format") != NULL;
}

static int64_t count_local(const json_t *config, int64_t layers)
{
    const json_t *types = json_object_get(config, "layer_types"),
                 *use = json_object_get(config, "use_sliding_window");
    int64_t pattern = json_integer_value(json_object_get(config, "sliding_window_pattern")), local = 0;
    const char *type = json_string_value(json_object_get(config, "model_type"));
    size_t i;
    json_t *item;
    if (json_is_false(use))
        return 0;
    json_array_foreach((json_t *)(uintptr_t)types, i, item) local +=
        json_string_value(item) && strcmp(json_string_value(item), "sliding_attention") == 0;
    if (json_is_array(types))
        return local;
    if (pattern > 0)
        return layers - layers / pattern;
    return type && strcmp(type, "gemma2") == 0 ? (layers + 1) / 2 : layers;
}

static void read_sizes(const json_t *config, struct ech_summary *s)
{
    int64_t layers = FIRST("num_hidden_layers", "n_layer", "num_layers", "encoder_layers");
    const char *type = json_string_value(json_object_get(config, "model_type"));
    snprintf(s->type, sizeof s->type, "%s", type ? type : "");
    s->encoder_decoder = json_is_true(json_object_get(config, "is_encoder_decoder"));
    s->generates = s->encoder_decoder || is_decoder(config, s->type);
    if (s->encoder_decoder) {
        s->encoder_layers = layers;
        s->decoder_layers = FIRST("decoder_layers", "num_decoder_layers", "num_layers");
    } else if (s->generates)
        s->decoder_layers = layers;
    else
        s->encoder_layers = layers;
    s->hidden = FIRST("hidden_size", "d_model", "n_embd");
    s->heads = FIRST("num_attention_heads", "n_head", "num_heads", "decoder_attention_heads");
    s->kv_heads = FIRST("num_key_value_heads", "num_kv_heads");
    if (json_is_true(json_object_get(config, "multi_query")))
        s->kv_heads = 1;
    s->kv_heads = s->kv_heads ? s->kv_heads : s->heads;
    s->head_dim = FIRST("head_dim", "d_kv");
    if (!s->head_dim && s->heads > 0)
        s->head_dim = s->hidden / s->heads;
    s->intermediate =
        FIRST("intermediate_size", "n_inner", "d_ff", "encoder_ffn_dim", "ffn_hidden_size", "ffn_dim");
    s->vocab = FIRST("vocab_size");
    s->context = FIRST("max_position_embeddings", "n_positions", "max_target_positions", "seq_length");
    s->source_context = FIRST("max_source_positions");
    s->experts = FIRST("num_local_experts", "num_experts");
    s->experts_used = FIRST("num_experts_per_tok");
    s->window = FIRST("sliding_window");
    if (s->window > 0)
        s->local_layers = count_local(config, s->decoder_layers);
}

void ech_summary_read(const struct ech_weights *w, struct ech_summary *out)
{
    struct ech_summary s = {0};
    const json_t *config = ech_weights_config(w);
    for (int64_t i = 0; i < ech_weights_count(w); i++) {
        const struct ech_tensor *t = ech_weights_at(w, i);
        s.parameters += t->elements;
        s.bytes += (int64_t)t->bytes;
        s.counts[t->dtype]++;
        s.type_bytes[t->dtype] += (int64_t)t->bytes;
    }
    read_sizes(config, &s);
    const char *cell = json_string_value(json_object_get(config, "ech_decoder_cell"));
    if (cell && strcmp(cell, "ssru") == 0)
        s.state_values = s.hidden;
    *out = s;
}

int64_t ech_summary_cache_bytes(const struct ech_summary *s, int64_t batch, int64_t tokens,
                                int64_t value_bytes)
{
    double row = 2.0 * (double)s->kv_heads * (double)s->head_dim, all = (double)tokens;
    double local = (double)ech_min64(s->local_layers, s->decoder_layers), layers = (double)s->decoder_layers;
    double kept = s->window > 0 ? (double)ech_min64(tokens, s->window) : all;
    double values = row * ((layers - local) * all + local * kept);
    if (s->state_values)
        values = layers * (double)s->state_values;
    if (s->encoder_decoder)
        values += row * layers * (s->source_context ? (double)s->source_context : all);
    double bytes = values * (double)batch * (double)value_bytes;
    return bytes < 9e18 ? (int64_t)bytes : INT64_MAX;
}
