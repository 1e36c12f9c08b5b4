/* The verb `simulate`: policies on a made-up cluster, side by side. Runs in the launcher: plan is pure, a
 * login node without MPI can answer. */
#include "launcher/simulate.h"
#include "launcher/verbs.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"
#include "plan/sim.h"

#include <stdio.h>
#include <string.h>

static const struct ech_option options[] = {
    {"nodes", "N", false, "nodes (default 16)"},
    {"ranks-per-node", "N", false, "ranks a node (default 8)"},
    {"rows", "N", false, "rows of the job (default 10000000)"},
    {"tokens-a-row", "X", false, "mean tokens of a row (default 100)"},
    {"tokens-per-s", "X", false, "speed of a rank of the slowest nodes (default 10000)"},
    {"spread", "X", false, "fastest node / slowest node (default 4)"},
    {"cluster", "C.yaml", false, "nodes, ranks and speeds of a cluster file (speed 1: tokens-per-s)"},
    {"noise", "X", false, "of a batch's time, part of it (default 0.1)"},
    {"probe-error", "X", false, "of the speeds known at the start, +- this part (default 0.2)"},
    {"small-nodes", "X", false, "part of the nodes whose ranks hold 64 rows at once at most (default 0)"},
    {"dead-ranks", "X", false, "part of the ranks that die, 0..1 (default 0)"},
    {"dead-nodes", "X", false, "part of the nodes that die (default 0)"},
    {"slow-nodes", "X", false, "part of the nodes that fall to a quarter (default 0)"},
    {"late-nodes", "X", false, "part of the nodes that join late (default 0)"},
    {"limit", "TIME", false, "time limit of the job"},
    {"scenarios", NULL, false,
     "tables of four clusters: sound, with slow nodes, with deaths, with late nodes"},
    {"policy", "NAME", false, "equal, speed, guided, factoring, adaptive (default: all)"},
    {"seed", "N", false, "of the random numbers (default 1)"},
    {"plot", "FILE.svg", false, "write the makespans as a drawing"},
    {"json", NULL, false, "JSON on standard output"},
    {NULL, NULL, false, NULL}};

static const struct ech_exit exits[] = {{0, "the runs came to their end, also one that the limit stops"},
                                        {ECH_USAGE, NULL},
                                        {ECH_BUG, NULL},
                                        {0, NULL}};

const struct ech_command ech_simulate_command = {
    .name = "echelon simulate",
    .usage = "[JOB.yaml] [options]",
    .summary =
        "Runs a job on a made-up cluster, event by event, with the dispatcher's rules for batches, "
        "and prints\n"
        "each policy's makespan beside the optimum W / sum of speeds. Same seed, same numbers. Rows are "
        "those\nof the job's input where a job is given.",
    .options = options,
    .operands_most = 1,
    .example = "echelon simulate --nodes 1000 --ranks-per-node 64 --spread 4 --rows 1000000000\n"
               "echelon simulate job.yaml --cluster cluster.yaml --limit 1:30:00 --plot policies.svg\n"
               "echelon simulate --dead-ranks 0.01 --slow-nodes 0.1 --policy adaptive --json",
    .exits = exits};

static int number(const struct ech_args *args, const char *name, double least, double most, double *out,
                  struct ech_err *err)
{
    const char *text = ech_args_get(args, name);
    double value;
    if (!text)
        return ECH_OK;
    if (!ech_parse_float(text, &value) || !(value >= least && value <= most))
        return ech_fail(err, ECH_USAGE, "--%s is \"%s\", a number from %g to %g is expected", name, text,
                        least, most);
    *out = value;
    return ECH_OK;
}

static int read_numbers(const struct ech_args *args, struct ech_sim_options *o, struct ech_err *err)
{
    const struct {
        const char *name;
        double least, most, *out;
    } all[] = {{"tokens-a-row", 1, 1e6, &o->tokens_a_row},
               {"tokens-per-s", 1, 1e9, &o->tokens_per_s},
               {"spread", 1, 1000, &o->spread},
               {"noise", 0, 0.9, &o->noise},
               {"probe-error", 0, 0.9, &o->probe_error},
               {"small-nodes", 0, 1, &o->small_nodes},
               {"dead-ranks", 0, 1, &o->dead_ranks},
               {"dead-nodes", 0, 1, &o->dead_nodes},
               {"slow-nodes", 0, 1, &o->slow_nodes},
               {"late-nodes", 0, 1, &o->late_nodes}};
    int code = ECH_OK;
    for (size_t i = 0; !code && i < sizeof all / sizeof all[0]; i++)
        code = number(args, all[i].name, all[i].least, all[i].most, all[i].out, err);
    return code;
}

