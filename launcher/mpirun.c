/* The mpirun command line: see mpirun.h. Why each option is there:
 *   --bind-to none, mpi_yield_when_idle   waiting ranks must not hold a core that computes
 *   --oversubscribe                       more ranks than cores is the user's choice
 *   --enable-recovery                     a dead rank leaves the others running
 *   sharedfp ^sm                          parallel I/O after a death does not complain about a shared pointer
 *   plm_rsh_no_tree_spawn   the launch command is needed on this host alone
 *   routed_radix            mpirun is connected to so many daemons itself: nobody would notice the loss of
 *                           one behind another (below the usual limit of 1,024 open files)
 *   oob_tcp_keepalive_*     mpirun and its daemons notice that a host is cut off: a daemon without mpirun
 *                           ends itself and its ranks, whatever these wait for
 *   *_backing_directory, orte_local_tmpdir_base
 *                           all files of one start lie in one folder, removed after it (on other hosts MPI's
 *                           daemon has one of its own: base/daemon_files.h) */
#include "launcher/mpirun.h"

#include "launcher/nodes.h"
#include "launcher/srun.h"

#include "base/num.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_RANKS = 1000000 };
#define DIRECT_DAEMONS "512"

int ech_layout_decide(const struct ech_place *place, const struct ech_asked *asked, struct ech_layout *out,
                      struct ech_err *err)
{
    struct ech_layout l = {.nodes = ech_max64(asked->nodes, 1)};
    int64_t cores = ech_max64(place->machine.cores, 1);
    if (asked->ranks == 0 || asked->ranks < -1 || asked->ranks > MOST_RANKS)
        return ech_fail(err, ECH_USAGE, "--ranks %lld: from 1 to %d ranks can be started",
                        (long long)asked->ranks, MOST_RANKS);
    if (place->allocation && l.nodes > place->nodes)
        return ech_fail(
            err, ECH_UNAVAILABLE,
            "resources.nodes is %lld, the Slurm allocation has %lld: ask for more nodes or lower it",
            (long long)l.nodes, (long long)place->nodes);
    l.per_node = asked->ranks > 0 ? (asked->ranks + l.nodes - 1) / l.nodes
                                  : ech_nodes_ranks(0, NULL, asked, &place->machine);
    l.ranks = asked->ranks > 0 ? asked->ranks : l.per_node * l.nodes;
    if (l.ranks > MOST_RANKS)
        return ech_fail(err, ECH_CONFIG, "resources ask for %lld ranks, %d is the most", (long long)l.ranks,
                        MOST_RANKS);
    int64_t sharing = place->allocation ? l.per_node : l.ranks; /* ranks on one machine */
    l.threads = asked->threads ? asked->threads : ech_max64(cores / sharing, 1);
    *out = l;
    return ECH_OK;
}

int64_t ech_slurm_least_cores(const char *text)
{
    int64_t least = 0;
    while (*text) {
        char *end;
        long long cores = strtoll(text, &end, 10);
        if (end == text || cores < 1)
            return 0;
        least = least ? ech_min64(least, cores) : cores;
        text = end + strcspn(end, ",");
        text += *text == ',';
    }
    return least;
}

void ech_place_find(struct ech_place *out)
{
    const char *nodes = getenv("SLURM_JOB_NUM_NODES"), *cores = getenv("SLURM_JOB_CPUS_PER_NODE");
    int64_t count = 0;
    *out = (struct ech_place){.nodes = 1, .machine = *ech_machine_here()};
    if (!getenv("SLURM_JOB_ID") || !getenv("SLURM_JOB_NODELIST") || !nodes || !ech_parse_int(nodes, &count) ||
        count < 1)
        return;
    out->allocation = true;
    out->nodes = count;
    ech_components_find(out);
    int64_t least = cores ? ech_slurm_least_cores(cores) : 0;
    if (least > 0)
        out->machine.cores = least;
}

static void mca(struct ech_argv *out, const char *name, const char *value)
{
    ech_argv_add(out, "--mca");
    ech_argv_add(out, name);
    ech_argv_add(out, value);
}

