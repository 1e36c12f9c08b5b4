/* The table of backends: filled once with ref_exact's entries, overlaid by each backend, checked to be whole;
 * then the choice by name or by what this processor can do, and the queues. */
#include "kernels/ops.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <threads.h>

#include "kernels/absent.h"
#include "kernels/backends.h"
#include "kernels/plugin.h"
#include "kernels/queue.h"

struct backend {
    const struct ech_ops *own;
    const struct ech_ops *under; /* laid below `own` where this machine can run it; NULL: ref_exact alone */
    bool automatic;              /* `auto` may choose it */
};

/* Best first. A backend that was not compiled in is absent. */
static const struct backend BACKENDS[] = {
#ifdef ECH_HAVE_X86
    {&ech_avx512_entries, NULL, true},
    {&ech_avx2_entries, NULL, true},
#endif
#ifdef ECH_HAVE_OPENBLAS
#ifdef ECH_HAVE_X86
    {&ech_openblas_entries, &ech_avx2_entries, true},
#else
    {&ech_openblas_entries, NULL, true},
#endif
#endif
    {&ech_ref_exact_entries, NULL, true},
    {&ech_ref_entries, NULL, false},
};
enum { COUNT = sizeof BACKENDS / sizeof BACKENDS[0] };

static struct ech_ops tables[COUNT];
static const struct ech_ops *listed[COUNT + 2]; /* then cuda, once it was opened, and NULL */
static once_flag filled = ONCE_FLAG_INIT;

static bool complete(const struct ech_ops *o)
{
    return o->name && o->numerics[ECH_FMT_F32] && o->available && o->linear_packed_bytes && o->linear_pack &&
           o->linear_workspace && o->attention_workspace && o->linear && o->convert && o->norm &&
           o->attention && o->embed && o->pool && o->gate && o->rotary && o->topk && o->combine && o->ssru &&
           o->relative && o->activate && o->softmax && o->log_softmax && o->devices && o->mem_alloc &&
           o->mem_free && o->put && o->get && o->queue_open && o->queue_close && o->queue_sync;
}

/* Every entry that `over` has replaces the one below. */
static void overlay(struct ech_ops *ops, const struct ech_ops *over)
{
#define TAKE(entry) ops->entry = over->entry ? over->entry : ops->entry
    TAKE(name);
    TAKE(available);
    TAKE(linear_packed_bytes);
    TAKE(linear_pack);
    TAKE(linear_workspace);
    TAKE(attention_workspace);
    TAKE(linear);
    TAKE(convert);
    TAKE(norm);
    TAKE(attention);
    TAKE(embed);
    TAKE(pool);
    TAKE(gate);
    TAKE(rotary);
    TAKE(topk);
    TAKE(combine);
    TAKE(ssru);
    TAKE(relative);
    TAKE(activate);
    TAKE(softmax);
    TAKE(log_softmax);
    TAKE(devices);
    TAKE(mem_alloc);
    TAKE(mem_free);
    TAKE(put);
    TAKE(get);
    TAKE(queue_open);
    TAKE(queue_close);
    TAKE(queue_sync);
#undef TAKE
}

static void fill(void)
{
    for (int i = 0; i < COUNT; i++) {
        const struct backend *b = &BACKENDS[i];
        overlay(&tables[i], &ech_ref_exact_entries);
        if (b->under && !b->under->available())
            overlay(&tables[i], b->under);
        overlay(&tables[i], b->own);
        memcpy(tables[i].numerics, b->own->numerics, sizeof tables[i].numerics);
#ifdef ECH_HAVE_OPENBLAS
        if (b->own == &ech_openblas_entries)
            tables[i].numerics[ECH_FMT_F32] = ech_openblas_numerics();
#endif
        assert(complete(&tables[i]));
        listed[i] = &tables[i];
    }
}

bool ech_device_table(const struct ech_ops *own, struct ech_ops *out)
{
    *out = (struct ech_ops){.device = true};
    overlay(out, &ech_absent_entries);
    overlay(out, own);
    memcpy(out->numerics, own->numerics, sizeof out->numerics);
    return complete(out);
}

const struct ech_ops *const *ech_ops_all(void)
{
    call_once(&filled, fill);
    return listed;
}

static const struct ech_ops *find_auto(void)
{
    const struct ech_ops *const *all = ech_ops_all();
    for (int i = 0; i < COUNT; i++)
        if (BACKENDS[i].automatic && !all[i]->available())
            return all[i];
    return NULL; /* not reached: ref_exact is always there */
}

/* "a, b, c" of every name compiled in. */
static void name_all(char *out, size_t bytes)
{
    size_t used = 0;
    out[0] = 0;
    for (int i = 0; i < COUNT && used < bytes; i++)
        used += (size_t)snprintf(out + used, bytes - used, "%s%s", i ? ", " : "", BACKENDS[i].own->name);
}

