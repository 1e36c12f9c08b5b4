/* The verb `plan`: echelon-rank does it; the nodes of --hosts and --cluster are described to it here, by the
 * same rules by which a run chooses them. Nothing is started on any of them. */
#include "launcher/allocation.h"
#include "launcher/argv.h"
#include "launcher/nodes.h"
#include "launcher/recovery.h"
#include "launcher/verbs.h"

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"
#include "config/config.h"
#include "config/each.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_RANKS = 1000000 };

static const struct ech_option options[] = {
    {"set", "KEY=VALUE", true, "overrides a value of the job file"},
    {"ranks", "N", false, "plan for so many ranks"},
    {"hosts", "FILE", false, "for these hosts: names or patterns, slots=N behind them; or a cluster file"},
    {"cluster", "FILE", false, "for the nodes of a cluster file, also of classes that are only counted"},
    {"step", "NAME", false, "the step of a file with steps"},
    {"json", NULL, false, "as JSON on stdout"},
    {"force", NULL, false, "status 0 also where the job cannot end within resources.time"},
    {NULL, NULL, false, NULL}};
static const struct ech_exit exits[] = {
    {0, "the job can run"},
    {ECH_USAGE, NULL},
    {ECH_DATA, NULL},
    {ECH_NOINPUT, NULL},
    {ECH_UNAVAILABLE, "a device or memory is lacking, or the job cannot end within resources.time"},
    {ECH_CONFIG, NULL},
    {0, NULL}};

const struct ech_command ech_plan_command = {
    .name = "echelon plan",
    .usage =
        "JOB.yaml [--cluster C.yaml] [--hosts FILE] [--ranks N] [--step NAME] [--set KEY=VALUE]... [--json]",
    .summary =
        "Shows for each rank its share, rows, tokens, memory and finish time, and the risk of being late;\n"
        "ranks that have no place in their node's memory get no work. Nothing runs, on no node.\n"
        "Without --hosts and --cluster: the nodes of the Slurm allocation, else nodes like this one.\n"
        "The speed of this machine is measured, or known from earlier starts on it; that of other nodes "
        "comes\n"
        "from the cluster file (tokens_per_s, speed), else it is assumed, and the plan says so.",
    .options = options,
    .operands_least = 1,
    .operands_most = 1,
    .example = "echelon plan job.yaml --ranks 4\nechelon plan job.yaml --cluster cluster.yaml",
    .exits = exits};

/* Names of a class that is only counted: "fast-1", ... */
static int add_counted(const struct ech_node_class *c, struct ech_hosts *hosts, struct ech_err *err)
{
    for (int64_t i = 0; i < c->count; i++) {
        int code =
            ech_grow((void **)&hosts->items, &hosts->capacity, hosts->count + 1, sizeof *hosts->items, err);
        if (code != ECH_OK)
            return code;
        struct ech_host *host = &hosts->items[hosts->count++];
        *host = (struct ech_host){.slots = 0};
        snprintf(host->name, sizeof host->name, "%.40s-%lld", c->name, (long long)(i + 1));
    }
    return ECH_OK;
}

static bool all_counted(const struct ech_cluster *cluster)
{
    for (int i = 0; i < cluster->classes_count; i++)
        if (cluster->classes[i].hosts.count)
            return false;
    return true;
}

/* The class of a host, also of one that is only counted. */
static const struct ech_node_class *class_of(const struct ech_cluster *cluster, const char *host)
{
    const struct ech_node_class *c = cluster ? ech_cluster_class_of(cluster, host) : NULL;
    const char *dash = strrchr(host, '-');
    for (int i = 0; cluster && !c && dash && i < cluster->classes_count; i++) {
        const struct ech_node_class *one = &cluster->classes[i];
        size_t length = (size_t)(dash - host);
        if (!one->hosts.count && strncmp(one->name, host, length) == 0 &&
            (strlen(one->name) == length || length == 40))
            c = one;
    }
    return c;
}

static int count_ranks(struct ech_nodes *nodes, const struct ech_asked *asked, const struct ech_place *place,
                       struct ech_err *err)
{
    int64_t ranks = 0;
    for (size_t i = 0; i < nodes->hosts.count; i++) {
        struct ech_host *host = &nodes->hosts.items[i];
        host->slots = ech_nodes_ranks(0, class_of(nodes->cluster, host->name), asked, &place->machine);
        ranks += host->slots;
    }
    if (ranks > MOST_RANKS)
        return ech_fail(err, ECH_CONFIG, "the nodes have %lld ranks, %d is the most", (long long)ranks,
                        MOST_RANKS);
    if (asked->ranks > 0)
        ech_nodes_spread(&nodes->hosts, asked->ranks);
    return ECH_OK;
}

