/* Classes of nodes as Slurm's options: see slurm_cluster.h. */
#include "launcher/slurm_cluster.h"

#include "base/mem.h"
#include "base/num.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_COMPONENTS = 31, MOST_PARTITIONS = 512 };

void ech_cluster_shape_fini(struct ech_cluster_shape *shape)
{
    ech_str_fini(&shape->nodelist);
    ech_str_fini(&shape->exclude);
    ech_str_fini(&shape->constraint);
    ech_str_fini(&shape->partitions);
    ech_host_names_fini(&shape->components);
    *shape = (struct ech_cluster_shape){0};
}

/* ---- names ---- */

/* Where the number at the end of a name begins; its length where there is none. */
static size_t number_at(const char *name)
{
    size_t length = strlen(name), at = length;
    while (at > 0 && isdigit((unsigned char)name[at - 1]) && length - at < 9)
        at--;
    return at;
}

/* Does b follow a ("n09", "n10"; "n9", "n10")? */
static bool follows(const char *a, const char *b)
{
    size_t at = number_at(a), n = strlen(a) - at, m = strlen(b) - number_at(b);
    if (!n || at != number_at(b) || memcmp(a, b, at) != 0 ||
        strtol(b + at, NULL, 10) != strtol(a + at, NULL, 10) + 1)
        return false;
    return n == m || (m == n + 1 && a[at] != '0'); /* "n9", "n10" without leading zeros */
}

