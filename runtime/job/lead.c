/* See lead.h. Order in a turn: finished rows first, then the dead (so that nothing finished is handed out
 * again needlessly), then the report, then what other nodes say. */
#include "job/lead.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "job/wire.h"
#include "job/worker.h"

#include <string.h>

#define REPORT_EVERY_S 0.1 /* at least so often */
#define LOOK_EVERY_S   0.05
#define AWAIT_PART     4    /* of the heartbeat */
#define REPORT_SOON_S  0.02 /* with finished rows or an idle rank, across nodes */

struct ech_lead {
    struct ech_lead_options o;
    int node, nodes, node_size, place, ranks;
    struct ech_spooled *done; /* not reported yet */
    size_t done_count, done_capacity;
    int *dead;
    size_t dead_count, dead_capacity;
    struct ech_rowset todo; /* granted or taken back, waiting for a free slot */
    bool new_leader, awaiting, finished;
    bool looks; /* for ended processes, in this turn */
    double looked_at;
    double reported_at, heard_at, ended_at, listed_at;
    int64_t epoch;
    bool *told; /* nodes that know the final state (coordinator) */
    struct ech_str bytes;
};

int ech_lead_open(const struct ech_lead_options *options, struct ech_lead **out, struct ech_err *err)
{
    struct ech_lead *l = ech_calloc(1, sizeof *l, err);
    if (!l)
        return ECH_UNAVAILABLE;
    struct ech_comm *comm = options->comm;
    l->o = *options;
    l->node = ech_comm_node(comm);
    l->nodes = ech_comm_nodes(comm);
    l->node_size = ech_comm_node_size(comm);
    l->place = ech_comm_node_rank(comm);
    l->ranks = ech_comm_size(comm);
    l->heard_at = ech_mono_s();
    ech_str_init(&l->bytes);
    l->told = ech_calloc((size_t)l->nodes, sizeof *l->told, err);
    if (!l->told) {
        ech_lead_close(l);
        return ECH_UNAVAILABLE;
    }
    l->listed_at = l->heard_at;
    ech_pool_listen(l->o.pool);
    *out = l;
    return ECH_OK;
}

void ech_lead_close(struct ech_lead *l)
{
    if (!l)
        return;
    ech_free(l->done);
    ech_free(l->dead);
    ech_free(l->told);
    ech_rowset_fini(&l->todo);
    ech_str_fini(&l->bytes);
    ech_free(l);
}

static int gather_done(struct ech_lead *l, struct ech_err *err)
{
    struct ech_spooled rows;
    for (int p = 0; p < l->node_size; p++)
        while (ech_pool_take_done(l->o.pool, p, &rows)) {
            int code =
                ech_grow((void **)&l->done, &l->done_capacity, l->done_count + 1, sizeof *l->done, err);
            if (code)
                return code;
            l->done[l->done_count++] = rows;
        }
    return ECH_OK;
}

/* Silent for too long, or its process has ended: that is looked at every LOOK_EVERY_S. */
static bool is_gone(struct ech_lead *l, int place)
{
    if (ech_pool_silence(l->o.pool, place) > l->o.heartbeat)
        return true;
    return l->looks && ech_pool_gone(l->o.pool, place);
}

static int bury(struct ech_lead *l, int place, struct ech_err *err)
{
    int rank = ech_comm_rank_at(l->o.comm, l->node, place);
    if (ech_pool_gone(l->o.pool, place))
        ech_log(ECH_LOG_WARN, "job", "rank %d on %s has ended: its rows are handed out again", rank,
                ech_comm_host(l->o.comm));
    else
        ech_log(ECH_LOG_WARN, "job",
                "rank %d on %s fell silent for %.1f s: declared dead, its rows are handed out again", rank,
                ech_comm_host(l->o.comm), l->o.heartbeat);
    ech_pool_kill(l->o.pool, place);
    ech_comm_abandon(l->o.comm);
    int code = ech_grow((void **)&l->dead, &l->dead_capacity, l->dead_count + 1, sizeof *l->dead, err);
    if (code)
        return code;
    l->dead[l->dead_count++] = rank;
    return ech_pool_claimed(l->o.pool, place, true, &l->todo, err);
}

/* The dead are looked at again: one that wakes in the middle of its turn may claim before it knows. */
static int look_for_dead(struct ech_lead *l, struct ech_err *err)
{
    int code = ECH_OK;
    for (int p = 0; !code && p < l->node_size; p++)
        if (p != l->place && ech_pool_place_dead(l->o.pool, p))
            code = ech_pool_claimed(l->o.pool, p, true, &l->todo, err);
        else if (p != l->place && is_gone(l, p))
            code = bury(l, p, err);
    return code;
}

