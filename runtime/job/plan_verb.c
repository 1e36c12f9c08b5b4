/* `plan`: the first phases of a run on one process, without a run directory: open, sample, probe, shares. */
#include "base/mem.h"
#include "base/verb.h"
#include "config/config.h"
#include "job/attempt.h"
#include "job/sample.h"
#include "job/usage.h"
#include "job/verbs.h"

#include <math.h>
#include <unistd.h>

static const struct ech_option options[] = {
    {"set", "KEY=VALUE", true, "a value that wins over the environment and the file"},
    {"ranks", "N", false, "plan for so many ranks"},
    {"step", "NAME", false, "the step of a file with steps"},
    {"json", NULL, false, "as JSON"},
    {"force", NULL, false, "status 0 also where the job cannot end within resources.time"},
    {0}};
static const struct ech_exit exits[] = {
    {ECH_OK, "the job can run"},
    {ECH_USAGE, NULL},
    {ECH_DATA, NULL},
    {ECH_NOINPUT, NULL},
    {ECH_UNAVAILABLE, "a device or memory is lacking, or the job cannot end within resources.time"},
    {ECH_CONFIG, NULL},
    {0}};

struct opened {
    struct ech_config *config;
    struct ech_dataset *input;
    struct ech_source *source;
    const struct ech_kind_ops *kind;
    struct ech_stream *stream;
    void *weights;
    struct ech_workers workers;      /* of several ranks; count 0: each rank runs the whole model */
    int ranks, nodes, threads, late; /* late: code where the time limit is hopeless */
    double tokens, tokens_a_row, speed;
    int64_t memory;
};

static int open_all(struct opened *o, const struct ech_args *args, struct ech_err *err)
{
    struct ech_config_request request = {.path = args->operands[0],
                                         .sets = ech_args_all(args, "set"),
                                         .env = (const char *const *)environ,
                                         .step = ech_args_get(args, "step")};
    int code = ech_config_load(&request, &o->config, err);
    if (code)
        return code;
    const struct ech_job *job = ech_config_job(o->config);
    int64_t ranks = 0;
    code = ech_args_get_int(args, "ranks", 1, 1 << 20, &ranks, err);
    if (code)
        return code;
    int cores = ech_usage_cores();
    o->nodes = (int)(job->resources.nodes > 0 ? job->resources.nodes : 1);
    int64_t a_node = job->resources.ranks_per_node;
    if (a_node == 0)
        a_node =
            job->resources.threads > 0 ? (cores + job->resources.threads - 1) / job->resources.threads : 1;
    o->ranks = (int)(ranks > 0 ? ranks : a_node * o->nodes);
    o->threads = (int)job->resources.threads;
    if (o->threads == 0)
        o->threads = cores * o->nodes / o->ranks > 1 ? cores * o->nodes / o->ranks : 1;
    if (job->input.dataset)
        code = ech_dataset_open(job->input.dataset, &o->input, err);
    if (!code)
        code = ech_source_open(job, o->input, ech_attempt_texts(job), &o->source, err);
    o->kind = ech_kind_ops_find(job->kind_name);
    struct ech_stream_env env = {.job = job, .source = o->source, .threads = o->threads};
    return code ? code : o->kind->open(&env, &o->stream, err);
}

/* Workers of several ranks: from a layer's speed; the model may not fit this machine as a whole. */
static int measure_workers(struct opened *o, struct ech_engine *engine, struct ech_err *err)
{
    double speed = 0;
    int64_t tokens = (int64_t)(o->tokens_a_row + 0.5);
    int code = ech_stage_probe(engine, tokens, 0.5, &speed, err);
    for (int w = 0; w < o->workers.count; w++)
        o->workers.speed[w] *= speed;
    o->memory = (int64_t)o->kind->workspace_bytes(o->stream);
    return code;
}

static int plan_workers(struct opened *o, struct ech_engine *engine, struct ech_err *err)
{
    const struct ech_job *job = ech_config_job(o->config);
    struct ech_workers_wish wish = {.ranks_per_worker = job->resources.ranks_per_worker,
                                    .memory = job->resources.memory,
                                    .ranks = o->ranks,
                                    .nodes = o->nodes,
                                    .used = (int64_t)o->kind->workspace_bytes(o->stream) + ech_usage_rss()};
    return ech_workers_imagine(engine, &wish, &o->workers, err);
}

static void slow_down(struct opened *o, int a_node)
{
    double crowd = (double)ech_usage_cores() / (a_node * o->threads);
    o->speed *= crowd < 1 ? crowd : 1; /* the probe had the machine to itself */
    for (int w = 0; crowd < 1 && w < o->workers.count; w++)
        o->workers.speed[w] *= crowd;
}

static int measure_whole(struct opened *o, int a_node, struct ech_err *err)
{
    size_t shared = o->kind->shared_bytes(o->stream);
    o->weights = ech_alloc_aligned(shared ? shared : 64, err);
    int code = o->weights ? o->kind->pack(o->stream, o->weights, 0, 1, err) : ECH_UNAVAILABLE;
    if (!code)
        code = o->kind->start(o->stream, err);
    if (!code && ech_source_rows(o->source) > 0)
        code = o->kind->probe(o->stream, o->tokens_a_row, 0.5, &o->speed, err);
    o->memory = (int64_t)o->kind->workspace_bytes(o->stream) + (int64_t)shared / a_node;
    return code;
}

