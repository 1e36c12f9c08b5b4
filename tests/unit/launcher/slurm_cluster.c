/* submit --cluster: what classes of nodes become, and what is refused with which words. */
#include "launcher/slurm_cluster.h"

#include "base/mem.h"
#include "tests/harness.h"

static void folded(const char *names, const char *expected)
{
    struct ech_list list = {0};
    struct ech_str text;
    ech_str_init(&text);
    assert_int_equal(ech_host_names_expand(names, &list, NULL), ECH_OK);
    ech_host_names_fold((const char *const *)list.items, (size_t)list.count, &text);
    assert_string_equal(text.data, expected);
    struct ech_list again = {0};
    assert_int_equal(ech_host_names_expand(text.data, &again, NULL), ECH_OK);
    assert_int_equal(again.count, list.count);
    for (int i = 0; i < list.count; i++)
        assert_string_equal(again.items[i], list.items[i]);
    ech_host_names_fini(&list);
    ech_host_names_fini(&again);
    ech_str_fini(&text);
}

static void names_fold(void **state)
{
    (void)state;
    folded("n1,n2,n3,m7", "n[1-3],m7");
    folded("n01,n02,n04", "n[01-02],n04");
    folded("n9,n10,n11", "n[9-11]");
    folded("n09,n10", "n[09-10]");
    folded("n099,n100", "n[099-100]");
    folded("n1,m2,n2", "n1,m2,n2");
    folded("login,n1.site,n2.site", "login,n1.site,n2.site");
    folded("r1n1,r1n2,r2n1", "r1n[1-2],r2n1");
}

struct wanted {
    int64_t nodes, ranks, threads;
    const char *nodelist, *exclude, *constraint, *component;
};

static const char site_nodes[] = "n1|short*\nn2|short*\nn1|main\nn2|main\nn3|main\nn4|main\nn4|big\n";

static struct ech_cluster *load(const char *text)
{
    struct ech_cluster *c = NULL;
    struct ech_err err = ECH_ERR_NONE;
    if (ech_cluster_load_text("c.yaml", text, strlen(text), &c, &err) != ECH_OK)
        fail_msg("%s", err.text);
    return c;
}

static int make(const char *text, struct ech_job job, bool given, struct ech_cluster_shape *out,
                struct ech_err *err)
{
    struct ech_cluster *cluster = load(text);
    struct ech_site_nodes rows[] = {{.features = "small,eth"}, {.features = "big,ib"}};
    struct ech_site site = {rows, 2};
    struct ech_cluster_ask ask = {
        .cluster = cluster, .job = &job, .nodes_given = given, .nodes = site_nodes, .site = &site};
    int code = ech_cluster_shape_make(&ask, out, err);
    ech_cluster_destroy(cluster);
    return code;
}

static void gives(const char *text, struct ech_job job, bool given, struct wanted w)
{
    struct ech_cluster_shape s;
    struct ech_err err = ECH_ERR_NONE;
    if (make(text, job, given, &s, &err) != ECH_OK)
        fail_msg("%s: %s", text, err.text);
    assert_int_equal(s.nodes, w.nodes);
    assert_int_equal(s.ranks, w.ranks);
    assert_int_equal(s.threads, w.threads);
    assert_string_equal(s.nodelist.length ? s.nodelist.data : "", w.nodelist);
    assert_string_equal(s.exclude.length ? s.exclude.data : "", w.exclude);
    assert_string_equal(s.constraint.length ? s.constraint.data : "", w.constraint);
    assert_int_equal(s.components.count, w.component ? 1 : 0);
    if (w.component)
        assert_string_equal(s.components.items[0], w.component);
    ech_cluster_shape_fini(&s);
}

static void refuses(const char *text, struct ech_job job, bool given, int code, const char *words)
{
    struct ech_cluster_shape s;
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(make(text, job, given, &s, &err), code);
    if (!strstr(err.text, words))
        fail_msg("%s: \"%s\" was expected: %s", text, words, err.text);
    ech_cluster_shape_fini(&s);
}

static struct ech_job job_of(int64_t nodes, int launcher)
{
    return (struct ech_job){.resources = {.nodes = nodes, .threads = 2, .launcher = launcher}};
}

static const char plain[] = "classes: {a: {hosts: 'n[1-3]', ranks_per_node: 2}}\n";
static const char two[] =
    "exclude: [n2]\nclasses:\n  a: {hosts: 'n[1-3]', ranks_per_node: 2}\n  b: {hosts: n4, threads: 4}\n";