void ech_host_names_fold(const char *const *names, size_t count, struct ech_str *out)
{
    for (size_t i = 0, last; i < count; i = last + 1) {
        last = i;
        while (last + 1 < count && follows(names[last], names[last + 1]))
            last++;
        size_t at = number_at(names[i]);
        ech_str_adds(out, out->length ? "," : "");
        if (last == i)
            ech_str_adds(out, names[i]);
        else
            ech_str_addf(out, "%.*s[%s-%s]", (int)at, names[i], names[i] + at, names[last] + at);
    }
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The site's nodes, each once. */
static int read_site(const char *text, struct ech_list *out, struct ech_err *err)
{
    int kept = 0, code = ECH_OK;
    for (const char *p = text; code == ECH_OK && *p; p += *p == '\n') {
        char name[64];
        size_t length = strcspn(p, "| \n");
        snprintf(name, sizeof name, "%.*s", (int)ech_min64((int64_t)length, 63), p);
        if (length && length < sizeof name && ech_host_names_expand(name, out, NULL) != ECH_OK)
            code = ech_fail(err, ECH_UNAVAILABLE, "sinfo's nodes cannot be read: %s", name);
        p += strcspn(p, "\n");
    }
    if (code != ECH_OK || !out->count)
        return code;
    qsort(out->items, (size_t)out->count, sizeof *out->items, compare);
    for (int i = 0; i < out->count; i++)
        if (kept && strcmp(out->items[kept - 1], out->items[i]) == 0)
            ech_free(out->items[i]);
        else
            out->items[kept++] = out->items[i];
    out->count = kept;
    return ECH_OK;
}

/* ---- classes ---- */

struct maker {
    const struct ech_cluster_ask *ask;
    struct ech_cluster_shape *out;
    const struct ech_node_class *used[ECH_CLUSTER_CLASSES]; /* with nodes that are not left out */
    int count;
    bool named;
    struct ech_list site; /* sorted */
    struct ech_err *err;
};

static int choose_classes(struct maker *m)
{
    const struct ech_cluster *cluster = m->ask->cluster;
    m->named = ech_cluster_names_hosts(cluster);
    for (int i = 0; i < cluster->classes_count; i++) {
        const struct ech_node_class *c = &cluster->classes[i];
        if (m->named == (c->hosts.count > 0) && ech_cluster_nodes(cluster, c) > 0)
            m->used[m->count++] = c;
        else if (m->named && !c->hosts.count)
            return ech_fail(
                m->err, ECH_CONFIG,
                "class %.60s is only counted and others name their hosts: give it hosts:, too, or leave it "
                "out",
                c->name);
    }
    return m->count
               ? ECH_OK
               : ech_fail(m->err, ECH_UNAVAILABLE, "every node of cluster %s is left out", cluster->name);
}

static int64_t ranks_of(const struct maker *m, const struct ech_node_class *c)
{
    return c->ranks_per_node ? c->ranks_per_node : m->ask->job->resources.ranks_per_node;
}

static int64_t threads_of(const struct maker *m, const struct ech_node_class *c)
{
    return c->threads ? c->threads : m->ask->job->resources.threads;
}

/* Every class has the same: then it can be asked for, else nodes are taken whole and each decides. */
static void find_common(struct maker *m)
{
    m->out->ranks = ranks_of(m, m->used[0]);
    m->out->threads = threads_of(m, m->used[0]);
    for (int i = 1; i < m->count; i++)
        if (ranks_of(m, m->used[i]) != m->out->ranks || threads_of(m, m->used[i]) != m->out->threads)
            m->out->ranks = m->out->threads = 0;
}

static int64_t total(const struct maker *m)
{
    int64_t nodes = 0;
    for (int i = 0; i < m->count; i++)
        nodes += ech_cluster_nodes(m->ask->cluster, m->used[i]);
    return nodes;
}

static int find_nodes(struct maker *m)
{
    int64_t all = total(m), asked = m->ask->job->resources.nodes;
    if (m->ask->nodes_given && asked > all)
        return ech_fail(m->err, ECH_UNAVAILABLE, "resources.nodes is %lld, cluster %s has %lld",
                        (long long)asked, m->ask->cluster->name, (long long)all);
    m->out->nodes = m->ask->nodes_given ? asked : all;
    return ECH_OK;
}

/* ---- by name ---- */

static bool is_wanted(const struct maker *m, const char *host)
{
    return ech_cluster_class_of(m->ask->cluster, host) && !ech_cluster_excludes(m->ask->cluster, host);
}

struct partition {
    char name[64];
    int64_t nodes; /* of those that are wanted */
};

static struct partition *find_partition(struct partition *all, size_t *count, const char *name, size_t length)
{
    for (size_t i = 0; i < *count; i++)
        if (strncmp(all[i].name, name, length) == 0 && !all[i].name[length])
            return &all[i];
    if (*count == MOST_PARTITIONS || length >= sizeof all->name)
        return NULL;
    snprintf(all[*count].name, sizeof all->name, "%.*s", (int)length, name);
    return &all[(*count)++];
}

/* Partitions with so many of the wanted nodes; "*" marks the default one. */
static int find_partitions(struct maker *m, int64_t nodes)
{
    struct partition *all = ech_calloc(MOST_PARTITIONS, sizeof *all, m->err);
    size_t count = 0;
    if (!all)
        return ECH_UNAVAILABLE;
    for (const char *p = m->ask->nodes ? m->ask->nodes : ""; *p; p += *p == '\n') {
        char host[64];
        size_t length = strcspn(p, "|\n");
        snprintf(host, sizeof host, "%.*s", (int)ech_min64((int64_t)length, 63), p);
        p += length + (p[length] == '|');
        struct partition *found = find_partition(all, &count, p, strcspn(p, "* \n"));
        if (found && is_wanted(m, host))
            found->nodes++;
        p += strcspn(p, "\n");
    }
    for (size_t i = 0; i < count; i++)
        if (all[i].nodes >= nodes)
            ech_str_addf(&m->out->partitions, "%s%s", m->out->partitions.length ? "," : "", all[i].name);
    bool none = count && !m->out->partitions.length;
    ech_free(all);
    return none ? ech_fail(m->err, ECH_UNAVAILABLE,
                           "no partition of this Slurm has %lld of the cluster's nodes", (long long)nodes)
                : ECH_OK;
}

static int check_known(const struct maker *m)
{
    for (int i = 0; m->ask->nodes && i < m->count; i++)
        for (int h = 0; h < m->used[i]->hosts.count; h++) {
            const char *name = m->used[i]->hosts.items[h];
            if (!ech_cluster_excludes(m->ask->cluster, name) &&
                !bsearch(&name, m->site.items, (size_t)m->site.count, sizeof *m->site.items, compare))
                return ech_fail(
                    m->err, ECH_CONFIG,
                    "host %s of class %.60s is no node of this Slurm (sinfo -N): name it as Slurm does, or "
                    "exclude it",
                    name, m->used[i]->name);
        }
    return ECH_OK;
}

static int fold_class(const struct maker *m, const struct ech_node_class *c, struct ech_str *out)
{
    size_t count = 0;
    const char **names = ech_calloc((size_t)c->hosts.count, sizeof *names, m->err);
    if (!names)
        return ECH_UNAVAILABLE;
    for (int h = 0; h < c->hosts.count; h++)
        if (!ech_cluster_excludes(m->ask->cluster, c->hosts.items[h]))
            names[count++] = c->hosts.items[h];
    ech_host_names_fold(names, count, out);
    ech_free(names);
    return ECH_OK;
}

/* The site's nodes that the run may not have. */
static int fold_others(const struct maker *m, struct ech_str *out)
{
    size_t count = 0;
    const char **names = ech_calloc((size_t)m->site.count + 1, sizeof *names, m->err);
    if (!names)
        return ECH_UNAVAILABLE;
    for (int i = 0; i < m->site.count; i++)
        if (!is_wanted(m, m->site.items[i]))
            names[count++] = m->site.items[i];
    ech_host_names_fold(names, count, out);
    ech_free(names);
    return ECH_OK;
}

static int by_names(struct maker *m)
{
    int code = find_nodes(m);
    find_common(m);
    if (code == ECH_OK && m->out->nodes == total(m)) {
        for (int i = 0; code == ECH_OK && i < m->count; i++)
            code = fold_class(m, m->used[i], &m->out->nodelist);
        return code;
    }
    if (code == ECH_OK && !m->ask->nodes)
        return ech_fail(
            m->err, ECH_UNAVAILABLE,
            "resources.nodes asks for some of the cluster's nodes, and Slurm is not here to say which "
            "others it has; leave resources.nodes out to take them all");
    return code == ECH_OK ? fold_others(m, &m->out->exclude) : code;
}

/* ---- by feature ---- */

static bool is_feature(const struct ech_site *site, const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < site->count; i++)
        for (const char *p = site->rows[i].features; *p; p += *p == ',') {
            size_t n = strcspn(p, ",");
            if (n == length && memcmp(p, name, n) == 0)
                return true;
            p += n;
        }
    return false;
}

