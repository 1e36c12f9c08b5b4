/* The verb `report`, and reading a run for it. */
#include "launcher/report.h"

#include "launcher/advice.h"
#include "launcher/origins.h"
#include "launcher/rundirs.h"
#include "launcher/verbs.h"

#include "base/io.h"
#include "base/mem.h"
#include "config/config.h"

#include <stdio.h>
#include <string.h>

enum { JOB_BYTES = 32 << 20, PLAN_BYTES = 256 << 20 };

#ifndef ECH_VERSION
#define ECH_VERSION "unknown"
#endif

static const struct ech_option report_options[] = {
    {"json", NULL, false, "the report's figures as one JSON object on stdout (no file is written)"},
    {NULL, NULL, false, NULL}};
static const struct ech_exit report_exits[] = {{0, "success"},     {ECH_USAGE, NULL}, {ECH_NOINPUT, NULL},
                                               {ECH_EXISTS, NULL}, {ECH_IO, NULL},    {0, NULL}};

const struct ech_command ech_report_command = {
    .name = "echelon report",
    .usage = "[RUN] [--json]",
    .summary =
        "Writes RUN/report.html and prints its path: plan against actual by rank, the leases of each rank,\n"
        "throughput and memory over time, what went wrong, what to ask for next time, the effective\n"
        "configuration. RUN: default the newest run.",
    .options = report_options,
    .operands_most = 1,
    .example = "echelon report",
    .exits = report_exits};

/* Where each value came from when the run began. */
static void restore_origins(json_t *values, const char *saved)
{
    size_t i;
    json_t *entry;
    json_array_foreach(values, i, entry)
    {
        char first[512];
        const char *origin = json_string_value(json_object_get(entry, "origin"));
        if (origin)
            json_object_set_new(entry, "origin",
                                json_string(ech_origin_first(saved, origin, first, sizeof first)));
    }
}

/* NULL where job.yaml cannot be read: the report says so. */
static json_t *load_config(const char *run_dir)
{
    struct ech_config *config = NULL;
    struct ech_str text;
    json_t *json = NULL;
    char *saved = NULL;
    ech_str_init(&text);
    char *path = ech_run_path(NULL, run_dir, "%s", ECH_RUN_JOB);
    struct ech_config_request request = {.path = path, .saved = true};
    if (path && ech_config_load(&request, &config, NULL) == ECH_OK &&
        ech_config_print_json(config, &text, NULL) == ECH_OK && ech_str_check(&text, NULL) == ECH_OK &&
        ech_read_file(path, JOB_BYTES, &saved, NULL, NULL) == ECH_OK &&
        ech_json_parse(path, text.data, text.length, &json, NULL) == ECH_OK)
        restore_origins(json, saved);
    ech_config_destroy(config);
    ech_str_fini(&text);
    ech_free(saved);
    ech_free(path);
    return json;
}

/* Unknown where plan.json cannot be read. */
static int load_plan(const char *run_dir, int attempt, struct ech_planned *out, struct ech_err *err)
{
    json_t *plan = NULL;
    char *path = ech_run_path(NULL, run_dir, "%s", ECH_RUN_PLAN);
    int code = path && ech_json_load(path, PLAN_BYTES, &plan, NULL) == ECH_OK
                   ? ech_planned_read(plan, attempt, out, err)
                   : ECH_OK;
    json_decref(plan);
    ech_free(path);
    return code;
}

static int build(const char *run_dir,
                 int (*make)(const struct ech_report *, struct ech_str *, struct ech_err *),
                 struct ech_str *out, struct ech_str *said, struct ech_err *err)
{
    struct ech_follower follower = {0};
    struct ech_planned planned = {0};
    struct ech_str advice;
    ech_str_init(&advice);
    int code = ech_follower_open(run_dir, 0, &follower, err);
    if (code == ECH_OK)
        code = ech_follower_poll(&follower, err);
    json_t *config = code == ECH_OK ? load_config(run_dir) : NULL;
    /* The launcher that writes the report at its end still holds the run: a result decides. */
    const struct ech_attempt_view *last =
        follower.view.attempt_count ? &follower.view.attempts[follower.view.attempt_count - 1] : NULL;
    bool alive = code == ECH_OK && !(last && last->has_result) && ech_rundir_is_held(run_dir);
    struct ech_report report = {.view = &follower.view,
                                .state = ech_view_state(&follower.view, alive),
                                .run_dir = run_dir,
                                .config = config,
                                .version = ECH_VERSION,
                                .planned = &planned};
    if (code == ECH_OK)
        code = load_plan(run_dir, follower.view.attempt, &planned, err);
    if (code == ECH_OK && report.state == ECH_RUN_SEALED && last && last->has_result) {
        ech_advice_of_run(&follower.view, run_dir, last->result.seconds, &advice);
        report.advice = advice.data;
        code = ech_str_check(&advice, err);
    }
    if (code == ECH_OK)
        code = make(&report, out, err);
    if (code == ECH_OK && said && advice.length)
        ech_str_adds(said, advice.data);
    ech_planned_fini(&planned);
    ech_str_fini(&advice);
    json_decref(config);
    ech_follower_close(&follower);
    return code;
}

static int write_report(const char *run_dir, struct ech_str *said, struct ech_err *err)
{
    struct ech_str html;
    ech_str_init(&html);
    char *path = ech_run_path(err, run_dir, "%s", ECH_RUN_REPORT);
    int code = path ? build(run_dir, ech_report_html, &html, said, err) : ECH_UNAVAILABLE;
    if (code == ECH_OK)
        code = ech_write_file(path, html.data, html.length, err);
    ech_free(path);
    ech_str_fini(&html);
    return code;
}

int ech_report_write(const char *run_dir, struct ech_err *err)
{
    return write_report(run_dir, NULL, err);
}

/* For people, beside the path. */
static void say_advice(const struct ech_str *lines)
{
    const char *at = lines->data;
    for (const char *line; at && (line = ech_advice_next(&at)) != NULL;)
        ech_say(ECH_ADVICE "%.*s", (int)strcspn(line, "\n"), line);
}

int ech_verb_report(int argc, char **argv, struct ech_err *err)
{
    struct ech_args args = {0};
    struct ech_str json, said;
    char *run_dir = NULL;
    bool done;
    ech_str_init(&json);
    ech_str_init(&said);
    int code = ech_verb_args(&ech_report_command, argc, argv, &args, &done, err);
    if (code == ECH_OK && !done)
        code = ech_rundir_find(args.operands[0], &run_dir, err);
    if (code == ECH_OK && !done && ech_args_given(&args, "json")) {
        code = build(run_dir, ech_report_json, &json, NULL, err);
        if (code == ECH_OK)
            fputs(json.data, stdout);
    } else if (code == ECH_OK && !done) {
        code = write_report(run_dir, &said, err);
        if (code == ECH_OK)
            printf("%s/%s\n", run_dir, ECH_RUN_REPORT);
        if (code == ECH_OK)
            say_advice(&said);
    }
    ech_str_fini(&json);
    ech_str_fini(&said);
    ech_free(run_dir);
    ech_args_fini(&args);
    return code;
}
