/* Rotary frequencies: see rope.h. */
#include "model/rope.h"

#include "base/json.h"

#include <math.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

/* Where the numbers are: rope_parameters (of a layer type, or of all), else rope_scaling beside them. */
struct place {
    const json_t *object;
    const char *path;
    const json_t *top;
    const struct ech_rope_defaults *of;
};

static bool absent(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return !value || json_is_null(value);
}

static int number(const struct place *p, const char *key, bool required, double *out, struct ech_err *err)
{
    if (!absent(p->object, key))
        return ech_json_get_float(p->object, p->path, key, true, out, err);
    if (required)
        return ech_fail(err, ECH_DATA, "%s: the rotary scaling has no \"%s\"", p->path, key);
    return ECH_OK;
}

static int positive(const struct place *p, const char *key, bool required, double *out, struct ech_err *err)
{
    int code = number(p, key, required, out, err);
    if (code == ECH_OK && !(*out > 0 && *out < 1e12))
        return ech_fail(err, ECH_DATA, "%s: the rotary \"%s\" is %g, above 0 was expected", p->path, key,
                        *out);
    return code;
}

/* 1 / base^(2i / dim), as the reference has it in f32. */
static void plain(struct ech_rope *r, double base, float *out)
{
    for (int64_t i = 0; i < r->dim / 2; i++)
        out[i] = 1.0f / (float)pow(base, (double)((float)(2 * i) / (float)r->dim));
}

static int read_linear(const struct place *p, struct ech_rope *r, struct ech_err *err)
{
    double factor = 1;
    int code = positive(p, "factor", true, &factor, err);
    for (int64_t i = 0; code == ECH_OK && i < r->dim / 2; i++)
        r->frequency[i] /= (float)factor;
    return code;
}

static int read_dynamic(const struct place *p, struct ech_rope *r, struct ech_err *err)
{
    double original = (double)p->of->context;
    int code = positive(p, "factor", true, &r->dynamic, err);
    if (code == ECH_OK)
        code = positive(p, "original_max_position_embeddings", original <= 0, &original, err);
    r->original = (int64_t)original;
    if (code == ECH_OK && r->dim <= 2)
        code = ech_fail(err, ECH_DATA, "%s: dynamic rotary scaling of %lld elements", p->path,
                        (long long)r->dim);
    return code;
}

static double magnitude(double scale, double m)
{
    return scale <= 1 ? 1 : 0.1 * m * log(scale) + 1;
}

static int read_yarn(const struct place *p, struct ech_rope *r, struct ech_err *err)
{
    double factor = 1, fast = 32, slow = 1, original = (double)p->of->context, scale = 0, m = 0, all = 0;
    bool truncate = true;
    int code = positive(p, "factor", true, &factor, err);
    if (code == ECH_OK)
        code = positive(p, "original_max_position_embeddings", original <= 0, &original, err);
    if (code == ECH_OK)
        code = positive(p, "beta_fast", false, &fast, err);
    if (code == ECH_OK)
        code = positive(p, "beta_slow", false, &slow, err);
    if (code == ECH_OK)
        code = number(p, "attention_factor", false, &scale, err);
    if (code == ECH_OK)
        code = number(p, "mscale", false, &m, err);
    if (code == ECH_OK)
        code = number(p, "mscale_all_dim", false, &all, err);
    if (code == ECH_OK && !absent(p->object, "truncate"))
        code = ech_json_get_bool(p->object, p->path, "truncate", true, &truncate, err);
    if (code != ECH_OK)
        return code;
    double dim = (double)r->dim, turn = dim / (2 * log(r->base));
    double low = turn * log(original / (fast * 2 * pi)), high = turn * log(original / (slow * 2 * pi));
    low = fmax(truncate ? floor(low) : low, 0);
    high = fmin(truncate ? ceil(high) : high, dim - 1);
    if (low == high)
        high += 0.001;
    for (int64_t i = 0; i < r->dim / 2; i++) {
        double ramp = fmin(fmax(((double)i - low) / (high - low), 0), 1);
        double f = r->frequency[i];
        r->frequency[i] = (float)(f / factor * ramp + f * (1 - ramp));
    }
    if (scale == 0)
        scale = m != 0 && all != 0 ? magnitude(factor, m) / magnitude(factor, all) : magnitude(factor, 1);
    r->scale = (float)scale;
    return ECH_OK;
}

