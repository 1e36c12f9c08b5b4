/* coord: grants, deaths, copies and states as a pure machine, and a seeded storm of all of them. */
#include "tests/harness.h"

#include "base/mem.h"
#include "job/coord.h"
#include "job/wire.h"

static const int node_of[] = {0, 1, 2};

static struct ech_coord *open_coord(int64_t rows, const struct ech_rowset *done, bool equal)
{
    struct ech_coord_options o = {.nodes = 3,
                                  .ranks = 3,
                                  .node_of = node_of,
                                  .rows = rows,
                                  .done = done,
                                  .equal = equal,
                                  .max_errors = 5,
                                  .node_deadline = 10};
    struct ech_coord *c;
    assert_int_equal(ech_coord_create(&o, &c, NULL), 0);
    return c;
}

static struct ech_report asks(int node)
{
    return (struct ech_report){
        .node = node, .room = 8, .least = 10, .most = 100000, .speed = 100, .rows_s = 10};
}

static void all_rows_are_granted_once_and_done(void **state)
{
    (void)state;
    struct ech_coord *c = open_coord(1000, NULL, false);
    struct ech_rowset granted;
    ech_rowset_init(&granted);
    for (int turn = 0; ech_coord_state(c) == ECH_STATE_RUN; turn++) {
        struct ech_report r = asks(turn % 3);
        struct ech_reply reply;
        assert_int_equal(ech_coord_report(c, turn * 0.1, &r, &reply, NULL), 0);
        struct ech_spooled done[8];
        for (int i = 0; i < reply.grants_count; i++) {
            struct ech_range g = reply.grants[i];
            int64_t added;
            ech_rowset_add(&granted, g.first, g.end, &added, NULL);
            assert_int_equal(added, g.end - g.first);
            done[i] = (struct ech_spooled){g.first, g.end - g.first, 0, 7};
        }
        r.done = done;
        r.done_count = reply.grants_count;
        assert_int_equal(ech_coord_report(c, turn * 0.1, &r, &reply, NULL), 0);
        for (int i = 0; i < reply.grants_count; i++) { /* of the second report */
            struct ech_spooled s = {reply.grants[i].first, reply.grants[i].end - reply.grants[i].first, 0, 7};
            ech_rowset_add(&granted, reply.grants[i].first, reply.grants[i].end, NULL, NULL);
            r.done = &s;
            r.done_count = 1;
            struct ech_reply ignored;
            r.room = 0;
            assert_int_equal(ech_coord_report(c, turn * 0.1, &r, &ignored, NULL), 0);
        }
        assert_true(turn < 1000);
    }
    assert_int_equal(ech_coord_state(c), ECH_STATE_DONE);
    assert_int_equal(granted.rows, 1000);
    assert_int_equal(ech_coord_done(c)->rows, 1000);
    ech_rowset_fini(&granted);
    ech_coord_destroy(c);
}

static void rows_done_before_are_not_granted(void **state)
{
    (void)state;
    struct ech_rowset done;
    ech_rowset_init(&done);
    ech_rowset_add(&done, 0, 990, NULL, NULL);
    struct ech_coord *c = open_coord(1000, &done, false);
    struct ech_report r = asks(1);
    struct ech_reply reply;
    ech_coord_report(c, 0, &r, &reply, NULL);
    assert_int_equal(reply.grants_count, 1);
    assert_true(reply.grants[0].first == 990 && reply.grants[0].end <= 1000);
    ech_coord_destroy(c);
    ech_rowset_add(&done, 990, 1000, NULL, NULL);
    c = open_coord(1000, &done, false);
    assert_int_equal(ech_coord_state(c), ECH_STATE_DONE);
    ech_coord_destroy(c);
    ech_rowset_fini(&done);
}

static void a_silent_nodes_rows_are_granted_again(void **state)
{
    (void)state;
    struct ech_coord *c = open_coord(300, NULL, false);
    struct ech_report r = asks(1);
    struct ech_reply reply;
    ech_coord_report(c, 0, &r, &reply, NULL);
    struct ech_range lost = reply.grants[0];
    for (int n = 0; n < 3; n += 2) {
        r = asks(n);
        ech_coord_report(c, 9, &r, &reply, NULL);
    }
    assert_int_equal(ech_coord_tick(c, 11, NULL), 0);
    assert_false(ech_coord_alive(c, 1));
    assert_int_equal(ech_coord_epoch(c), 1);
    r = asks(0);
    r.unclaimed = 0;
    ech_coord_report(c, 11, &r, &reply, NULL);
    assert_true(reply.epoch == 1 && reply.dead_count == 1 && reply.dead[0] == 1);
    r.epoch = 1; /* it knows */
    struct ech_reply after;
    ech_coord_report(c, 11, &r, &after, NULL);
    assert_int_equal(after.dead_count, 0);
    r.epoch = 7; /* of another coordinator: it is told all of them */
    ech_coord_report(c, 11, &r, &after, NULL);
    assert_int_equal(after.dead_count, 1);
    assert_int_equal(reply.grants[0].first, lost.first);
    r = asks(1); /* the dead one wakes */
    r.done = (struct ech_spooled[]){{lost.first, 5, 0, 5}};
    r.done_count = 1;
    ech_coord_report(c, 12, &r, &reply, NULL);
    assert_true(reply.fenced && reply.grants_count == 0);
    assert_int_equal(ech_coord_done(c)->rows, 0);
    ech_coord_destroy(c);
}

