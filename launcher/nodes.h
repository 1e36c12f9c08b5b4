/* On which nodes a run goes, and with how many ranks on each: from --hosts, --cluster and the allocation. */
#ifndef ECH_LAUNCHER_NODES_H
#define ECH_LAUNCHER_NODES_H

#include "config/cluster.h"
#include "launcher/hosts.h"
#include "launcher/mpirun.h"

struct ech_nodes {
    struct ech_cluster *cluster; /* NULL: none was given */
    struct ech_hosts hosts;      /* slots are ranks; none: mpirun's own choice */
    bool slurms;                 /* nodes of an allocation: the next one has others */
    struct ech_str launch;       /* words, a blank between them; empty: MPI's default (ssh) */
};

struct ech_nodes_request {
    const char *hosts_path, *cluster_path; /* --hosts, --cluster; NULL: not given */
    const char *node_list;                 /* of the allocation (SLURM_JOB_NODELIST); NULL: outside of one */
    bool nodes_given;                      /* resources.nodes was said: so many of them are used */
    bool said_anew;                        /* slots of the host file count no more: the job says others now */
    /* What the hosts have and who is who (ech_survey, or Slurm's word); NULL: they are taken to be like this
     * one. */
    int (*look)(struct ech_nodes *nodes, struct ech_err *err);
};

/* A host file (a name or pattern a line, "slots=N" or ":N" behind it) or a cluster file's hosts; less the
 * excluded ones; with `place` the cores of this host. *layout is changed where there are hosts.
 * Owner   ech_nodes_fini, also after an error.
 * Errors  ECH_NOINPUT, ECH_CONFIG (files, a host in no class), ECH_UNAVAILABLE (fewer than asked, none left).
 */
int ech_nodes_find(const struct ech_nodes_request *request, const struct ech_place *place,
                   const struct ech_asked *asked, struct ech_nodes *out, struct ech_layout *layout,
                   struct ech_err *err);
void ech_nodes_fini(struct ech_nodes *nodes);

/* Ranks of a node: `slots` of a host file (0: not said), the class (NULL: none), the job; else one a GPU
 * where the job computes on GPUs, as many as the threads allow, or one a NUMA domain. `machine`: what the
 * node has. Pure. */
int64_t ech_nodes_ranks(int64_t slots, const struct ech_node_class *node_class, const struct ech_asked *asked,
                        const struct ech_machine *machine);
/* --ranks N over hosts, in proportion to their slots; hosts that get none are dropped. Pure. */
void ech_nodes_spread(struct ech_hosts *hosts, int64_t ranks);

/* All nodes of an allocation ("n[1-4]") with the same number of slots.
 * Owner   ech_hosts_fini. */
int ech_nodes_of_list(const char *node_list, int64_t slots, struct ech_hosts *out, struct ech_err *err);
/* Names that are there twice become one, which gains the slots of all. O(n log n). Pure. */
int ech_nodes_merge_names(struct ech_hosts *hosts, struct ech_err *err);

/* Keep them in a run directory (hosts, cluster.yaml), where resume finds them again and each rank its class;
 * without a cluster an earlier start's cluster.yaml goes. */
int ech_nodes_save(const struct ech_nodes *nodes, const char *run_dir, struct ech_err *err);

#endif
