/* Verbs: see verb.h. */
#include "base/verb.h"

#include <errno.h>
#include <string.h>

static int print(struct ech_verb_call *call, struct ech_err *err)
{
    const struct ech_str *text = &call->text;
    if (!call->out)
        return ECH_OK;
    int code = ech_str_check(text, err);
    if (code != ECH_OK)
        return code;
    errno = 0;
    if ((text->length && fwrite(text->data, 1, text->length, call->out) != text->length) ||
        fflush(call->out) != 0 || ferror(call->out))
        return ech_fail_errno(err, ECH_IO, errno ? errno : EIO, "writing the output");
    return ECH_OK;
}

/* The verb's own error decides; what it said is printed in any case. */
static int finish(int code, struct ech_verb_call *call, struct ech_err *err)
{
    int printed = print(call, code == ECH_OK ? err : NULL);
    ech_str_fini(&call->text);
    return code != ECH_OK ? code : printed;
}

int ech_verb_spec_run(const struct ech_verb_spec *verb, int argc, char **argv, void *context, FILE *out,
                      struct ech_err *err)
{
    struct ech_verb_call call = {.context = context, .out = out};
    struct ech_err spare = ECH_ERR_NONE;
    struct ech_args args = {0};
    err = err ? err : &spare;
    ech_str_init(&call.text);
    int code = ech_args_parse(&verb->command, argc, argv, &args, err);
    if (verb->agree)
        code = verb->agree(context, err);
    if (code == ECH_OK)
        code = args.help ? ech_args_help(&verb->command, &call.text, err) : verb->run(&args, &call, err);
    ech_args_fini(&args);
    return finish(code, &call, err);
}

static void put_overview(const struct ech_verb_group *group, struct ech_str *text)
{
    int width = 0;
    for (int i = 0; i < group->count; i++)
        width = (int)strlen(group->verbs[i].name) > width ? (int)strlen(group->verbs[i].name) : width;
    ech_str_addf(text, "usage: %s %s\n\nverbs:\n", group->name, group->usage);
    for (int i = 0; i < group->count; i++) {
        const char *summary = group->verbs[i].command.summary;
        ech_str_addf(text, "  %-*s  %.*s\n", width, group->verbs[i].name, (int)strcspn(summary, "\n"),
                     summary);
    }
    ech_str_addf(text, "\n`%s VERB --help` says more.\n", group->name);
    ech_args_help_end(group->example, group->exits, text);
}

static int no_verb(const struct ech_verb_group *group, const char *word, struct ech_err *err)
{
    enum { MOST = 32 };
    const char *names[MOST + 1] = {NULL};
    for (int i = 0; i < group->count && i < MOST; i++)
        names[i] = group->verbs[i].name;
    const char *near = ech_nearest(word, names);
    return ech_fail(err, ECH_USAGE, "%s: unknown verb \"%.100s\"%s%s%s (%s --help lists them)", group->name,
                    word, near ? ": did you mean " : "", near ? near : "", near ? "?" : "", group->name);
}

int ech_verb_group_run(const struct ech_verb_group *group, int argc, char **argv, void *context, FILE *out,
                       struct ech_err *err)
{
    if (argc < 1)
        return ech_fail(err, ECH_USAGE, "%s: a verb was expected (%s --help lists them)", group->name,
                        group->name);
    for (int i = 0; i < group->count; i++)
        if (strcmp(argv[0], group->verbs[i].name) == 0)
            return ech_verb_spec_run(&group->verbs[i], argc - 1, argv + 1, context, out, err);
    if (!ech_args_is_help(argv[0]))
        return no_verb(group, argv[0], err);
    struct ech_verb_call call = {.out = out};
    ech_str_init(&call.text);
    put_overview(group, &call.text);
    return finish(ECH_OK, &call, err);
}
