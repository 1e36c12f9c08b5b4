/* The verb `status`: a snapshot of a run, for people or as JSON. */
#include "launcher/advice.h"
#include "launcher/job.h"
#include "launcher/progress.h"
#include "launcher/rundirs.h"
#include "launcher/slurm.h"
#include "launcher/verbs.h"

#include "base/mem.h"
#include "base/num.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct ech_option status_options[] = {{"json", NULL, false, "one JSON object on stdout"},
                                                   {"all", NULL, false, "one line for each run below runs/"},
                                                   {NULL, NULL, false, NULL}};
static const struct ech_exit status_exits[] = {{0, "the run could be read (its state is in the output)"},
                                               {ECH_USAGE, NULL},
                                               {ECH_NOINPUT, NULL},
                                               {0, NULL}};

const struct ech_command ech_status_command = {
    .name = "echelon status",
    .usage = "[RUN] [--json] | --all",
    .summary =
        "Shows a run: state, attempt, rows, rate, ranks. RUN: a run directory or its name below runs/;\n"
        "default: the newest run. Of a submitted run it also tells what Slurm says: why it waits, how often "
        "it\n"
        "was put back into the queue.",
    .options = status_options,
    .operands_most = 1,
    .example = "echelon status --json",
    .exits = status_exits};

static const struct ech_run_result *newest_result(const struct ech_run_view *view)
{
    for (size_t i = view->attempt_count; i-- > 0;)
        if (view->attempts[i].has_result)
            return &view->attempts[i].result;
    return NULL;
}

static void add_dead(const struct ech_run_view *view, struct ech_str *out)
{
    const char *before = "";
    ech_json_key(out, "dead");
    ech_str_addc(out, '[');
    for (size_t i = 0; i < view->rank_count; i++)
        if (view->ranks[i].dead) {
            ech_str_addf(out, "%s%zu", before, i);
            before = ",";
        }
    ech_str_addc(out, ']');
}

static void add_ranks(const struct ech_run_view *view, struct ech_str *out)
{
    ech_json_key(out, "ranks");
    ech_str_addc(out, '[');
    bool first = true;
    for (size_t i = 0; i < view->rank_count; i++) {
        const struct ech_rank_view *r = &view->ranks[i];
        if (!r->seen)
            continue;
        struct ech_str one;
        ech_str_init(&one);
        ech_json_add_int(&one, "rank", r->rank);
        ech_json_add_str(&one, "host", r->host);
        ech_json_add_int(&one, "pid", r->pid);
        ech_json_add_str(&one, "phase", r->phase);
        ech_json_add_bool(&one, "dead", r->dead);
        ech_json_add_int(&one, "rows", r->rows);
        ech_json_add_int(&one, "tokens", r->tokens);
        ech_json_add_int(&one, "errors", r->errors);
        ech_json_add_float(&one, "speed", r->speed);
        ech_json_add_float(&one, "share", r->share);
        ech_json_add_float(&one, "busy_s", r->busy_s);
        ech_json_add_int(&one, "rss_bytes", r->rss_bytes);
        ech_json_add_int(&one, "rss_peak_bytes", r->rss_peak);
        ech_str_addf(out, "%s%s}", first ? "" : ",", one.failed ? "{" : one.data);
        out->failed = out->failed || one.failed;
        ech_str_fini(&one);
        first = false;
    }
    ech_str_addc(out, ']');
}

static void add_slurm(const char *run_dir, struct ech_str *out)
{
    struct ech_slurm_word word;
    struct ech_str one;
    if (!ech_slurm_word(run_dir, &word))
        return;
    ech_str_init(&one);
    ech_json_add_str(&one, "job", word.job);
    ech_json_add_str(&one, "state", word.state);
    ech_json_add_str(&one, "why", word.why);
    ech_json_add_int(&one, "restarts", word.restarts);
    ech_json_key(out, "slurm");
    ech_str_addf(out, "%s}", one.failed ? "{" : one.data);
    out->failed = out->failed || one.failed;
    ech_str_fini(&one);
}

/* "Slurm job 12: PENDING, waits for nodes to become free (Resources), put back 1 time" */
static void print_slurm(const char *run_dir, struct ech_str *out)
{
    struct ech_slurm_word word;
    if (!ech_slurm_word(run_dir, &word))
        return;
    ech_str_addf(out, "Slurm job %s: %s%s%s", word.job,
                 word.state[0] ? word.state : "not known to Slurm (any more)", word.why[0] ? ", " : "",
                 word.why);
    if (word.restarts)
        ech_str_addf(out, ", put back %lld time%s", (long long)word.restarts, word.restarts == 1 ? "" : "s");
    ech_str_addc(out, '\n');
}

