/* base/rundir: names, attempts, the result of an attempt. */
#include "tests/harness.h"

#include "base/fault.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/rundir.h"

static void touch(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void attempts(void **state)
{
    (void)state;
    int n = -1;
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_run_attempts("run", &n, &err), ECH_NOINPUT);
    assert_non_null(strstr(err.text, "does not exist"));
    assert_int_equal(ech_mkdir_all("run", NULL), ECH_OK);
    ech_err_clear(&err);
    assert_int_equal(ech_run_attempts("run", &n, &err), ECH_NOINPUT);
    assert_non_null(strstr(err.text, "not a run directory"));
    assert_int_equal(n, -1);

    static const struct {
        const char *path;
        int attempt;
    } steps[] = {
        {"run/job.yaml", 0},
        {"run/launch-1.json", 1},
        {"run/result-x.json", 1},
        {"run/result-99999999999999999999.json", 1},
        {"run/mpirun-2.log", 2},
        {"run/nodes/host/events-3-0.jsonl", 3},
        {"run/nodes/host/log-4-12", 4},
        {"run/nodes/host/spool-10-7", 10},
        {"run/result-9.json", 10},
        {"run/nodes/host/other-11-7", 10},
    };
    assert_int_equal(ech_mkdir_all("run/nodes/host", NULL), ECH_OK);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        touch(steps[i].path, "");
        assert_int_equal(ech_run_attempts("run", &n, NULL), ECH_OK);
        assert_int_equal(n, steps[i].attempt);
    }
    char *path = ech_run_path(NULL, "run/", "launch-%d.json", 3);
    assert_string_equal(path, "run/launch-3.json");
    ech_free(path);
}

static const struct ech_run_result sample = {.attempt = 2,
                                             .code = ECH_REQUEUE,
                                             .state = "stopped",
                                             .text = "walltime \"1:00\"\nis near",
                                             .dataset = "/out/ä",
                                             .rows = 1LL << 40,
                                             .errors = 3,
                                             .seconds = 1.25};

static void result(void **state)
{
    (void)state;
    struct ech_run_result back;
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_mkdir_all("run", NULL), ECH_OK);
    assert_int_equal(ech_run_result_read("run", 2, &back, &err), ECH_NOINPUT);
    assert_int_equal(ech_run_result_write("run", &sample, NULL), ECH_OK);
    assert_int_equal(ech_run_result_read("run", 2, &back, NULL), ECH_OK);
    assert_int_equal(back.code, ECH_REQUEUE);
    assert_string_equal(back.state, sample.state);
    assert_string_equal(back.text, sample.text);
    assert_string_equal(back.dataset, sample.dataset);
    assert_true(back.rows == sample.rows && back.errors == 3 && back.seconds == 1.25);
}

static void hostile_result(void **state)
{
    (void)state;
    static const char good[] =
        "{\"attempt\":1,\"code\":0,\"state\":\"sealed\",\"text\":\"\",\"dataset\":\"d\","
        "\"rows\":1,\"errors\":0,\"seconds\":1}";
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"attempt\":2,\"code\":0,\"state\":\"sealed\",\"text\":\"\",\"dataset\":\"d\",\"rows\":1,"
        "\"errors\":0,"
        "\"seconds\":1}",
        "{\"attempt\":1,\"code\":\"0\",\"state\":\"sealed\",\"text\":\"\",\"dataset\":\"d\",\"rows\":1,"
        "\"errors\":0,\"seconds\":1}",
        "{\"attempt\":1,\"code\":0,\"state\":\"a state that is far too "
        "long\",\"text\":\"\",\"dataset\":\"d\","
        "\"rows\":1,\"errors\":0,\"seconds\":1}",
        "{\"attempt\":1,\"code\":0,\"state\":\"sealed\",\"text\":\"\",\"dataset\":\"d\",\"rows\":1e99,"
        "\"errors\":0,\"seconds\":1}",
    };
    struct ech_run_result back = {.attempt = -7};
    assert_int_equal(ech_mkdir_all("run", NULL), ECH_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ech_err err = ECH_ERR_NONE;
        touch("run/result-1.json", bad[i]);
        assert_int_equal(ech_run_result_read("run", 1, &back, &err), ECH_DATA);
        assert_int_equal(back.attempt, -7);
    }
    touch("run/result-1.json", good);
    assert_int_equal(ech_run_result_read("run", 1, &back, NULL), ECH_OK);
    assert_int_equal(back.attempt, 1);
}

/* Whatever fails: a clean error and the old file or the whole new one, never half of it. */
static void faults(void **state)
{
    (void)state;
    assert_int_equal(ech_mkdir_all("run", NULL), ECH_OK);
    for (int64_t n = 1;; n++) {
        struct ech_err err = ECH_ERR_NONE;
        struct ech_run_result back;
        ech_fault_arm(-1, n);
        int code = ech_run_result_write("run", &sample, &err);
        if (code == ECH_OK)
            code = ech_run_result_read("run", 2, &back, &err);
        bool fired = ech_fault_fired();
        ech_fault_arm(-1, 0);
        assert_int_equal(code != ECH_OK, fired);
        if (ech_path_exists("run/result-2.json"))
            assert_int_equal(ech_run_result_read("run", 2, &back, NULL), ECH_OK);
        if (!fired) {
            assert_true(n > 8);
            return;
        }
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(attempts),
    cmocka_unit_test(result),
    cmocka_unit_test(hostile_result),
    cmocka_unit_test(faults),
};
ECH_TEST_MAIN(tests)