/* A cluster none of whose nodes has a name: a run cannot go there, a plan can. */
static int find_counted(const char *path, const struct ech_asked *asked, bool nodes_given,
                        const struct ech_place *place, struct ech_nodes *out, struct ech_err *err)
{
    int code = ech_cluster_load(path, &out->cluster, err);
    for (int i = 0; code == ECH_OK && i < out->cluster->classes_count; i++)
        code = add_counted(&out->cluster->classes[i], &out->hosts, err);
    if (code == ECH_OK && nodes_given && asked->nodes > (int64_t)out->hosts.count)
        code = ech_fail(err, ECH_UNAVAILABLE, "resources.nodes is %lld, the cluster has %zu nodes",
                        (long long)asked->nodes, out->hosts.count);
    if (code == ECH_OK && nodes_given)
        out->hosts.count = (size_t)asked->nodes;
    return code == ECH_OK ? count_ranks(out, asked, place, err) : code;
}

static bool is_counted(const char *path)
{
    struct ech_cluster *cluster;
    bool counted = false;
    if (path && ech_cluster_load(path, &cluster, NULL) == ECH_OK) {
        counted = all_counted(cluster);
        ech_cluster_destroy(cluster);
    }
    return counted;
}

/* The nodes of this Slurm allocation that a run takes. */
static int find_allocated(const char *list, const struct ech_asked *asked, const struct ech_place *place,
                          struct ech_nodes *out, struct ech_err *err)
{
    struct ech_layout layout;
    int code = ech_layout_decide(place, asked, &layout, err);
    if (code == ECH_OK)
        code = ech_nodes_of_list(list, asked->ranks > 0 ? layout.per_node : 0, &out->hosts, err);
    if (code == ECH_OK)
        code = ech_allocation_look(out, err);
    out->hosts.count = (size_t)ech_min64((int64_t)out->hosts.count, ech_max64(asked->nodes, 1));
    for (size_t i = 0; code == ECH_OK && i < out->hosts.count; i++) {
        struct ech_host *host = &out->hosts.items[i];
        host->slots = ech_nodes_ranks(host->slots, NULL, asked, &host->found);
    }
    if (code == ECH_OK && asked->ranks > 0)
        ech_nodes_spread(&out->hosts, asked->ranks);
    return code;
}

static int find_nodes(const struct ech_args *args, const struct ech_config *config, struct ech_nodes *out,
                      struct ech_err *err)
{
    const struct ech_job *job = ech_config_job(config);
    const char *hosts = ech_args_get(args, "hosts"), *cluster = ech_args_get(args, "cluster");
    struct ech_place place;
    struct ech_layout layout;
    struct ech_asked asked = {.ranks = -1,
                              .nodes = job->resources.nodes,
                              .ranks_per_node = job->resources.ranks_per_node,
                              .threads = job->resources.threads,
                              .devices = ech_job_on_gpus(job)};
    bool nodes_given = ech_config_given(config, "resources.nodes");
    int code = ech_args_get_int(args, "ranks", 1, MOST_RANKS, &asked.ranks, err);
    ech_place_find(&place);
    const char *list = place.allocation ? getenv("SLURM_JOB_NODELIST") : NULL;
    if (code == ECH_OK && !hosts && !list && is_counted(cluster))
        return find_counted(cluster, &asked, nodes_given, &place, out, err);
    struct ech_nodes_request request = {.hosts_path = hosts,
                                        .cluster_path = cluster,
                                        .node_list = list,
                                        .nodes_given = nodes_given,
                                        .look = list ? ech_allocation_look : NULL};
    if (code == ECH_OK && (hosts || cluster))
        return ech_nodes_find(&request, &place, &asked, out, &layout, err);
    return code == ECH_OK ? find_allocated(list, &asked, &place, out, err) : code;
}

static void print_node(const struct ech_host *host, const struct ech_node_class *c, struct ech_str *out)
{
    ech_json_add_str(out, "name", host->name);
    ech_json_add_int(out, "ranks", host->slots);
    int64_t cores = c && c->cores ? c->cores : host->found.cores;
    if (cores)
        ech_json_add_int(out, "cores", cores);
    if (c) {
        ech_json_add_str(out, "class", c->name);
        ech_json_add_int(out, "threads", c->threads);
        ech_json_add_int(out, "memory", c->memory);
        ech_json_add_float(out, "speed", c->speed);
        ech_json_add_float(out, "tokens_per_s", c->tokens_per_s);
    }
    ech_str_addc(out, '}');
}

