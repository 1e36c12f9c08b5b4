/* The matrix operation x backend x format: each tried with a small case, so that it cannot tell what is not
 * so. */
#include <string.h>

#include "kernels/bench/print.h"
#include "kernels/bench/trial.h"

enum { BACKENDS_MOST = 16, ROWS_MOST = 64 };

struct matrix {
    const struct ech_ops *ops[BACKENDS_MOST];
    int count;
};

static void collect(struct matrix *m)
{
    char why[256];
    for (const struct ech_ops *const *o = ech_ops_all(); *o && m->count < BACKENDS_MOST; o++)
        m->ops[m->count++] = *o;
    const struct ech_ops *cuda = ech_ops_find("cuda", why);
    for (int i = 0; i < m->count; i++)
        cuda = m->ops[i] == cuda ? NULL : cuda;
    if (cuda && m->count < BACKENDS_MOST)
        m->ops[m->count++] = cuda;
}

static bool has(const struct ech_ops *ops, const struct ech_case *c)
{
    char why[256];
    struct ech_trial *t = NULL;
    const struct ech_trial_options one = {.threads = 1};
    int rc = ech_trial_open(ops, c, &one, &t, why);
    if (!rc)
        rc = ech_trial_run(t);
    if (!rc)
        rc = ech_trial_sync(t);
    ech_trial_close(t);
    return !rc;
}

static const char *class_of(const struct ech_ops *ops, const struct ech_case *c)
{
    const char *name = ops->numerics[c->op == ECH_CASE_LINEAR ? c->format : ECH_FMT_F32];
    return c->op == ECH_CASE_LINEAR && name ? name : "yes";
}

static void put_row(const struct matrix *m, const struct ech_case *c, const char *label, bool json,
                    bool first, FILE *out)
{
    if (json)
        fprintf(out, "%s    {\"operation\": \"%s\"", first ? "" : ",\n", label);
    else
        fprintf(out, "| %s |", label);
    for (int i = 0; i < m->count; i++) {
        const char *cell = m->ops[i]->available() ? "not here"
                           : has(m->ops[i], c)    ? class_of(m->ops[i], c)
                                                  : "-";
        if (json)
            fprintf(out, ", \"%s\": \"%s\"", m->ops[i]->name, cell);
        else
            fprintf(out, " %s |", cell);
    }
    fputs(json ? "}" : "\n", out);
}

/* A format and the types of what goes in and comes out. */
struct pair {
    enum ech_format format;
    enum ech_atype x, y;
};

/* Small cases of the products, attentions and other operations that ops.h names: a row each. */
static void put_products(const struct matrix *m, bool json, FILE *out)
{
    static const struct pair products[] = {
        {ECH_FMT_F32, ECH_A_F32, ECH_A_F32},      {ECH_FMT_F32, ECH_A_F32, ECH_A_BF16},
        {ECH_FMT_F32, ECH_A_F32, ECH_A_Q8},       {ECH_FMT_BF16, ECH_A_F32, ECH_A_F32},
        {ECH_FMT_BF16, ECH_A_BF16, ECH_A_BF16},   {ECH_FMT_INT8, ECH_A_F32, ECH_A_F32},
        {ECH_FMT_INT8, ECH_A_Q8, ECH_A_Q8},       {ECH_FMT_INT4, ECH_A_F32, ECH_A_F32},
        {ECH_FMT_BF16_F32, ECH_A_F32, ECH_A_F32}, {ECH_FMT_F16, ECH_A_F16, ECH_A_F16},
        {ECH_FMT_BLOCK, ECH_A_F32, ECH_A_F32},    {ECH_FMT_BLOCK_INT8, ECH_A_F32, ECH_A_F32}};
    char label[96];
    for (size_t i = 0; i < sizeof products / sizeof products[0]; i++) {
        const struct ech_case c = {.op = ECH_CASE_LINEAR,
                                   .format = products[i].format,
                                   .x_type = products[i].x,
                                   .y_type = products[i].y,
                                   .rows = 2,
                                   .outputs = 3,
                                   .inner = ech_format_in_place(products[i].format) ? 256 : 4,
                                   .w_type = ECH_W_Q4_K};
        snprintf(label, sizeof label, "linear %s, %s to %s", ech_ops_format_name(c.format),
                 ech_case_type_name(c.x_type), ech_case_type_name(c.y_type));
        put_row(m, &c, label, json, i == 0, out);
    }
}