/* A rank that has been silent for a while is awaited before the last rows are told: once they are, all go on
 * to steps that need every rank which is not known to be dead. */
static bool awaits_somebody(struct ech_lead *l)
{
    for (int p = 0; p < l->node_size; p++)
        if (p != l->place && !ech_pool_place_dead(l->o.pool, p) &&
            ech_pool_silence(l->o.pool, p) > l->o.heartbeat / AWAIT_PART)
            return true;
    return false;
}

/* Does this place claim rows: does it not rest, and is it the head of a whole worker? */
static bool claims(const struct ech_lead *l, int place)
{
    return !ech_pool_place_dead(l->o.pool, place) && !ech_pool_rests(l->o.pool, place) &&
           ech_worker_claims(l->o.workers, ech_comm_rank_at(l->o.comm, l->node, place), l->o.pool);
}

static bool anybody_claims(const struct ech_lead *l)
{
    for (int p = 0; p < l->node_size; p++)
        if (claims(l, p))
            return true;
    return false;
}

/* Rows of broken workers go back into the node's queue; where nobody here may claim them, to the coordinator.
 */
static int give_back(struct ech_lead *l, struct ech_err *err)
{
    int code = ECH_OK;
    for (int p = 0; l->o.workers && !code && p < l->node_size; p++)
        if (!ech_pool_place_dead(l->o.pool, p) && !claims(l, p))
            code = ech_pool_claimed(l->o.pool, p, true, &l->todo, err);
    if (code || !l->o.workers || anybody_claims(l))
        return code;
    int64_t rows = l->todo.rows;
    code = ech_pool_take_back(l->o.pool, &l->todo, err);
    l->new_leader = l->new_leader || rows || l->todo.rows; /* it holds nothing: all of it goes back */
    ech_rowset_fini(&l->todo);
    ech_rowset_init(&l->todo);
    return code;
}

/* Has a rank of the node that may claim nothing to do? */
static bool idle(const struct ech_lead *l, const struct ech_lead_view *view)
{
    if (!l->o.workers || claims(l, l->place))
        return view->idle;
    for (int p = 0; view->idle && p < l->node_size; p++)
        if (claims(l, p) && !ech_pool_holds(l->o.pool, p))
            return true;
    return false;
}

/* Under policy equal each living place gets its own part of a granted range; else anybody may claim it. */
static bool add_to_pool(struct ech_lead *l, struct ech_range range)
{
    int living = 0;
    for (int p = 0; p < l->node_size; p++)
        living += claims(l, p);
    if (!l->o.equal || l->dead_count || ech_pool_epoch(l->o.pool) > 0 || living == 0)
        return ech_pool_add(l->o.pool, range, -1);
    if (ech_pool_free_slots(l->o.pool) < living)
        return false;
    int64_t rows = range.end - range.first;
    for (int p = 0, n = 0; p < l->node_size; p++) {
        if (!claims(l, p))
            continue;
        struct ech_range part = {range.first + rows * n / living, range.first + rows * (n + 1) / living};
        n++;
        if (part.end > part.first)
            ech_pool_add(l->o.pool, part, p);
    }
    return true;
}

static int fill_pool(struct ech_lead *l, struct ech_err *err)
{
    struct ech_range range;
    while (l->todo.rows && ech_rowset_take(&l->todo, INT64_MAX, &range))
        if (!add_to_pool(l, range))
            return ech_rowset_add(&l->todo, range.first, range.end, NULL, err);
    return ECH_OK;
}

static int take_reply(struct ech_lead *l, const struct ech_reply *reply, struct ech_err *err)
{
    int code = ECH_OK;
    for (int i = 0; !code && i < reply->grants_count; i++)
        code = ech_rowset_add(&l->todo, reply->grants[i].first, reply->grants[i].end, NULL, err);
    for (int i = 0; i < reply->dead_count; i++)
        ech_pool_set_dead(l->o.pool, reply->dead[i]);
    if (reply->dead_count)
        ech_comm_abandon(l->o.comm);
    l->epoch = reply->epoch;
    l->heard_at = ech_mono_s();
    l->awaiting = false;
    if (reply->state != ech_pool_state(l->o.pool) || reply->epoch != ech_pool_epoch(l->o.pool))
        ech_pool_set_state(l->o.pool, reply->fenced ? ECH_STATE_ABORT : reply->state, reply->epoch);
    return code;
}

static int answer_myself(struct ech_lead *l, const struct ech_report *report, struct ech_err *err)
{
    struct ech_reply reply;
    int code = ech_coord_report(l->o.coord, ech_mono_s(), report, &reply, err);
    return code ? code : take_reply(l, &reply, err);
}

