/* The verbs `run` and `resume`. */
#include "launcher/attempt.h"
#include "launcher/origins.h"
#include "launcher/recovery.h"
#include "launcher/rundirs.h"
#include "launcher/run.h"
#include "launcher/verbs.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/rundir.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

enum { JOB_BYTES = 32 << 20 };

#define CLUSTER_OPTIONS                                                                                      \
    {"hosts", "FILE", false, "hosts to run on: names or patterns, slots=N behind them; or a cluster file"},  \
    {                                                                                                        \
        "cluster", "FILE", false, "cluster file: classes of nodes, their ranks, what is left out"            \
    }

static const struct ech_option run_options[] = {
    {"set", "KEY=VALUE", true, "overrides a value of the job file"},
    {"ranks", "N", false, "MPI ranks (default: resources.nodes x resources.ranks_per_node)"},
    {"force", NULL, false, "begin also where the job cannot end within resources.time"},
    {"dry-run", NULL, false, "check everything and print the command; nothing is made or started"},
    CLUSTER_OPTIONS,
    {NULL, NULL, false, NULL}};

static const struct ech_exit run_exits[] = {
    {0, "sealed: the output dataset is complete"},
    {ECH_USAGE, NULL},
    {ECH_DATA, "more bad rows than max_errors, or a damaged file"},
    {ECH_NOINPUT, NULL},
    {ECH_UNAVAILABLE, "a program, device or memory is lacking (mpirun, ...)"},
    {ECH_BUG, NULL},
    {ECH_EXISTS, NULL},
    {ECH_IO, "reading or writing failed (disk full, ...); resume goes on"},
    {ECH_REQUEUE, "stopped, or the ranks were lost: resume goes on"},
    {ECH_CONFIG, NULL},
    {0, NULL}};

const struct ech_command ech_run_command = {
    .name = "echelon run",
    .usage =
        "JOB.yaml [--set KEY=VALUE]... [--ranks N] [--hosts FILE] [--cluster C.yaml] [--force] [--dry-run]",
    .summary =
        "Runs a job: makes a run directory (its path is the one line on stdout), starts mpirun, shows\n"
        "progress, seals the output dataset and writes report.html. Ctrl-C, SIGTERM, SIGHUP and SIGUSR1\n"
        "stop it cleanly; echelon resume goes on. Inside a Slurm allocation mpirun takes its nodes.\n"
        "--hosts and --cluster start ranks on other hosts, by ssh or the cluster file's launch command. How "
        "many\n"
        "ranks a node gets: slots=N, else what its class or the job says, else as many as it has NUMA "
        "domains\n"
        "(GPUs with device cuda): the hosts are asked; with --dry-run they are taken to be like this one.\n"
        "A file with steps: one run a step, in the order of `after`; a step that is sealed and unchanged is\n"
        "left as it is, one that was stopped goes on.",
    .options = run_options,
    .operands_least = 1,
    .operands_most = 1,
    .example = "echelon run job.yaml --ranks 2 --set options.normalize=yes",
    .exits = run_exits};

static const struct ech_option resume_options[] = {
    CLUSTER_OPTIONS,
    {"ranks", "N", false, "MPI ranks; any number goes on with what others began"},
    {"set", "KEY=VALUE", true, "changes a value that does not affect the result"},
    {NULL, NULL, false, NULL}};

const struct ech_command ech_resume_command = {
    .name = "echelon resume",
    .usage = "RUN [--ranks N] [--set KEY=VALUE]... [--hosts FILE] [--cluster C.yaml]",
    .summary =
        "Goes on with a run after any stop: a signal, a crash, a lost machine. RUN is a run directory or\n"
        "its name below runs/. A sealed run is left as it is. It goes to the hosts of the run again;\n"
        "--set resources.ranks_per_node=N counts on all of them.",
    .options = resume_options,
    .operands_least = 1,
    .operands_most = 1,
    .example = "echelon resume runs/job-20260101-120000 --ranks 4",
    .exits = run_exits};

static int get_ranks(const struct ech_args *args, int64_t *ranks, struct ech_err *err)
{
    *ranks = -1;
    return ech_args_get_int(args, "ranks", 1, 1000000, ranks, err);
}

