/* Ranks over MPI: the one file of this folder that includes mpi.h. One duplicated communicator a struct
 * ech_comm, errors returned. Messages are sent by MPI_Isend from a copy and received by MPI_Imrecv, both kept
 * in lists and tested, so that nothing here blocks on a dead rank. Collectives do; the watchdog ends them. */
#include "comm/internal.h"

#include "base/clock.h"
#include "base/mem.h"

#include <limits.h>
#include <mpi.h>
#include <stdio.h>
#include <string.h>

/* Of the group of survivors. Some implementations send plain messages with it, so it must not meet those of
 * the layers above: groups are made on a communicator of their own. */
enum { TAG_SURVIVORS = 1 };
enum {
    PIECE = 1 << 30,     /* bytes of one MPI call: counts are int */
    RECEIVES_MOST = 64,  /* messages taken from MPI and not yet handed out */
    TESTS_A_CALL = 16,   /* sends looked at by one call: its cost stays bounded */
    CLOSE_WAIT_MS = 2000 /* what was sent has this long to leave at close */
};

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

/* A rank died: MPI is not finalised and its objects are not freed, since that may wait for the dead. */
static bool member_dead;

static struct mpi_comm *of(struct ech_comm *comm)
{
    return (struct mpi_comm *)comm;
}

static int check(int rc, const char *call, struct ech_err *err)
{
    if (rc == MPI_SUCCESS)
        return ECH_OK;
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(rc, text, &length);
    return ech_fail(err, ECH_IO, "%s failed: %s", call, text);
}

static int mpi_barrier(struct ech_comm *comm, struct ech_err *err)
{
    return check(MPI_Barrier(of(comm)->handle), "MPI_Barrier", err);
}

static int mpi_bcast(struct ech_comm *comm, void *data, size_t bytes, int root, struct ech_err *err)
{
    int code = ECH_OK;
    for (size_t at = 0; at < bytes && code == ECH_OK; at += comm->piece) {
        size_t part = bytes - at < comm->piece ? bytes - at : comm->piece;
        code = check(MPI_Bcast((char *)data + at, (int)part, MPI_BYTE, root, of(comm)->handle), "MPI_Bcast",
                     err);
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
        code = mpi_bcast(comm, to, count, rank, err);
        to += count;
    }
    return code;
}

static int mpi_gather(struct ech_comm *comm, const void *mine, size_t bytes, void *all, const size_t *counts,
                      struct ech_err *err)
{
    struct mpi_comm *self = of(comm);
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
        return check(MPI_Allgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, self->handle),
                     "MPI_Allgather", err);
    return check(MPI_Allgatherv(mine, (int)bytes, MPI_BYTE, all, lengths, places, MPI_BYTE, self->handle),
                 "MPI_Allgatherv", err);
}

static int mpi_reduce(struct ech_comm *comm, int64_t *values, int count, enum ech_reduce what,
                      struct ech_err *err)
{
    MPI_Op op = what == ECH_REDUCE_SUM ? MPI_SUM : MPI_MAX;
    return check(MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_INT64_T, op, of(comm)->handle),
                 "MPI_Allreduce", err);
}

static int mpi_exscan(struct ech_comm *comm, int64_t *values, int count, struct ech_err *err)
{
    int code = check(MPI_Exscan(MPI_IN_PLACE, values, count, MPI_INT64_T, MPI_SUM, of(comm)->handle),
                     "MPI_Exscan", err);
    if (code == ECH_OK && comm->rank == 0)
        memset(values, 0, (size_t)count * sizeof *values);
    return code;
}

