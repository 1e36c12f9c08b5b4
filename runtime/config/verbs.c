/* The verb `config`: see verbs.h. One row a sub-verb: its command line and what it does. */
#include "config/verbs.h"

#include "base/args.h"
#include "config/state.h"

#include <errno.h>
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

static int do_show(const struct ech_args *args, struct ech_str *text, struct ech_err *err)
{
    struct ech_config *config;
    int code = load(args->operands[0], args, &config, err);
    if (code != ECH_OK)
        return code;
    code = ech_args_given(args, "json") ? ech_config_print_json(config, text, err)
                                        : ech_config_print(config, true, text, err);
    ech_config_destroy(config);
    return code;
}

/* Every file is checked; the first error is kept, what the others have to say is put behind it. */
static int do_check(const struct ech_args *args, struct ech_str *text, struct ech_err *err)
{
    int worst = ECH_OK;
    for (int i = 0; i < args->count; i++) {
        struct ech_config *config;
        struct ech_err why = ECH_ERR_NONE;
        int code = load(args->operands[i], args, &config, &why);
        if (code == ECH_OK) {
            ech_str_addf(text, "%s: ok, %s, %d values\n", args->operands[i], config->job.kind_name,
                         config->count);
            ech_config_destroy(config);
            continue;
        }
        ech_str_addf(text, "%s: wrong\n", args->operands[i]);
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

static int do_schema(const struct ech_args *args, struct ech_str *text, struct ech_err *err)
{
    (void)args;
    return ech_config_schema_json(text, err);
}

static int do_reference(const struct ech_args *args, struct ech_str *text, struct ech_err *err)
{
    (void)args;
    return ech_config_reference(text, err);
}

static const struct {
    const char *name;
    int (*run)(const struct ech_args *args, struct ech_str *text, struct ech_err *err);
    struct ech_command command;
} verbs[] = {
    {"show",
     do_show,
     {.name = "echelon config show",
      .usage = "JOB.yaml [--set KEY=VALUE]... [--json]",
      .summary = "Print the effective values of a job, each with its origin. What is printed is a job file.",
      .options = show_options,
      .operands_least = 1,
      .operands_most = 1,
      .example = "echelon config show configs/embed.yaml --set resources.threads=2",
      .exits = job_exits}},
    {"check",
     do_check,
     {.name = "echelon config check",
      .usage = "JOB.yaml... [--set KEY=VALUE]...",
      .summary = "Check job files: one line a file, every error with file:line:column.",
      .options = check_options,
      .operands_least = 1,
      .operands_most = -1,
      .example = "echelon config check configs/*.yaml",
      .exits = job_exits}},
    {"schema",
     do_schema,
     {.name = "echelon config schema",
      .usage = "",
      .summary = "Print the JSON Schema of job files (draft 2020-12), for editors.",
      .example = "echelon config schema > job.schema.json",
      .exits = plain_exits}},
    {"reference",
     do_reference,
     {.name = "echelon config reference",
      .usage = "",
      .summary = "Print a job file with all keys, their meaning and their defaults.",
      .example = "echelon config reference > job.yaml",
      .exits = plain_exits}},
};

enum { VERBS = sizeof verbs / sizeof verbs[0] };

static int find_verb(const char *name)
{
    for (int i = 0; i < VERBS; i++)
        if (strcmp(verbs[i].name, name) == 0)
            return i;
    return -1;
}

static void put_overview(struct ech_str *text)
{
    ech_str_adds(text, "usage: echelon config VERB ...\n\nverbs:\n");
    for (int i = 0; i < VERBS; i++)
        ech_str_addf(text, "  %-10s %s\n", verbs[i].name, verbs[i].command.summary);
    ech_str_adds(text, "\n`echelon config VERB --help` says more.\n\nexample:\n"
                       "  echelon config check job.yaml\n\nexit status:\n");
    for (const struct ech_exit *e = job_exits; e == job_exits || e->code; e++)
        ech_str_addf(text, "  %2d  %s\n", e->code, e->doc ? e->doc : ech_exit_meaning(e->code));
}

static int no_verb(const char *word, struct ech_err *err)
{
    const char *names[VERBS + 1];
    for (int i = 0; i < VERBS; i++)
        names[i] = verbs[i].name;
    names[VERBS] = NULL;
    const char *near = ech_nearest(word, names);
    return ech_fail(err, ECH_USAGE,
                    "echelon config: unknown verb \"%s\"%s%s%s (echelon config --help lists "
                    "them)",
                    word, near ? ": did you mean " : "", near ? near : "", near ? "?" : "");
}

static int run_verb(int verb, int argc, char **argv, struct ech_str *text, struct ech_err *err)
{
    struct ech_args args;
    const struct ech_command *command = &verbs[verb].command;
    int code = ech_args_parse(command, argc, argv, &args, err);
    if (code != ECH_OK)
        return code;
    code = args.help ? ech_args_help(command, text, err) : verbs[verb].run(&args, text, err);
    ech_args_fini(&args);
    return code;
}

int ech_config_verb(int argc, char **argv, FILE *out, struct ech_err *err)
{
    if (argc < 1)
        return ech_fail(err, ECH_USAGE, "echelon config: a verb was expected (echelon config --help)");
    struct ech_str text;
    ech_str_init(&text);
    int verb = find_verb(argv[0]), code = ECH_OK;
    if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)
        put_overview(&text);
    else
        code = verb < 0 ? no_verb(argv[0], err) : run_verb(verb, argc - 1, argv + 1, &text, err);
    int usable = ech_str_check(&text, code == ECH_OK ? err : NULL);
    if (usable == ECH_OK && text.length &&
        (fwrite(text.data, 1, text.length, out) != text.length || fflush(out) != 0))
        usable = ech_fail_errno(err, ECH_IO, errno, "writing the output");
    code = code != ECH_OK ? code : usable;
    ech_str_fini(&text);
    return code;
}
