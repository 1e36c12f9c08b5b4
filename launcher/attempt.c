/* An attempt: see attempt.h. */
#include "launcher/attempt_impl.h"

#include "launcher/allocation.h"
#include "launcher/report.h"
#include "launcher/rundirs.h"
#include "launcher/verbs.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/sweep.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WARNINGS_SHOWN = 10, TAIL_LINES = 12 };

int ech_outcome_code(const struct ech_outcome *o, bool *retry)
{
    *retry = false;
    if (o->has_result && strcmp(o->result_state, "sealed") == 0)
        return ECH_OK;
    if (o->has_result) { /* stopped: the ranks ended on purpose, a signal or the walltime */
        *retry =
            o->result_code == ECH_REQUEUE && strcmp(o->result_state, "stopped") != 0 && !o->stopped_by_us;
        return o->result_code ? o->result_code : ECH_REQUEUE;
    }
    if (o->stopped_by_us)
        return ECH_REQUEUE;
    if (o->begun == 0 && !o->hosts_lost && !o->given_up && o->mpirun_ended && WIFEXITED(o->mpirun_status)) {
        int status = WEXITSTATUS(o->mpirun_status);
        if (status != ECH_REQUEUE) /* it could not start: another attempt would not either */
            return status >= ECH_USAGE && status <= ECH_CONFIG ? status : ECH_UNAVAILABLE;
    }
    *retry = true;
    return ECH_REQUEUE;
}

/* Warnings of the ranks reach the user at once; errors come at the end, once, from the result. */
static void show_warning(const char *line, void *context)
{
    struct ech_attempt *a = context;
    if (strncmp(line, "echelon: ", 9) != 0 || !strstr(line, "warn: ") || a->progress.quiet)
        return;
    if (++a->warnings > WARNINGS_SHOWN)
        return;
    ech_progress_clear(&a->progress);
    fprintf(stderr, "%s\n", line);
    if (a->warnings == WARNINGS_SHOWN)
        ech_say("more warnings are in %s", a->log_path);
}

static void on_output(void *context, const char *data, size_t bytes)
{
    struct ech_attempt *a = context;
    if (a->log >= 0 && ech_write_all(a->log, a->log_path, data, bytes, NULL) != ECH_OK) {
        close(a->log);
        a->log = -1; /* the log is for people: a full disk ends it, not the run */
    }
    ech_tail_add(&a->tail, data, bytes);
    ech_lines_add(&a->lines, data, bytes, show_warning, a);
}

static void on_tick(void *context, double now)
{
    struct ech_attempt *a = context;
    ech_follower_poll(&a->follower, NULL); /* events are for people: an error must not end the run */
    ech_progress_show(&a->progress, &a->follower.view, now);
}

static bool on_begun(void *context)
{
    struct ech_attempt *a = context;
    ech_follower_poll(&a->follower, NULL);
    return ech_attempt_begun(a) >= a->layout.ranks;
}

static void on_hosts_lost(void *context, int lost)
{
    struct ech_attempt *a = context;
    a->lost = lost;
}

static bool on_finished(void *context)
{
    struct ech_attempt *a = context;
    return ech_path_exists(a->result_path);
}

static bool on_lost(void *context)
{
    return ech_attempt_is_lost(context);
}

static void on_stopping(void *context, int signal_number, bool again)
{
    struct ech_attempt *a = context;
    ech_progress_clear(&a->progress);
    if (again)
        ech_say("signal again: ending the ranks now");
    else
        ech_say("%s: the ranks save what is done and stop (a second Ctrl-C ends them at once)",
                strsignal(signal_number));
}

static int attempt_open(struct ech_attempt *a, struct ech_err *err)
{
    a->result_path = ech_run_path(err, a->run_dir, "result-%d.json", a->number);
    a->log_path = ech_run_path(err, a->run_dir, "mpirun-%d.log", a->number);
    int code = a->result_path && a->log_path ? ECH_OK : ECH_UNAVAILABLE;
    if (code == ECH_OK)
        code = ech_open(a->log_path, O_WRONLY | O_CREAT | O_APPEND, &a->log, err);
    if (code == ECH_OK)
        code = ech_follower_open(a->run_dir, a->number, &a->follower, err);
    return code;
}

static void attempt_close(struct ech_attempt *a)
{
    if (a->follower.reader)
        ech_follower_close(&a->follower);
    if (a->log >= 0)
        close(a->log);
    ech_hosts_fini(&a->hosts);
    ech_str_fini(&a->exclude);
    ech_str_fini(&a->silent);
    ech_free(a->hosts_path);
    ech_free(a->result_path);
    ech_free(a->log_path);
}

