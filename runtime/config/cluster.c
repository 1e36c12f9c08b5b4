/* Reading a cluster file: see cluster.h. As with jobs, problems are noted with their place and the work goes
 * on; memory ends it. */
#include "config/cluster_schema.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "config/value.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

struct reader {
    struct ech_cluster *cluster;
    struct ech_problems problems;
    struct ech_err *err;
};

static void fini_fields(const struct ech_field *fields, void *base)
{
    for (; fields->path; fields++)
        ech_value_fini(fields, base);
}

void ech_cluster_destroy(struct ech_cluster *cluster)
{
    if (!cluster)
        return;
    for (int i = 0; i < cluster->classes_count; i++) {
        fini_fields(ech_node_class_fields, &cluster->classes[i]);
        ech_free(cluster->classes[i].name);
    }
    fini_fields(ech_cluster_fields, cluster);
    ech_host_index_fini(&cluster->by_host);
    ech_host_index_fini(&cluster->left_out);
    ech_free(cluster->classes);
    ech_free(cluster);
}

static const struct ech_field *find(const struct ech_field *fields, const char *name)
{
    for (; fields->path; fields++)
        if (strcmp(fields->path, name) == 0)
            return fields;
    return NULL;
}

static void note_unknown(struct reader *r, const struct ech_node *node, const struct ech_field *fields,
                         const char *where)
{
    const char *names[24];
    int n = 0;
    for (; fields->path && n < 22; fields++)
        names[n++] = fields->path;
    if (!where[0])
        names[n++] = "classes";
    names[n] = NULL;
    const char *near = ech_nearest(node->key, names);
    ech_problem_add(&r->problems, node->key_line, node->key_column, "unknown key \"%s%.60s\"%s%s%s", where,
                    node->key, near ? ": did you mean " : "", near ? near : "", near ? "?" : "");
}

static int set_key(struct reader *r, const struct ech_field *fields, const struct ech_node *node,
                   const char *where, void *base)
{
    const struct ech_field *found = find(fields, node->key);
    char path[160], why[360] = "";
    if (!found) {
        note_unknown(r, node, fields, where);
        return ECH_OK;
    }
    if (ech_node_is_null(node))
        return ECH_OK;
    struct ech_field field = *found;
    snprintf(path, sizeof path, "%s%s", where, found->path);
    field.path = path;
    int code = ech_value_set(&field, node, base, why, sizeof why, r->err);
    if (code == ECH_CONFIG) {
        ech_problem_add(&r->problems, node->key_line, node->key_column, "%s", why);
        return ECH_OK;
    }
    return code;
}

/* Patterns become names. */
static int spell_out(struct reader *r, struct ech_list *hosts, const struct ech_node *node)
{
    struct ech_list all = {0};
    struct ech_err why = ECH_ERR_NONE;
    int code = ECH_OK;
    for (int i = 0; code == ECH_OK && i < hosts->count; i++)
        code = ech_host_names_expand(hosts->items[i], &all, &why);
    if (code == ECH_OK) {
        ech_host_names_fini(hosts);
        *hosts = all;
        return ECH_OK;
    }
    ech_host_names_fini(&all);
    if (code != ECH_CONFIG)
        return ech_fail(r->err, code, "%s", why.text);
    ech_problem_add(&r->problems, node->key_line, node->key_column, "%s: %s", node->key, why.text);
    return ECH_OK;
}

/* One text is a command line of plain words. */
static int split_words(struct reader *r, struct ech_list *launch, const struct ech_node *node)
{
    if (node && node->kind == ECH_NODE_SCALAR && launch->count == 1) {
        char *text = launch->items[0], *rest = NULL;
        size_t most = strlen(text) / 2 + 2;
        struct ech_list words = {.items = ech_calloc(most + 1, sizeof *words.items, r->err)};
        if (!words.items)
            return ECH_UNAVAILABLE;
        int code = ECH_OK;
        for (char *word = strtok_r(text, " \t", &rest); code == ECH_OK && word;
             word = strtok_r(NULL, " \t", &rest)) {
            words.items[words.count] = ech_strdup(word, r->err);
            code = words.items[words.count] ? ECH_OK : ECH_UNAVAILABLE;
            words.count += code == ECH_OK;
        }
        ech_host_names_fini(launch);
        *launch = words;
        if (code != ECH_OK)
            return code;
    }
    for (int i = 0; node && i < launch->count; i++)
        if (!launch->items[i][0] || strpbrk(launch->items[i], " \t:\n"))
            ech_problem_add(&r->problems, node->key_line, node->key_column,
                            "launch: \"%.60s\" cannot be passed through mpirun, which wants words without "
                            "blanks and colons: name a small script",
                            launch->items[i]);
    if (node && launch->count == 0)
        ech_problem_add(&r->problems, node->key_line, node->key_column,
                        "launch is empty, a command was expected");
    return ECH_OK;
}

