#include "job/coord.h"

#include "base/mem.h"
#include "base/num.h"
#include "plan/backlog.h"
#include "plan/grant.h"

#include <string.h>

#define AWAIT_PART 8   /* of the deadline: leaders report some ten times a second */
#define TICK_S     1.0 /* the nodes' silence is looked at so often */

struct node {
    struct ech_rowset held; /* granted, not known to be safe */
    double speed, rows_s, heard;
    int ranks, first; /* living; its place in ranks_of */
    bool alive, granted_once;
};

struct ech_coord {
    enum ech_state state;
    int64_t rows, tokens, errors, max_errors, equal_rows;
    double deadline, ticked;
    bool equal;
    int nodes_count, ranks;
    double speed; /* of the living nodes, kept up with each report and death */
    int living_nodes, living_ranks, ungranted;
    int *node_of, *ranks_of; /* by rank; ranks in the order of their nodes */
    bool *alive;             /* by rank */
    int *died, deaths;       /* ranks in the order of their deaths: the epoch is their number */
    struct ech_backlog backlog;
    struct node *nodes;
    struct ech_rowset done, todo, copied;
};

/* Ranks node by node, so that a node's death walks its own alone. */
static void list_ranks(struct ech_coord *c)
{
    int first = 0;
    for (int r = 0; r < c->ranks; r++)
        c->nodes[c->node_of[r]].first++;
    for (int n = 0; n < c->nodes_count; n++) {
        int ranks = c->nodes[n].first;
        c->nodes[n].first = first;
        first += ranks;
    }
    for (int r = 0; r < c->ranks; r++)
        c->ranks_of[c->nodes[c->node_of[r]].first++] = r;
    for (int n = c->nodes_count; n-- > 0;)
        c->nodes[n].first = n ? c->nodes[n - 1].first : 0;
}

int ech_coord_create(const struct ech_coord_options *o, struct ech_coord **out, struct ech_err *err)
{
    struct ech_coord *c = ech_calloc(1, sizeof *c, err);
    if (!c)
        return ECH_UNAVAILABLE;
    c->nodes_count = o->nodes;
    c->ranks = o->ranks;
    c->rows = o->rows;
    c->equal = o->equal;
    c->errors = o->errors_before;
    c->max_errors = o->max_errors;
    c->deadline = o->node_deadline;
    c->state = ECH_STATE_RUN;
    c->nodes = ech_calloc((size_t)o->nodes, sizeof *c->nodes, err);
    c->alive = ech_calloc((size_t)o->ranks, sizeof *c->alive, err);
    c->node_of = ech_calloc((size_t)o->ranks, sizeof *c->node_of, err);
    c->ranks_of = ech_calloc((size_t)o->ranks, sizeof *c->ranks_of, err);
    c->died = ech_calloc((size_t)o->ranks, sizeof *c->died, err);
    int code = c->nodes && c->alive && c->node_of && c->ranks_of && c->died ? ECH_OK : ECH_UNAVAILABLE;
    if (!code)
        code = ech_backlog_init(&c->backlog, o->nodes, err);
    if (!code && o->rows > 0)
        code = ech_rowset_add(&c->todo, 0, o->rows, NULL, err);
    for (size_t i = 0; !code && o->done && i < o->done->count; i++) {
        code = ech_rowset_add(&c->done, o->done->ranges[i].first, o->done->ranges[i].end, NULL, err);
        if (!code)
            code = ech_rowset_remove(&c->todo, o->done->ranges[i].first, o->done->ranges[i].end, err);
    }
    if (code) {
        ech_coord_destroy(c);
        return code;
    }
    for (int r = 0; r < o->ranks; r++) {
        struct node *n = &c->nodes[o->node_of[r]];
        c->node_of[r] = o->node_of[r];
        c->alive[r] = !o->alive || o->alive[r];
        n->ranks += c->alive[r];
        n->alive = n->ranks > 0;
        n->heard = o->now;
    }
    list_ranks(c);
    for (int n = 0; n < c->nodes_count; n++) {
        c->living_nodes += c->nodes[n].alive;
        c->living_ranks += c->nodes[n].ranks;
    }
    c->ungranted = c->living_nodes;
    c->equal_rows = c->todo.rows;
    if (c->done.rows == c->rows)
        c->state = ECH_STATE_DONE;
    if (c->errors > c->max_errors)
        c->state = ECH_STATE_FAIL;
    *out = c;
    return ECH_OK;
}

void ech_coord_destroy(struct ech_coord *c)
{
    if (!c)
        return;
    for (int n = 0; c->nodes && n < c->nodes_count; n++)
        ech_rowset_fini(&c->nodes[n].held);
    ech_rowset_fini(&c->done);
    ech_rowset_fini(&c->todo);
    ech_rowset_fini(&c->copied);
    ech_free(c->nodes);
    ech_free(c->alive);
    ech_free(c->node_of);
    ech_free(c->ranks_of);
    ech_free(c->died);
    ech_backlog_fini(&c->backlog);
    ech_free(c);
}