static int check_features(const struct maker *m)
{
    for (int i = 0; i < m->count; i++) {
        const char *name = m->used[i]->name;
        if ((m->ask->site && !is_feature(m->ask->site, name)) ||
            name[strspn(name, "abcdefghijklmnopqrstuvwxyz"
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                              "0123456789_-.")])
            return ech_fail(
                m->err, ECH_CONFIG,
                "class %.60s is only counted, and no node of this Slurm has a feature of that name (sinfo "
                "-o %%f): name its hosts (hosts: n[01-16]), or call it as the feature",
                name);
    }
    if (m->ask->job->resources.constraint && m->count > 1)
        return ech_fail(
            m->err, ECH_CONFIG,
            "resources.constraint and several classes that are only counted: leave it out, or name hosts");
    return ECH_OK;
}

static int by_features(struct maker *m)
{
    const char *own = m->ask->job->resources.constraint;
    struct ech_str *out = &m->out->constraint;
    int code = check_features(m);
    if (code == ECH_OK)
        code = find_nodes(m);
    find_common(m);
    if (code == ECH_OK && m->count > 1 && m->out->nodes != total(m))
        return ech_fail(
            m->err, ECH_CONFIG,
            "resources.nodes is %lld, the counted classes have %lld nodes: leave it out, or name hosts",
            (long long)m->out->nodes, (long long)total(m));
    for (int i = 1; code == ECH_OK && i < m->count; i++)
        if (ranks_of(m, m->used[i]) != ranks_of(m, m->used[0]) ||
            threads_of(m, m->used[i]) != threads_of(m, m->used[0]))
            return ech_fail(
                m->err, ECH_CONFIG,
                "classes %.60s and %.60s are only counted and want unlike ranks: name their hosts, or set "
                "resources.launcher: srun",
                m->used[0]->name, m->used[i]->name);
    if (m->count == 1)
        ech_str_addf(out, "%s%s%s", own ? own : "", own ? "&" : "", m->used[0]->name);
    for (int i = 0; m->count > 1 && i < m->count; i++)
        ech_str_addf(out, "%s%s*%lld%s", i ? "&" : "[", m->used[i]->name,
                     (long long)ech_cluster_nodes(m->ask->cluster, m->used[i]), i + 1 < m->count ? "" : "]");
    return code;
}

/* ---- components ---- */

/* srun starts so many tasks a node, and gives each its processors. */
static int shape_of(const struct maker *m, const struct ech_node_class *c, int64_t *ranks, int64_t *threads)
{
    *ranks = ech_max64(ranks_of(m, c), 1);
    *threads = threads_of(m, c) ? threads_of(m, c) : c->cores / *ranks;
    if (*threads < 1)
        return ech_fail(
            m->err, ECH_CONFIG,
            "class %.60s as a component of srun: say its threads, or its cores (and ranks_per_node)",
            c->name);
    return ECH_OK;
}

static int place_of(const struct maker *m, const struct ech_node_class *c, struct ech_str *nodelist,
                    struct ech_str *constraint)
{
    if (m->named)
        return fold_class(m, c, nodelist);
    ech_str_adds(constraint, c->name);
    return ECH_OK;
}

