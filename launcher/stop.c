/* The verbs `cancel` and `clean`. */
#include "launcher/argv.h"
#include "launcher/child.h"
#include "launcher/rundirs.h"
#include "launcher/slurm.h"
#include "launcher/verbs.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/sweep.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct ech_exit cancel_exits[] = {
    {0, "the run is not running (any more)"},
    {ECH_USAGE, NULL},
    {ECH_NOINPUT, NULL},
    {ECH_UNAVAILABLE, "it runs on another host, or did not stop in time"},
    {0, NULL}};

const struct ech_command ech_cancel_command = {
    .name = "echelon cancel",
    .usage = "RUN",
    .summary =
        "Stops a run cleanly and waits for its end: the ranks save what is done; echelon resume goes on.\n"
        "To be called on the host where echelon run was started; a submitted run from anywhere: its job "
        "leaves\n"
        "the queue, or saves and ends.",
    .operands_least = 1,
    .operands_most = 1,
    .example = "echelon cancel runs/job-20260101-120000",
    .exits = cancel_exits};

static const struct ech_exit clean_exits[] = {
    {0, "the spools are removed"},
    {ECH_USAGE, NULL},
    {ECH_DATA, "the run is not sealed, or its output is damaged"},
    {ECH_NOINPUT, NULL},
    {ECH_UNAVAILABLE, "the run is running, or echelon-rank is lacking"},
    {0, NULL}};

const struct ech_command ech_clean_command = {
    .name = "echelon clean",
    .usage = "RUN",
    .summary =
        "Drops the spools of a sealed run, after the output dataset has been read and verified. Events,\n"
        "logs, result and report stay.",
    .operands_least = 1,
    .operands_most = 1,
    .example = "echelon clean runs/job-20260101-120000",
    .exits = clean_exits};

/* The launcher's process, after making sure that it is still that one. */
static int find_launcher(const char *run_dir, pid_t *pid, struct ech_err *err)
{
    int attempts = 0;
    struct ech_launch launch;
    char host[64] = "";
    int code = ech_run_attempts(run_dir, &attempts, err);
    if (code == ECH_OK && attempts == 0)
        return ech_fail(err, ECH_NOINPUT, "%s has no launch record: it has not begun", run_dir);
    if (code == ECH_OK)
        code = ech_launch_read(run_dir, attempts, &launch, err);
    if (code != ECH_OK)
        return code;
    gethostname(host, sizeof host - 1);
    if (strcmp(host, launch.host) != 0)
        return ech_fail(err, ECH_UNAVAILABLE,
                        "the run was started on %s, this is %s: call echelon cancel there", launch.host,
                        host);
    if (launch.pid <= 1 || ech_process_start((pid_t)launch.pid) == 0 ||
        ech_process_start((pid_t)launch.pid) != (unsigned long long)launch.pid_start)
        return ech_fail(err, ECH_UNAVAILABLE,
                        "the launcher of %s (process %lld) is gone, its last processes are ending", run_dir,
                        (long long)launch.pid);
    *pid = (pid_t)launch.pid;
    return ECH_OK;
}

static int cancel(const char *run_dir, struct ech_err *err)
{
    enum { WAIT_S = 45 }; /* the ranks' 30 s and the launcher's own */
    pid_t pid = 0;
    char job[64];
    if (ech_slurm_read_job(run_dir, job, sizeof job)) {
        bool was_there;
        int left = ech_slurm_cancel(run_dir, job, WAIT_S, &was_there, err);
        if (left == ECH_OK)
            ech_say(was_there ? "Slurm job %s is cancelled" : "Slurm job %s is not in the queue (any more)",
                    job);
        if (left != ECH_OK || !ech_rundir_is_held(run_dir))
            return left;
    }
    if (!ech_rundir_is_held(run_dir)) {
        ech_say("%s is not running", run_dir);
        return ECH_OK;
    }
    int code = find_launcher(run_dir, &pid, err);
    if (code == ECH_OK && kill(pid, SIGTERM) != 0)
        code = ech_fail_errno(err, ECH_UNAVAILABLE, errno, "signalling process %d", (int)pid);
    double until = ech_mono_s() + WAIT_S;
    while (code == ECH_OK && ech_rundir_is_held(run_dir)) {
        if (ech_mono_s() > until)
            return ech_fail(err, ECH_UNAVAILABLE, "process %d has not stopped within %d s", (int)pid, WAIT_S);
        ech_sleep_us(100000);
    }
    if (code == ECH_OK)
        ech_say("stopped; go on with: echelon resume %s", run_dir);
    return code;
}

