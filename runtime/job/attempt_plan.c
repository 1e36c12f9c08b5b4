/* Planning: tokens from a seeded sample, speeds from a probe, plan.json. */
#include "job/attempt.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "job/sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct rank_speed {
    double speed;
    int64_t memory;
    int node;
    bool rests, cached;
    char host[64];
};

struct ech_probe_ask ech_attempt_probe_ask(const struct ech_attempt *a)
{
    return (struct ech_probe_ask){.kind = a->kind,
                                  .stream = a->stream,
                                  .host = ech_comm_host(a->comm),
                                  .threads = a->threads,
                                  .place = ech_comm_node_rank(a->comm),
                                  .places = ech_comm_node_size(a->comm),
                                  .tokens_a_row = a->sampled_tokens_a_row};
}

static int probe_local(struct ech_attempt *a, struct rank_speed *mine, struct ech_err *err)
{
    bool cached = false;
    int code = ECH_OK, rank = ech_comm_rank(a->comm);
    if (a->job->balance.probe && a->worker) /* its layers were probed when they were cut */
        a->probe.tokens_s =
            ech_worker_heads(a->worker) ? a->workers.speed[a->workers.member[rank].worker] : 0;
    else if (a->job->balance.probe && a->part.works) {
        struct ech_probe_ask ask = ech_attempt_probe_ask(a);
        code = ech_probe_get(&ask, &a->probe, &cached, err);
    }
    *mine = (struct rank_speed){.speed = a->probe.tokens_s,
                                .node = ech_comm_node(a->comm),
                                .rests = !a->part.works,
                                .cached = cached};
    mine->memory = mine->rests ? 0
                               : (int64_t)a->kind->workspace_bytes(a->stream) +
                                     (int64_t)a->shared_bytes / ech_comm_node_size(a->comm);
    strncpy(mine->host, ech_comm_host(a->comm), sizeof mine->host - 1);
    return code;
}

static void plan_events(struct ech_attempt *a, bool cached)
{
    struct ech_str *s = ech_event_begin(a->events, "probe");
    if (s) {
        ech_json_add_float(s, "tokens_per_s", a->probe.tokens_s);
        ech_json_add_float(s, "few_tokens_per_s", a->probe.few_tokens_s);
        ech_json_add_float(s, "weights_bytes_per_s", a->probe.weights_bytes_s);
        ech_json_add_bool(s, "cached", cached);
    }
    ech_event_end(a->events);
    if (ech_comm_rank(a->comm) != 0 || !(s = ech_event_begin(a->events, "plan")))
        return;
    ech_json_add_int(s, "rows", ech_source_rows(a->source));
    ech_json_add_int(s, "rows_done", a->done.rows);
    ech_json_add_float(s, "tokens_estimated", a->dispatch.tokens_job);
    ech_json_add_int(s, "ranks", ech_comm_size(a->comm));
    ech_json_add_int(s, "nodes", ech_comm_nodes(a->comm));
    ech_event_end(a->events);
}

static int keep_hosts(struct ech_attempt *a, const struct rank_speed *all, struct ech_err *err)
{
    int size = ech_comm_size(a->comm);
    a->hosts = ech_calloc((size_t)size, sizeof *a->hosts, err);
    if (!a->hosts)
        return ECH_UNAVAILABLE;
    for (int r = 0; r < size; r++)
        memcpy(a->hosts[r], all[r].host, sizeof a->hosts[r]);
    return ECH_OK;
}

/* A resumed job, one with retries and one that Slurm queues again get on from one time limit to the next. */
static bool must_fit(const struct ech_attempt *a)
{
    return a->job->limits.overrun == ECH_OVERRUN_REFUSE && a->o->attempt == 1 && a->job->retries == 0 &&
           !getenv("SLURM_JOB_ID");
}

/* 0: no limit. What has passed already is a limit, too. */
static double time_left(const struct ech_attempt *a)
{
    return a->deadline > 0 ? fmax(a->deadline - ech_mono_s(), 1e-3) : 0;
}

