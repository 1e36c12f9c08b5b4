/* plan: sampling, the token line, lease sizes, shares. */
#include "tests/harness.h"

#include "base/json.h"
#include "plan/lease.h"
#include "plan/memory.h"
#include "plan/shares.h"
#include "plan/speed.h"
#include "plan/tokens.h"

#include <math.h>

static void sample_is_seeded_distinct_and_ascending(void **state)
{
    (void)state;
    int64_t a[100], b[100];
    assert_int_equal(ech_sample_rows(INT64_MAX / 2, 100, 7, a), 100);
    assert_int_equal(ech_sample_rows(INT64_MAX / 2, 100, 7, b), 100);
    assert_memory_equal(a, b, sizeof a);
    for (int i = 1; i < 100; i++)
        assert_true(a[i] > a[i - 1]);
    assert_int_equal(ech_sample_rows(3, 100, 7, a), 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(a[i], i);
    assert_int_equal(ech_sample_rows(0, 100, 7, a), 0);
}

static void token_line_is_found(void **state)
{
    (void)state;
    struct ech_token_sums sums = {0};
    for (int64_t bytes = 10; bytes < 2000; bytes += 10)
        ech_token_sums_add(&sums, bytes, 2 + bytes / 5);
    struct ech_token_model m = ech_token_fit(&sums);
    assert_true(fabs(m.per_row - 2) < 0.1 && fabs(m.per_byte - 0.2) < 1e-3);
    assert_true(fabs(ech_tokens_of(&m, 10, 1000) - 220) < 2);
}

static void token_line_is_never_negative(void **state)
{
    (void)state;
    struct ech_token_sums one = {0}, falling = {0}, none = {0}, empty_rows = {0};
    ech_token_sums_add(&one, 100, 20);
    ech_token_sums_add(&one, 100, 20);
    ech_token_sums_add(&falling, 10, 100);
    ech_token_sums_add(&falling, 100, 10);
    ech_token_sums_add(&empty_rows, 0, 2);
    const struct ech_token_sums *all[] = {&one, &falling, &none, &empty_rows};
    for (int i = 0; i < 4; i++) {
        struct ech_token_model m = ech_token_fit(all[i]);
        assert_true(m.per_row >= 0 && m.per_byte >= 0 && m.per_row + m.per_byte > 0);
    }
    struct ech_token_model m = ech_token_fit(&one);
    assert_true(fabs(ech_tokens_of(&m, 1, 100) - 20) < 1e-9);
}

static void leases_shrink_and_end(void **state)
{
    (void)state;
    struct ech_lease_view v = {.left = 1000, .share = 0.5, .least = 8, .most = 200};
    int64_t last = INT64_MAX, count = 0;
    while (v.left > 0) {
        int64_t rows = ech_lease_rows(&v);
        assert_true(rows >= 1 && rows <= last && rows <= 200);
        last = rows;
        v.left -= rows;
        count++;
    }
    assert_int_equal(v.left, 0);
    assert_true(count < 40);
    assert_int_equal(ech_lease_rows(&v), 0);
    v.left = 5;
    v.share = NAN;
    assert_int_equal(ech_lease_rows(&v), 5);
}

static void bounds_follow_speed_and_wish(void **state)
{
    (void)state;
    int64_t least, most;
    struct ech_lease_bounds_view v = {.tokens_a_row = 16, .speed = 4000, .threads = 2};
    ech_lease_bounds(&v, &least, &most);
    assert_int_equal(least, 60);
    assert_int_equal(most, 250);
    v.rows_asked = 16;
    ech_lease_bounds(&v, &least, &most);
    assert_true(least == 16 && most == 16);
    v.rows_cap = 5;
    ech_lease_bounds(&v, &least, &most);
    assert_true(least == 5 && most == 5);
    v = (struct ech_lease_bounds_view){.tokens_a_row = 1e9, .threads = 1};
    ech_lease_bounds(&v, &least, &most);
    assert_true(least == 1 && most >= 1);
}

static void speed_is_learnt_by_time(void **state)
{
    (void)state;
    assert_true(ech_speed_learn(0, 500, 0.5) == 1000);
    assert_true(ech_speed_learn(700, 0, 1) == 700 && ech_speed_learn(700, 5, 0) == 700);
    double once = ech_speed_learn(1000, 1000, 4); /* a quarter, after one long lease */
    assert_true(once > 250 && once < 360);
    double parts = 1000;
    for (int i = 0; i < 16; i++)
        parts = ech_speed_learn(parts, 62.5, 0.25);
    assert_true(fabs(parts - once) < 1e-9); /* many short ones say as much */
}

static void copies_are_worth_it_or_not(void **state)
{
    (void)state;
    struct ech_copy_view v = {.owner_s = 4, .copy_s = 1};
    assert_true(fabs(ech_copy_gain(&v) - 3) < 1e-12);
    v.quiet_s = 3.5; /* in 0.5 s it should be there, and yet it has shown nothing for 3.5 s */
    assert_true(fabs(ech_copy_gain(&v) - 2.5) < 1e-12);
    v = (struct ech_copy_view){.owner_s = 1.3, .copy_s = 1};
    assert_true(ech_copy_gain(&v) == 0);
    v = (struct ech_copy_view){.owner_s = 0.1, .copy_s = 0.01};
    assert_true(ech_copy_gain(&v) == 0);
    v = (struct ech_copy_view){.owner_s = 0, .copy_s = 1, .quiet_s = 9};
    assert_true(ech_copy_gain(&v) == 0); /* speeds are not known */
    v = (struct ech_copy_view){.owner_s = 5, .copy_s = 0};
    assert_true(ech_copy_gain(&v) == 0);
}

static void memory_goes_to_as_many_as_fit(void **state)
{
    (void)state;
    struct ech_memory_rank r[4];
    for (int i = 0; i < 4; i++)
        r[i] = (struct ech_memory_rank){.process = 10, .workspace = 20, .weights = 100, .fits = true};
    assert_int_equal(ech_memory_share(r, 4, 0), 4); /* no limit */
    assert_int_equal(ech_memory_used(r, 4), 220);
    assert_int_equal(ech_memory_share(r, 4, 220), 4);
    assert_int_equal(ech_memory_share(r, 4, 219), 3);
    assert_true(r[2].works && !r[3].works);
    assert_int_equal(ech_memory_share(r, 4, 159), 0);
    r[1].group = 1; /* computes in its own way: weights of its own */
    assert_int_equal(ech_memory_share(r, 4, 220), 3);
    assert_true(!r[1].works && r[3].works);
    r[0].fits = false;
    assert_int_equal(ech_memory_share(r, 4, 0), 3);
    assert_int_equal(ech_memory_used(r, 4), 300);
}

static void shares_follow_speed(void **state)
{
    (void)state;
    struct ech_plan_rank ranks[3] = {{.speed = 100}, {.speed = 300}, {.speed = 0}};
    struct ech_plan plan = {.rows = 601, .rows_done = 1, .tokens = 6000, .ranks_count = 3, .ranks = ranks};
    ech_plan_fill(&plan, false); /* the third counts as 200 */
    assert_int_equal(ranks[0].rows, 100);
    assert_int_equal(ranks[1].rows, 300);
    assert_int_equal(ranks[0].rows + ranks[1].rows + ranks[2].rows, 600);
    assert_true(fabs(plan.optimum - 10) < 1e-9 && fabs(ech_plan_makespan(&plan) - 10) < 1e-9);
    ech_plan_fill(&plan, true);
    assert_int_equal(ranks[1].rows, 200);
    assert_true(fabs(ech_plan_makespan(&plan) - 20) < 1e-9);
}

static void who_rests_gets_nothing(void **state)
{
    (void)state;
    struct ech_plan_rank ranks[3] = {{.speed = 100}, {.speed = 300}, {.rests = true}};
    struct ech_plan plan = {.rows = 400, .tokens = 4000, .ranks_count = 3, .ranks = ranks};
    ech_plan_fill(&plan, false);
    assert_true(ranks[0].rows == 100 && ranks[1].rows == 300 && ranks[2].rows == 0);
    ech_plan_fill(&plan, true);
    assert_true(ranks[0].rows == 200 && ranks[1].rows == 200 && ranks[2].rows == 0);
}

static void chance_to_end_in_time(void **state)
{
    (void)state;
    struct ech_plan_rank ranks[1] = {{.speed = 100}};
    struct ech_plan plan = {.rows = 10, .tokens = 1000, .ranks_count = 1, .ranks = ranks, .time_limit = 60};
    ech_plan_fill(&plan, false); /* 10 s */
    assert_true(fabs(ech_plan_chance(&plan, 10) - 0.5) < 1e-9);
    assert_true(fabs(ech_plan_chance(&plan, 11.5) - 0.8413) < 1e-3);
    assert_true(ech_plan_chance(&plan, 0) == 1);
    struct ech_err err = ECH_ERR_NONE;
    plan.time_left = 7; /* two deviations */
    assert_int_equal(ech_plan_check(&plan, &err), ECH_OK);
    plan.time_left = 6;
    assert_int_equal(ech_plan_check(&plan, &err), ECH_UNAVAILABLE);
    assert_non_null(strstr(err.text, "--force"));
    ranks[0].speed = 0;
    ech_plan_fill(&plan, false); /* nothing is known */
    assert_int_equal(ech_plan_check(&plan, NULL), ECH_OK);
}

static void shares_without_speeds(void **state)
{
    (void)state;
    struct ech_plan_rank ranks[7] = {{0}};
    struct ech_plan plan = {.rows = 3, .ranks_count = 7, .ranks = ranks};
    ech_plan_fill(&plan, false);
    int64_t rows = 0;
    for (int i = 0; i < 7; i++)
        rows += ranks[i].rows;
    assert_int_equal(rows, 3);
    assert_true(plan.optimum == 0);
}

static void departures(void **state)
{
    (void)state;
    assert_false(ech_speed_departs(100, 149));
    assert_false(ech_speed_departs(149, 100));
    assert_true(ech_speed_departs(100, 151));
    assert_true(ech_speed_departs(151, 100));
    assert_false(ech_speed_departs(0, 100)); /* nothing was known, or seen */
    assert_false(ech_speed_departs(100, 0));
    assert_false(ech_speed_departs(100, NAN));
}

/* A table that would be too long joins ranks that get the same; JSON has all of them. */
static void long_plans_are_short(void **state)
{
    (void)state;
    enum { RANKS = 1000 };
    static const char *const notes[] = {"a \"note\""};
    static struct ech_plan_rank ranks[RANKS];
    static char hosts[RANKS / 10][16];
    struct ech_plan plan = {.kind = "embed",
                            .backend = "b",
                            .precision = "p",
                            .numerics = "n",
                            .policy = "adaptive",
                            .rows = 1000003,
                            .tokens = 1e8,
                            .time_limit = 600,
                            .time_left = 570,
                            .ranks_count = RANKS,
                            .nodes = RANKS / 10,
                            .ranks = ranks,
                            .notes = notes,
                            .notes_count = 1};
    for (int r = 0; r < RANKS; r++) {
        snprintf(hosts[r / 10], sizeof hosts[0], "n%03d", r / 10);
        ranks[r] = (struct ech_plan_rank){.rank = r,
                                          .node = r / 10,
                                          .host = hosts[r / 10],
                                          .speed = r < 500 ? 1000 : 250,
                                          .memory = 1 << 20,
                                          .speed_from = "known"};
    }
    ranks[700].rests = true;
    ech_plan_fill(&plan, false);
    struct ech_str out;
    ech_str_init(&out);
    ech_plan_print(&plan, &out);
    int lines = 0;
    for (const char *c = out.data; *c; c++)
        lines += *c == '\n';
    assert_true(lines < 12);
    assert_non_null(strstr(out.data, "0-499"));
    assert_non_null(strstr(out.data, "n000..n049"));
    assert_non_null(strstr(out.data, "701-999"));
    assert_non_null(strstr(out.data, "rests"));
    assert_non_null(strstr(out.data, "note: a \"note\""));
    ech_str_clear(&out);
    ech_plan_print_json(&plan, &out);
    json_t *json;
    assert_int_equal(ech_json_parse("plan", out.data, out.length, &json, NULL), ECH_OK);
    assert_int_equal(json_array_size(json_object_get(json, "ranks")), RANKS);
    assert_string_equal(json_string_value(json_array_get(json_object_get(json, "notes"), 0)), notes[0]);
    json_decref(json);
    ech_str_fini(&out);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(sample_is_seeded_distinct_and_ascending),
    cmocka_unit_test(token_line_is_found),
    cmocka_unit_test(token_line_is_never_negative),
    cmocka_unit_test(leases_shrink_and_end),
    cmocka_unit_test(bounds_follow_speed_and_wish),
    cmocka_unit_test(speed_is_learnt_by_time),
    cmocka_unit_test(copies_are_worth_it_or_not),
    cmocka_unit_test(memory_goes_to_as_many_as_fit),
    cmocka_unit_test(shares_follow_speed),
    cmocka_unit_test(who_rests_gets_nothing),
    cmocka_unit_test(chance_to_end_in_time),
    cmocka_unit_test(departures),
    cmocka_unit_test(long_plans_are_short),
    cmocka_unit_test(shares_without_speeds),
};

ECH_TEST_MAIN(tests)