int ech_verb_cancel(int argc, char **argv, struct ech_err *err)
{
    struct ech_args args = {0};
    char *run_dir = NULL;
    bool done;
    int code = ech_verb_args(&ech_cancel_command, argc, argv, &args, &done, err);
    if (code == ECH_OK && !done)
        code = ech_rundir_find(args.operands[0], &run_dir, err);
    if (code == ECH_OK && !done)
        code = cancel(run_dir, err);
    ech_free(run_dir);
    ech_args_fini(&args);
    return code;
}

/* ---- clean ---- */

static int remove_spools_of(const char *folder, int64_t *bytes, struct ech_err *err)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    int code = ECH_OK;
    while (dir && code == ECH_OK && (entry = readdir(dir))) {
        if (strncmp(entry->d_name, "spool-", 6) != 0)
            continue;
        char *path = ech_path_join(folder, entry->d_name, err);
        int64_t size = path ? ech_file_size(path, NULL) : -1;
        code = path ? ech_remove_all(path, err) : ECH_UNAVAILABLE;
        *bytes += code == ECH_OK && size > 0 ? size : 0;
        ech_free(path);
    }
    if (dir)
        closedir(dir);
    return code;
}

static int remove_spools(const char *run_dir, int64_t *bytes, struct ech_err *err)
{
    char *nodes = ech_run_path(err, run_dir, "%s", ECH_RUN_NODES);
    DIR *dir = nodes ? opendir(nodes) : NULL;
    struct dirent *entry;
    int code = nodes ? ECH_OK : ECH_UNAVAILABLE;
    while (dir && code == ECH_OK && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        char *host = ech_path_join(nodes, entry->d_name, err);
        code = host ? remove_spools_of(host, bytes, err) : ECH_UNAVAILABLE;
        ech_free(host);
    }
    if (dir)
        closedir(dir);
    ech_free(nodes);
    return code;
}

static int verify(const char *dataset, struct ech_err *err)
{
    char *rank = NULL;
    int code = ech_find_rank_program(&rank, err);
    if (code != ECH_OK)
        return code;
    char *argv[] = {rank, "--solo", "data", "verify", (char *)(uintptr_t)dataset, NULL};
    struct ech_child_spec spec = {.argv = argv, .output = STDERR_FILENO, .death_signal = SIGTERM};
    code = ech_child_wait(&spec, err);
    ech_free(rank);
    if (code != ECH_OK)
        ech_fail(err, code, "%s could not be verified (status %d): the spools stay", dataset, code);
    return code;
}

static int clean(const char *run_dir, struct ech_err *err)
{
    int lock = -1, attempts = 0;
    int64_t bytes = 0;
    char size[32];
    struct ech_run_result result = {0};
    int code = ech_rundir_lock(run_dir, &lock, err);
    if (code == ECH_OK)
        code = ech_run_attempts(run_dir, &attempts, err);
    bool sealed = false;
    for (int n = attempts; code == ECH_OK && n > 0 && !sealed; n--)
        sealed =
            ech_run_result_read(run_dir, n, &result, NULL) == ECH_OK && strcmp(result.state, "sealed") == 0;
    if (code == ECH_OK && !sealed)
        code = ech_fail(err, ECH_DATA, "%s is not sealed, its spools are needed: echelon resume %s", run_dir,
                        run_dir);
    if (code == ECH_OK)
        code = verify(result.dataset, err);
    if (code == ECH_OK)
        code = remove_spools(run_dir, &bytes, err);
    if (code == ECH_OK)
        ech_say("%s of spools removed; %s is verified", ech_print_bytes(bytes, size, sizeof size),
                result.dataset);
    if (lock >= 0)
        close(lock);
    return code;
}

int ech_verb_clean(int argc, char **argv, struct ech_err *err)
{
    struct ech_args args = {0};
    char *run_dir = NULL;
    bool done;
    int code = ech_verb_args(&ech_clean_command, argc, argv, &args, &done, err);
    if (code == ECH_OK && !done)
        code = ech_rundir_find(args.operands[0], &run_dir, err);
    if (code == ECH_OK && !done)
        code = clean(run_dir, err);
    ech_free(run_dir);
    ech_args_fini(&args);
    return code;
}
