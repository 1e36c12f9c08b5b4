/* Fail the n-th allocation, open, read, write, sync and rename of writing, appending, replacing and reading a
 * dataset, for n = 1, 2, ... until a run passes untouched: always an error, never a wrong dataset, no leak.
 */
#include "tests/harness.h"

#include "base/fault.h"
#include "base/io.h"
#include "base/mem.h"
#include "data/dataset.h"
#include "data/manifest.h"
#include "data/verify.h"
#include "tests/unit/data/make.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static struct ech_comm *comm;
static const struct make_plan first = {.rows = 24, .shard_bytes = 4000, .slice = 7};
enum { REPLACED = 12, APPENDED = 8 };

static int write_new(const char *target, bool replace, int64_t rows, struct ech_err *err)
{
    struct make_plan plan = first;
    plan.rows = rows;
    const struct ech_publish how = {.target = target, .provenance = "  a: b\n", .replace = replace};
    return make_dataset(comm, &plan, "partial", &how, err);
}

static int append(struct ech_err *err)
{
    struct make_plan plan = first;
    plan.rows = APPENDED;
    plan.first_row = first.rows;
    const struct ech_publish how = {.append_to = "out"};
    return make_dataset(comm, &plan, "partial", &how, err);
}

/* A dataset that can be opened is whole and right. Returns its rows, -1 where there is none. */
static int64_t whole_rows(const char *path)
{
    struct ech_dataset *ds = NULL;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_verify sums;
    unsigned char cell[MAKE_CELL];
    struct ech_cells cells = {0};
    if (!ech_path_exists(path))
        return -1;
    if (ech_dataset_open(path, &ds, &err) != ECH_OK)
        fail_msg("a dataset that cannot be opened was left: %s", err.text);
    assert_int_equal(ech_verify(ds, 0, 1, NULL, NULL, &sums, &err), ECH_OK);
    assert_int_equal(sums.damages, 0);
    int64_t rows = ech_dataset_rows(ds);
    for (int c = 0; c < MAKE_COLUMNS; c++) {
        assert_int_equal(ech_dataset_read(ds, c, 0, rows, &cells, &err), ECH_OK);
        for (int64_t row = 0; row < rows; row++) {
            size_t bytes = make_cell(row, c, cell);
            assert_true(cells.offsets[row + 1] - cells.offsets[row] == bytes &&
                        memcmp(cells.bytes + cells.offsets[row], cell, bytes) == 0);
        }
    }
    ech_cells_fini(&cells);
    ech_dataset_close(ds);
    return rows;
}

static int run(const char *what, struct ech_err *err)
{
    if (strcmp(what, "new") == 0)
        return write_new("out", false, first.rows, err);
    if (strcmp(what, "replace") == 0)
        return write_new("out", true, REPLACED, err);
    return append(err);
}

/* Rows before and after `what`. */
static void sweep(const char *what, int64_t before, int64_t after)
{
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_comm_open_self(&comm, NULL), ECH_OK);
    for (int site = 0; site < ECH_FAULT_SITES; site++)
        for (int64_t n = 1;; n = n < 200 ? n + 1 : n * 13 / 10) {
            assert_int_equal(ech_remove_all("out", NULL), ECH_OK);
            assert_int_equal(ech_remove_all("partial", NULL), ECH_OK);
            ech_err_clear(&err);
            if (before >= 0)
                assert_int_equal(write_new("out", false, first.rows, &err), ECH_OK);
            ech_fault_arm(site, n);
            int code = run(what, &err);
            bool fired = ech_fault_fired();
            ech_fault_arm(-1, 0);
            int64_t rows = whole_rows("out");
            if (rows != before && rows != after)
                fail_msg("%s, site %d, failure %lld: %lld rows are left", what, site, (long long)n,
                         (long long)rows);
            if (code == ECH_OK && rows != after)
                fail_msg("%s, site %d, failure %lld: success without the rows", what, site, (long long)n);
            if (!fired) {
                assert_int_equal(code, ECH_OK);
                assert_true(n > 1);
                break;
            }
            if (code != ECH_OK)
                assert_true(err.code == code && err.text[0] != '\0');
        }
    ech_comm_close(comm);
}

