#include "job/ranks.h"

#include "base/mem.h"
#include "plan/memory.h"

#include <string.h>

enum { PAGE = 4096 };

/* The facts of this rank's node, in order of place. */
struct node {
    int count, mine;
    struct ech_rank_facts **facts;
    struct ech_memory_rank *ranks;
};

/* Ranks that pack alike have the number of the first of them. */
static int group_of(const struct node *n, int place)
{
    for (int p = 0; p < place; p++)
        if (strcmp(n->facts[p]->way, n->facts[place]->way) == 0)
            return p;
    return place;
}

static void decide_node(struct node *n, int64_t budget)
{
    for (int p = 0; p < n->count; p++) {
        const struct ech_rank_facts *f = n->facts[p];
        n->ranks[p] = (struct ech_memory_rank){.process = f->process,
                                               .workspace = f->workspace,
                                               .weights = f->weights,
                                               .group = group_of(n, p),
                                               .fits = f->fits};
    }
    ech_memory_share(n->ranks, n->count, budget);
    for (int p = 0; p < n->count; p++)
        n->facts[p]->works = n->ranks[p].works;
}

static bool group_works(const struct node *n, int group)
{
    for (int p = 0; p < n->count; p++)
        if (n->ranks[p].group == group && n->ranks[p].works)
            return true;
    return false;
}

/* One packed copy a group, one after the other. */
static void place_weights(const struct node *n, struct ech_rank_part *out)
{
    int mine = n->ranks[n->mine].group;
    for (int p = 0; p < n->count; p++) {
        int group = n->ranks[p].group;
        bool first = group == p && group_works(n, group);
        if (group == mine && group_works(n, group)) {
            out->part += p < n->mine;
            out->parts++;
        }
        if (first && group == mine)
            out->offset = out->shared_bytes;
        if (first)
            out->shared_bytes += ((size_t)n->facts[p]->weights + PAGE - 1) & ~(size_t)(PAGE - 1);
    }
}

int ech_rank_parts(struct ech_comm *comm, struct ech_rank_facts *all, int64_t budget,
                   struct ech_rank_part *out, struct ech_err *err)
{
    int size = ech_comm_size(comm);
    struct node n = {.facts = ech_calloc((size_t)size, sizeof *n.facts, err),
                     .ranks = ech_calloc((size_t)size, sizeof *n.ranks, err)};
    int code = n.facts && n.ranks ? ECH_OK : ECH_UNAVAILABLE;
    *out = (struct ech_rank_part){0};
    for (int rank = 0; !code && rank < size; rank++)
        if (ech_comm_node_of(comm, rank) == ech_comm_node(comm))
            n.facts[n.count++] = &all[rank];
    if (!code) {
        n.mine = ech_comm_node_rank(comm);
        decide_node(&n, budget);
        place_weights(&n, out);
    }
    out->works = !code && all[ech_comm_rank(comm)].works;
    ech_free(n.facts);
    ech_free(n.ranks);
    return code;
}

int ech_block_add_text(struct ech_block *block, const char *text, struct ech_err *err)
{
    int count = block->columns_count;
    struct ech_cells *columns = ech_calloc((size_t)count + 1, sizeof *columns, err);
    if (!columns)
        return ECH_UNAVAILABLE;
    memcpy(columns, block->columns, (size_t)(count - 1) * sizeof *columns);
    columns[count] = block->columns[count - 1];
    ech_free(block->columns);
    block->columns = columns;
    block->columns_count = count + 1;
    int code = ECH_OK;
    for (int64_t i = 0; !code && i < block->rows; i++)
        code = ech_cells_add(&columns[count - 1], text, strlen(text), err);
    return code;
}
