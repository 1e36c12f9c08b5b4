/* The engine: loading, packing and starting a model; see engine.h. Computing is in lanes.c and forward.c,
 * rows come in through prepare.c. */
#include "model/engine_impl.h"

#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/num.h"

#include <stdio.h>
#include <string.h>

/* About 240 tokens keep the activations of a micro-batch in cache; SPAN_MOST: spread biases grow with its
 * square. USUAL_TOKENS: of a text where neither the model's files nor a table of positions end it. */
enum { MICROBATCH = 240, THREADS_MOST = 4096, SPAN_MOST = 16384, USUAL_TOKENS = 512 };

static int check_options(const struct ech_engine_options *o, struct ech_err *err)
{
    if (!o->model || !*o->model)
        return ech_fail(err, ECH_CONFIG, "no model is named");
    if (o->threads < 1 || o->threads > THREADS_MOST)
        return ech_fail(err, ECH_CONFIG, "threads is %d, 1 to %d was expected", o->threads, THREADS_MOST);
    if (o->memory_bytes < 0 || o->microbatch_tokens < 0 || o->max_tokens < 0 || o->device < 0)
        return ech_fail(err, ECH_CONFIG, "memory, microbatch, max_tokens and device must not be negative");
    if (o->microbatch_tokens > 1 << 24)
        return ech_fail(err, ECH_CONFIG, "microbatch is %lld tokens, at most %d are possible",
                        (long long)o->microbatch_tokens, 1 << 24);
    return ECH_OK;
}

static int choose_backend(struct ech_engine *e, const char *name, int device, struct ech_err *err)
{
    char why[256] = "", line[512];
    bool automatic = !name || strcmp(name, "auto") == 0;
    e->net.ops = ech_ops_find(automatic ? "auto" : name, why);
    if (!e->net.ops)
        return ech_fail(err, ECH_UNAVAILABLE, "%s", why);
    int devices = e->net.ops->devices();
    e->net.device = devices > 0 ? device % devices : 0;
    if (automatic && ech_log_on(ECH_LOG_INFO, "model"))
        ech_log(ECH_LOG_INFO, "model", "%s", ech_ops_explain(line, sizeof line));
    return ECH_OK;
}

static void list_formats(const struct ech_ops *ops, char *out, size_t bytes)
{
    size_t used = 0;
    for (int f = 0; f < ECH_FORMATS && used < bytes; f++)
        if (ops->numerics[f])
            used += (size_t)snprintf(out + used, bytes - used, "%s%s", used ? ", " : "",
                                     ech_ops_format_name((enum ech_format)f));
}

/* The format, and the class of everything that is computed in it. */
static int choose_precision(struct ech_engine *e, const struct ech_engine_options *o, struct ech_err *err)
{
    const char *weights = o->weights ? o->weights : "f32";
    const char *compute = o->compute ? o->compute : strcmp(weights, "int4") == 0 ? "int8" : weights;
    const struct ech_ops *ops = e->net.ops;
    if (!ech_ops_format_of(weights, compute, &e->format))
        return ech_fail(err, ECH_CONFIG, "weights in %s with compute in %s are no pair that kernels have",
                        weights, compute);
    const char *products = ops->numerics[e->format],
               *attention = ops->numerics[ech_flow_of(e->format)->attention];
    if (!products || !attention) {
        char list[128] = "";
        list_formats(ops, list, sizeof list);
        return ech_fail(err, ECH_UNAVAILABLE, "the backend %s does not compute in %s, it has %s", ops->name,
                        ech_ops_format_name(e->format), list);
    }
    bool same = strcmp(products, attention) == 0;
    snprintf(e->numerics, sizeof e->numerics, "%s%s%s", products, same ? "" : "+", same ? "" : attention);
    return ECH_OK;
}

static int read_head(struct ech_engine *e, const struct ech_engine_options *o, struct ech_err *err)
{
    const char *path = ech_weights_config_path(e->weights);
    if (o->classes)
        return ech_spec_read_classes(path, ech_weights_config(e->weights), &e->net.spec, &e->labels, err);
    return o->pooling == ECH_POOLING_POOLER ? ech_spec_read_pooler(path, &e->net.spec, err) : ECH_OK;
}

