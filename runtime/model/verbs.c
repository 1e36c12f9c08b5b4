/* The verb `model`: see show.h. One row a sub-verb: its command line and what it does. */
#include "model/show.h"

#include "base/args.h"

#include <errno.h>
#include <string.h>

static const struct ech_option show_options[] = {{"json", NULL, false, "one JSON object"}, {0}};
static const struct ech_exit exits[] = {{ECH_OK, "the model is whole"},
                                        {ECH_USAGE, NULL},
                                        {ECH_DATA, "the model is damaged, or asks for what is not supported"},
                                        {ECH_NOINPUT, NULL},
                                        {ECH_UNAVAILABLE, NULL},
                                        {0}};

static int do_show(const struct ech_args *args, struct ech_str *text, struct ech_err *err)
{
    return ech_model_show(args->operands[0], ech_args_given(args, "json"), text, err);
}

static int do_check(const struct ech_args *args, struct ech_str *text, struct ech_err *err)
{
    return ech_model_check(args->operands[0], text, err);
}

static const struct {
    const char *name;
    int (*run)(const struct ech_args *args, struct ech_str *text, struct ech_err *err);
    struct ech_command command;
} verbs[] = {
    {"show",
     do_show,
     {.name = "echelon model show",
      .usage = "PATH [--json]",
      .summary = "Print what a model folder is and what it needs: sizes, limits, pooling, files, memory.",
      .options = show_options,
      .operands_least = 1,
      .operands_most = 1,
      .example = "echelon model show models/all-MiniLM-L6-v2",
      .exits = exits}},
    {"check",
     do_check,
     {.name = "echelon model check",
      .usage = "PATH",
      .summary = "Read all of a model: every file and tensor there, of the right shape, every weight finite.",
      .operands_least = 1,
      .operands_most = 1,
      .example = "echelon model check models/all-MiniLM-L6-v2",
      .exits = exits}},
};
enum { VERBS = sizeof verbs / sizeof verbs[0] };

static void put_overview(struct ech_str *text)
{
    ech_str_adds(text, "usage: echelon model VERB PATH\n\nverbs:\n");
    for (int i = 0; i < VERBS; i++)
        ech_str_addf(text, "  %-6s %s\n", verbs[i].name, verbs[i].command.summary);
    ech_str_adds(text, "\n`echelon model VERB --help` says more.\n\nexample:\n"
                       "  echelon model show models/all-MiniLM-L6-v2\n\nexit status:\n");
    for (const struct ech_exit *e = exits; e == exits || e->code; e++)
        ech_str_addf(text, "  %2d  %s\n", e->code, e->doc ? e->doc : ech_exit_meaning(e->code));
}

static int no_verb(const char *word, struct ech_err *err)
{
    const char *names[VERBS + 1] = {NULL};
    for (int i = 0; i < VERBS; i++)
        names[i] = verbs[i].name;
    const char *near = ech_nearest(word, names);
    return ech_fail(err, ECH_USAGE,
                    "echelon model: unknown verb \"%.100s\"%s%s%s (echelon model --help lists them)", word,
                    near ? ": did you mean " : "", near ? near : "", near ? "?" : "");
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

int ech_model_verb(int argc, char **argv, FILE *out, struct ech_err *err)
{
    if (argc < 1)
        return ech_fail(err, ECH_USAGE, "echelon model: a verb was expected (echelon model --help)");
    struct ech_str text;
    ech_str_init(&text);
    int verb = 0, code = ECH_OK;
    while (verb < VERBS && strcmp(verbs[verb].name, argv[0]) != 0)
        verb++;
    if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)
        put_overview(&text);
    else
        code = verb == VERBS ? no_verb(argv[0], err) : run_verb(verb, argc - 1, argv + 1, &text, err);
    int usable = ech_str_check(&text, code == ECH_OK ? err : NULL);
    if (usable == ECH_OK && text.length &&
        (fwrite(text.data, 1, text.length, out) != text.length || fflush(out) != 0))
        usable = ech_fail_errno(code == ECH_OK ? err : NULL, ECH_IO, errno, "writing the output");
    ech_str_fini(&text);
    return code != ECH_OK ? code : usable;
}
