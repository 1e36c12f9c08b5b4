/* Verbs: a row holds a verb's command line and what it does; from it come parsing, --help, the nearest name
 * of a mistyped verb, and the printing of what the verb said. A verb here is a function that returns; the
 * launcher's, which start processes, have a table of their own. */
#ifndef ECH_BASE_VERB_H
#define ECH_BASE_VERB_H

#include "base/args.h"

#include <stdio.h>

struct ech_verb_call {
    void *context;       /* the caller's, as given */
    FILE *out;           /* for what is too long to keep in text; NULL: this rank prints nothing */
    struct ech_str text; /* printed behind it when run has ended, also where run failed */
};

struct ech_verb_spec {
    const char *name;
    struct ech_command command;
    /* err is never NULL. */
    int (*run)(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err);
    /* Several ranks: between parsing and run, so that no rank runs where another has failed. NULL: one. */
    int (*agree)(void *context, struct ech_err *err);
};

struct ech_verb_group {
    const char *name;    /* "echelon config" */
    const char *usage;   /* what follows the name: "VERB JOB.yaml" */
    const char *example; /* as in struct ech_command */
    const struct ech_exit *exits;
    const struct ech_verb_spec *verbs;
    int count;
};

/* argv[0 .. argc) are the words behind the verb's name. --help prints the verb's command instead of running
 * it. out NULL: nothing is printed (ranks other than 0).
 * Calls   Collective where the verb has agree, argv equal on all ranks; else local.
 * Errors  those of ech_args_parse and of the verb; ECH_IO where out cannot be written. */
int ech_verb_spec_run(const struct ech_verb_spec *verb, int argc, char **argv, void *context, FILE *out,
                      struct ech_err *err);

/* The verb named by argv[0], or with --help an overview.
 * Errors  ECH_USAGE: no such verb (with the nearest); those of ech_verb_spec_run. */
int ech_verb_group_run(const struct ech_verb_group *group, int argc, char **argv, void *context, FILE *out,
                       struct ech_err *err);

#endif
