/* What a communicator is made of: a table of calls (comm_self.c, comm_mpi.c) and the map of ranks to nodes.
 * For the files of this folder and for tests that set `piece`. */
#ifndef ECH_COMM_INTERNAL_H
#define ECH_COMM_INTERNAL_H

#include "comm/comm.h"

enum ech_reduce { ECH_REDUCE_SUM, ECH_REDUCE_MAX };

struct ech_comm_ops {
    int (*barrier)(struct ech_comm *, struct ech_err *);
    int (*bcast)(struct ech_comm *, void *data, size_t bytes, int root, struct ech_err *);
    /* `bytes` of each rank, or counts[rank] where counts is given (equal on all ranks). */
    int (*gather)(struct ech_comm *, const void *mine, size_t bytes, void *all, const size_t *counts,
                  struct ech_err *);
    int (*reduce)(struct ech_comm *, int64_t *values, int count, enum ech_reduce, struct ech_err *);
    int (*exscan)(struct ech_comm *, int64_t *values, int count, struct ech_err *);
    int (*split)(struct ech_comm *, int color, struct ech_comm **out, struct ech_err *);
    int (*survivors)(struct ech_comm *, const bool *alive, struct ech_comm **out, struct ech_err *);
    int (*send)(struct ech_comm *, int to, int tag, const void *data, size_t bytes, struct ech_err *);
    bool (*poll)(struct ech_comm *, int *from, int *tag, void **data, size_t *bytes);
    void *(*handle)(struct ech_comm *);
    void (*abandon)(struct ech_comm *);
    void (*close)(struct ech_comm *);
};

struct ech_comm {
    const struct ech_comm_ops *ops;
    int rank, size;
    int node, nodes, node_rank, node_size;
    int *node_of;           /* [size]; NULL: all on node 0 */
    struct ech_comm *local; /* this node's ranks; NULL: this communicator is the node */
    bool job;               /* all (living) ranks: its collectives are counted for the watchdog */
    size_t piece;           /* most bytes of one underlying collective call; equal on all ranks */
    char host[256];
};

/* Number the nodes in order of rank. leaders[size]: the lowest rank of each rank's node; becomes node_of. */
void ech_comm_map_nodes(struct ech_comm *comm, int *leaders);
/* The node's communicator (borrowed). */
struct ech_comm *ech_comm_local(struct ech_comm *comm);
void ech_comm_read_host(struct ech_comm *comm);

#endif
