/* doctor --cluster: reading what nodes say, also where they lie, and what is wrong with it. */
#include "tests/harness.h"

#include "launcher/node_facts.h"

static const char good[] =
    "Welcome to n1\n"
    "{\"echelon_node\":1,\"host\":\"n1\",\"version\":\"1.0\",\"mpi\":\"Open MPI v4\",\"kernels\":\"avx2\","
    "\"numerics\":\"cpu-f32-2 cpu-bf16-1\",\"shared\":\"\",\"cores\":16,\"memory\":68719476736,\"devices\":1,"
    "\"nofile\":4096,\"memlock\":-1,\"fabric\":false,\"shm\":34359738368,\"shm_free\":34359738368,"
    "\"time_us\":5000000}\n";

static struct ech_node_facts facts_of(const char *text, int64_t from, int64_t until)
{
    struct ech_node_facts f = {.seen = true};
    ech_node_facts_read(text, strlen(text), from, until, &f);
    return f;
}

static struct ech_node_facts fine(void)
{
    return facts_of(good, 4000000, 6000000);
}

static const struct ech_node_wanted wanted = {
    .version = "1.0", .mpi = "Open MPI v4", .numerics = "cpu-f32-2 cpu-bf16-1"};
static char class_name[] = "a";

/* The verdict on `f`, which must come from the check `what` alone (NULL: no fault). */
static enum ech_node_verdict verdict(const struct ech_node_facts *f, const struct ech_node_class *class,
                                     const char *what)
{
    struct ech_node_fault faults[ECH_NODE_FAULTS];
    int count = ech_node_faults(f, &wanted, class, faults);
    assert_int_equal(count, what ? 1 : 0);
    if (what) {
        assert_string_equal(faults[0].what, what);
        assert_true(faults[0].found[0] && faults[0].mend[0]);
    }
    return ech_node_worst(faults, count);
}

static void an_answer_is_read(void **state)
{
    struct ech_node_facts f = fine();
    (void)state;
    assert_true(f.answered);
    assert_string_equal(f.host, "n1");
    assert_string_equal(f.version, "1.0");
    assert_int_equal(f.cores, 16);
    assert_int_equal(f.memlock, -1);
    assert_int_equal(f.clock_us, 0);
    assert_int_equal(verdict(&f, NULL, NULL), ECH_NODE_GOOD);
}

static void hostile_answers_are_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "\n\n",
                                      "{",
                                      "{\"echelon_node\":1",
                                      "{\"echelon_node\":1}",
                                      "{\"echelon_node\":1,\"host\":7}",
                                      "[[[[[[[[",
                                      "x{\"echelon_node\":1,\"host\":\"n\"}"};
    char text[sizeof good + 64];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ech_node_facts f = facts_of(bad[i], 0, 1);
        assert_false(f.answered);
        assert_true(f.why[0]);
        assert_int_equal(verdict(&f, NULL, "reach"), ECH_NODE_LACKING);
    }
    for (size_t cut = strlen("Welcome to n1\n"); cut + 2 < sizeof good; cut++) { /* any prefix */
        struct ech_node_facts f = {0};
        assert_false(ech_node_facts_read(good, cut, 0, 1, &f));
    }
    snprintf(text, sizeof text, "%s", good);
    memcpy(strstr(text, "16,"), "-9", 2);
    assert_false(facts_of(text, 0, 1).answered);
    char *deep = malloc(60001);
    assert_non_null(deep);
    memset(deep, '[', 60000);
    memcpy(deep, "{\"echelon_node\":1,\"x\":", 22);
    deep[60000] = '\0';
    assert_false(facts_of(deep, 0, 1).answered);
    free(deep);
}

