/* What a rank holds: who works within the memory of its node, and the weights packed by all that do. */
#include "job/attempt.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "comm/watchdog.h"
#include "job/usage.h"

#include <stdio.h>

static void gather_facts(const struct ech_attempt *a, struct ech_rank_facts *out)
{
    *out = (struct ech_rank_facts){.process = ech_usage_rss(),
                                   .workspace = (int64_t)a->kind->workspace_bytes(a->stream),
                                   .weights = (int64_t)a->kind->shared_bytes(a->stream),
                                   .node = ech_comm_node(a->comm),
                                   .fits = true};
    snprintf(out->numerics, sizeof out->numerics, "%s", a->kind->numerics(a->stream));
    snprintf(out->way, sizeof out->way, "%s/%s", a->kind->backend(a->stream), a->kind->precision(a->stream));
}

/* Who works, within the memory of its node. A job in which nobody can is refused. Collective. */
static int share_memory(struct ech_attempt *a, struct ech_err *err)
{
    char needs[32], has[32], w[32], s[32], p[32];
    struct ech_rank_facts mine, *all = ech_calloc((size_t)ech_comm_size(a->comm), sizeof *all, err);
    gather_facts(a, &mine);
    int code = ech_agree(a->comm, err);
    if (!code)
        code = ech_allgather(a->comm, &mine, sizeof mine, all, err);
    if (!code)
        code = ech_rank_parts(a->comm, all, a->memory, &a->part, err);
    ech_free(all);
    int64_t working = a->part.works;
    if (!(code = ech_agree(a->comm, err)))
        code = ech_sum_i64(a->comm, &working, 1, err);
    int64_t need = mine.weights + mine.workspace + mine.process * ech_comm_node_size(a->comm);
    ech_print_bytes(need, needs, sizeof needs);
    ech_print_bytes(a->memory, has, sizeof has);
    ech_print_bytes(mine.weights, w, sizeof w);
    ech_print_bytes(mine.workspace, s, sizeof s);
    ech_print_bytes(mine.process, p, sizeof p);
    if (!code && working == 0)
        return ech_fail(
            err, ECH_UNAVAILABLE,
            "no rank can work within resources.memory (%s a node): one working rank needs %s (weights %s, "
            "its workspace %s, %d processes of %s): give more memory, fewer threads%s or fewer ranks a node",
            has, needs, w, s, ech_comm_node_size(a->comm), p,
            a->job->kind->as_stored ? ", a smaller options.context" : "");
    if (!code && !a->part.works)
        ech_log(ECH_LOG_WARN, "job",
                "this rank rests: with its workspace of %s the node would need more than resources.memory "
                "(%s): give more memory, fewer threads or fewer ranks a node",
                s, has);
    return code;
}

static void model_event(struct ech_attempt *a)
{
    struct ech_str *s = ech_event_begin(a->events, "model");
    if (s) {
        ech_json_add_int(s, "packed_bytes", (int64_t)a->shared_bytes);
        ech_json_add_int(s, "workspace_bytes",
                         a->part.works ? (int64_t)a->kind->workspace_bytes(a->stream) : 0);
        ech_json_add_bool(s, "works", a->part.works);
    }
    ech_event_end(a->events);
}

int ech_attempt_memory(struct ech_attempt *a, struct ech_err *err)
{
    int place = ech_comm_node_rank(a->comm), places = ech_comm_node_size(a->comm);
    ech_attempt_phase(a, "memory");
    int code = ech_attempt_workers(a, err);
    struct ech_segment segment = {0};
    a->part.works = true;
    if (!code && !a->worker) {
        share_memory(a, err);
        segment = (struct ech_segment){a->part.shared_bytes, a->part.offset, a->part.part, a->part.parts};
    }
    code = ech_agree(a->comm, err);
    if (code)
        return code;
    if (a->worker)
        ech_attempt_segment(a, &segment);
    a->shared_bytes = segment.bytes;
    a->pool_bytes = ech_pool_bytes(places, ech_comm_size(a->comm));
    /* Two collectives of the node; a failure in one is agreed before the next. */
    ech_shm_open(a->comm, a->shared_bytes ? a->shared_bytes : 64, &a->shared, err);
    if ((code = ech_agree(a->comm, err)))
        return code;
    ech_shm_open(a->comm, a->pool_bytes, &a->pool_memory, err);
    if ((code = ech_agree(a->comm, err)))
        return code;
    code = ech_pool_open(a->pool_memory, places, ech_comm_size(a->comm), place, &a->pool, err);
    if (!code && !a->part.works)
        ech_pool_rest(a->pool);
    if (!code && segment.parts > 0)
        code = a->kind->pack(a->stream, (char *)a->shared + segment.offset, segment.part, segment.parts, err);
    if ((code = ech_agree(a->comm, err))) /* also the barrier behind which all parts are packed */
        return code;
    if (a->part.works)
        a->kind->start(a->stream, err);
    model_event(a);
    code = ech_agree(a->comm, err);
    ech_staging_close(a->staging); /* all have loaded, or the job ends */
    a->staging = NULL;
    return code;
}
