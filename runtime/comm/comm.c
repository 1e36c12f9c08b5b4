/* Communicators: the calls of comm.h over the table of one implementation, the map of ranks to nodes, and
 * what is built from other collectives (agreement, gathers of unequal lengths). */
#include "comm/internal.h"

#include "base/fault.h"
#include "base/mem.h"
#include "comm/watchdog.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

int ech_comm_rank(const struct ech_comm *comm)
{
    return comm->rank;
}

int ech_comm_size(const struct ech_comm *comm)
{
    return comm->size;
}

int ech_comm_node(const struct ech_comm *comm)
{
    return comm->node;
}

int ech_comm_nodes(const struct ech_comm *comm)
{
    return comm->nodes;
}

int ech_comm_node_rank(const struct ech_comm *comm)
{
    return comm->node_rank;
}

int ech_comm_node_size(const struct ech_comm *comm)
{
    return comm->node_size;
}

int ech_comm_node_of(const struct ech_comm *comm, int rank)
{
    ECH_ASSERT(rank >= 0 && rank < comm->size, "rank %d of %d", rank, comm->size);
    return comm->node_of ? comm->node_of[rank] : 0;
}

int ech_comm_rank_at(const struct ech_comm *comm, int node, int place)
{
    for (int rank = 0; rank < comm->size; rank++)
        if (ech_comm_node_of(comm, rank) == node && place-- == 0)
            return rank;
    return -1;
}

const char *ech_comm_host(const struct ech_comm *comm)
{
    return comm->host;
}

struct ech_comm *ech_comm_local(struct ech_comm *comm)
{
    return comm->local ? comm->local : comm;
}

void ech_comm_read_host(struct ech_comm *comm)
{
    if (gethostname(comm->host, sizeof comm->host) != 0)
        snprintf(comm->host, sizeof comm->host, "localhost");
    comm->host[sizeof comm->host - 1] = '\0';
}

/* In place: a leader comes before its members, so its number stands there when they ask for it. */
void ech_comm_map_nodes(struct ech_comm *comm, int *leaders)
{
    int own = leaders[comm->rank];
    comm->nodes = comm->node_rank = comm->node_size = 0;
    for (int rank = 0; rank < comm->size; rank++) {
        int leader = leaders[rank];
        ECH_ASSERT(leader >= 0 && leader <= rank, "rank %d has leader %d", rank, leader);
        if (leader == own) {
            comm->node_rank += rank < comm->rank;
            comm->node_size++;
        }
        leaders[rank] = leader == rank ? comm->nodes++ : leaders[leader];
    }
    comm->node_of = leaders;
    comm->node = leaders[comm->rank];
}

/* Collectives of the whole job are counted, so that the watchdog can tell who has not come. */
static void enter(const struct ech_comm *comm)
{
    if (!comm->job)
        return;
    ech_fault(ECH_FAULT_COLLECTIVE);
    ech_watchdog_enter();
}

static int leave(const struct ech_comm *comm, int code)
{
    if (comm->job)
        ech_watchdog_leave();
    return code;
}

int ech_barrier(struct ech_comm *comm, struct ech_err *err)
{
    enter(comm);
    return leave(comm, comm->ops->barrier(comm, err));
}

int ech_node_barrier(struct ech_comm *comm, struct ech_err *err)
{
    return ech_barrier(ech_comm_local(comm), err);
}

int ech_bcast(struct ech_comm *comm, void *data, size_t bytes, int root, struct ech_err *err)
{
    enter(comm);
    return leave(comm, comm->ops->bcast(comm, data, bytes, root, err));
}

/* Collective; *block is set on every rank or on none. */
static int allocate(struct ech_comm *comm, size_t count, size_t size, void **block, struct ech_err *err)
{
    struct ech_err local = ECH_ERR_NONE;
    void *fresh = ech_calloc(count, size, &local);
    int code = ech_agree(comm, &local);
    if (code != ECH_OK) {
        ech_free(fresh);
        if (err && err->code == ECH_OK)
            *err = local;
        return code;
    }
    *block = fresh;
    return ECH_OK;
}

int ech_allgather(struct ech_comm *comm, const void *mine, size_t bytes, void *all, struct ech_err *err)
{
    enter(comm);
    return leave(comm, comm->ops->gather(comm, mine, bytes, all, NULL, err));
}

