/* The mpirun command line and the rank count, as pure functions. */
#ifndef ECH_LAUNCHER_MPIRUN_H
#define ECH_LAUNCHER_MPIRUN_H

#include "base/machine.h"
#include "launcher/argv.h"

#include <stdint.h>

/* What the surroundings offer. */
enum { ECH_MOST_COMPONENTS = 32 };
struct ech_component {          /* of a heterogeneous Slurm job */
    int64_t nodes, tasks, cpus; /* cpus: of a task, 0: not said */
};
struct ech_place {
    bool allocation;            /* inside a Slurm job: mpirun takes its nodes */
    int64_t nodes;              /* of the allocation; 1 without */
    struct ech_machine machine; /* of a node; of an allocation the least cores */
    int components;             /* of a heterogeneous job; 0: it is none, -1: more than can be kept */
    struct ech_component component[ECH_MOST_COMPONENTS];
};

/* What was asked: 0 = auto. `ranks`: --ranks, -1 where it was not given. */
struct ech_asked {
    int64_t ranks, nodes, ranks_per_node, threads;
    bool devices; /* the job computes on GPUs */
};

struct ech_layout {
    int64_t ranks, per_node, threads, nodes;
};

/* ECH_USAGE for --ranks 0 or beyond 1,000,000; ECH_UNAVAILABLE where the allocation has fewer nodes than
 * asked. Without an allocation all ranks of all nodes run on this host. */
int ech_layout_decide(const struct ech_place *place, const struct ech_asked *asked, struct ech_layout *out,
                      struct ech_err *err);
/* Smallest count of SLURM_JOB_CPUS_PER_NODE ("16(x3),8"); 0 where it cannot be read. */
int64_t ech_slurm_least_cores(const char *text);
void ech_place_find(struct ech_place *out);

struct ech_mpirun {
    const char *mpirun, *program; /* absolute paths */
    const struct ech_layout *layout;
    const char *shm_dir;    /* folder of this start for what MPI maps, NULL: MPI's own choice */
    const char *launch;     /* what starts a program on a host (plm_rsh_agent), NULL or "": MPI's own */
    const char *mpi_prefix; /* of MPI on the hosts, NULL: as here */
    const char *hosts_file; /* NULL: mpirun's own default */
    const char *exclude;    /* nodes that srun is not to use ("n2,n5"), NULL: none */
    char *const *settings;  /* "NAME=VALUE" in its environment that the ranks are to have, NULL: none */
    bool allocation;
    bool recovery;      /* the others go on when a rank dies */
    double heartbeat_s; /* after twice as long a host that is cut off is lost; 0: MPI's default (minutes) */
    char *const *arguments; /* of the program, NULL-terminated */
};
/* Ranks, nodes and threads of all components together (srun alone starts them). ECH_CONFIG: too many. */
int ech_layout_components(const struct ech_place *place, struct ech_layout *out, struct ech_err *err);

/* The same start by srun (`mpirun` is its path): one world over the allocation, or over all components of
 * `place`. What mpirun takes as --mca comes by the environment: ech_srun_settings. */
void ech_srun_command(const struct ech_mpirun *m, const struct ech_place *place, struct ech_argv *out);
/* "OMPI_MCA_...=..." each; with a file of a line a rank, Slurm's word for it, too. */
void ech_srun_settings(const char *shm_dir, const char *hosts_file, struct ech_argv *out);
void ech_mpirun_command(const struct ech_mpirun *m, struct ech_argv *out);

#endif
