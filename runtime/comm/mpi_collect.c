/* Collectives over MPI. Counts of MPI are int: what is larger goes in pieces. */
#include "comm/comm_mpi.h"

#include <string.h>

int ech_mpi_barrier(struct ech_comm *comm, struct ech_err *err)
{
    return ech_mpi_check(MPI_Barrier(ech_mpi_of(comm)->handle), "MPI_Barrier", err);
}

int ech_mpi_bcast(struct ech_comm *comm, void *data, size_t bytes, int root, struct ech_err *err)
{
    int code = ECH_OK;
    for (size_t at = 0; at < bytes && code == ECH_OK; at += comm->piece) {
        size_t part = bytes - at < comm->piece ? bytes - at : comm->piece;
        code =
            ech_mpi_check(MPI_Bcast((char *)data + at, (int)part, MPI_BYTE, root, ech_mpi_of(comm)->handle),
                          "MPI_Bcast", err);
    }
    return code;
}

/* Where the sum passes one piece, each rank in turn sends its part to all, in pieces. */
static int gather_large(struct ech_comm *comm, const void *mine, size_t bytes, void *all,
                        const size_t *counts, struct ech_err *err)
{
    unsigned char *to = all;
    int code = ECH_OK;
    for (int rank = 0; rank < comm->size && code == ECH_OK; rank++) {
        size_t count = counts ? counts[rank] : bytes;
        if (rank == comm->rank && count)
            memcpy(to, mine, count);
        code = ech_mpi_bcast(comm, to, count, rank, err);
        to += count;
    }
    return code;
}

int ech_mpi_gather(struct ech_comm *comm, const void *mine, size_t bytes, void *all, const size_t *counts,
                   struct ech_err *err)
{
    struct mpi_comm *self = ech_mpi_of(comm);
    size_t total = 0;
    bool large = false;
    int *lengths = self->scratch, *places = self->scratch + comm->size;
    for (int rank = 0; rank < comm->size && !large; rank++) {
        size_t count = counts ? counts[rank] : bytes;
        large = count > comm->piece - total;
        if (!large) {
            lengths[rank] = (int)count;
            places[rank] = (int)total;
            total += count;
        }
    }
    if (large)
        return gather_large(comm, mine, bytes, all, counts, err);
    if (total == 0)
        return ECH_OK;
    if (!counts)
        return ech_mpi_check(
            MPI_Allgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, self->handle),
            "MPI_Allgather", err);
    return ech_mpi_check(
        MPI_Allgatherv(mine, (int)bytes, MPI_BYTE, all, lengths, places, MPI_BYTE, self->handle),
        "MPI_Allgatherv", err);
}

int ech_mpi_reduce(struct ech_comm *comm, int64_t *values, int count, enum ech_reduce what,
                   struct ech_err *err)
{
    MPI_Op op = what == ECH_REDUCE_SUM ? MPI_SUM : MPI_MAX;
    return ech_mpi_check(
        MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_INT64_T, op, ech_mpi_of(comm)->handle),
        "MPI_Allreduce", err);
}

int ech_mpi_exscan(struct ech_comm *comm, int64_t *values, int count, struct ech_err *err)
{
    int code =
        ech_mpi_check(MPI_Exscan(MPI_IN_PLACE, values, count, MPI_INT64_T, MPI_SUM, ech_mpi_of(comm)->handle),
                      "MPI_Exscan", err);
    if (code == ECH_OK && comm->rank == 0)
        memset(values, 0, (size_t)count * sizeof *values);
    return code;
}
