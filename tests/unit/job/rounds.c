/* What a run does when its spools do not hold what was written, when it is stopped, when too many rows are
 * bad: rows run again, in a next round or a next attempt, and the output has the bytes of an undisturbed run.
 */
#include "tests/unit/job/fixture.h"

#include <glob.h>
#include <stdatomic.h>
#include <sys/syscall.h>

enum { ROWS = 60, BAD = 17 };

/* Writes of spool records obey this. */
static struct {
    atomic_int writes;
    int flip, shorten, stop; /* at the n-th write: a byte is changed, the end is lost, a stop is asked for */
    int flip_from;           /* at the n-th and every later one; 0: never */
} plan;
static volatile sig_atomic_t stop;

static ssize_t write_changed(int fd, const void *data, size_t bytes, off_t offset, size_t at)
{
    unsigned char *copy = malloc(bytes);
    memcpy(copy, data, bytes);
    copy[at] ^= 0x10;
    ssize_t done = syscall(SYS_pwrite64, fd, copy, bytes, offset);
    free(copy);
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
    bool spool = bytes > 8 && (memcmp(data, "ECHSPOOL", 8) == 0 || memcmp(data, "ECHRECRD", 8) == 0);
    int n = spool ? ++plan.writes : 0;
    if (n && n == plan.stop)
        stop = 1;
    if (n && (n == plan.flip || (plan.flip_from && n >= plan.flip_from)))
        return write_changed(fd, data, bytes, offset, bytes - 100);
    if (n && n == plan.shorten)
        return syscall(SYS_pwrite64, fd, data, bytes / 2, offset) < 0 ? -1 : (ssize_t)bytes;
    return syscall(SYS_pwrite64, fd, data, bytes, offset);
}

#define JOB(more)                                                                                            \
    "kind: embed\nmodel: m\ninput: {dataset: in}\noutput: {dataset: out, keep: [id]}\n"                      \
    "resources: {threads: 2}\nbalance: {lease_rows: 6, lease_rows_max: 6, probe: false}\n" more

static const struct ech_column columns[] = {
    {.name = "text", .type = ECH_TEXT, .dtype = ECH_U8},
    {.name = "id", .type = ECH_INTS, .dtype = ECH_I64, .dim = 1},
};

static void cell(int64_t row, int column, struct ech_str *out)
{
    if (column == 1)
        ech_str_add(out, &row, sizeof row);
    else
        ech_str_addf(out, "hello %d world%s", (int)row, row == BAD ? "\xff" : "");
}

static struct ech_str want, got;

static void prepare(void)
{
    struct ech_err err = ECH_ERR_NONE;
    put_model("m");
    put_dataset("in", &(struct table){columns, 2, ROWS, 1000, cell});
    put_run(JOB(""));
    must(run_attempt(1, NULL, &err), &err);
    folder_bytes("out", &want);
    must(ech_remove_all("out", NULL), NULL);
    put_run(JOB(""));
    plan.writes = 0;
}

static void finish(void)
{
    folder_bytes("out", &got);
    assert_int_equal(got.length, want.length);
    assert_memory_equal(got.data, want.data, want.length);
    ech_str_fini(&want);
    ech_str_fini(&got);
}

static int spools(const char *pattern)
{
    glob_t found;
    int count = glob(pattern, 0, NULL, &found) == 0 ? (int)found.gl_pathc : 0;
    globfree(&found);
    return count;
}

static void expect_second_round(void)
{
    struct ech_err err = ECH_ERR_NONE;
    must(run_attempt(1, NULL, &err), &err);
    assert_int_equal(spools("run/nodes/*/spool-1-0"), 1);
    assert_int_equal(spools("run/nodes/*/spool-1-1"), 1);
    assert_int_equal(spools("run/nodes/*/spool-*"), 2);
    finish();
}

static void a_changed_byte_means_a_second_round(void **state)
{
    (void)state;
    prepare();
    plan.flip = 1;
    expect_second_round();
}

static void a_lost_end_means_a_second_round(void **state)
{
    (void)state;
    prepare();
    plan.shorten = 1;
    expect_second_round();
}

/* Every write is damaged in every round: it ends all the same. */
static void a_bad_disk_is_an_error_after_some_rounds(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_run_result result;
    prepare();
    plan.flip_from = 1;
    expect(run_attempt(1, NULL, &err), ECH_IO, &err, "rows are missing in the spools again and again");
    assert_false(ech_path_exists("out"));
    assert_int_equal(spools("run/nodes/*/spool-*"), 5);
    must(ech_run_result_read("run", 1, &result, &err), &err);
    assert_int_equal(result.code, ECH_IO);
    plan.flip_from = 0;
    ech_err_clear(&err);
    must(run_attempt(2, NULL, &err), &err);
    finish();
}

static void a_stop_ends_with_75_and_a_resume_ends_it(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_run_result result;
    prepare();
    plan.stop = 1;
    int code = run_attempt(1, &stop, &err);
    if (code) { /* unless all rows had been done by then and it was sealed */
        assert_int_equal(code, ECH_REQUEUE);
        must(ech_run_result_read("run", 1, &result, NULL), NULL);
        assert_string_equal(result.state, "stopped");
        assert_false(ech_path_exists("out"));
    }
    ech_err_clear(&err);
    stop = 1; /* asked for before it begins */
    assert_int_equal(run_attempt(2, &stop, &err), ECH_REQUEUE);
    stop = 0;
    ech_err_clear(&err);
    must(run_attempt(3, &stop, &err), &err);
    must(ech_run_result_read("run", 3, &result, &err), &err);
    assert_string_equal(result.state, "sealed");
    assert_int_equal(result.rows, ROWS);
    assert_int_equal(result.errors, 1);
    finish();
}

static void more_bad_rows_are_allowed_later(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    prepare();
    put_job(JOB("max_errors: 0\n"));
    expect(run_attempt(1, NULL, &err), ECH_DATA, &err, "row 17: ");
    assert_false(ech_path_exists("out"));
    ech_err_clear(&err);
    assert_int_equal(run_attempt(2, NULL, &err), ECH_DATA);
    put_job(JOB("max_errors: 1\n"));
    ech_err_clear(&err);
    must(run_attempt(3, NULL, &err), &err);
    finish();
}

/* An option that changes the result is refused by name; the run goes on once it is taken back. */
static void another_job_is_refused_by_name(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    prepare();
    plan.flip_from = 1;
    assert_int_equal(run_attempt(1, NULL, &err), ECH_IO);
    plan.flip_from = 0;
    put_job(JOB("options: {max_tokens: 9}\n"));
    ech_err_clear(&err);
    expect(run_attempt(2, NULL, &err), ECH_CONFIG, &err, "max_tokens");
    put_job(JOB(""));
    ech_err_clear(&err);
    must(run_attempt(3, NULL, &err), &err);
    finish();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_changed_byte_means_a_second_round),
    cmocka_unit_test(a_lost_end_means_a_second_round),
    cmocka_unit_test(a_bad_disk_is_an_error_after_some_rounds),
    cmocka_unit_test(a_stop_ends_with_75_and_a_resume_ends_it),
    cmocka_unit_test(more_bad_rows_are_allowed_later),
    cmocka_unit_test(another_job_is_refused_by_name),
};

ECH_TEST_MAIN(tests)