static int add_component(struct maker *m, const struct ech_node_class *c)
{
    struct ech_list *list = &m->out->components;
    struct ech_str nodelist, constraint;
    int64_t ranks = 0, threads = 0;
    ech_str_init(&nodelist);
    ech_str_init(&constraint);
    int code = shape_of(m, c, &ranks, &threads);
    if (code == ECH_OK)
        code = place_of(m, c, &nodelist, &constraint);
    if (code == ECH_OK && (nodelist.failed || constraint.failed))
        code = ech_fail(m->err, ECH_UNAVAILABLE, "no memory for a component");
    char *text = code == ECH_OK
                     ? ech_sprintf(m->err, "nodes=%lld ntasks-per-node=%lld cpus-per-task=%lld %s=%s",
                                   (long long)ech_cluster_nodes(m->ask->cluster, c), (long long)ranks,
                                   (long long)threads, m->named ? "nodelist" : "constraint",
                                   m->named ? nodelist.data : constraint.data)
                     : NULL;
    if (text)
        list->items[list->count++] = text;
    ech_str_fini(&nodelist);
    ech_str_fini(&constraint);
    return text ? ECH_OK : code != ECH_OK ? code : ECH_UNAVAILABLE;
}

static int as_components(struct maker *m)
{
    const struct ech_job *job = m->ask->job;
    if (m->ask->nodes_given)
        return ech_fail(
            m->err, ECH_CONFIG,
            "resources.nodes is said, and with launcher srun each of the %d classes becomes a component of "
            "its own: leave it out (all nodes), or set resources.launcher: mpirun",
            m->count);
    if (job->resources.components.count)
        return ech_fail(m->err, ECH_CONFIG,
                        "resources.components and --cluster both say the components: leave one out");
    if (m->count > MOST_COMPONENTS + 1)
        return ech_fail(m->err, ECH_CONFIG, "%d classes are more components than %d", m->count,
                        MOST_COMPONENTS + 1);
    int code = m->named ? ECH_OK : check_features(m);
    m->out->components.items = ech_calloc((size_t)m->count + 1, sizeof *m->out->components.items, m->err);
    if (!m->out->components.items)
        return ECH_UNAVAILABLE;
    if (code == ECH_OK)
        code = shape_of(m, m->used[0], &m->out->ranks, &m->out->threads);
    if (code == ECH_OK)
        code = place_of(m, m->used[0], &m->out->nodelist, &m->out->constraint);
    m->out->nodes = ech_cluster_nodes(m->ask->cluster, m->used[0]);
    for (int i = 1; code == ECH_OK && i < m->count; i++)
        code = add_component(m, m->used[i]);
    return code;
}

static int check_texts(const struct ech_cluster_shape *shape, struct ech_err *err)
{
    int code = ech_str_check(&shape->nodelist, err);
    if (code == ECH_OK)
        code = ech_str_check(&shape->exclude, err);
    if (code == ECH_OK)
        code = ech_str_check(&shape->partitions, err);
    return code == ECH_OK ? ech_str_check(&shape->constraint, err) : code;
}

int ech_cluster_shape_make(const struct ech_cluster_ask *ask, struct ech_cluster_shape *out,
                           struct ech_err *err)
{
    struct maker m = {.ask = ask, .out = out, .err = err};
    *out = (struct ech_cluster_shape){.made = true};
    ech_str_init(&out->nodelist);
    ech_str_init(&out->exclude);
    ech_str_init(&out->constraint);
    ech_str_init(&out->partitions);
    int code = choose_classes(&m);
    if (code == ECH_OK && m.named && ask->nodes)
        code = read_site(ask->nodes, &m.site, err);
    if (code == ECH_OK && m.named)
        code = check_known(&m);
    if (code == ECH_OK && m.count > 1 && ask->job->resources.launcher == ECH_LAUNCHER_SRUN)
        code = as_components(&m);
    else if (code == ECH_OK)
        code = m.named ? by_names(&m) : by_features(&m);
    if (code == ECH_OK && m.named)
        code = find_partitions(&m, out->components.count ? total(&m) : out->nodes);
    if (code == ECH_OK && !m.named) /* named ones: in no list, or among the others */
        ech_host_names_fold((const char *const *)ask->cluster->exclude.items,
                            (size_t)ask->cluster->exclude.count, &out->exclude);
    ech_host_names_fini(&m.site);
    return code == ECH_OK ? check_texts(out, err) : code;
}
