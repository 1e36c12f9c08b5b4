/* Opening a decoder: files, specification, packing; see lm.h. */
#include "model/lm_impl.h"

#include "base/mem.h"
#include "base/num.h"

#include <stdio.h>
#include <string.h>

enum { CONTEXT = 4096, CONTEXT_BUCKETS = 512, STEP = 512, LOGITS = 16, THREADS_MOST = 4096, MOST = 1 << 20 };
static const size_t SMALL = (size_t)64 << 20; /* of products: what several threads keep in cache */

static int check_options(const struct ech_lm_options *o, struct ech_err *err)
{
    if (!o->model || !*o->model)
        return ech_fail(err, ECH_CONFIG, "no model is named");
    if (o->threads < 1 || o->threads > THREADS_MOST)
        return ech_fail(err, ECH_CONFIG, "threads is %d, 1 to %d was expected", o->threads, THREADS_MOST);
    if (o->device < 0 || o->cache_bytes < 0)
        return ech_fail(err, ECH_CONFIG, "device and cache must not be negative");
    const struct {
        const char *name;
        int64_t value;
    } counts[] = {{"context", o->context},
                  {"tokens a step", o->step_tokens},
                  {"sequences", o->sequences},
                  {"rows of logits", o->logits_rows}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (counts[i].value < 0 || counts[i].value > MOST)
            return ech_fail(err, ECH_CONFIG, "%s is %lld, at most %d are possible", counts[i].name,
                            (long long)counts[i].value, MOST);
    return ECH_OK;
}

static int choose_backend(struct ech_lm *d, const struct ech_lm_options *o, struct ech_err *err)
{
    char why[256] = "";
    d->ops = ech_ops_find(o->backend ? o->backend : "auto", why);
    if (!d->ops)
        return ech_fail(err, ECH_UNAVAILABLE, "%s", why);
    int devices = d->ops->devices();
    struct ech_half *const halves[] = {&d->encoder, &d->decoder};
    for (int i = 0; i < 2; i++) {
        halves[i]->net.ops = d->ops;
        halves[i]->net.threads = o->threads;
        halves[i]->net.device = devices > 0 ? o->device % devices : 0;
    }
    return ECH_OK;
}

static int read_half(struct ech_lm *d, struct ech_half *half, enum ech_part part, struct ech_err *err)
{
    struct ech_spec *spec = &half->net.spec;
    int code = ech_spec_parse_part(ech_weights_config_path(d->weights), ech_weights_config(d->weights), part,
                                   spec, err);
    if (code == ECH_OK)
        code = ech_spec_bind(spec, d->weights, &half->bound, err);
    half->net.stage = (struct ech_stage){.first = 0, .end = spec->layers, .head = true, .tail = true};
    return code;
}

static int read_model(struct ech_lm *d, const struct ech_lm_options *o, struct ech_err *err)
{
    struct ech_parts parts;
    const char *path = o->model;
    int code = o->adapter ? ech_weights_open_adapted(path, o->adapter, &d->weights, err)
                          : ech_weights_open(path, &d->weights, err);
    if (code == ECH_OK)
        code =
            ech_spec_parts(ech_weights_config_path(d->weights), ech_weights_config(d->weights), &parts, err);
    if (code == ECH_OK && !parts.decoder)
        code = ech_fail(err, ECH_DATA, "%s: an encoder does not write", path);
    if (code != ECH_OK)
        return code;
    d->has_source = parts.encoder;
    code = read_half(d, &d->decoder, ECH_PART_DECODER, err);
    if (code == ECH_OK && d->has_source)
        code = read_half(d, &d->encoder, ECH_PART_ENCODER, err);
    return code;
}

/* --- precision --- */

/* How most of the model is stored: by one of its matrices. */
static enum ech_stype stored_type(const struct ech_lm *d)
{
    static const enum ech_slot slots[] = {ECH_T_O_W, ECH_T_DOWN_W, ECH_T_WORD};
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
        const struct ech_tensor *t = ech_bound_at(&d->decoder.bound, slots[i], 0);
        if (t)
            return t->dtype;
    }
    return ECH_ST_F32;
}