static void names_of_nodes(void **state)
{
    struct ech_job all = job_of(1, ECH_LAUNCHER_MPIRUN), some = job_of(2, ECH_LAUNCHER_MPIRUN);
    (void)state;
    gives(plain, all, false, (struct wanted){3, 2, 2, "n[1-3]", "", "", NULL});
    gives(plain, some, true, (struct wanted){2, 2, 2, "", "n4", "", NULL});
    gives(two, all, false, (struct wanted){3, 0, 0, "n1,n3,n4", "", "", NULL}); /* whole nodes: they differ */
    gives(two, some, true, (struct wanted){2, 0, 0, "", "n2", "", NULL});
    refuses(two, job_of(4, ECH_LAUNCHER_MPIRUN), true, ECH_UNAVAILABLE,
            "resources.nodes is 4, cluster c has 3");
    refuses("classes: {a: {hosts: 'n[4-5]'}}\n", all, false, ECH_CONFIG,
            "host n5 of class a is no node of this Slurm");
    refuses("exclude: [n1]\nclasses: {a: {hosts: n1}}\n", all, false, ECH_UNAVAILABLE, "left out");
    refuses("classes: {a: {hosts: n1}, b: {count: 2}}\n", all, false, ECH_CONFIG, "class b is only counted");
}

static void partitions(void **state)
{
    static const struct {
        const char *cluster, *partitions;
    } cases[] = {{"classes: {a: {hosts: 'n[1-2]'}}\n", "short,main"},
                 {"classes: {a: {hosts: 'n[1-3]'}}\n", "main"},
                 {"exclude: [n3]\nclasses: {a: {hosts: 'n[1-3]'}}\n", "short,main"},
                 {"classes: {a: {hosts: n4}}\n", "main,big"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ech_cluster_shape s;
        assert_int_equal(make(cases[i].cluster, job_of(1, ECH_LAUNCHER_MPIRUN), false, &s, NULL), ECH_OK);
        assert_string_equal(s.partitions.data, cases[i].partitions);
        ech_cluster_shape_fini(&s);
    }
}

static void components(void **state)
{
    struct ech_job srun = job_of(1, ECH_LAUNCHER_SRUN), both = srun;
    char *items[] = {(char *)(uintptr_t) "nodes=1", NULL};
    (void)state;
    gives(two, srun, false,
          (struct wanted){2, 2, 2, "n1,n3", "", "", "nodes=1 ntasks-per-node=1 cpus-per-task=4 nodelist=n4"});
    gives(plain, srun, false, (struct wanted){3, 2, 2, "n[1-3]", "", "", NULL});
    gives("classes: {small: {count: 2, ranks_per_node: 2}, big: {count: 1}}\n", srun, false,
          (struct wanted){2, 2, 2, "", "", "small",
                          "nodes=1 ntasks-per-node=1 cpus-per-task=2 constraint=big"});
    refuses(two, srun, true, ECH_CONFIG, "resources.launcher: mpirun");
    both.resources.components = (struct ech_list){items, 1};
    refuses(two, both, false, ECH_CONFIG, "leave one out");
    srun.resources.threads = 0;
    refuses("classes: {a: {hosts: n1}, b: {hosts: n2}}\n", srun, false, ECH_CONFIG, "say its threads");
    gives("classes: {a: {hosts: n1, cores: 8, ranks_per_node: 2}, b: {hosts: n2, cores: 4}}\n", srun, false,
          (struct wanted){1, 2, 4, "n1", "", "", "nodes=1 ntasks-per-node=1 cpus-per-task=4 nodelist=n2"});
}

static void features(void **state)
{
    struct ech_job all = job_of(1, ECH_LAUNCHER_MPIRUN), tied = all;
    (void)state;
    gives("exclude: [n9]\nclasses: {small: {count: 2}}\n", all, false,
          (struct wanted){2, 0, 2, "", "n9", "small", NULL});
    gives("classes: {small: {count: 2}}\n", all, true, (struct wanted){1, 0, 2, "", "", "small", NULL});
    gives("classes: {small: {count: 2}, big: {count: 1}}\n", all, false,
          (struct wanted){3, 0, 2, "", "", "[small*2&big*1]", NULL});
    tied.resources.constraint = (char *)(uintptr_t) "eth";
    gives("classes: {small: {count: 2}}\n", tied, false, (struct wanted){2, 0, 2, "", "", "eth&small", NULL});
    refuses("classes: {small: {count: 2}, big: {count: 1}}\n", tied, false, ECH_CONFIG,
            "resources.constraint");
    refuses("classes: {small: {count: 2}, big: {count: 1, threads: 4}}\n", all, false, ECH_CONFIG,
            "unlike ranks");
    refuses("classes: {fast: {count: 2}}\n", all, false, ECH_CONFIG,
            "no node of this Slurm has a feature of that name");
    refuses("classes: {small: {count: 2}}\n", job_of(3, ECH_LAUNCHER_MPIRUN), true, ECH_UNAVAILABLE,
            "cluster c has 2");
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(names_fold), cmocka_unit_test(names_of_nodes),
                                          cmocka_unit_test(partitions), cmocka_unit_test(components),
                                          cmocka_unit_test(features)};
ECH_TEST_MAIN(tests)