static void put_attentions(const struct matrix *m, bool json, FILE *out)
{
    static const struct pair attentions[] = {{ECH_FMT_F32, ECH_A_F32, ECH_A_F32},
                                             {ECH_FMT_BF16, ECH_A_F32, ECH_A_F32},
                                             {ECH_FMT_BF16, ECH_A_BF16, ECH_A_BF16},
                                             {ECH_FMT_F16, ECH_A_F16, ECH_A_F16}};
    char label[96];
    for (size_t i = 0; i < 2 * sizeof attentions / sizeof attentions[0]; i++) {
        size_t a = i / 2;
        const struct ech_case c = {.op = ECH_CASE_ATTENTION,
                                   .format = attentions[a].format,
                                   .x_type = attentions[a].x,
                                   .y_type = attentions[a].y,
                                   .sequences = 1,
                                   .lengths = {3},
                                   .heads = 2,
                                   .kv_heads = 1,
                                   .head_dim = 4,
                                   .window = i % 2 ? 2 : 0,
                                   .softcap = i % 2 ? 5.0f : 0.0f,
                                   .flags = i % 2 ? ECH_CASE_CAUSAL | ECH_CASE_SLOPES : 0};
        snprintf(label, sizeof label, "attention %s, %s to %s%s", ech_ops_format_name(c.format),
                 ech_case_type_name(c.x_type), ech_case_type_name(c.y_type),
                 i % 2 ? ", causal window, slopes, cap" : "");
        put_row(m, &c, label, json, false, out);
    }
}

static void put_others(const struct matrix *m, bool json, FILE *out)
{
    static const struct ech_case rows[] = {
        {.op = ECH_CASE_CONVERT, .y_type = ECH_A_BF16, .rows = 2, .inner = 5},
        {.op = ECH_CASE_CONVERT, .y_type = ECH_A_Q8, .rows = 2, .inner = 5},
        {.op = ECH_CASE_CONVERT, .y_type = ECH_A_F16, .rows = 2, .inner = 5},
        {.op = ECH_CASE_NORM, .rows = 2, .inner = 5},
        {.op = ECH_CASE_NORM, .kind = ECH_NORM_RMS, .rows = 2, .inner = 5},
        {.op = ECH_CASE_NORM, .y_type = ECH_A_Q8, .rows = 2, .inner = 5, .flags = ECH_CASE_ALSO},
        {.op = ECH_CASE_EMBED, .rows = 2, .inner = 5},
        {.op = ECH_CASE_POOL, .sequences = 1, .lengths = {2}, .inner = 5},
        {.op = ECH_CASE_GATE, .act = ECH_ACT_SILU, .rows = 2, .inner = 5},
        {.op = ECH_CASE_ROTARY, .rows = 2, .outputs = 3, .heads = 1, .head_dim = 4, .rotary = 4},
        {.op = ECH_CASE_TOPK, .rows = 2, .outputs = 2, .inner = 5},
        {.op = ECH_CASE_ACTIVATE, .act = ECH_ACT_GELU, .rows = 2, .inner = 5},
        {.op = ECH_CASE_SOFTMAX, .rows = 2, .inner = 5},
        {.op = ECH_CASE_LOG_SOFTMAX, .rows = 2, .inner = 5}};
    char label[96];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct ech_case *c = &rows[i];
        snprintf(label, sizeof label, "%s%s%s", ech_case_op_name(c->op),
                 c->op == ECH_CASE_NORM ? c->kind == ECH_NORM_RMS ? " rms" : " layer" : "",
                 c->y_type == ECH_A_BF16  ? ", to bf16"
                 : c->y_type == ECH_A_Q8  ? ", to q8"
                 : c->y_type == ECH_A_F16 ? ", to f16"
                                          : "");
        put_row(m, c, label, json, false, out);
    }
}

void ech_print_support(bool json, FILE *out)
{
    struct matrix m = {.count = 0};
    char why[256];
    collect(&m);
    if (json) {
        fputs("{\"support\": [\n", out);
        put_products(&m, true, out);
        put_attentions(&m, true, out);
        put_others(&m, true, out);
        fputs("\n  ]}\n", out);
        return;
    }
    fputs("| operation |", out);
    for (int i = 0; i < m.count; i++)
        fprintf(out, " %s |", m.ops[i]->name);
    fputs("\n|---|", out);
    for (int i = 0; i < m.count; i++)
        fputs("---|", out);
    fputs("\n", out);
    put_products(&m, false, out);
    put_attentions(&m, false, out);
    put_others(&m, false, out);
    fputs("\nProducts name their numerics class: equal names, equal bits.\n", out);
    for (int i = 0; i < m.count; i++)
        if (m.ops[i]->available())
            fprintf(out, "%s cannot be used here: %s.\n", m.ops[i]->name, m.ops[i]->available());
    if (!ech_ops_find("cuda", why))
        fprintf(out, "cuda cannot be used here: %s.\n", why);
}
