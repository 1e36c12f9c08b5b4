/* Any bytes as a cluster file. What loads must print, load again from what was printed, and print the same;
 * its JSON must parse, and every host must be found in a class. */
#include "tests/fuzz/fuzz.h"

#include "base/json.h"
#include "base/str.h"
#include "config/cluster.h"

#include <stdio.h>
#include <string.h>

enum { SPELLED_OUT = 90000 }; /* hosts; printed, more of them are too many values for a file */

static void require(bool good, const char *what, const char *text)
{
    if (good)
        return;
    fprintf(stderr, "%s\n%s\n", what, text);
    __builtin_trap();
}

static void check_round_trip(const struct ech_cluster *cluster)
{
    struct ech_cluster *again = NULL;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_str one, two;
    ech_str_init(&one);
    ech_str_init(&two);
    require(ech_cluster_print(cluster, &one, NULL) == ECH_OK, "print", "");
    int code = ech_cluster_load_text("cluster.yaml", one.data, one.length, &again, &err);
    require(code == ECH_OK, err.text, one.data);
    require(ech_cluster_print(again, &two, NULL) == ECH_OK, "print", "");
    require(strcmp(one.data, two.data) == 0, "a round trip changes values", one.data);
    ech_cluster_destroy(again);
    ech_str_fini(&one);
    ech_str_fini(&two);
}

static void check_json(const struct ech_cluster *cluster)
{
    struct ech_str json;
    json_t *root = NULL;
    ech_str_init(&json);
    require(ech_cluster_print_json(cluster, &json, NULL) == ECH_OK, "json", "");
    require(ech_json_parse("json", json.data, json.length, &root, NULL) == ECH_OK, "json", json.data);
    json_decref(root);
    ech_str_fini(&json);
}

static void check_classes(const struct ech_cluster *cluster)
{
    require(cluster->classes_count >= 1, "no class", "");
    for (int k = 0; k < cluster->classes_count; k++) {
        const struct ech_node_class *c = &cluster->classes[k];
        require(c->count >= 1 && c->count <= ECH_CLUSTER_NODES, "a count out of bounds", c->name);
        require(ech_cluster_nodes(cluster, c) <= c->count, "more nodes than there are", c->name);
        for (int h = 0; h < c->hosts.count && h < 64; h++)
            require(ech_cluster_class_of(cluster, c->hosts.items[h]) == c, "a host of another class",
                    c->hosts.items[h]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ech_cluster *cluster = NULL;
    struct ech_err err = ECH_ERR_NONE;
    int code = ech_cluster_load_text("cluster.yaml", (const char *)data, size, &cluster, &err);
    require(code == err.code, "the code and the error differ", err.text);
    require(code == ECH_OK || code == ECH_CONFIG, "an unexpected code", err.text);
    require((code == ECH_OK) == (cluster != NULL), "a cluster although it failed", err.text);
    if (cluster) {
        size_t hosts = (size_t)cluster->exclude.count;
        for (int k = 0; k < cluster->classes_count; k++)
            hosts += (size_t)cluster->classes[k].hosts.count;
        check_classes(cluster);
        if (hosts < SPELLED_OUT)
            check_round_trip(cluster);
        check_json(cluster);
    }
    ech_cluster_destroy(cluster);
    return 0;
}