/* The file that echelon-rank reads; *path is the caller's to remove and free. */
static int write_nodes(const struct ech_nodes *nodes, char **path, struct ech_err *err)
{
    struct ech_str text;
    const char *folder = getenv("TMPDIR");
    ech_str_init(&text);
    ech_str_adds(&text, "{\"nodes\":[");
    for (size_t i = 0; i < nodes->hosts.count; i++) {
        struct ech_str one;
        ech_str_init(&one);
        print_node(&nodes->hosts.items[i], class_of(nodes->cluster, nodes->hosts.items[i].name), &one);
        ech_str_addf(&text, "%s%s", i ? "," : "", one.failed ? "" : one.data);
        text.failed = text.failed || one.failed;
        ech_str_fini(&one);
    }
    ech_str_adds(&text, "]}\n");
    int code = ech_str_check(&text, err), fd = -1;
    *path = code == ECH_OK
                ? ech_sprintf(err, "%s/echelon-nodes-XXXXXX", folder && folder[0] ? folder : "/tmp")
                : NULL;
    if (code == ECH_OK)
        code = *path ? ECH_OK : ECH_UNAVAILABLE;
    if (code == ECH_OK && (fd = mkstemp(*path)) < 0)
        code = ech_fail(err, ECH_IO, "cannot make a file %s", *path);
    if (fd >= 0) {
        code = ech_write_all(fd, *path, text.data, text.length, err);
        close(fd);
        if (code != ECH_OK)
            unlink(*path);
    }
    ech_str_fini(&text);
    return code;
}

static int call_rank(const struct ech_args *args, char *nodes, struct ech_err *err)
{
    struct ech_argv words;
    ech_argv_init(&words);
    ech_argv_add(&words, args->operands[0]);
    for (const char *const *set = ech_args_all(args, "set"); *set; set++) {
        ech_argv_add(&words, "--set");
        ech_argv_add(&words, *set);
    }
    if (ech_args_given(args, "step")) {
        ech_argv_add(&words, "--step");
        ech_argv_add(&words, ech_args_get(args, "step"));
    }
    if (ech_args_given(args, "json"))
        ech_argv_add(&words, "--json");
    if (ech_args_given(args, "force"))
        ech_argv_add(&words, "--force");
    ech_argv_add(&words, "--nodes");
    ech_argv_add(&words, nodes);
    int code = ech_argv_check(&words, err);
    if (code == ECH_OK)
        code = ech_solo("plan", (int)words.count, words.items, err);
    ech_argv_fini(&words);
    return code;
}

static int plan_for(const struct ech_args *args, struct ech_err *err)
{
    struct ech_config *config = NULL;
    struct ech_nodes nodes = {0};
    char *path = NULL;
    struct ech_config_request request = {.path = args->operands[0],
                                         .sets = ech_args_all(args, "set"),
                                         .env = (const char *const *)environ,
                                         .step = ech_args_get(args, "step")};
    if (strcmp(request.path, "-") == 0)
        return ech_fail(err, ECH_USAGE, "--hosts and --cluster need a job file, not standard input");
    int code = ech_config_load(&request, &config, err);
    if (code == ECH_OK)
        code = find_nodes(args, config, &nodes, err);
    if (code == ECH_OK)
        code = write_nodes(&nodes, &path, err);
    if (code == ECH_OK) {
        code = call_rank(args, path, err);
        unlink(path);
    }
    ech_free(path);
    ech_nodes_fini(&nodes);
    ech_config_destroy(config);
    return code;
}

/* Else the rank program plans for this machine. The components of a heterogeneous job are srun's alone. */
static bool describes_nodes(const struct ech_args *args)
{
    struct ech_place place;
    if (ech_args_given(args, "hosts") || ech_args_given(args, "cluster"))
        return true;
    ech_place_find(&place);
    return place.allocation && !place.components && strcmp(args->operands[0], "-") != 0;
}

int ech_verb_plan(int argc, char **argv, struct ech_err *err)
{
    struct ech_args args = {0};
    bool done;
    int code = ech_verb_args(&ech_plan_command, argc, argv, &args, &done, err);
    if (code == ECH_OK && !done)
        code = describes_nodes(&args) ? plan_for(&args, err) : ech_solo("plan", argc, argv, err);
    if (code == ECH_OK && !done)
        ech_recovery_say();
    ech_args_fini(&args);
    return code;
}