static int read_llama3(const struct place *p, struct ech_rope *r, struct ech_err *err)
{
    double factor = 1, low = 1, high = 4, original = 0;
    int code = positive(p, "factor", true, &factor, err);
    if (code == ECH_OK)
        code = positive(p, "low_freq_factor", true, &low, err);
    if (code == ECH_OK)
        code = positive(p, "high_freq_factor", true, &high, err);
    if (code == ECH_OK)
        code = positive(p, "original_max_position_embeddings", true, &original, err);
    if (code == ECH_OK && !(high > low))
        code = ech_fail(err, ECH_DATA, "%s: high_freq_factor %g is not above low_freq_factor %g", p->path,
                        high, low);
    for (int64_t i = 0; code == ECH_OK && i < r->dim / 2; i++) {
        double f = r->frequency[i], length = 2 * pi / f;
        double smooth = (original / length - low) / (high - low);
        if (length > original / low)
            f /= factor;
        else if (length >= original / high)
            f = (1 - smooth) * f / factor + smooth * f;
        r->frequency[i] = (float)f;
    }
    return code;
}

/* Frequency i is divided by item i of a list. */
static int divide(const struct place *p, const char *key, const struct ech_rope *r, float *frequency,
                  struct ech_err *err)
{
    const json_t *list = json_object_get(p->object, key);
    if (json_array_size(list) != (size_t)(r->dim / 2))
        return ech_fail(err, ECH_DATA, "%s: the rotary \"%s\" has %zu numbers, %lld were expected", p->path,
                        key, json_array_size(list), (long long)(r->dim / 2));
    for (int64_t i = 0; i < r->dim / 2; i++) {
        double by = json_number_value(json_array_get(list, (size_t)i));
        if (!(by > 0))
            return ech_fail(err, ECH_DATA, "%s: the rotary \"%s\" has %g, above 0 was expected", p->path, key,
                            by);
        frequency[i] = 1.0f / ((float)by * (float)pow(r->base, (double)((float)(2 * i) / (float)r->dim)));
    }
    return ECH_OK;
}

static int read_longrope(const struct place *p, struct ech_rope *r, struct ech_err *err)
{
    double original = 0, factor = 0, scale = 0;
    const char *key = "original_max_position_embeddings";
    struct place top = *p;
    top.object = p->top;
    int code = positive(absent(p->object, key) ? &top : p, key, true, &original, err);
    if (code == ECH_OK)
        code = number(p, "factor", false, &factor, err);
    if (code == ECH_OK)
        code = number(p, "attention_factor", false, &scale, err);
    if (code == ECH_OK)
        code = divide(p, "short_factor", r, r->frequency, err);
    if (code == ECH_OK)
        code = divide(p, "long_factor", r, r->longer, err);
    if (code != ECH_OK)
        return code;
    r->original = (int64_t)original;
    if (factor == 0)
        factor = (double)p->of->context / original;
    if (scale == 0)
        scale = factor <= 1 ? 1 : sqrt(1 + log(factor) / log(original));
    r->scale = (float)scale;
    return ECH_OK;
}

static int read_factors(const struct place *p, struct ech_rope *r, struct ech_err *err)
{
    return divide(p, "factors", r, r->frequency, err);
}

static int read_default(const struct place *p, struct ech_rope *r, struct ech_err *err)
{
    (void)p;
    (void)r;
    (void)err;
    return ECH_OK;
}

static const struct {
    const char *name;
    int (*read)(const struct place *, struct ech_rope *, struct ech_err *);
} scalings[] = {{"default", read_default}, {"linear", read_linear},  {"dynamic", read_dynamic},
                {"yarn", read_yarn},       {"llama3", read_llama3},  {"longrope", read_longrope},
                {"su", read_longrope},     {"factors", read_factors}};

