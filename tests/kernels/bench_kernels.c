/* bench_kernels: `echelon bench kernels` without the runtime (kernels/bench/bench.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/bench/bench.h"

static const char HELP[] =
    "usage: bench_kernels [options]\n"
    "Times every operation beside a limit of the machine measured in the same run; prints Markdown.\n"
    "  --ops LIST       linear, attention, convert, norm, embed, pool, gate, rotary, topk, activate,\n"
    "                   softmax, log_softmax; math checks exp, erf and tanh at every float\n"
    "  --formats LIST   of products and attention: f32, bf16, int8, int4, bf16-f32, f16\n"
    "  --backend NAME   auto (default), avx512, avx2, openblas, ref_exact, ref, cuda\n"
    "  --threads N      at most (all usable)\n"
    "  --quick          fewer shapes, shorter rounds\n"
    "  --json           JSON in place of Markdown\n"
    "  --support        which backend does which operation in which format; nothing is timed\n"
    "example: bench_kernels --ops linear --formats f32,int8 --threads 2\n"
    "exit status: 0 measured, 64 the command line is wrong, 69 the backend or memory is lacking,\n"
    "             70 an operation failed, 74 the output could not be written\n";

static int usage(const char *fmt, const char *word)
{
    fputs("bench_kernels: ", stderr);
    fprintf(stderr, fmt, word);
    fputs("; --help says more\n", stderr);
    return 64;
}

static bool flag(struct ech_kernels_bench *o, const char *word)
{
    bool *flags[] = {&o->quick, &o->json, &o->support};
    static const char *const names[] = {"--quick", "--json", "--support"};
    for (int i = 0; i < 3; i++)
        if (strcmp(word, names[i]) == 0)
            return *flags[i] = true;
    return false;
}

static int set_threads(struct ech_kernels_bench *o, const char *value)
{
    char *end;
    long n = strtol(value, &end, 10);
    if (end == value || *end || n < 1 || n > ECH_BENCH_THREADS)
        return usage("--threads %s: an integer from 1 to 1024 was expected", value);
    o->threads = (int)n;
    return 0;
}

/* An option with a value, the value in the next word or behind '='. */
static int valued(struct ech_kernels_bench *o, char **words, int *at)
{
    static const char *const names[] = {"--ops", "--formats", "--backend", "--threads"};
    const char **targets[] = {&o->ops, &o->formats, &o->backend};
    for (int i = 0; i < 4; i++) {
        size_t n = strlen(names[i]);
        const char *word = words[*at], *value = word[n] == '=' ? word + n + 1 : words[*at + 1];
        if (strncmp(word, names[i], n) != 0 || (word[n] && word[n] != '='))
            continue;
        if (!value)
            return usage("%s wants a value", names[i]);
        *at += word[n] == 0;
        if (i == 3)
            return set_threads(o, value);
        *targets[i] = value;
        return 0;
    }
    return usage("unknown option \"%s\"", words[*at]);
}

int main(int argc, char **argv)
{
    static const int exits[] = {[ECH_BENCH_OK] = 0,      [ECH_BENCH_USAGE] = 64,  [ECH_BENCH_MISSING] = 69,
                                [ECH_BENCH_MEMORY] = 69, [ECH_BENCH_FAILED] = 70, [ECH_BENCH_WRITE] = 74};
    struct ech_kernels_bench options = {.out = stdout, .notice = stderr};
    char why[256];
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(HELP, stdout);
            return 0;
        }
        int rc = flag(&options, argv[i]) ? 0 : valued(&options, argv, &i);
        if (rc)
            return rc;
    }
    int rc = ech_kernels_bench(&options, why);
    if (rc)
        fprintf(stderr, "bench_kernels: %s\n", why);
    return exits[rc];
}
