#include "plan/sim_heap.h"

#include "base/mem.h"

static bool before(const struct ech_sim_event *a, const struct ech_sim_event *b)
{
    if (a->at < b->at || a->at > b->at)
        return a->at < b->at;
    return a->kind != b->kind ? a->kind < b->kind : a->id < b->id;
}

int ech_sim_push(struct ech_sim_heap *h, struct ech_sim_event event, struct ech_err *err)
{
    int code = ech_grow((void **)&h->events, &h->capacity, h->count + 1, sizeof *h->events, err);
    if (code)
        return code;
    size_t at = h->count++;
    for (size_t up; at > 0 && before(&event, &h->events[up = (at - 1) / 4]); at = up)
        h->events[at] = h->events[up];
    h->events[at] = event;
    return ECH_OK;
}

bool ech_sim_pop(struct ech_sim_heap *h, struct ech_sim_event *out)
{
    if (h->count == 0)
        return false;
    *out = h->events[0];
    struct ech_sim_event last = h->events[--h->count];
    size_t at = 0;
    for (;;) {
        size_t first = 4 * at + 1, least = first;
        if (first >= h->count)
            break;
        for (size_t i = first + 1; i < first + 4 && i < h->count; i++)
            if (before(&h->events[i], &h->events[least]))
                least = i;
        if (!before(&h->events[least], &last))
            break;
        h->events[at] = h->events[least];
        at = least;
    }
    h->events[at] = last;
    return true;
}
