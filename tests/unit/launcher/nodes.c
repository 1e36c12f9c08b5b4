/* Nodes of a run: how many ranks each gets, how N ranks are spread, which are left out. */
#include "tests/harness.h"

#include "launcher/nodes.h"

#include "base/io.h"
#include "base/mem.h"

#include <unistd.h>

static void ranks_of_a_node(void **state)
{
    struct ech_asked none = {.ranks = -1}, threads = {.ranks = -1, .threads = 4},
                     per_node = {.ranks = -1, .ranks_per_node = 3, .threads = 4};
    struct ech_node_class counted = {.ranks_per_node = 5, .devices = 2}, devices = {.devices = 2},
                          cores = {.cores = 64}, both = {.cores = 64, .threads = 8};
    (void)state;
    struct ech_asked gpus = {.ranks = -1, .threads = 4, .devices = true};
    struct ech_machine big = {.cores = 16, .domains = 1}, small = {.cores = 3, .domains = 1},
                       two = {.cores = 2}, numa = {.cores = 64, .domains = 8, .devices = 4};
    struct ech_node_class domains = {.domains = 2};
    assert_int_equal(ech_nodes_ranks(7, &counted, &per_node, &big), 7);
    assert_int_equal(ech_nodes_ranks(0, &counted, &per_node, &big), 5);
    assert_int_equal(ech_nodes_ranks(0, &devices, &per_node, &big), 3);
    assert_int_equal(ech_nodes_ranks(0, &devices, &none, &big), 1); /* the job computes on processors */
    assert_int_equal(ech_nodes_ranks(0, &devices, &gpus, &big), 2);
    assert_int_equal(ech_nodes_ranks(0, NULL, &gpus, &numa), 4);
    assert_int_equal(ech_nodes_ranks(0, NULL, &gpus, &big), 4); /* it has no GPU */
    assert_int_equal(ech_nodes_ranks(0, NULL, &none, &big), 1);
    assert_int_equal(ech_nodes_ranks(0, NULL, &none, &numa), 8);
    assert_int_equal(ech_nodes_ranks(0, &domains, &none, &numa), 2);
    assert_int_equal(ech_nodes_ranks(0, NULL, &none, &two), 1);
    assert_int_equal(ech_nodes_ranks(0, NULL, &threads, &big), 4);
    assert_int_equal(ech_nodes_ranks(0, NULL, &threads, &small), 1);
    assert_int_equal(ech_nodes_ranks(0, &cores, &threads, &two), 16);
    assert_int_equal(ech_nodes_ranks(0, &both, &threads, &two), 8);
}

static void spread(const int64_t *slots, size_t count, int64_t ranks, int64_t *out, size_t *kept)
{
    struct ech_host items[8] = {0};
    struct ech_hosts hosts = {.items = items, .count = count, .capacity = 8};
    for (size_t i = 0; i < count; i++) {
        items[i].slots = slots[i];
        items[i].name[0] = (char)('a' + i);
    }
    ech_nodes_spread(&hosts, ranks);
    *kept = hosts.count;
    for (size_t i = 0; i < hosts.count; i++)
        out[items[i].name[0] - 'a'] = items[i].slots;
}

/* Never more than one rank beside the exact share, and their sum is N. */
static void ranks_are_spread_by_slots(void **state)
{
    const int64_t slots[] = {1, 4, 2, 16, 1};
    const int64_t total = 24;
    (void)state;
    for (int64_t ranks = 1; ranks <= 100; ranks++) {
        int64_t got[8] = {0}, sum = 0;
        size_t kept = 0, some = 0;
        spread(slots, 5, ranks, got, &kept);
        for (size_t i = 0; i < 5; i++) {
            int64_t exact = ranks * slots[i];
            assert_true(got[i] * total > exact - total && got[i] * total < exact + total);
            sum += got[i];
            some += got[i] > 0;
        }
        assert_int_equal(sum, ranks);
        assert_int_equal(kept, some);
    }
}

/* Hosts come in the order of the list: the first one has the first rank, the coordinator. */
static void one_rank_is_the_first_hosts(void **state)
{
    const int64_t slots[] = {1, 4, 2};
    int64_t got[8] = {0};
    size_t kept = 0;
    (void)state;
    spread(slots, 3, 1, got, &kept);
    assert_int_equal(kept, 1);
    assert_int_equal(got[0], 1);
}

