/* Messages over MPI: sent by MPI_Isend from a copy and received by MPI_Imrecv, both kept in lists and tested,
 * so that nothing here blocks on a dead rank. */
#include "comm/comm_mpi.h"

#include "base/clock.h"
#include "base/mem.h"

#include <string.h>

enum {
    RECEIVES_MOST = 64,  /* messages taken from MPI and not yet handed out */
    TESTS_A_CALL = 16,   /* sends looked at by one call: its cost stays bounded */
    CLOSE_WAIT_MS = 2000 /* what was sent has this long to leave at close */
};

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

int ech_mpi_send(struct ech_comm *comm, int to, int tag, const void *data, size_t bytes, struct ech_err *err)
{
    struct mpi_comm *self = ech_mpi_of(comm);
    reap(self);
    int code =
        ech_grow((void **)&self->sends, &self->send_capacity, self->send_count + 1, sizeof *self->sends, err);
    void *copy = code == ECH_OK ? ech_calloc(bytes, 1, err) : NULL;
    if (!copy)
        return ECH_UNAVAILABLE;
    if (bytes)
        memcpy(copy, data, bytes);
    MPI_Request request;
    code = ech_mpi_check(MPI_Isend(copy, (int)bytes, MPI_BYTE, to, tag, self->handle, &request), "MPI_Isend",
                         err);
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

bool ech_mpi_poll(struct ech_comm *comm, int *from, int *tag, void **data, size_t *bytes)
{
    struct mpi_comm *self = ech_mpi_of(comm);
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

bool ech_mpi_flush(struct mpi_comm *self)
{
    int64_t end = ech_mono_ns() + (int64_t)CLOSE_WAIT_MS * 1000000;
    while (self->send_count > 0 && ech_mono_ns() < end) {
        reap(self);
        if (self->send_count > 0)
            ech_sleep_us(200);
    }
    return self->send_count == 0;
}

void ech_mpi_drop_received(struct mpi_comm *self)
{
    for (size_t i = 0; i < self->receive_count; i++) {
        int done = 0;
        if (MPI_Test(&self->receives[i].request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && done)
            ech_free(self->receives[i].data);
    }
    self->receive_count = 0;
}