/* All that the node's living ranks hold, for a coordinator that does not know this leader yet. */
static int list_held(struct ech_lead *l, struct ech_rowset *held, struct ech_err *err)
{
    int code = ech_pool_unclaimed_ranges(l->o.pool, held, err);
    for (int p = 0; !code && p < l->node_size; p++)
        if (!ech_pool_place_dead(l->o.pool, p))
            code = ech_pool_claimed(l->o.pool, p, false, held, err);
    for (size_t i = 0; !code && i < l->done_count; i++) /* where they are kept back: they are no one else's */
        code = ech_rowset_add(held, l->done[i].first, l->done[i].first + l->done[i].rows, NULL, err);
    for (size_t i = 0; !code && i < l->todo.count; i++)
        code = ech_rowset_add(held, l->todo.ranges[i].first, l->todo.ranges[i].end, NULL, err);
    return code;
}

static struct ech_report make_report(struct ech_lead *l, const struct ech_lead_view *view)
{
    double speed = ech_pool_speed(l->o.pool);
    return (struct ech_report){
        .node = l->node,
        .epoch = l->epoch,
        .room = l->todo.rows || !anybody_claims(l)
                    ? 0
                    : ech_pool_free_slots(l->o.pool) / (l->o.equal ? l->node_size : 1),
        .unclaimed = ech_pool_unclaimed(l->o.pool),
        .least = view->least * l->node_size,
        .most = view->most * l->node_size * 4,
        .speed = speed,
        .rows_s = view->tokens_a_row > 0 ? speed / view->tokens_a_row : 0,
        .idle = view->idle,
        .stop = view->stop || ech_pool_stop_asked(l->o.pool),
        .failed = ech_pool_failed(l->o.pool),
        .done = l->done,
        .done_count = (int)l->done_count,
        .dead = l->dead,
        .dead_count = (int)l->dead_count,
        .new_leader = l->new_leader,
    };
}

static int send_report(struct ech_lead *l, const struct ech_lead_view *view, struct ech_err *err)
{
    struct ech_report report = make_report(l, view);
    struct ech_rowset held;
    size_t kept = view->idle && awaits_somebody(l) ? l->done_count : 0;
    report.done_count -= (int)kept;
    ech_rowset_init(&held);
    int code = l->new_leader ? list_held(l, &held, err) : ECH_OK;
    if (l->new_leader)
        l->listed_at = ech_mono_s();
    report.held = held.ranges;
    report.held_count = (int)held.count;
    if (!code && l->o.coord)
        code = answer_myself(l, &report, err);
    else if (!code) {
        ech_str_clear(&l->bytes);
        ech_wire_put_report(&report, &l->bytes);
        code = ech_str_check(&l->bytes, err);
        if (!code)
            code = ech_msg_send(l->o.comm, 0, ECH_TAG_REPORT, l->bytes.data, l->bytes.length, err);
        l->awaiting = true;
    }
    ech_rowset_fini(&held);
    l->done_count = kept;
    l->dead_count = 0;
    l->new_leader = false;
    l->reported_at = ech_mono_s();
    return code;
}

static bool report_is_due(const struct ech_lead *l, const struct ech_lead_view *view)
{
    double since = ech_mono_s() - l->reported_at;
    bool news = l->done_count || l->dead_count || view->idle || view->stop || ech_pool_failed(l->o.pool);
    if (l->o.coord)
        return news || since > REPORT_SOON_S;
    return !l->awaiting &&
           (since > REPORT_EVERY_S || (news && since > REPORT_SOON_S) || l->done_count > 1000);
}

/* --- the coordinator's side of the messages --- */

static int answer(struct ech_lead *l, int from, const void *data, size_t bytes, struct ech_err *err)
{
    struct ech_report report;
    struct ech_reply reply;
    int code = ech_wire_get_report(data, bytes, l->nodes, l->ranks, &report, err);
    if (code)
        return code;
    code = ech_coord_report(l->o.coord, ech_mono_s(), &report, &reply, err);
    if (!code) {
        ech_str_clear(&l->bytes);
        ech_wire_put_reply(&reply, &l->bytes);
        code = ech_str_check(&l->bytes, err);
    }
    if (!code)
        code = ech_msg_send(l->o.comm, from, ECH_TAG_REPLY, l->bytes.data, l->bytes.length, err);
    if (!code && reply.state != ECH_STATE_RUN)
        l->told[report.node] = true;
    ech_wire_report_fini(&report);
    return code;
}

