/* See measure.h. */
#include "kernels/bench/measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/bench/trial.h"

enum { ROUNDS_MOST = 9 };

/* What the lanes run: a trial each. */
struct job {
    struct ech_trial **trials;
    int count;
    long turns;
    int *status;
};

static void job_work(int lane, void *context)
{
    const struct job *j = context;
    int rc = ECH_OP_OK;
    for (long t = 0; !rc && t < j->turns; t++)
        rc = ech_trial_run(j->trials[lane]);
    int synced = ech_trial_sync(j->trials[lane]);
    j->status[lane] = rc ? rc : synced;
}

struct open_line {
    struct ech_trial *trials[ECH_BENCH_THREADS];
    int status[ECH_BENCH_THREADS];
    int count;
    bool disturbed; /* a round of the last kind had to be taken though it was */
};

static int open_trials(const struct ech_bench_run *run, const struct ech_line *line, struct open_line *o,
                       char *why)
{
    struct ech_trial_options options = {.threads = line->lanes ? 1 : line->threads};
    int count = line->lanes ? line->threads : 1, rc = ECH_OP_OK;
    for (o->count = 0; o->count < count && !rc; o->count += !rc) {
        options.weights_of = o->count ? o->trials[0] : NULL;
        rc = ech_trial_open(run->ops, &line->c, &options, &o->trials[o->count], why);
    }
    return rc;
}

static void close_trials(struct open_line *o)
{
    while (o->count > 0)
        ech_trial_close(o->trials[--o->count]);
}

static void job_ready(void *context)
{
    const struct job *j = context;
    for (int i = 0; i < j->count; i++)
        ech_trial_reset(j->trials[i]);
}

/* Seconds of `turns` calls on every lane; operands that calls overwrite begin anew. */
static double timed(const struct ech_bench_run *run, struct open_line *o, long turns, int *status)
{
    struct job j = {o->trials, o->count, turns, o->status};
    double seconds = ech_crew_calm(run->crew, o->count, job_work, job_ready, &j, &o->disturbed);
    for (int i = 0; i < o->count; i++)
        *status = *status ? *status : o->status[i];
    return seconds;
}

/* Calls in a round. Repeated in place, some functions end in denormals: not many between resets. */
static long turns_of(const struct ech_bench_run *run, const struct ech_line *line, struct open_line *o,
                     int *status)
{
    timed(run, o, 1, status);
    double once = timed(run, o, 2, status) / 2;
    long turns = once > 0 ? (long)(run->round_seconds / once) + 1 : 1;
    bool fades = line->c.op == ECH_CASE_ACTIVATE || line->c.op == ECH_CASE_GATE;
    return fades && turns > 48 ? 48 : turns;
}

static enum ech_limit limit_of(const struct ech_bench_run *run, const struct ech_line *line, double bytes)
{
    if (run->ops->device || strncmp(run->ops->name, "ref", 3) == 0)
        return ECH_LIMIT_NONE;
    if (line->c.copies)
        return ECH_LIMIT_DRAM_READ;
    if (line->rate == ECH_RATE_FLOP)
        return ech_limit_of_format(run->ops, line->c.format);
    return ech_limit_of_bytes(bytes, line->threads);
}

/* --- a device's own limits --- */

static double best_of(struct ech_bench_run *run, const struct ech_line *line, double work)
{
    struct open_line o = {.count = 0};
    char why[256];
    int status = open_trials(run, line, &o, why);
    double best = 0;
    for (int i = 0; !status && i < 5; i++) {
        double rate = work * 4 / timed(run, &o, 4, &status) * 1e-9;
        best = rate > best && i ? rate : best;
    }
    close_trials(&o);
    return status ? 0 : best;
}

static void device_limit(struct ech_bench_run *run, struct ech_line *line)
{
    double *known = line->rate == ECH_RATE_FLOP ? &run->device_product[line->c.format] : &run->device_memory;
    struct ech_line probe = {.threads = 1};
    if (line->rate == ECH_RATE_FLOP)
        probe.c = (struct ech_case){
            .op = ECH_CASE_LINEAR, .format = line->c.format, .rows = 8192, .outputs = 4096, .inner = 4096};
    else
        probe.c =
            (struct ech_case){.op = ECH_CASE_ACTIVATE, .act = ECH_ACT_RELU, .rows = 8192, .inner = 8192};
    if (*known == 0) {
        double bytes = 2.0 * 4 * ech_case_elements(&probe.c), flop = ech_case_flop(&probe.c);
        *known = best_of(run, &probe, flop > 0 ? flop : bytes);
    }
    line->limit_value = *known;
    line->limit_name = line->rate == ECH_RATE_FLOP ? "its 8192 x 4096 x 4096" : "its pass over 256 MiB";
}

/* --- the peer --- */

struct peer_job {
    int64_t m, n, k;
    float *x, *w, *y;
    long turns;
};

