/* runtime/comm over MPI: `comm [--ranks-a-node N] [--piece BYTES]` runs everything; `comm --kill` loses
 * its last rank and goes on; `comm --hang` loses it inside a collective, where the watchdog must end the
 * others. */
#include "tests/mpi/check.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"
#include "comm/internal.h"
#include "comm/watchdog.h"

#include <dirent.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

static int rank, size;

static unsigned char pattern(int from, size_t i)
{
    return (unsigned char)(from * 31 + (int)(i % 251) + 1);
}

/* a_node: ranks in a row that count as a node, 0: all are on one. */
static void test_topology(struct ech_comm *comm, int a_node)
{
    int full = a_node ? a_node : size, own = rank / full * full;
    CHECK(ech_comm_nodes(comm) == (size + full - 1) / full, "%d nodes", ech_comm_nodes(comm));
    CHECK(ech_comm_node(comm) == rank / full, "node %d", ech_comm_node(comm));
    CHECK(ech_comm_node_size(comm) == (own + full <= size ? full : size - own), "%d",
          ech_comm_node_size(comm));
    CHECK(ech_comm_node_rank(comm) == rank % full, "%d", ech_comm_node_rank(comm));
    for (int other = 0; other < size; other++)
        CHECK(ech_comm_rank_at(comm, other / full, other % full) == other, "%d", other);
    CHECK(ech_comm_rank_at(comm, 0, size) == -1, "beyond the end");
    CHECK(ech_comm_handle(comm) != NULL, "no handle");
}

/* Every length about the piece, and zero. */
static void test_bytes(struct ech_comm *comm, size_t bytes)
{
    unsigned char *mine = malloc(bytes + 1), *all = malloc(bytes * (size_t)size + 1);
    for (int root = 0; root < size; root++) {
        for (size_t i = 0; i < bytes; i++)
            mine[i] = rank == root ? pattern(root, i) : 0;
        OK(ech_bcast(comm, mine, bytes, root, &err));
        for (size_t i = 0; i < bytes; i++)
            CHECK(mine[i] == pattern(root, i), "broadcast of %zu from %d, byte %zu", bytes, root, i);
    }
    for (size_t i = 0; i < bytes; i++)
        mine[i] = pattern(rank, i);
    OK(ech_allgather(comm, mine, bytes, all, &err));
    for (int from = 0; from < size; from++)
        for (size_t i = 0; i < bytes; i++)
            CHECK(all[(size_t)from * bytes + i] == pattern(from, i), "gather %zu of %d, %zu", bytes, from, i);
    free(mine);
    free(all);
}

/* Rank r gives r % 3 * unit bytes: some give none. */
static void test_gatherv(struct ech_comm *comm, size_t unit)
{
    size_t bytes = (size_t)(rank % 3) * unit, *counts = calloc((size_t)size, sizeof *counts);
    unsigned char *mine = malloc(bytes + 1);
    void *all = NULL;
    for (size_t i = 0; i < bytes; i++)
        mine[i] = pattern(rank, i);
    OK(ech_allgatherv(comm, mine, bytes, &all, counts, &err));
    unsigned char *at = all;
    for (int from = 0; from < size; from++) {
        CHECK(counts[from] == (size_t)(from % 3) * unit, "rank %d gave %zu", from, counts[from]);
        for (size_t i = 0; i < counts[from]; i++)
            CHECK(*at++ == pattern(from, i), "gatherv of %d, byte %zu", from, i);
    }
    ech_free(all);
    free(mine);
    free(counts);
}

static void test_numbers(struct ech_comm *comm)
{
    int64_t v[2] = {rank + 1, -rank}, w[2] = {rank + 1, -rank}, x[2] = {rank + 1, (int64_t)1 << 40};
    OK(ech_sum_i64(comm, v, 2, &err));
    CHECK(v[0] == size * (size + 1) / 2 && v[1] == -size * (size - 1) / 2, "sum %lld", (long long)v[0]);
    OK(ech_max_i64(comm, w, 2, &err));
    CHECK(w[0] == size && w[1] == 0, "max %lld", (long long)w[0]);
    OK(ech_exscan_i64(comm, x, 2, &err));
    CHECK(x[0] == rank * (rank + 1) / 2 && x[1] == (int64_t)rank << 40, "exscan %lld", (long long)x[0]);
    OK(ech_barrier(comm, &err));
    OK(ech_node_barrier(comm, &err));
}

