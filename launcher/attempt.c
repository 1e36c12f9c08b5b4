/* An attempt: see attempt.h. */
#include "launcher/attempt.h"

#include "launcher/allocation.h"
#include "launcher/hosts.h"
#include "launcher/progress.h"
#include "launcher/report.h"
#include "launcher/rundirs.h"
#include "launcher/tail.h"
#include "launcher/verbs.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/sweep.h"
#include "base/words.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WARNINGS_SHOWN = 10, TAIL_LINES = 12, HOSTS_BYTES = 16 << 20 };
#define QUIET_S 20
#define PROBE_S 10 /* a host that runs nothing within this is not there */

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

/* One attempt while it runs. */
struct attempt {
    const struct ech_ready *ready;
    const char *run_dir;
    int number;
    struct ech_layout layout;
    struct ech_hosts hosts; /* none: mpirun's own choice */
    struct ech_str exclude; /* nodes that srun is not to use */
    char *hosts_path, *result_path, *log_path;
    int log; /* descriptor, -1: could not be made */
    struct ech_follower follower;
    struct ech_progress progress;
    struct ech_tail tail;
    struct ech_lines lines;
    int warnings;
    double coordinator_seen,
        heard_at;   /* the wall clock of rank 0's last event, and when it was seen to move */
    double started; /* monotonic */
    bool came, given_up, over;
    struct ech_str silent; /* who was silent when a phase did not end, in words */
    double missed_at;      /* since when the phase misses a host that it needs; 0: it does not */
    int lost, excused;     /* hosts that mpirun has lost; of these, while rows ran */
};

/* Warnings of the ranks reach the user at once; errors come at the end, once, from the result. */
static void show_warning(const char *line, void *context)
{
    struct attempt *a = context;
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
    struct attempt *a = context;
    if (a->log >= 0 && ech_write_all(a->log, a->log_path, data, bytes, NULL) != ECH_OK) {
        close(a->log);
        a->log = -1; /* the log is for people: a full disk ends it, not the run */
    }
    ech_tail_add(&a->tail, data, bytes);
    ech_lines_add(&a->lines, data, bytes, show_warning, a);
}

static void on_tick(void *context, double now)
{
    struct attempt *a = context;
    ech_follower_poll(&a->follower, NULL); /* events are for people: an error must not end the run */
    ech_progress_show(&a->progress, &a->follower.view, now);
}

/* Ranks that told their start; 1 where one came as far as looking for the others. */
static int64_t ranks_begun(const struct attempt *a)
{
    char *trace = ech_run_path(NULL, a->run_dir, ECH_RUN_STARTED, a->number);
    int64_t begun = 0;
    for (size_t i = 0; i < a->follower.view.rank_count; i++)
        begun += a->follower.view.ranks[i].seen;
    if (begun == 0 && trace && ech_path_exists(trace))
        begun = 1;
    ech_free(trace);
    return begun;
}

static bool on_begun(void *context)
{
    struct attempt *a = context;
    ech_follower_poll(&a->follower, NULL);
    return ranks_begun(a) >= a->layout.ranks;
}

/* While rows run no watchdog ends an attempt whose coordinator is stopped: the others leave, and mpirun waits
 * for ever. Rank 0 tells its progress each second, but for a disk that is full. */
static bool coordinator_fell_silent(struct attempt *a)
{
    const struct ech_run_view *view = &a->follower.view;
    const struct ech_rank_view *zero = view->rank_count ? &view->ranks[0] : NULL;
    double now = ech_mono_s();
    double most =
        2 * a->ready->job->limits.heartbeat + (a->lost ? 0 : a->ready->job->limits.disk_full + QUIET_S);
    if (!zero || strcmp(zero->phase, "run") != 0 || zero->last_seen != a->coordinator_seen) {
        a->coordinator_seen = zero ? zero->last_seen : 0;
        a->heard_at = now;
    }
    if (now - a->heard_at <= most || a->given_up)
        return a->given_up;
    ech_progress_clear(&a->progress);
    ech_say("rank 0 on %s, the coordinator, has told nothing for %.0f s: this attempt is ended", zero->host,
            now - a->heard_at);
    return a->given_up = true;
}

static void on_hosts_lost(void *context, int lost)
{
    struct attempt *a = context;
    a->lost = lost;
}

static const double missed_most_s = 4;

/* While rows run the coordinator does without a host that falls silent. In other phases all wait for its
 * ranks: they would until limits.phase is over. */
static bool misses_a_host(struct attempt *a)
{
    const struct ech_run_view *view = &a->follower.view;
    const char *phase = view->rank_count ? view->ranks[0].phase : "";
    if (strcmp(phase, "run") == 0)
        a->excused = a->lost;
    if (a->lost <= a->excused || a->given_up) {
        a->missed_at = 0;
        return a->given_up;
    }
    /* A host that is only slow to answer comes back. */
    a->missed_at = a->missed_at > 0 ? a->missed_at : ech_mono_s();
    if (ech_mono_s() - a->missed_at < missed_most_s)
        return false;
    ech_progress_clear(&a->progress);
    ech_say("%d host%s lost or cut off in phase '%s', which needs all ranks: this attempt is ended",
            a->lost - a->excused, a->lost - a->excused == 1 ? " is" : "s are", phase[0] ? phase : "start");
    return a->given_up = true;
}