static int write_launch(const struct ech_attempt *a, const struct ech_session *session, struct ech_err *err)
{
    struct ech_launch launch = {.attempt = a->number,
                                .pid = getpid(),
                                .pid_start = (int64_t)ech_process_start(getpid()),
                                .ranks = a->layout.ranks};
    struct ech_argv command;
    gethostname(launch.host, sizeof launch.host - 1);
    ech_wall_iso(launch.started, sizeof launch.started);
    ech_argv_init(&command);
    ech_session_command(session, NULL, &command);
    int code = ech_argv_check(&command, err);
    if (code == ECH_OK)
        code = ech_launch_write(a->run_dir, &launch, command.items, err);
    ech_argv_fini(&command);
    return code;
}

static void say_sealed(const struct ech_attempt *a, const struct ech_run_result *r)
{
    char rows[32], tokens[32], seconds[32], speed[32], errors[32];
    struct ech_view_sum sum;
    ech_view_sum(&a->follower.view, &sum);
    /* Rows that two ranks computed count once in todo, which speaks of all attempts. */
    if (a->number == 1 && a->follower.view.todo.tokens_done > 0)
        sum.tokens = a->follower.view.todo.tokens_done;
    double per_s = r->seconds > 0 ? (double)sum.tokens / r->seconds : 0;
    ech_say("sealed: %s rows, %s tokens in %s (%s tokens/s), %s bad row%s -> %s",
            ech_print_count(r->rows, rows, sizeof rows), ech_print_count(sum.tokens, tokens, sizeof tokens),
            ech_print_time(r->seconds, seconds, sizeof seconds),
            ech_print_count((int64_t)(per_s + 0.5), speed, sizeof speed),
            ech_print_count(r->errors, errors, sizeof errors), r->errors == 1 ? "" : "s", r->dataset);
}

/* The words for an attempt without a result; what the ranks said last goes before it. */
static void explain_death(struct ech_attempt *a, const struct ech_outcome *o, int code, struct ech_err *err)
{
    const struct ech_str *silent = &a->silent;
    struct ech_str tail;
    ech_str_init(&tail);
    if (!a->over)
        ech_attempt_ask_silent(a);
    ech_tail_useful(&a->tail, TAIL_LINES, &tail);
    if (!tail.failed && tail.length && !o->stopped_by_us)
        fprintf(stderr, "echelon: the last lines of %s:\n%s", a->log_path, tail.data);
    ech_str_fini(&tail);
    if (o->stopped_by_us)
        ech_fail(err, code, "stopped before the ranks could agree on a result; go on with: echelon resume %s",
                 a->run_dir);
    else if (code == ECH_REQUEUE)
        ech_fail(err, code,
                 "attempt %d ended without a result%s%s%s; nothing that was saved is lost: echelon resume %s",
                 a->number,
                 !o->mpirun_ended                     ? ""
                 : WIFSIGNALED(o->mpirun_status)      ? " (mpirun was killed)"
                 : WEXITSTATUS(o->mpirun_status) != 0 ? " (ranks were lost)"
                                                      : "",
                 silent->length ? ": " : "", silent->length && !silent->failed ? silent->data : "",
                 a->run_dir);
    else
        ech_fail(err, code, "no rank has started, mpirun ended with status %d (its words: %s)",
                 WEXITSTATUS(o->mpirun_status), a->log_path);
}

/* What the end of mpirun means; err is filled unless the run is sealed. */
static int conclude(struct ech_attempt *a, const struct ech_session_end *end, bool *retry,
                    struct ech_err *err)
{
    struct ech_run_result result = {0};
    struct ech_err unread = ECH_ERR_NONE;
    ech_follower_poll(&a->follower, NULL);
    struct ech_outcome o = {.has_result =
                                ech_run_result_read(a->run_dir, a->number, &result, &unread) == ECH_OK,
                            .stopped_by_us = end->stop_signal != 0,
                            .begun = ech_attempt_begun(a),
                            .given_up = a->given_up,
                            .mpirun_ended = end->ended,
                            .mpirun_status = end->status};
    o.hosts_lost = !o.has_result && !o.stopped_by_us && ech_attempt_lost_hosts(a, o.begun);
    o.result_code = result.code;
    o.result_state = result.state;
    int code = ech_outcome_code(&o, retry);
    ech_progress_clear(&a->progress);
    if (end->leftovers)
        ech_say("some processes of %s could not be ended; they are stuck in the kernel", a->run_dir);
    if (code == ECH_OK)
        say_sealed(a, &result);
    else if (!o.has_result)
        explain_death(a, &o, code, err);
    else if (ech_code_resumable(code) && code != ECH_BUG)
        ech_fail(err, code, "%s; go on with: echelon resume %s", result.text[0] ? result.text : "stopped",
                 a->run_dir);
    else
        ech_fail(err, code, "%s", result.text[0] ? result.text : "failed without a reason");
    return code;
}

