/* submit --cluster: what a cluster file's classes mean to Slurm. Pure functions over plain structs.
 *
 * mpirun (and one class with srun): one allocation of the classes' nodes: all of them by --nodelist, N of
 * them by
 * --exclude of the others; inside, each node gets the ranks of its class. srun and several classes: a
 * component of a heterogeneous job each. Classes that are only counted are taken as features of the same name
 * (--constraint). */
#ifndef ECH_LAUNCHER_SLURM_CLUSTER_H
#define ECH_LAUNCHER_SLURM_CLUSTER_H

#include "config/cluster.h"
#include "config/job.h"
#include "launcher/slurm_site.h"

#define ECH_SINFO_WHERE "%N|%P" /* of sinfo -N: a node and a partition of it */

struct ech_cluster_ask {
    const struct ech_cluster *cluster;
    const struct ech_job *job;
    bool nodes_given;            /* resources.nodes was said */
    const char *nodes;           /* lines of ECH_SINFO_WHERE; NULL: not known */
    const struct ech_site *site; /* for the features; NULL: not known */
};

struct ech_cluster_shape {
    int64_t nodes;
    int64_t ranks, threads;                       /* of a node; 0: decided there, so that it is taken whole */
    struct ech_str nodelist, exclude, constraint; /* empty: none */
    struct ech_list components;                   /* further ones, as resources.components */
    struct ech_str partitions; /* that have these nodes: "main,long"; empty: not known, or any */
    bool made;                 /* without a cluster file none of this holds */
};

/* Owner   ech_cluster_shape_fini, also after an error.
 * Errors  ECH_CONFIG, ECH_UNAVAILABLE; they name the key, and what to write instead. */
int ech_cluster_shape_make(const struct ech_cluster_ask *ask, struct ech_cluster_shape *out,
                           struct ech_err *err);
void ech_cluster_shape_fini(struct ech_cluster_shape *shape);

/* n1 n2 n3 m7 -> "n[1-3],m7", added to `out` after a comma where it has a text. */
void ech_host_names_fold(const char *const *names, size_t count, struct ech_str *out);

#endif