static void texts_are_made_printable_and_cut(void **state)
{
    char text[sizeof good + 512], long_name[300];
    (void)state;
    memset(long_name, 'v', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    const char *at = strstr(good, "n1\",\"version\":\"1.0\"");
    snprintf(text, sizeof text, "%.*s\\u001b[2J\",\"version\":\"%s\"%s", (int)(at - good), good, long_name,
             at + strlen("n1\",\"version\":\"1.0\""));
    struct ech_node_facts f = facts_of(text, 0, 9000000);
    assert_true(f.answered);
    assert_string_equal(f.host, "?[2J");
    assert_int_equal(strlen(f.version), sizeof f.version - 1);
}

static void clocks_are_compared_by_what_is_certain(void **state)
{
    struct ech_node_facts f = facts_of(good, 5000001, 9000000);
    (void)state;
    assert_int_equal(f.clock_us, -1);
    assert_int_equal(verdict(&f, NULL, NULL), ECH_NODE_GOOD);
    f = facts_of(good, 0, 3000000);
    assert_int_equal(f.clock_us, 2000000);
    assert_int_equal(verdict(&f, NULL, "clock"), ECH_NODE_WARN);
    f = facts_of(good, 9000000, 9500000);
    assert_int_equal(f.clock_us, -4000000);
    assert_int_equal(verdict(&f, NULL, "clock"), ECH_NODE_WARN);
}

static void each_fault_is_found(void **state)
{
    struct ech_node_class class = {
        .name = class_name, .cores = 16, .memory = INT64_C(64) << 30, .devices = 1};
    struct ech_node_facts f = fine();
    (void)state;
    assert_int_equal(verdict(&f, &class, NULL), ECH_NODE_GOOD);
    f.cores = 15;
    assert_int_equal(verdict(&f, &class, "cores"), ECH_NODE_LACKING);
    f = fine();
    f.memory = f.memory / 100 * 97; /* what the kernel keeps is no fault */
    assert_int_equal(verdict(&f, &class, NULL), ECH_NODE_GOOD);
    f.memory /= 2;
    assert_int_equal(verdict(&f, &class, "memory"), ECH_NODE_LACKING);
    f = fine();
    f.devices = 0;
    assert_int_equal(verdict(&f, &class, "devices"), ECH_NODE_LACKING);
    f = fine();
    f.seen = false;
    assert_int_equal(verdict(&f, &class, "folder"), ECH_NODE_LACKING);
    f = fine();
    snprintf(f.shared, sizeof f.shared, "no such folder");
    assert_int_equal(verdict(&f, &class, "folder"), ECH_NODE_LACKING);
    f = fine();
    f.version[0] = '2';
    assert_int_equal(verdict(&f, &class, "version"), ECH_NODE_LACKING);
    f = fine();
    f.mpi[0] = 'X';
    assert_int_equal(verdict(&f, &class, "MPI"), ECH_NODE_LACKING);
    f = fine();
    f.nofile = 1000;
    assert_int_equal(verdict(&f, &class, "files"), ECH_NODE_WARN);
    f.nofile = 100;
    assert_int_equal(verdict(&f, &class, "files"), ECH_NODE_LACKING);
    f = fine();
    f.memlock = 65536;
    assert_int_equal(verdict(&f, &class, NULL), ECH_NODE_GOOD);
    f.fabric = true;
    assert_int_equal(verdict(&f, &class, "memlock"), ECH_NODE_WARN);
    f = fine();
    f.shm_free = 1;
    assert_int_equal(verdict(&f, &class, "/dev/shm"), ECH_NODE_WARN);
    f.shm = 1 << 20;
    assert_int_equal(verdict(&f, &class, "/dev/shm"), ECH_NODE_LACKING);
}

static void the_class_of_most_nodes_counts(void **state)
{
    struct ech_node_facts f[5];
    (void)state;
    for (int i = 0; i < 5; i++)
        f[i] = fine();
    assert_string_equal(ech_node_numerics(f, 5), "cpu-f32-2 cpu-bf16-1");
    snprintf(f[0].numerics, sizeof f[0].numerics, "cpu-f32-1");
    f[1].answered = false;
    assert_string_equal(ech_node_numerics(f, 5), "cpu-f32-2 cpu-bf16-1");
    assert_string_equal(ech_node_numerics(f, 1), "cpu-f32-1");
    assert_string_equal(ech_node_numerics(f + 1, 1), "");
    assert_int_equal(verdict(&f[0], NULL, "numerics"), ECH_NODE_LACKING);
    snprintf(f[0].numerics, sizeof f[0].numerics, "cpu-f32-2 cpu-bf16-9"); /* f32 jobs are equal */
    assert_int_equal(verdict(&f[0], NULL, "numerics"), ECH_NODE_WARN);
    snprintf(f[0].numerics, sizeof f[0].numerics, "cpu-f32-22 cpu-bf16-1");
    assert_int_equal(verdict(&f[0], NULL, "numerics"), ECH_NODE_LACKING);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(an_answer_is_read),
    cmocka_unit_test(hostile_answers_are_refused),
    cmocka_unit_test(texts_are_made_printable_and_cut),
    cmocka_unit_test(clocks_are_compared_by_what_is_certain),
    cmocka_unit_test(each_fault_is_found),
    cmocka_unit_test(the_class_of_most_nodes_counts),
};
ECH_TEST_MAIN(tests)
