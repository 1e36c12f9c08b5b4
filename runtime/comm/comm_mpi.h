/* What the files over MPI share: comm_mpi.c (opening, splitting, closing), mpi_collect.c (collectives),
 * mpi_message.c (messages). They alone include mpi.h. */
#ifndef ECH_COMM_COMM_MPI_H
#define ECH_COMM_COMM_MPI_H

#include "comm/internal.h"

#include <mpi.h>

struct sent {
    MPI_Request request;
    void *data;
};

struct received {
    MPI_Request request; /* MPI_REQUEST_NULL: arrived */
    int from, tag;
    void *data;
    size_t bytes;
};

struct mpi_comm {
    struct ech_comm base; /* first */
    MPI_Comm handle;
    MPI_Comm groups; /* the job's: for making groups of survivors; else MPI_COMM_NULL */
    bool finalise;   /* the job's communicator: its close ends MPI */
    int *scratch;    /* [2 * size] counts and places of a gather */
    struct sent *sends;
    size_t send_count, send_capacity, send_next;
    struct received *receives;
    size_t receive_count, receive_capacity;
    MPI_Message held; /* matched, but there was no memory for it yet */
    MPI_Status held_status;
};

static inline struct mpi_comm *ech_mpi_of(struct ech_comm *comm)
{
    return (struct mpi_comm *)comm;
}

/* MPI's status as ours; `call` names what was tried. */
int ech_mpi_check(int rc, const char *call, struct ech_err *err);

/* mpi_collect.c */
int ech_mpi_barrier(struct ech_comm *comm, struct ech_err *err);
int ech_mpi_bcast(struct ech_comm *comm, void *data, size_t bytes, int root, struct ech_err *err);
int ech_mpi_gather(struct ech_comm *comm, const void *mine, size_t bytes, void *all, const size_t *counts,
                   struct ech_err *err);
int ech_mpi_reduce(struct ech_comm *comm, int64_t *values, int count, enum ech_reduce what,
                   struct ech_err *err);
int ech_mpi_exscan(struct ech_comm *comm, int64_t *values, int count, struct ech_err *err);

/* mpi_message.c */
int ech_mpi_send(struct ech_comm *comm, int to, int tag, const void *data, size_t bytes, struct ech_err *err);
bool ech_mpi_poll(struct ech_comm *comm, int *from, int *tag, void **data, size_t *bytes);
/* Wait a little for what was sent. false: something does not leave, it is bound for a rank that no longer
 * receives. */
bool ech_mpi_flush(struct mpi_comm *self);
/* Messages that arrived and nobody asked for. Buffers that MPI still writes to are left to it. */
void ech_mpi_drop_received(struct mpi_comm *self);

#endif
