/* Cluster files: patterns of hosts, values, problems with their place, printing that loads again. */
#include "tests/harness.h"

#include "base/io.h"
#include "base/mem.h"
#include "config/cluster.h"

#include <stdlib.h>
#include <string.h>

static struct ech_cluster *load(const char *text)
{
    struct ech_cluster *c = NULL;
    struct ech_err err = ECH_ERR_NONE;
    if (ech_cluster_load_text("c.yaml", text, strlen(text), &c, &err) != ECH_OK)
        fail_msg("%d:%d: %s", err.line, err.column, err.text);
    return c;
}

static void bad(const char *text, int line, int column, const char *says)
{
    struct ech_cluster *c = NULL;
    struct ech_err err = ECH_ERR_NONE;
    int code = ech_cluster_load_text("c.yaml", text, strlen(text), &c, &err);
    if (code != ECH_CONFIG || c || err.line != line || err.column != column || !strstr(err.text, says))
        fail_msg("%d:%d \"%s\" was expected: code %d, %d:%d: %s", line, column, says, code, err.line,
                 err.column, err.text);
}

static void patterns(void **state)
{
    (void)state;
    struct ech_list names = {0};
    assert_int_equal(ech_host_names_expand("n[08-10,2], m1,r[1-2]n[1-2]x", &names, NULL), ECH_OK);
    static const char *const want[] = {"n08", "n09", "n10", "n2", "m1", "r1n1x", "r1n2x", "r2n1x", "r2n2x"};
    assert_int_equal(names.count, 9);
    for (int i = 0; i < 9; i++)
        assert_string_equal(names.items[i], want[i]);
    static const char *const wrong[] = {"",       "n[1-", "n[]",   "n[3-1]", "-oProxyCommand=x", "a b",
                                        "n[a-b]", "a,,b", "n[1-2", "x;y",    "n[0-99999999]"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(ech_host_names_expand(wrong[i], &names, NULL), ECH_CONFIG);
    ech_host_names_fini(&names);
}

static void values(void **state)
{
    (void)state;
    struct ech_cluster *c = load("launch: ssh -q\nexclude: [n02]\nclasses:\n  a: {hosts: 'n[01-03]', cores: "
                                 "8, memory: 16GiB, speed: 0.5}\n"
                                 "  b: {count: 4, launch: [x, -y], ranks_per_node: 2}\n");
    assert_int_equal(c->classes_count, 2);
    assert_int_equal(c->classes[0].count, 3);
    assert_int_equal(c->classes[0].memory, (int64_t)16 << 30);
    assert_int_equal(ech_cluster_nodes(c, &c->classes[0]), 2);
    assert_int_equal(ech_cluster_nodes(c, &c->classes[1]), 4);
    assert_int_equal(c->launch.count, 2);
    assert_string_equal(c->classes[1].launch.items[1], "-y");
    assert_ptr_equal(ech_cluster_class_of(c, "n03.site.org"), &c->classes[0]);
    assert_null(ech_cluster_class_of(c, "n04"));
    assert_true(ech_cluster_excludes(c, "n02"));
    struct ech_cluster *counted = load("classes: {a: {count: 2, threads: 3}}\n");
    assert_ptr_equal(ech_cluster_class_of(counted, "any"), &counted->classes[0]);
    ech_cluster_destroy(counted);
    struct ech_str one, two;
    ech_str_init(&one);
    ech_str_init(&two);
    assert_int_equal(ech_cluster_print(c, &one, NULL), ECH_OK);
    struct ech_cluster *again = load(one.data);
    assert_int_equal(ech_cluster_print(again, &two, NULL), ECH_OK);
    assert_string_equal(one.data + strcspn(one.data, "\n"), two.data + strcspn(two.data, "\n"));
    ech_cluster_destroy(c);
    ech_cluster_destroy(again);
    ech_str_fini(&one);
    ech_str_fini(&two);
}

/* A host is found by its name with or without a domain; its own name goes first. */
static void hosts_are_found(void **state)
{
    (void)state;
    struct ech_cluster *c = load("exclude: [x9.site]\nclasses:\n  a: {hosts: [n1.east, n2, n-1, n1-ib]}\n"
                                 "  b: {hosts: [n1.west, n3.west]}\n");
    assert_ptr_equal(ech_cluster_class_of(c, "n1.west"), &c->classes[1]);
    assert_ptr_equal(ech_cluster_class_of(c, "n1.east"), &c->classes[0]);
    assert_ptr_equal(ech_cluster_class_of(c, "n1-ib"), &c->classes[0]);
    assert_non_null(ech_cluster_class_of(c, "n1"));
    assert_null(ech_cluster_class_of(c, "n1.north"));
    assert_ptr_equal(ech_cluster_class_of(c, "n3"), &c->classes[1]);
    assert_ptr_equal(ech_cluster_class_of(c, "n2.any"), &c->classes[0]);
    assert_null(ech_cluster_class_of(c, "n"));
    assert_null(ech_cluster_class_of(c, ""));
    assert_true(ech_cluster_excludes(c, "x9"));
    assert_false(ech_cluster_excludes(c, "x9.other"));
    assert_int_equal(c->launch.count, 0);
    ech_cluster_destroy(c);
}

static void problems(void **state)
{
    (void)state;
    bad("", 1, 1, "map of keys");
    bad("name: x\n", 1, 1, "classes is missing");
    bad("classes: {a: {hosts: n1}}\nexclud: [n1]\n", 2, 1, "did you mean exclude?");
    bad("classes: {a: {hosts: n1, cors: 2}}\n", 1, 26, "did you mean cores?");
    bad("classes: {a: {hosts: n1, cores: many}}\n", 1, 26, "classes.a.cores");
    bad("classes: {a: {cores: 2}}\n", 1, 11, "has no nodes");
    bad("classes: {a: {hosts: n1}, b: {hosts: n1}}\n", 1, 1, "named twice");
    bad("classes: {a: {hosts: [n1, n2], count: 3}}\n", 1, 32, "leave count out");
    bad("classes: {a: {hosts: -x}}\n", 1, 15, "not a host's name");
    bad("launch: [ssh, 'a b']\nclasses: {a: {hosts: n1}}\n", 1, 1, "small script");
    bad("classes: {a: {hosts: n1, cores: 4, ranks_per_node: 4, threads: 2}}\n", 1, 11,
        "more than its 4 cores");
    bad("classes: {a: 3}\n", 1, 11, "a map of keys was expected");
}

static void reference(void **state)
{
    (void)state;
    struct ech_str text;
    ech_str_init(&text);
    assert_int_equal(ech_cluster_reference(&text, NULL), ECH_OK);
    ech_cluster_destroy(load(text.data));
    char path[4096], *file = NULL;
    snprintf(path, sizeof path, "%s/configs/cluster-reference.yaml", getenv("ECH_SOURCE"));
    if (getenv("ECH_UPDATE"))
        assert_int_equal(ech_write_file(path, text.data, text.length, NULL), ECH_OK);
    assert_int_equal(ech_read_file(path, 1 << 20, &file, NULL, NULL), ECH_OK);
    assert_string_equal(file, text.data);
    ech_free(file);
    ech_str_fini(&text);
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(patterns), cmocka_unit_test(values),
                                          cmocka_unit_test(hosts_are_found), cmocka_unit_test(problems),
                                          cmocka_unit_test(reference)};
ECH_TEST_MAIN(tests)
