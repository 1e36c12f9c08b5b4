/* Which hosts an attempt has, from the host file and from what went before. */
#include "launcher/hosts.h"
#include "launcher/nodes.h"

#include "base/io.h"
#include "tests/harness.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char file[] = "# ours\nnode1 slots=2\nnode2  slots = 4 max_slots=8\n\nnode3\n";

static void told(const struct ech_hosts *hosts, const char *expected)
{
    struct ech_str text;
    ech_str_init(&text);
    ech_hosts_tell_out(hosts, &text);
    assert_string_equal(text.data ? text.data : "", expected);
    ech_str_fini(&text);
}

static void parses(void **state)
{
    (void)state;
    struct ech_hosts hosts = {0};
    assert_int_equal(ech_hosts_parse(file, &hosts, NULL), ECH_OK);
    assert_int_equal(hosts.count, 3);
    assert_int_equal(ech_hosts_find(&hosts, "node2")->slots, 4);
    assert_int_equal(ech_hosts_find(&hosts, "node3")->slots, 1);
    assert_null(ech_hosts_find(&hosts, "node"));
    assert_int_equal(ech_hosts_parse("x slots=0\n", &hosts, NULL), ECH_CONFIG);
    assert_int_equal(ech_hosts_parse("y slots=many\n", &hosts, NULL), ECH_CONFIG);
    ech_hosts_fini(&hosts);
}

static void leaves_out(void **state)
{
    (void)state;
    struct ech_hosts hosts = {0};
    assert_int_equal(ech_hosts_parse(file, &hosts, NULL), ECH_OK);
    assert_int_equal(ech_hosts_ranks(&hosts, 7), 7);
    told(&hosts, "");
    hosts.items[1].failures = 2;
    assert_false(ech_host_out(&hosts.items[1]));
    hosts.items[1].failures = 3;
    hosts.items[2].silent = true;
    told(&hosts, "node2 (failed in 3 attempts), node3 (does not answer)");
    assert_int_equal(ech_hosts_ranks(&hosts, 7), 2);
    assert_int_equal(ech_hosts_ranks(&hosts, 1), 1);
    assert_int_equal(ech_hosts_write(&hosts, false, "left", NULL), ECH_OK);
    char *text = NULL;
    assert_int_equal(ech_read_file("left", 1000, &text, NULL, NULL), ECH_OK);
    assert_string_equal(text, "node1 slots=2\n");
    free(text);
    hosts.items[0].silent = true;
    assert_int_equal(ech_hosts_ranks(&hosts, 7), 0);
    ech_hosts_fini(&hosts);
}

/* Attempts 1 and 2 lost a rank on node2: declared dead in one, silent at the end of a phase in the other. */
static void history(void **state)
{
    (void)state;
    static const char dead[] =
        "{\"v\":1,\"run\":\"r\",\"attempt\":1,\"epoch\":0,\"node\":0,\"rank\":0,\"seq\":1,\"mono_ns\":1,"
        "\"wall\":\"2026-01-01T00:00:00.000Z\",\"type\":\"dead\",\"who\":1,\"host\":\"node2\",\"reason\":"
        "\"x\"}\n";
    static const char launch[] = "{\"attempt\":%d,\"pid\":1,\"pid_start\":1,\"host\":\"node1\",\"ranks\":2,"
                                 "\"started\":\"2026-01-01T00:00:00.000Z\",\"command\":[\"mpirun\"]}\n";
    struct ech_hosts hosts = {0};
    assert_int_equal(ech_hosts_parse(file, &hosts, NULL), ECH_OK);
    assert_int_equal(ech_mkdir_all("run/nodes/node1", NULL), ECH_OK);
    assert_int_equal(ech_mkdir_all("run/nodes/node2", NULL), ECH_OK);
    assert_int_equal(ech_write_file("run/job.yaml", "kind: embed\n", 12, NULL), ECH_OK);
    for (int n = 1; n <= 2; n++) {
        char path[64], text[256];
        snprintf(path, sizeof path, "run/launch-%d.json", n);
        int length = snprintf(text, sizeof text, launch, n);
        assert_int_equal(ech_write_file(path, text, (size_t)length, NULL), ECH_OK);
    }
    assert_int_equal(ech_write_file("run/nodes/node1/events-1-0.jsonl", dead, sizeof dead - 1, NULL), ECH_OK);
    assert_int_equal(ech_write_file("run/nodes/node1/word-2-0", "verify 5 1\n", 11, NULL), ECH_OK);
    assert_int_equal(ech_write_file("run/nodes/node2/events-2-1.jsonl", "", 0, NULL), ECH_OK);
    assert_int_equal(ech_hosts_history(&hosts, "run", 1, NULL), ECH_OK);
    assert_int_equal(ech_hosts_find(&hosts, "node2")->failures, 1);
    assert_int_equal(ech_hosts_history(&hosts, "run", 3, NULL), ECH_OK); /* attempt 3 left no trace */
    assert_int_equal(ech_hosts_find(&hosts, "node2")->failures, 2);
    assert_int_equal(ech_hosts_find(&hosts, "node1")->failures, 0);
    ech_hosts_fini(&hosts);
}