static void equal_slots_give_equal_ranks(void **state)
{
    const int64_t slots[] = {2, 2, 2};
    int64_t got[8] = {0};
    size_t kept = 0;
    (void)state;
    spread(slots, 3, 12, got, &kept);
    assert_int_equal(kept, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(got[i], 4);
}

static int find(const char *cluster, struct ech_nodes_request request, int64_t nodes, struct ech_nodes *out,
                struct ech_layout *layout, struct ech_err *err)
{
    char path[] = "/tmp/echelon-nodes-XXXXXX";
    struct ech_place place = {.nodes = 1, .machine = {.cores = 8, .domains = 1}};
    struct ech_asked asked = {.ranks = -1, .nodes = nodes};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(ech_write_file(path, cluster, strlen(cluster), NULL), ECH_OK);
    request.cluster_path = path;
    int code = ech_nodes_find(&request, &place, &asked, out, layout, err);
    unlink(path);
    return code;
}

static const char two_classes[] = "launch: [my-agent, -q]\nexclude: [n2]\nclasses:\n"
                                  "  a: {hosts: \"n[1-3]\", ranks_per_node: 2}\n  b: {hosts: m1}\n";

static void a_cluster_file_gives_hosts_and_launch(void **state)
{
    struct ech_nodes nodes;
    struct ech_layout layout = {0};
    struct ech_err err = ECH_ERR_NONE;
    (void)state;
    assert_int_equal(find(two_classes, (struct ech_nodes_request){0}, 1, &nodes, &layout, &err), ECH_OK);
    assert_int_equal(nodes.hosts.count, 3);
    assert_string_equal(nodes.hosts.items[1].name, "n3");
    assert_string_equal(nodes.launch.data, "my-agent -q");
    assert_int_equal(layout.ranks, 5);
    assert_int_equal(layout.per_node, 2);
    assert_int_equal(layout.threads, 4);
    ech_nodes_fini(&nodes);
}

static void an_allocation_decides_which(void **state)
{
    struct ech_nodes nodes;
    struct ech_layout layout = {0};
    struct ech_err err = ECH_ERR_NONE;
    (void)state;
    struct ech_nodes_request in = {.node_list = "n[2-3],x7"};
    assert_int_equal(find(two_classes, in, 1, &nodes, &layout, &err), ECH_OK);
    assert_int_equal(nodes.hosts.count, 1); /* n2 is excluded, x7 is in no class */
    assert_string_equal(nodes.hosts.items[0].name, "n3");
    ech_nodes_fini(&nodes);
    in.node_list = "x[1-2]";
    assert_int_equal(find(two_classes, in, 1, &nodes, &layout, &err), ECH_UNAVAILABLE);
    ech_nodes_fini(&nodes);
}

static void what_cannot_be_is_refused(void **state)
{
    struct ech_nodes nodes;
    struct ech_layout layout = {0};
    struct ech_err err = ECH_ERR_NONE;
    (void)state;
    struct ech_nodes_request four = {.nodes_given = true};
    assert_int_equal(find(two_classes, four, 4, &nodes, &layout, &err), ECH_UNAVAILABLE);
    assert_non_null(strstr(err.text, "there are 3"));
    ech_nodes_fini(&nodes);
    ech_err_clear(&err);
    assert_int_equal(find(two_classes, four, 2, &nodes, &layout, &err), ECH_OK);
    assert_int_equal(nodes.hosts.count, 2);
    ech_nodes_fini(&nodes);
    const char *unlike = "classes:\n  a: {hosts: n1}\n  b: {hosts: m1, launch: other}\n";
    assert_int_equal(find(unlike, (struct ech_nodes_request){0}, 1, &nodes, &layout, &err), ECH_CONFIG);
    assert_non_null(strstr(err.text, "different launch commands"));
    ech_nodes_fini(&nodes);
    ech_err_clear(&err);
    const char *counted = "classes:\n  a: {count: 4}\n";
    assert_int_equal(find(counted, (struct ech_nodes_request){0}, 1, &nodes, &layout, &err), ECH_CONFIG);
    ech_nodes_fini(&nodes);
}

/* A list of hosts as --hosts has it; looked at by `look`. */
static int find_list(const char *text, struct ech_nodes_request request, const struct ech_asked *asked,
                     struct ech_nodes *out, struct ech_layout *layout, struct ech_err *err)
{
    struct ech_place place = {.nodes = 1, .machine = {.cores = 8, .domains = 1}};
    assert_int_equal(ech_write_file("hosts", text, strlen(text), NULL), ECH_OK);
    request.hosts_path = "hosts";
    return ech_nodes_find(&request, &place, asked, out, layout, err);
}

static int two_kinds(struct ech_nodes *nodes, struct ech_err *err)
{
    (void)err;
    for (size_t i = 0; i < nodes->hosts.count; i++)
        nodes->hosts.items[i].found = i % 2 ? (struct ech_machine){.cores = 64, .domains = 4}
                                            : (struct ech_machine){.cores = 16, .domains = 2};
    return ECH_OK;
}

static void what_hosts_have_decides(void **state)
{
    struct ech_nodes nodes;
    struct ech_layout layout = {0};
    struct ech_asked asked = {.ranks = -1};
    char *text = NULL;
    (void)state;
    struct ech_nodes_request q = {.look = two_kinds};
    assert_int_equal(find_list("n[1-3]\nn4 slots=1\n", q, &asked, &nodes, &layout, NULL), ECH_OK);
    assert_int_equal(nodes.hosts.items[0].slots, 2);
    assert_int_equal(nodes.hosts.items[1].slots, 4);
    assert_int_equal(nodes.hosts.items[3].slots, 1); /* said */
    assert_int_equal(layout.ranks, 9);
    assert_int_equal(layout.threads, 8);
    /* Kept is what was said alone: a resume counts the others anew. */
    assert_int_equal(ech_hosts_write(&nodes.hosts, true, "kept", NULL), ECH_OK);
    assert_int_equal(ech_read_file("kept", 1000, &text, NULL, NULL), ECH_OK);
    assert_string_equal(text, "n1\nn2\nn3\nn4 slots=1\n");
    ech_free(text);
    ech_nodes_fini(&nodes);
    q.said_anew = true;
    asked.ranks_per_node = 3;
    assert_int_equal(find_list("n1 slots=7\nn2\n", q, &asked, &nodes, &layout, NULL), ECH_OK);
    assert_int_equal(layout.ranks, 6);
    ech_nodes_fini(&nodes);
}

static void names_are_merged(void **state)
{
    struct ech_nodes nodes;
    struct ech_layout layout = {0};
    struct ech_asked asked = {.ranks = -1};
    (void)state;
    assert_int_equal(find_list("n1 slots=2\nn2\nn1 slots=3\nn2\n", (struct ech_nodes_request){0}, &asked,
                               &nodes, &layout, NULL),
                     ECH_OK);
    assert_int_equal(nodes.hosts.count, 2);
    assert_int_equal(nodes.hosts.items[0].slots, 5);
    assert_int_equal(nodes.hosts.items[1].slots, 1);
    ech_nodes_fini(&nodes);
}

/* A million names, each twice, in a class and half of them left out: quadratic it would take hours. */
static void a_million_names(void **state)
{
    struct ech_nodes nodes;
    struct ech_layout layout = {0};
    struct ech_err err = ECH_ERR_NONE;
    (void)state;
    static const char cluster[] =
        "exclude: ['a[000000-249999]']\nclasses:\n  a: {hosts: 'a[000000-499999]'}\n";
    assert_int_equal(find(cluster, (struct ech_nodes_request){0}, 1, &nodes, &layout, &err), ECH_OK);
    assert_int_equal(nodes.hosts.count, 250000);
    assert_string_equal(nodes.hosts.items[249999].name, "a499999");
    ech_nodes_fini(&nodes);
    struct ech_asked asked = {.ranks = -1};
    assert_int_equal(find_list("a[000000-499999]\na[000000-499999]\n", (struct ech_nodes_request){0}, &asked,
                               &nodes, &layout, &err),
                     ECH_OK);
    assert_int_equal(nodes.hosts.count, 500000);
    ech_nodes_fini(&nodes);
    assert_int_equal(find_list("a[000000-499999]\nb[000000-500000]\n", (struct ech_nodes_request){0}, &asked,
                               &nodes, &layout, &err),
                     ECH_CONFIG);
    assert_non_null(strstr(err.text, "more than 1000000 hosts"));
    ech_nodes_fini(&nodes);
}

static void braces_are_no_list(void **state)
{
    static const char *const wrong[] = {"{classes: {a: {hosts: n1}}}\n", "# ours\n---\n {\"classes\": 1}\n",
                                        "[n1, n2]\n"};
    struct ech_asked asked = {.ranks = -1};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct ech_nodes nodes;
        struct ech_layout layout = {0};
        struct ech_err err = ECH_ERR_NONE;
        assert_int_equal(find_list(wrong[i], (struct ech_nodes_request){0}, &asked, &nodes, &layout, &err),
                         ECH_USAGE);
        assert_non_null(strstr(err.text, "--cluster"));
        ech_nodes_fini(&nodes);
    }
}

