#include "plan/backlog.h"

#include "base/mem.h"

int ech_backlog_init(struct ech_backlog *b, int nodes, struct ech_err *err)
{
    *b = (struct ech_backlog){.count = nodes};
    b->order = ech_calloc((size_t)nodes, sizeof *b->order, err);
    b->place = ech_calloc((size_t)nodes, sizeof *b->place, err);
    b->seconds = ech_calloc((size_t)nodes, sizeof *b->seconds, err);
    if (!b->order || !b->place || !b->seconds) {
        ech_backlog_fini(b);
        return ECH_UNAVAILABLE;
    }
    for (int n = 0; n < nodes; n++)
        b->order[n] = b->place[n] = n;
    return ECH_OK;
}

void ech_backlog_fini(struct ech_backlog *b)
{
    ech_free(b->order);
    ech_free(b->place);
    ech_free(b->seconds);
    *b = (struct ech_backlog){0};
}

static void put(struct ech_backlog *b, int at, int node)
{
    b->order[at] = node;
    b->place[node] = at;
}

void ech_backlog_set(struct ech_backlog *b, int node, double seconds)
{
    int at = b->place[node];
    b->seconds[node] = seconds;
    while (at > 0 && b->seconds[b->order[(at - 1) / 2]] < seconds) {
        put(b, at, b->order[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (int child; (child = 2 * at + 1) < b->count; at = child) {
        if (child + 1 < b->count && b->seconds[b->order[child + 1]] > b->seconds[b->order[child]])
            child++;
        if (!(b->seconds[b->order[child]] > seconds))
            break;
        put(b, at, b->order[child]);
    }
    put(b, at, node);
}

int ech_backlog_most(const struct ech_backlog *b, int not_this)
{
    int most = b->count ? b->order[0] : -1;
    if (most == not_this) { /* the next is below the root */
        most = b->count > 1 ? b->order[1] : -1;
        if (b->count > 2 && b->seconds[b->order[2]] > b->seconds[most])
            most = b->order[2];
    }
    return most >= 0 && b->seconds[most] > 0 ? most : -1;
}