/* A file of weights may say the pooling itself. */
static int read_pooling(struct ech_engine *e, const struct ech_engine_options *o, struct ech_err *err)
{
    static const struct {
        const char *name;
        enum ech_pool pool;
    } known[] = {{"none", ECH_POOL_MEAN}, {"mean", ECH_POOL_MEAN}, {"cls", ECH_POOL_CLS}};
    const char *says = json_string_value(json_object_get(ech_weights_config(e->weights), "ech_pooling"));
    if (!says || e->sentence.pooled || o->classes || o->pooling != ECH_POOLING_MODEL)
        return ECH_OK;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(says, known[i].name) == 0) {
            e->sentence.pooling = known[i].pool;
            return ECH_OK;
        }
    return ech_fail(err, ECH_DATA, "%s: the pooling %s is not supported (known: mean, cls)", o->model, says);
}

static int read_model(struct ech_engine *e, const struct ech_engine_options *o, struct ech_err *err)
{
    int code = ech_sentence_read(o->model, o->prompt, &e->sentence, err);
    if (code != ECH_OK)
        return code;
    code = o->adapter ? ech_weights_open_adapted(e->sentence.folder, o->adapter, &e->weights, err)
                      : ech_weights_open(e->sentence.folder, &e->weights, err);
    if (code == ECH_OK)
        code = ech_spec_parse(ech_weights_config_path(e->weights), ech_weights_config(e->weights),
                              &e->net.spec, err);
    if (code == ECH_OK)
        code = read_head(e, o, err);
    if (code == ECH_OK)
        code = read_pooling(e, o, err);
    if (code == ECH_OK)
        code = ech_spec_bind(&e->net.spec, e->weights, &e->bound, err);
    if (code == ECH_OK && !o->classes && e->sentence.dim != 0 && e->sentence.dim != e->net.spec.hidden)
        code = ech_fail(err, ECH_DATA, "%s: the pooling is for %lld values, the model has %lld", o->model,
                        (long long)e->sentence.dim, (long long)e->net.spec.hidden);
    return code;
}

/* A folder without a tokenizer serves token ids alone. */
static int read_tokenizer(struct ech_engine *e, struct ech_err *err)
{
    struct ech_err found = ECH_ERR_NONE;
    const struct ech_vocab_source *own = ech_weights_vocab(e->weights);
    int code = own ? ech_tokenizer_from_source(NULL, own, &e->tokenizer, &found)
                   : ech_tokenizer_open(e->sentence.folder, &e->tokenizer, &found);
    ech_weights_drop_vocab(e->weights);
    if (code == ECH_NOINPUT) {
        e->no_tokenizer = found;
        return ECH_OK;
    }
    if (code != ECH_OK) {
        if (err)
            *err = found;
        return code;
    }
    if (e->sentence.lower)
        ech_tokenizer_lower_first(e->tokenizer);
    int64_t largest = ech_tokenizer_largest_id(e->tokenizer);
    if (largest >= e->net.spec.vocab)
        return ech_fail(err, ECH_DATA, "%s: the tokenizer has ids up to %lld, the model embeds %lld",
                        e->sentence.folder, (long long)largest, (long long)e->net.spec.vocab);
    return ECH_OK;
}

/* What the position table can hold bounds all; the model's own limit is the default. */
static int choose_tokens(struct ech_engine *e, const struct ech_engine_options *o, struct ech_err *err)
{
    int64_t most = ech_spec_max_tokens(&e->net.spec);
    int64_t usual = e->net.spec.positions ? most : ech_min64(most, USUAL_TOKENS);
    int64_t own = e->sentence.max_tokens ? ech_min64(e->sentence.max_tokens, most) : usual;
    int64_t added = e->tokenizer ? ech_tokenizer_added(e->tokenizer) : 0;
    if (o->max_tokens > most)
        return ech_fail(err, ECH_CONFIG, "max_tokens is %lld, the model's positions end at %lld",
                        (long long)o->max_tokens, (long long)most);
    e->max_tokens = o->max_tokens ? o->max_tokens : own;
    if (e->max_tokens <= added)
        return ech_fail(err, ECH_CONFIG, "max_tokens is %lld, %lld special tokens leave no room for text",
                        (long long)e->max_tokens, (long long)added);
    if ((e->net.spec.buckets || e->net.spec.disentangled) && e->max_tokens > SPAN_MOST)
        return ech_fail(err, ECH_CONFIG,
                        "max_tokens is %lld; with relative position biases at most %d are "
                        "supported",
                        (long long)e->max_tokens, SPAN_MOST);
    return ECH_OK;
}

