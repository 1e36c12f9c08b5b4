/* The verb `model`: see show.h. One row a sub-verb: its command line and what it does. */
#include "model/show.h"

#include "base/verb.h"

static const struct ech_option show_options[] = {{"json", NULL, false, "one JSON object"}, {0}};
static const struct ech_exit exits[] = {{ECH_OK, "the model is whole"},
                                        {ECH_USAGE, NULL},
                                        {ECH_DATA, "the model is damaged, or asks for what is not supported"},
                                        {ECH_NOINPUT, NULL},
                                        {ECH_UNAVAILABLE, NULL},
                                        {0}};

static int do_show(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err)
{
    return ech_model_show(args->operands[0], ech_args_given(args, "json"), &call->text, err);
}

static int do_check(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err)
{
    return ech_model_check(args->operands[0], &call->text, err);
}

static const struct ech_verb_spec verbs[] = {
    {.name = "show",
     .run = do_show,
     .command = {.name = "echelon model show",
                 .usage = "PATH [--json]",
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