/* Let go of sends that have left; looks at a few, in turn. */
static void reap(struct mpi_comm *self)
{
    for (int i = 0; i < TESTS_A_CALL && self->send_count > 0; i++) {
        size_t at = self->send_next++ % self->send_count;
        int done = 0;
        if (MPI_Test(&self->sends[at].request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && !done)
            continue;
        ech_free(self->sends[at].data);
        self->sends[at] = self->sends[--self->send_count];
    }
}

static int mpi_send(struct ech_comm *comm, int to, int tag, const void *data, size_t bytes,
                    struct ech_err *err)
{
    struct mpi_comm *self = of(comm);
    reap(self);
    int code =
        ech_grow((void **)&self->sends, &self->send_capacity, self->send_count + 1, sizeof *self->sends, err);
    void *copy = code == ECH_OK ? ech_calloc(bytes, 1, err) : NULL;
    if (!copy)
        return ECH_UNAVAILABLE;
    if (bytes)
        memcpy(copy, data, bytes);
    MPI_Request request;
    code = check(MPI_Isend(copy, (int)bytes, MPI_BYTE, to, tag, self->handle, &request), "MPI_Isend", err);
    if (code != ECH_OK) {
        ech_free(copy);
        return code;
    }
    self->sends[self->send_count++] = (struct sent){request, copy};
    return ECH_OK;
}

/* Start receiving the message that is matched and held. false: no memory now, it stays held. */
static bool receive_held(struct mpi_comm *self)
{
    int bytes = 0;
    if (ech_grow((void **)&self->receives, &self->receive_capacity, self->receive_count + 1,
                 sizeof *self->receives, NULL) != ECH_OK ||
        MPI_Get_count(&self->held_status, MPI_BYTE, &bytes) != MPI_SUCCESS)
        return false;
    void *data = ech_calloc((size_t)bytes, 1, NULL);
    if (!data)
        return false;
    struct received *r = &self->receives[self->receive_count];
    *r = (struct received){.from = self->held_status.MPI_SOURCE,
                           .tag = self->held_status.MPI_TAG,
                           .data = data,
                           .bytes = (size_t)bytes};
    if (MPI_Imrecv(data, bytes, MPI_BYTE, &self->held, &r->request) != MPI_SUCCESS) {
        ech_free(data);
        return false;
    }
    self->receive_count++;
    self->held = MPI_MESSAGE_NULL;
    return true;
}

static void receive_arrived(struct mpi_comm *self)
{
    while (self->receive_count < RECEIVES_MOST) {
        int there = self->held != MPI_MESSAGE_NULL;
        if (!there && MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, self->handle, &there, &self->held,
                                  &self->held_status) != MPI_SUCCESS)
            return;
        if (!there || !receive_held(self))
            return;
    }
}

/* An earlier message of the same sender is still on its way: this one waits for it. */
static bool earlier_pending(const struct mpi_comm *self, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (self->receives[i].from == self->receives[at].from)
            return true;
    return false;
}

