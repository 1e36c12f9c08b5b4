/* Command lines: see args.h. */
#include "base/args.h"

#include "base/mem.h"
#include "base/num.h"

#include <stdio.h>
#include <string.h>

static const struct ech_option help_option = {"help", NULL, false, "show this text"};

static int options_count(const struct ech_command *command)
{
    int n = 0;
    while (command->options && command->options[n].name)
        n++;
    return n;
}

static int option_index(const struct ech_command *command, const char *name, size_t length)
{
    for (int i = 0; i < options_count(command); i++)
        if (strlen(command->options[i].name) == length && memcmp(command->options[i].name, name, length) == 0)
            return i;
    return -1;
}

/* An option of one letter has one dash. */
static const char *dashes(const char *name)
{
    return name[0] && !name[1] ? "-" : "--";
}

bool ech_args_is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int unknown(const struct ech_command *command, const char *word, struct ech_err *err)
{
    enum { MOST = 64 };
    const char *names[MOST + 2];
    int n = 0;
    for (; n < options_count(command) && n < MOST; n++)
        names[n] = command->options[n].name;
    names[n++] = help_option.name;
    names[n] = NULL;
    char bare[64];
    const char *start = word + strspn(word, "-");
    snprintf(bare, sizeof bare, "%.*s", (int)strcspn(start, "="), start);
    const char *near = ech_nearest(bare, names);
    return ech_fail(err, ECH_USAGE, "%s: unknown option %s%s%s%s%s (%s --help lists the options)",
                    command->name, word, near ? ": did you mean " : "", near ? dashes(near) : "",
                    near ? near : "", near ? "?" : "", command->name);
}

/* What one word of the command line is. */
struct word {
    int option; /* -1: an operand, -2: nothing (the "--" itself) */
    const char *value;
    int used; /* words taken */
};

static int read_option(const struct ech_command *command, int argc, char **argv, int at, struct word *out,
                       struct ech_err *err)
{
    size_t dash = argv[at][1] == '-' ? 2 : 1;
    const char *name = argv[at] + dash, *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    int index = option_index(command, name, length);
    if (index < 0 || strlen(dashes(command->options[index].name)) != dash)
        return unknown(command, argv[at], err);
    const struct ech_option *option = &command->options[index];
    const char *own = dashes(option->name);
    if (!option->value_name && equals)
        return ech_fail(err, ECH_USAGE, "%s: %s%s takes no value, \"%s\" was given", command->name, own,
                        option->name, equals + 1);
    *out = (struct word){index, "", 1};
    if (option->value_name && equals)
        out->value = equals + 1;
    else if (option->value_name && at + 1 < argc) {
        out->value = argv[at + 1];
        out->used = 2;
    } else if (option->value_name)
        return ech_fail(err, ECH_USAGE, "%s: %s%s needs a value: %s%s %s", command->name, own, option->name,
                        own, option->name, option->value_name);
    return ECH_OK;
}

/* Every word with what it is; *words counts them. */
static int read_words(const struct ech_command *command, int argc, char **argv, struct word *words,
                      int *count, struct ech_err *err)
{
    bool only_operands = false;
    *count = 0;
    for (int at = 0; at < argc; at += words[*count - 1].used) {
        struct word *word = &words[(*count)++];
        *word = (struct word){-1, argv[at], 1};
        if (only_operands || argv[at][0] != '-' || strcmp(argv[at], "-") == 0)
            continue;
        if (strcmp(argv[at], "--") == 0) {
            only_operands = true;
            word->option = -2;
            continue;
        }
        int code = read_option(command, argc, argv, at, word, err);
        if (code != ECH_OK)
            return code;
    }
    return ECH_OK;
}

static int check_counts(const struct ech_args *args, struct ech_err *err)
{
    const struct ech_command *command = args->command;
    for (int i = 0; i < options_count(command); i++)
        if (!command->options[i].repeatable && args->values[i][0] && args->values[i][1])
            return ech_fail(err, ECH_USAGE, "%s: %s%s is given twice", command->name,
                            dashes(command->options[i].name), command->options[i].name);
    if (args->count < command->operands_least)
        return ech_fail(err, ECH_USAGE, "%s: too few arguments. usage: %s %s", command->name, command->name,
                        command->usage);
    if (command->operands_most >= 0 && args->count > command->operands_most)
        return ech_fail(err, ECH_USAGE, "%s: unexpected argument \"%s\". usage: %s %s", command->name,
                        args->operands[command->operands_most], command->name, command->usage);
    return ECH_OK;
}

/* One block: the lists' heads, then the operands and each option's values, every list ended by NULL. */
static int collect(const struct word *words, int count, struct ech_args *args, struct ech_err *err)
{
    int options = options_count(args->command);
    size_t lists = (size_t)options + 1;
    const char **pool = ech_calloc(lists + (size_t)count + lists, sizeof *pool, err);
    if (!pool)
        return ECH_UNAVAILABLE;
    args->pool = (void *)pool;
    args->values = (const char ***)(void *)pool;
    const char **next = pool + lists;
    for (int option = -1; option < options; option++) {
        if (option < 0)
            args->operands = next;
        else
            args->values[option] = next;
        for (int i = 0; i < count; i++)
            if (words[i].option == option)
                *next++ = words[i].value;
        if (option < 0)
            args->count = (int)(next - args->operands);
        next++;
    }
    return ECH_OK;
}

