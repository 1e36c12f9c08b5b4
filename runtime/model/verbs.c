/* The verb `model`: see show.h. One row a sub-verb: its command line and what it does. */
#include "model/show.h"

#include "base/verb.h"

enum { ROWS_MOST = 1 << 20, TOKENS_MOST = 1 << 24 };

static const struct ech_option show_options[] = {
    {"batch", "N", false, "memory for N rows at a time (1)"},
    {"tokens", "T", false, "of T tokens each (as many as the model takes; decoders: 4096 at most)"},
    {"json", NULL, false, "one JSON object"},
    {0}};
static const struct ech_exit exits[] = {{ECH_OK, "the model is whole"},
                                        {ECH_USAGE, NULL},
                                        {ECH_DATA, "the model is damaged, or asks for what is not supported"},
                                        {ECH_NOINPUT, NULL},
                                        {ECH_UNAVAILABLE, NULL},
                                        {0}};

static int do_show(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err)
{
    struct ech_show_options options = {.json = ech_args_given(args, "json")};
    int code = ech_args_get_int(args, "batch", 1, ROWS_MOST, &options.batch, err);
    if (code == ECH_OK)
        code = ech_args_get_int(args, "tokens", 1, TOKENS_MOST, &options.tokens, err);
    return code == ECH_OK ? ech_model_show(args->operands[0], &options, &call->text, err) : code;
}

static int do_check(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err)
{
    return ech_model_check(args->operands[0], &call->text, err);
}

static const struct ech_verb_spec verbs[] = {
    {.name = "show",
     .run = do_show,
     .command = {.name = "echelon model show",
                 .usage = "PATH [--batch N] [--tokens T] [--json]",
                 .summary =
                     "Print what a model folder is and what it needs: sizes, limits, pooling, files, memory.",
                 .options = show_options,
                 .operands_least = 1,
                 .operands_most = 1,
                 .example = "echelon model show models/all-MiniLM-L6-v2",
                 .exits = exits}},
    {.name = "check",
     .run = do_check,
     .command =
         {.name = "echelon model check",
          .usage = "PATH",
          .summary =
              "Read all of a model: every file and tensor there, of the right shape, every weight finite.",
          .operands_least = 1,
          .operands_most = 1,
          .example = "echelon model check models/all-MiniLM-L6-v2",
          .exits = exits}},
};

static const struct ech_verb_group group = {.name = "echelon model",
                                            .usage = "VERB PATH",
                                            .example = "echelon model show models/all-MiniLM-L6-v2",
                                            .exits = exits,
                                            .verbs = verbs,
                                            .count = sizeof verbs / sizeof verbs[0]};

int ech_model_verb(int argc, char **argv, FILE *out, struct ech_err *err)
{
    return ech_verb_group_run(&group, argc, argv, NULL, out, err);
}
