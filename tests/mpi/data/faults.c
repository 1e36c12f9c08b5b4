/* One rank's n-th allocation, open, read, write, sync or rename fails while all write a dataset together: all
 * hear of it, nobody waits for ever, and what is left is no dataset or a whole one. */
#include "tests/mpi/check.h"
#include "tests/unit/data/make.h"

#include "base/fault.h"
#include "base/io.h"
#include "comm/watchdog.h"
#include "data/dataset.h"
#include "data/verify.h"

static int64_t rows_left(int64_t rows)
{
    struct ech_dataset *ds = NULL;
    struct ech_verify sums = {0};
    if (!ech_path_exists("out"))
        return -1;
    OK(ech_dataset_open("out", &ds, &err));
    OK(ech_verify(ds, 0, 1, NULL, NULL, &sums, &err));
    CHECK(sums.damages == 0 && ech_dataset_rows(ds) == rows, "a wrong dataset was left");
    ech_dataset_close(ds);
    return rows;
}

/* Returns whether the fault was reached. */
static bool once(struct ech_comm *comm, int site, int64_t n)
{
    int rank = ech_comm_rank(comm), victim = (int)(n % ech_comm_size(comm));
    const struct make_plan plan = {.rows = 24, .shard_bytes = 2500, .slice = 3};
    const struct ech_publish how = {.target = "out", .provenance = "  a: b\n"};
    struct ech_err err = ECH_ERR_NONE;
    ech_watchdog_phase("writing under a fault", 20);
    if (rank == victim)
        ech_fault_arm(site, n / ech_comm_size(comm) + 1);
    int code = make_dataset(comm, &plan, "partial", &how, &err);
    int64_t seen[3] = {code, -code, rank == victim && ech_fault_fired()};
    ech_fault_arm(-1, 0);
    CHECK(ech_max_i64(comm, seen, 3, NULL) == ECH_OK, "reduction");
    CHECK(seen[0] == -seen[1], "site %d, failure %lld: the ranks disagree, %d here", site, (long long)n,
          code);
    CHECK(code == err.code, "code %d, error %d %s", code, err.code, err.text);
    if (rank == 0) {
        int64_t left = rows_left(plan.rows);
        CHECK(code != ECH_OK || left == plan.rows, "success without a dataset");
        CHECK(ech_remove_all("out", NULL) == ECH_OK, "removing");
        CHECK(ech_remove_all("partial", NULL) == ECH_OK, "removing");
    }
    CHECK(ech_barrier(comm, NULL) == ECH_OK, "barrier");
    ech_watchdog_clear();
    return seen[2];
}

int main(void)
{
    struct ech_comm *comm = NULL;
    OK(ech_comm_open_mpi(NULL, &comm, &err));
    check_rank = ech_comm_rank(comm);
    OK(ech_watchdog_start(check_rank, NULL, &err));
    for (int site = 0; site < ECH_FAULT_SITES; site++) {
        int64_t hits = 0, misses = 0;
        for (int64_t n = 0; misses < ech_comm_size(comm); n = n < 30 ? n + 1 : n * 11 / 10) {
            bool fired = once(comm, site, n);
            hits += fired;
            misses = fired ? 0 : misses + 1;
        }
        CHECK(hits > 2, "site %d was reached %lld times", site, (long long)hits);
    }
    ech_watchdog_stop();
    ech_comm_close(comm);
    return 0;
}