/* job.yaml of a run directory: effective values with their origins. `saved`: the text it had before, whose
 * origins stay; NULL at first. */
static int write_job(const char *run_dir, const struct ech_config *config, const char *saved,
                     struct ech_err *err)
{
    struct ech_str text, restored;
    ech_str_init(&text);
    ech_str_init(&restored);
    char *path = ech_run_path(err, run_dir, "%s", ECH_RUN_JOB);
    int code = path ? ech_config_print(config, true, &text, err) : ECH_UNAVAILABLE;
    if (code == ECH_OK)
        code = ech_str_check(&text, err);
    if (code == ECH_OK) {
        ech_origins_restore(saved ? saved : "", text.data, &restored);
        code = ech_str_check(&restored, err);
    }
    if (code == ECH_OK)
        code = ech_write_file(path, restored.data, restored.length, err);
    ech_free(path);
    ech_str_fini(&text);
    ech_str_fini(&restored);
    return code;
}

int ech_job_write(const char *run_dir, const struct ech_config *config, struct ech_err *err)
{
    return write_job(run_dir, config, NULL, err);
}

int ech_run_dry(const struct ech_ready *ready, struct ech_err *err)
{
    char *arguments[] = {"run", "RUN", "--attempt", "1", NULL};
    struct ech_session session = {.mpirun = ready->mpirun,
                                  .program = ready->rank_program,
                                  .layout = &ready->layout,
                                  .allocation = ready->place.allocation,
                                  .recovery = true,
                                  .srun = ready->srun ? &ready->place : NULL,
                                  .settings = ready->settings.items,
                                  .launch = ready->place.allocation ? NULL : ready->nodes.launch.data,
                                  .mpi_prefix =
                                      ready->nodes.cluster ? ready->nodes.cluster->mpi_prefix : NULL,
                                  .hosts_file = ready->nodes.hosts.count ? "RUN/hosts-1" : NULL,
                                  .arguments = arguments};
    struct ech_argv command;
    ech_argv_init(&command);
    ech_session_command(&session, NULL, &command);
    int code = ech_argv_check(&command, err);
    for (size_t i = 0; code == ECH_OK && i < command.count; i++)
        printf("%s%s", i ? " " : "", command.items[i]);
    if (code == ECH_OK) {
        putchar('\n');
        for (size_t i = 0; i < ready->nodes.hosts.count; i++)
            ech_say("RUN/hosts-1: %s slots=%lld", ready->nodes.hosts.items[i].name,
                    (long long)ready->nodes.hosts.items[i].slots);
        ech_say("dry run: %s, %lld rank%s x %lld thread%s, output %s; nothing was started", ready->job->name,
                (long long)ready->layout.ranks, ready->layout.ranks == 1 ? "" : "s",
                (long long)ready->layout.threads, ready->layout.threads == 1 ? "" : "s",
                ready->job->output.dataset);
    }
    ech_argv_fini(&command);
    return code;
}

int ech_run_start(const struct ech_ready *ready, struct ech_err *err)
{
    char *run_dir = NULL, *nodes = NULL;
    int lock = -1;
    ech_session_block_signals();
    int code = ech_rundir_create(ready->job->runs, ready->job->name, &run_dir, err);
    if (code == ECH_OK)
        code = ech_rundir_lock(run_dir, &lock, err);
    if (code == ECH_OK)
        code = write_job(run_dir, ready->config, NULL, err);
    if (code == ECH_OK)
        code = ech_nodes_save(&ready->nodes, run_dir, err);
    if (code == ECH_OK)
        code = ech_job_make_parent(ready->job, err);
    nodes = code == ECH_OK ? ech_run_path(err, run_dir, "%s", ECH_RUN_NODES) : NULL;
    if (code == ECH_OK)
        code = nodes ? ech_mkdir_all(nodes, err) : ECH_UNAVAILABLE;
    if (code == ECH_OK) {
        printf("%s\n", run_dir);
        fflush(stdout);
        code = ech_attempts_run(ready, run_dir, 1, err);
    } else if (run_dir) /* nobody was told its name, nothing can go on with it */
        ech_remove_all(run_dir, NULL);
    if (lock >= 0)
        close(lock);
    ech_free(nodes);
    ech_free(run_dir);
    return code;
}

