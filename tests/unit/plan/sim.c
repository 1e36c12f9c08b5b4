/* The simulator: bounds, determinism, and that its invariants catch what is wrong. */
#include "tests/harness.h"

#include "plan/sim.h"
#include "plan/backlog.h"
#include "plan/grant.h"

#include <string.h>

static struct ech_sim_options cluster(uint64_t seed)
{
    struct ech_sim_options o;
    ech_sim_defaults(&o);
    o.seed = seed;
    o.rows = 8000000; /* about 300 s */
    return o;
}

static void adaptive_is_near_the_optimum(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct ech_sim_options o = cluster(seed);
        struct ech_sim_result r, again;
        struct ech_err err = ECH_ERR_NONE;
        assert_int_equal(ech_sim_run(&o, &r, &err), 0);
        assert_int_equal(r.rows_sealed, o.rows);
        assert_true(r.makespan_s <= 1.02 * r.optimum_s);
        o.dead_ranks = 0.01;
        if (ech_sim_run(&o, &r, &err))
            fail_msg("%s", err.text);
        assert_int_equal(r.rows_sealed, o.rows);
        if (!(r.makespan_s <= 1.05 * r.optimum_s))
            fail_msg("seed %d: %.3f s, optimum %.3f s", (int)seed, r.makespan_s, r.optimum_s);
        assert_int_equal(ech_sim_run(&o, &again, &err), 0);
        assert_memory_equal(&r, &again, sizeof r);
    }
}

static void every_policy_ends_under_faults(void **state)
{
    (void)state;
    for (int p = 0; p < ECH_SIM_POLICIES; p++)
        for (uint64_t seed = 1; seed <= 20; seed++) {
            struct ech_sim_options o = cluster(seed);
            struct ech_sim_result r;
            struct ech_err err = ECH_ERR_NONE;
            o.rows = 500000;
            o.policy = (enum ech_sim_policy)p;
            o.dead_ranks = 0.1;
            o.dead_nodes = 0.1;
            o.slow_nodes = 0.2;
            o.late_nodes = 0.2;
            if (ech_sim_run(&o, &r, &err))
                fail_msg("%s: %s", ech_sim_policy_names[p], err.text);
            assert_int_equal(r.rows_sealed, o.rows);
            assert_true(r.makespan_s >= 0.9 * r.optimum_s);
        }
}

static void a_broken_rule_is_caught(void **state)
{
    (void)state;
    for (int m = ECH_SIM_GRANT_TWICE; m < ECH_SIM_MUTATIONS; m++) {
        struct ech_sim_options o = cluster(3);
        struct ech_sim_result r;
        struct ech_err err = ECH_ERR_NONE;
        o.mutation = (enum ech_sim_mutation)m;
        o.dead_ranks = 0.05;
        o.dead_nodes = o.slow_nodes = 0.3;
        o.small_nodes = 0.5;
        if (ech_sim_run(&o, &r, &err) != ECH_BUG)
            fail_msg("mutation %d is not seen", m);
        assert_non_null(strstr(err.text, "seed 3"));
    }
}

/* Rows that cannot end are not begun, so the limit costs next to nothing. */
static void a_limit_wastes_nothing(void **state)
{
    (void)state;
    struct ech_sim_options o = cluster(7);
    struct ech_sim_result r;
    struct ech_err err = ECH_ERR_NONE;
    o.noise = o.probe_error = 0;
    assert_int_equal(ech_sim_run(&o, &r, &err), 0);
    o.limit_s = r.optimum_s / 2;
    if (ech_sim_run(&o, &r, &err))
        fail_msg("%s", err.text);
    assert_true(r.stopped && r.makespan_s <= o.limit_s);
    assert_true(r.rows_sealed < o.rows && (double)r.rows_sealed > 0.495 * (double)o.rows);
}