static void test_agree(struct ech_comm *comm)
{
    struct ech_err err = ECH_ERR_NONE;
    CHECK(ech_agree(comm, &err) == ECH_OK && err.code == ECH_OK, "nobody failed");
    /* The last two ranks fail with the same code, rank 0 with a smaller one; the lowest of the worst wins. */
    if (rank == 0)
        ech_fail(&err, ECH_DATA, "row 7 is bad");
    if (rank >= size - 2 && rank > 0)
        ech_fail_at(&err, ECH_IO, "shard", 2, 3, "disk of %d", rank);
    int code = ech_agree(comm, &err), worst = size == 1 ? 0 : size == 2 ? 1 : size - 2;
    char text[64], line[256];
    snprintf(text, sizeof text, "shard:2:3: disk of %d [rank %d]", worst, worst);
    CHECK(code == (size == 1 ? ECH_DATA : ECH_IO) && err.code == code, "agreed on %d", code);
    CHECK(err.rank == worst, "from rank %d", err.rank);
    CHECK(size == 1 || strcmp(ech_err_print(&err, line, sizeof line), text) == 0, "%s", line);
}

static void wait_message(struct ech_comm *comm, int *from, int *tag, void **data, size_t *bytes)
{
    double end = ech_mono_s() + 30;
    while (!ech_msg_poll(comm, from, tag, data, bytes)) {
        CHECK(ech_mono_s() < end, "no message in 30 s");
        ech_sleep_us(100);
    }
}

/* Everyone sends everyone (itself too) 50 numbered messages, one of them large, one empty. */
static void test_messages(struct ech_comm *comm)
{
    enum { COUNT = 50, LARGE = 300000 };
    unsigned char *body = malloc(LARGE);
    int *next = calloc((size_t)size, sizeof *next);
    for (int i = 0; i < COUNT; i++)
        for (int to = 0; to < size; to++) {
            size_t bytes = i == 10 ? LARGE : i == 11 ? 0 : 5;
            memset(body, i, bytes);
            OK(ech_msg_send(comm, to, i, body, bytes, &err));
        }
    memset(body, 255, LARGE); /* they were copied */
    for (int left = COUNT * size; left > 0; left--) {
        int from, tag;
        void *data;
        size_t bytes;
        wait_message(comm, &from, &tag, &data, &bytes);
        CHECK(tag == next[from]++, "rank %d sent %d out of order", from, tag);
        CHECK(bytes == (tag == 10 ? LARGE : tag == 11 ? 0 : 5), "%zu bytes in message %d", bytes, tag);
        for (size_t i = 0; i < bytes; i++)
            CHECK(((unsigned char *)data)[i] == tag, "message %d byte %zu", tag, i);
        ech_free(data);
    }
    free(body);
    free(next);
    OK(ech_barrier(comm, &err));
}

static int names_in_dev_shm(void)
{
    DIR *dir = opendir("/dev/shm");
    struct dirent *entry;
    char own[64];
    int count = 0;
    snprintf(own, sizeof own, "echelon-%ld-", (long)getpid());
    while (dir && (entry = readdir(dir)))
        count += strncmp(entry->d_name, own, strlen(own)) == 0;
    if (dir)
        closedir(dir);
    return count;
}

static void test_shm(struct ech_comm *comm)
{
    enum { BYTES = 1 << 20 };
    void *base = NULL;
    OK(ech_shm_open(comm, BYTES, &base, &err));
    CHECK(names_in_dev_shm() == 0, "the segment's name is still there");
    _Atomic int64_t *counter = base;
    for (int i = 0; i < 1000; i++)
        atomic_fetch_add(&counter[1000], 1);
    OK(ech_node_barrier(comm, &err));
    CHECK(counter[1000] == 1000 * ech_comm_node_size(comm), "%lld", (long long)counter[1000]);
    CHECK(counter[1001] == 0, "memory was not zeroed");
    OK(ech_node_barrier(comm, &err));
    ech_shm_close(base, BYTES);
    struct ech_err full = ECH_ERR_NONE;
    base = NULL;
    int code = ech_shm_open(comm, (size_t)1 << 50, &base, &full);
    CHECK(code == ECH_UNAVAILABLE && !base, "a petabyte: code %d", code);
    CHECK(strstr(full.text, "shared memory"), "%s", full.text);
    CHECK(names_in_dev_shm() == 0, "a failed segment's name is still there");
}

/* a_node: at most 2, so that a half has one rank of each node. */
static void test_split(struct ech_comm *comm, int a_node)
{
    struct ech_comm *half = NULL;
    OK(ech_comm_split(comm, rank % 2, &half, &err));
    CHECK(ech_comm_rank(half) == rank / 2, "rank %d", ech_comm_rank(half));
    CHECK(ech_comm_size(half) == (size + 1 - rank % 2) / 2, "size %d", ech_comm_size(half));
    CHECK(ech_comm_nodes(half) == (a_node ? ech_comm_size(half) : 1), "%d", ech_comm_nodes(half));
    int64_t sum = 1;
    OK(ech_sum_i64(half, &sum, 1, &err));
    CHECK(sum == ech_comm_size(half), "sum %lld", (long long)sum);
    ech_comm_close(half);
    OK(ech_comm_split(comm, rank == 0 ? 5 : -1, &half, &err));
    CHECK((half != NULL) == (rank == 0), "only rank 0 asked for one");
    ech_comm_close(half);
}

