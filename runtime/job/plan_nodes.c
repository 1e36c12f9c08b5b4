#include "job/plan_nodes.h"

#include "base/json.h"
#include "base/machine.h"
#include "base/mem.h"
#include "base/num.h"
#include "config/each.h"
#include "job/usage.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

enum { FILE_MOST = 256 << 20, RANKS_MOST = 1 << 20, NODE_RANKS_MOST = 100000, CORES_MOST = 65536 };

void ech_plan_nodes_fini(struct ech_plan_nodes *nodes)
{
    ech_free(nodes->items);
    *nodes = (struct ech_plan_nodes){0};
}

static int get_count(const json_t *one, const char *key, bool required, int64_t most, int *out,
                     struct ech_err *err)
{
    int64_t value = 0;
    int code = ech_json_get_int(one, "nodes", key, required, &value, err);
    if (!code && (value < (required ? 1 : 0) || value > most))
        code = ech_fail(err, ECH_DATA, "nodes: %s is %lld", key, (long long)value);
    *out = (int)value;
    return code;
}

static int get_speed(const json_t *one, const char *key, double *out, struct ech_err *err)
{
    int code = ech_json_get_float(one, "nodes", key, false, out, err);
    return code || (isfinite(*out) && *out >= 0) ? code
                                                 : ech_fail(err, ECH_DATA, "nodes: %s is %g", key, *out);
}

static int read_node(const json_t *one, struct ech_plan_node *out, struct ech_err *err)
{
    const char *name = "", *class_name = "";
    int code = ech_json_get_str(one, "nodes", "name", true, &name, err);
    if (!code)
        code = ech_json_get_str(one, "nodes", "class", false, &class_name, err);
    if (!code)
        code = get_count(one, "ranks", true, NODE_RANKS_MOST, &out->ranks, err);
    if (!code)
        code = get_count(one, "threads", false, CORES_MOST, &out->threads, err);
    if (!code)
        code = get_count(one, "cores", false, CORES_MOST, &out->cores, err);
    if (!code)
        code = ech_json_get_int(one, "nodes", "memory", false, &out->memory, err);
    if (!code)
        code = get_speed(one, "speed", &out->speed, err);
    if (!code)
        code = get_speed(one, "tokens_per_s", &out->tokens_per_s, err);
    snprintf(out->name, sizeof out->name, "%s", name);
    snprintf(out->class_name, sizeof out->class_name, "%s", class_name);
    return code;
}

int ech_plan_nodes_load(const char *path, struct ech_plan_nodes *out, struct ech_err *err)
{
    json_t *root = NULL;
    struct ech_plan_nodes nodes = {.described = true};
    int code = ech_json_load(path, FILE_MOST, &root, err);
    if (code)
        return code;
    const json_t *list = json_object_get(root, "nodes");
    size_t count = json_array_size(list);
    if (count < 1 || count > RANKS_MOST)
        code = ech_fail(err, ECH_DATA, "%s: nodes is no list of them", path);
    if (!code && !(nodes.items = ech_calloc(count, sizeof *nodes.items, err)))
        code = ECH_UNAVAILABLE;
    for (size_t i = 0; !code && i < count; i++, nodes.count++) {
        code = read_node(json_array_get(list, i), &nodes.items[i], err);
        nodes.ranks += nodes.items[i].ranks;
        if (!code && nodes.ranks > RANKS_MOST)
            code = ech_fail(err, ECH_CONFIG, "more than %d ranks", RANKS_MOST);
    }
    json_decref(root);
    if (code)
        ech_plan_nodes_fini(&nodes);
    else
        *out = nodes;
    return code;
}

int ech_plan_nodes_here(const struct ech_job *job, int64_t ranks, struct ech_plan_nodes *out,
                        struct ech_err *err)
{
    int64_t count = ech_max64(job->resources.nodes, 1);
    int64_t a_node = ech_machine_ranks(ech_machine_here(), job->resources.ranks_per_node,
                                       job->resources.threads, ech_job_on_gpus(job));
    ranks = ranks > 0 ? ranks : a_node * count;
    count = ech_min64(count, ranks);
    if (ranks > RANKS_MOST)
        return ech_fail(err, ECH_CONFIG, "%lld ranks, %d are the most", (long long)ranks, RANKS_MOST);
    struct ech_plan_nodes nodes = {.count = (int)count, .ranks = (int)ranks};
    if (!(nodes.items = ech_calloc((size_t)count, sizeof *nodes.items, err)))
        return ECH_UNAVAILABLE;
    for (int64_t i = 0; i < count; i++) {
        nodes.items[i].ranks = (int)((i + 1) * ranks / count - i * ranks / count);
        gethostname(nodes.items[i].name, sizeof nodes.items[i].name - 1);
    }
    *out = nodes;
    return ECH_OK;
}

void ech_plan_nodes_settle(struct ech_plan_nodes *nodes, const struct ech_job *job)
{
    for (int i = 0; i < nodes->count; i++) {
        struct ech_plan_node *n = &nodes->items[i];
        int64_t limit = job->resources.memory;
        if (n->cores == 0)
            n->cores = ech_usage_cores();
        if (n->threads == 0)
            n->threads = (int)job->resources.threads;
        if (n->threads == 0)
            n->threads = (int)ech_max64(n->cores / n->ranks, 1);
        n->memory = n->memory > 0 && limit > 0 ? ech_min64(n->memory, limit) : ech_max64(n->memory, limit);
    }
}