static int fallbacks(const struct ech_field *fields, void *base, struct ech_err *err)
{
    int code = ECH_OK;
    for (; code == ECH_OK && fields->path; fields++)
        code = ech_value_set_fallback(fields, base, err);
    return code;
}

static const struct ech_node *child(const struct ech_node *map, const char *key)
{
    for (const struct ech_node *n = map->first; n; n = n->next)
        if (n->key && strcmp(n->key, key) == 0 && !ech_node_is_null(n))
            return n;
    return NULL;
}

static void check_class(struct reader *r, struct ech_node_class *c, const struct ech_node *node)
{
    const struct ech_node *count = child(node, "count");
    const struct ech_node *at = count ? count : node;
    if (c->hosts.count && count && c->count != c->hosts.count)
        ech_problem_add(&r->problems, at->key_line, at->key_column,
                        "classes.%s.count is %lld, its hosts are %d: leave count out", c->name,
                        (long long)c->count, c->hosts.count);
    if (c->hosts.count)
        c->count = c->hosts.count;
    if (c->count < 1)
        ech_problem_add(&r->problems, at->key_line, at->key_column,
                        "class %s has no nodes: hosts: n[01-16], or count: 16", c->name);
    if (c->cores && c->ranks_per_node && c->threads && c->ranks_per_node * c->threads > c->cores)
        ech_problem_add(&r->problems, node->key_line, node->key_column,
                        "class %s: %lld ranks of %lld threads are more than its %lld cores", c->name,
                        (long long)c->ranks_per_node, (long long)c->threads, (long long)c->cores);
}

static int read_class(struct reader *r, const struct ech_node *node, struct ech_node_class *c)
{
    char where[120];
    snprintf(where, sizeof where, "classes.%.60s.", node->key);
    int code = fallbacks(ech_node_class_fields, c, r->err);
    c->name = ech_strdup(node->key, r->err);
    if (code != ECH_OK || !c->name)
        return ECH_UNAVAILABLE;
    if (node->kind != ECH_NODE_MAP) {
        ech_problem_add(&r->problems, node->key_line, node->key_column,
                        "class %.60s is a %s, a map of keys was expected (hosts: n[01-16])", node->key,
                        ech_node_kind_name(node));
        return ECH_OK;
    }
    int before = r->problems.count;
    for (const struct ech_node *key = node->first; code == ECH_OK && key; key = key->next)
        code = set_key(r, ech_node_class_fields, key, where, c);
    const struct ech_node *hosts = child(node, "hosts"), *launch = child(node, "launch");
    if (code == ECH_OK && hosts && c->hosts.count)
        code = spell_out(r, &c->hosts, hosts);
    if (code == ECH_OK && launch)
        code = split_words(r, &c->launch, launch);
    if (code == ECH_OK && r->problems.count == before)
        check_class(r, c, node);
    return code;
}

static int read_classes(struct reader *r, const struct ech_node *node)
{
    struct ech_cluster *cluster = r->cluster;
    if (node->kind != ECH_NODE_MAP || node->children == 0 || node->children > ECH_CLUSTER_CLASSES) {
        ech_problem_add(&r->problems, node->key_line, node->key_column,
                        "classes: a map of 1 to %d classes by name was expected (fast: {hosts: n[01-16]})",
                        ECH_CLUSTER_CLASSES);
        return ECH_OK;
    }
    cluster->classes = ech_calloc((size_t)node->children, sizeof *cluster->classes, r->err);
    int code = cluster->classes ? ECH_OK : ECH_UNAVAILABLE;
    for (const struct ech_node *n = node->first; code == ECH_OK && n; n = n->next)
        code = read_class(r, n, &cluster->classes[cluster->classes_count++]);
    return code;
}

static int make_index(struct reader *r)
{
    struct ech_cluster *cluster = r->cluster;
    int code = ECH_OK;
    for (int i = 0; i < cluster->classes_count; i++)
        for (int h = 0; code == ECH_OK && h < cluster->classes[i].hosts.count; h++)
            code = ech_host_index_add(&cluster->by_host, cluster->classes[i].hosts.items[h], i, r->err);
    for (int i = 0; code == ECH_OK && i < cluster->exclude.count; i++)
        code = ech_host_index_add(&cluster->left_out, cluster->exclude.items[i], i, r->err);
    ech_host_index_sort(&cluster->by_host);
    ech_host_index_sort(&cluster->left_out);
    return code;
}

/* A host is in one class, once. */
static void check_hosts(struct reader *r, const struct ech_node *classes)
{
    const struct ech_host_index *index = &r->cluster->by_host;
    if (index->count > ECH_CLUSTER_NODES)
        ech_problem_add(&r->problems, classes->key_line, classes->key_column,
                        "the classes have more than %d hosts", ECH_CLUSTER_NODES);
    for (size_t i = 1; i < index->count; i++)
        if (strcmp(index->items[i - 1].name, index->items[i].name) == 0)
            ech_problem_add(&r->problems, classes->key_line, classes->key_column,
                            "host %s is named twice: a node is in one class", index->items[i].name);
}

