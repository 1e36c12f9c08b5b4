/* `plan`: what a run would do, on one process and without a run directory. */
#include "base/verb.h"
#include "config/config.h"
#include "job/plan_make.h"
#include "job/verbs.h"

#include <unistd.h>

static const struct ech_option options[] = {
    {"set", "KEY=VALUE", true, "a value that wins over the environment and the file"},
    {"ranks", "N", false, "plan for so many ranks"},
    {"nodes", "FILE", false, "nodes to plan for, as the launcher describes them (--cluster, --hosts)"},
    {"step", "NAME", false, "the step of a file with steps"},
    {"json", NULL, false, "as JSON"},
    {"force", NULL, false, "status 0 also where the job cannot end within resources.time"},
    {0}};
static const struct ech_exit exits[] = {
    {ECH_OK, "the job can run"},
    {ECH_USAGE, NULL},
    {ECH_DATA, NULL},
    {ECH_NOINPUT, NULL},
    {ECH_UNAVAILABLE, "a device or memory is lacking, or the job cannot end within resources.time"},
    {ECH_CONFIG, NULL},
    {0}};

static int load_nodes(const struct ech_args *args, const struct ech_job *job, struct ech_plan_nodes *out,
                      struct ech_err *err)
{
    int64_t ranks = 0;
    int code = ech_args_get_int(args, "ranks", 1, 1 << 20, &ranks, err);
    if (code)
        return code;
    const char *path = ech_args_get(args, "nodes");
    return path ? ech_plan_nodes_load(path, out, err) : ech_plan_nodes_here(job, ranks, out, err);
}

/* The plan is told also where it is refused: it says why. */
static int tell(const struct ech_plan *plan, const struct ech_args *args, struct ech_verb_call *call,
                struct ech_err *err)
{
    if (ech_args_given(args, "json"))
        ech_plan_print_json(plan, &call->text);
    else
        ech_plan_print(plan, &call->text);
    int code = ech_str_check(&call->text, err);
    return code || ech_args_given(args, "force") ? code : ech_plan_check(plan, err);
}

static int plan(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err)
{
    struct ech_config *config = NULL;
    struct ech_plan_nodes nodes = {0};
    struct ech_planning *planning = NULL;
    struct ech_config_request request = {.path = args->operands[0],
                                         .sets = ech_args_all(args, "set"),
                                         .env = (const char *const *)environ,
                                         .step = ech_args_get(args, "step")};
    int code = ech_config_load(&request, &config, err);
    if (!code)
        code = load_nodes(args, ech_config_job(config), &nodes, err);
    if (!code)
        code = ech_planning_open(ech_config_job(config), &nodes, &planning, err);
    if (!code)
        code = tell(ech_planning_plan(planning), args, call, err);
    ech_planning_close(planning);
    ech_plan_nodes_fini(&nodes);
    ech_config_destroy(config);
    return code;
}

static const struct ech_verb_spec verb = {
    .name = "plan",
    .run = plan,
    .command = {
        .name = "echelon plan",
        .usage = "JOB.yaml [options]",
        .summary =
            "Shares of each rank, memory and expected finish, from a sample of the input and a probe of "
            "this machine.\n"
            "Ranks whose speed nobody knows are taken to be as fast as this machine, thread for thread. "
            "Nothing "
            "runs.",
        .options = options,
        .operands_least = 1,
        .operands_most = 1,
        .example = "echelon plan job.yaml --ranks 4",
        .exits = exits}};

int ech_plan_verb(int argc, char **argv, FILE *out, struct ech_err *err)
{
    return ech_verb_spec_run(&verb, argc, argv, NULL, out, err);
}