/* Ranks hold the deadline of their own start; before the first one comes, mpirun may wait for a host for
 * ever. */
static bool nobody_comes(struct attempt *a)
{
    double most = a->ready->job->limits.phase;
    char time[32];
    a->came = a->came || ranks_begun(a) > 0;
    if (a->came || a->given_up || ech_mono_s() - a->started <= most)
        return a->given_up;
    ech_progress_clear(&a->progress);
    ech_say("no rank has started within %s (limits.phase): this attempt is ended",
            ech_print_time(most, time, sizeof time));
    return a->given_up = true;
}

/* Who was silent when a phase did not end, in words; nothing where that is not known. */
static void read_silent(struct attempt *a)
{
    int ranks = (int)a->layout.ranks;
    struct ech_word *words = ech_calloc((size_t)ranks, sizeof *words, NULL);
    if (words) {
        ech_words_read(a->run_dir, a->number, ranks, 0, words);
        ech_words_tell(words, ranks, &a->silent);
    }
    ech_free(words);
}

/* The words are read before the ranks are ended: one that is stopped is woken for it, and would speak. */
static bool phase_is_over(struct attempt *a)
{
    if (a->over || !ech_words_are_over(a->run_dir, a->number))
        return a->over;
    read_silent(a);
    return a->over = true;
}

static bool on_finished(void *context)
{
    struct attempt *a = context;
    return ech_path_exists(a->result_path) || phase_is_over(a) || misses_a_host(a) || nobody_comes(a) ||
           coordinator_fell_silent(a);
}

static void on_stopping(void *context, int signal_number, bool again)
{
    struct attempt *a = context;
    ech_progress_clear(&a->progress);
    if (again)
        ech_say("signal again: ending the ranks now");
    else
        ech_say("%s: the ranks save what is done and stop (a second Ctrl-C ends them at once)",
                strsignal(signal_number));
}

static int attempt_open(struct attempt *a, struct ech_err *err)
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

static void attempt_close(struct attempt *a)
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

/* --- hosts --- */

/* In an allocation whose nodes are alike: all of them, but not before there is a history. */
static int read_allocation(struct attempt *a, struct ech_err *err)
{
    const char *list = getenv("SLURM_JOB_NODELIST");
    return list && a->number > 1 && !a->ready->place.components
               ? ech_nodes_of_list(list, a->layout.per_node, &a->hosts, err)
               : ECH_OK;
}

/* Those of --hosts and --cluster; the allocation's; else mpirun's default host file names them. */
static int read_hosts(struct attempt *a, struct ech_err *err)
{
    const char *path = getenv("OMPI_MCA_orte_default_hostfile");
    char *text = NULL;
    const struct ech_nodes *nodes = &a->ready->nodes;
    for (size_t i = 0; i < nodes->hosts.count; i++) {
        int grown =
            ech_grow((void **)&a->hosts.items, &a->hosts.capacity, i + 1, sizeof *a->hosts.items, err);
        if (grown != ECH_OK)
            return grown;
        a->hosts.items[a->hosts.count++] = nodes->hosts.items[i];
    }
    if (a->hosts.count == 0 && a->ready->place.allocation)
        return read_allocation(a, err);
    if (a->hosts.count || !path || !*path)
        return ECH_OK;
    int code = ech_read_file(path, HOSTS_BYTES, &text, NULL, err);
    if (code == ECH_OK)
        code = ech_hosts_parse(text, &a->hosts, err);
    ech_free(text);
    return code != ECH_OK ? ech_prefix(err, "host file %s", path) : ECH_OK;
}

static int probe_hosts(struct attempt *a, struct ech_err *err)
{
    const char *agent =
        a->ready->nodes.launch.length ? a->ready->nodes.launch.data : getenv("OMPI_MCA_plm_rsh_agent");
    return a->hosts.count && !a->ready->place.allocation
               ? ech_hosts_probe(&a->hosts, agent && *agent ? agent : "ssh", PROBE_S, err)
               : ECH_OK;
}

static int64_t slots_of(const struct ech_hosts *hosts, int64_t *nodes)
{
    int64_t slots = 0;
    *nodes = 0;
    for (size_t i = 0; i < hosts->count; i++)
        if (!ech_host_out(&hosts->items[i])) {
            slots += hosts->items[i].slots;
            ++*nodes;
        }
    return slots;
}

