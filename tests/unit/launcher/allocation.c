/* What Slurm says of an allocation's nodes, and how much of its time is left. */
#include "launcher/allocation.h"
#include "launcher/slurm.h"

#include "base/io.h"
#include "tests/harness.h"

#include <sys/stat.h>

static void cores_of_each(void **state)
{
    (void)state;
    assert_int_equal(ech_slurm_cores_of("16(x3),8", 0), 16);
    assert_int_equal(ech_slurm_cores_of("16(x3),8", 2), 16);
    assert_int_equal(ech_slurm_cores_of("16(x3),8", 3), 8);
    assert_int_equal(ech_slurm_cores_of("16(x3),8", 4), 0);
    assert_int_equal(ech_slurm_cores_of("72", 0), 72);
    assert_int_equal(ech_slurm_cores_of("what", 0), 0);
}

static const char sinfo[] = "n1|16|2\nn2|16|2\nn2|16|2\nn3|64|4\nslurm: odd\n";

static void check(const char *own, int64_t first, int64_t second, int64_t third)
{
    struct ech_hosts hosts = {0};
    struct ech_machine here = {.cores = 16, .domains = 8, .devices = 1};
    assert_int_equal(ech_nodes_of_list("n[1-3],x9", 0, &hosts, NULL), ECH_OK);
    assert_int_equal(ech_allocation_read("n[1-3],x9", "16(x2),64,4", sinfo, own, &here, &hosts, NULL),
                     ECH_OK);
    assert_int_equal(hosts.items[0].found.domains, first);
    assert_int_equal(hosts.items[1].found.domains, second);
    assert_int_equal(hosts.items[2].found.domains, third);
    assert_int_equal(hosts.items[2].found.cores, 64);
    assert_int_equal(hosts.items[3].found.domains, 8); /* Slurm says nothing of it: as here */
    assert_int_equal(hosts.items[3].found.cores, 4);
    ech_hosts_fini(&hosts);
}

static void nodes_of_an_allocation(void **state)
{
    (void)state;
    check("n1", 8, 8, 4);      /* n2 is as n1 is; hwloc knows more of that than Slurm does */
    check("n3.site", 2, 2, 8); /* with a domain */
    check("login", 2, 2, 4);   /* none of them is known better */
}

static void time_left(void **state)
{
    (void)state;
    assert_true(ech_slurm_time_left("4:59\n") == 299);
    assert_true(ech_slurm_time_left("0:05\n") == 5);
    assert_true(ech_slurm_time_left("  1-00:00:10\n") == 86410);
    assert_true(ech_slurm_time_left("slurm: a warning\n2:00:00\n") == 7200);
    assert_true(ech_slurm_time_left("UNLIMITED\n") == 0);
    assert_true(ech_slurm_time_left("INVALID\n") == 0);
    assert_true(ech_slurm_time_left("NOT_SET\n") == 0);
    assert_true(ech_slurm_time_left("") == 0);
    unsetenv("SLURM_JOB_ID");
    assert_true(ech_allocation_end(true) == 0);
    setenv("SLURM_JOB_ID", "7", 1);
    setenv("SLURM_JOB_END_TIME", "1893456000", 1);
    assert_true(ech_allocation_end(false) == 1893456000.0);
    setenv("SLURM_JOB_END_TIME", "soon", 1);
    setenv("PATH", "/nowhere", 1);
    assert_true(ech_allocation_end(true) == 0); /* no squeue here */
}

static void who_fails_is_written_once(void **state)
{
    (void)state;
    struct ech_hosts hosts = {0};
    char *text = NULL;
    mkdir("run", 0777);
    assert_int_equal(ech_nodes_of_list("n[1-3]", 1, &hosts, NULL), ECH_OK);
    assert_int_equal(ech_allocation_leave_out(&hosts, "run", NULL), ECH_OK);
    assert_false(ech_path_exists("run/" ECH_RUN_SLURM_EXCLUDE));
    hosts.items[1].failures = 3;
    assert_int_equal(ech_allocation_leave_out(&hosts, "run", NULL), ECH_OK);
    hosts.items[1].failures = 2;
    hosts.items[2].failures = 4;
    assert_int_equal(ech_allocation_leave_out(&hosts, "run", NULL), ECH_OK);
    assert_int_equal(ech_allocation_leave_out(&hosts, "run", NULL), ECH_OK);
    assert_int_equal(ech_read_file("run/" ECH_RUN_SLURM_EXCLUDE, 100, &text, NULL, NULL), ECH_OK);
    assert_string_equal(text, "n2,n3\n");
    free(text);
    ech_hosts_fini(&hosts);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(cores_of_each), cmocka_unit_test(nodes_of_an_allocation), cmocka_unit_test(time_left),
    cmocka_unit_test(who_fails_is_written_once)};
ECH_TEST_MAIN(tests)