static void the_users_launch_command_stays(void **state)
{
    struct ech_nodes nodes;
    struct ech_layout layout = {0};
    (void)state;
    assert_int_equal(
        find("classes:\n  a: {hosts: n1}\n", (struct ech_nodes_request){0}, 1, &nodes, &layout, NULL),
        ECH_OK);
    assert_int_equal(nodes.launch.length, 0); /* mpirun's own choice, which OMPI_MCA_plm_rsh_agent is */
    ech_nodes_fini(&nodes);
    setenv("OMPI_MCA_plm_rsh_agent", "blaunch -q", 1);
    assert_string_equal(ech_cluster_own_launch(), "blaunch -q");
    unsetenv("OMPI_MCA_plm_rsh_agent");
    assert_string_equal(ech_cluster_own_launch(), "ssh");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(ranks_of_a_node),
    cmocka_unit_test(ranks_are_spread_by_slots),
    cmocka_unit_test(equal_slots_give_equal_ranks),
    cmocka_unit_test(one_rank_is_the_first_hosts),
    cmocka_unit_test(a_cluster_file_gives_hosts_and_launch),
    cmocka_unit_test(an_allocation_decides_which),
    cmocka_unit_test(what_cannot_be_is_refused),
    cmocka_unit_test(what_hosts_have_decides),
    cmocka_unit_test(names_are_merged),
    cmocka_unit_test(a_million_names),
    cmocka_unit_test(braces_are_no_list),
    cmocka_unit_test(the_users_launch_command_stays),
};
ECH_TEST_MAIN(tests)