/* What was set for us here counts on every host: ssh brings nothing along. */
static void export_settings(struct ech_argv *out)
{
    static const char *const own[] = {"ECH_RUN_DIR=", "ECH_NODE_DIR=", "ECH_START_SECONDS=", "ECH_END_TIME="};
    for (char **e = environ; *e; e++) {
        size_t name = strcspn(*e, "=");
        bool ours = strncmp(*e, "ECH_", 4) == 0 || strncmp(*e, "ECHELON_", 8) == 0 ||
                    strncmp(*e, "LD_LIBRARY_PATH=", 16) == 0 || strncmp(*e, "XDG_CACHE_HOME=", 15) == 0;
        for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
            ours = ours && strncmp(*e, own[i], strlen(own[i])) != 0;
        if (!ours)
            continue;
        ech_argv_add(out, "-x");
        ech_argv_addf(out, "%.*s", (int)name, *e);
    }
}

/* An idle connection is probed after one heartbeat, three times within the next. */
static void keep_alive(double heartbeat_s, struct ech_argv *out)
{
    char idle[24], between[24];
    double most = 3600;
    double beat = heartbeat_s < 1 ? 1 : heartbeat_s < most ? heartbeat_s : most;
    snprintf(idle, sizeof idle, "%.0f", beat);
    snprintf(between, sizeof between, "%.0f", beat < 3 ? 1 : beat / 3);
    mca(out, "oob_tcp_keepalive_time", idle);
    mca(out, "oob_tcp_keepalive_intvl", between);
    mca(out, "oob_tcp_keepalive_probes", "3");
}

void ech_mpirun_command(const struct ech_mpirun *m, struct ech_argv *out)
{
    static const char *const exported[] = {"OMP_WAIT_POLICY", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                                           "ECH_RUN_DIR",     "ECH_NODE_DIR",    "ECH_START_SECONDS"};
    ech_argv_add(out, m->mpirun);
    ech_argv_add(out, "-n");
    ech_argv_addf(out, "%lld", (long long)m->layout->ranks);
    if (m->hosts_file) {
        ech_argv_add(out, "--hostfile");
        ech_argv_add(out, m->hosts_file);
    }
    if (m->launch && m->launch[0]) {
        mca(out, "plm_rsh_agent", m->launch);
        mca(out, "plm_rsh_no_tree_spawn", "1");
    }
    if (m->mpi_prefix) {
        ech_argv_add(out, "--prefix");
        ech_argv_add(out, m->mpi_prefix);
    }
    if (m->recovery)
        ech_argv_add(out, "--enable-recovery");
    ech_argv_add(out, "--oversubscribe");
    ech_argv_add(out, "--bind-to");
    ech_argv_add(out, "none");
    if (m->allocation) /* whose own slots would count, not those of the host file: it has a line a rank */
        ech_argv_add(out, "--map-by");
    if (m->allocation && m->hosts_file)
        ech_argv_add(out, "seq");
    else if (m->allocation)
        ech_argv_addf(out, "ppr:%lld:node", (long long)m->layout->per_node);
    mca(out, "mpi_yield_when_idle", "1");
    mca(out, "sharedfp", "^sm");
    mca(out, "routed_radix", DIRECT_DAEMONS);
    if (m->shm_dir) {
        mca(out, "btl_vader_backing_directory", m->shm_dir);
        mca(out, "osc_sm_backing_directory", m->shm_dir);
        mca(out, "orte_local_tmpdir_base", m->shm_dir);
    }
    if (m->heartbeat_s > 0)
        keep_alive(m->heartbeat_s, out);
    for (size_t i = 0; i < sizeof exported / sizeof exported[0]; i++) {
        ech_argv_add(out, "-x");
        ech_argv_add(out, exported[i]);
    }
    for (char *const *s = m->settings; s && *s; s++) {
        ech_argv_add(out, "-x");
        ech_argv_addf(out, "%.*s", (int)strcspn(*s, "="), *s);
    }
    if (m->hosts_file)
        export_settings(out);
    ech_argv_add(out, m->program);
    ech_argv_add_all(out, m->arguments);
}
