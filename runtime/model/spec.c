/* Specifications: see spec.h. What the readers share is in spec_read.c. */
#include "model/spec_read.h"

#include <math.h>
#include <stdio.h>

enum { WIDTH_MOST = 1 << 20, ROWS_MOST = 1 << 28, EXPERTS_MOST = 4096, ENDLESS = 1 << 24 };

static const struct ech_arch *const archs[] = {
    &ech_arch_bert,         &ech_arch_distilbert,   &ech_arch_mpnet,      &ech_arch_llama,
    &ech_arch_gemma,        &ech_arch_gpt2,         &ech_arch_neox,       &ech_arch_opt,
    &ech_arch_bloom,        &ech_arch_phi,          &ech_arch_falcon,     &ech_arch_starcoder2,
    &ech_arch_bart_encoder, &ech_arch_bart_decoder, &ech_arch_t5_encoder, &ech_arch_t5_decoder,
    &ech_arch_albert,       &ech_arch_modernbert,   &ech_arch_nomic,      &ech_arch_deberta};
enum { ARCHS = sizeof archs / sizeof *archs };

static bool takes(const struct ech_arch *arch, const char *type)
{
    for (const char *const *name = arch->model_types; *name; name++)
        if (strcmp(*name, type) == 0)
            return true;
    return false;
}

static const struct ech_arch *find_arch(const char *type, enum ech_part part)
{
    for (int i = 0; i < ARCHS; i++)
        if (archs[i]->part == part && takes(archs[i], type))
            return archs[i];
    return NULL;
}

/* Each type once, though both halves of a model list it. */
static const char *known_types(char *out, size_t bytes)
{
    size_t at = 0;
    out[0] = '\0';
    for (int i = 0; i < ARCHS; i++)
        for (const char *const *name = archs[i]->model_types; *name && at < bytes; name++)
            if (archs[i]->part == ECH_PART_ENCODER || !find_arch(*name, ECH_PART_ENCODER))
                at += (size_t)snprintf(out + at, bytes - at, "%s%s", at ? ", " : "", *name);
    return out;
}