static int default_name(struct reader *r, const char *file)
{
    const char *base = ech_path_base(file), *dot = strrchr(base, '.');
    if (r->cluster->name)
        return ECH_OK;
    r->cluster->name = ech_strndup(base, dot && dot > base ? (size_t)(dot - base) : strlen(base), r->err);
    return r->cluster->name ? ECH_OK : ECH_UNAVAILABLE;
}

static int read_root(struct reader *r, const struct ech_node *root)
{
    struct ech_cluster *cluster = r->cluster;
    int code = fallbacks(ech_cluster_fields, cluster, r->err);
    const struct ech_node *launch = child(root, "launch"), *exclude = child(root, "exclude");
    const struct ech_node *classes = child(root, "classes");
    for (const struct ech_node *key = root->first; code == ECH_OK && key; key = key->next)
        if (strcmp(key->key, "classes") != 0)
            code = set_key(r, ech_cluster_fields, key, "", cluster);
    if (code == ECH_OK && launch)
        code = split_words(r, &cluster->launch, launch);
    if (code == ECH_OK && exclude && cluster->exclude.count)
        code = spell_out(r, &cluster->exclude, exclude);
    if (!classes)
        ech_problem_add(&r->problems, 1, 1, "classes is missing: classes of nodes by name");
    else if (code == ECH_OK && (code = read_classes(r, classes)) == ECH_OK &&
             (code = make_index(r)) == ECH_OK)
        check_hosts(r, classes);
    return code;
}

static int read_doc(struct reader *r, const char *name, const struct ech_doc *doc)
{
    if (!doc->root || doc->root->kind != ECH_NODE_MAP) {
        ech_problem_add(&r->problems, 1, 1, "a map of keys was expected (classes: ...)");
        return ECH_OK;
    }
    int code = read_root(r, doc->root);
    return code == ECH_OK ? default_name(r, name) : code;
}

int ech_cluster_load_text(const char *name, const char *text, size_t bytes, struct ech_cluster **out,
                          struct ech_err *err)
{
    struct reader *r = ech_calloc(1, sizeof *r, err);
    struct ech_cluster *cluster = ech_calloc(1, sizeof *cluster, err);
    struct ech_doc doc = {0};
    int code = r && cluster ? ECH_OK : ECH_UNAVAILABLE;
    if (code == ECH_OK) {
        r->cluster = cluster;
        r->err = err;
        r->problems.file = name;
        code = ech_doc_parse(text, bytes, &doc, &r->problems, err);
        if (code == ECH_OK)
            code = read_doc(r, name, &doc);
        if (code == ECH_OK || code == ECH_CONFIG) {
            int found = ech_problems_report(&r->problems, err);
            code = found != ECH_OK ? found : code;
        }
        ech_doc_fini(&doc);
    }
    ech_free(r);
    if (code == ECH_OK)
        *out = cluster;
    else
        ech_cluster_destroy(cluster);
    return code;
}

int ech_cluster_load(const char *path, struct ech_cluster **out, struct ech_err *err)
{
    bool stdin_ = strcmp(path, "-") == 0;
    char *text = NULL;
    size_t bytes = 0;
    struct ech_err why = ECH_ERR_NONE;
    int code = ech_read_file(stdin_ ? "/dev/stdin" : path, ECH_DOC_BYTES, &text, &bytes, &why);
    if (code != ECH_OK)
        return ech_fail(err, code == ECH_DATA ? ECH_CONFIG : code, "%s", why.text);
    code = ech_cluster_load_text(stdin_ ? "standard input" : path, text, bytes, out, err);
    ech_free(text);
    return code;
}

const struct ech_node_class *ech_cluster_class_of(const struct ech_cluster *cluster, const char *host)
{
    const struct ech_host_entry *found = ech_host_index_find(&cluster->by_host, host);
    if (found)
        return &cluster->classes[found->value];
    return cluster->by_host.count == 0 && cluster->classes_count == 1 ? &cluster->classes[0] : NULL;
}

bool ech_cluster_names_hosts(const struct ech_cluster *cluster)
{
    return cluster->by_host.count > 0;
}

bool ech_cluster_excludes(const struct ech_cluster *cluster, const char *host)
{
    return ech_host_index_find(&cluster->left_out, host) != NULL;
}

int64_t ech_cluster_nodes(const struct ech_cluster *cluster, const struct ech_node_class *c)
{
    int64_t nodes = c->count;
    for (int i = 0; i < c->hosts.count; i++)
        nodes -= ech_cluster_excludes(cluster, c->hosts.items[i]);
    return nodes;
}

/* ---- how a host is reached ---- */

const char *ech_cluster_own_launch(void)
{
    const char *own = getenv("OMPI_MCA_plm_rsh_agent");
    return own && *own ? own : "ssh";
}