static void an_idle_node_copies_from_the_slowest(void **state)
{
    (void)state;
    struct ech_coord *c = open_coord(100, NULL, false);
    struct ech_reply reply;
    struct ech_report slow = asks(1), fast = asks(0);
    slow.least = slow.most = 100;
    slow.rows_s = 1;
    ech_coord_report(c, 0, &slow, &reply, NULL);
    assert_true(reply.grants[0].end - reply.grants[0].first == 100);
    fast.idle = true;
    fast.rows_s = 99;
    ech_coord_report(c, 1, &fast, &reply, NULL);
    assert_int_equal(reply.grants_count, 1);
    assert_true(reply.grants[0].first == 1 && reply.grants[0].end == 100);
    struct ech_spooled done[] = {{1, 99, 2, 990}, {0, 1, 0, 10}};
    fast.done = done;
    fast.done_count = 1;
    ech_coord_report(c, 2, &fast, &reply, NULL);
    assert_int_equal(reply.grants_count, 1); /* the slow one needs a second for the last row */
    assert_true(reply.grants[0].first == 0 && reply.grants[0].end == 1);
    fast.done_count = 0;
    ech_coord_report(c, 2, &fast, &reply, NULL);
    assert_int_equal(reply.grants_count, 0); /* never a second time */
    struct ech_report third = asks(2);
    ech_coord_report(c, 3, &third, &reply, NULL);
    slow.done = &done[0]; /* the slow one's copy, late: counted once */
    slow.done_count = 2;
    ech_coord_report(c, 3, &slow, &reply, NULL);
    assert_int_equal(reply.state, ECH_STATE_DONE);
    assert_int_equal(ech_coord_errors(c), 2);
    assert_int_equal(ech_coord_tokens(c), 1000);
    ech_coord_destroy(c);
}

/* All rows are done, one of the nodes has stopped before: what comes next needs every rank that lives. */
static void a_silent_node_is_awaited_before_the_end(void **state)
{
    (void)state;
    for (int wakes = 0; wakes < 2; wakes++) {
        struct ech_coord *c = open_coord(10, NULL, false);
        struct ech_reply reply;
        struct ech_report r = asks(0), other = asks(2);
        ech_coord_report(c, 0, &r, &reply, NULL);
        r.done = (struct ech_spooled[]){{0, 10, 0, 10}};
        r.done_count = 1;
        ech_coord_report(c, 2, &r, &reply, NULL);
        r.done_count = 0;
        ech_coord_report(c, 2, &other, &reply, NULL);
        assert_int_equal(reply.state, ECH_STATE_RUN); /* node 1 has said nothing for 2 s */
        if (wakes) {
            struct ech_report late = asks(1);
            ech_coord_report(c, 2.1, &late, &reply, NULL);
        } else {
            ech_coord_report(c, 10, &other, &reply, NULL);
            ech_coord_report(c, 10, &r, &reply, NULL);
            assert_int_equal(reply.state, ECH_STATE_RUN);
            assert_int_equal(ech_coord_tick(c, 10.5, NULL), 0);
            ech_coord_report(c, 10.5, &r, &reply, NULL);
            assert_true(reply.dead_count == 1 && reply.dead[0] == 1);
        }
        assert_int_equal(reply.state, ECH_STATE_DONE);
        ech_coord_destroy(c);
    }
}

