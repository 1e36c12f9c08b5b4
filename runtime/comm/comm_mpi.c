/* Communicators over MPI: starting MPI, the map of ranks to nodes, splitting, survivors, the end. One
 * duplicated communicator a struct ech_comm, errors returned. Collectives block on a dead rank; the watchdog
 * ends them. */
#include "comm/comm_mpi.h"

#include "base/mem.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* Of the group of survivors. Some implementations send plain messages with it, so it must not meet those of
 * the layers above: groups are made on a communicator of their own. */
enum { TAG_SURVIVORS = 1 };
enum { PIECE = 1 << 30 }; /* bytes of one MPI call: counts are int */

/* A rank died: MPI is not finalised and its objects are not freed, since that may wait for the dead. */
static bool member_dead;

int ech_mpi_check(int rc, const char *call, struct ech_err *err)
{
    if (rc == MPI_SUCCESS)
        return ECH_OK;
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(rc, text, &length);
    return ech_fail(err, ECH_IO, "%s failed: %s", call, text);
}

static void *mpi_handle(struct ech_comm *comm)
{
    return &ech_mpi_of(comm)->handle;
}

static void mpi_abandon(struct ech_comm *comm)
{
    (void)comm;
    member_dead = true;
}

static void release(struct mpi_comm *self)
{
    if (!self)
        return;
    ech_free(self->scratch);
    ech_free(self->sends);
    ech_free(self->receives);
    ech_free(self->base.node_of);
    ech_free(self);
}

static void mpi_close(struct ech_comm *comm)
{
    struct mpi_comm *self = ech_mpi_of(comm);
    if (!member_dead && !ech_mpi_flush(self))
        member_dead = true;
    ech_mpi_drop_received(self);
    if (comm->local)
        mpi_close(comm->local);
    if (!member_dead && self->groups != MPI_COMM_NULL)
        MPI_Comm_free(&self->groups);
    if (!member_dead && self->handle != MPI_COMM_NULL)
        MPI_Comm_free(&self->handle);
    if (self->finalise && !member_dead)
        MPI_Finalize();
    release(self);
}

static int mpi_split(struct ech_comm *comm, int color, struct ech_comm **out, struct ech_err *err);
static int mpi_survivors(struct ech_comm *comm, const bool *alive, struct ech_comm **out,
                         struct ech_err *err);

static const struct ech_comm_ops mpi_ops = {
    .barrier = ech_mpi_barrier,
    .bcast = ech_mpi_bcast,
    .gather = ech_mpi_gather,
    .reduce = ech_mpi_reduce,
    .exscan = ech_mpi_exscan,
    .split = mpi_split,
    .survivors = mpi_survivors,
    .send = ech_mpi_send,
    .poll = ech_mpi_poll,
    .handle = mpi_handle,
    .abandon = mpi_abandon,
    .close = mpi_close,
};

/* The local part of a new communicator: all memory it needs, or NULL. */
static struct mpi_comm *prepare(int size, struct ech_err *err)
{
    struct mpi_comm *self = ech_calloc(1, sizeof *self, err);
    if (!self)
        return NULL;
    self->handle = self->groups = MPI_COMM_NULL;
    self->held = MPI_MESSAGE_NULL;
    self->base.ops = &mpi_ops;
    self->base.piece = PIECE;
    self->base.node_of = ech_calloc((size_t)size, sizeof *self->base.node_of, err);
    self->scratch = ech_calloc(2 * (size_t)size, sizeof *self->scratch, err);
    if (!self->base.node_of || !self->scratch) {
        release(self);
        return NULL;
    }
    return self;
}

