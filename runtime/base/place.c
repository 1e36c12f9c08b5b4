/* Placement: see place.h. */
#include "base/place.h"

#include "base/cores.h"
#include "base/machine.h"
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

static struct machine machine_of(hwloc_topology_t topology, hwloc_const_bitmap_t allowed)
{
    struct machine m = {.topology = topology, .allowed = allowed};
    m.cores = walk(&m, NULL, 0, 0, NULL);
    while (domain_at(&m, m.domains))
        m.domains++;
    return m;
}

int ech_place_domains(hwloc_topology_t topology, hwloc_const_bitmap_t allowed)
{
    return machine_of(topology, allowed).domains;
}

/* --- near GPUs --- */

/* The usable processors of all cores that are near a GPU (index -1: of all). False: no memory. */
static bool near_cores(const struct machine *m, const hwloc_obj_t *gpus, int index, hwloc_bitmap_t set)
{
    hwloc_obj_t place = index < 0 ? NULL : hwloc_get_non_io_ancestor_obj(m->topology, gpus[index]);
    hwloc_bitmap_zero(set);
    walk(m, place, 0, m->cores, set);
    if (hwloc_bitmap_iszero(set)) /* none of them may be used */
        walk(m, NULL, 0, m->cores, set);
    return hwloc_bitmap_and(set, set, m->allowed) == 0;
}

/* Ranks are dealt the cores near their GPUs. */
struct dealing {
    int size, seen_count;
    int seen[ECH_MACHINE_GPUS];
    hwloc_bitmap_t near[ECH_MACHINE_GPUS]; /* of each GPU seen */
    bool dealt[ECH_MACHINE_GPUS];
    hwloc_bitmap_t taken, left;
};

static int gpu_of(const struct dealing *d, int rank)
{
    return rank % d->seen_count;
}

/* Not dealt yet, of the fewest processors: the most particular one chooses first. -1: none is left. */
static int next_group(const struct dealing *d)
{
    int best = -1;
    for (int g = 0; g < d->seen_count && g < d->size; g++)
        if (!d->dealt[g] &&
            (best < 0 || hwloc_bitmap_weight(d->near[g]) < hwloc_bitmap_weight(d->near[best])))
            best = g;
    return best;
}

/* The ranks near what GPU `group` is near share the cores there that nobody has; those of `rank` go to `set`.
 * False: one of them would have too few. */
static bool deal_group(const struct machine *m, struct dealing *d, int group, const struct ech_place_ask *ask,
                       hwloc_bitmap_t set)
{
    int members = 0, mine = -1;
    for (int r = 0; r < d->size; r++)
        if (hwloc_bitmap_isequal(d->near[gpu_of(d, r)], d->near[group])) {
            mine = r == ask->rank ? members : mine;
            members++;
        }
    hwloc_bitmap_andnot(d->left, d->near[group], d->taken);
    struct machine part = *m;
    part.allowed = d->left;
    int cores = walk(&part, NULL, 0, 0, NULL);
    for (int k = 0; k < members; k++) {
        hwloc_bitmap_t one = hwloc_bitmap_alloc();
        if (!one)
            return false;
        walk(&part, NULL, k * cores / members, (k + 1) * cores / members, one);
        hwloc_bitmap_and(one, one, m->allowed);
        bool enough = !hwloc_bitmap_iszero(one) && hwloc_bitmap_weight(one) >= ask->threads;
        if (k == mine)
            hwloc_bitmap_copy(set, one);
        hwloc_bitmap_free(one);
        if (!enough)
            return false;
    }
    hwloc_bitmap_or(d->taken, d->taken, d->left);
    for (int g = 0; g < d->seen_count; g++)
        d->dealt[g] = d->dealt[g] || hwloc_bitmap_isequal(d->near[g], d->near[group]);
    return true;
}

/* False: there is no GPU, or the cores near one are too few; `set` means nothing then. */
static bool take_near(const struct machine *m, const struct ech_place_ask *ask, hwloc_bitmap_t set,
                      int *device)
{
    struct dealing d = {.size = ask->size, .taken = hwloc_bitmap_alloc(), .left = hwloc_bitmap_alloc()};
    hwloc_obj_t gpus[ECH_MACHINE_GPUS];
    d.seen_count = ech_machine_visible(ask->visible, ech_machine_gpus(m->topology, gpus), d.seen);
    bool good = d.seen_count > 0 && d.taken && d.left;
    for (int g = 0; good && g < d.seen_count; g++)
        good = (d.near[g] = hwloc_bitmap_alloc()) && near_cores(m, gpus, d.seen[g], d.near[g]);
    for (int group; good && (group = next_group(&d)) >= 0;)
        good = deal_group(m, &d, group, ask, set);
    if (good)
        *device = d.seen[gpu_of(&d, ask->rank)];
    for (int g = 0; g < d.seen_count; g++)
        hwloc_bitmap_free(d.near[g]);
    hwloc_bitmap_free(d.taken);
    hwloc_bitmap_free(d.left);
    return good;
}

