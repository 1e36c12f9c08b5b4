/* `--ops math`: exp, erf, tanh and log over every float, shared out among the threads. */
#include <stdatomic.h>
#include <stdlib.h>

#include "kernels/bench/math_errors.h"
#include "kernels/bench/print.h"
#include "kernels/ref/mathf.h"

enum { CHUNK_BITS = 22, CHUNKS = 1 << (32 - CHUNK_BITS) };

struct sweep {
    uint64_t stride;
    atomic_int next;
    FILE *notice;
    struct ech_math_errors *worst; /* of each lane */
};

static void work(int lane, void *context)
{
    struct sweep *s = context;
    for (int chunk; (chunk = atomic_fetch_add(&s->next, 1)) < CHUNKS;) {
        uint64_t first = (uint64_t)chunk << CHUNK_BITS, last = first + ((uint64_t)1 << CHUNK_BITS);
        first += (s->stride - first % s->stride) % s->stride;
        ech_math_errors(first, last, s->stride, &s->worst[lane]);
        if (s->notice && s->stride == 1 && chunk % 128 == 127)
            fprintf(s->notice, "%d %% of all floats\n", (chunk + 1) * 100 / CHUNKS);
    }
}

struct row {
    const char *what;
    double seen, bound;
};

static bool put_row(const struct row *r, bool json, bool first, FILE *out)
{
    bool holds = r->seen <= r->bound;
    if (json)
        fprintf(out, "%s    {\"error\": \"%s\", \"worst\": %.4g, \"bound\": %.4g, \"holds\": %s}",
                first ? "" : ",\n", r->what, r->seen, r->bound, holds ? "true" : "false");
    else
        fprintf(out, "| %s | %.4g | %.4g | %s |\n", r->what, r->seen, r->bound, holds ? "yes" : "NO");
    return holds;
}

static bool put(const struct ech_math_errors *w, uint64_t stride, bool json, FILE *out)
{
    const struct row rows[] = {
        {"exp, relative", w->exp_relative, ECH_EXP_ERROR},
        {"exp, denormal results, units of 2^-149", w->exp_denormal, 1},
        {"erf, absolute", w->erf_absolute, ECH_ERF_ERROR},
        {"erf, relative", w->erf_relative, ECH_ERF_RELATIVE},
        {"tanh, relative", w->tanh_relative, ECH_TANH_ERROR},
        {"log, relative", w->log_relative, ECH_LOG_ERROR},
        {"results that are not what they must be (NaN, infinity, 1)", (double)w->broken, 0},
    };
    bool holds = true;
    if (json)
        fprintf(out, "{\"stride\": %d, \"math\": [\n", (int)stride);
    else
        fprintf(out,
                "# exp, erf, tanh, log beside libm in double, at %s float\n\n"
                "| error | worst | bound | holds |\n|---|---|---|---|\n",
                stride == 1 ? "every" : "every 257th");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        holds = put_row(&rows[i], json, i == 0, out) && holds;
    fputs(json ? "\n  ]}\n" : "\n", out);
    return holds;
}

static void most(double *worst, double other)
{
    if (!(other <= *worst))
        *worst = other;
}

static void gather(struct ech_math_errors *all, const struct ech_math_errors *one)
{
    most(&all->exp_relative, one->exp_relative);
    most(&all->exp_denormal, one->exp_denormal);
    most(&all->erf_absolute, one->erf_absolute);
    most(&all->erf_relative, one->erf_relative);
    most(&all->tanh_relative, one->tanh_relative);
    most(&all->log_relative, one->log_relative);
    all->broken += one->broken;
}

int ech_print_math(int threads, bool quick, bool json, FILE *out, FILE *notice, char *why)
{
    struct sweep s = {.stride = quick ? 257 : 1, .notice = notice};
    struct ech_crew *crew = ech_crew_open(threads);
    struct ech_math_errors all = {0};
    s.worst = calloc((size_t)threads, sizeof *s.worst);
    bool lacking = !crew || !s.worst, holds = true;
    if (!lacking) {
        ech_crew_run(crew, threads, work, &s);
        for (int i = 0; i < threads; i++)
            gather(&all, &s.worst[i]);
        holds = put(&all, s.stride, json, out);
    }
    ech_crew_close(crew);
    free(s.worst);
    if (lacking || !holds)
        snprintf(why, 256, lacking ? "cannot start %d threads" : "an error exceeds its bound (%d threads)",
                 threads);
    return lacking ? ECH_BENCH_MEMORY : holds ? ECH_BENCH_OK : ECH_BENCH_FAILED;
}