static void peer_work(int lane, void *context)
{
    const struct peer_job *p = context;
    for (long t = 0; t < p->turns; t++)
        ech_peer_product(p->m, p->n, p->k, p->x + lane * p->m * p->k, p->w, p->y + lane * p->m * p->n);
}

static void peer_time(const struct ech_bench_run *run, struct ech_line *line, struct peer_job *p)
{
    int lanes = line->lanes ? line->threads : 1;
    double taken[ROUNDS_MOST];
    ech_peer_threads(line->lanes ? 1 : line->threads);
    p->turns = 1;
    ech_crew_run(run->crew, lanes, peer_work, p);
    p->turns = (long)(run->round_seconds / ech_crew_run(run->crew, lanes, peer_work, p)) + 1;
    for (int i = 0; i < run->rounds; i++)
        taken[i] = ech_crew_calm(run->crew, lanes, peer_work, NULL, p, &line->disturbed) / (double)p->turns;
    line->peer = ech_case_flop(&line->c) * lanes / ech_median(taken, run->rounds) * 1e-9;
    ech_peer_threads(1);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL); /* its threads spin for a while */
}

static void measure_peer(const struct ech_bench_run *run, struct ech_line *line)
{
    const struct ech_case *c = &line->c;
    if (!ech_peer_name() || c->op != ECH_CASE_LINEAR || c->format != ECH_FMT_F32 || c->copies ||
        run->ops->device)
        return;
    struct peer_job p = {.m = c->rows, .n = c->outputs, .k = c->inner};
    size_t lanes = line->lanes ? (size_t)line->threads : 1, x = (size_t)(p.m * p.k), w = (size_t)(p.n * p.k),
           y = (size_t)(p.m * p.n);
    float *memory = aligned_alloc(64, ((x + y) * lanes + w + 15) / 16 * 64);
    if (!memory)
        return;
    for (size_t i = 0; i < (x + y) * lanes + w; i++)
        memory[i] = (float)(i % 61) * 0.03f - 0.9f;
    p.x = memory;
    p.w = p.x + x * lanes;
    p.y = p.w + w;
    peer_time(run, line, &p);
    free(memory);
}

/* --- a line --- */

static void rounds(struct ech_bench_run *run, struct ech_line *line, struct open_line *o, double bytes)
{
    double taken[ROUNDS_MOST], probe[ROUNDS_MOST + 1];
    long turns = turns_of(run, line, o, &line->status);
    o->disturbed = false;
    line->limit = limit_of(run, line, bytes);
    line->limit_name = ech_limit_name(line->limit);
    probe[0] = ech_limits_probe(run->limits, line->limit, line->threads);
    for (int i = 0; !line->status && i < run->rounds; i++) {
        taken[i] = timed(run, o, turns, &line->status) / (double)turns;
        probe[i + 1] = ech_limits_probe(run->limits, line->limit, line->threads);
    }
    if (!line->status)
        line->limit_value = ech_median(probe, run->rounds + 1);
    line->disturbed = o->disturbed;
    if (!line->status)
        line->seconds = ech_median(taken, run->rounds);
}

static void conclude(struct ech_line *line, int lanes, double bytes)
{
    double flop = ech_case_flop(&line->c), elements = ech_case_elements(&line->c);
    double a_second = lanes / line->seconds * 1e-9;
    line->value = a_second * (line->rate == ECH_RATE_FLOP    ? flop
                              : line->rate == ECH_RATE_BYTES ? bytes
                                                             : elements);
    double beside = line->rate == ECH_RATE_FLOP ? line->value : a_second * bytes;
    line->share = line->limit_value > 0 ? beside / line->limit_value : 0;
}

int ech_measure(struct ech_bench_run *run, struct ech_line *line, char *why)
{
    struct open_line *o = calloc(1, sizeof *o);
    if (!o) {
        snprintf(why, 256, "out of memory");
        return ECH_BENCH_MEMORY;
    }
    line->status = open_trials(run, line, o, why);
    double bytes = line->status ? 0 : ech_trial_bytes(o->trials[0]);
    if (!line->status)
        rounds(run, line, o, bytes);
    if (!line->status && run->ops->device)
        device_limit(run, line);
    if (!line->status)
        conclude(line, line->lanes ? line->threads : 1, bytes);
    close_trials(o);
    free(o);
    if (!line->status)
        measure_peer(run, line);
    if (!line->status || line->status == ECH_OP_UNSUPPORTED)
        return ECH_BENCH_OK;
    char what[160], text[256];
    snprintf(text, sizeof text, "%s", why);
    snprintf(why, 256, "%.120s answered with status %d %.80s", ech_case_describe(&line->c, what, sizeof what),
             line->status, text);
    return line->status == ECH_OP_MEMORY ? ECH_BENCH_MEMORY : ECH_BENCH_FAILED;
}