/* Does the file say how its products are computed? Where a backend lacks that they are computed in f32. */
static bool fixes_int8(const struct ech_lm *d)
{
    const json_t *says = json_object_get(ech_weights_config(d->weights), "ech_compute");
    return json_is_string(says) && strcmp(json_string_value(says), "int8") == 0 &&
           d->ops->numerics[ECH_FMT_INT8];
}

static int choose_precision(struct ech_lm *d, const struct ech_lm_options *o, struct ech_packing_options *p,
                            struct ech_err *err)
{
    bool stored = !o->weights || strcmp(o->weights, "auto") == 0;
    const char *weights = o->weights, *compute = o->compute;
    if (stored && !compute && fixes_int8(d))
        compute = "int8";
    p->stored = stored;
    p->narrow = stored && compute && strcmp(compute, "int8") == 0;
    if (stored && compute && strcmp(compute, "f32") != 0)
        weights = compute;
    else if (stored)
        weights = stored_type(d) == ECH_ST_BF16 && d->ops->numerics[ECH_FMT_BF16_F32] ? "bf16" : "f32";
    if (stored && !compute)
        compute = "f32";
    if (!compute)
        compute = strcmp(weights, "int4") == 0 ? "int8" : weights;
    if (!ech_ops_format_of(weights, compute, &p->format))
        return ech_fail(err, ECH_CONFIG, "weights in %s with compute in %s are no pair that kernels have",
                        weights, compute);
    if (!d->ops->numerics[p->format])
        return ech_fail(err, ECH_UNAVAILABLE, "the backend %s does not compute in %s", d->ops->name,
                        ech_ops_format_name(p->format));
    bool integers = p->format == ECH_FMT_INT8 && stored_type(d) == ECH_ST_I8;
    const char *kept = stored && !integers ? ech_stype_name(stored_type(d)) : weights;
    snprintf(d->precision, sizeof d->precision, "%s%s%s", kept, strcmp(kept, compute) ? "-" : "",
             strcmp(kept, compute) ? compute : "");
    return ECH_OK;
}

static int choose_kv(struct ech_lm *d, const char *kv, struct ech_err *err)
{
    d->kv = kv && strcmp(kv, "bf16") == 0 ? ECH_A_BF16 : ECH_A_F32;
    if (kv && strcmp(kv, "f32") != 0 && strcmp(kv, "bf16") != 0)
        return ech_fail(err, ECH_CONFIG, "kv is %.40s, f32 or bf16 was expected", kv);
    return ECH_OK;
}

static void add_class(struct ech_lm *d, const char *name)
{
    size_t at = strlen(d->numerics);
    if (name && !strstr(d->numerics, name))
        snprintf(d->numerics + at, sizeof d->numerics - at, "%s%s", at ? "+" : "", name);
}

/* The classes of all products, and of the cache. */
static void name_numerics(struct ech_lm *d)
{
    const struct ech_packing *p = &d->decoder.net.packing;
    for (int piece = ECH_P_PROJECT_W; piece < ECH_P_EXPERT; piece++) {
        const struct ech_matrix *m = ech_packing_matrix(p, (enum ech_packed_piece)piece, 0);
        for (int i = 0; i < m->parts; i++)
            add_class(d, d->ops->numerics[m->part[i].format]);
    }
    add_class(d, d->ops->numerics[ECH_FMT_F32]);
    if (ech_packing_fixed(p))
        add_class(d, "fixed");
    if (d->kv == ECH_A_BF16)
        add_class(d, "kv-bf16");
}

/* --- sizes --- */

static int choose_context(struct ech_lm *d, const struct ech_lm_options *o, struct ech_err *err)
{
    const struct ech_spec *s = &d->decoder.net.spec;
    int64_t own = ech_spec_max_tokens(s), usual = s->buckets ? CONTEXT_BUCKETS : CONTEXT;
    if (o->context > own)
        return ech_fail(err, ECH_CONFIG, "context is %lld, the model's positions end at %lld",
                        (long long)o->context, (long long)own);
    d->context = o->context ? o->context : ech_min64(own, usual);
    d->source_most = d->has_source ? ech_min64(ech_spec_max_tokens(&d->encoder.net.spec), d->context) : 0;
    d->most = o->sequences ? o->sequences : 1;
    d->logits_rows = o->logits_rows ? o->logits_rows : LOGITS;
    d->decoder.capacity = ech_max64(o->step_tokens ? o->step_tokens : STEP, d->most);
    d->encoder.capacity = ech_max64(d->decoder.capacity, d->source_most);
    return ECH_OK;
}

