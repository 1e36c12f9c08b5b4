/* Verify and seal on the ranks it is started with:
 *   seal OUT ROWS RECORD SHARD_BYTES    spools of ROWS rows (RECORD rows a record, overlapping, in 5 files of
 *                                       unequal size) are made by rank 0 where there are none, sealed to OUT
 *   seal --faults                       each operation of one rank fails in turn: all ranks get the error */
#include "tests/mpi/check.h"
#include "tests/unit/job_spool/run.h"

#include "base/fault.h"
#include "comm/watchdog.h"
#include "job/identity.h"

static struct ech_comm *comm;
static int size;

/* Attempt 1 did the first two thirds, attempt 2 from the half on: the sixth between is there twice. */
static void make_spools(int64_t rows, int64_t record)
{
    static const int part[5] = {0, 0, 0, 1, 2};
    for (int file = 0; file < 5; file++) {
        int64_t from = file < 3 ? 0 : rows / 2, end = file < 3 ? rows * 2 / 3 : rows, count = 0;
        int64_t *ranges = ech_calloc((size_t)(2 * (rows / record + 4)), sizeof *ranges, NULL);
        for (int64_t first = from, i = 0; first < end; first += record, i++)
            if (file < 3 ? i % 5 == file || (file == 0 && i % 5 > 2) : i % 2 == part[file] - 1) {
                ranges[count++] = first;
                ranges[count++] = first + record < end ? first + record : end;
            }
        ranges[count] = -1;
        char path[64];
        snprintf(path, sizeof path, "run/nodes/host%d/spool-%d-%d", file % 2, file < 3 ? 1 : 2, file);
        test_spool(path, file < 3 ? 1 : 2, file, ranges);
        ech_free(ranges);
    }
}

struct made {
    struct ech_spool_files files;
    struct ech_spool_index index;
    struct ech_rowset done;
};

static void drop(struct made *m)
{
    ech_spool_files_fini(&m->files);
    ech_spool_index_fini(&m->index);
    ech_rowset_fini(&m->done);
    *m = (struct made){0};
}

static int run(struct made *m, const char *target, int64_t rows, int64_t shard_bytes, struct ech_err *err)
{
    struct ech_spool_head head = test_head(3, ech_comm_rank(comm));
    struct ech_sealed sealed;
    char provenance[64];
    snprintf(provenance, sizeof provenance, "  ranks: %d\n", size);
    int code = ech_spool_files_list(comm, "run", &m->files, err);
    if (code == ECH_OK)
        code = ech_spool_verify(comm, &m->files, &head, &m->index, &m->done, err);
    struct ech_seal_job job = {.files = &m->files,
                               .head = &head,
                               .index = &m->index,
                               .rows = rows,
                               .shard_bytes = shard_bytes,
                               .target = target,
                               .tag = "test",
                               .provenance = provenance};
    if (code == ECH_OK)
        code = ech_seal(comm, &job, &sealed, err);
    if (code == ECH_OK && ech_comm_rank(comm) == 0)
        printf("sealed %lld rows, %d shards, %lld bytes\n", (long long)sealed.rows, sealed.shards,
               (long long)sealed.bytes);
    return code;
}

/* What every rank must have alike: the index, and the hash of the spools' bytes. */
static void tell(const struct made *m, int64_t rows)
{
    char hex[ECH_HASH_HEX];
    struct ech_hash h = ech_hash_bytes(m->index.entries, m->index.count * sizeof *m->index.entries), zero = h;
    CHECK(m->done.rows == rows, "%lld rows found", (long long)m->done.rows);
    OK(ech_bcast(comm, &zero, sizeof zero, 0, &err));
    CHECK(ech_hash_equal(h, zero), "another index than rank 0");
    const char *names[8] = {0};
    for (int i = 0; i < m->files.count; i++)
        names[i] = m->files.paths[i] + strlen("run/");
    struct ech_hash files = {0, 0};
    OK(ech_files_hash(comm, "run", NULL, names, &files, &err));
    if (ech_comm_rank(comm) == 0) {
        printf("index %s\n", ech_hash_print(h, hex));
        printf("files %s\n", ech_hash_print(files, hex));
    }
}

static void seal_once(char **argv)
{
    int64_t rows = atoll(argv[2]);
    struct made m = {0};
    if (check_rank == 0 && !ech_path_exists("run"))
        make_spools(rows, atoll(argv[3]));
    OK(ech_barrier(comm, &err));
    OK(run(&m, argv[1], rows, atoll(argv[4]), &err));
    tell(&m, rows);
    drop(&m);
    OK(run(&m, argv[1], rows, atoll(argv[4]), &err)); /* as a resume after the rename: it is there */
    drop(&m);
}

static int64_t most_of(int64_t value)
{
    OK(ech_max_i64(comm, &value, 1, &err));
    return value;
}

/* The n-th operation of rank `victim` fails, for every n. Returns how many did. */
static int64_t sweep(int victim)
{
    for (int64_t n = 1;; n++) {
        struct ech_err err = ECH_ERR_NONE;
        struct made m = {0};
        char target[64];
        snprintf(target, sizeof target, "out-%d-%lld", victim, (long long)n);
        ech_watchdog_phase("sweep", 20);
        ech_fault_arm(-1, check_rank == victim ? n : 0);
        int code = run(&m, target, 300, 4000, &err);
        bool here = ech_fault_fired();
        ech_fault_arm(-1, 0);
        int64_t fired = most_of(here), codes = most_of(code);
        CHECK(code == codes, "n = %lld: %d here, %d elsewhere", (long long)n, code, (int)codes);
        CHECK(code == ECH_OK || err.text[0], "an error without words");
        CHECK(fired || code == ECH_OK, "n = %lld: %s", (long long)n, err.text);
        drop(&m);
        snprintf(target, sizeof target, "out-%d-%lld.partial-test", victim, (long long)n);
        CHECK(!ech_path_exists(target), "%s is left over", target);
        if (!fired)
            return n - 1;
    }
}

int main(int argc, char **argv)
{
    struct ech_comm_options options = {0};
    bool faults = argc == 2 && strcmp(argv[1], "--faults") == 0;
    CHECK(faults || argc == 5, "usage: seal OUT ROWS RECORD SHARD_BYTES | seal --faults");
    setenv("XDG_CACHE_HOME", "/dev/null", 1);
    OK(ech_comm_open_mpi(&options, &comm, &err));
    check_rank = ech_comm_rank(comm);
    size = ech_comm_size(comm);
    if (!faults)
        seal_once(argv);
    else {
        OK(ech_watchdog_start(check_rank, NULL, &err));
        if (check_rank == 0)
            make_spools(300, 10);
        OK(ech_barrier(comm, &err));
        CHECK(sweep(0) > 150 && (size == 1 || sweep(size - 1) > 60), "too few faults");
        ech_watchdog_stop();
    }
    ech_comm_close(comm);
    return 0;
}
