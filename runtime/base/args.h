/* Command lines: one table of options a verb; from it come parsing, the nearest name of a mistyped option and
 * the text of --help. Accepts "--name value", "--name=value", operands in any place, "--" (only operands
 * follow) and "-" as an operand. An option of one letter has one dash: "-n 3", "-n=3". "--help" and "-h" are
 * understood without being in the table. */
#ifndef ECH_BASE_ARGS_H
#define ECH_BASE_ARGS_H

#include "base/str.h"

struct ech_option {
    const char *name;       /* without dashes: "ranks" is --ranks, a single letter "n" is -n */
    const char *value_name; /* "N" in "--ranks N"; NULL: a flag */
    bool repeatable;        /* may be given more than once; all values count */
    const char *doc;        /* one line */
};

struct ech_exit {
    int code;
    const char *doc; /* NULL: the general meaning of the code */
};

struct ech_command {
    const char *name;                  /* "echelon run" */
    const char *usage;                 /* what follows the name: "JOB.yaml [options]" */
    const char *summary;               /* one line or more */
    const struct ech_option *options;  /* ended by name NULL; may be NULL */
    int operands_least, operands_most; /* most < 0: any number */
    const char *example;               /* whole lines, without indentation; may be NULL */
    const struct ech_exit *exits;      /* ended by doc NULL and code 0 (begin with {0, "..."}); may be NULL */
};

struct ech_args {
    const struct ech_command *command;
    bool help;             /* --help or -h was given: nothing else was checked */
    const char **operands; /* count, then NULL; the strings are argv's */
    int count;
    const char ***values; /* for each option its values, NULL-terminated */
    void *pool;
};

/* argv[0 .. argc) are the words behind the verb's name.
 * Owner   the caller, ech_args_fini; strings borrowed from argv.
 * Errors  ECH_USAGE: unknown option (with the nearest), a value missing or not wanted, given twice, too few
 *         or too many operands. */
int ech_args_parse(const struct ech_command *command, int argc, char **argv, struct ech_args *out,
                   struct ech_err *err);
void ech_args_fini(struct ech_args *args);

/* The name must be in the command's table (else it is our bug). */
bool ech_args_given(const struct ech_args *args, const char *name);
const char *ech_args_get(const struct ech_args *args, const char *name);        /* NULL: not given */
const char *const *ech_args_all(const struct ech_args *args, const char *name); /* NULL-terminated */
/* An integer in [least, most]; *out stays as it is where the option is not given. ECH_USAGE otherwise. */
int ech_args_get_int(const struct ech_args *args, const char *name, int64_t least, int64_t most, int64_t *out,
                     struct ech_err *err);

/* Usage, summary, options, example, exit statuses. */
int ech_args_help(const struct ech_command *command, struct ech_str *out, struct ech_err *err);
/* Its end: example and exit statuses, as in struct ech_command; each may be NULL. */
void ech_args_help_end(const char *example, const struct ech_exit *exits, struct ech_str *out);
bool ech_args_is_help(const char *word); /* --help or -h */

/* General meaning of an exit status, for help texts ("the command line is wrong"). */
const char *ech_exit_meaning(int code);

#endif
