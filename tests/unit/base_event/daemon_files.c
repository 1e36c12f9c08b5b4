/* daemon_files: which folders of MPI's daemons are left over, and which are not ours to touch. */
#include "tests/harness.h"

#include "base/daemon_files.h"
#include "base/io.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char top[256];

static void make(const char *name, long pid, int made_ago_s)
{
    char path[512];
    struct timespec times[2];
    snprintf(path, sizeof path, "%s/%s", top, name);
    assert_int_equal(ech_mkdir_all(path, NULL), 0);
    if (pid) {
        snprintf(path, sizeof path, "%s/%s/pmix_dstor_ds21_%ld", top, name, pid);
        assert_int_equal(ech_mkdir_all(path, NULL), 0);
        snprintf(path, sizeof path, "%s/%s", top, name);
    }
    clock_gettime(CLOCK_REALTIME, &times[0]);
    times[0].tv_sec -= made_ago_s;
    times[1] = times[0];
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool is_there(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", top, name);
    return ech_path_exists(path);
}

static long dead_pid(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    return child;
}

static void what_no_daemon_holds_is_removed(void **state)
{
    (void)state;
    char host[64] = "", elsewhere[300];
    gethostname(host, sizeof host - 1);
    host[strcspn(host, ".")] = '\0';
    snprintf(top, sizeof top, "tmp/ompi.%s.%u", host, (unsigned)geteuid());
    make("jf.1", dead_pid(), 1);
    make("jf.2", getpid(), 1);
    make("jf.3", getpid(), 360000); /* its number was given to us later */
    make("jf.4", 0, 1);             /* a daemon that has just begun */
    make("jf.5", 0, 120);
    make("pid.6", dead_pid(), 120); /* of an mpirun: ours keep theirs elsewhere */
    snprintf(elsewhere, sizeof elsewhere, "tmp/ompi.%s-2.%u/jf.7", host, (unsigned)geteuid());
    assert_int_equal(ech_mkdir_all(elsewhere, NULL), 0);
    make("kept", 0, 120);
    char link[300];
    snprintf(link, sizeof link, "%s/jf.8", top);
    assert_int_equal(symlink("kept", link), 0);
    assert_int_equal(ech_daemon_files_sweep_in("tmp"), 3);
    assert_true(!is_there("jf.1") && is_there("jf.2") && !is_there("jf.3") && is_there("jf.4") &&
                !is_there("jf.5"));
    assert_true(is_there("pid.6") && is_there("jf.8") && is_there("kept") && ech_path_exists(elsewhere));
    assert_int_equal(ech_daemon_files_sweep_in("tmp"), 0);
    assert_int_equal(ech_daemon_files_sweep_in("nowhere"), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_no_daemon_holds_is_removed),
};

ECH_TEST_MAIN(tests)