static void choose_pooling(struct ech_engine *e, const struct ech_engine_options *o)
{
    static const enum ech_pool named[] = {[ECH_POOLING_MEAN] = ECH_POOL_MEAN,
                                          [ECH_POOLING_CLS] = ECH_POOL_CLS,
                                          [ECH_POOLING_MAX] = ECH_POOL_MAX,
                                          [ECH_POOLING_POOLER] = ECH_POOL_CLS};
    e->net.hidden_states = o->classes ? e->labels.tokens : o->pooling == ECH_POOLING_NONE;
    e->net.pooling =
        o->pooling == ECH_POOLING_MODEL || e->net.hidden_states ? e->sentence.pooling : named[o->pooling];
    e->net.normalize = o->normalize == ECH_AUTO ? e->sentence.normalize : o->normalize == ECH_YES;
}

/* Prompt and prefix are one text before each row. */
static int choose_lead(struct ech_engine *e, const struct ech_engine_options *o, struct ech_err *err)
{
    e->lead =
        ech_sprintf(err, "%s%s", e->sentence.prompt ? e->sentence.prompt : "", o->prefix ? o->prefix : "");
    if (!e->lead)
        return ECH_UNAVAILABLE;
    e->lead_bytes = strlen(e->lead);
    if (ech_utf8_invalid_at(e->lead, e->lead_bytes) >= 0)
        return ech_fail(err, ECH_CONFIG, "the prefix is not valid UTF-8");
    return ECH_OK;
}

/* The micro-batch shrinks before the budget refuses; one row of the longest length must fit. */
static int choose_microbatch(struct ech_engine *e, const struct ech_engine_options *o, struct ech_err *err)
{
    e->microbatch = o->microbatch_tokens ? o->microbatch_tokens : MICROBATCH;
    for (;;) {
        e->capacity = ech_max64(e->microbatch, e->max_tokens);
        size_t bytes = ech_engine_workspace_bytes(e);
        if (o->memory_bytes == 0 || bytes <= (size_t)o->memory_bytes)
            return ECH_OK;
        if (e->microbatch <= e->max_tokens)
            return ech_fail(err, ECH_UNAVAILABLE,
                            "the memory budget is %lld bytes, %d threads with rows of %lld tokens need %zu "
                            "beside the weights: use fewer threads or a smaller max_tokens",
                            (long long)o->memory_bytes, e->threads, (long long)e->max_tokens, bytes);
        e->microbatch = ech_max64(e->microbatch / 2, e->max_tokens);
    }
}

static int add_file(struct ech_engine *e, const char *inner, const char *name, struct ech_err *err)
{
    char *path = ech_path_join(inner, name, err);
    int code =
        path ? ech_grow((void **)&e->files, &e->files_capacity, e->files_count + 2, sizeof *e->files, err)
             : ECH_UNAVAILABLE;
    for (size_t i = 0; code == ECH_OK && i < e->files_count; i++)
        if (strcmp(e->files[i], path) == 0) {
            ech_free(path);
            return ECH_OK;
        }
    if (code != ECH_OK) {
        ech_free(path);
        return code;
    }
    e->files[e->files_count++] = path;
    e->files[e->files_count] = NULL;
    return ECH_OK;
}

/* A file of weights with a configuration of its own needs none beside it. */
static int add_config(struct ech_engine *e, const char *inner, struct ech_err *err)
{
    char *path = ech_path_join(e->sentence.folder, "config.json", err);
    if (!path)
        return ECH_UNAVAILABLE;
    bool there = ech_path_exists(path);
    ech_free(path);
    return there ? add_file(e, inner, "config.json", err) : ECH_OK;
}

static int list_files(struct ech_engine *e, struct ech_err *err)
{
    const char *inner = e->sentence.inner;
    int code = add_config(e, inner, err);
    for (const char *const *f = ech_weights_files(e->weights); code == ECH_OK && *f; f++)
        code = add_file(e, inner, *f, err);
    if (e->tokenizer && !ech_weights_vocab(e->weights))
        for (const char *const *f = ech_tokenizer_files(e->tokenizer); code == ECH_OK && *f; f++)
            code = add_file(e, inner, *f, err);
    for (int i = 0; code == ECH_OK && i < e->sentence.files_count; i++)
        code = add_file(e, "", e->sentence.files[i], err);
    return code;
}