/* The values of --set and what --force stands for. Owner: the caller (the array). */
static const char **collect_sets(const struct ech_args *args, struct ech_err *err)
{
    const char *const *given = ech_args_all(args, "set");
    size_t n = 0;
    while (given[n])
        n++;
    const char **sets = ech_calloc(n + 2, sizeof *sets, err);
    if (sets && n)
        memcpy(sets, given, n * sizeof *sets);
    if (sets && ech_args_given(args, "force"))
        sets[n] = "limits.overrun=allow";
    return sets;
}

int ech_verb_run(int argc, char **argv, struct ech_err *err)
{
    struct ech_args args = {0};
    struct ech_ready ready = {0};
    const char **sets = NULL;
    int64_t ranks;
    bool done;
    ech_session_early_signals();
    int code = ech_verb_args(&ech_run_command, argc, argv, &args, &done, err);
    if (code != ECH_OK || done)
        goto out;
    if ((code = get_ranks(&args, &ranks, err)) != ECH_OK)
        goto out;
    if (!(sets = collect_sets(&args, err))) {
        code = ECH_UNAVAILABLE;
        goto out;
    }
    if ((code = ech_run_steps(&args, sets, ranks, &done, err)) != ECH_OK || done)
        goto out;
    struct ech_ready_request request = {
        .config = {.path = args.operands[0], .sets = sets, .env = (const char *const *)environ},
        .ranks = ranks,
        .hosts = ech_args_get(&args, "hosts"),
        .cluster = ech_args_get(&args, "cluster"),
        .ask = !ech_args_given(&args, "dry-run")};
    if ((code = ech_ready_make(&request, &ready, err)) != ECH_OK ||
        (code = ech_job_check_inputs(ready.job, err)) != ECH_OK ||
        (code = ech_job_check_output(ready.job, err)) != ECH_OK)
        goto out;
    ech_recovery_say();
    code = ech_args_given(&args, "dry-run") ? ech_run_dry(&ready, err) : ech_run_start(&ready, err);
out:
    ech_free(sets);
    ech_ready_fini(&ready);
    ech_args_fini(&args);
    return code;
}

/* The result of the newest attempt that sealed the run; false: it is not sealed. */
static bool is_sealed(const char *run_dir, int attempts, struct ech_run_result *result)
{
    for (int n = attempts; n > 0; n--)
        if (ech_run_result_read(run_dir, n, result, NULL) == ECH_OK && strcmp(result->state, "sealed") == 0)
            return true;
    return false;
}

/* With --set: only what does not affect the result may differ; then job.yaml is written anew. `saved`: its
 * text before; the caller frees it. */
static int change_job(const char *run_dir, const char *job_path, const struct ech_ready *ready, char **saved,
                      struct ech_err *err)
{
    struct ech_config_request request = {.path = job_path, .saved = true};
    struct ech_config *before = NULL;
    struct ech_str old, new;
    ech_str_init(&old);
    ech_str_init(&new);
    int code = ech_config_load(&request, &before, err);
    if (code == ECH_OK)
        code = ech_config_affecting(before, &old, err);
    if (code == ECH_OK)
        code = ech_config_affecting(ready->config, &new, err);
    if (code == ECH_OK)
        code = ech_job_same(old.data ? old.data : "", new.data ? new.data : "", err);
    if (code == ECH_OK && strcmp(ech_config_job(before)->output.dataset, ready->job->output.dataset) != 0)
        code = ech_fail(err, ECH_CONFIG, "output.dataset cannot change on resume (it is %s)",
                        ech_config_job(before)->output.dataset);
    if (code == ECH_OK)
        code = ech_read_file(job_path, JOB_BYTES, saved, NULL, err);
    if (code == ECH_OK)
        code = write_job(run_dir, ready->config, *saved, err);
    ech_config_destroy(before);
    ech_str_fini(&old);
    ech_str_fini(&new);
    return code;
}

/* Without --hosts and --cluster a resume goes where the run was, unless an allocation says where it is now.
 */
