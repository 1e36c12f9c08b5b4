/* One rank's n-th allocation, open, read, write, sync or rename fails while all import, append or export
 * together: all end with the same error, nobody waits for ever, nothing half-made is left. */
#include "tests/mpi/check.h"

#include "base/fault.h"
#include "base/io.h"
#include "comm/watchdog.h"
#include "data/dataset.h"
#include "data/export.h"
#include "data/import.h"

#include <dirent.h>

static const char *const sources[] = {"a.jsonl", "a.csv", "a.npy"};

static void make_sources(void)
{
    static const char json[] =
        "{\"a\":1,\"b\":\"x\"}\n{\"a\":2,\"b\":null}\n{\"a\":3,\"b\":\"yyyyyyyyyyyy\"}\n";
    static const char rows[] = "a,b\n1,\"x\ny\"\n2,\"a, longer, cell\"\n3,z\n4,z\n";
    char npy[128 + 32] = "\x93NUMPY\x01";
    snprintf(npy + 10, 118, "{'descr': '<f4', 'fortran_order': False, 'shape': (8,), }");
    npy[8] = 118;
    memset(npy + strlen(npy + 10) + 10, ' ', 118 - strlen(npy + 10));
    OK(ech_write_file("a.jsonl", json, sizeof json - 1, &err));
    OK(ech_write_file("a.csv", rows, sizeof rows - 1, &err));
    OK(ech_write_file("a.npy", npy, sizeof npy, &err));
}

static bool left_partial(void)
{
    DIR *dir = opendir(".");
    struct dirent *entry;
    bool found = false;
    while ((entry = readdir(dir)))
        found |= strstr(entry->d_name, ".partial") != NULL;
    closedir(dir);
    return found;
}

/* What is tried: 0 to 2 an import of a source, 3 to 5 appending it, 6 an export of the dataset "kept". */
static int attempt(struct ech_comm *comm, int what, struct ech_err *err)
{
    const char *source = sources[what % 3];
    struct ech_import_options import = {.sources = &source, .source_count = 1, .append = what >= 3};
    struct ech_export_options export = {0};
    if (what == 6)
        return ech_export(comm, "kept", &export, "out.jsonl", NULL, err);
    return ech_import(comm, &import, "out", NULL, err);
}

static void check_left(int what, int code)
{
    struct ech_dataset *ds;
    CHECK(!left_partial(), "a partial output is left, status %d", code);
    if (what < 3)
        CHECK(ech_path_exists("out") || code != ECH_OK, "success without a dataset");
    if (what >= 3 && what < 6) {
        OK(ech_dataset_open("out", &ds, &err));
        int64_t rows = ech_dataset_rows(ds), once = what == 3 ? 3 : what == 4 ? 4 : 8;
        CHECK(rows == 2 * once || (code != ECH_OK && rows == once), "%lld rows", (long long)rows);
        ech_dataset_close(ds);
    }
    OK(ech_remove_all("out", &err));
    OK(ech_remove_all("out.jsonl", &err));
}

/* Returns whether the fault was reached. */
static bool once(struct ech_comm *comm, int what, int64_t n)
{
    int rank = ech_comm_rank(comm), victim = (int)(n % ech_comm_size(comm));
    struct ech_err problem = ECH_ERR_NONE;
    ech_watchdog_phase("importing under a fault", 20);
    if (what >= 3 && what < 6)
        OK(attempt(comm, what - 3, &err));
    if (rank == victim)
        ech_fault_arm(-1, n / ech_comm_size(comm) + 1);
    int code = attempt(comm, what, &problem);
    int64_t seen[3] = {code, -code, rank == victim && ech_fault_fired()};
    ech_fault_arm(-1, 0);
    OK(ech_max_i64(comm, seen, 3, &err));
    CHECK(seen[0] == -seen[1], "case %d, failure %lld: the ranks disagree, %d here", what, (long long)n,
          code);
    CHECK(code == problem.code && (code == ECH_OK || problem.text[0]), "code %d, error %d %s", code,
          problem.code, problem.text);
    if (rank == 0)
        check_left(what, code);
    OK(ech_barrier(comm, &err));
    ech_watchdog_clear();
    return seen[2];
}

int main(void)
{
    struct ech_comm *comm = NULL;
    OK(ech_comm_open_mpi(NULL, &comm, &err));
    check_rank = ech_comm_rank(comm);
    OK(ech_watchdog_start(check_rank, NULL, &err));
    if (check_rank == 0)
        make_sources();
    OK(ech_barrier(comm, &err));
    const char *source = sources[0];
    struct ech_import_options import = {.sources = &source, .source_count = 1};
    OK(ech_import(comm, &import, "kept", NULL, &err));
    for (int what = 0; what <= 6; what++) {
        int64_t hits = 0, misses = 0, n = 0;
        for (; misses < ech_comm_size(comm); n += n < 150 ? 1 : 1 + n / 10) {
            bool hit = once(comm, what, n);
            hits += hit;
            misses = hit ? 0 : misses + 1;
        }
        CHECK(hits > 20, "case %d: %lld failures only", what, (long long)hits);
    }
    ech_watchdog_stop();
    ech_comm_close(comm);
    return 0;
}
