/* Nodes of a run: see nodes.h. */
#include "launcher/nodes.h"

#include "launcher/verbs.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rundir.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { HOSTS_BYTES = 16 << 20, MOST_RANKS = 1000000, TOLD = 10 };

void ech_nodes_fini(struct ech_nodes *nodes)
{
    ech_cluster_destroy(nodes->cluster);
    ech_hosts_fini(&nodes->hosts);
    ech_str_fini(&nodes->launch);
    *nodes = (struct ech_nodes){0};
}

int64_t ech_nodes_ranks(int64_t slots, const struct ech_node_class *c, const struct ech_asked *asked,
                        const struct ech_machine *machine)
{
    int64_t threads = c && c->threads ? c->threads : asked->threads;
    struct ech_machine has = {.cores = c && c->cores ? c->cores : machine->cores,
                              .domains = c && c->domains ? c->domains : machine->domains,
                              .devices = c && c->devices ? c->devices : machine->devices};
    if (slots > 0)
        return slots;
    return ech_machine_ranks(&has, c && c->ranks_per_node ? c->ranks_per_node : asked->ranks_per_node,
                             threads, asked->devices);
}

void ech_nodes_spread(struct ech_hosts *hosts, int64_t ranks)
{
    int64_t total = 0, before = 0;
    size_t kept = 0;
    for (size_t i = 0; i < hosts->count; i++)
        total += hosts->items[i].slots;
    for (size_t i = 0; i < hosts->count; i++) {
        struct ech_host host = hosts->items[i];
        int64_t from = (ranks * before + total - 1) / total; /* upwards: one rank is the first host's */
        before += host.slots;
        host.slots = (ranks * before + total - 1) / total - from;
        if (host.slots > 0)
            hosts->items[kept++] = host;
    }
    hosts->count = kept;
}

/* slots 0: to be decided. */
static int add_host(struct ech_hosts *hosts, const char *name, int64_t slots, struct ech_err *err)
{
    if (hosts->count >= ECH_CLUSTER_NODES)
        return ech_fail(err, ECH_CONFIG, "more than %d hosts", ECH_CLUSTER_NODES);
    int code =
        ech_grow((void **)&hosts->items, &hosts->capacity, hosts->count + 1, sizeof *hosts->items, err);
    if (code != ECH_OK)
        return code;
    struct ech_host *host = &hosts->items[hosts->count++];
    *host = (struct ech_host){.slots = slots, .said = slots > 0};
    snprintf(host->name, sizeof host->name, "%s", name);
    return ECH_OK;
}

int ech_nodes_merge_names(struct ech_hosts *hosts, struct ech_err *err)
{
    struct ech_host_index index = {0};
    size_t kept = 0;
    int code = ECH_OK;
    for (size_t i = 0; code == ECH_OK && i < hosts->count; i++)
        code = ech_host_index_add(&index, hosts->items[i].name, (int64_t)i, err);
    ech_host_index_sort(&index);
    for (size_t i = 0; code == ECH_OK && i < hosts->count; i++) {
        int64_t first = ech_host_index_find(&index, hosts->items[i].name)->value;
        if (first == (int64_t)i)
            continue;
        hosts->items[first].slots += hosts->items[i].slots;
        hosts->items[first].said |= hosts->items[i].said;
        hosts->items[i].slots = -1; /* gone; its name still serves the search */
    }
    ech_host_index_fini(&index);
    for (size_t i = 0; code == ECH_OK && i < hosts->count; i++)
        if (hosts->items[i].slots >= 0)
            hosts->items[kept++] = hosts->items[i];
    if (code == ECH_OK)
        hosts->count = kept;
    return code;
}

static int add_pattern(struct ech_hosts *hosts, const char *pattern, int64_t slots, struct ech_err *err)
{
    struct ech_list names = {0};
    int code = ech_host_names_expand(pattern, &names, err);
    for (int i = 0; code == ECH_OK && i < names.count; i++)
        code = add_host(hosts, names.items[i], slots, err);
    ech_host_names_fini(&names);
    return code;
}

int ech_nodes_of_list(const char *node_list, int64_t slots, struct ech_hosts *out, struct ech_err *err)
{
    return add_pattern(out, node_list, slots, err);
}

