/* Starting ranks by srun. Why each option is there:
 *   --mpi=pmix            what Open MPI speaks; other plugins do not start it
 *   --kill-on-bad-exit=0  ranks that stop in time end one after the other, with a status that is not 0
 *   --cpus-per-task       srun does not take it from the allocation, and would bind each task to one core
 *   --het-group           one component each, all of them one world
 *   --distribution=arbitrary   unlike nodes: SLURM_HOSTFILE has a line a rank */
#include "launcher/srun.h"

#include "base/num.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RANKS = 1000000 };

/* NAME_HET_GROUP_<group> as a number, `fallback` where it is none. */
static int64_t number_of(const char *name, int group, int64_t fallback)
{
    char key[96];
    int64_t value;
    snprintf(key, sizeof key, "%s_HET_GROUP_%d", name, group);
    const char *text = getenv(key);
    return text && ech_parse_int(text, &value) && value > 0 ? value : fallback;
}

void ech_components_find(struct ech_place *place)
{
    const char *text = getenv("SLURM_HET_SIZE");
    int64_t size = 0;
    if (!text || !ech_parse_int(text, &size) || size < 2)
        return;
    place->components = size > ECH_MOST_COMPONENTS ? -1 : (int)size;
    for (int i = 0; i < place->components; i++) {
        struct ech_component *c = &place->component[i];
        c->nodes = number_of("SLURM_JOB_NUM_NODES", i, 1);
        c->tasks = number_of("SLURM_NTASKS", i, c->nodes);
        c->cpus = number_of("SLURM_CPUS_PER_TASK", i, 0);
    }
}

int ech_layout_components(const struct ech_place *place, struct ech_layout *out, struct ech_err *err)
{
    struct ech_layout l = {.threads = 0};
    if (place->components < 0)
        return ech_fail(err, ECH_CONFIG, "the Slurm job has more than %d components", ECH_MOST_COMPONENTS);
    for (int i = 0; i < place->components; i++) {
        const struct ech_component *c = &place->component[i];
        int64_t threads = ech_max64(c->cpus, 1);
        l.nodes += c->nodes;
        l.ranks += c->tasks;
        l.per_node = ech_max64(l.per_node, (c->tasks + c->nodes - 1) / c->nodes);
        l.threads = l.threads ? ech_min64(l.threads, threads) : threads;
    }
    if (l.ranks > MOST_RANKS)
        return ech_fail(err, ECH_CONFIG, "the Slurm job has %lld tasks, %d is the most", (long long)l.ranks,
                        MOST_RANKS);
    *out = l;
    return ECH_OK;
}

static void put_common(const char *srun, struct ech_argv *out)
{
    if (srun)
        ech_argv_add(out, srun);
    ech_argv_add(out, "--mpi=pmix");
    ech_argv_add(out, "--kill-on-bad-exit=0");
}

static void put_component(const struct ech_mpirun *m, const struct ech_place *place, int group,
                          struct ech_argv *out)
{
    const struct ech_component *c = &place->component[group];
    if (group)
        ech_argv_add(out, ":");
    put_common(group ? NULL : m->mpirun, out);
    ech_argv_addf(out, "--het-group=%d", group);
    ech_argv_addf(out, "--ntasks=%lld", (long long)c->tasks);
    ech_argv_addf(out, "--cpus-per-task=%lld", (long long)ech_max64(c->cpus, 1));
    ech_argv_addf(out, "--export=ALL,OMP_NUM_THREADS=%lld", (long long)ech_max64(c->cpus, 1));
    ech_argv_add(out, m->program);
    ech_argv_add_all(out, m->arguments);
}

void ech_srun_command(const struct ech_mpirun *m, const struct ech_place *place, struct ech_argv *out)
{
    for (int i = 0; i < place->components; i++)
        put_component(m, place, i, out);
    if (place->components)
        return;
    put_common(m->mpirun, out);
    if (m->exclude)
        ech_argv_addf(out, "--exclude=%s", m->exclude);
    ech_argv_addf(out, "--nodes=%lld", (long long)m->layout->nodes);
    ech_argv_addf(out, "--ntasks=%lld", (long long)m->layout->ranks);
    if (m->hosts_file)
        ech_argv_add(out, "--distribution=arbitrary");
    else
        ech_argv_addf(out, "--ntasks-per-node=%lld", (long long)m->layout->per_node);
    ech_argv_addf(out, "--cpus-per-task=%lld", (long long)m->layout->threads);
    ech_argv_add(out, "--export=ALL");
    ech_argv_add(out, m->program);
    ech_argv_add_all(out, m->arguments);
}

void ech_srun_settings(const char *shm_dir, const char *hosts_file, struct ech_argv *out)
{
    if (hosts_file)
        ech_argv_addf(out, "SLURM_HOSTFILE=%s", hosts_file);
    ech_argv_add(out, "OMPI_MCA_mpi_yield_when_idle=1");
    ech_argv_add(out, "OMPI_MCA_sharedfp=^sm");
    ech_argv_addf(out, "OMPI_MCA_btl_vader_backing_directory=%s", shm_dir);
    ech_argv_addf(out, "OMPI_MCA_osc_sm_backing_directory=%s", shm_dir);
}