/* Why begun or claimed rows are copied and never taken away from their owner (plan/README.md). */
static void copies_cost_less_than_a_hundredth(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct ech_sim_options o = cluster(seed);
        struct ech_sim_result r;
        struct ech_err err = ECH_ERR_NONE;
        o.slow_nodes = o.late_nodes = 0.2;
        if (ech_sim_run(&o, &r, &err))
            fail_msg("%s", err.text);
        if (!(r.rows_copied * 100 < o.rows))
            fail_msg("seed %d: %lld of %lld rows copied", (int)seed, (long long)r.rows_copied,
                     (long long)o.rows);
    }
}

static void rows_of_a_copy(void **state)
{
    (void)state;
    struct ech_rowset held = {0}, copied = {0};
    struct ech_range r;
    struct ech_tail_view v = {&held, &copied, 3, 1, 1};
    assert_false(ech_tail_copy(&v, &r));
    ech_rowset_add(&held, 100, 200, NULL, NULL);
    assert_true(ech_tail_copy(&v, &r));
    assert_true(r.first == 125 && r.end == 200);
    ech_rowset_add(&copied, 125, 200, NULL, NULL);
    assert_true(ech_tail_copy(&v, &r)); /* the rest, and no row a second time */
    assert_true(r.first == 107 && r.end == 125);
    v.theirs = 1000; /* nothing to win */
    assert_false(ech_tail_copy(&v, &r));
    v.theirs = 0;
    assert_false(ech_tail_copy(&v, &r));
    ech_rowset_fini(&held);
    ech_rowset_fini(&copied);
}

static void the_node_with_most_is_found(void **state)
{
    (void)state;
    enum { NODES = 37 };
    struct ech_backlog b;
    uint32_t random = 7;
    assert_int_equal(ech_backlog_init(&b, NODES, NULL), 0);
    assert_int_equal(ech_backlog_most(&b, 0), -1);
    for (int turn = 0; turn < 5000; turn++) {
        random = random * 1664525u + 1013904223u;
        int node = (int)(random >> 8) % NODES, me = (int)(random >> 20) % NODES;
        ech_backlog_set(&b, node, (random >> 16) % 3 ? (random >> 12) % 1000 : 0);
        double most = 0;
        for (int n = 0; n < NODES; n++)
            most = n != me && b.seconds[n] > most ? b.seconds[n] : most;
        int found = ech_backlog_most(&b, me);
        assert_true(found != me && (found < 0 ? most <= 0 : b.seconds[found] >= most));
    }
    ech_backlog_fini(&b);
}

static void a_node_is_granted_by_its_share(void **state)
{
    (void)state;
    struct ech_grant_view v = {.left = 1000, .least = 10, .most = 400, .rows_s = 20, .share = 0.5};
    assert_int_equal(ech_grant_rows(&v), 250);
    v.unclaimed = 40; /* two seconds */
    assert_int_equal(ech_grant_rows(&v), 0);
    v.alone = true;
    assert_int_equal(ech_grant_rows(&v), 1000);
    assert_true(ech_grant_share(0, 10, 1, 4) == 0.25 && ech_grant_share(3, 4, 1, 4) == 0.75);
    struct ech_rowset held = {0}, done = {0}, todo = {0};
    ech_rowset_add(&held, 0, 100, NULL, NULL);
    ech_rowset_add(&done, 20, 30, NULL, NULL);
    assert_int_equal(ech_grant_put_back(&held, &done, &todo, NULL), 0);
    assert_true(held.rows == 0 && todo.rows == 90 && !ech_rowset_has(&todo, 20, 21));
    ech_rowset_fini(&done);
    ech_rowset_fini(&todo);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_node_with_most_is_found),       cmocka_unit_test(a_node_is_granted_by_its_share),
    cmocka_unit_test(adaptive_is_near_the_optimum),      cmocka_unit_test(every_policy_ends_under_faults),
    cmocka_unit_test(a_broken_rule_is_caught),           cmocka_unit_test(a_limit_wastes_nothing),
    cmocka_unit_test(copies_cost_less_than_a_hundredth), cmocka_unit_test(rows_of_a_copy),
};

ECH_TEST_MAIN(tests)
