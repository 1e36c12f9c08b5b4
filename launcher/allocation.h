/* The Slurm allocation that this process is in: what its nodes have, how much of its time is left, which of
 * them the run leaves out from now on. */
#ifndef ECH_LAUNCHER_ALLOCATION_H
#define ECH_LAUNCHER_ALLOCATION_H

#include "launcher/nodes.h"

/* Processors of the n-th node (from 0) in SLURM_JOB_CPUS_PER_NODE ("16(x3),8"); 0: not said. Pure. */
int64_t ech_slurm_cores_of(const char *text, int64_t n);
/* What the hosts have: `cpus` is SLURM_JOB_CPUS_PER_NODE, `sinfo` the lines of ECH_SINFO_NODES, `list` the
 * nodes of the allocation in its order. A node with the sockets and processors of this one (`own`, NULL: it
 * is none of them) is as `here` is; of others the sockets are the domains. Pure. */
int ech_allocation_read(const char *list, const char *cpus, const char *sinfo, const char *own,
                        const struct ech_machine *here, struct ech_hosts *hosts, struct ech_err *err);
#define ECH_SINFO_NODES "%N|%c|%X"

/* The same of this process's allocation; as struct ech_nodes_request wants it. */
int ech_allocation_look(struct ech_nodes *nodes, struct ech_err *err);
/* Nobody said how many ranks a node gets: its domains and GPUs decide. Nodes alike are mpirun's or srun's own
 * business
 * (`place` has what the smallest of them has), unlike ones become hosts of `nodes`. */
int ech_allocation_spread(const struct ech_asked *asked, struct ech_place *place, struct ech_nodes *nodes,
                          struct ech_layout *layout, struct ech_err *err);

/* Unix time at which it ends: SLURM_JOB_END_TIME, else (with `ask`) one squeue; 0: no limit, or not known. */
double ech_allocation_end(bool ask);
/* Seconds of "4:59", "1-00:00:00" as squeue's %L prints them; 0: no limit or none of these. Pure. */
double ech_slurm_time_left(const char *text);

/* Nodes that failed too often are added to RUN/slurm-exclude ("n2,n5"), which the batch script hands to
 * Slurm. */
int ech_allocation_leave_out(const struct ech_hosts *hosts, const char *run_dir, struct ech_err *err);

#endif
