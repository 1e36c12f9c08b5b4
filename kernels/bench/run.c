/* `bench kernels` from options to the printed table (bench.h). */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/bench/bench.h"
#include "kernels/bench/measure.h"
#include "kernels/bench/print.h"

/* Threads this process may run on. */
static int usable_threads(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count > 0 ? count : 1;
}

static void processor_name(char *out, size_t bytes)
{
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");
    snprintf(out, bytes, "this processor");
    while (f && fgets(line, sizeof line, f)) {
        char *name = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !name)
            continue;
        snprintf(out, bytes, "%.*s", (int)strcspn(name + 2, "\n"), name + 2);
        break;
    }
    if (f)
        fclose(f);
}

static int measure_all(struct ech_bench_run *run, struct ech_lines *lines, FILE *notice, char *why)
{
    int rc = ECH_BENCH_OK;
    double said = ech_crew_now();
    for (int i = 0; !rc && i < lines->count; i++) {
        struct ech_line *line = &lines->line[i];
        rc = ech_measure(run, line, why);
        const struct ech_line *single = line->threads > 1 ? ech_lines_single(lines, line) : NULL;
        if (single && single->value > 0)
            line->speedup = line->value / single->value;
        if (notice && ech_crew_now() - said > 5) {
            fprintf(notice, "%d of %d lines measured\n", i + 1, lines->count);
            said = ech_crew_now();
        }
    }
    return rc;
}

static int measure_and_print(const struct ech_kernels_bench *o, const struct ech_ops *ops, int threads,
                             struct ech_lines *lines, char *why)
{
    char processor[128];
    struct ech_bench_run run = {
        .ops = ops, .rounds = 5, .round_seconds = o->quick ? 0.003 : 0.012, .crew = ech_crew_open(threads)};
    run.limits = run.crew ? ech_limits_open(run.crew, threads) : NULL;
    int rc = run.limits ? measure_all(&run, lines, o->notice, why) : ECH_BENCH_MEMORY;
    if (!run.limits)
        snprintf(why, 256, "cannot start %d threads with 256 MiB to measure the memory's limits", threads);
    processor_name(processor, sizeof processor);
    const struct ech_bench_head head = {.processor = processor,
                                        .backend = ops->name,
                                        .peer = ops->device ? NULL : ech_peer_name(),
                                        .numerics = ops->numerics,
                                        .threads = threads,
                                        .rounds = run.rounds,
                                        .device = ops->device};
    if (!rc)
        ech_print_lines(&head, lines, o->json, o->out);
    ech_limits_close(run.limits);
    ech_crew_close(run.crew);
    return rc;
}

static int run_lines(const struct ech_kernels_bench *o, char *why)
{
    const struct ech_ops *ops = ech_ops_find(o->backend ? o->backend : "auto", why);
    int threads = o->threads > 0 ? o->threads : usable_threads();
    if (!ops)
        return ECH_BENCH_MISSING;
    threads = ops->device ? 1 : threads > ECH_BENCH_THREADS ? ECH_BENCH_THREADS : threads;
    struct ech_lines lines;
    int rc = ech_lines_make(o, threads, &lines, why);
    if (rc)
        return rc;
    rc = measure_and_print(o, ops, threads, &lines, why);
    ech_lines_fini(&lines);
    return rc;
}

/* "math" takes minutes and stands alone: only where it is asked for by name. */
static bool wants_math(const struct ech_kernels_bench *o)
{
    return o->ops && ech_lines_wanted(o->ops, "math");
}

static int run_math(const struct ech_kernels_bench *o, char *why)
{
    if (strcmp(o->ops, "math") != 0) {
        snprintf(why, 256, "math is checked alone: --ops math");
        return ECH_BENCH_USAGE;
    }
    int threads = o->threads > 0 ? o->threads : usable_threads();
    return ech_print_math(threads, o->quick, o->json, o->out, o->notice, why);
}

int ech_kernels_bench(const struct ech_kernels_bench *o, char *why)
{
    int rc = ECH_BENCH_OK;
    why[0] = 0;
    if (o->support)
        ech_print_support(o->json, o->out);
    else if (wants_math(o))
        rc = run_math(o, why);
    else
        rc = run_lines(o, why);
    if (!rc && (fflush(o->out) != 0 || ferror(o->out))) {
        snprintf(why, 256, "the table could not be written");
        rc = ECH_BENCH_WRITE;
    }
    return rc;
}