static int make_ready(const char *run_dir, const struct ech_config_request *request,
                      const struct ech_args *args, int64_t ranks, struct ech_ready *ready,
                      struct ech_err *err)
{
    struct ech_ready_request q = {.config = *request,
                                  .ranks = ranks,
                                  .hosts = ech_args_get(args, "hosts"),
                                  .cluster = ech_args_get(args, "cluster"),
                                  .ask = true};
    char *old_hosts = ech_run_path(err, run_dir, "%s", ECH_RUN_HOSTS);
    char *old_cluster = ech_run_path(err, run_dir, "%s", ECH_RUN_CLUSTER);
    int code = old_hosts && old_cluster ? ECH_OK : ECH_UNAVAILABLE;
    struct ech_place place;
    ech_place_find(&place);
    if (code == ECH_OK && !q.hosts && !q.cluster) {
        q.kept = true;
        q.hosts = !place.allocation && ech_path_exists(old_hosts) ? old_hosts : NULL;
        q.cluster = ech_path_exists(old_cluster) ? old_cluster : NULL;
    }
    if (code == ECH_OK)
        code = ech_ready_make(&q, ready, err);
    ech_free(old_hosts);
    ech_free(old_cluster);
    return code;
}

int ech_run_go_on(const char *run_dir, const struct ech_args *args, int64_t ranks, struct ech_err *err)
{
    const char *const *sets = ech_args_all(args, "set");
    struct ech_ready ready = {0};
    struct ech_run_result result;
    int lock = -1, attempts = 0;
    char *job_path = NULL, *saved = NULL;
    ech_session_block_signals();
    int code = ech_rundir_lock(run_dir, &lock, err);
    if (code == ECH_OK)
        code = ech_run_attempts(run_dir, &attempts, err);
    bool sealed = code == ECH_OK && is_sealed(run_dir, attempts, &result);
    if (sealed && ech_path_exists(result.dataset)) {
        printf("%s\n", run_dir);
        ech_say("sealed already: %s", result.dataset);
        goto out;
    }
    if (sealed)
        ech_say("%s was sealed and is not there any more: it is made again", result.dataset);
    job_path = code == ECH_OK ? ech_run_path(err, run_dir, "%s", ECH_RUN_JOB) : NULL;
    if (!job_path)
        goto out;
    struct ech_config_request request = {.path = job_path, .sets = sets, .saved = true};
    code = make_ready(run_dir, &request, args, ranks, &ready, err);
    if (code == ECH_OK && (ech_args_given(args, "hosts") || ech_args_given(args, "cluster")))
        code = ech_nodes_save(&ready.nodes, run_dir, err);
    if (code == ECH_OK)
        code = ech_job_check_inputs(ready.job, err);
    if (code == ECH_OK && sets[0])
        code = change_job(run_dir, job_path, &ready, &saved, err);
    if (code == ECH_OK) {
        printf("%s\n", run_dir);
        fflush(stdout);
        ech_recovery_say();
        code = ech_attempts_run(&ready, run_dir, attempts + 1, err);
        if (saved && (code == ECH_CONFIG || code == ECH_NOINPUT)) /* what was refused does not stay */
            ech_write_file(job_path, saved, strlen(saved), NULL);
    }
out:
    ech_ready_fini(&ready);
    ech_free(saved);
    ech_free(job_path);
    if (lock >= 0)
        close(lock);
    return code;
}

int ech_verb_resume(int argc, char **argv, struct ech_err *err)
{
    struct ech_args args = {0};
    char *run_dir = NULL;
    int64_t ranks = -1;
    bool done;
    ech_session_early_signals();
    int code = ech_verb_args(&ech_resume_command, argc, argv, &args, &done, err);
    if (code == ECH_OK && !done)
        code = get_ranks(&args, &ranks, err);
    if (code == ECH_OK && !done)
        code = ech_rundir_find(args.operands[0], &run_dir, err);
    if (code == ECH_OK && !done)
        code = ech_run_go_on(run_dir, &args, ranks, err);
    ech_free(run_dir);
    ech_args_fini(&args);
    return code;
}
