/* Hosts of an attempt: see attempt_impl.h. */
#include "launcher/attempt_impl.h"

#include "launcher/allocation.h"
#include "launcher/rundirs.h"
#include "launcher/verbs.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"

#include <stdlib.h>

enum { HOSTS_BYTES = 16 << 20 };
#define PROBE_S 10 /* a host that runs nothing within this is not there */

/* In an allocation whose nodes are alike: all of them, but not before there is a history. */
static int read_allocation(struct ech_attempt *a, struct ech_err *err)
{
    const char *list = getenv("SLURM_JOB_NODELIST");
    return list && a->number > 1 && !a->ready->place.components
               ? ech_nodes_of_list(list, a->layout.per_node, &a->hosts, err)
               : ECH_OK;
}

/* Those of --hosts and --cluster; the allocation's; else mpirun's default host file names them. */
static int read_hosts(struct ech_attempt *a, struct ech_err *err)
{
    const char *path = getenv("OMPI_MCA_orte_default_hostfile");
    char *text = NULL;
    const struct ech_nodes *nodes = &a->ready->nodes;
    for (size_t i = 0; i < nodes->hosts.count; i++) {
        int grown =
            ech_grow((void **)&a->hosts.items, &a->hosts.capacity, i + 1, sizeof *a->hosts.items, err);
        if (grown != ECH_OK)
            return grown;
        a->hosts.items[a->hosts.count++] = nodes->hosts.items[i];
    }
    if (a->hosts.count == 0 && a->ready->place.allocation)
        return read_allocation(a, err);
    if (a->hosts.count || !path || !*path)
        return ECH_OK;
    int code = ech_read_file(path, HOSTS_BYTES, &text, NULL, err);
    if (code == ECH_OK)
        code = ech_hosts_parse(text, &a->hosts, err);
    ech_free(text);
    return code != ECH_OK ? ech_prefix(err, "host file %s", path) : ECH_OK;
}

static int probe_hosts(struct ech_attempt *a, struct ech_err *err)
{
    const char *agent =
        a->ready->nodes.launch.length ? a->ready->nodes.launch.data : getenv("OMPI_MCA_plm_rsh_agent");
    return a->hosts.count && !a->ready->place.allocation
               ? ech_hosts_probe(&a->hosts, agent && *agent ? agent : "ssh", PROBE_S, err)
               : ECH_OK;
}

static int64_t slots_of(const struct ech_hosts *hosts, int64_t *nodes)
{
    int64_t slots = 0;
    *nodes = 0;
    for (size_t i = 0; i < hosts->count; i++)
        if (!ech_host_out(&hosts->items[i])) {
            slots += hosts->items[i].slots;
            ++*nodes;
        }
    return slots;
}

/* An allocation may have more nodes than the job asks for: others take the place of those that are out. */
static void use_fewer(struct ech_attempt *a)
{
    int64_t nodes, slots = slots_of(&a->hosts, &nodes);
    if (!a->ready->place.allocation) {
        a->layout.ranks = ech_hosts_ranks(&a->hosts, a->layout.ranks);
        return;
    }
    a->layout.ranks = ech_min64(a->layout.ranks, slots);
    a->layout.nodes = ech_min64(a->layout.nodes, nodes);
    for (size_t i = 0; i < a->hosts.count; i++)
        if (ech_host_out(&a->hosts.items[i]))
            ech_str_addf(&a->exclude, "%s%s", a->exclude.length ? "," : "", a->hosts.items[i].name);
}

/* Who is in is written down for mpirun, who is out is named, and the ranks are fewer by their part. */
static int use_hosts(struct ech_attempt *a, struct ech_err *err)
{
    struct ech_str out;
    ech_str_init(&out);
    ech_hosts_tell_out(&a->hosts, &out);
    use_fewer(a);
    int code = ech_str_check(&out, err);
    if (code == ECH_OK)
        code = ech_str_check(&a->exclude, err);
    if (code == ECH_OK && a->layout.ranks == 0)
        code = ech_fail(err, ECH_REQUEUE, "no host is left: %s", out.data);
    if (code == ECH_OK && out.length)
        ech_say("attempt %d leaves out %s: %lld rank%s", a->number, out.data, (long long)a->layout.ranks,
                a->layout.ranks == 1 ? "" : "s");
    a->hosts_path = code == ECH_OK ? ech_run_path(err, a->run_dir, "hosts-%d", a->number) : NULL;
    if (code == ECH_OK && !a->hosts_path)
        code = ECH_UNAVAILABLE;
    else if (code == ECH_OK)
        code = a->ready->place.allocation ? ech_hosts_write_ranks(&a->hosts, a->hosts_path, err)
                                          : ech_hosts_write(&a->hosts, false, a->hosts_path, err);
    ech_str_fini(&out);
    return code;
}

/* Nodes of an allocation that are alike and all in are left to mpirun or srun. */
static bool needs_hosts(const struct ech_attempt *a)
{
    bool needs = !a->ready->place.allocation || a->ready->nodes.hosts.count;
    for (size_t i = 0; i < a->hosts.count; i++)
        needs = needs || ech_host_out(&a->hosts.items[i]);
    return needs;
}

int ech_attempt_choose_hosts(struct ech_attempt *a, struct ech_err *err)
{
    a->layout = a->ready->layout;
    int code = read_hosts(a, err);
    if (code != ECH_OK || a->hosts.count == 0)
        return code;
    code = ech_hosts_history(&a->hosts, a->run_dir, a->number - 1, err);
    if (code == ECH_OK && a->number > 1)
        code = probe_hosts(a, err);
    if (code == ECH_OK && ech_session_pending_signal()) /* who did not answer until then may well be there */
        code = ech_fail(err, ECH_REQUEUE,
                        "stopped as asked before the ranks were started; go on with: echelon resume %s",
                        a->run_dir);
    return code == ECH_OK && needs_hosts(a) ? use_hosts(a, err) : code;
}

bool ech_attempt_lost_hosts(struct ech_attempt *a, int64_t begun)
{
    bool lost = false;
    if (begun > 0 || probe_hosts(a, NULL) != ECH_OK)
        return false;
    for (size_t i = 0; i < a->hosts.count; i++)
        lost = lost || a->hosts.items[i].silent;
    return lost;
}
