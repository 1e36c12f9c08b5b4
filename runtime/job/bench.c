/* `bench kernels|embed|io|dispatch`: one table row a measurement, each with the limit it is compared with. */
#include "job/bench.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/verb.h"
#include "job/usage.h"
#include "job/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct ech_option options[] = {
    {"model", "FOLDER", false, "embed: the model (models/all-MiniLM-L6-v2)"},
    {"backend", "NAME", false,
     "kernels, embed: auto, avx512, avx2, openblas, ref_exact, cuda; kernels: ref too"},
    {"precision", "NAME", false, "embed: f32, bf16, int8, int4, f16 (f32)"},
    {"dataset", "PATH", false, "embed: measure with the rows of this dataset instead of made-up ones"},
    {"column", "NAME", false, "embed: its column of texts (text)"},
    {"threads", "N", false, "kernels, embed: threads of a rank (all usable cores divided among the ranks)"},
    {"seconds", "N", false, "embed: how long each length is measured (3)"},
    {"mib", "N", false, "io: size of the dataset in MiB (256)"},
    {"rows", "N", false, "dispatch: leases of one row (2000000)"},
    {"folder", "PATH", false, "io, dispatch: where files are written ($TMPDIR or /tmp)"},
    {"ops", "LIST", false,
     "kernels: of linear, attention, convert, norm, embed, pool, gate, rotary, topk, activate, softmax, "
     "log_softmax; math checks exp, erf and tanh at every float"},
    {"formats", "LIST", false, "kernels: of products and attention: f32, bf16, int8, int4, bf16-f32, f16"},
    {"quick", NULL, false, "kernels: fewer shapes, shorter rounds"},
    {"json", NULL, false, "kernels: JSON in place of Markdown"},
    {"support", NULL, false, "kernels: which backend does what in which format; nothing is timed"},
    {0}};
static const struct ech_exit exits[] = {{ECH_OK, "measured"},
                                        {ECH_USAGE, NULL},
                                        {ECH_NOINPUT, NULL},
                                        {ECH_UNAVAILABLE, NULL},
                                        {ECH_BUG, NULL},
                                        {ECH_IO, NULL},
                                        {0}};

static const struct {
    const char *name;
    int (*run)(struct ech_bench *, struct ech_err *);
} parts[] = {{"dispatch", ech_bench_dispatch}, {"io", ech_bench_io}, {"embed", ech_bench_embed}};

void ech_bench_row(struct ech_bench *b, const char *what, double value, const char *unit, double limit,
                   const char *limit_name)
{
    ech_str_addf(b->table, "| %s | %.4g %s | ", what, value, unit);
    if (limit > 0)
        ech_str_addf(b->table, "%.4g %s (%s) | %.0f %% |\n", limit, unit, limit_name, 100 * value / limit);
    else
        ech_str_adds(b->table, "| |\n");
}

static int read_options(const struct ech_args *args, struct ech_bench *b, struct ech_err *err)
{
    int64_t seconds = 3;
    b->model = ech_args_get(args, "model") ? ech_args_get(args, "model") : "models/all-MiniLM-L6-v2";
    b->backend = ech_args_get(args, "backend") ? ech_args_get(args, "backend") : "auto";
    b->precision = ech_args_get(args, "precision") ? ech_args_get(args, "precision") : "f32";
    b->dataset = ech_args_get(args, "dataset");
    b->column = ech_args_get(args, "column") ? ech_args_get(args, "column") : "text";
    b->mib = 256;
    b->rows = 2000000;
    b->threads = ech_usage_cores() / ech_comm_node_size(b->comm);
    b->threads = b->threads > 0 ? b->threads : 1;
    int code = ech_args_get_int(args, "mib", 1, 1 << 20, &b->mib, err);
    if (!code)
        code = ech_args_get_int(args, "rows", 1, 100000000, &b->rows, err);
    if (!code)
        code = ech_args_get_int(args, "threads", 1, 1024, &b->threads, err);
    if (!code)
        code = ech_args_get_int(args, "seconds", 1, 3600, &seconds, err);
    b->seconds = (double)seconds;
    return code;
}

static int run_part(struct ech_bench *b, const struct ech_args *args, struct ech_err *err)
{
    const char *root = ech_args_get(args, "folder"), *tmp = getenv("TMPDIR");
    char folder[4096] = "";
    int code = read_options(args, b, err);
    if (!code && ech_comm_rank(b->comm) == 0) {
        snprintf(folder, sizeof folder, "%s/echelon-bench.XXXXXX", root ? root : tmp ? tmp : "/tmp");
        if (!mkdtemp(folder))
            code = ech_fail(err, ECH_EXISTS, "cannot create %s", folder);
    }
    if ((code = ech_agree(b->comm, err)))
        return code;
    code = ech_bcast(b->comm, folder, sizeof folder, 0, err);
    b->folder = folder;
    size_t i = 0, n = sizeof parts / sizeof parts[0];
    while (i < n && strcmp(parts[i].name, args->operands[0]) != 0)
        i++;
    if (i == n)
        code = ech_fail(err, ECH_USAGE, "echelon bench: \"%s\" is not one of kernels, embed, io, dispatch",
                        args->operands[0]);
    else if (!code)
        code = parts[i].run(b, err);
    code = ech_agree(b->comm, err);
    if (ech_comm_rank(b->comm) == 0)
        ech_remove_all(folder, NULL);
    return code;
}

static int bench(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err)
{
    struct ech_bench b = {.comm = call->context, .table = &call->text};
    if (strcmp(args->operands[0], "kernels") == 0)
        return ech_bench_kernels(args, b.comm, call->out, err);
    ech_str_adds(&call->text, "| what | measured | limit | ratio |\n|---|---|---|---|\n");
    int code = run_part(&b, args, err);
    if (code)
        ech_str_clear(&call->text); /* half a table says nothing */
    return code;
}

static int agree(void *context, struct ech_err *err)
{
    return ech_agree(context, err);
}

static const struct ech_verb_spec verb = {
    .name = "bench",
    .run = bench,
    .agree = agree,
    .command = {
        .name = "echelon bench",
        .usage = "kernels|embed|io|dispatch [options] [--ranks N]",
        .summary =
            "Measures a part of the runtime beside a limit measured in the same run; prints Markdown.\n"
            "--ranks N runs it on N ranks (dispatch: 2 is usual; kernels: one process, no ranks).",
        .options = options,
        .operands_least = 1,
        .operands_most = 1,
        .example = "echelon bench dispatch --ranks 2\nechelon bench kernels --ops linear --formats f32,int8",
        .exits = exits}};

int ech_bench_verb(int argc, char **argv, struct ech_comm *comm, FILE *out, struct ech_err *err)
{
    return ech_verb_spec_run(&verb, argc, argv, comm, ech_comm_rank(comm) == 0 ? out : NULL, err);
}