static size_t cache_row_bytes(const struct ech_lm *d)
{
    const struct ech_spec *s = &d->decoder.net.spec;
    size_t one = ech_cache_row_bytes(d->kv, s->layers, s->kv_heads * s->head_dim);
    return (s->ssru ? 0 : one) + (d->has_source ? one : 0);
}

static int choose_cache(struct ech_lm *d, const struct ech_lm_options *o, struct ech_err *err)
{
    size_t row = cache_row_bytes(d);
    int64_t all = d->most * d->context;
    d->cache_rows = o->cache_bytes && row ? ech_min64((int64_t)((size_t)o->cache_bytes / row), all) : all;
    if (o->cache_least)
        d->cache_rows = ech_max64(d->cache_rows, d->context);
    if (d->cache_rows < d->context)
        return ech_fail(
            err, ECH_UNAVAILABLE,
            "keys and values of one text of %lld tokens take %lld bytes, the cache may take %lld: "
            "less context, kv bf16 or more memory",
            (long long)d->context, (long long)row * (long long)d->context, (long long)o->cache_bytes);
    return ECH_OK;
}

static int plan_half(struct ech_lm *d, struct ech_half *half, struct ech_packing_options options,
                     int64_t span, size_t *bytes, struct ech_err *err)
{
    options.span = span;
    half->offset = *bytes;
    int code = ech_packing_make(&half->net.spec, &half->bound, d->ops, &options, &half->net.stage,
                                &half->net.packing, err);
    if (code != ECH_OK)
        return code;
    ech_net_choose_flow(&half->net);
    *bytes += half->net.packing.bytes;
    return ECH_OK;
}

static int plan(struct ech_lm *d, const struct ech_lm_options *o, struct ech_err *err)
{
    struct ech_packing_options options = {0};
    size_t bytes = 0;
    int code = choose_precision(d, o, &options, err);
    if (code == ECH_OK)
        code = choose_kv(d, o->kv, err);
    if (code == ECH_OK)
        code = choose_context(d, o, err);
    if (code == ECH_OK)
        code = choose_cache(d, o, err);
    if (code == ECH_OK)
        code = plan_half(d, &d->decoder, options, d->context, &bytes, err);
    if (code == ECH_OK && d->has_source)
        code = plan_half(d, &d->encoder, options, d->source_most, &bytes, err);
    if (code != ECH_OK)
        return code;
    d->decoder.net.flow.attention = ECH_FMT_F32;
    name_numerics(d);
    return ECH_OK;
}

int ech_lm_load(const struct ech_lm_options *o, struct ech_lm **out, struct ech_err *err)
{
    int code = check_options(o, err);
    if (code != ECH_OK)
        return code;
    struct ech_lm *d = ech_calloc(1, sizeof *d, err);
    if (!d)
        return ECH_UNAVAILABLE;
    code = choose_backend(d, o, err);
    if (code == ECH_OK)
        code = read_model(d, o, err);
    if (code == ECH_OK)
        code = plan(d, o, err);
    if (code == ECH_OK)
        *out = d;
    else
        ech_lm_close(d);
    return code;
}

size_t ech_lm_packed_bytes(const struct ech_lm *d)
{
    return d->decoder.net.packing.bytes + d->encoder.net.packing.bytes;
}

size_t ech_lm_workspace_bytes(const struct ech_lm *d)
{
    size_t bytes = ech_work_bytes(&d->decoder.net, d->decoder.capacity) + ech_lm_memory(d);
    return bytes + (d->has_source ? ech_work_bytes(&d->encoder.net, d->encoder.capacity) : 0);
}

