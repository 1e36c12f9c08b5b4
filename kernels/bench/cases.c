/* Names, descriptions and work of a case (cases.h). */
#include "kernels/bench/cases.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kernels/blocks.h"

static const char *const OPS[ECH_CASE_OPS] = {
    [ECH_CASE_LINEAR] = "linear",   [ECH_CASE_CONVERT] = "convert",
    [ECH_CASE_NORM] = "norm",       [ECH_CASE_ATTENTION] = "attention",
    [ECH_CASE_EMBED] = "embed",     [ECH_CASE_POOL] = "pool",
    [ECH_CASE_GATE] = "gate",       [ECH_CASE_ROTARY] = "rotary",
    [ECH_CASE_TOPK] = "topk",       [ECH_CASE_ACTIVATE] = "activate",
    [ECH_CASE_SOFTMAX] = "softmax", [ECH_CASE_LOG_SOFTMAX] = "log_softmax",
};

const char *ech_case_op_name(enum ech_case_op op)
{
    return (int)op >= 0 && op < ECH_CASE_OPS ? OPS[op] : "?";
}

bool ech_case_op_of(const char *name, enum ech_case_op *out)
{
    for (int i = 0; i < ECH_CASE_OPS; i++)
        if (strcmp(name, OPS[i]) == 0) {
            *out = (enum ech_case_op)i;
            return true;
        }
    return false;
}

const char *ech_case_type_name(enum ech_atype type)
{
    static const char *const names[ECH_ATYPES] = {
        [ECH_A_F32] = "f32", [ECH_A_BF16] = "bf16", [ECH_A_Q8] = "q8", [ECH_A_F16] = "f16"};
    return (int)type >= 0 && type < ECH_ATYPES ? names[type] : "?";
}

const char *ech_case_act_name(enum ech_act act)
{
    static const char *const names[] = {[ECH_ACT_NONE] = "none",
                                        [ECH_ACT_GELU] = "gelu",
                                        [ECH_ACT_GELU_TANH] = "gelu_tanh",
                                        [ECH_ACT_RELU] = "relu",
                                        [ECH_ACT_SILU] = "silu",
                                        [ECH_ACT_TANH] = "tanh",
                                        [ECH_ACT_QUICK_GELU] = "quick_gelu",
                                        [ECH_ACT_RELU2] = "relu2",
                                        [ECH_ACT_SIGMOID] = "sigmoid"};
    return (int)act >= 0 && act < ECH_ACTS ? names[act] : "?";
}

struct text {
    char *at;
    size_t left;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = t->left ? vsnprintf(t->at, t->left, fmt, args) : 0;
    va_end(args);
    size_t used = n < 0 ? 0 : (size_t)n < t->left ? (size_t)n : t->left - (t->left > 0);
    t->at += used;
    t->left -= used;
}

static void add_sequences(struct text *t, const struct ech_case *c)
{
    if (c->sequences > ECH_CASE_SEQUENCES) {
        add(t, " %lld x length %lld", (long long)c->sequences, (long long)c->lengths[0]);
        return;
    }
    add(t, " lengths");
    for (int64_t s = 0; s < c->sequences; s++) {
        add(t, " %lld", (long long)ech_case_length(c, s));
        if (ech_case_keys(c, s) != ech_case_length(c, s))
            add(t, "/%lld", (long long)ech_case_keys(c, s));
    }
}

static void add_shape(struct text *t, const struct ech_case *c)
{
    switch (c->op) {
    case ECH_CASE_LINEAR:
        add(t, " (%lld, %lld, %lld)", (long long)c->rows, (long long)c->outputs, (long long)c->inner);
        break;
    case ECH_CASE_ATTENTION:
        add(t, " heads %lld/%lld x %lld", (long long)c->heads, (long long)c->kv_heads,
            (long long)c->head_dim);
        add_sequences(t, c);
        break;
    case ECH_CASE_POOL:
        add(t, " cols %lld", (long long)c->inner);
        add_sequences(t, c);
        break;
    case ECH_CASE_ROTARY:
        add(t, " rows %lld heads %lld x %lld, %lld turn", (long long)c->rows, (long long)c->heads,
            (long long)c->head_dim, (long long)c->rotary);
        break;
    case ECH_CASE_TOPK:
        add(t, " %lld of (%lld, %lld)", (long long)c->outputs, (long long)c->rows, (long long)c->inner);
        break;
    default:
        add(t, " (%lld, %lld)", (long long)c->rows, (long long)c->inner);
    }
    if (c->pad)
        add(t, " strides +%lld", (long long)c->pad);
}