/* An allocation may have more nodes than the job asks for: others take the place of those that are out. */
static void use_fewer(struct attempt *a)
{
    int64_t nodes, slots = slots_of(&a->hosts, &nodes);
    if (!a->ready->place.allocation) {
        a->layout.ranks = ech_hosts_ranks(&a->hosts, a->layout.ranks);
        return;
    }
    a->layout.ranks = ech_min64(a->layout.ranks, slots);
    a->layout.nodes = ech_min64(a->layout.nodes, nodes);
    for (size_t i = 0; i < a->hosts.count; i++)
        if (ech_host_out(&a->hosts.items[i]))
            ech_str_addf(&a->exclude, "%s%s", a->exclude.length ? "," : "", a->hosts.items[i].name);
}

/* Who is in is written down for mpirun, who is out is named, and the ranks are fewer by their part. */
static int use_hosts(struct attempt *a, struct ech_err *err)
{
    struct ech_str out;
    ech_str_init(&out);
    ech_hosts_tell_out(&a->hosts, &out);
    use_fewer(a);
    int code = ech_str_check(&out, err);
    if (code == ECH_OK)
        code = ech_str_check(&a->exclude, err);
    if (code == ECH_OK && a->layout.ranks == 0)
        code = ech_fail(err, ECH_REQUEUE, "no host is left: %s", out.data);
    if (code == ECH_OK && out.length)
        ech_say("attempt %d leaves out %s: %lld rank%s", a->number, out.data, (long long)a->layout.ranks,
                a->layout.ranks == 1 ? "" : "s");
    a->hosts_path = code == ECH_OK ? ech_run_path(err, a->run_dir, "hosts-%d", a->number) : NULL;
    if (code == ECH_OK && !a->hosts_path)
        code = ECH_UNAVAILABLE;
    else if (code == ECH_OK)
        code = a->ready->place.allocation ? ech_hosts_write_ranks(&a->hosts, a->hosts_path, err)
                                          : ech_hosts_write(&a->hosts, false, a->hosts_path, err);
    ech_str_fini(&out);
    return code;
}

/* Nodes of an allocation that are alike and all in are left to mpirun. */
static bool needs_hosts(const struct attempt *a)
{
    bool needs = !a->ready->place.allocation || (a->ready->nodes.hosts.count && !a->ready->srun);
    for (size_t i = 0; i < a->hosts.count; i++)
        needs = needs || ech_host_out(&a->hosts.items[i]);
    return needs;
}

static int choose_hosts(struct attempt *a, struct ech_err *err)
{
    a->layout = a->ready->layout;
    int code = read_hosts(a, err);
    if (code != ECH_OK || a->hosts.count == 0)
        return code;
    code = ech_hosts_history(&a->hosts, a->run_dir, a->number - 1, err);
    if (code == ECH_OK && a->number > 1)
        code = probe_hosts(a, err);
    if (code == ECH_OK && ech_session_pending_signal()) /* who did not answer until then may well be there */
        code = ech_fail(err, ECH_REQUEUE,
                        "stopped as asked before the ranks were started; go on with: echelon resume %s",
                        a->run_dir);
    return code == ECH_OK && needs_hosts(a) ? use_hosts(a, err) : code;
}

/* No rank came up: because a host does not answer? */
static bool lost_hosts(struct attempt *a, int64_t begun)
{
    bool lost = false;
    if (begun > 0 || probe_hosts(a, NULL) != ECH_OK)
        return false;
    for (size_t i = 0; i < a->hosts.count; i++)
        lost = lost || a->hosts.items[i].silent;
    return lost;
}

static int write_launch(const struct attempt *a, const struct ech_session *session, struct ech_err *err)
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

static void say_sealed(const struct attempt *a, const struct ech_run_result *r)
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
static void explain_death(struct attempt *a, const struct ech_outcome *o, int code, struct ech_err *err)
{
    const struct ech_str *silent = &a->silent;
    struct ech_str tail;
    ech_str_init(&tail);
    if (!a->over)
        read_silent(a);
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
static int conclude(struct attempt *a, const struct ech_session_end *end, bool *retry, struct ech_err *err)
{
    struct ech_run_result result = {0};
    struct ech_err unread = ECH_ERR_NONE;
    ech_follower_poll(&a->follower, NULL);
    struct ech_outcome o = {.has_result =
                                ech_run_result_read(a->run_dir, a->number, &result, &unread) == ECH_OK,
                            .stopped_by_us = end->stop_signal != 0,
                            .begun = ranks_begun(a),
                            .given_up = a->given_up,
                            .mpirun_ended = end->ended,
                            .mpirun_status = end->status};
    o.hosts_lost = !o.has_result && !o.stopped_by_us && lost_hosts(a, o.begun);
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
    struct attempt a = {.ready = ready, .run_dir = run_dir, .number = number, .log = -1};
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
                                  .hosts_lost = on_hosts_lost,
                                  .stopping = on_stopping};
    *retry = false;
    ech_str_init(&a.silent);
    ech_progress_init(&a.progress, ech_mono_s(), ech_quiet());
    int code = choose_hosts(&a, err);
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
