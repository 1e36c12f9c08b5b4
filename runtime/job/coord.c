#include "job/coord.h"

#include "base/mem.h"
#include "base/num.h"
#include "plan/lease.h"

#include <string.h>

struct node {
    struct ech_rowset held; /* granted, not known to be safe */
    double speed, rows_s, heard;
    int ranks;
    bool alive, granted_once;
};

struct ech_coord {
    enum ech_state state;
    int64_t epoch, rows, tokens, errors, max_errors, equal_rows;
    double deadline;
    bool equal;
    int nodes_count, ranks;
    int *node_of;
    bool *alive; /* by rank */
    struct node *nodes;
    struct ech_rowset done, todo, copied;
};

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
    int code = c->nodes && c->alive && c->node_of ? ECH_OK : ECH_UNAVAILABLE;
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
    ech_free(c);
}

/* Rows of a range that are not done yet go back to the front of the queue. */
static int put_back(struct ech_coord *c, int64_t first, int64_t end, struct ech_err *err)
{
    struct ech_range gap;
    int code = ECH_OK;
    for (int64_t at = first; !code && ech_rowset_gap(&c->done, at, end, &gap); at = gap.end)
        code = ech_rowset_add(&c->todo, gap.first, gap.end, NULL, err);
    return code;
}

static int put_back_held(struct ech_coord *c, struct node *n, struct ech_err *err)
{
    int code = ECH_OK;
    for (size_t i = 0; !code && i < n->held.count; i++)
        code = put_back(c, n->held.ranges[i].first, n->held.ranges[i].end, err);
    ech_rowset_fini(&n->held);
    ech_rowset_init(&n->held);
    return code;
}

static int mark_done(struct ech_coord *c, int node, const struct ech_spooled *s, struct ech_err *err)
{
    int64_t end = s->first + s->rows, added = 0;
    int code = ech_rowset_add(&c->done, s->first, end, &added, err);
    if (code)
        return code;
    bool sole = ech_rowset_has(&c->nodes[node].held, s->first, end) && c->copied.rows == 0 && c->epoch == 0;
    for (int n = 0; !code && n < c->nodes_count; n++)
        if (n == node || !sole)
            code = ech_rowset_remove(&c->nodes[n].held, s->first, end, err);
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
    c->epoch++;
    struct node *n = &c->nodes[c->node_of[rank]];
    if (--n->ranks > 0)
        return ECH_OK; /* its leader hands the dead rank's claims out again */
    n->alive = false;
    return put_back_held(c, n, err);
}

static int kill_node(struct ech_coord *c, int node, struct ech_err *err)
{
    int code = ECH_OK;
    for (int r = 0; !code && r < c->ranks; r++)
        if (c->node_of[r] == node)
            code = kill_rank(c, r, err);
    return code;
}

static double living_speed(const struct ech_coord *c, int *nodes, int *ranks)
{
    double sum = 0;
    *nodes = *ranks = 0;
    for (int n = 0; n < c->nodes_count; n++)
        if (c->nodes[n].alive) {
            sum += c->nodes[n].speed;
            *ranks += c->nodes[n].ranks;
            (*nodes)++;
        }
    return sum;
}

static bool all_granted(const struct ech_coord *c)
{
    for (int n = 0; n < c->nodes_count; n++)
        if (c->nodes[n].alive && !c->nodes[n].granted_once)
            return false;
    return true;
}

