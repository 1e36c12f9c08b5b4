/* The verb `config`: see verbs.h. One row a sub-verb: its command line and what it does. */
#include "config/verbs.h"

#include "base/verb.h"
#include "config/state.h"

#include <string.h>
#include <unistd.h>

#define SET_OPTION                                                                                           \
    {                                                                                                        \
        "set", "KEY=VALUE", true, "a value that wins over the environment and the file"                      \
    }
static const struct ech_option show_options[] = {
    SET_OPTION,
    {"json", NULL, false, "a list of {key, value, origin}; times in seconds, sizes in bytes"},
    {0}};
static const struct ech_option check_options[] = {SET_OPTION, {0}};

static const struct ech_exit job_exits[] = {
    {ECH_OK, "every file is right"}, {ECH_USAGE, NULL}, {ECH_NOINPUT, NULL}, {ECH_CONFIG, NULL}, {0}};
static const struct ech_exit plain_exits[] = {{ECH_OK, NULL}, {ECH_USAGE, NULL}, {0}};

static int load(const char *path, const struct ech_args *args, struct ech_config **out, struct ech_err *err)
{
    struct ech_config_request request = {
        .path = path, .sets = ech_args_all(args, "set"), .env = (const char *const *)environ};
    return ech_config_load(&request, out, err);
}

static int do_show(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err)
{
    struct ech_config *config;
    int code = load(args->operands[0], args, &config, err);
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
        struct ech_config *config;
        struct ech_err why = ECH_ERR_NONE;
        int code = load(args->operands[i], args, &config, &why);
        if (code == ECH_OK) {
            ech_str_addf(&call->text, "%s: ok, %s, %d values\n", args->operands[i], config->job.kind_name,
                         config->count);
            ech_config_destroy(config);
            continue;
        }
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
    (void)args;
    return ech_config_schema_json(&call->text, err);
}

static int do_reference(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err)
{
    (void)args;
    return ech_config_reference(&call->text, err);
}

static const struct ech_verb_spec verbs[] = {
    {.name = "show",
     .run = do_show,
     .command =
         {.name = "echelon config show",
          .usage = "JOB.yaml [--set KEY=VALUE]... [--json]",
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
                 .usage = "JOB.yaml... [--set KEY=VALUE]...",
                 .summary = "Check job files: one line a file, every error with file:line:column.",
                 .options = check_options,
                 .operands_least = 1,
                 .operands_most = -1,
                 .example = "echelon config check configs/*.yaml",
                 .exits = job_exits}},
    {.name = "schema",
     .run = do_schema,
     .command = {.name = "echelon config schema",
                 .usage = "",
                 .summary = "Print the JSON Schema of job files (draft 2020-12), for editors.",
                 .example = "echelon config schema > job.schema.json",
                 .exits = plain_exits}},
    {.name = "reference",
     .run = do_reference,
     .command = {.name = "echelon config reference",
                 .usage = "",
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