static int read_options(const struct ech_args *args, struct ech_sim_options *o, int *only,
                        struct ech_err *err)
{
    int64_t nodes = o->nodes, ranks = o->ranks_per_node, seed = (int64_t)o->seed;
    int code = ech_args_get_int(args, "nodes", 1, 1000000, &nodes, err);
    if (!code)
        code = ech_args_get_int(args, "ranks-per-node", 1, 1000000, &ranks, err);
    if (!code)
        code = ech_args_get_int(args, "rows", 1, 20000000000, &o->rows, err);
    if (!code)
        code = ech_args_get_int(args, "seed", 0, INT64_MAX, &seed, err);
    if (!code)
        code = read_numbers(args, o, err);
    if (code)
        return code;
    if (nodes * ranks > 1000000)
        return ech_fail(err, ECH_USAGE, "%lld ranks, at most 1000000 can be simulated",
                        (long long)(nodes * ranks));
    o->nodes = (int)nodes;
    o->ranks_per_node = (int)ranks;
    o->seed = (uint64_t)seed;
    const char *limit = ech_args_get(args, "limit"), *policy = ech_args_get(args, "policy");
    if (limit && (!ech_parse_time(limit, &o->limit_s) || o->limit_s <= 0))
        return ech_fail(err, ECH_USAGE, "--limit is \"%s\", a time such as 90, 15m or 1:30:00 is expected",
                        limit);
    for (int p = 0; policy && p < ECH_SIM_POLICIES; p++)
        if (strcmp(policy, ech_sim_policy_names[p]) == 0)
            *only = p;
    if (policy && *only < 0)
        return ech_fail(err, ECH_USAGE, "--policy is \"%s\": equal, speed, guided, factoring or adaptive",
                        policy);
    return ECH_OK;
}

/* The cluster file and the job, where they are given. */
static int read_files(const struct ech_args *args, struct ech_sim_options *o, struct ech_sim_class **classes,
                      struct ech_err *err)
{
    static const char *const others[] = {"nodes", "ranks-per-node", "spread"};
    const char *cluster = ech_args_get(args, "cluster");
    for (int i = 0; cluster && i < 3; i++)
        if (ech_args_given(args, others[i]))
            return ech_fail(err, ECH_USAGE, "--%s and --cluster: the cluster file says it", others[i]);
    if (args->count && ech_args_given(args, "rows"))
        return ech_fail(err, ECH_USAGE, "--rows and %s: the job's input says it", args->operands[0]);
    int code = args->count ? ech_simulate_rows(args->operands[0], &o->rows, err) : ECH_OK;
    if (!code && cluster)
        code = ech_simulate_classes(cluster, o->tokens_per_s, classes, &o->classes_count, err);
    o->classes = *classes;
    return code;
}

static void print(const struct ech_sim_options *o, const struct ech_sim_result *r, bool json)
{
    const char *name = ech_sim_policy_names[o->policy];
    double use = r->makespan_s > 0 ? r->busy_s / (r->makespan_s * (double)r->ranks) : 0;
    char ratio[32];
    snprintf(ratio, sizeof ratio, "%.4f", r->makespan_s / r->optimum_s);
    if (r->rows_sealed < o->rows) /* not the same work */
        snprintf(ratio, sizeof ratio, "%s", json ? "null" : "-");
    printf(json ? "{\"policy\": \"%s\", \"makespan_s\": %.3f, \"optimum_s\": %.3f, \"ratio\": %s, "
                  "\"used\": %.4f, \"leases\": %lld, \"copies\": %lld, \"deaths\": %lld, "
                  "\"rows_sealed\": %lld"
                : "%-10s %12.1f %12.1f %8s %7.3f %12lld %8lld %7lld %14lld",
           name, r->makespan_s, r->optimum_s, ratio, use, (long long)r->leases, (long long)r->copies,
           (long long)r->deaths, (long long)r->rows_sealed);
    if (json)
        printf(", \"stopped\": %s}\n", r->stopped ? "true" : "false");
    else if (r->rows_sealed < o->rows)
        printf("  %s, %lld rows left\n", r->stopped ? "stopped by the limit" : "nobody lives",
               (long long)(o->rows - r->rows_sealed));
    else
        printf("\n");
}

