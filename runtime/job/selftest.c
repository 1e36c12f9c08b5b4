/* Does this MPI let the others live when a rank dies? See verbs.h; the launcher's doctor --selftest asks. */
#include "base/clock.h"
#include "base/mem.h"
#include "job/verbs.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { VICTIM = 1, TAG = 1, SECONDS_MOST = 25 };
static const double after = 2, patience = 8; /* seconds: MPI's launcher has noticed the death by then */

/* A message from `from` within the patience. */
static bool hears(struct ech_comm *comm, int from)
{
    double until = ech_mono_s() + patience;
    while (ech_mono_s() < until) {
        int sender = -1, tag = 0;
        size_t bytes = 0;
        void *data = NULL;
        if (ech_msg_poll(comm, &sender, &tag, &data, &bytes)) {
            ech_free(data);
            if (sender == from)
                return true;
        }
        ech_sleep_us(5000);
    }
    return false;
}

/* There and back: both directions of the survivors. */
static bool talks(struct ech_comm *comm, int rank, struct ech_err *err)
{
    static const char word[] = "here";
    int other = rank == 0 ? 2 : 0;
    if (rank == 0)
        return hears(comm, other) && ech_msg_send(comm, other, TAG, word, sizeof word, err) == ECH_OK &&
               hears(comm, other);
    return ech_msg_send(comm, other, TAG, word, sizeof word, err) == ECH_OK && hears(comm, other) &&
           ech_msg_send(comm, other, TAG, word, sizeof word, err) == ECH_OK;
}

int ech_selftest_verb(struct ech_comm *comm, bool *leave, FILE *out, struct ech_err *err)
{
    int rank = ech_comm_rank(comm);
    if (ech_comm_size(comm) != 3)
        return ech_fail(err, ECH_USAGE, "selftest wants three ranks");
    alarm(SECONDS_MOST); /* whatever MPI's launcher leaves behind */
    if (rank == 0) {
        fputs("selftest: started\n", out);
        fflush(out);
    }
    int code = ech_barrier(comm, err);
    if (code != ECH_OK)
        return code;
    if (rank == VICTIM)
        kill(getpid(), SIGKILL);
    *leave = true;
    ech_sleep_us((int64_t)(after * 1e6));
    bool good = talks(comm, rank, err);
    if (rank == 0 && good) {
        fputs("selftest: survived\n", out);
        fflush(out);
    }
    ech_sleep_us(100000); /* the last message is on its way */
    return good ? ECH_OK : ech_fail(err, ECH_UNAVAILABLE, "the ranks that are left cannot talk any more");
}
