/* The `echelon` command: finds the verb, prints what went wrong once, ends with its status. */
#include "launcher/argv.h"
#include "launcher/child.h"
#include "launcher/man.h"
#include "launcher/verbs.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef ECH_VERSION
#define ECH_VERSION "unknown"
#endif
#ifndef ECH_COMMIT
#define ECH_COMMIT "unknown"
#endif

static void print_help(void)
{
    const char *group = NULL;
    puts(
        "usage: echelon VERB [arguments]\n\n"
        "Runs transformer inference and batch jobs over sharded datasets, on one machine or through mpirun.");
    for (const struct ech_verb *v = ech_verbs; v->name; v++) {
        if (!group || strcmp(group, v->group) != 0)
            printf("\n%s:\n", v->group);
        group = v->group;
        printf("  %-8s  %s\n", v->name, v->brief);
    }
    puts("\noptions:\n"
         "  --help     show this text; echelon VERB --help shows a verb's\n"
         "  --version  version, commit, compiler, and what echelon-rank was built with\n"
         "  --man      the manual page (man -l)\n\n"
         "example:\n  echelon run job.yaml\n\nexit status:");
    static const int codes[] = {ECH_OK,  ECH_USAGE,  ECH_DATA, ECH_NOINPUT, ECH_UNAVAILABLE,
                                ECH_BUG, ECH_EXISTS, ECH_IO,   ECH_REQUEUE, ECH_CONFIG};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        printf("  %2d  %s\n", codes[i], ech_exit_meaning(codes[i]));
}

static int print_version(void)
{
    printf("echelon %s (%s)\ncompiler: %s\n", ECH_VERSION, ECH_COMMIT,
#ifdef __clang__
           "clang " __clang_version__
#else
           "gcc " __VERSION__
#endif
    );
    char *rank = NULL;
    int status;
    if (ech_find_rank_program(&rank, NULL) != ECH_OK) {
        puts("echelon-rank: not found");
        return ECH_OK;
    }
    char *argv[] = {rank, "--solo", "doctor", "--version", NULL};
    char *text = ech_child_output(argv, &status);
    fputs(text && status == 0 ? text : "echelon-rank: does not answer\n", stdout);
    ech_free(text);
    ech_free(rank);
    return ECH_OK;
}

static int unknown_verb(const char *word, struct ech_err *err)
{
    const char *names[32];
    int n = 0;
    for (const struct ech_verb *v = ech_verbs; v->name && n < 31; v++)
        names[n++] = v->name;
    names[n] = NULL;
    const char *near = ech_nearest(word, names);
    return ech_fail(err, ECH_USAGE, "unknown %s \"%s\"%s%s%s (echelon --help lists the verbs)",
                    word[0] == '-' ? "option" : "verb", word, near ? ": did you mean " : "", near ? near : "",
                    near ? "?" : "");
}

static int call_verb(int argc, char **argv, struct ech_err *err)
{
    for (const struct ech_verb *v = ech_verbs; v->name; v++) {
        if (strcmp(v->name, argv[1]) != 0)
            continue;
        return v->call(argc - 2, argv + 2, err);
    }
    return unknown_verb(argv[1], err);
}

/* ECH_FAULT is meant for the ranks; the launcher has a variable of its own, in the same words. */
static int arm_faults(void)
{
    const char *own = getenv("ECH_FAULT_LAUNCHER"), *ranks = getenv("ECH_FAULT");
    if (!own)
        return ECH_OK;
    char *kept = ranks ? ech_strdup(ranks, NULL) : NULL;
    setenv("ECH_FAULT", own, 1);
    int code = ech_fault_arm_from_env();
    unsetenv("ECH_FAULT");
    if (kept)
        setenv("ECH_FAULT", kept, 1);
    ech_free(kept);
    return code;
}

static int dispatch(int argc, char **argv, struct ech_err *err)
{
    if (arm_faults() != ECH_OK)
        return ech_fail(err, ECH_USAGE, "ECH_FAULT_LAUNCHER cannot be read");
    if (argc < 2)
        return ech_fail(err, ECH_USAGE,
                        "a verb is missing: echelon VERB ... (echelon --help lists the verbs)");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help();
        return ECH_OK;
    }
    if (strcmp(argv[1], "--version") == 0)
        return print_version();
    if (strcmp(argv[1], "--man") == 0)
        return ech_man_print(ECH_VERSION, stdout, err);
    return call_verb(argc, argv, err);
}

int main(int argc, char **argv)
{
    struct ech_err err = ECH_ERR_NONE;
    char text[sizeof err.text + sizeof err.file + 64];
    ech_log_init(-1);
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is an error of writing, not an end without a word */
    int code = dispatch(argc, argv, &err);
    if (fflush(stdout) != 0 && code == ECH_OK)
        code = ech_fail(&err, ECH_IO, "the output could not be written");
    if (err.code != ECH_OK)
        fprintf(stderr, "echelon: %s\n", ech_err_print(&err, text, sizeof text));
    return code;
}
