/* Specifications: see spec.h. */
#include "model/spec.h"

#include "base/json.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CONFIG_MOST = 16 << 20, LAYERS_MOST = 1000, WIDTH_MOST = 1 << 20, ROWS_MOST = 1 << 28 };

static const struct ech_arch *const archs[] = {&ech_arch_bert, &ech_arch_distilbert, &ech_arch_mpnet};
enum { ARCHS = sizeof archs / sizeof *archs };

static const struct {
    const char *name;
    enum ech_act act;
} acts[] = {{"gelu", ECH_ACT_GELU},          {"gelu_python", ECH_ACT_GELU},
            {"gelu_new", ECH_ACT_GELU_TANH}, {"gelu_pytorch_tanh", ECH_ACT_GELU_TANH},
            {"relu", ECH_ACT_RELU},          {"silu", ECH_ACT_SILU},
            {"swish", ECH_ACT_SILU},         {"tanh", ECH_ACT_TANH}};

int ech_spec_count(const json_t *config, const char *path, const char *key, int64_t most, int64_t *out,
                   struct ech_err *err)
{
    int64_t value = 0;
    int code = ech_json_get_int(config, path, key, true, &value, err);
    if (code == ECH_OK && (value < 1 || value > most))
        return ech_fail(err, ECH_DATA, "%s: \"%s\" is %lld, 1 to %lld was expected", path, key,
                        (long long)value, (long long)most);
    *out = value;
    return code;
}

int ech_spec_counts(const json_t *config, const char *path, const struct ech_spec_key *keys, int count,
                    struct ech_spec *spec, struct ech_err *err)
{
    int code = ECH_OK;
    for (int i = 0; code == ECH_OK && i < count; i++) {
        int64_t *out = (int64_t *)(void *)((char *)spec + keys[i].offset);
        code = ech_spec_count(config, path, keys[i].name, 1 << 28, out, err);
    }
    return code;
}

int ech_spec_act(const json_t *config, const char *path, const char *key, struct ech_spec *spec,
                 struct ech_err *err)
{
    const char *name = "gelu";
    int code = ech_json_get_str(config, path, key, false, &name, err);
    if (code != ECH_OK)
        return code;
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        if (strcmp(acts[i].name, name) == 0) {
            spec->act = acts[i].act;
            return ECH_OK;
        }
    return ech_fail(err, ECH_DATA,
                    "%s: the activation \"%.60s\" is not supported (known: gelu, gelu_new, relu, silu, tanh)",
                    path, name);
}

int ech_spec_refuse(const json_t *config, const char *path, const char *key, bool wanted, struct ech_err *err)
{
    bool value = wanted;
    int code = ech_json_get_bool(config, path, key, false, &value, err);
    if (code == ECH_OK && value != wanted)
        return ech_fail(err, ECH_DATA, "%s: \"%s\": %s is not supported", path, key,
                        value ? "true" : "false");
    return code;
}

/* Things that would change every result and that no architecture here does. */
static int refuse_common(const json_t *config, const char *path, struct ech_err *err)
{
    const char *positions = "absolute";
    int code = ech_spec_refuse(config, path, "is_decoder", false, err);
    if (code == ECH_OK)
        code = ech_spec_refuse(config, path, "add_cross_attention", false, err);
    if (code == ECH_OK)
        code = ech_json_get_str(config, path, "position_embedding_type", false, &positions, err);
    if (code == ECH_OK && strcmp(positions, "absolute") != 0)
        code = ech_fail(err, ECH_DATA, "%s: position_embedding_type \"%.60s\" is not supported", path,
                        positions);
    if (code == ECH_OK && json_object_get(config, "quantization_config"))
        code = ech_fail(err, ECH_DATA, "%s: quantised weights (quantization_config) are not supported", path);
    if (code == ECH_OK && json_object_size(json_object_get(config, "pruned_heads")) > 0)
        code = ech_fail(err, ECH_DATA, "%s: pruned_heads is not supported", path);
    return code;
}

static const struct ech_arch *find_arch(const char *type)
{
    for (int i = 0; i < ARCHS; i++)
        for (const char *const *name = archs[i]->model_types; *name; name++)
            if (strcmp(*name, type) == 0)
                return archs[i];
    return NULL;
}

