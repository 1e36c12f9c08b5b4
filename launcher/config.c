/* The verb `config`: the configuration library does it. */
#include "config/verbs.h"

#include "launcher/verbs.h"

#include <stdio.h>
#include <string.h>

static const struct ech_exit exits[] = {
    {0, "success"}, {ECH_USAGE, NULL}, {ECH_NOINPUT, NULL}, {ECH_CONFIG, NULL}, {0, NULL}};

const struct ech_command ech_config_command = {
    .name = "echelon config",
    .usage = "{show|check|schema|reference} ...",
    .summary =
        "Shows a job's effective values with the origin of each, checks job files, prints the JSON Schema\n"
        "and the commented reference file. echelon config WHAT --help says more.",
    .operands_most = -1,
    .example = "echelon config show job.yaml --set max_errors=0",
    .exits = exits};

int ech_verb_config(int argc, char **argv, struct ech_err *err)
{
    struct ech_args args = {0};
    bool done;
    if (argc == 0 || (strcmp(argv[0], "--help") != 0 && strcmp(argv[0], "-h") != 0))
        return ech_config_verb(argc, argv, stdout, err);
    int code = ech_verb_args(&ech_config_command, argc, argv, &args, &done, err);
    ech_args_fini(&args);
    return code;
}