static int pack_half(const struct ech_half *half, char *base, int64_t part, int64_t parts,
                     struct ech_err *err)
{
    return ech_packing_pack(&half->net.packing, &half->net.spec, &half->bound, half->net.ops,
                            base + half->offset, part, parts, err);
}

int ech_lm_pack(struct ech_lm *d, void *base, int64_t part, int64_t parts, struct ech_err *err)
{
    if (d->started)
        return ech_fail(err, ECH_BUG, "the decoder was started already");
    if (parts < 1 || part < 0 || part >= parts || (uintptr_t)base % 64 != 0)
        return ech_fail(err, ECH_BUG,
                        "packing part %lld of %lld at %p: a part in range and 64-byte alignment "
                        "were expected",
                        (long long)part, (long long)parts, base);
    int code = pack_half(&d->decoder, base, part, parts, err);
    if (code == ECH_OK && d->has_source)
        code = pack_half(&d->encoder, base, part, parts, err);
    if (code == ECH_OK)
        code = ech_weights_check(d->weights, err);
    if (code == ECH_OK)
        d->packed = base;
    return code;
}

int ech_lm_open(const struct ech_lm_options *options, struct ech_lm **out, struct ech_err *err)
{
    struct ech_lm *d;
    int code = ech_lm_load(options, &d, err);
    if (code != ECH_OK)
        return code;
    d->own = ech_alloc_aligned(ech_lm_packed_bytes(d), err);
    code = d->own ? ech_lm_pack(d, d->own, 0, 1, err) : ECH_UNAVAILABLE;
    if (code == ECH_OK)
        code = ech_lm_start(d, err);
    if (code == ECH_OK)
        *out = d;
    else
        ech_lm_close(d);
    return code;
}

int ech_lm_divide(struct ech_lm *d)
{
    int threads = (int)ech_min64(d->decoder.net.threads, d->most);
    size_t products = ech_packing_product_bytes(&d->decoder.net.packing, d->ops);
    if (d->has_source)
        products += ech_packing_product_bytes(&d->encoder.net.packing, d->ops);
    if (threads < 2 || d->ops->device || ech_lm_in_place(d) || products > SMALL)
        return 1;
    d->decoder.net.threads = d->encoder.net.threads = 1;
    d->cache_rows = ech_max64(d->cache_rows / threads, ech_min64(d->cache_rows, d->context));
    return threads;
}

void ech_lm_close(struct ech_lm *d)
{
    if (!d)
        return;
    ech_lm_release(d);
    if (d->twin) {
        ech_free(d);
        return;
    }
    struct ech_half *const halves[] = {&d->encoder, &d->decoder};
    for (int i = 0; i < 2; i++) {
        ech_packing_fini(&halves[i]->net.packing);
        ech_bound_fini(&halves[i]->bound);
    }
    ech_weights_close(d->weights);
    ech_free(d->own);
    ech_free(d);
}

int64_t ech_lm_vocab(const struct ech_lm *d)
{
    return d->decoder.net.spec.vocab;
}

int64_t ech_lm_context(const struct ech_lm *d)
{
    return d->context;
}

bool ech_lm_has_source(const struct ech_lm *d)
{
    return d->has_source;
}

int64_t ech_lm_source_most(const struct ech_lm *d)
{
    return d->source_most;
}

int64_t ech_lm_source_vocab(const struct ech_lm *d)
{
    return d->has_source ? d->encoder.net.spec.vocab : 0;
}

const char *ech_lm_numerics(const struct ech_lm *d)
{
    return d->numerics;
}

const char *ech_lm_precision(const struct ech_lm *d)
{
    return d->precision;
}

const char *ech_lm_backend(const struct ech_lm *d)
{
    return d->ops->name;
}

int64_t ech_lm_cache_rows(const struct ech_lm *d)
{
    return d->cache_rows;
}

int64_t ech_lm_hidden(const struct ech_lm *d)
{
    return d->decoder.net.spec.hidden;
}

const struct ech_weights *ech_lm_weights(const struct ech_lm *d)
{
    return d->weights;
}

void ech_lm_drop_vocab(struct ech_lm *d)
{
    ech_weights_drop_vocab(d->weights);
}