static void weigh(struct ech_coord *c, int node)
{
    const struct node *n = &c->nodes[node];
    ech_backlog_set(&c->backlog, node, n->alive ? ech_backlog_s(n->held.rows, n->rows_s) : 0);
}

static int put_back_held(struct ech_coord *c, struct node *n, struct ech_err *err)
{
    return ech_grant_put_back(&n->held, &c->done, &c->todo, err);
}

static int mark_done(struct ech_coord *c, int node, const struct ech_spooled *s, struct ech_err *err)
{
    int64_t end = s->first + s->rows, added = 0;
    int code = ech_rowset_add(&c->done, s->first, end, &added, err);
    if (code)
        return code;
    /* Rows that the node holds and that nobody got a copy of are in no other set. */
    struct ech_range gap;
    bool uncopied =
        ech_rowset_gap(&c->copied, s->first, end, &gap) && gap.first == s->first && gap.end == end;
    bool sole = uncopied && ech_rowset_has(&c->nodes[node].held, s->first, end);
    if (sole)
        code = ech_rowset_remove(&c->nodes[node].held, s->first, end, err);
    for (int n = 0; !sole && !code && n < c->nodes_count; n++) {
        int64_t before = c->nodes[n].held.rows;
        code = ech_rowset_remove(&c->nodes[n].held, s->first, end, err);
        if (before != c->nodes[n].held.rows)
            weigh(c, n);
    }
    if (!code && !sole)
        code = ech_rowset_remove(&c->todo, s->first, end, err);
    if (added == s->rows) { /* a second copy counts neither tokens nor errors again */
        c->tokens += s->tokens;
        c->errors += s->errors;
    }
    return code;
}

static int kill_rank(struct ech_coord *c, int rank, struct ech_err *err)
{
    if (!c->alive[rank])
        return ECH_OK;
    c->alive[rank] = false;
    c->died[c->deaths++] = rank;
    struct node *n = &c->nodes[c->node_of[rank]];
    c->living_ranks--;
    if (--n->ranks > 0)
        return ECH_OK; /* its leader hands the dead rank's claims out again */
    n->alive = false;
    c->living_nodes--;
    c->ungranted -= !n->granted_once;
    c->speed = c->living_nodes ? c->speed - n->speed : 0;
    weigh(c, c->node_of[rank]);
    return put_back_held(c, n, err);
}

static int kill_node(struct ech_coord *c, int node, struct ech_err *err)
{
    int code = ECH_OK;
    int end = node + 1 < c->nodes_count ? c->nodes[node + 1].first : c->ranks;
    for (int i = c->nodes[node].first; !code && i < end; i++)
        code = kill_rank(c, c->ranks_of[i], err);
    return code;
}

/* Rows to grant to a node that reports: see coord.h. Under policy equal only what comes back is balanced. */
static int64_t grant_size(const struct ech_coord *c, const struct ech_report *r)
{
    const struct node *n = &c->nodes[r->node];
    struct ech_grant_view view = {.left = c->todo.rows,
                                  .unclaimed = r->unclaimed,
                                  .least = r->least,
                                  .most = r->most,
                                  .rows_s = n->rows_s,
                                  .share = ech_grant_share(n->speed, c->speed, n->ranks, c->living_ranks),
                                  .alone = c->living_nodes == 1};
    if (c->equal && !view.alone && !n->granted_once)
        return c->equal_rows * n->ranks / c->living_ranks + 1;
    if (c->equal && !view.alone && c->ungranted > 0)
        return 0;
    return ech_grant_rows(&view);
}

static int grant(struct ech_coord *c, const struct ech_report *r, struct ech_reply *reply,
                 struct ech_err *err)
{
    int64_t left = grant_size(c, r);
    struct node *n = &c->nodes[r->node];
    struct ech_range range;
    int room = r->room < 8 ? r->room : 8;
    while (left > 0 && reply->grants_count < room && ech_rowset_take(&c->todo, left, &range)) {
        reply->grants[reply->grants_count++] = range;
        left -= range.end - range.first;
        c->ungranted -= !n->granted_once;
        n->granted_once = true;
        int code = ech_rowset_add(&n->held, range.first, range.end, NULL, err);
        if (code)
            return code;
    }
    return ECH_OK;
}