/* "n1", "n[01-04] slots=2", "n1:2"; "#" begins a comment. */
static int read_line(struct ech_hosts *hosts, char *line, struct ech_err *err)
{
    char *rest = NULL, *colon;
    int64_t slots = 0;
    line[strcspn(line, "#\r")] = '\0';
    char *name = strtok_r(line, " \t", &rest);
    if (!name)
        return ECH_OK;
    if ((colon = strrchr(name, ':'))) {
        *colon = '\0';
        if (!ech_parse_int(colon + 1, &slots) || slots < 1)
            return ech_fail(err, ECH_CONFIG, "\"%s:%s\": a number of ranks was expected behind the colon",
                            name, colon + 1);
    }
    for (char *word; (word = strtok_r(NULL, " \t", &rest));) {
        if (strncmp(word, "max_slots=", 10) == 0 || strncmp(word, "max-slots=", 10) == 0)
            continue;
        if (strncmp(word, "slots=", 6) != 0 || !ech_parse_int(word + 6, &slots) || slots < 1)
            return ech_fail(err, ECH_CONFIG, "\"%.60s\": slots=N was expected behind a host's name", word);
    }
    return slots > 100000 ? ech_fail(err, ECH_CONFIG, "%s: %lld ranks on one host", name, (long long)slots)
                          : add_pattern(hosts, name, slots, err);
}

static int read_host_file(const char *path, char *text, struct ech_hosts *hosts, struct ech_err *err)
{
    int code = ECH_OK;
    for (int number = 1; code == ECH_OK && *text; number++) {
        size_t length = strcspn(text, "\n");
        bool last = text[length] == '\0';
        struct ech_err why = ECH_ERR_NONE;
        text[length] = '\0';
        code = read_line(hosts, text, &why);
        if (code != ECH_OK)
            ech_fail_at(err, code, path, number, 1, "%s", why.text);
        text += length + !last;
    }
    return code;
}

/* A map in braces (or a list in brackets): no list of hosts can begin so. */
static bool is_flow(const char *text)
{
    while (*text) {
        text += strspn(text, " \t\r\n");
        if (*text != '#' && strncmp(text, "---", 3) != 0 && *text != '%')
            break;
        text += strcspn(text, "\n");
    }
    return *text == '{' || *text == '[';
}

/* A cluster file has a line "classes:". */
static bool is_cluster(const char *text)
{
    return strncmp(text, "classes:", 8) == 0 || strstr(text, "\nclasses:");
}

static int add_cluster(struct ech_nodes *nodes, struct ech_err *err)
{
    int code = ECH_OK;
    for (int i = 0; i < nodes->cluster->classes_count; i++) {
        const struct ech_node_class *c = &nodes->cluster->classes[i];
        for (int h = 0; code == ECH_OK && h < c->hosts.count; h++)
            code = add_host(&nodes->hosts, c->hosts.items[h], 0, err);
        if (c->hosts.count == 0)
            ech_say(
                "class %.60s of the cluster is only counted, so its nodes are not used: hosts: names them",
                c->name);
    }
    return code;
}

static int read_hosts(const struct ech_nodes_request *q, struct ech_nodes *nodes, struct ech_err *err)
{
    char *text = NULL;
    size_t bytes = 0;
    int code = ech_read_file(q->hosts_path, HOSTS_BYTES, &text, &bytes, err);
    if (code == ECH_OK && is_cluster(text) && !nodes->cluster)
        code = ech_cluster_load_text(q->hosts_path, text, bytes, &nodes->cluster, err);
    else if (code == ECH_OK && is_cluster(text))
        code = ech_fail(err, ECH_USAGE, "--hosts %s is a cluster file, and --cluster names another",
                        q->hosts_path);
    else if (code == ECH_OK && is_flow(text))
        code = ech_fail(
            err, ECH_USAGE,
            "--hosts %s is YAML in braces, not a list of hosts: a cluster file is named by --cluster",
            q->hosts_path);
    else if (code == ECH_OK && strlen(text) != bytes)
        code = ech_fail(err, ECH_CONFIG, "%s is not a text: it has a zero byte", q->hosts_path);
    else if (code == ECH_OK)
        code = read_host_file(q->hosts_path, text, &nodes->hosts, err);
    ech_free(text);
    if (code == ECH_OK && nodes->hosts.count == 0 && nodes->cluster)
        code = add_cluster(nodes, err);
    if (code == ECH_OK && nodes->hosts.count == 0)
        code = ech_fail(err, ECH_CONFIG, "%s names no hosts", q->hosts_path);
    for (size_t i = 0; code == ECH_OK && q->said_anew && i < nodes->hosts.count; i++) {
        nodes->hosts.items[i].slots = 0;
        nodes->hosts.items[i].said = false;
    }
    return code;
}