static const char *known_types(char *out, size_t bytes)
{
    size_t at = 0;
    out[0] = '\0';
    for (int i = 0; i < ARCHS; i++)
        for (const char *const *name = archs[i]->model_types; *name && at < bytes; name++)
            at += (size_t)snprintf(out + at, bytes - at, "%s%s", at ? ", " : "", *name);
    return out;
}

/* Sizes bounded one by one may still multiply beyond any memory; nothing here does arithmetic that overflows
 * with these limits. */
static int check_sizes(struct ech_spec *s, const char *path, struct ech_err *err)
{
    if (s->layers > LAYERS_MOST || s->hidden > WIDTH_MOST || s->intermediate > WIDTH_MOST ||
        s->embed > WIDTH_MOST || s->vocab > ROWS_MOST || s->positions > ROWS_MOST || s->types > ROWS_MOST)
        return ech_fail(err, ECH_DATA, "%s: a size is beyond what any model has", path);
    if (s->hidden % s->heads != 0)
        return ech_fail(err, ECH_DATA, "%s: the hidden size %lld is not a multiple of %lld heads", path,
                        (long long)s->hidden, (long long)s->heads);
    s->head_dim = s->hidden / s->heads;
    if (s->skip_pad && (s->pad < 0 || s->pad >= s->vocab || s->pad + 1 >= s->positions))
        return ech_fail(err, ECH_DATA, "%s: pad_token_id %lld leaves no position of %lld", path,
                        (long long)s->pad, (long long)s->positions);
    if (!(s->norm_eps > 0 && s->norm_eps < 1))
        return ech_fail(err, ECH_DATA, "%s: the norm's epsilon is %g, above 0 and below 1 was expected", path,
                        (double)s->norm_eps);
    return ECH_OK;
}

int ech_spec_parse(const char *path, const json_t *config, struct ech_spec *out, struct ech_err *err)
{
    struct ech_spec spec = {0};
    const char *type = "";
    char known[256];
    if (!json_is_object(config))
        return ech_fail(err, ECH_DATA, "%s: not an object", path);
    int code = ech_json_get_str(config, path, "model_type", true, &type, err);
    if (code != ECH_OK)
        return code;
    spec.arch = find_arch(type);
    if (!spec.arch)
        return ech_fail(err, ECH_DATA, "%s: model_type \"%.60s\" is not supported (known: %s)", path, type,
                        known_types(known, sizeof known));
    snprintf(spec.model_type, sizeof spec.model_type, "%s", type);
    code = refuse_common(config, path, err);
    if (code == ECH_OK)
        code = spec.arch->read(config, path, &spec, err);
    if (code == ECH_OK)
        code = check_sizes(&spec, path, err);
    if (code == ECH_OK)
        *out = spec;
    return code;
}

int ech_spec_read(const char *path, struct ech_spec *out, struct ech_err *err)
{
    json_t *config;
    int code = ech_json_load(path, CONFIG_MOST, &config, err);
    if (code != ECH_OK)
        return code;
    code = ech_spec_parse(path, config, out, err);
    json_decref(config);
    return code;
}

int64_t ech_spec_max_tokens(const struct ech_spec *spec)
{
    return spec->positions - (spec->skip_pad ? spec->pad + 1 : 0);
}

double ech_spec_flops(const struct ech_spec *s, int64_t tokens)
{
    double t = (double)tokens, d = (double)s->hidden;
    double token = (double)s->layers * (4 * d * d + 2 * d * (double)s->intermediate);
    if (s->embed != s->hidden)
        token += (double)s->embed * d;
    return 2 * t * token + 4 * t * t * d * (double)s->layers;
}

int64_t ech_spec_bucket(const struct ech_spec *spec, int64_t i, int64_t j)
{
    int64_t half = spec->buckets / 2, exact = half / 2, gap = i - j, base = 0;
    if (gap < 0) {
        base = half;
        gap = -gap;
    }
    if (gap < exact)
        return base + gap;
    float share = logf((float)gap / (float)exact) / logf((float)spec->distance / (float)exact);
    int64_t far = exact + (int64_t)(share * (float)(half - exact));
    return base + (far < half - 1 ? far : half - 1);
}