/* Rows to grant to a node that reports: see coord.h. Under policy equal only what comes back is balanced. */
static int64_t grant_size(const struct ech_coord *c, const struct ech_report *r)
{
    const struct node *n = &c->nodes[r->node];
    int nodes, ranks;
    double sum = living_speed(c, &nodes, &ranks);
    if (nodes == 1)
        return c->todo.rows;
    double share = sum > 0 && n->speed > 0 ? n->speed / sum : (double)n->ranks / ranks;
    if (c->equal && !n->granted_once)
        return c->equal_rows * n->ranks / ranks + 1;
    if (c->equal && !all_granted(c))
        return 0;
    double low = n->rows_s > 0 ? 2 * n->rows_s : (double)(2 * r->least);
    if ((double)r->unclaimed >= ech_max64((int64_t)low, r->least))
        return 0;
    struct ech_lease_view view = {c->todo.rows, share, r->least, ech_max64(r->most, r->least)};
    return ech_lease_rows(&view);
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
        n->granted_once = true;
        int code = ech_rowset_add(&n->held, range.first, range.end, NULL, err);
        if (code)
            return code;
    }
    return ECH_OK;
}

/* Seconds that a node needs for what it holds; 0 where its speed is not known. */
static double backlog(const struct node *n)
{
    return n->rows_s > 0 ? (double)n->held.rows / n->rows_s : 0;
}

/* The tail: an idle node runs rows that the slowest node holds too, from their end, each row copied once. */
static int grant_copy(struct ech_coord *c, const struct ech_report *r, struct ech_reply *reply,
                      struct ech_err *err)
{
    struct node *slowest = NULL, *me = &c->nodes[r->node];
    for (int i = 0; i < c->nodes_count; i++) {
        struct node *n = &c->nodes[i];
        if (i != r->node && n->alive && n->held.count && (!slowest || backlog(n) > backlog(slowest)))
            slowest = n;
    }
    if (!slowest || !(me->rows_s > 0) || !(backlog(slowest) > 1.0))
        return ECH_OK;
    struct ech_range last = slowest->held.ranges[slowest->held.count - 1];
    double part = me->rows_s / (me->rows_s + slowest->rows_s);
    int64_t rows = ech_max64(r->least, (int64_t)((double)(last.end - last.first) * part));
    last.first = ech_max64(last.first, last.end - rows);
    if (ech_rowset_has(&c->copied, last.end - 1, last.end))
        return ECH_OK;
    reply->grants[reply->grants_count++] = last;
    int code = ech_rowset_add(&c->copied, last.first, last.end, NULL, err);
    return code ? code : ech_rowset_add(&me->held, last.first, last.end, NULL, err);
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

static void next_state(struct ech_coord *c, const struct ech_report *r)
{
    if (c->state != ECH_STATE_RUN)
        return;
    if (c->errors > c->max_errors || r->failed) /* before DONE: the last rows may be the ones too many */
        c->state = ECH_STATE_FAIL;
    else if (c->done.rows == c->rows)
        c->state = ECH_STATE_DONE;
    else if (r->stop)
        c->state = ECH_STATE_STOP;
}

int ech_coord_report(struct ech_coord *c, double now, const struct ech_report *r, struct ech_reply *reply,
                     struct ech_err *err)
{
    struct node *n = &c->nodes[r->node];
    memset(reply, 0, sizeof *reply);
    int code = ECH_OK;
    if (n->alive) {
        n->heard = now;
        n->speed = r->speed;
        n->rows_s = r->rows_s;
        if (r->new_leader)
            code = take_new_leader(c, r, err);
        for (int i = 0; !code && i < r->done_count; i++)
            code = mark_done(c, r->node, &r->done[i], err);
        for (int i = 0; !code && i < r->dead_count; i++)
            code = kill_rank(c, r->dead[i], err);
        next_state(c, r);
        if (!code && c->state == ECH_STATE_RUN)
            code = grant(c, r, reply, err);
        if (!code && c->state == ECH_STATE_RUN && r->idle && !reply->grants_count && !c->equal &&
            c->todo.rows == 0)
            code = grant_copy(c, r, reply, err);
    }
    reply->fenced = !n->alive;
    reply->state = c->state;
    reply->epoch = c->epoch;
    reply->news = c->epoch != r->epoch;
    reply->left_rows = c->rows - c->done.rows;
    return code;
}

int ech_coord_tick(struct ech_coord *c, double now, struct ech_err *err)
{
    int code = ECH_OK;
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
    return c->epoch;
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