static int place(struct mpi_comm *self, MPI_Comm handle, struct ech_err *err)
{
    self->handle = handle;
    int code = ech_mpi_check(MPI_Comm_rank(handle, &self->base.rank), "MPI_Comm_rank", err);
    if (code == ECH_OK)
        code = ech_mpi_check(MPI_Comm_size(handle, &self->base.size), "MPI_Comm_size", err);
    if (code == ECH_OK)
        code =
            ech_mpi_check(MPI_Comm_set_errhandler(handle, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler", err);
    return code;
}

/* Ranks with equal keys form a node: the node's communicator, and the map of all ranks to nodes. */
static int map_nodes(struct mpi_comm *self, struct mpi_comm *local, int key, struct ech_err *err)
{
    struct ech_comm *comm = &self->base;
    MPI_Comm node;
    int code = ech_mpi_check(MPI_Comm_split(self->handle, key, comm->rank, &node), "MPI_Comm_split", err);
    if (code == ECH_OK)
        code = place(local, node, err);
    int leader = comm->rank;
    if (code == ECH_OK)
        code = ech_mpi_check(MPI_Bcast(&leader, 1, MPI_INT, 0, node), "MPI_Bcast", err);
    if (code == ECH_OK)
        code = ech_mpi_check(MPI_Allgather(&leader, 1, MPI_INT, comm->node_of, 1, MPI_INT, self->handle),
                             "MPI_Allgather", err);
    if (code != ECH_OK)
        return code;
    ech_comm_map_nodes(comm, comm->node_of);
    local->base.nodes = 1;
    local->base.node_rank = local->base.rank;
    local->base.node_size = local->base.size;
    comm->local = &local->base;
    return ECH_OK;
}

/* Make `handle` (owned from here) a communicator. All its ranks come here, also one that has no memory for
 * it: they agree before any of them goes on. */
static int adopt(MPI_Comm handle, int key, struct mpi_comm **out, struct ech_err *err)
{
    int size = 1;
    MPI_Comm_size(handle, &size);
    struct mpi_comm *self = prepare(size, err), *local = self ? prepare(size, err) : NULL;
    int ready = self && local, all = 0;
    int code = ech_mpi_check(MPI_Allreduce(&ready, &all, 1, MPI_INT, MPI_MIN, handle), "MPI_Allreduce", err);
    if (code == ECH_OK && !all)
        code = ech_fail(err, ECH_UNAVAILABLE, "a rank has no memory for a communicator of %d ranks", size);
    if (code == ECH_OK)
        code = place(self, handle, err);
    if (code == ECH_OK)
        code = map_nodes(self, local, key, err);
    if (code != ECH_OK) {
        MPI_Comm_free(&handle);
        if (local && local->handle != MPI_COMM_NULL)
            MPI_Comm_free(&local->handle);
        release(self);
        release(local);
        return code;
    }
    ech_free(local->base.node_of);
    local->base.node_of = NULL;
    ech_comm_read_host(&local->base);
    ech_comm_read_host(&self->base);
    *out = self;
    return ECH_OK;
}

static int adopt_child(struct ech_comm *parent, MPI_Comm handle, struct ech_comm **out, struct ech_err *err)
{
    struct mpi_comm *child;
    int code = adopt(handle, parent->node, &child, err);
    if (code != ECH_OK)
        return code;
    child->base.piece = parent->piece;
    memcpy(child->base.host, parent->host, sizeof child->base.host);
    *out = &child->base;
    return ECH_OK;
}

static int mpi_split(struct ech_comm *comm, int color, struct ech_comm **out, struct ech_err *err)
{
    MPI_Comm handle;
    int code = ech_mpi_check(
        MPI_Comm_split(ech_mpi_of(comm)->handle, color < 0 ? MPI_UNDEFINED : color, comm->rank, &handle),
        "MPI_Comm_split", err);
    if (code != ECH_OK)
        return code;
    if (handle == MPI_COMM_NULL) {
        *out = NULL;
        return ECH_OK;
    }
    return adopt_child(comm, handle, out, err);
}

/* The group of the living, and a communicator made by them alone. */
static int mpi_survivors(struct ech_comm *comm, const bool *alive, struct ech_comm **out, struct ech_err *err)
{
    int *ranks = ech_mpi_of(comm)->scratch, count = 0; /* no allocation that could fail on one of them */
    for (int rank = 0; rank < comm->size; rank++)
        if (alive[rank])
            ranks[count++] = rank;
    MPI_Group all, living;
    MPI_Comm handle, groups = ech_mpi_of(comm)->groups != MPI_COMM_NULL ? ech_mpi_of(comm)->groups
                                                                        : ech_mpi_of(comm)->handle;
    int code = ech_mpi_check(MPI_Comm_group(groups, &all), "MPI_Comm_group", err);
    if (code != ECH_OK)
        return code;
    code = ech_mpi_check(MPI_Group_incl(all, count, ranks, &living), "MPI_Group_incl", err);
    if (code == ECH_OK) {
        code = ech_mpi_check(MPI_Comm_create_group(groups, living, TAG_SURVIVORS, &handle),
                             "MPI_Comm_create_group", err);
        MPI_Group_free(&living);
    }
    MPI_Group_free(&all);
    return code == ECH_OK ? adopt_child(comm, handle, out, err) : code;
}

static int start_mpi(struct ech_err *err)
{
    int started = 0, provided = MPI_THREAD_SINGLE;
    MPI_Initialized(&started);
    int code = ECH_OK;
    if (!started)
        code = ech_mpi_check(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread",
                             err);
    else
        MPI_Query_thread(&provided);
    if (code == ECH_OK && provided < MPI_THREAD_FUNNELED)
        code =
            ech_fail(err, ECH_UNAVAILABLE,
                     "this MPI gives thread level %d, MPI_THREAD_FUNNELED is needed: use an MPI built with "
                     "thread support",
                     provided);
    if (code == ECH_OK) {
        MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
        MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN);
    }
    return code;
}

/* Equal on the ranks that share memory: the lowest of them. */
static int node_key(MPI_Comm handle, const struct ech_comm_options *options, int *key, struct ech_err *err)
{
    MPI_Comm node;
    MPI_Comm_rank(handle, key);
    if (options && options->ranks_a_node > 0) {
        *key -= *key % options->ranks_a_node;
        return ECH_OK;
    }
    int code = ech_mpi_check(MPI_Comm_split_type(handle, MPI_COMM_TYPE_SHARED, *key, MPI_INFO_NULL, &node),
                             "MPI_Comm_split_type", err);
    if (code != ECH_OK)
        return code;
    code = ech_mpi_check(MPI_Bcast(key, 1, MPI_INT, 0, node), "MPI_Bcast", err);
    MPI_Comm_free(&node);
    return code;
}

int ech_comm_open_mpi(const struct ech_comm_options *options, struct ech_comm **out, struct ech_err *err)
{
    MPI_Comm handle;
    int key = 0, code = start_mpi(err);
    if (code == ECH_OK)
        code = ech_mpi_check(MPI_Comm_dup(MPI_COMM_WORLD, &handle), "MPI_Comm_dup", err);
    if (code != ECH_OK)
        return code;
    struct mpi_comm *self;
    code = node_key(handle, options, &key, err);
    if (code == ECH_OK)
        code = adopt(handle, key, &self, err);
    if (code == ECH_OK)
        code = ech_mpi_check(MPI_Comm_dup(self->handle, &self->groups), "MPI_Comm_dup", err);
    if (code == ECH_OK)
        code = ech_mpi_check(MPI_Comm_set_errhandler(self->groups, MPI_ERRORS_RETURN),
                             "MPI_Comm_set_errhandler", err);
    if (code != ECH_OK) {
        MPI_Finalize(); /* all ranks come here together */
        return code;
    }
    self->finalise = self->base.job = true;
    if (options && options->ranks_a_node > 0) {
        size_t length = strlen(self->base.host);
        length = length < sizeof self->base.host - 16 ? length : sizeof self->base.host - 16;
        snprintf(self->base.host + length, sizeof self->base.host - length, "+%d", self->base.node);
    }
    *out = &self->base;
    return ECH_OK;
}

const char *ech_comm_library(char *out, size_t bytes)
{
    char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length = 0;
    MPI_Get_library_version(text, &length);
    text[strcspn(text, ",\n")] = 0;
    snprintf(out, bytes, "%s", text);
    return out;
}
