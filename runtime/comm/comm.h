/* Ranks behind a small interface: comm_mpi.c (the only file that talks to MPI, with data/ for MPI-IO) and
 * comm_self.c (one rank, no MPI: unit tests, --solo).
 *
 * Main thread only. Every collective runs under the watchdog: the caller opens a phase (comm/watchdog.h)
 * with a deadline; when it passes, the process logs the phase and leaves with status 75. */
#ifndef ECH_COMM_COMM_H
#define ECH_COMM_COMM_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct ech_comm;

struct ech_comm_options {
    int ranks_a_node; /* tests: treat so many ranks in a row as a node of their own; 0: nodes as they are */
};

/* Calls   Collective over all ranks of the job (MPI_Init_thread FUNNELED) / local. */
int ech_comm_open_mpi(const struct ech_comm_options *options, struct ech_comm **out, struct ech_err *err);
/* What MPI this program was linked with, one line; needs no MPI_Init. Returns out. */
const char *ech_comm_library(char *out, size_t bytes);
int ech_comm_open_self(struct ech_comm **out, struct ech_err *err);
/* Finalises MPI unless a member is known dead (ech_comm_abandon). */
void ech_comm_close(struct ech_comm *comm);
void ech_comm_abandon(struct ech_comm *comm); /* a rank died: never finalise */

int ech_comm_rank(const struct ech_comm *comm);
int ech_comm_size(const struct ech_comm *comm);
int ech_comm_node(const struct ech_comm *comm); /* number of this rank's node, 0.. in order of rank */
int ech_comm_nodes(const struct ech_comm *comm);
int ech_comm_node_rank(const struct ech_comm *comm); /* place in the node */
int ech_comm_node_size(const struct ech_comm *comm);
int ech_comm_node_of(const struct ech_comm *comm, int rank);
/* Rank of the `place`-th member of a node, -1 where there is none. */
int ech_comm_rank_at(const struct ech_comm *comm, int node, int place);
const char *ech_comm_host(const struct ech_comm *comm);

/* Collectives over all ranks. Calls   Collective. Bytes equal on all ranks. */
int ech_barrier(struct ech_comm *comm, struct ech_err *err);
int ech_bcast(struct ech_comm *comm, void *data, size_t bytes, int root, struct ech_err *err);
int ech_allgather(struct ech_comm *comm, const void *mine, size_t bytes, void *all, struct ech_err *err);
/* Different lengths: counts[size] (the caller's array) is filled, *all (their sum) is allocated here; owner:
 * the caller, ech_free. */
int ech_allgatherv(struct ech_comm *comm, const void *mine, size_t bytes, void **all, size_t *counts,
                   struct ech_err *err);
int ech_sum_i64(struct ech_comm *comm, int64_t *values, int count, struct ech_err *err);
int ech_max_i64(struct ech_comm *comm, int64_t *values, int count, struct ech_err *err);
/* Sum over the ranks before this one (rank 0: zeros). */
int ech_exscan_i64(struct ech_comm *comm, int64_t *values, int count, struct ech_err *err);

/* All ranks take the same branch: the worst error (largest code; of equals the lowest rank) becomes every
 * rank's error. Returns its code, ECH_OK where no rank failed. Calls   Collective; the one collective that is
 * entered also by a rank that failed. */
int ech_agree(struct ech_comm *comm, struct ech_err *err);

/* The members that give the same color >= 0 form a new communicator, ordered by rank; color < 0: none (*out =
 * NULL). Calls   Collective. Close with ech_comm_close. */
int ech_comm_split(struct ech_comm *comm, int color, struct ech_comm **out, struct ech_err *err);
/* A communicator of the living ranks alone. Calls   Collective over those with alive[rank] true. */
int ech_comm_survivors(struct ech_comm *comm, const bool *alive, struct ech_comm **out, struct ech_err *err);

/* Messages: copied, never block, also towards a dead rank. */
int ech_msg_send(struct ech_comm *comm, int to, int tag, const void *data, size_t bytes, struct ech_err *err);
/* One message that has arrived: true and its owner becomes the caller (ech_free). Ordered by sender. */
bool ech_msg_poll(struct ech_comm *comm, int *from, int *tag, void **data, size_t *bytes);

/* Zeroed memory shared by the ranks of a node. The name is removed as soon as all have mapped it: nothing
 * stays in /dev/shm, however the job ends. Calls   Collective in the node. */
int ech_shm_open(struct ech_comm *comm, size_t bytes, void **base, struct ech_err *err);
void ech_shm_close(void *base, size_t bytes);
int ech_node_barrier(struct ech_comm *comm, struct ech_err *err);

/* For MPI-IO: a pointer to this communicator's MPI_Comm, borrowed; NULL for comm_self. */
void *ech_comm_handle(struct ech_comm *comm);

#endif