static int plan_packing(struct ech_engine *e, struct ech_err *err)
{
    e->net.stage = (struct ech_stage){.first = 0, .end = e->net.spec.layers, .head = true, .tail = true};
    int code = ech_engine_packing(e, &e->net.stage, &e->net.packing, err);
    if (code == ECH_OK)
        ech_net_choose_flow(&e->net);
    return code;
}

int ech_engine_packing(const struct ech_engine *e, const struct ech_stage *stage, struct ech_packing *out,
                       struct ech_err *err)
{
    struct ech_packing_options options = {.format = e->format, .span = e->max_tokens};
    return ech_packing_make(&e->net.spec, &e->bound, e->net.ops, &options, stage, out, err);
}

int ech_engine_load(const struct ech_engine_options *o, struct ech_engine **out, struct ech_err *err)
{
    int code = check_options(o, err);
    if (code != ECH_OK)
        return code;
    struct ech_engine *e = ech_calloc(1, sizeof *e, err);
    if (!e)
        return ECH_UNAVAILABLE;
    e->threads = o->threads;
    e->on_long_error = o->on_long_error;
    code = choose_backend(e, o->backend, o->device, err);
    if (code == ECH_OK)
        code = choose_precision(e, o, err);
    if (code == ECH_OK)
        code = read_model(e, o, err);
    if (code == ECH_OK)
        code = read_tokenizer(e, err);
    if (code == ECH_OK)
        code = choose_tokens(e, o, err);
    if (code == ECH_OK)
        code = choose_lead(e, o, err);
    if (code == ECH_OK) {
        choose_pooling(e, o);
        code = plan_packing(e, err);
    }
    if (code == ECH_OK)
        code = choose_microbatch(e, o, err);
    if (code == ECH_OK)
        code = list_files(e, err);
    if (code == ECH_OK)
        *out = e;
    else
        ech_engine_close(e);
    return code;
}

size_t ech_engine_packed_bytes(const struct ech_engine *e)
{
    return e->net.packing.bytes;
}

size_t ech_engine_workspace_bytes(const struct ech_engine *e)
{
    return (size_t)e->threads * ech_work_bytes(&e->net, e->capacity);
}

int ech_engine_pack(struct ech_engine *e, void *base, int64_t part, int64_t parts, struct ech_err *err)
{
    if (!e->weights)
        return ech_fail(err, ECH_BUG, "the engine was started already, its files are released");
    if (parts < 1 || part < 0 || part >= parts || (uintptr_t)base % 64 != 0)
        return ech_fail(err, ECH_BUG,
                        "packing part %lld of %lld at %p: a part in range and 64-byte alignment "
                        "were expected",
                        (long long)part, (long long)parts, base);
    int code = ech_packing_pack(&e->net.packing, &e->net.spec, &e->bound, e->net.ops, base, part, parts, err);
    if (code == ECH_OK)
        code = ech_weights_check(e->weights, err);
    if (code == ECH_OK)
        e->net.packed = base;
    return code;
}

int ech_engine_upload(struct ech_engine *e, struct ech_err *err)
{
    const struct ech_ops *ops = e->net.ops;
    char why[256] = "";
    struct ech_queue_options options = {.size = sizeof options, .device = e->net.device};
    struct ech_queue *queue = ech_queue_open(ops, &options, why);
    int status = queue ? ops->mem_alloc(e->net.device, e->net.packing.bytes, &e->weights_mem, why) : 0;
    if (!queue || status != ECH_OP_OK) {
        ech_queue_close(queue);
        return ech_fail(err, ECH_UNAVAILABLE, "the weights on backend %s: %s", ops->name, why);
    }
    e->weights_mem.ops = ops;
    status = ops->put(queue, e->weights_mem.at, e->net.packed, e->net.packing.bytes);
    int done = ech_queue_sync(queue);
    if (status != ECH_OP_OK || done != ECH_OP_OK)
        ech_fail(err, ECH_UNAVAILABLE, "the weights on backend %s: %s", ops->name, ech_queue_error(queue));
    ech_queue_close(queue);
    if (status != ECH_OP_OK || done != ECH_OP_OK)
        return ECH_UNAVAILABLE;
    e->net.packed = e->weights_mem.at;
    return ECH_OK;
}