static int measure(struct opened *o, struct ech_err *err)
{
    struct ech_token_sums sums = {0};
    int64_t total = ech_source_rows(o->source);
    int code = ech_sample_tokens(o->kind, o->stream, o->source, 0, 1, &sums, err);
    o->tokens = ech_sample_estimate(&sums, o->source);
    o->tokens_a_row = total > 0 ? o->tokens / (double)total : 1;
    struct ech_engine *engine = o->kind->engine ? o->kind->engine(o->stream) : NULL;
    int a_node = (o->ranks + o->nodes - 1) / o->nodes;
    if (!code && engine)
        code = plan_workers(o, engine, err);
    if (!code)
        code = o->workers.count ? measure_workers(o, engine, err) : measure_whole(o, a_node, err);
    slow_down(o, a_node);
    return code;
}

static int print_plan(struct opened *o, bool json, struct ech_str *text, struct ech_err *err)
{
    const struct ech_job *job = ech_config_job(o->config);
    char host[64] = "";
    gethostname(host, sizeof host - 1);
    bool equal = job->balance.policy == ECH_POLICY_EQUAL;
    struct ech_plan plan = {.kind = job->kind_name,
                            .backend = o->kind->backend(o->stream),
                            .precision = o->kind->precision(o->stream),
                            .numerics = o->kind->numerics(o->stream),
                            .policy = equal ? "equal" : "adaptive",
                            .rows = ech_source_rows(o->source),
                            .tokens = o->tokens,
                            .time_limit = job->resources.time,
                            .time_left = job->resources.time > 0
                                             ? job->resources.time -
                                                   fmin(job->limits.stop_margin, job->resources.time / 2)
                                             : 0,
                            .workers = o->workers.count ? &o->workers : NULL,
                            .nodes = o->nodes};
    plan.ranks = ech_calloc((size_t)o->ranks, sizeof *plan.ranks, err);
    if (!plan.ranks)
        return ECH_UNAVAILABLE;
    for (int r = 0; r < o->ranks; r++) {
        const struct ech_worker_member *m = plan.workers ? &o->workers.member[r] : NULL;
        if (m && m->stage > 0)
            continue; /* its worker's head stands for it */
        plan.ranks[plan.ranks_count++] =
            (struct ech_plan_rank){.rank = r,
                                   .node = (int)((int64_t)r * o->nodes / o->ranks),
                                   .host = host,
                                   .speed = m ? o->workers.speed[m->worker] : o->speed,
                                   .memory = o->memory + (m ? m->bytes / m->sharers : 0)};
    }
    ech_plan_fill(&plan, equal);
    if (json)
        ech_plan_print_json(&plan, text);
    else
        ech_plan_print(&plan, text);
    if (!json && job->resources.launcher == ECH_LAUNCHER_SRUN)
        ech_str_adds(
            text, "launcher srun: a rank's death ends the attempt; the Slurm job goes back into the queue\n");
    int code = ech_str_check(text, err);
    o->late = code ? ECH_OK : ech_plan_check(&plan, err);
    ech_free(plan.ranks);
    return code;
}

/* The plan is told all the same: it says why. */
static int refuse_late(const struct opened *o, struct ech_verb_call *call)
{
    if (o->late && call->text.length &&
        fwrite(call->text.data, 1, call->text.length, call->out) == call->text.length)
        ech_str_clear(&call->text);
    return o->late;
}

static void close_all(struct opened *o)
{
    if (o->stream)
        o->kind->close(o->stream);
    ech_source_close(o->source);
    if (o->input)
        ech_dataset_close(o->input);
    if (o->config)
        ech_config_destroy(o->config);
    ech_free(o->weights);
    ech_workers_fini(&o->workers);
}

static int plan(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err)
{
    struct opened o = {0};
    int code = open_all(&o, args, err);
    if (!code)
        code = measure(&o, err);
    if (!code)
        code = print_plan(&o, ech_args_given(args, "json"), &call->text, err);
    if (!code && !ech_args_given(args, "force"))
        code = refuse_late(&o, call);
    close_all(&o);
    return code;
}

static const struct ech_verb_spec verb = {
    .name = "plan",
    .run = plan,
    .command = {
        .name = "echelon plan",
        .usage = "JOB.yaml [options]",
        .summary =
            "Shares of each rank, memory and expected finish, from a sample of the input and a probe of "
            "this machine.\n"
            "All ranks are taken to be as fast as this machine divided among them. Nothing is written.",
        .options = options,
        .operands_least = 1,
        .operands_most = 1,
        .example = "echelon plan job.yaml --ranks 4",
        .exits = exits}};

int ech_plan_verb(int argc, char **argv, FILE *out, struct ech_err *err)
{
    return ech_verb_spec_run(&verb, argc, argv, NULL, out, err);
}