static void writing(void **state)
{
    (void)state;
    sweep("new", -1, first.rows);
}

static void replacing(void **state)
{
    (void)state;
    sweep("replace", first.rows, REPLACED);
}

static void appending(void **state)
{
    (void)state;
    sweep("append", first.rows, first.rows + APPENDED);
}

/* Runs `what` in a child that is killed at its n-th pass through a site. False where it was not. */
static bool killed_at(const char *what, const char *site, int64_t n)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char spec[64];
        struct ech_err err = ECH_ERR_NONE;
        snprintf(spec, sizeof spec, "%s:%lld:kill", site, (long long)n);
        setenv("ECH_FAULT", spec, 1);
        _exit(ech_fault_arm_from_env() == ECH_OK && run(what, &err) == ECH_OK ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGKILL);
        return true;
    }
    assert_int_equal(WEXITSTATUS(status), 0);
    return false;
}

/* Whatever a killed writer leaves, the next one succeeds once the partial folder is gone. */
static void kill_sweep(const char *what, int64_t after)
{
    static const char *const sites[] = {"open", "write", "fsync", "rename"};
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_comm_open_self(&comm, NULL), ECH_OK);
    for (size_t s = 0; s < sizeof sites / sizeof sites[0]; s++)
        for (int64_t n = 1;; n = n < 10 ? n + 1 : n * 13 / 10) {
            assert_int_equal(ech_remove_all("out", NULL), ECH_OK);
            assert_int_equal(write_new("out", false, first.rows, &err), ECH_OK);
            bool killed = killed_at(what, sites[s], n);
            int64_t rows = whole_rows("out");
            assert_true(rows == after || (killed && rows == first.rows));
            assert_int_equal(ech_remove_all("partial", NULL), ECH_OK);
            if (killed && rows == first.rows) {
                assert_int_equal(run(what, &err), ECH_OK);
                assert_int_equal(whole_rows("out"), after);
            }
            if (!killed)
                break;
        }
    ech_comm_close(comm);
}

static void killed_replacing(void **state)
{
    (void)state;
    kill_sweep("replace", REPLACED);
}

static void killed_appending(void **state)
{
    (void)state;
    kill_sweep("append", first.rows + APPENDED);
}

static int read_all(struct ech_err *err)
{
    struct ech_dataset *ds = NULL;
    struct ech_verify sums = {0};
    struct ech_cells cells = {0};
    int code = ech_dataset_open("out", &ds, err);
    for (int c = 0; c < MAKE_COLUMNS && code == ECH_OK; c++)
        code = ech_dataset_read(ds, c, 0, first.rows, &cells, err);
    if (code == ECH_OK)
        code = ech_verify(ds, 0, 1, NULL, NULL, &sums, err);
    assert_int_equal(sums.damages, 0); /* a failed read is an error, not damage */
    ech_cells_fini(&cells);
    ech_dataset_close(ds);
    return code;
}

static void reading(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_comm_open_self(&comm, NULL), ECH_OK);
    assert_int_equal(write_new("out", false, first.rows, &err), ECH_OK);
    static const int sites[] = {ECH_FAULT_ALLOC, ECH_FAULT_OPEN, ECH_FAULT_READ};
    for (size_t s = 0; s < 3; s++)
        for (int64_t n = 1;; n++) {
            ech_err_clear(&err);
            ech_fault_arm(sites[s], n);
            int code = read_all(&err);
            bool fired = ech_fault_fired();
            ech_fault_arm(-1, 0);
            assert_int_equal(code == ECH_OK, !fired);
            assert_int_equal(code, err.code);
            if (!fired)
                break;
        }
    ech_comm_close(comm);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(writing), cmocka_unit_test(replacing),        cmocka_unit_test(appending),
    cmocka_unit_test(reading), cmocka_unit_test(killed_replacing), cmocka_unit_test(killed_appending),
};

ECH_TEST_MAIN(tests)