static int hear(struct ech_lead *l, struct ech_err *err)
{
    int from, tag, code = ECH_OK;
    void *data;
    size_t bytes;
    while (!code && ech_msg_poll(l->o.comm, &from, &tag, &data, &bytes)) {
        struct ech_reply reply;
        if (tag == ECH_TAG_REPORT && l->o.coord)
            code = answer(l, from, data, bytes, err);
        else if (tag == ECH_TAG_REPLY) {
            code = ech_wire_get_reply(data, bytes, l->ranks, &reply, err);
            if (!code)
                code = take_reply(l, &reply, err);
        }
        ech_free(data);
    }
    return code;
}

static bool node_lives(const struct ech_lead *l, int node)
{
    for (int r = 0; r < l->ranks; r++)
        if (ech_comm_node_of(l->o.comm, r) == node && ech_coord_alive(l->o.coord, r))
            return true;
    return false;
}

/* Do all living nodes know the final state? One that has died just now is not waited for beyond the deadline.
 */
static bool all_told(struct ech_lead *l)
{
    if (l->ended_at == 0)
        l->ended_at = ech_mono_s();
    if (ech_mono_s() - l->ended_at > 2 * l->o.heartbeat)
        return true;
    for (int n = 0; n < l->nodes; n++)
        if (n != l->node && !l->told[n] && node_lives(l, n))
            return false;
    return true;
}

/* --- followers --- */

static bool seems_alive(struct ech_lead *l, int place)
{
    bool gone = is_gone(l, place); /* always: silence is counted by looking */
    return !ech_pool_place_dead(l->o.pool, place) && !gone;
}

/* A silent leader is followed by the next living place; a silent coordinator by nobody. All places before
 * this one are listened to all the time: the next in line may have died with the leader, or before it. */
static int watch_leader(struct ech_lead *l, bool *silent, struct ech_err *err)
{
    int leader = ech_pool_leader(l->o.pool);
    bool first = true;
    for (int p = 0; p < l->place; p++)
        first = !(seems_alive(l, p) && p != leader) && first;
    if (seems_alive(l, leader))
        return ECH_OK;
    if (ech_comm_rank_at(l->o.comm, l->node, leader) == 0) {
        *silent = true;
        return ECH_OK;
    }
    if (!first) /* it is an earlier one's turn */
        return ECH_OK;
    ech_pool_lead(l->o.pool);
    l->new_leader = true;
    l->heard_at = ech_mono_s();
    return bury(l, leader, err);
}

static int lead_node(struct ech_lead *l, const struct ech_lead_view *view, struct ech_err *err)
{
    struct ech_lead_view here = *view;
    int code = gather_done(l, err);
    if (!code)
        code = look_for_dead(l, err);
    if (!code)
        code = give_back(l, err);
    here.idle = idle(l, view);
    /* Nothing left to do, and yet the job is not done: what the coordinator believes this node to hold is
     * compared with what it holds, in case a rank took rows to its grave. */
    if (!code && here.idle && !l->awaiting && ech_mono_s() - l->listed_at > l->o.heartbeat)
        l->new_leader = true;
    if (!code && report_is_due(l, &here))
        code = send_report(l, &here, err);
    if (!code)
        code = fill_pool(l, err);
    return code;
}

int ech_lead_turn(struct ech_lead *l, const struct ech_lead_view *view, bool *finished, bool *silent,
                  struct ech_err *err)
{
    int code = ECH_OK;
    double now = ech_mono_s();
    *silent = false;
    l->looks = ech_pool_state(l->o.pool) <= ECH_STATE_RUN && now - l->looked_at > LOOK_EVERY_S;
    l->looked_at = l->looks ? now : l->looked_at;
    bool leader = ech_pool_leader(l->o.pool) == l->place;
    if (!leader)
        code = watch_leader(l, silent, err);
    else if (ech_pool_state(l->o.pool) <= ECH_STATE_RUN)
        code = lead_node(l, view, err);
    if (!code && (leader || l->o.coord))
        code = hear(l, err);
    if (!code && l->o.coord)
        code = ech_coord_tick(l->o.coord, ech_mono_s(), err);
    if (leader && !l->o.coord && ech_mono_s() - l->heard_at > 2 * l->o.heartbeat)
        *silent = true;
    enum ech_state state = ech_pool_state(l->o.pool);
    *silent = *silent || state == ECH_STATE_ABORT;
    if (*silent)
        ech_pool_set_state(l->o.pool, ECH_STATE_ABORT, ech_pool_epoch(l->o.pool));
    *finished = state > ECH_STATE_RUN && (!l->o.coord || all_told(l));
    return code;
}