static const char *speed_from(const struct rank_speed *r)
{
    return !(r->speed > 0) ? NULL : r->cached ? "cached" : "measured";
}

static int write_plan(struct ech_attempt *a, const struct rank_speed *all, struct ech_err *err)
{
    int size = ech_comm_size(a->comm);
    struct ech_plan plan = {.kind = a->job->kind_name,
                            .backend = a->kind->backend(a->stream),
                            .precision = a->kind->precision(a->stream),
                            .numerics = a->kind->numerics(a->stream),
                            .policy = a->job->balance.policy == ECH_POLICY_EQUAL ? "equal" : "adaptive",
                            .rows = ech_source_rows(a->source),
                            .rows_done = a->done.rows,
                            .tokens = a->dispatch.tokens_job,
                            .time_limit = a->job->resources.time,
                            .time_left = time_left(a),
                            .attempt = a->o->attempt,
                            .workers = a->worker ? &a->workers : NULL,
                            .nodes = ech_comm_nodes(a->comm)};
    plan.ranks = ech_calloc((size_t)size, sizeof *plan.ranks, err);
    if (!plan.ranks)
        return ECH_UNAVAILABLE;
    for (int r = 0; r < size; r++)
        if (!a->worker || a->workers.member[r].stage == 0) /* heads stand for their workers */
            plan.ranks[plan.ranks_count++] = (struct ech_plan_rank){.rank = r,
                                                                    .node = all[r].node,
                                                                    .host = all[r].host,
                                                                    .speed = all[r].speed,
                                                                    .speed_from = speed_from(&all[r]),
                                                                    .rests = all[r].rests,
                                                                    .memory = all[r].memory};
    ech_plan_fill(&plan, a->job->balance.policy == ECH_POLICY_EQUAL);
    struct ech_str text;
    ech_str_init(&text);
    ech_plan_print_json(&plan, &text);
    int code = ech_str_check(&text, err);
    char *path = code ? NULL : ech_run_path(err, a->o->run_dir, "%s", ECH_RUN_PLAN);
    code = path ? ech_write_file(path, text.data, text.length, err) : ECH_UNAVAILABLE;
    ech_free(path);
    if (!code && must_fit(a))
        code = ech_plan_check(&plan, err);
    ech_str_fini(&text);
    ech_free(plan.ranks);
    return code;
}

int ech_attempt_plan(struct ech_attempt *a, struct ech_err *err)
{
    struct ech_token_sums sums = {0};
    struct rank_speed mine = {0}, *all = NULL;
    ech_attempt_phase(a, "plan");
    ech_sample_tokens(a->kind, a->stream, a->source, ech_comm_rank(a->comm), ech_comm_size(a->comm), &sums,
                      err);
    int code = ech_agree(a->comm, err);
    if (!code)
        code = ech_sum_i64(a->comm, (int64_t *)(void *)&sums, (int)(sizeof sums / sizeof(int64_t)), err);
    if ((code = ech_agree(a->comm, err)))
        return code;
    double all_rows = (double)ech_source_rows(a->source), rows = all_rows - (double)a->done.rows;
    a->dispatch.tokens_a_row = all_rows > 0 ? ech_sample_estimate(&sums, a->source) / all_rows : 1;
    a->sampled_tokens_a_row = a->dispatch.tokens_a_row;
    a->dispatch.tokens_job = rows * a->dispatch.tokens_a_row;
    ech_attempt_phase(a, "probe");
    code = rows > 0 ? probe_local(a, &mine, err) : ECH_OK;
    all = ech_calloc((size_t)ech_comm_size(a->comm), sizeof *all, err);
    if ((code = ech_agree(a->comm, err)) == ECH_OK)
        code = ech_allgather(a->comm, &mine, sizeof mine, all, err);
    a->dispatch.speed = mine.speed;
    if (!code && ech_comm_rank(a->comm) == 0)
        code = keep_hosts(a, all, err);
    if (!code && ech_comm_rank(a->comm) == 0)
        code = write_plan(a, all, err);
    if (!(code = ech_agree(a->comm, err)))
        plan_events(a, mine.cached);
    ech_free(all);
    return code;
}