static void add_flags(struct text *t, const struct ech_case *c)
{
    static const char *const names[] = {"bias",   "residual",   "in place",    "special", "causal",
                                        "slopes", "normalised", "interleaved", "also",    "no values",
                                        "ties",   "own keys",   "bf16 keys"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (c->flags & 1u << i)
            add(t, ", %s", c->op == ECH_CASE_NORM && i == 0 ? "shift" : names[i]);
    if (c->window)
        add(t, ", window %lld", (long long)c->window);
    if (c->softcap > 0)
        add(t, ", cap %g", (double)c->softcap);
}

const char *ech_case_describe(const struct ech_case *c, char *out, size_t bytes)
{
    static const char *const pools[] = {"mean", "cls", "max"};
    struct text t = {out, bytes};
    if (bytes)
        out[0] = 0;
    add(&t, "%s", ech_case_op_name(c->op));
    if (c->op == ECH_CASE_LINEAR || c->op == ECH_CASE_ATTENTION)
        add(&t, " %s", ech_ops_format_name(c->format));
    if (c->op == ECH_CASE_LINEAR && ech_format_in_place(c->format))
        add(&t, " %s", ech_block_type(c->w_type)->name);
    if (c->x_type || c->y_type || c->op == ECH_CASE_CONVERT)
        add(&t, " %s to %s", ech_case_type_name(c->x_type), ech_case_type_name(c->y_type));
    if (c->op == ECH_CASE_NORM)
        add(&t, " %s", c->kind == ECH_NORM_RMS ? "rms" : "layer");
    if (c->op == ECH_CASE_POOL)
        add(&t, " %s", pools[c->kind]);
    if (c->act)
        add(&t, " %s", ech_case_act_name(c->act));
    add_shape(&t, c);
    add_flags(&t, c);
    return out;
}

int64_t ech_case_length(const struct ech_case *c, int64_t s)
{
    return c->lengths[c->sequences > ECH_CASE_SEQUENCES ? 0 : s];
}

int64_t ech_case_keys(const struct ech_case *c, int64_t s)
{
    if (!(c->flags & ECH_CASE_KEYS))
        return ech_case_length(c, s);
    return c->key_lengths[c->sequences > ECH_CASE_SEQUENCES ? 0 : s];
}

int64_t ech_case_rows(const struct ech_case *c)
{
    if (c->op != ECH_CASE_ATTENTION && c->op != ECH_CASE_POOL)
        return c->rows;
    int64_t tokens = 0;
    for (int64_t s = 0; s < c->sequences; s++)
        tokens += ech_case_length(c, s);
    return tokens;
}

/* Keys that query i of a sequence sees, by the positions of ops.h. */
static int64_t seen(const struct ech_case *c, int64_t i, int64_t queries, int64_t keys)
{
    int64_t at = i + keys - queries, first = 0, last = keys - 1;
    if (c->flags & ECH_CASE_CAUSAL)
        last = at < last ? at : last;
    if (c->window > 0) {
        first = at - c->window + 1 > first ? at - c->window + 1 : first;
        last = at + c->window - 1 < last ? at + c->window - 1 : last;
    }
    return last >= first ? last - first + 1 : 0;
}

double ech_case_flop(const struct ech_case *c)
{
    double pairs = 0;
    if (c->op == ECH_CASE_LINEAR)
        return 2.0 * (double)c->rows * (double)c->outputs * (double)c->inner;
    if (c->op != ECH_CASE_ATTENTION)
        return 0;
    for (int64_t s = 0; s < c->sequences; s++)
        for (int64_t i = 0, n = ech_case_length(c, s); i < n; i++)
            pairs += (double)seen(c, i, n, ech_case_keys(c, s));
    return 4.0 * pairs * (double)(c->heads * c->head_dim);
}

double ech_case_elements(const struct ech_case *c)
{
    double rows = (double)ech_case_rows(c);
    switch (c->op) {
    case ECH_CASE_LINEAR:
        return rows * (double)c->outputs;
    case ECH_CASE_ATTENTION:
    case ECH_CASE_ROTARY:
        return rows * (double)(c->heads * c->head_dim);
    default:
        return rows * (double)c->inner;
    }
}