int ech_engine_start(struct ech_engine *e, struct ech_err *err)
{
    if (!e->net.packed || e->lanes)
        return ech_fail(err, ECH_BUG, "an engine is started once, after packing");
    int code = e->net.ops->device && !e->weights_mem.at ? ech_engine_upload(e, err) : ECH_OK;
    if (code == ECH_OK)
        code = ech_lanes_open(&e->net, e->threads, e->microbatch, e->capacity, &e->lanes, err);
    if (code != ECH_OK)
        return code;
    ech_bound_fini(&e->bound);
    ech_weights_close(e->weights);
    e->weights = NULL;
    return ECH_OK;
}

int ech_engine_open(const struct ech_engine_options *options, struct ech_engine **out, struct ech_err *err)
{
    struct ech_engine *e;
    int code = ech_engine_load(options, &e, err);
    if (code != ECH_OK)
        return code;
    e->own = ech_alloc_aligned(ech_engine_packed_bytes(e), err);
    code = e->own ? ech_engine_pack(e, e->own, 0, 1, err) : ECH_UNAVAILABLE;
    if (code == ECH_OK)
        code = ech_engine_start(e, err);
    if (code == ECH_OK)
        *out = e;
    else
        ech_engine_close(e);
    return code;
}

void ech_engine_close(struct ech_engine *e)
{
    if (!e)
        return;
    ech_lanes_close(e->lanes);
    if (e->weights_mem.at)
        e->weights_mem.ops->mem_free(&e->weights_mem);
    ech_packing_fini(&e->net.packing);
    ech_bound_fini(&e->bound);
    ech_weights_close(e->weights);
    ech_tokenizer_close(e->tokenizer);
    ech_sentence_fini(&e->sentence);
    ech_labels_fini(&e->labels);
    for (size_t i = 0; i < e->files_count; i++)
        ech_free(e->files[i]);
    ech_free(e->files);
    ech_free(e->lead);
    ech_free(e->own);
    ech_free(e);
}

int64_t ech_engine_dim(const struct ech_engine *e)
{
    return ech_net_dim(&e->net);
}

int64_t ech_engine_max_tokens(const struct ech_engine *e)
{
    return e->max_tokens;
}

const char *ech_engine_numerics(const struct ech_engine *e)
{
    return e->numerics;
}

const char *ech_engine_precision(const struct ech_engine *e)
{
    return ech_ops_format_name(e->format);
}

const char *ech_engine_backend(const struct ech_engine *e)
{
    return e->net.ops->name;
}

double ech_engine_flops(const struct ech_engine *e, int64_t tokens)
{
    return ech_spec_flops(&e->net.spec, tokens);
}

const struct ech_labels *ech_engine_labels(const struct ech_engine *e)
{
    return &e->labels;
}

const struct ech_tokenizer *ech_engine_tokenizer(const struct ech_engine *e)
{
    return e->tokenizer;
}

const char *const *ech_engine_files(const struct ech_engine *e)
{
    return (const char *const *)e->files;
}

int ech_engine_submit(struct ech_engine *e, struct ech_batch *batch, int64_t tag, struct ech_err *err)
{
    if (!e->lanes)
        return ech_fail(err, ECH_BUG, "the engine was not started");
    batch->result->tag = tag;
    ech_lanes_submit(e->lanes, batch);
    return ECH_OK;
}

int ech_engine_step(struct ech_engine *e, double seconds)
{
    if (e->lanes)
        ech_lanes_wait(e->lanes, seconds);
    return ECH_OK;
}

void ech_engine_cancel(struct ech_engine *e)
{
    if (e->lanes)
        ech_lanes_cancel(e->lanes);
}

struct ech_result *ech_engine_poll(struct ech_engine *e, struct ech_err *err)
{
    struct ech_batch *batch = e->lanes ? ech_lanes_poll(e->lanes) : NULL;
    struct ech_result *result = NULL;
    if (!batch)
        return NULL;
    if (batch->err.code != ECH_OK) {
        ech_fail(err, batch->err.code, "batch %lld: %s", (long long)batch->result->tag, batch->err.text);
    } else {
        result = batch->result;
        result->ids = batch->ids;
        batch->ids = NULL;
        batch->result = NULL;
    }
    ech_batch_destroy(batch);
    return result;
}