static int write_plot(const char *path, const struct ech_simulate_bar *bars, int count, struct ech_err *err)
{
    struct ech_str text;
    ech_str_init(&text);
    ech_simulate_plot(bars, count, &text);
    int code = ech_str_check(&text, err);
    if (!code)
        code = ech_write_file(path, text.data, text.length, err);
    ech_str_fini(&text);
    return code;
}

static int run_policies(const struct ech_args *args, struct ech_sim_options *o, int only, struct ech_err *err)
{
    struct ech_simulate_bar bars[ECH_SIM_POLICIES];
    int count = 0, code = ECH_OK;
    bool json = ech_args_given(args, "json");
    const char *plot = ech_args_get(args, "plot");
    if (!json)
        printf("%-10s %12s %12s %8s %7s %12s %8s %7s %14s\n", "policy", "makespan s", "optimum s", "ratio",
               "used", "batches", "copies", "deaths", "rows");
    for (int p = 0; !code && p < ECH_SIM_POLICIES; p++) {
        if (only >= 0 && p != only)
            continue;
        o->policy = (enum ech_sim_policy)p;
        bars[count].name = ech_sim_policy_names[p];
        code = ech_sim_run(o, &bars[count].result, err);
        if (!code)
            print(o, &bars[count++].result, json);
        fflush(stdout);
    }
    return code || !plot ? code : write_plot(plot, bars, count, err);
}

/* The same cluster under one kind of fault after the other, a table each. */
static int run_scenarios(const struct ech_args *args, const struct ech_sim_options *o, int only,
                         struct ech_err *err)
{
    static const struct {
        const char *name;
        double slow_nodes, dead_ranks, dead_nodes, late_nodes;
    } all[] = {{"no faults", 0, 0, 0, 0},
               {"a tenth of the nodes falls to a quarter of its speed", 0.1, 0, 0, 0},
               {"1 % of the ranks and 1 % of the nodes die", 0, 0.01, 0.01, 0},
               {"a tenth of the nodes joins late", 0, 0, 0, 0.1}};
    static const char *const own[] = {"slow-nodes", "dead-ranks", "dead-nodes", "late-nodes", "plot", "json"};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (ech_args_given(args, own[i]))
            return ech_fail(err, ECH_USAGE, "--%s and --scenarios: they have their own, or none", own[i]);
    int code = ECH_OK;
    for (size_t i = 0; !code && i < sizeof all / sizeof all[0]; i++) {
        struct ech_sim_options one = *o;
        one.slow_nodes = all[i].slow_nodes;
        one.dead_ranks = all[i].dead_ranks;
        one.dead_nodes = all[i].dead_nodes;
        one.late_nodes = all[i].late_nodes;
        printf("%s%s\n", i ? "\n" : "", all[i].name);
        code = run_policies(args, &one, only, err);
    }
    return code;
}

int ech_verb_simulate(int argc, char **argv, struct ech_err *err)
{
    struct ech_args args;
    struct ech_sim_options o;
    struct ech_sim_class *classes = NULL;
    bool done;
    int only = -1, code = ech_verb_args(&ech_simulate_command, argc, argv, &args, &done, err);
    ech_sim_defaults(&o);
    if (!code && !done)
        code = read_options(&args, &o, &only, err);
    if (!code && !done)
        code = read_files(&args, &o, &classes, err);
    if (!code && !done)
        code = ech_args_given(&args, "scenarios") ? run_scenarios(&args, &o, only, err)
                                                  : run_policies(&args, &o, only, err);
    ech_free(classes);
    ech_args_fini(&args);
    return code;
}
