/* What `simulate` reads: see simulate.h. */
#include "launcher/simulate.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"
#include "config/cluster.h"
#include "config/config.h"
#include "config/doc.h"
#include "launcher/nodes.h"

#include <string.h>

static void fill(const struct ech_cluster *cluster, double reference, struct ech_sim_class *out, int *count)
{
    const struct ech_asked asked = {.devices = true};
    const struct ech_machine machine = {.cores = 1, .domains = 1}; /* where the class does not say */
    for (int i = 0; i < cluster->classes_count; i++) {
        const struct ech_node_class *c = &cluster->classes[i];
        int64_t nodes = ech_cluster_nodes(cluster, c), ranks = ech_nodes_ranks(0, c, &asked, &machine);
        double speed = c->speed > 0 ? c->speed : 1;
        if (nodes > 0)
            out[(*count)++] =
                (struct ech_sim_class){(int)nodes, (int)ech_min64(ranks, 1000000),
                                       c->tokens_per_s > 0 ? c->tokens_per_s : speed * reference};
    }
}

int ech_simulate_classes(const char *path, double reference, struct ech_sim_class **out, int *count,
                         struct ech_err *err)
{
    struct ech_cluster *cluster;
    int code = ech_cluster_load(path, &cluster, err);
    if (code)
        return code;
    struct ech_sim_class *classes = ech_calloc((size_t)cluster->classes_count, sizeof *classes, err);
    *count = 0;
    if (classes)
        fill(cluster, reference, classes, count);
    ech_cluster_destroy(cluster);
    if (classes && *count > 0) {
        *out = classes;
        return ECH_OK;
    }
    ech_free(classes);
    return classes ? ech_fail(err, ECH_CONFIG, "%s: every node is left out", path) : ECH_UNAVAILABLE;
}

static int64_t rows_of(const struct ech_doc *doc)
{
    int64_t rows;
    for (const struct ech_node *n = doc->root ? doc->root->first : NULL; n; n = n->next)
        if (n->key && n->text && strcmp(n->key, "rows") == 0 && ech_parse_int(n->text, &rows))
            return rows;
    return -1;
}

static int dataset_rows(const char *folder, int64_t *rows, struct ech_err *err)
{
    char *path = ech_path_join(folder, "dataset.yaml", err), *text = NULL;
    size_t bytes;
    struct ech_problems problems = {.file = path};
    struct ech_doc doc = {0};
    int code = path ? ech_read_file(path, ECH_DOC_BYTES, &text, &bytes, err) : ECH_UNAVAILABLE;
    if (!code)
        code = ech_doc_parse(text, bytes, &doc, &problems, err);
    if (code == ECH_CONFIG)
        code = ech_problems_report(&problems, err);
    if (!code && (*rows = rows_of(&doc)) < 0)
        code = ech_fail(err, ECH_DATA, "%s: no number of rows in it", path);
    ech_doc_fini(&doc);
    ech_free(text);
    ech_free(path);
    return code;
}

int ech_simulate_rows(const char *path, int64_t *rows, struct ech_err *err)
{
    struct ech_config *config;
    int code = ech_config_load(&(struct ech_config_request){.path = path}, &config, err);
    if (code)
        return code;
    const struct ech_job *job = ech_config_job(config);
    if (job->input.dataset)
        code = dataset_rows(job->input.dataset, rows, err);
    else
        code =
            ech_fail(err, ECH_CONFIG, "%s: no input.dataset, so nothing says how many rows (--rows N)", path);
    if (!code && *rows < 1)
        code = ech_fail(err, ECH_DATA, "%s: its input has no rows", path);
    ech_config_destroy(config);
    return code;
}