int ech_allgatherv(struct ech_comm *comm, const void *mine, size_t bytes, void **all, size_t *counts,
                   struct ech_err *err)
{
    unsigned char *joined = NULL;
    size_t total = 0;
    int code = ech_allgather(comm, &bytes, sizeof bytes, counts, err);
    for (int rank = 0; code == ECH_OK && rank < comm->size; rank++)
        if (__builtin_add_overflow(total, counts[rank], &total))
            return ech_fail(err, ECH_UNAVAILABLE, "gathering more bytes than an address can reach");
    if (code == ECH_OK)
        code = allocate(comm, total, 1, (void **)&joined, err);
    if (code != ECH_OK)
        return code;
    enter(comm);
    code = leave(comm, comm->ops->gather(comm, mine, bytes, joined, counts, err));
    if (code != ECH_OK) {
        ech_free(joined);
        return code;
    }
    *all = joined;
    return ECH_OK;
}

int ech_sum_i64(struct ech_comm *comm, int64_t *values, int count, struct ech_err *err)
{
    enter(comm);
    return leave(comm, comm->ops->reduce(comm, values, count, ECH_REDUCE_SUM, err));
}

int ech_max_i64(struct ech_comm *comm, int64_t *values, int count, struct ech_err *err)
{
    enter(comm);
    return leave(comm, comm->ops->reduce(comm, values, count, ECH_REDUCE_MAX, err));
}

int ech_exscan_i64(struct ech_comm *comm, int64_t *values, int count, struct ech_err *err)
{
    enter(comm);
    return leave(comm, comm->ops->exscan(comm, values, count, err));
}

/* One reduction where nobody failed; else the winner sends its whole error. The key orders by code, then by
 * the lower rank. */
int ech_agree(struct ech_comm *comm, struct ech_err *err)
{
    struct ech_err spare = ECH_ERR_NONE, worst;
    if (!err)
        err = &spare;
    if (err->code != ECH_OK && err->rank < 0)
        err->rank = comm->rank;
    int64_t key = err->code == ECH_OK ? 0 : ((int64_t)err->code << 32) + INT32_MAX - comm->rank;
    struct ech_err broken = ECH_ERR_NONE;
    int code = ech_max_i64(comm, &key, 1, &broken);
    if (code == ECH_OK && key == 0)
        return ECH_OK;
    if (code == ECH_OK) {
        int root = INT32_MAX - (int)(key & INT32_MAX);
        worst = *err;
        code = ech_bcast(comm, &worst, sizeof worst, root, &broken);
    }
    if (code != ECH_OK) {
        if (err->code == ECH_OK)
            *err = broken;
        return err->code;
    }
    *err = worst;
    return err->code;
}

int ech_comm_split(struct ech_comm *comm, int color, struct ech_comm **out, struct ech_err *err)
{
    enter(comm);
    return leave(comm, comm->ops->split(comm, color, out, err));
}

int ech_comm_survivors(struct ech_comm *comm, const bool *alive, struct ech_comm **out, struct ech_err *err)
{
    ECH_ASSERT(alive[comm->rank], "rank %d declares itself dead", comm->rank);
    enter(comm);
    int code = leave(comm, comm->ops->survivors(comm, alive, out, err));
    if (code == ECH_OK)
        (*out)->job = true;
    return code;
}

int ech_msg_send(struct ech_comm *comm, int to, int tag, const void *data, size_t bytes, struct ech_err *err)
{
    ECH_ASSERT(to >= 0 && to < comm->size, "message to rank %d of %d", to, comm->size);
    ECH_ASSERT(tag >= 0 && tag <= 32767, "message tag %d, 0 to 32767 are portable", tag);
    if (bytes > comm->piece)
        return ech_fail(err, ECH_BUG, "a message of %zu bytes to rank %d: at most %zu are sent at once",
                        bytes, to, comm->piece);
    return comm->ops->send(comm, to, tag, data, bytes, err);
}

bool ech_msg_poll(struct ech_comm *comm, int *from, int *tag, void **data, size_t *bytes)
{
    return comm->ops->poll(comm, from, tag, data, bytes);
}

void *ech_comm_handle(struct ech_comm *comm)
{
    return comm->ops->handle(comm);
}

void ech_comm_abandon(struct ech_comm *comm)
{
    comm->ops->abandon(comm);
}

void ech_comm_close(struct ech_comm *comm)
{
    if (comm)
        comm->ops->close(comm);
}