static bool mpi_poll(struct ech_comm *comm, int *from, int *tag, void **data, size_t *bytes)
{
    struct mpi_comm *self = of(comm);
    reap(self);
    receive_arrived(self);
    for (size_t i = 0; i < self->receive_count; i++) {
        struct received *r = &self->receives[i];
        int done = 0;
        if (earlier_pending(self, i) || MPI_Test(&r->request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS ||
            !done)
            continue;
        *from = r->from;
        *tag = r->tag;
        *data = r->data;
        *bytes = r->bytes;
        self->receive_count--;
        memmove(r, r + 1, (self->receive_count - i) * sizeof *r);
        return true;
    }
    return false;
}

static void *mpi_handle(struct ech_comm *comm)
{
    return &of(comm)->handle;
}

static void mpi_abandon(struct ech_comm *comm)
{
    (void)comm;
    member_dead = true;
}

/* Wait a little for what was sent; what does not leave is bound for a rank that no longer receives. */
static void flush(struct mpi_comm *self)
{
    int64_t end = ech_mono_ns() + (int64_t)CLOSE_WAIT_MS * 1000000;
    while (self->send_count > 0 && !member_dead) {
        reap(self);
        if (self->send_count > 0 && ech_mono_ns() > end)
            member_dead = true;
        else if (self->send_count > 0)
            ech_sleep_us(200);
    }
}

/* Messages that arrived and nobody asked for. Buffers MPI still writes to are left to it. */
static void drop_received(struct mpi_comm *self)
{
    for (size_t i = 0; i < self->receive_count; i++) {
        int done = 0;
        if (MPI_Test(&self->receives[i].request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && done)
            ech_free(self->receives[i].data);
    }
    self->receive_count = 0;
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
    struct mpi_comm *self = of(comm);
    flush(self);
    drop_received(self);
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
    .barrier = mpi_barrier,
    .bcast = mpi_bcast,
    .gather = mpi_gather,
    .reduce = mpi_reduce,
    .exscan = mpi_exscan,
    .split = mpi_split,
    .survivors = mpi_survivors,
    .send = mpi_send,
    .poll = mpi_poll,
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
    int code = check(MPI_Comm_rank(handle, &self->base.rank), "MPI_Comm_rank", err);
    if (code == ECH_OK)
        code = check(MPI_Comm_size(handle, &self->base.size), "MPI_Comm_size", err);
    if (code == ECH_OK)
        code = check(MPI_Comm_set_errhandler(handle, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler", err);
    return code;
}

/* Ranks with equal keys form a node: the node's communicator, and the map of all ranks to nodes. */
static int map_nodes(struct mpi_comm *self, struct mpi_comm *local, int key, struct ech_err *err)
{
    struct ech_comm *comm = &self->base;
    MPI_Comm node;
    int code = check(MPI_Comm_split(self->handle, key, comm->rank, &node), "MPI_Comm_split", err);
    if (code == ECH_OK)
        code = place(local, node, err);
    int leader = comm->rank;
    if (code == ECH_OK)
        code = check(MPI_Bcast(&leader, 1, MPI_INT, 0, node), "MPI_Bcast", err);
    if (code == ECH_OK)
        code = check(MPI_Allgather(&leader, 1, MPI_INT, comm->node_of, 1, MPI_INT, self->handle),
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
    int code = check(MPI_Allreduce(&ready, &all, 1, MPI_INT, MPI_MIN, handle), "MPI_Allreduce", err);
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
    int code = check(MPI_Comm_split(of(comm)->handle, color < 0 ? MPI_UNDEFINED : color, comm->rank, &handle),
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
    int *ranks = of(comm)->scratch, count = 0; /* no allocation that could fail on one of them */
    for (int rank = 0; rank < comm->size; rank++)
        if (alive[rank])
            ranks[count++] = rank;
    MPI_Group all, living;
    MPI_Comm handle, groups = of(comm)->groups != MPI_COMM_NULL ? of(comm)->groups : of(comm)->handle;
    int code = check(MPI_Comm_group(groups, &all), "MPI_Comm_group", err);
    if (code != ECH_OK)
        return code;
    code = check(MPI_Group_incl(all, count, ranks, &living), "MPI_Group_incl", err);
    if (code == ECH_OK) {
        code = check(MPI_Comm_create_group(groups, living, TAG_SURVIVORS, &handle), "MPI_Comm_create_group",
                     err);
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
        code = check(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread", err);
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
    int code = check(MPI_Comm_split_type(handle, MPI_COMM_TYPE_SHARED, *key, MPI_INFO_NULL, &node),
                     "MPI_Comm_split_type", err);
    if (code != ECH_OK)
        return code;
    code = check(MPI_Bcast(key, 1, MPI_INT, 0, node), "MPI_Bcast", err);
    MPI_Comm_free(&node);
    return code;
}

int ech_comm_open_mpi(const struct ech_comm_options *options, struct ech_comm **out, struct ech_err *err)
{
    MPI_Comm handle;
    int key = 0, code = start_mpi(err);
    if (code == ECH_OK)
        code = check(MPI_Comm_dup(MPI_COMM_WORLD, &handle), "MPI_Comm_dup", err);
    if (code != ECH_OK)
        return code;
    struct mpi_comm *self;
    code = node_key(handle, options, &key, err);
    if (code == ECH_OK)
        code = adopt(handle, key, &self, err);
    if (code == ECH_OK)
        code = check(MPI_Comm_dup(self->handle, &self->groups), "MPI_Comm_dup", err);
    if (code == ECH_OK)
        code =
            check(MPI_Comm_set_errhandler(self->groups, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler", err);
    if (code != ECH_OK) {
        MPI_Finalize(); /* all ranks come here together */
        return code;
    }
    self->finalise = true;
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