/* A device's backend joins the list when it is first asked for: a program that does not want it opens
 * nothing.
 */
static const struct ech_ops *find_cuda(char *why)
{
    char missing[256] = "";
    const struct ech_ops *ops = ech_cuda_find(missing);
    ech_ops_all();
    if (ops)
        __atomic_store_n(&listed[COUNT], ops, __ATOMIC_RELEASE);
    else if (why)
        snprintf(why, 256, "backend 'cuda' cannot be used here: %.210s", missing);
    return ops;
}

const struct ech_ops *ech_ops_find(const char *name, char *why)
{
    if (!name || strcmp(name, "auto") == 0)
        return find_auto();
    char names[96];
    name_all(names, sizeof names);
    if (strcmp(name, "cuda") == 0)
        return find_cuda(why);
    const struct ech_ops *const *all = ech_ops_all();
    for (int i = 0; i < COUNT; i++) {
        if (strcmp(name, all[i]->name) != 0)
            continue;
        const char *missing = all[i]->available();
        if (!missing)
            return all[i];
        if (why)
            snprintf(why, 256, "backend '%s' cannot be used here: %.140s; built in: auto, %s", all[i]->name,
                     missing, names);
        return NULL;
    }
    if (why)
        snprintf(why, 256, "there is no backend '%.60s' in this build; built in: auto, %s", name, names);
    return NULL;
}

const char *ech_ops_explain(char *out, size_t bytes)
{
    if (bytes == 0)
        return out;
    const struct ech_ops *chosen = find_auto();
    size_t used =
        (size_t)snprintf(out, bytes, "kernels: %s (%s)", chosen->name, chosen->numerics[ECH_FMT_F32]);
    for (const struct ech_ops *const *o = ech_ops_all(); *o && *o != chosen && used < bytes; o++)
        used += (size_t)snprintf(out + used, bytes - used, "; refused %s: %s", (*o)->name, (*o)->available());
    return out;
}

/* Names for people and files; the pair that `precision:` spells, weights and compute. */
static const struct format {
    const char *name, *weights, *compute;
} FORMATS[ECH_FORMATS] = {
    [ECH_FMT_F32] = {"f32", "f32", "f32"},
    [ECH_FMT_BF16] = {"bf16", "bf16", "bf16"},
    [ECH_FMT_INT8] = {"int8", "int8", "int8"},
    [ECH_FMT_INT4] = {"int4", "int4", "int8"},
    [ECH_FMT_BF16_F32] = {"bf16-f32", "bf16", "f32"},
    [ECH_FMT_F16] = {"f16", "f16", "f16"},
    [ECH_FMT_BLOCK] = {"block", "block", "f32"},
    [ECH_FMT_BLOCK_INT8] = {"block-int8", "block", "int8"},
};

const char *ech_ops_format_name(enum ech_format format)
{
    return (int)format >= 0 && format < ECH_FORMATS ? FORMATS[format].name : "?";
}

bool ech_ops_format_of(const char *weights, const char *compute, enum ech_format *out)
{
    for (int i = 0; i < ECH_FORMATS; i++)
        if (strcmp(FORMATS[i].weights, weights) == 0 && strcmp(FORMATS[i].compute, compute) == 0) {
            *out = (enum ech_format)i;
            return true;
        }
    return false;
}

size_t ech_atype_bytes(enum ech_atype type)
{
    static const size_t bytes[ECH_ATYPES] = {
        [ECH_A_F32] = 4, [ECH_A_BF16] = 2, [ECH_A_Q8] = 1, [ECH_A_F16] = 2};
    return (int)type >= 0 && type < ECH_ATYPES ? bytes[type] : 0;
}

struct ech_queue *ech_queue_open(const struct ech_ops *ops, const struct ech_queue_options *o, char *why)
{
    if (why)
        why[0] = 0;
    if (!ops || !o || o->size < sizeof *o || o->threads < 0 || o->device < 0) {
        if (why)
            snprintf(why, 256, "a queue needs a backend, and threads and device of 0 or more");
        return NULL;
    }
    return ops->queue_open(ops, o, why);
}

void ech_queue_close(struct ech_queue *queue)
{
    if (queue)
        queue->ops->queue_close(queue);
}

void *ech_queue_workspace(struct ech_queue *queue)
{
    return queue ? queue->workspace : NULL;
}

int ech_queue_sync(struct ech_queue *queue)
{
    return queue ? queue->ops->queue_sync(queue) : ECH_OP_OK;
}

const char *ech_queue_error(const struct ech_queue *queue)
{
    return queue ? queue->error : "";
}
