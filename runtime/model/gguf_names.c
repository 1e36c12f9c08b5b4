/* Tensors of a GGUF under Hugging Face's names: see gguf_arch.h. */
#include "model/gguf_arch.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAYERS_MOST = 100000, EXPERTS_MOST = 65536, NAME = 320 };

/* "blk.7.attn_q.weight" taken apart; layer -1: outside of layers. */
struct parts {
    const char *blocks; /* "", "enc.", "dec." */
    long layer;
    char stem[128];
    long expert;     /* -1: none */
    char suffix[16]; /* "weight", "bias" */
};

static bool is_number(const char *text, long *out)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    *out = strtol(text, &end, 10);
    return *end == '\0' && *out <= LAYERS_MOST;
}

/* false: not of the form of any known tensor. */
static bool split_name(const char *name, struct parts *p)
{
    static const char *const blocks[] = {"enc.", "dec.", ""};
    char head[32];
    memset(p, 0, sizeof *p);
    p->layer = p->expert = -1;
    for (int i = 0; i < 3; i++) {
        size_t length = (size_t)snprintf(head, sizeof head, "%sblk.", blocks[i]);
        char *end;
        if (strncmp(name, head, length) != 0 || name[length] < '0' || name[length] > '9')
            continue;
        p->blocks = blocks[i];
        p->layer = strtol(name + length, &end, 10);
        if (*end != '.' || p->layer > LAYERS_MOST)
            return false;
        name = end + 1;
        break;
    }
    const char *dot = strrchr(name, '.');
    if (!dot || strlen(dot + 1) >= sizeof p->suffix || (size_t)(dot - name) >= sizeof p->stem)
        return false;
    snprintf(p->suffix, sizeof p->suffix, "%s", dot + 1);
    memcpy(p->stem, name, (size_t)(dot - name));
    char *last = strrchr(p->stem, '.');
    if (p->layer >= 0 && last && is_number(last + 1, &p->expert))
        *last = '\0';
    return strcmp(p->suffix, "weight") == 0 || strcmp(p->suffix, "bias") == 0;
}

static const char *look_up(const struct ech_gguf_name *names, const char *blocks, const char *stem)
{
    char whole[160];
    snprintf(whole, sizeof whole, "%s%s", blocks ? blocks : "", stem);
    for (; names->from; names++)
        if (strcmp(names->from, whole) == 0)
            return names->to;
    return NULL;
}

/* "%e" in a name is the expert, "%l" the layer where it is not behind arch->layers. */
static void print_name(const struct ech_gguf_arch *arch, const char *to, const struct parts *p, long expert,
                       char *out, size_t bytes)
{
    size_t at = 0;
    if (p->layer >= 0 && !strstr(to, "%l"))
        at = (size_t)snprintf(out, bytes, "%s%ld.", arch->layers, p->layer);
    for (; *to && at + 24 < bytes; to++)
        if (to[0] == '%') {
            at += (size_t)snprintf(out + at, bytes - at, "%ld", to[1] == 'e' ? expert : p->layer);
            to++;
        } else
            out[at++] = *to;
    snprintf(out + at, bytes - at, ".%s", p->suffix);
}

static int add(struct ech_tensor_list *out, const struct ech_tensor *view, const char *name,
               struct ech_err *err)
{
    char *copy = ech_strdup(name, err);
    struct ech_tensor *t = copy ? ech_tensor_list_add(out, err) : NULL;
    if (!t) {
        ech_free(copy);
        return ECH_UNAVAILABLE;
    }
    *t = *view;
    t->name = copy;
    return ECH_OK;
}

/* [experts, rows, cols] becomes that many matrices; a bias [experts, rows] vectors. */
static int add_experts(const struct ech_gguf_arch *arch, const char *to, const struct parts *p,
                       const struct ech_tensor *t, struct ech_tensor_list *out, struct ech_err *err)
{
    char name[NAME];
    int code = ECH_OK;
    if (t->shape[0] > EXPERTS_MOST)
        return ech_fail(err, ECH_DATA, "tensor %.100s has %lld experts", t->name, (long long)t->shape[0]);
    for (int64_t e = 0; code == ECH_OK && e < t->shape[0]; e++) {
        struct ech_tensor one = ech_tensor_rows(t, e, 1);
        one.dims = t->dims - 1;
        for (int i = 0; i < one.dims; i++)
            one.shape[i] = t->shape[i + 1];
        print_name(arch, to, p, (long)e, name, sizeof name);
        code = add(out, &one, name, err);
    }
    return code;
}