static void print_json(const struct ech_run_view *view, const char *run_dir, bool alive, struct ech_str *out)
{
    const struct ech_run_result *result = newest_result(view);
    struct ech_view_sum sum;
    ech_view_sum(view, &sum);
    ech_json_add_str(out, "run", run_dir);
    ech_json_add_str(out, "state", ech_run_state_name(ech_view_state(view, alive)));
    ech_json_add_int(out, "attempt", view->attempt);
    ech_json_add_int(out, "rows", view->has_todo ? view->todo.rows : view->plan.rows);
    ech_json_add_int(out, "rows_done", view->has_todo ? view->todo.rows_done : view->plan.rows_done);
    ech_json_add_int(out, "tokens", view->todo.tokens);
    ech_json_add_int(out, "tokens_done", view->todo.tokens_done);
    ech_json_add_int(out, "errors", sum.errors);
    ech_json_add_float(out, "rows_per_s", alive ? view->pace.rows_s : 0);
    ech_json_add_float(out, "tokens_per_s", alive ? view->pace.tokens_s : 0);
    ech_json_add_float(out, "left_s", alive ? view->todo.left_s : 0);
    if (result && !alive) {
        ech_json_add_int(out, "code", result->code);
        ech_json_add_str(out, "text", result->text);
        ech_json_add_str(out, "dataset", result->dataset);
        ech_json_add_float(out, "seconds", result->seconds);
    }
    add_dead(view, out);
    add_ranks(view, out);
    add_slurm(run_dir, out);
    ech_str_adds(out, "}\n");
}

static void print_text(const struct ech_run_view *view, const char *run_dir, bool alive, struct ech_str *out)
{
    const struct ech_run_result *result = newest_result(view);
    enum ech_run_state state = ech_view_state(view, alive);
    int lines;
    ech_str_addf(out, "%s\n%s", run_dir, ech_run_state_name(state));
    if (result && !alive && result->text[0])
        ech_str_addf(out, ": %s", result->text);
    if (state == ECH_RUN_SEALED)
        ech_str_addf(out, " -> %s", result->dataset);
    ech_str_addc(out, '\n');
    print_slurm(run_dir, out);
    if (!alive && state != ECH_RUN_SEALED)
        ech_str_addf(out, "go on with: echelon resume %s\n", run_dir);
    ech_progress_block(view, view->last > view->first ? view->last - view->first : 0, 0, out, &lines);
    if (state == ECH_RUN_SEALED && result)
        ech_advice_of_run(view, run_dir, result->seconds, out);
}

/* ---- all runs ---- */

static void print_line(const char *run_dir, struct ech_str *out)
{
    struct ech_follower follower = {0};
    struct ech_slurm_word word = {.state = ""};
    if (ech_follower_open(run_dir, 0, &follower, NULL) != ECH_OK ||
        ech_follower_poll(&follower, NULL) != ECH_OK) {
        ech_follower_close(&follower);
        return;
    }
    const struct ech_run_view *view = &follower.view;
    enum ech_run_state state = ech_view_state(view, ech_rundir_is_held(run_dir));
    ech_str_addf(out, "%-40s %-10s %lld/%lld rows", strrchr(run_dir, '/') + 1, ech_run_state_name(state),
                 (long long)(view->has_todo ? view->todo.rows_done : view->plan.rows_done),
                 (long long)(view->has_todo ? view->todo.rows : view->plan.rows));
    if (ech_slurm_word(run_dir, &word))
        ech_str_addf(out, "  Slurm %s %s%s%s", word.job, word.state, word.why[0] ? ", " : "", word.why);
    ech_str_addc(out, '\n');
    ech_follower_close(&follower);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list_all(struct ech_str *out, struct ech_err *err)
{
    char **runs = NULL;
    size_t count = 0;
    int code = ech_rundir_all(&runs, &count, err);
    if (count)
        qsort(runs, count, sizeof *runs, by_name);
    for (size_t i = 0; i < count; i++) {
        print_line(runs[i], out);
        ech_free(runs[i]);
    }
    ech_free(runs);
    return code;
}

int ech_verb_status(int argc, char **argv, struct ech_err *err)
{
    struct ech_args args = {0};
    struct ech_follower follower = {0};
    struct ech_str text;
    char *run_dir = NULL;
    bool done;
    ech_str_init(&text);
    int code = ech_verb_args(&ech_status_command, argc, argv, &args, &done, err);
    if (code != ECH_OK || done)
        goto out;
    if (ech_args_given(&args, "all")) {
        if (args.operands[0] || ech_args_given(&args, "json"))
            code = ech_fail(err, ECH_USAGE, "--all goes with no run and not with --json");
        else
            code = list_all(&text, err);
        if (code == ECH_OK && (code = ech_str_check(&text, err)) == ECH_OK && text.length)
            fputs(text.data, stdout);
        goto out;
    }
    if ((code = ech_rundir_find(args.operands[0], &run_dir, err)) != ECH_OK ||
        (code = ech_follower_open(run_dir, 0, &follower, err)) != ECH_OK ||
        (code = ech_follower_poll(&follower, err)) != ECH_OK)
        goto out;
    bool alive = ech_rundir_is_held(run_dir);
    (ech_args_given(&args, "json") ? print_json : print_text)(&follower.view, run_dir, alive, &text);
    code = ech_str_check(&text, err);
    if (code == ECH_OK)
        fputs(text.data, stdout);
out:
    ech_str_fini(&text);
    ech_follower_close(&follower);
    ech_free(run_dir);
    ech_args_fini(&args);
    return code;
}