static void states_follow_stop_failure_and_bad_rows(void **state)
{
    (void)state;
    struct ech_reply reply;
    struct ech_coord *c = open_coord(100, NULL, false);
    struct ech_report r = asks(0);
    r.stop = true;
    ech_coord_report(c, 0, &r, &reply, NULL);
    assert_int_equal(reply.state, ECH_STATE_STOP);
    assert_int_equal(reply.grants_count, 0);
    ech_coord_destroy(c);
    c = open_coord(100, NULL, false);
    r = asks(0);
    r.failed = 74;
    ech_coord_report(c, 0, &r, &reply, NULL);
    assert_int_equal(reply.state, ECH_STATE_FAIL);
    ech_coord_destroy(c);
    c = open_coord(100, NULL, false);
    r = asks(0);
    r.done = (struct ech_spooled[]){{0, 10, 6, 5}};
    r.done_count = 1;
    ech_coord_report(c, 0, &r, &reply, NULL);
    assert_int_equal(reply.state, ECH_STATE_FAIL);
    ech_coord_destroy(c);
    c = open_coord(10, NULL, false); /* the same rows are the last ones */
    ech_coord_report(c, 0, &r, &reply, NULL);
    assert_int_equal(reply.state, ECH_STATE_FAIL);
    ech_coord_destroy(c);
}

/* A second round of rows: who died in the first one stays dead. */
static void the_dead_of_an_earlier_round_stay_dead(void **state)
{
    (void)state;
    const int pairs[] = {0, 0, 1, 1, 2};
    const bool alive[] = {true, false, true, true, false};
    struct ech_coord_options o = {
        .nodes = 3, .ranks = 5, .node_of = pairs, .alive = alive, .rows = 100, .node_deadline = 10};
    struct ech_coord *c;
    struct ech_reply reply;
    assert_int_equal(ech_coord_create(&o, &c, NULL), 0);
    struct ech_report r = asks(1);
    ech_coord_report(c, 0, &r, &reply, NULL);
    assert_true(reply.grants_count > 0 && !reply.fenced);
    r = asks(2);
    ech_coord_report(c, 0, &r, &reply, NULL);
    assert_true(reply.fenced);
    r = asks(0);
    ech_coord_report(c, 100, &r, &reply, NULL);
    assert_int_equal(ech_coord_tick(c, 100, NULL), 0); /* node 1 falls silent */
    for (int rank = 0; rank < 5; rank++)
        assert_int_equal(ech_coord_alive(c, rank), rank == 0);
    ech_coord_report(c, 100, &r, &reply, NULL);
    assert_true(reply.dead_count == 2 && reply.dead[0] == 2 && reply.dead[1] == 3);
    assert_int_equal(ech_coord_done(c)->rows, 0);
    ech_coord_destroy(c);
}

static void equal_gives_each_its_part_and_balances_what_comes_back(void **state)
{
    (void)state;
    struct ech_coord *c = open_coord(300, NULL, true);
    struct ech_reply reply;
    for (int n = 0; n < 3; n++) {
        struct ech_report r = asks(n);
        ech_coord_report(c, 0, &r, &reply, NULL);
        int64_t rows = 0;
        for (int i = 0; i < reply.grants_count; i++)
            rows += reply.grants[i].end - reply.grants[i].first;
        assert_true(rows >= 98 && rows <= 101);
    }
    struct ech_report dead = asks(0);
    dead.dead = (int[]){2};
    dead.dead_count = 1;
    ech_coord_report(c, 1, &dead, &reply, NULL);
    assert_true(reply.grants_count > 0);
    ech_coord_destroy(c);
}

static void reports_survive_the_wire(void **state)
{
    (void)state;
    struct ech_spooled done[] = {{1, 2, 3, 4}, {5, 6, 7, 8}};
    struct ech_range held[] = {{10, 20}};
    int dead[] = {2};
    struct ech_report r = asks(1), back;
    r.done = done;
    r.done_count = 2;
    r.held = held;
    r.held_count = 1;
    r.dead = dead;
    r.dead_count = 1;
    struct ech_str s;
    struct ech_err err = ECH_ERR_NONE;
    ech_str_init(&s);
    ech_wire_put_report(&r, &s);
    assert_int_equal(ech_wire_get_report(s.data, s.length, 3, 3, &back, &err), 0);
    assert_memory_equal(back.done, done, sizeof done);
    assert_memory_equal(back.held, held, sizeof held);
    assert_int_equal(back.dead[0], 2);
    ech_wire_report_fini(&back);
    for (size_t cut = 0; cut < s.length; cut++) {
        ech_err_clear(&err);
        assert_int_equal(ech_wire_get_report(s.data, cut, 3, 3, &back, &err), ECH_BUG);
    }
    ech_err_clear(&err);
    assert_int_equal(ech_wire_get_report(s.data, s.length, 1, 3, &back, &err), ECH_BUG); /* node 1 of 1 */
    ech_str_fini(&s);
}

