#include "plan/memory.h"

static bool group_works(const struct ech_memory_rank *ranks, int before, int group)
{
    for (int i = 0; i < before; i++)
        if (ranks[i].works && ranks[i].group == group)
            return true;
    return false;
}

int ech_memory_share(struct ech_memory_rank *ranks, int count, int64_t budget)
{
    int64_t used = 0;
    int working = 0;
    for (int i = 0; i < count; i++)
        used += ranks[i].process;
    for (int i = 0; i < count; i++) {
        struct ech_memory_rank *r = &ranks[i];
        int64_t more = r->workspace + (group_works(ranks, i, r->group) ? 0 : r->weights);
        r->works = r->fits && (budget <= 0 || more <= budget - used);
        used += r->works ? more : 0;
        working += r->works;
    }
    return working;
}

int64_t ech_memory_used(const struct ech_memory_rank *ranks, int count)
{
    int64_t used = 0;
    for (int i = 0; i < count; i++) {
        used += ranks[i].process + (ranks[i].works ? ranks[i].workspace : 0);
        if (ranks[i].works && !group_works(ranks, i, ranks[i].group))
            used += ranks[i].weights;
    }
    return used;
}