/* The tail: an idle node runs rows that the slowest node holds too, from their end, each row copied once. */
static int grant_copy(struct ech_coord *c, const struct ech_report *r, struct ech_reply *reply,
                      struct ech_err *err)
{
    struct node *me = &c->nodes[r->node];
    int slowest = ech_backlog_most(&c->backlog, r->node);
    struct ech_range copy;
    if (slowest < 0)
        return ECH_OK;
    struct ech_tail_view view = {.held = &c->nodes[slowest].held,
                                 .copied = &c->copied,
                                 .mine = me->rows_s,
                                 .theirs = c->nodes[slowest].rows_s,
                                 .least = r->least};
    if (!ech_tail_copy(&view, &copy))
        return ECH_OK;
    reply->grants[reply->grants_count++] = copy;
    int code = ech_rowset_add(&c->copied, copy.first, copy.end, NULL, err);
    return code ? code : ech_rowset_add(&me->held, copy.first, copy.end, NULL, err);
}

static int take_new_leader(struct ech_coord *c, const struct ech_report *r, struct ech_err *err)
{
    struct node *n = &c->nodes[r->node];
    int code = put_back_held(c, n, err);
    for (int i = 0; !code && i < r->held_count; i++) {
        code = ech_rowset_add(&n->held, r->held[i].first, r->held[i].end, NULL, err);
        if (!code)
            code = ech_rowset_remove(&c->todo, r->held[i].first, r->held[i].end, err);
    }
    return code;
}

/* A node that has been silent for a while is awaited before the job is done: once it is, all go on to steps
 * that need every rank which is not known to be dead. */
static bool awaits_node(const struct ech_coord *c, double now)
{
    for (int n = 0; n < c->nodes_count; n++)
        if (c->nodes[n].alive && now - c->nodes[n].heard > c->deadline / AWAIT_PART)
            return true;
    return false;
}

static void next_state(struct ech_coord *c, double now, const struct ech_report *r)
{
    if (c->state != ECH_STATE_RUN)
        return;
    if (c->errors > c->max_errors || r->failed) /* before DONE: the last rows may be the ones too many */
        c->state = ECH_STATE_FAIL;
    else if (c->done.rows == c->rows && !awaits_node(c, now))
        c->state = ECH_STATE_DONE;
    else if (r->stop)
        c->state = ECH_STATE_STOP;
}

/* Whom the node does not know to be dead yet; all of them where its count cannot be this coordinator's. */
static void tell_dead(const struct ech_coord *c, const struct ech_report *r, struct ech_reply *reply)
{
    int known = r->epoch >= 0 && r->epoch <= c->deaths ? (int)r->epoch : 0;
    reply->epoch = c->deaths;
    reply->dead = c->died + known;
    reply->dead_count = c->deaths - known;
}

int ech_coord_report(struct ech_coord *c, double now, const struct ech_report *r, struct ech_reply *reply,
                     struct ech_err *err)
{
    struct node *n = &c->nodes[r->node];
    memset(reply, 0, sizeof *reply);
    int code = ECH_OK;
    if (n->alive) {
        n->heard = now;
        c->speed += r->speed - n->speed;
        n->speed = r->speed;
        n->rows_s = r->rows_s;
        if (r->new_leader)
            code = take_new_leader(c, r, err);
        for (int i = 0; !code && i < r->done_count; i++)
            code = mark_done(c, r->node, &r->done[i], err);
        for (int i = 0; !code && i < r->dead_count; i++)
            code = kill_rank(c, r->dead[i], err);
        next_state(c, now, r);
        if (!code && c->state == ECH_STATE_RUN)
            code = grant(c, r, reply, err);
        if (!code && c->state == ECH_STATE_RUN && r->idle && !reply->grants_count && !c->equal &&
            c->todo.rows == 0)
            code = grant_copy(c, r, reply, err);
        weigh(c, r->node);
    }
    reply->fenced = !n->alive;
    reply->state = c->state;
    tell_dead(c, r, reply);
    return code;
}

int ech_coord_tick(struct ech_coord *c, double now, struct ech_err *err)
{
    int code = ECH_OK;
    if (now - c->ticked < TICK_S && now - c->ticked < c->deadline / 8)
        return ECH_OK;
    c->ticked = now;
    for (int n = 0; !code && c->state == ECH_STATE_RUN && n < c->nodes_count; n++)
        if (c->nodes[n].alive && !(now - c->nodes[n].heard <= c->deadline))
            code = kill_node(c, n, err);
    return code;
}

enum ech_state ech_coord_state(const struct ech_coord *c)
{
    return c->state;
}

int64_t ech_coord_epoch(const struct ech_coord *c)
{
    return c->deaths;
}

bool ech_coord_alive(const struct ech_coord *c, int rank)
{
    return c->alive[rank];
}

const struct ech_rowset *ech_coord_done(const struct ech_coord *c)
{
    return &c->done;
}

int64_t ech_coord_tokens(const struct ech_coord *c)
{
    return c->tokens;
}

int64_t ech_coord_errors(const struct ech_coord *c)
{
    return c->errors;
}