static bool names_hosts(const struct ech_cluster *cluster)
{
    return cluster && ech_cluster_names_hosts(cluster);
}

static const struct ech_node_class *class_of(const struct ech_cluster *cluster, const char *host)
{
    return cluster ? ech_cluster_class_of(cluster, host) : NULL;
}

/* Excluded ones go; in an allocation those that no class knows, too. */
static int leave_out(struct ech_nodes *nodes, bool allocation, struct ech_err *err)
{
    size_t kept = 0, out = 0;
    for (size_t i = 0; nodes->cluster && i < nodes->hosts.count; i++) {
        struct ech_host host = nodes->hosts.items[i];
        bool known = !names_hosts(nodes->cluster) || ech_cluster_class_of(nodes->cluster, host.name);
        if (ech_cluster_excludes(nodes->cluster, host.name) || (!known && allocation)) {
            if (out++ < TOLD)
                ech_say("%s is left out: %s", host.name,
                        known ? "the cluster file excludes it" : "no class of the cluster file names it");
            continue;
        }
        if (!known)
            return ech_fail(err, ECH_CONFIG, "host %s is in no class of cluster %s", host.name,
                            nodes->cluster->name);
        nodes->hosts.items[kept++] = host;
    }
    if (out > TOLD)
        ech_say("%zu more hosts are left out", out - TOLD);
    if (nodes->cluster)
        nodes->hosts.count = kept;
    return nodes->hosts.count ? ECH_OK : ech_fail(err, ECH_UNAVAILABLE, "no host is left for the run");
}

/* mpirun takes one launch command: all classes that are used must have the same. */
static int find_launch(struct ech_nodes *nodes, struct ech_err *err)
{
    const struct ech_list *chosen = NULL;
    const char *first = "";
    for (size_t i = 0; nodes->cluster && i < nodes->hosts.count; i++) {
        const struct ech_node_class *c = class_of(nodes->cluster, nodes->hosts.items[i].name);
        const struct ech_list *launch = c && c->launch.count ? &c->launch : &nodes->cluster->launch;
        bool same = !chosen || chosen->count == launch->count;
        for (int w = 0; chosen && same && w < launch->count; w++)
            same = strcmp(chosen->items[w], launch->items[w]) == 0;
        if (!same)
            return ech_fail(err, ECH_CONFIG,
                            "%s and %s are started by different launch commands: mpirun takes one for a run; "
                            "name a script in launch of the cluster that knows both",
                            first, nodes->hosts.items[i].name);
        chosen = launch;
        first = nodes->hosts.items[i].name;
    }
    for (int w = 0; chosen && w < chosen->count; w++)
        ech_str_addf(&nodes->launch, "%s%s", w ? " " : "", chosen->items[w]);
    return ech_str_check(&nodes->launch, err);
}

static int count_ranks(struct ech_nodes *nodes, const struct ech_place *place, const struct ech_asked *asked,
                       struct ech_layout *layout, struct ech_err *err)
{
    int64_t ranks = 0, most = 0, threads = place->machine.cores;
    for (size_t i = 0; i < nodes->hosts.count; i++) {
        struct ech_host *host = &nodes->hosts.items[i];
        const struct ech_machine *machine = host->found.cores ? &host->found : &place->machine;
        host->slots = ech_nodes_ranks(host->slots, class_of(nodes->cluster, host->name), asked, machine);
    }
    if (asked->ranks > 0)
        ech_nodes_spread(&nodes->hosts, asked->ranks);
    for (size_t i = 0; i < nodes->hosts.count; i++) {
        struct ech_host *host = &nodes->hosts.items[i];
        int64_t cores = host->found.cores ? host->found.cores : place->machine.cores;
        host->said = host->said || asked->ranks > 0;
        ranks += host->slots;
        most = ech_max64(most, host->slots);
        threads = ech_min64(threads, cores / host->slots);
    }
    if (ranks > MOST_RANKS)
        return ech_fail(err, ECH_CONFIG, "the hosts have %lld ranks, %d is the most", (long long)ranks,
                        MOST_RANKS);
    layout->nodes = (int64_t)nodes->hosts.count;
    layout->ranks = ranks;
    layout->per_node = most;
    layout->threads = asked->threads ? asked->threads : ech_max64(threads, 1);
    return ECH_OK;
}

