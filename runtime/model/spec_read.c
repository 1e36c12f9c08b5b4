/* Readers of single keys: see spec_read.h. */
#include "model/spec_read.h"

enum { COUNT_MOST = 1 << 28 };

static const struct {
    const char *name;
    enum ech_act act;
} acts[] = {{"gelu", ECH_ACT_GELU},
            {"gelu_python", ECH_ACT_GELU},
            {"gelu_new", ECH_ACT_GELU_TANH},
            {"gelu_fast", ECH_ACT_GELU_TANH},
            {"gelu_pytorch_tanh", ECH_ACT_GELU_TANH},
            {"quick_gelu", ECH_ACT_QUICK_GELU},
            {"relu", ECH_ACT_RELU},
            {"relu2", ECH_ACT_RELU2},
            {"silu", ECH_ACT_SILU},
            {"swish", ECH_ACT_SILU},
            {"tanh", ECH_ACT_TANH}};

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

static bool absent(const json_t *config, const char *key)
{
    const json_t *value = json_object_get(config, key);
    return !value || json_is_null(value);
}

/* The spelling that the config uses: the first of "a|b" that is there, else the first of all. */
static const char *spelling(const json_t *config, const char *names, char *buffer, size_t bytes)
{
    const char *at = names;
    for (;;) {
        size_t length = strcspn(at, "|");
        snprintf(buffer, bytes, "%.*s", (int)length, at);
        if (!absent(config, buffer))
            return buffer;
        if (!at[length])
            break;
        at += length + 1;
    }
    snprintf(buffer, bytes, "%.*s", (int)strcspn(names, "|"), names);
    return buffer;
}

int ech_spec_counts(const json_t *config, const char *path, const struct ech_spec_key *keys, int count,
                    struct ech_spec *spec, struct ech_err *err)
{
    int code = ECH_OK;
    char buffer[128];
    for (int i = 0; code == ECH_OK && i < count; i++) {
        int64_t *out = (int64_t *)(void *)((char *)spec + keys[i].offset);
        bool optional = keys[i].name[0] == '?';
        const char *key = spelling(config, keys[i].name + optional, buffer, sizeof buffer);
        if (!optional || !absent(config, key))
            code = ech_spec_count(config, path, key, COUNT_MOST, out, err);
    }
    return code;
}

int ech_spec_float(const json_t *config, const char *path, const char *key, float *out, struct ech_err *err)
{
    double value = *out;
    int code = absent(config, key) ? ECH_OK : ech_json_get_float(config, path, key, true, &value, err);
    *out = (float)value;
    return code;
}

int ech_spec_bool(const json_t *config, const char *path, const char *key, bool *out, struct ech_err *err)
{
    return absent(config, key) ? ECH_OK : ech_json_get_bool(config, path, key, true, out, err);
}

int ech_spec_act(const json_t *config, const char *path, const char *key, const char *otherwise,
                 struct ech_spec *spec, struct ech_err *err)
{
    const char *name = otherwise;
    int code = absent(config, key) ? ECH_OK : ech_json_get_str(config, path, key, true, &name, err);
    if (code != ECH_OK)
        return code;
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        if (strcmp(acts[i].name, name) == 0) {
            spec->act = acts[i].act;
            return ECH_OK;
        }
    return ech_fail(err, ECH_DATA,
                    "%s: the activation \"%.60s\" is not supported (known: gelu, gelu_new, quick_gelu, relu, "
                    "relu2, silu, tanh)",
                    path, name);
}

int ech_spec_refuse(const json_t *config, const char *path, const char *key, bool wanted, struct ech_err *err)
{
    bool value = wanted;
    int code = ech_spec_bool(config, path, key, &value, err);
    if (code == ECH_OK && value != wanted)
        return ech_fail(err, ECH_DATA, "%s: \"%s\": %s is not supported", path, key,
                        value ? "true" : "false");
    return code;
}

static int check_layers(const char *path, const struct ech_spec *s, struct ech_err *err)
{
    if (s->layers > ECH_LAYERS_MOST)
        return ech_fail(err, ECH_DATA, "%s: %lld layers, at most %d are supported", path,
                        (long long)s->layers, ECH_LAYERS_MOST);
    return ECH_OK;
}

int ech_spec_sliding(const json_t *config, const char *path, int64_t pattern, const struct ech_spec *s,
                     bool sliding[ECH_LAYERS_MOST], struct ech_err *err)
{
    const json_t *types = json_object_get(config, "layer_types");
    bool listed = !absent(config, "layer_types");
    int code = check_layers(path, s, err);
    if (code == ECH_OK && listed && json_array_size(types) != (size_t)s->layers)
        code = ech_fail(err, ECH_DATA, "%s: layer_types names %zu layers, the model has %lld", path,
                        json_array_size(types), (long long)s->layers);
    for (int64_t layer = 0; code == ECH_OK && layer < s->layers; layer++) {
        const char *type = listed ? json_string_value(json_array_get(types, (size_t)layer)) : NULL;
        sliding[layer] = listed ? type && strcmp(type, "sliding_attention") == 0
                                : pattern > 0 && (layer + 1) % pattern != 0;
        if (listed && !sliding[layer] && (!type || strcmp(type, "full_attention") != 0))
            code = ech_fail(err, ECH_DATA,
                            "%s: layer_types: \"%.60s\" is not supported (known: full_attention, "
                            "sliding_attention)",
                            path, type ? type : "(not a string)");
    }
    return code;
}

static bool same_kind(const struct ech_layer_kind *a, const struct ech_layer_kind *b)
{
    return a->window == b->window && a->rope == b->rope && a->experts == b->experts && a->bare == b->bare;
}

int ech_spec_put_kind(struct ech_spec *s, const char *path, int64_t layer, struct ech_layer_kind kind,
                      struct ech_err *err)
{
    int code = check_layers(path, s, err), i = 0;
    if (code != ECH_OK)
        return code;
    if (layer == 0)
        s->kinds_count = 0;
    while (i < s->kinds_count && !same_kind(&s->kinds[i], &kind))
        i++;
    if (i == ECH_KINDS_MOST)
        return ech_fail(err, ECH_DATA, "%s: layers of more than %d kinds", path, ECH_KINDS_MOST);
    s->kinds[i] = kind;
    s->kinds_count = i == s->kinds_count ? i + 1 : s->kinds_count;
    s->kind[layer] = (unsigned char)i;
    return ECH_OK;
}

int ech_spec_window(const json_t *config, const char *path, int64_t *window, struct ech_err *err)
{
    *window = 0;
    if (absent(config, "sliding_window"))
        return ECH_OK;
    return ech_spec_count(config, path, "sliding_window", COUNT_MOST, window, err);
}