static void probes(void **state)
{
    (void)state;
    static const char agent[] =
        "#!/bin/sh\n[ \"$1\" = -q ] && [ \"$2\" = node1 ] && exec $3\n[ \"$2\" = node2 ] && "
        "sleep 20\nexit 255\n";
    struct ech_hosts hosts = {0};
    assert_int_equal(ech_hosts_parse(file, &hosts, NULL), ECH_OK);
    assert_int_equal(ech_write_file("agent", agent, sizeof agent - 1, NULL), ECH_OK);
    assert_int_equal(chmod("agent", 0700), 0);
    assert_int_equal(ech_hosts_probe(&hosts, "./agent -q", 1, NULL), ECH_OK);
    assert_false(hosts.items[0].silent);
    assert_true(hosts.items[1].silent);
    assert_true(hosts.items[2].silent);
    assert_int_equal(ech_hosts_probe(&hosts, "no-such-agent", 1, NULL), ECH_OK);
    assert_true(hosts.items[0].silent);
    ech_hosts_fini(&hosts);
}

/* No agent: only this host answers, whatever it is called. */
static void is_here(void **state)
{
    (void)state;
    char text[256], own[64] = "";
    struct ech_hosts hosts = {0};
    gethostname(own, sizeof own - 1);
    own[strcspn(own, ".")] = '\0';
    snprintf(text, sizeof text, "localhost\n127.0.0.1\n%s\n%s.some.site\n%sx\n", own, own, own);
    assert_int_equal(ech_hosts_parse(text, &hosts, NULL), ECH_OK);
    assert_int_equal(ech_hosts_probe(&hosts, "no-such-agent", 1, NULL), ECH_OK);
    assert_false(hosts.items[0].silent || hosts.items[1].silent || hosts.items[2].silent);
    assert_true(hosts.items[4].silent);
    ech_hosts_fini(&hosts);
}

/* A resume on other hosts without a cluster: the earlier cluster file speaks of others. */
static void saves(void **state)
{
    (void)state;
    static const char text[] = "classes: {a: {hosts: x}}\n";
    struct ech_nodes nodes = {0};
    assert_int_equal(ech_mkdir_all("saved", NULL), ECH_OK);
    assert_int_equal(ech_hosts_parse("x slots=2\n", &nodes.hosts, NULL), ECH_OK);
    assert_int_equal(ech_cluster_load_text("c", text, sizeof text - 1, &nodes.cluster, NULL), ECH_OK);
    assert_int_equal(ech_nodes_save(&nodes, "saved", NULL), ECH_OK);
    assert_true(ech_path_exists("saved/cluster.yaml"));
    ech_cluster_destroy(nodes.cluster);
    nodes.cluster = NULL;
    assert_int_equal(ech_nodes_save(&nodes, "saved", NULL), ECH_OK);
    assert_false(ech_path_exists("saved/cluster.yaml"));
    assert_true(ech_path_exists("saved/hosts"));
    ech_hosts_fini(&nodes.hosts);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(parses), cmocka_unit_test(leaves_out), cmocka_unit_test(history),
    cmocka_unit_test(probes), cmocka_unit_test(is_here),    cmocka_unit_test(saves),
};

ECH_TEST_MAIN(tests)