/* --- the decision --- */

static void describe(const struct machine *m, hwloc_const_bitmap_t set, struct ech_placement *out)
{
    out->cores = cores_of(m, set);
    out->numa = domain_of(m, set);
    hwloc_bitmap_list_snprintf(out->text, sizeof out->text, set);
}

/* The equal part of the cores. */
static void take_equal(const struct machine *m, const struct ech_place_ask *ask, hwloc_bitmap_t set,
                       struct ech_placement *out)
{
    int64_t wanted = (int64_t)ask->size * (ask->threads ? ask->threads : 1);
    out->bound = ask->size > 1 && ask->size <= m->cores && wanted <= hwloc_bitmap_weight(m->allowed);
    hwloc_bitmap_zero(set);
    if (out->bound && ask->size < m->domains)
        take_domains(m, ask->rank, ask->size, set);
    else if (out->bound)
        take_part(m, ask->rank, ask->size, set);
    hwloc_bitmap_and(set, set, m->allowed);
    if (hwloc_bitmap_iszero(set) || hwloc_bitmap_weight(set) < ask->threads)
        out->bound = false;
}

void ech_place(hwloc_topology_t topology, hwloc_const_bitmap_t allowed, const struct ech_place_ask *ask,
               hwloc_bitmap_t set, struct ech_placement *out)
{
    struct machine m = machine_of(topology, allowed);
    bool known = ask->rank >= 0 && ask->rank < ask->size;
    *out = (struct ech_placement){.device = -1};
    if (known && ask->devices && take_near(&m, ask, set, &out->device))
        out->bound = !hwloc_bitmap_isequal(set, allowed);
    else if (known)
        take_equal(&m, ask, set, out);
    if (!out->bound)
        hwloc_bitmap_copy(set, allowed);
    describe(&m, set, out);
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

/* Memory of the domain first; threads inherit it. Not strictly: a full domain is no reason to die. */
static bool bind_memory(hwloc_topology_t topology, hwloc_const_bitmap_t allowed, int numa)
{
    struct machine m = machine_of(topology, allowed);
    hwloc_obj_t domain = domain_at(&m, numa);
    return domain && hwloc_set_membind(topology, domain->nodeset, HWLOC_MEMBIND_BIND,
                                       HWLOC_MEMBIND_BYNODESET | HWLOC_MEMBIND_THREAD) == 0;
}

static void bind_as(hwloc_topology_t topology, hwloc_const_bitmap_t allowed, const struct ech_place_ask *ask)
{
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    if (!set)
        return;
    ech_place(topology, allowed, ask, set, &applied);
    if (applied.device >= 0)
        setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID", 0);
    if (applied.bound && hwloc_set_cpubind(topology, set, HWLOC_CPUBIND_PROCESS) != 0)
        applied.bound = false;
    if (applied.bound && applied.numa >= 0)
        applied.memory = bind_memory(topology, allowed, applied.numa);
    decided = true;
    hwloc_bitmap_free(set);
}

void ech_place_apply(int threads)
{
    hwloc_topology_t topology;
    hwloc_bitmap_t allowed;
    const char *bind = getenv("ECH_BIND");
    struct ech_place_ask ask = {.threads = threads,
                                .devices = bind && strcmp(bind, "device") == 0,
                                .visible = getenv("CUDA_VISIBLE_DEVICES")};
    cores_before = ech_usable_cores();
    if ((bind && strcmp(bind, "none") == 0) || !from_environment("OMPI_COMM_WORLD_LOCAL_RANK", &ask.rank) ||
        !from_environment("OMPI_COMM_WORLD_LOCAL_SIZE", &ask.size) || !ech_machine_load(&topology, &allowed))
        return;
    bind_as(topology, allowed, &ask);
    ech_machine_unload(topology, allowed);
}

const struct ech_placement *ech_place_get(void)
{
    return decided ? &applied : NULL;
}

int64_t ech_place_cores(void)
{
    return cores_before ? cores_before : ech_usable_cores();
}