int ech_args_parse(const struct ech_command *command, int argc, char **argv, struct ech_args *out,
                   struct ech_err *err)
{
    struct ech_args args = {.command = command};
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        args.help = args.help || ech_args_is_help(argv[i]);
    struct word *words = ech_calloc((size_t)(argc > 0 ? argc : 1), sizeof *words, err);
    int count = 0, code = words ? ECH_OK : ECH_UNAVAILABLE;
    if (code == ECH_OK && !args.help)
        code = read_words(command, argc, argv, words, &count, err);
    if (code == ECH_OK)
        code = collect(words, count, &args, err);
    if (code == ECH_OK && !args.help)
        code = check_counts(&args, err);
    ech_free(words);
    if (code != ECH_OK) {
        ech_args_fini(&args);
        return code;
    }
    *out = args;
    return ECH_OK;
}

void ech_args_fini(struct ech_args *args)
{
    ech_free(args->pool);
    *args = (struct ech_args){0};
}

const char *const *ech_args_all(const struct ech_args *args, const char *name)
{
    int index = option_index(args->command, name, strlen(name));
    ECH_ASSERT(index >= 0, "%s has no option %s", args->command->name, name);
    return args->values[index];
}

bool ech_args_given(const struct ech_args *args, const char *name)
{
    return ech_args_all(args, name)[0] != NULL;
}

const char *ech_args_get(const struct ech_args *args, const char *name)
{
    return ech_args_all(args, name)[0];
}

int ech_args_get_int(const struct ech_args *args, const char *name, int64_t least, int64_t most, int64_t *out,
                     struct ech_err *err)
{
    const char *text = ech_args_get(args, name);
    int64_t value;
    if (!text)
        return ECH_OK;
    if (!ech_parse_int(text, &value) || value < least || value > most)
        return ech_fail(err, ECH_USAGE, "%s: %s%s %s: an integer from %lld to %lld was expected",
                        args->command->name, dashes(name), name, text, (long long)least, (long long)most);
    *out = value;
    return ECH_OK;
}

static const struct ech_exit meanings[] = {
    {ECH_OK, "success"},
    {ECH_USAGE, "the command line is wrong"},
    {ECH_DATA, "bad content of a file or of rows"},
    {ECH_NOINPUT, "an input is missing or cannot be read"},
    {ECH_UNAVAILABLE, "a program, device or memory is lacking"},
    {ECH_BUG, "an internal error"},
    {ECH_EXISTS, "the output exists or cannot be created"},
    {ECH_IO, "reading or writing failed; the run can be resumed"},
    {ECH_REQUEUE, "stopped in time; run or resume it again"},
    {ECH_CONFIG, "the job or cluster file is wrong"},
};

const char *ech_exit_meaning(int code)
{
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
        if (meanings[i].code == code)
            return meanings[i].doc;
    return "unknown";
}

static int option_width(const struct ech_option *option)
{
    return (int)(strlen(dashes(option->name)) + strlen(option->name)) +
           (option->value_name ? (int)strlen(option->value_name) + 1 : 0);
}

static void add_option(struct ech_str *out, const struct ech_option *option, int width)
{
    ech_str_addf(out, "  %s%s%s%s%*s  %s%s\n", dashes(option->name), option->name,
                 option->value_name ? " " : "", option->value_name ? option->value_name : "",
                 width - option_width(option), "", option->doc,
                 option->repeatable ? " (may be repeated)" : "");
}

static void add_lines(struct ech_str *out, const char *text)
{
    while (*text) {
        size_t length = strcspn(text, "\n");
        ech_str_addf(out, "  %.*s\n", (int)length, text);
        text += length + (text[length] == '\n');
    }
}

void ech_args_help_end(const char *example, const struct ech_exit *exits, struct ech_str *out)
{
    if (example) {
        ech_str_adds(out, "\nexample:\n");
        add_lines(out, example);
    }
    if (!exits)
        return;
    ech_str_adds(out, "\nexit status:\n");
    for (const struct ech_exit *e = exits; e == exits || e->code || e->doc; e++)
        ech_str_addf(out, "  %2d  %s\n", e->code, e->doc ? e->doc : ech_exit_meaning(e->code));
}

int ech_args_help(const struct ech_command *command, struct ech_str *out, struct ech_err *err)
{
    int width = option_width(&help_option), options = options_count(command);
    for (int i = 0; i < options; i++)
        if (option_width(&command->options[i]) > width)
            width = option_width(&command->options[i]);
    ech_str_addf(out, "usage: %s%s%s\n\n%s\n\noptions:\n", command->name, command->usage[0] ? " " : "",
                 command->usage, command->summary);
    for (int i = 0; i < options; i++)
        add_option(out, &command->options[i], width);
    add_option(out, &help_option, width);
    ech_args_help_end(command->example, command->exits, out);
    return ech_str_check(out, err);
}