static int read_scaling(const struct place *p, struct ech_rope *r, struct ech_err *err)
{
    const char *name = "default", *key = absent(p->object, "rope_type") ? "type" : "rope_type";
    int code = absent(p->object, key) ? ECH_OK : ech_json_get_str(p->object, p->path, key, true, &name, err);
    if (code != ECH_OK)
        return code;
    for (size_t i = 0; i < sizeof scalings / sizeof *scalings; i++)
        if (strcmp(scalings[i].name, name) == 0)
            return scalings[i].read(p, r, err);
    return ech_fail(err, ECH_DATA,
                    "%s: rotary scaling \"%.60s\" is not supported (known: linear, dynamic, yarn, llama3, "
                    "longrope)",
                    p->path, name);
}

/* rope_parameters by layer type, rope_parameters of all, rope_scaling, nothing. */
static const json_t *find_object(const json_t *config, const struct ech_rope_defaults *of)
{
    const json_t *all = json_object_get(config, "rope_parameters");
    if (json_is_object(all)) {
        const json_t *own = of->layer_type ? json_object_get(all, of->layer_type) : NULL;
        return json_is_object(own) ? own : all;
    }
    const json_t *scaling = json_object_get(config, "rope_scaling");
    return of->plain || !json_is_object(scaling) ? NULL : scaling;
}

/* A number beside the scaling, or in older spelling at the top. */
static int outer(const struct place *p, const char *key, const char *old, double *out, struct ech_err *err)
{
    struct place top = *p;
    top.object = p->top;
    if (!absent(p->object, key))
        return positive(p, key, true, out, err);
    return positive(&top, old ? old : key, false, out, err);
}

int ech_rope_read(const json_t *config, const char *path, const struct ech_rope_defaults *of,
                  struct ech_rope *out, struct ech_err *err)
{
    struct place p = {.object = find_object(config, of), .path = path, .top = config, .of = of};
    struct ech_rope r = {.base = of->base, .scale = 1};
    double part = of->part;
    int code = outer(&p, "rope_theta", of->base_key, &r.base, err);
    if (code == ECH_OK)
        code = outer(&p, "partial_rotary_factor", of->part_key, &part, err);
    if (code == ECH_OK && !absent(config, "ech_rope_interleaved"))
        code = ech_json_get_bool(config, path, "ech_rope_interleaved", true, &r.interleaved, err);
    if (code != ECH_OK)
        return code;
    r.dim = (int64_t)((double)of->head_dim * part);
    if (r.dim % 2 != 0 || r.dim < 2 || r.dim > of->head_dim || r.dim > 2 * ECH_ROPE_PAIRS)
        return ech_fail(err, ECH_DATA,
                        "%s: %lld elements of a head of %lld turn, an even number was expected", path,
                        (long long)r.dim, (long long)of->head_dim);
    plain(&r, r.base, r.frequency);
    code = p.object ? read_scaling(&p, &r, err) : ECH_OK;
    if (code == ECH_OK)
        *out = r;
    return code;
}

void ech_rope_row(const struct ech_rope *r, int64_t position, int64_t length, float *cosines, float *sines)
{
    const float *frequency = r->original && length > r->original ? r->longer : r->frequency;
    float own[ECH_ROPE_PAIRS];
    if (r->dynamic > 0 && length > r->original) {
        double dim = (double)r->dim, stretch = r->dynamic * (double)length / (double)r->original;
        struct ech_rope other = *r;
        plain(&other, r->base * pow(stretch - (r->dynamic - 1), dim / (dim - 2)), own);
        frequency = own;
    }
    for (int64_t i = 0; i < r->dim / 2; i++) {
        float angle = (float)position * frequency[i];
        cosines[i] = (float)cos((double)angle) * r->scale;
        sines[i] = (float)sin((double)angle) * r->scale;
    }
}
