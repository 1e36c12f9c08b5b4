/* The verb `config`: see verbs.h. One row a sub-verb: its command line and what it does. */
#include "config/verbs.h"

#include "base/verb.h"
#include "config/cluster.h"
#include "config/state.h"
#include "config/steps.h"

#include <string.h>
#include <unistd.h>

#define SET_OPTION                                                                                           \
    {                                                                                                        \
        "set", "KEY=VALUE", true, "a value that wins over the environment and the file"                      \
    }
#define CLUSTER_OPTION                                                                                       \
    {                                                                                                        \
        "cluster", NULL, false, "of cluster files"                                                           \
    }
static const struct ech_option cluster_options[] = {CLUSTER_OPTION, {0}};
static const struct ech_option show_options[] = {
    SET_OPTION,
    {"step", "NAME", false, "the step of a file with steps"},
    CLUSTER_OPTION,
    {"json", NULL, false, "a list of {key, value, origin}; times in seconds, sizes in bytes"},
    {0}};
static const struct ech_option check_options[] = {SET_OPTION, CLUSTER_OPTION, {0}};

static const struct ech_exit job_exits[] = {
    {ECH_OK, "every file is right"}, {ECH_USAGE, NULL}, {ECH_NOINPUT, NULL}, {ECH_CONFIG, NULL}, {0}};
static const struct ech_exit plain_exits[] = {{ECH_OK, NULL}, {ECH_USAGE, NULL}, {0}};

static int load(const char *path, const char *step, const struct ech_args *args, struct ech_config **out,
                struct ech_err *err)
{
    struct ech_config_request request = {
        .path = path, .sets = ech_args_all(args, "set"), .env = (const char *const *)environ, .step = step};
    return ech_config_load(&request, out, err);
}

static int show_cluster(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err)
{
    struct ech_cluster *cluster = NULL;
    int code = ech_cluster_load(args->operands[0], &cluster, err);
    if (code == ECH_OK)
        code = ech_args_given(args, "json") ? ech_cluster_print_json(cluster, &call->text, err)
                                            : ech_cluster_print(cluster, &call->text, err);
    ech_cluster_destroy(cluster);
    return code;
}

static int check_cluster(const char *path, struct ech_str *text, struct ech_err *err)
{
    struct ech_cluster *cluster = NULL;
    int code = ech_cluster_load(path, &cluster, err);
    if (code == ECH_OK)
        ech_str_addf(text, "%s: ok, %d class%s of nodes\n", path, cluster->classes_count,
                     cluster->classes_count == 1 ? "" : "es");
    ech_cluster_destroy(cluster);
    return code;
}

static int check_job(const struct ech_args *args, const char *path, const char *step, struct ech_str *text,
                     struct ech_err *err)
{
    struct ech_config *config = NULL;
    int code = load(path, step, args, &config, err);
    if (code == ECH_OK)
        ech_str_addf(text, "%s%s%s: ok, %s, %d values\n", path, step ? " step " : "", step ? step : "",
                     config->job.kind_name, config->count);
    ech_config_destroy(config);
    return code;
}

/* One line that a file is right (a line a step), or its error. */
static int check_file(const struct ech_args *args, const char *path, struct ech_str *text,
                      struct ech_err *err)
{
    struct ech_steps steps;
    if (ech_args_given(args, "cluster"))
        return check_cluster(path, text, err);
    int code = ech_steps_load(path, &steps, err);
    if (code == ECH_OK && !steps.count)
        code = check_job(args, path, NULL, text, err);
    for (int i = 0; code == ECH_OK && i < steps.count; i++)
        code = check_job(args, path, steps.items[i].name, text, err);
    ech_steps_fini(&steps);
    return code;
}

static int do_show(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err)
{
    struct ech_config *config;
    if (ech_args_given(args, "cluster"))
        return show_cluster(args, call, err);
    int code = load(args->operands[0], ech_args_get(args, "step"), args, &config, err);
    if (code != ECH_OK)
        return code;
    code = ech_args_given(args, "json") ? ech_config_print_json(config, &call->text, err)
                                        : ech_config_print(config, true, &call->text, err);
    ech_config_destroy(config);
    return code;
}

/* Every file is checked; the first error is kept, what the others have to say is put behind it. */
static int do_check(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err)
{
    int worst = ECH_OK;
    for (int i = 0; i < args->count; i++) {
        struct ech_err why = ECH_ERR_NONE;
        int code = check_file(args, args->operands[i], &call->text, &why);
        if (code == ECH_OK)
            continue;
        ech_str_addf(&call->text, "%s: wrong\n", args->operands[i]);
        if (worst == ECH_OK) {
            *err = why;
            worst = code;
        } else {
            char line[sizeof why.text + sizeof why.file + 64];
            size_t used = strlen(err->text);
            snprintf(err->text + used, sizeof err->text - used, "\n%s",
                     ech_err_print(&why, line, sizeof line));
        }
    }
    return worst;
}

static int do_schema(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err)
{
    return ech_args_given(args, "cluster") ? ech_cluster_schema_json(&call->text, err)
                                           : ech_config_schema_json(&call->text, err);
}

static int do_reference(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err)
{
    return ech_args_given(args, "cluster") ? ech_cluster_reference(&call->text, err)
                                           : ech_config_reference(&call->text, err);
}

static const struct ech_verb_spec verbs[] = {
    {.name = "show",
     .run = do_show,
     .command =
         {.name = "echelon config show",
          .usage = "JOB.yaml [--step NAME] [--set KEY=VALUE]... [--json] [--cluster]",
          .summary =
              "Print the effective values of a job, each with its origin. What is printed is a job file.",
          .options = show_options,
          .operands_least = 1,
          .operands_most = 1,
          .example = "echelon config show configs/embed.yaml --set resources.threads=2",
          .exits = job_exits}},
    {.name = "check",
     .run = do_check,
     .command = {.name = "echelon config check",
                 .usage = "JOB.yaml... [--set KEY=VALUE]... [--cluster]",
                 .summary = "Check job files: one line a file, every error with file:line:column.",
                 .options = check_options,
                 .operands_least = 1,
                 .operands_most = -1,
                 .example = "echelon config check configs/*.yaml",
                 .exits = job_exits}},
    {.name = "schema",
     .run = do_schema,
     .command = {.name = "echelon config schema",
                 .usage = "[--cluster]",
                 .options = cluster_options,
                 .summary = "Print the JSON Schema of job files (draft 2020-12), for editors.",
                 .example = "echelon config schema > job.schema.json",
                 .exits = plain_exits}},
    {.name = "reference",
     .run = do_reference,
     .command = {.name = "echelon config reference",
                 .usage = "[--cluster]",
                 .options = cluster_options,
                 .summary = "Print a job file with all keys, their meaning and their defaults.",
                 .example = "echelon config reference > job.yaml",
                 .exits = plain_exits}},
};

static const struct ech_verb_group group = {.name = "echelon config",
                                            .usage = "VERB ...",
                                            .example = "echelon config check job.yaml",
                                            .exits = job_exits,
                                            .verbs = verbs,
                                            .count = sizeof verbs / sizeof verbs[0]};

int ech_config_verb(int argc, char **argv, FILE *out, struct ech_err *err)
{
    return ech_verb_group_run(&group, argc, argv, NULL, out, err);
}