static double stop_grace_s(void)
{
    const char *text = getenv("ECH_STOP_GRACE");
    double seconds;
    return text && ech_parse_time(text, &seconds) ? seconds : 30;
}

static int run_one(const struct ech_ready *ready, const char *run_dir, int number, bool *retry,
                   struct ech_err *err)
{
    struct ech_attempt a = {.ready = ready, .run_dir = run_dir, .number = number, .log = -1};
    ech_str_init(&a.exclude);
    struct ech_session_end end = {0};
    char attempt_text[16];
    snprintf(attempt_text, sizeof attempt_text, "%d", number);
    char *arguments[] = {"run", (char *)(uintptr_t)run_dir, "--attempt", attempt_text, NULL};
    struct ech_session session = {.mpirun = ready->mpirun,
                                  .program = ready->rank_program,
                                  .layout = &a.layout,
                                  .launch = ready->place.allocation ? NULL : ready->nodes.launch.data,
                                  .mpi_prefix =
                                      ready->nodes.cluster ? ready->nodes.cluster->mpi_prefix : NULL,
                                  .allocation = ready->place.allocation,
                                  .recovery = true,
                                  .settings = ready->settings.items,
                                  .srun = ready->srun ? &ready->place : NULL,
                                  .arguments = arguments,
                                  .marker = run_dir,
                                  .grace_s = stop_grace_s(),
                                  .start_s = ready->job->limits.phase,
                                  .heartbeat_s = ready->job->limits.heartbeat,
                                  .context = &a,
                                  .output = on_output,
                                  .tick = on_tick,
                                  .begun = on_begun,
                                  .finished = on_finished,
                                  .lost = on_lost,
                                  .hosts_lost = on_hosts_lost,
                                  .stopping = on_stopping};
    *retry = false;
    ech_str_init(&a.silent);
    ech_progress_init(&a.progress, ech_mono_s(), ech_quiet());
    int code = ech_attempt_choose_hosts(&a, err);
    session.hosts_file = a.hosts_path;
    session.exclude = a.exclude.length ? a.exclude.data : NULL;
    if (code == ECH_OK)
        code = write_launch(&a, &session, err);
    if (code == ECH_OK)
        code = attempt_open(&a, err);
    a.started = ech_mono_s();
    if (code == ECH_OK)
        code = ech_session_run(&session, &end, err);
    if (code == ECH_OK)
        code = conclude(&a, &end, retry, err);
    attempt_close(&a);
    return code;
}

/* Slurm is to give the job none of those that failed too often. */
static void tell_slurm(const struct ech_ready *ready, const char *run_dir, int attempts)
{
    const char *list = ready->place.allocation ? getenv("SLURM_JOB_NODELIST") : NULL;
    struct ech_hosts hosts = {0};
    struct ech_err why = ECH_ERR_NONE;
    if (!list || attempts < ECH_HOST_FAILURES_MOST)
        return;
    int code = ech_nodes_of_list(list, 1, &hosts, &why);
    if (code == ECH_OK)
        code = ech_hosts_history(&hosts, run_dir, attempts, &why);
    if (code == ECH_OK)
        code = ech_allocation_leave_out(&hosts, run_dir, &why);
    if (code != ECH_OK)
        ech_say("nodes that fail cannot be told to Slurm: %s", why.text);
    ech_hosts_fini(&hosts);
}

int ech_attempts_run(const struct ech_ready *ready, const char *run_dir, int attempt, struct ech_err *err)
{
    int64_t left = ready->job->retries;
    int code;
    for (;; attempt++, left--) {
        bool retry;
        struct ech_err why = ECH_ERR_NONE;
        ech_sweep_end(run_dir, 0); /* an earlier launcher and its guardian may both have been killed */
        code = run_one(ready, run_dir, attempt, &retry, &why);
        if (!retry || left <= 0 || ech_session_pending_signal()) {
            if (code != ECH_OK && err)
                *err = why;
            break;
        }
        ech_say("%s", why.text);
        ech_say("attempt %d of at most %lld", attempt + 1, (long long)(attempt + left));
    }
    if (code != ECH_OK)
        tell_slurm(ready, run_dir, attempt);
    struct ech_err report = ECH_ERR_NONE;
    if (ech_report_write(run_dir, &report) != ECH_OK)
        ech_say("the report could not be written: %s", report.text);
    return code;
}