/* One rank has no memory: all hear of it and all can go on. */
static void test_alloc_faults(struct ech_comm *comm)
{
    for (int n = 1;; n++) {
        struct ech_err lack = ECH_ERR_NONE;
        struct ech_comm *child = NULL;
        void *all = NULL;
        size_t *counts = calloc((size_t)size, sizeof *counts);
        if (rank == size - 1)
            ech_fault_arm(ECH_FAULT_ALLOC, n);
        int code = ech_comm_split(comm, 0, &child, &lack);
        if (code == ECH_OK)
            code = ech_allgatherv(comm, "ab", 2, &all, counts, &lack);
        int64_t codes[2] = {code, -code}, fired = rank == size - 1 && ech_fault_fired();
        ech_fault_arm(-1, 0);
        OK(ech_max_i64(comm, codes, 2, &err));
        OK(ech_max_i64(comm, &fired, 1, &err));
        CHECK(codes[0] == -codes[1], "ranks disagree: %d here", code);
        CHECK(code == (fired ? ECH_UNAVAILABLE : ECH_OK), "code %d at failure %d", code, n);
        ech_free(all);
        ech_comm_close(child);
        free(counts);
        if (!fired) {
            CHECK(n > 3, "only %d allocations", n);
            return;
        }
    }
}

static void run_all(struct ech_comm *comm, int a_node, size_t piece)
{
    test_topology(comm, a_node);
    if (piece)
        comm->piece = piece;
    const size_t lengths[] = {0, 1, 63, 64, 65, 1000, 4096};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        test_bytes(comm, lengths[i]);
        test_gatherv(comm, lengths[i]);
    }
    test_numbers(comm);
    test_agree(comm);
    if (!piece)
        test_messages(comm);
    test_shm(comm);
    test_split(comm, a_node);
    test_alloc_faults(comm);
}

/* The last rank dies; the others send to it, never block, and go on among themselves. */
/* One that still listens when the others make their group already must not hear of it. */
static void listen_on(struct ech_comm *comm)
{
    int from, tag;
    void *data;
    size_t bytes;
    for (double until = ech_mono_s() + 0.5; ech_mono_s() < until; ech_sleep_us(1000))
        CHECK(!ech_msg_poll(comm, &from, &tag, &data, &bytes), "a message of tag %d from rank %d", tag, from);
}

static void run_kill(struct ech_comm *comm)
{
    int dead = size - 1;
    OK(ech_barrier(comm, &err));
    if (rank == dead)
        raise(SIGKILL);
    ech_sleep_us(200000);
    unsigned char *large = calloc(1, 1 << 20);
    double from = ech_mono_s();
    for (int i = 0; i < 20; i++)
        OK(ech_msg_send(comm, dead, 1, large, 1 << 20, &err));
    CHECK(ech_mono_s() - from < 5, "sending to the dead took %g s", ech_mono_s() - from);
    free(large);
    ech_comm_abandon(comm);
    bool *alive = calloc((size_t)size, sizeof *alive);
    for (int i = 0; i < dead; i++)
        alive[i] = true;
    struct ech_comm *living = NULL;
    if (rank == 0)
        listen_on(comm);
    OK(ech_comm_survivors(comm, alive, &living, &err));
    free(alive);
    CHECK(ech_comm_size(living) == size - 1 && ech_comm_rank(living) == rank, "survivors");
    size = size - 1;
    test_bytes(living, 1000);
    test_messages(living);
    test_shm(living);
    if (rank == 0)
        puts("survived");
    fflush(stdout);
    ech_comm_close(living);
}

static void run_hang(struct ech_comm *comm)
{
    OK(ech_watchdog_start(rank, NULL, &err));
    OK(ech_barrier(comm, &err));
    if (rank == size - 1)
        raise(SIGKILL);
    ech_watchdog_phase("test barrier", 0.5);
    ech_barrier(comm, NULL);
    CHECK(false, "a barrier with a dead rank ended");
}

int main(int argc, char **argv)
{
    struct ech_comm_options options = {0};
    size_t piece = 0;
    const char *mode = "";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--ranks-a-node") == 0 && i + 1 < argc)
            options.ranks_a_node = atoi(argv[++i]);
        else if (strcmp(argv[i], "--piece") == 0 && i + 1 < argc)
            piece = (size_t)atoi(argv[++i]);
        else
            mode = argv[i];
    }
    struct ech_comm *comm = NULL;
    OK(ech_comm_open_mpi(&options, &comm, &err));
    check_rank = rank = ech_comm_rank(comm);
    size = ech_comm_size(comm);
    if (strcmp(mode, "--kill") == 0)
        run_kill(comm);
    else if (strcmp(mode, "--hang") == 0)
        run_hang(comm);
    else
        run_all(comm, options.ranks_a_node, piece);
    ech_comm_close(comm);
    return 0;
}