/* attn_qkv in three: as many rows of K as of V, the rest is Q. */
static int add_qkv(const struct ech_gguf *g, const struct ech_gguf_arch *arch, const struct parts *whole,
                   const struct ech_tensor *t, struct ech_tensor_list *out, struct ech_err *err)
{
    static const char *const stems[] = {"attn_q", "attn_k", "attn_v"};
    int64_t heads = 0, groups = 0, first = 0;
    char name[NAME];
    struct parts p = *whole;
    int code = ech_gguf_own_int(g, "attention.head_count", &heads, err);
    groups = heads;
    if (code == ECH_OK)
        code = ech_gguf_own_int(g, "attention.head_count_kv", &groups, err);
    if (code == ECH_OK && (heads < 1 || groups < 1 || heads > 1 << 20 || groups > 1 << 20 ||
                           t->shape[0] % (heads + 2 * groups) != 0))
        return ech_fail(err, ECH_DATA, "%s: %.100s has %lld rows, not those of %lld + 2 x %lld heads",
                        g->path, t->name, (long long)t->shape[0], (long long)heads, (long long)groups);
    for (int i = 0; code == ECH_OK && i < 3; i++) {
        int64_t rows = t->shape[0] / (heads + 2 * groups) * (i ? groups : heads);
        struct ech_tensor part = ech_tensor_rows(t, first, rows);
        print_name(arch, look_up(arch->inner, NULL, stems[i]), &p, 0, name, sizeof name);
        code = add(out, &part, name, err);
        first += rows;
    }
    return code;
}

/* Tables that others are computed from, not weights; the config carries what they say. */
static bool is_table(const char *name)
{
    static const char *const tables[] = {"rope_freqs.weight", "rope_factors_long.weight",
                                         "rope_factors_short.weight"};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (strcmp(name, tables[i]) == 0)
            return true;
    return strstr(name, "attn_rot_embd.weight") || strstr(name, "rope_freqs.weight");
}

static int rename_one(const struct ech_gguf *g, const struct ech_gguf_arch *arch, const struct ech_tensor *t,
                      struct ech_tensor_list *out, struct ech_err *err)
{
    struct parts p;
    char name[NAME];
    if (is_table(t->name))
        return ECH_OK;
    bool known = split_name(t->name, &p);
    bool qkv = known && arch->traits & ECH_GGUF_SPLIT_QKV && strcmp(p.stem, "attn_qkv") == 0;
    const char *to = known ? look_up(p.layer >= 0 ? arch->inner : arch->outer, p.blocks, p.stem) : NULL;
    if (qkv)
        return add_qkv(g, arch, &p, t, out, err);
    if (!to)
        return ech_fail(err, ECH_DATA, "%s: tensor %.100s is none that a %s model is known to have", g->path,
                        t->name, arch->names[0]);
    bool experts = strstr(to, "%e") != NULL;
    if (experts && p.expert < 0 && t->dims >= 2)
        return add_experts(arch, to, &p, t, out, err);
    if (experts != (p.expert >= 0))
        return ech_fail(err, ECH_DATA, "%s: tensor %.100s does not have the shape of experts", g->path,
                        t->name);
    print_name(arch, to, &p, p.expert, name, sizeof name);
    return add(out, t, name, err);
}

int ech_gguf_rename(const struct ech_gguf *g, const struct ech_gguf_arch *arch,
                    const struct ech_tensor_list *list, struct ech_tensor_list *out, struct ech_err *err)
{
    int code = ECH_OK;
    for (size_t i = 0; code == ECH_OK && i < list->count; i++) {
        const struct ech_tensor *t = &list->items[i];
        code = arch ? rename_one(g, arch, t, out, err) : add(out, t, t->name, err);
    }
    return code;
}