/* Things that would change every result and that no architecture here does. */
static int refuse_common(const json_t *config, const char *path, bool encoder, struct ech_err *err)
{
    const char *positions = "absolute";
    int code = encoder ? ech_spec_refuse(config, path, "is_decoder", false, err) : ECH_OK;
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

/* Sizes bounded one by one may still multiply beyond any memory; nothing here does arithmetic that overflows
 * with these limits. */
static bool beyond(const struct ech_spec *s)
{
    return s->layers > ECH_LAYERS_MOST || s->hidden > WIDTH_MOST || s->intermediate > WIDTH_MOST ||
           s->embed > WIDTH_MOST || s->heads > WIDTH_MOST || s->kv_heads > WIDTH_MOST ||
           s->head_dim > WIDTH_MOST || s->heads * s->head_dim > WIDTH_MOST || s->vocab > ROWS_MOST ||
           s->positions > ROWS_MOST || s->types > ROWS_MOST || s->experts > EXPERTS_MOST ||
           s->expert_inner > WIDTH_MOST || s->classes > WIDTH_MOST;
}

static int check_heads(struct ech_spec *s, const char *path, struct ech_err *err)
{
    if (!s->head_dim && s->hidden % s->heads != 0)
        return ech_fail(err, ECH_DATA, "%s: the hidden size %lld is not a multiple of %lld heads", path,
                        (long long)s->hidden, (long long)s->heads);
    if (!s->head_dim)
        s->head_dim = s->hidden / s->heads;
    if (!s->kv_heads)
        s->kv_heads = s->heads;
    if (s->heads % s->kv_heads != 0)
        return ech_fail(err, ECH_DATA, "%s: %lld heads are not a multiple of %lld key heads", path,
                        (long long)s->heads, (long long)s->kv_heads);
    return ECH_OK;
}

static int check_sizes(struct ech_spec *s, const char *path, struct ech_err *err)
{
    static const char too_large[] = "%s: a size is beyond what any model has";
    if (beyond(s))
        return ech_fail(err, ECH_DATA, too_large, path);
    int code = check_heads(s, path, err);
    if (code != ECH_OK)
        return code;
    if (beyond(s))
        return ech_fail(err, ECH_DATA, too_large, path);
    if (s->skip_pad && (s->pad < 0 || s->pad >= s->vocab || s->pad + 1 >= s->positions))
        return ech_fail(err, ECH_DATA, "%s: pad_token_id %lld leaves no position of %lld", path,
                        (long long)s->pad, (long long)s->positions);
    if (ech_spec_max_tokens(s) < 1)
        return ech_fail(err, ECH_DATA, "%s: %lld positions, the first token has position %lld", path,
                        (long long)s->positions, (long long)s->first);
    if (!(s->norm_eps > 0 && s->norm_eps < 1))
        return ech_fail(err, ECH_DATA, "%s: the norm's epsilon is %g, above 0 and below 1 was expected", path,
                        (double)s->norm_eps);
    if (s->experts_used > s->experts)
        return ech_fail(err, ECH_DATA, "%s: %lld experts are used of %lld", path, (long long)s->experts_used,
                        (long long)s->experts);
    if (s->groups > 1 && s->layers % s->groups != 0)
        return ech_fail(err, ECH_DATA, "%s: %lld layers do not share %lld sets of weights evenly", path,
                        (long long)s->layers, (long long)s->groups);
    return ECH_OK;
}

static int type_of(const char *path, const json_t *config, const char **type, struct ech_err *err)
{
    if (!json_is_object(config))
        return ech_fail(err, ECH_DATA, "%s: not an object", path);
    return ech_json_get_str(config, path, "model_type", true, type, err);
}

int ech_spec_parts(const char *path, const json_t *config, struct ech_parts *out, struct ech_err *err)
{
    const char *type = "";
    char known[1024];
    int code = type_of(path, config, &type, err);
    if (code != ECH_OK)
        return code;
    out->encoder = find_arch(type, ECH_PART_ENCODER) != NULL;
    out->decoder = find_arch(type, ECH_PART_DECODER) != NULL;
    if (!out->encoder && !out->decoder)
        return ech_fail(err, ECH_DATA, "%s: model_type \"%.60s\" is not supported (known: %s)", path, type,
                        known_types(known, sizeof known));
    return ECH_OK;
}

int ech_spec_parse_part(const char *path, const json_t *config, enum ech_part part, struct ech_spec *out,
                        struct ech_err *err)
{
    struct ech_spec spec = {.part = part, .kinds = {{.rope = -1}}};
    struct ech_parts parts;
    const char *type = "";
    int code = ech_spec_parts(path, config, &parts, err);
    if (code == ECH_OK)
        code = type_of(path, config, &type, err);
    if (code != ECH_OK)
        return code;
    spec.arch = find_arch(type, part);
    if (!spec.arch)
        return ech_fail(err, ECH_DATA, "%s: a model of type %.60s has no %s", path, type,
                        part == ECH_PART_ENCODER ? "encoder" : "decoder");
    snprintf(spec.model_type, sizeof spec.model_type, "%s", type);
    spec.names = spec.arch->names;
    spec.crossed = part == ECH_PART_DECODER && parts.encoder;
    code = refuse_common(config, path, part == ECH_PART_ENCODER && !parts.decoder, err);
    if (code == ECH_OK)
        code = spec.arch->read(config, path, &spec, err);
    if (code != ECH_OK)
        return code;
    if (!spec.embed)
        spec.embed = spec.hidden;
    if (spec.skip_pad)
        spec.first = spec.pad + 1;
    code = check_sizes(&spec, path, err);
    if (code == ECH_OK)
        *out = spec;
    return code;
}

int ech_spec_parse(const char *path, const json_t *config, struct ech_spec *out, struct ech_err *err)
{
    struct ech_parts parts;
    int code = ech_spec_parts(path, config, &parts, err);
    if (code != ECH_OK)
        return code;
    return ech_spec_parse_part(path, config, parts.encoder ? ECH_PART_ENCODER : ECH_PART_DECODER, out, err);
}

int64_t ech_spec_max_tokens(const struct ech_spec *spec)
{
    if (spec->table == ECH_TABLE_LEARNED)
        return spec->positions - spec->first;
    return spec->positions ? spec->positions : ENDLESS;
}

double ech_spec_flops(const struct ech_spec *s, int64_t tokens)
{
    double t = (double)tokens, d = (double)s->hidden, q = (double)(s->heads * s->head_dim),
           kv = (double)(s->kv_heads * s->head_dim), all = 0;
    for (int64_t layer = 0; layer < s->layers; layer++) {
        bool mixed = ech_spec_kind(s, layer)->experts;
        double inner = mixed ? (double)(s->experts_used * s->expert_inner) : (double)s->intermediate;
        double token = 2 * d * q + 2 * d * kv + (s->gated ? 3 : 2) * d * inner;
        if (s->crossed)
            token += 2 * d * q;
        all += 2 * t * token + 4 * t * t * q;
    }
    return s->embed == s->hidden ? all : all + 2 * t * (double)s->embed * d;
}

/* The reference rounds in f32 as well. Beyond the middle buckets grow with the logarithm of the distance. */
int64_t ech_spec_relative(const struct ech_spec *s, int64_t gap)
{
    int64_t middle = s->buckets / 2, far = gap < 0 ? -gap : gap, bucket = gap;
    if (s->buckets && far > middle) {
        float share =
            logf((float)far / (float)middle) / logf((float)((double)(s->distance - 1) / (double)middle));
        bucket = (int64_t)ceilf(share * (float)(middle - 1)) + middle;
        bucket = gap < 0 ? -bucket : bucket;
    }
    int64_t row = bucket + s->relative;
    return row < 0 ? 0 : row > 2 * s->relative - 1 ? 2 * s->relative - 1 : row;
}

/* T5's rule. In a decoder keys behind the query have bucket 0; none is looked at. */
int64_t ech_spec_bucket(const struct ech_spec *spec, int64_t i, int64_t j)
{
    bool both = spec->part == ECH_PART_ENCODER;
    int64_t half = both ? spec->buckets / 2 : spec->buckets, exact = half / 2, gap = i - j, base = 0;
    if (gap < 0) {
        base = both ? half : 0;
        gap = both ? -gap : 0;
    }
    if (gap < exact)
        return base + gap;
    float share = logf((float)gap / (float)exact) / logf((float)spec->distance / (float)exact);
    int64_t far = exact + (int64_t)(share * (float)(half - exact));
    return base + (far < half - 1 ? far : half - 1);
}
