/* Placement: see place.h. */
#include "base/place.h"

#include "base/cores.h"
#include "base/num.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Domains and cores that may be used, in the topology's order. */
struct machine {
    hwloc_topology_t topology;
    hwloc_const_bitmap_t allowed;
    int cores, domains;
};

static bool usable(const struct machine *m, hwloc_obj_t obj)
{
    return hwloc_bitmap_intersects(obj->cpuset, m->allowed);
}

static bool inside(hwloc_obj_t core, hwloc_obj_t domain)
{
    return !domain || hwloc_bitmap_intersects(core->cpuset, domain->cpuset);
}

/* Usable cores of a domain (NULL: of all). Those numbered from..to-1 among them are added to `set`. */
static int walk(const struct machine *m, hwloc_obj_t domain, int from, int to, hwloc_bitmap_t set)
{
    int count = 0, all = hwloc_get_nbobjs_by_type(m->topology, HWLOC_OBJ_CORE);
    for (int i = 0; i < all; i++) {
        hwloc_obj_t core = hwloc_get_obj_by_type(m->topology, HWLOC_OBJ_CORE, (unsigned)i);
        if (!usable(m, core) || !inside(core, domain))
            continue;
        if (set && count >= from && count < to)
            hwloc_bitmap_or(set, set, core->cpuset);
        count++;
    }
    return count;
}

static hwloc_obj_t node_at(const struct machine *m, int i)
{
    return hwloc_get_obj_by_type(m->topology, HWLOC_OBJ_NUMANODE, (unsigned)i);
}

/* Memory beside the cores' own (HBM, a GPU's, CXL) is a node with the cores of others: equal ones count once,
 * one that holds another's not at all. */
static bool is_domain(const struct machine *m, int which, int all)
{
    hwloc_obj_t node = node_at(m, which);
    bool domain = usable(m, node);
    for (int i = 0; domain && i < all; i++) {
        hwloc_obj_t other = node_at(m, i);
        bool equal = hwloc_bitmap_isequal(other->cpuset, node->cpuset);
        if (i != which && usable(m, other) && hwloc_bitmap_isincluded(other->cpuset, node->cpuset))
            domain = equal && which < i;
    }
    return domain;
}

/* The n-th domain with usable cores; NULL beyond the last. */
static hwloc_obj_t domain_at(const struct machine *m, int n)
{
    int all = hwloc_get_nbobjs_by_type(m->topology, HWLOC_OBJ_NUMANODE);
    for (int i = 0; i < all; i++)
        if (is_domain(m, i, all) && n-- == 0)
            return node_at(m, i);
    return NULL;
}

/* Fewer ranks than domains: whole domains. */
static void take_domains(const struct machine *m, int rank, int size, hwloc_bitmap_t set)
{
    for (int d = rank * m->domains / size; d < (rank + 1) * m->domains / size; d++)
        hwloc_bitmap_or(set, set, domain_at(m, d)->cpuset);
}

/* A rank belongs to the domain in which the middle of its part lies, so a domain has at most as many ranks as
 * cores; these share its cores. */
static void take_part(const struct machine *m, int rank, int size, hwloc_bitmap_t set)
{
    int64_t before = 0;
    for (int d = 0; d < (m->domains ? m->domains : 1); d++) {
        hwloc_obj_t domain = domain_at(m, d);
        int cores = walk(m, domain, 0, 0, NULL), first = size, count = 0;
        for (int r = 0; r < size; r++) {
            int64_t middle = (2 * (int64_t)r + 1) * m->cores;
            if (middle < before * 2 * size || middle >= (before + cores) * 2 * size)
                continue;
            first = count++ ? first : r;
        }
        if (rank >= first && rank < first + count) {
            int k = rank - first;
            walk(m, domain, k * cores / count, (k + 1) * cores / count, set);
            return;
        }
        before += cores;
    }
}

static int domain_of(const struct machine *m, hwloc_const_bitmap_t set)
{
    for (int d = 0; d < m->domains; d++)
        if (hwloc_bitmap_isincluded(set, domain_at(m, d)->cpuset))
            return d;
    return -1;
}

static int cores_of(const struct machine *m, hwloc_const_bitmap_t set)
{
    struct machine part = *m;
    part.allowed = set;
    return walk(&part, NULL, 0, 0, NULL);
}

void ech_place(hwloc_topology_t topology, hwloc_const_bitmap_t allowed, int local_rank, int local_size,
               int threads, hwloc_bitmap_t set, struct ech_placement *out)
{
    struct machine m = {.topology = topology, .allowed = allowed};
    m.cores = walk(&m, NULL, 0, 0, NULL);
    while (domain_at(&m, m.domains))
        m.domains++;
    int processors = hwloc_bitmap_weight(allowed);
    int64_t wanted = (int64_t)local_size * (threads ? threads : 1);
    bool fits = local_rank >= 0 && local_rank < local_size && local_size <= m.cores && wanted <= processors;
    *out = (struct ech_placement){.bound = fits && local_size > 1};
    hwloc_bitmap_zero(set);
    if (out->bound && local_size < m.domains)
        take_domains(&m, local_rank, local_size, set);
    else if (out->bound)
        take_part(&m, local_rank, local_size, set);
    hwloc_bitmap_and(set, set, allowed);
    if (hwloc_bitmap_iszero(set) || hwloc_bitmap_weight(set) < threads)
        out->bound = false;
    if (!out->bound)
        hwloc_bitmap_copy(set, allowed);
    out->cores = cores_of(&m, set);
    out->numa = domain_of(&m, set);
    hwloc_bitmap_list_snprintf(out->text, sizeof out->text, set);
}

static struct ech_placement applied;
static bool decided;
static int64_t cores_before;

static bool from_environment(const char *name, int *out)
{
    int64_t number;
    const char *text = getenv(name);
    if (!text || !ech_parse_int(text, &number) || number < 0 || number > 1000000)
        return false;
    *out = (int)number;
    return true;
}

void ech_place_apply(int threads)
{
    hwloc_topology_t topology;
    int rank, size;
    const char *bind = getenv("ECH_BIND");
    cores_before = ech_usable_cores();
    if ((bind && strcmp(bind, "none") == 0) || !from_environment("OMPI_COMM_WORLD_LOCAL_RANK", &rank) ||
        !from_environment("OMPI_COMM_WORLD_LOCAL_SIZE", &size) || hwloc_topology_init(&topology) != 0)
        return;
    hwloc_bitmap_t allowed = hwloc_bitmap_alloc(), set = hwloc_bitmap_alloc();
    if (allowed && set && hwloc_topology_load(topology) == 0 &&
        hwloc_get_cpubind(topology, allowed, HWLOC_CPUBIND_PROCESS) == 0) {
        hwloc_bitmap_and(allowed, allowed, hwloc_topology_get_allowed_cpuset(topology));
        ech_place(topology, allowed, rank, size, threads, set, &applied);
        if (applied.bound && hwloc_set_cpubind(topology, set, HWLOC_CPUBIND_PROCESS) != 0)
            applied.bound = false;
        decided = true;
    }
    hwloc_bitmap_free(allowed);
    hwloc_bitmap_free(set);
    hwloc_topology_destroy(topology);
}

const struct ech_placement *ech_place_get(void)
{
    return decided ? &applied : NULL;
}

int64_t ech_place_cores(void)
{
    return cores_before ? cores_before : ech_usable_cores();
}