static int gather(const struct ech_nodes_request *q, struct ech_nodes *out, struct ech_err *err)
{
    int code = q->cluster_path ? ech_cluster_load(q->cluster_path, &out->cluster, err) : ECH_OK;
    if (code != ECH_OK)
        return code;
    if (q->hosts_path)
        return read_hosts(q, out, err);
    out->slurms = q->node_list && out->cluster;
    if (out->slurms) /* the allocation's nodes, with what the classes say of them */
        return add_pattern(&out->hosts, q->node_list, 0, err);
    return names_hosts(out->cluster) ? add_cluster(out, err) : ECH_OK;
}

static int use_some(const struct ech_nodes_request *q, const struct ech_asked *asked, struct ech_nodes *out,
                    struct ech_err *err)
{
    if (!q->nodes_given)
        return ECH_OK;
    bool enough = asked->nodes <= (int64_t)out->hosts.count;
    if (!enough &&
        !out->slurms) /* nodes of an allocation that are left out are no reason to wait for another */
        return ech_fail(err, ECH_UNAVAILABLE, "resources.nodes is %lld, there are %zu hosts",
                        (long long)asked->nodes, out->hosts.count);
    if (enough)
        out->hosts.count = (size_t)asked->nodes;
    return ECH_OK;
}

int ech_nodes_find(const struct ech_nodes_request *q, const struct ech_place *place,
                   const struct ech_asked *asked, struct ech_nodes *out, struct ech_layout *layout,
                   struct ech_err *err)
{
    *out = (struct ech_nodes){0};
    ech_str_init(&out->launch);
    int code = gather(q, out, err);
    if (code != ECH_OK || out->hosts.count == 0) {
        if (code == ECH_OK && out->cluster)
            return ech_fail(
                err, ECH_CONFIG,
                "the classes of cluster %s are only counted: a run needs names (hosts:, or --hosts)",
                out->cluster->name);
        return code;
    }
    code = ech_nodes_merge_names(&out->hosts, err);
    if (code == ECH_OK)
        code = leave_out(out, q->node_list != NULL, err);
    if (code == ECH_OK)
        code = use_some(q, asked, out, err);
    if (code == ECH_OK)
        code = find_launch(out, err);
    if (code == ECH_OK && q->look)
        code = q->look(out, err);
    if (code == ECH_OK && q->nodes_given && !out->slurms && asked->nodes > (int64_t)out->hosts.count)
        code = ech_fail(err, ECH_UNAVAILABLE, "resources.nodes is %lld, there are %zu machines",
                        (long long)asked->nodes, out->hosts.count);
    return code == ECH_OK ? count_ranks(out, place, asked, layout, err) : code;
}

int ech_nodes_save(const struct ech_nodes *nodes, const char *run_dir, struct ech_err *err)
{
    struct ech_str text;
    int code = ECH_OK;
    if (nodes->hosts.count == 0)
        return ECH_OK;
    ech_str_init(&text);
    char *hosts = ech_run_path(err, run_dir, "%s", ECH_RUN_HOSTS);
    char *cluster = ech_run_path(err, run_dir, "%s", ECH_RUN_CLUSTER);
    if (!hosts || !cluster)
        code = ECH_UNAVAILABLE;
    if (code == ECH_OK && !nodes->slurms)
        code = ech_hosts_write(&nodes->hosts, true, hosts, err);
    if (code == ECH_OK && nodes->cluster)
        code = ech_cluster_print(nodes->cluster, &text, err);
    if (code == ECH_OK && nodes->cluster)
        code = ech_write_file(cluster, text.data, text.length, err);
    else if (code == ECH_OK && unlink(cluster) != 0 && errno != ENOENT) /* that of an earlier start */
        code = ech_fail_errno(err, ECH_IO, errno, "removing %s", cluster);
    ech_str_fini(&text);
    ech_free(hosts);
    ech_free(cluster);
    return code;
}
