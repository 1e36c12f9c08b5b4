/* One rank without MPI: unit tests and --solo. Every collective is a copy or nothing; messages to oneself
 * wait in a list. */
#include "comm/internal.h"

#include "base/mem.h"

#include <string.h>

struct letter {
    struct letter *next;
    int tag;
    void *data;
    size_t bytes;
};

struct self_comm {
    struct ech_comm base; /* first */
    struct letter *first, **last;
};

static int self_barrier(struct ech_comm *comm, struct ech_err *err)
{
    (void)comm;
    (void)err;
    return ECH_OK;
}

static int self_bcast(struct ech_comm *comm, void *data, size_t bytes, int root, struct ech_err *err)
{
    (void)data;
    (void)bytes;
    (void)err;
    ECH_ASSERT(root == comm->rank, "broadcast from rank %d of 1", root);
    return ECH_OK;
}

static int self_gather(struct ech_comm *comm, const void *mine, size_t bytes, void *all, const size_t *counts,
                       struct ech_err *err)
{
    (void)comm;
    (void)counts;
    (void)err;
    if (bytes)
        memcpy(all, mine, bytes);
    return ECH_OK;
}

static int self_reduce(struct ech_comm *comm, int64_t *values, int count, enum ech_reduce what,
                       struct ech_err *err)
{
    (void)comm;
    (void)values;
    (void)count;
    (void)what;
    (void)err;
    return ECH_OK;
}

static int self_exscan(struct ech_comm *comm, int64_t *values, int count, struct ech_err *err)
{
    (void)comm;
    (void)err;
    memset(values, 0, (size_t)count * sizeof *values);
    return ECH_OK;
}

static int self_split(struct ech_comm *comm, int color, struct ech_comm **out, struct ech_err *err)
{
    (void)comm;
    if (color < 0) {
        *out = NULL;
        return ECH_OK;
    }
    return ech_comm_open_self(out, err);
}

static int self_survivors(struct ech_comm *comm, const bool *alive, struct ech_comm **out,
                          struct ech_err *err)
{
    (void)alive;
    return self_split(comm, 0, out, err);
}

static int self_send(struct ech_comm *comm, int to, int tag, const void *data, size_t bytes,
                     struct ech_err *err)
{
    (void)to;
    struct self_comm *self = (struct self_comm *)comm;
    struct letter *letter = ech_calloc(1, sizeof *letter, err);
    void *copy = letter ? ech_calloc(bytes, 1, err) : NULL;
    if (!copy) {
        ech_free(letter);
        return ECH_UNAVAILABLE;
    }
    if (bytes)
        memcpy(copy, data, bytes);
    *letter = (struct letter){.tag = tag, .data = copy, .bytes = bytes};
    *self->last = letter;
    self->last = &letter->next;
    return ECH_OK;
}

static bool self_poll(struct ech_comm *comm, int *from, int *tag, void **data, size_t *bytes)
{
    struct self_comm *self = (struct self_comm *)comm;
    struct letter *letter = self->first;
    if (!letter)
        return false;
    self->first = letter->next;
    if (!self->first)
        self->last = &self->first;
    *from = comm->rank;
    *tag = letter->tag;
    *data = letter->data;
    *bytes = letter->bytes;
    ech_free(letter);
    return true;
}

static void *self_handle(struct ech_comm *comm)
{
    (void)comm;
    return NULL;
}

static void self_abandon(struct ech_comm *comm)
{
    (void)comm;
}

static void self_close(struct ech_comm *comm)
{
    int from, tag;
    size_t bytes;
    void *data;
    while (self_poll(comm, &from, &tag, &data, &bytes))
        ech_free(data);
    ech_free(comm);
}

static const struct ech_comm_ops self_ops = {
    .barrier = self_barrier,
    .bcast = self_bcast,
    .gather = self_gather,
    .reduce = self_reduce,
    .exscan = self_exscan,
    .split = self_split,
    .survivors = self_survivors,
    .send = self_send,
    .poll = self_poll,
    .handle = self_handle,
    .abandon = self_abandon,
    .close = self_close,
};

int ech_comm_open_self(struct ech_comm **out, struct ech_err *err)
{
    struct self_comm *self = ech_calloc(1, sizeof *self, err);
    if (!self)
        return ECH_UNAVAILABLE;
    self->base = (struct ech_comm){.ops = &self_ops, .size = 1, .nodes = 1, .node_size = 1};
    self->base.piece = (size_t)1 << 30;
    self->last = &self->first;
    ech_comm_read_host(&self->base);
    *out = &self->base;
    return ECH_OK;
}