static void a_reply_tells_the_dead_and_no_more(void **state)
{
    (void)state;
    const int dead[] = {5, 2};
    struct ech_reply reply = {
        .epoch = 9, .grants = {{3, 7}}, .grants_count = 1, .dead_count = 2, .dead = dead};
    struct ech_reply back;
    struct ech_str s;
    struct ech_err err = ECH_ERR_NONE;
    ech_str_init(&s);
    ech_wire_put_reply(&reply, &s);
    assert_int_equal(s.length, sizeof reply + sizeof dead); /* however many ranks there are */
    assert_int_equal(ech_wire_get_reply(s.data, s.length, 64000, &back, &err), 0);
    assert_true(back.epoch == 9 && back.grants_count == 1 && back.grants[0].end == 7 && back.dead_count == 2);
    assert_memory_equal(back.dead, dead, sizeof dead);
    for (size_t cut = 0; cut < s.length; cut++) {
        ech_err_clear(&err);
        assert_int_equal(ech_wire_get_reply(s.data, cut, 64000, &back, &err), ECH_BUG);
    }
    ech_err_clear(&err);
    assert_int_equal(ech_wire_get_reply(s.data, s.length, 5, &back, &err), ECH_BUG); /* rank 5 of 5 */
    ech_str_fini(&s);
}

/* --- a storm: nodes report in any order, lose rows, die; in the end every row is done --- */

static uint32_t seed;
static int below(int n)
{
    seed = seed * 1664525u + 1013904223u;
    return (int)((seed >> 8) % (uint32_t)n);
}

static void storm(uint32_t start)
{
    enum { NODES = 6, ROWS = 5000 };
    static const int own[NODES] = {0, 1, 2, 3, 4, 5};
    seed = start;
    struct ech_coord_options o = {
        .nodes = NODES, .ranks = NODES, .node_of = own, .rows = ROWS, .max_errors = 0, .node_deadline = 5};
    struct ech_coord *c;
    assert_int_equal(ech_coord_create(&o, &c, NULL), 0);
    struct ech_rowset held[NODES];
    bool dead[NODES] = {false};
    for (int n = 0; n < NODES; n++)
        ech_rowset_init(&held[n]);
    double now = 0;
    for (int turn = 0; ech_coord_state(c) == ECH_STATE_RUN; turn++) {
        assert_true(turn < 100000);
        now += 0.05;
        int n = below(NODES);
        if (n > 0 && below(400) == 0)
            dead[n] = true; /* falls silent with what it holds */
        assert_int_equal(ech_coord_tick(c, now, NULL), 0);
        if (dead[n])
            continue;
        struct ech_range work;
        struct ech_spooled done = {0};
        struct ech_report r = asks(n);
        r.speed = 10 * (n + 1);
        r.rows_s = n + 1;
        r.idle = held[n].rows == 0;
        r.unclaimed = held[n].rows;
        if (ech_rowset_take(&held[n], 1 + below(40), &work)) {
            done = (struct ech_spooled){work.first, work.end - work.first, 0, 1};
            r.done = &done;
            r.done_count = 1;
        }
        struct ech_reply reply;
        assert_int_equal(ech_coord_report(c, now, &r, &reply, NULL), 0);
        if (reply.fenced)
            dead[n] = true;
        for (int i = 0; i < reply.grants_count; i++)
            ech_rowset_add(&held[n], reply.grants[i].first, reply.grants[i].end, NULL, NULL);
    }
    assert_int_equal(ech_coord_state(c), ECH_STATE_DONE);
    assert_int_equal(ech_coord_done(c)->rows, ROWS);
    for (int n = 0; n < NODES; n++)
        ech_rowset_fini(&held[n]);
    ech_coord_destroy(c);
}

static void storms_end_with_every_row_done(void **state)
{
    (void)state;
    for (uint32_t s = 1; s <= 50; s++)
        storm(s);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(all_rows_are_granted_once_and_done),
    cmocka_unit_test(rows_done_before_are_not_granted),
    cmocka_unit_test(a_silent_nodes_rows_are_granted_again),
    cmocka_unit_test(an_idle_node_copies_from_the_slowest),
    cmocka_unit_test(a_silent_node_is_awaited_before_the_end),
    cmocka_unit_test(states_follow_stop_failure_and_bad_rows),
    cmocka_unit_test(the_dead_of_an_earlier_round_stay_dead),
    cmocka_unit_test(equal_gives_each_its_part_and_balances_what_comes_back),
    cmocka_unit_test(reports_survive_the_wire),
    cmocka_unit_test(a_reply_tells_the_dead_and_no_more),
    cmocka_unit_test(storms_end_with_every_row_done),
};

ECH_TEST_MAIN(tests)
