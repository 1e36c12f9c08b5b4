/* plan: the cut of a model over stages against brute force; workers from ranks. */
#include "tests/harness.h"

#include "plan/split.h"
#include "plan/workers.h"

#include <math.h>

enum { LAYERS_MOST = 8, STAGES_MOST = 5, RANKS_MOST = 24 };

struct trial {
    double costs[LAYERS_MOST], speeds[STAGES_MOST];
    int64_t bytes[LAYERS_MOST], budgets[STAGES_MOST];
    struct ech_split_view view;
};

static void make(struct trial *t)
{
    t->view = (struct ech_split_view){.layers = 1 + rand() % LAYERS_MOST,
                                      .stages = 1 + rand() % STAGES_MOST,
                                      .costs = t->costs,
                                      .bytes = t->bytes,
                                      .head_bytes = rand() % 12,
                                      .each_bytes = rand() % 3,
                                      .speeds = t->speeds,
                                      .budgets = t->budgets};
    for (int l = 0; l < t->view.layers; l++) {
        t->costs[l] = 1 + rand() % 6; /* whole numbers: sums are exact in any order */
        t->bytes[l] = 1 + rand() % 9;
    }
    for (int s = 0; s < t->view.stages; s++) {
        t->speeds[s] = 1 << rand() % 4;
        t->budgets[s] = rand() % 4 == 0 ? INT64_MAX : rand() % 30;
    }
}

/* All cuts, one after the other: the best of them. */
static double brute(const struct ech_split_view *v, int stage, int at)
{
    double best = INFINITY;
    if (stage == v->stages)
        return at == v->layers ? 0 : INFINITY;
    for (int end = at; end <= v->layers; end++)
        if (ech_split_bytes(v, stage, at, end) <= v->budgets[stage])
            best = fmin(best, fmax(ech_split_seconds(v, stage, at, end), brute(v, stage + 1, end)));
    return best;
}

static double judge(const struct ech_split_view *v, const int *ends)
{
    double slowest = 0;
    for (int s = 0; s < v->stages; s++) {
        int first = s ? ends[s - 1] : 0;
        assert_true(ends[s] >= first && ends[s] <= v->layers);
        assert_true(ech_split_bytes(v, s, first, ends[s]) <= v->budgets[s]);
        slowest = fmax(slowest, ech_split_seconds(v, s, first, ends[s]));
    }
    assert_int_equal(ends[v->stages - 1], v->layers);
    return slowest;
}

static void cut_is_the_best_of_all(void **state)
{
    (void)state;
    int cut = 0, refused = 0;
    srand(3);
    for (int i = 0; i < 20000; i++) {
        struct trial t;
        struct ech_err err = ECH_ERR_NONE;
        int ends[STAGES_MOST];
        double slowest = -1;
        make(&t);
        double best = brute(&t.view, 0, 0);
        int code = ech_split(&t.view, ends, &slowest, &err);
        assert_int_equal(code, isfinite(best) ? ECH_OK : ECH_UNAVAILABLE);
        cut += code == ECH_OK;
        refused += code != ECH_OK;
        if (code == ECH_OK && !(judge(&t.view, ends) == best && slowest == best))
            fail_msg("trial %d: %g found, %g is possible", i, slowest, best);
    }
    assert_true(cut > 5000 && refused > 1000);
}

/* What the refusal says is lacking is enough, and a byte less is not. */
static void lack_is_exact(void **state)
{
    (void)state;
    const double costs[] = {1, 1, 1}, speeds[] = {1, 1};
    const int64_t bytes[] = {700, 700, 700};
    int64_t budgets[] = {1000, 1000};
    struct ech_split_view v = {.layers = 3,
                               .stages = 2,
                               .costs = costs,
                               .bytes = bytes,
                               .head_bytes = 300,
                               .speeds = speeds,
                               .budgets = budgets};
    struct ech_err err = ECH_ERR_NONE;
    int ends[2];
    double slowest;
    assert_int_equal(ech_split(&v, ends, &slowest, &err), ECH_UNAVAILABLE);
    assert_non_null(strstr(err.text, "each lacks 400 B"));
    budgets[0] = budgets[1] = 1399;
    assert_int_equal(ech_split(&v, ends, &slowest, NULL), ECH_UNAVAILABLE);
    budgets[0] = budgets[1] = 1400;
    assert_int_equal(ech_split(&v, ends, &slowest, NULL), ECH_OK);
    assert_int_equal(ends[0], 1);
}

static void speeds_decide(void **state)
{
    (void)state;
    const double costs[] = {1, 1, 1, 1, 1, 1}, speeds[] = {1, 2, 3}, alike[] = {1, 1, 1}, far[] = {100, 1, 1};
    const int64_t bytes[] = {1, 1, 1, 1, 1, 1}, budgets[] = {INT64_MAX, INT64_MAX, INT64_MAX},
                  small[] = {1, 3, 2};
    struct ech_split_view v = {
        .layers = 6, .stages = 3, .costs = costs, .bytes = bytes, .speeds = speeds, .budgets = budgets};
    struct ech_err err = ECH_ERR_NONE;
    int ends[3];
    double slowest;
    assert_int_equal(ech_split(&v, ends, &slowest, &err), ECH_OK);
    assert_true(ends[0] == 1 && ends[1] == 3 && ends[2] == 6 && slowest == 1);
    v.speeds = alike;
    v.budgets = small;
    assert_int_equal(ech_split(&v, ends, &slowest, &err), ECH_OK);
    assert_true(ends[0] == 1 && ends[1] == 4);
    v.budgets = budgets;
    v.speeds = far; /* stages that would only slow it down get nothing */
    assert_int_equal(ech_split(&v, ends, &slowest, &err), ECH_OK);
    assert_true(ends[0] == 6 && ends[2] == 6);
}

static void check_groups(const struct ech_workers_view *v)
{
    struct ech_workers w;
    struct ech_err err = ECH_ERR_NONE;
    int seen[RANKS_MOST] = {0};
    assert_int_equal(ech_workers_group(v, &w, &err), ECH_OK);
    for (int i = 0; i < w.count; i++) {
        assert_true(w.firsts[i + 1] - w.firsts[i] >= v->per_worker);
        for (int at = w.firsts[i]; at < w.firsts[i + 1]; at++) {
            int rank = w.list[at];
            seen[rank]++;
            assert_true(at == w.firsts[i] || w.list[at - 1] < rank);
            assert_int_equal(w.member[rank].worker, i);
            assert_int_equal(w.member[rank].stage, at - w.firsts[i]);
        }
    }
    for (int r = 0; r < v->ranks; r++)
        assert_int_equal(seen[r], 1);
    assert_int_equal(w.member[0].worker, 0); /* the coordinator heads the first worker */
    assert_int_equal(w.member[0].stage, 0);
    ech_workers_fini(&w);
}

static void groups_hold_every_rank_once(void **state)
{
    (void)state;
    int blocks[RANKS_MOST], cycles[RANKS_MOST];
    for (int ranks = 1; ranks <= RANKS_MOST; ranks++)
        for (int nodes = 1; nodes <= ranks; nodes++)
            for (int per = 1; per <= ranks; per++) {
                for (int r = 0; r < ranks; r++) {
                    blocks[r] = (int)((int64_t)r * nodes / ranks);
                    cycles[r] = r % nodes;
                }
                for (int across = 0; across < 2; across++) {
                    check_groups(&(struct ech_workers_view){ranks, per, blocks, across});
                    check_groups(&(struct ech_workers_view){ranks, per, cycles, across});
                }
            }
    struct ech_workers w;
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_workers_group(&(struct ech_workers_view){2, 3, blocks, true}, &w, &err), ECH_CONFIG);
}

/* Two nodes of two ranks; a node holds half of the model, its two ranks share it. */
static void nodes_share_a_stage(void **state)
{
    (void)state;
    const int node_of[] = {0, 0, 1, 1};
    const double costs[] = {1, 1, 1, 1}, speeds[] = {1, 1, 1, 1};
    const int64_t bytes[] = {10, 10, 10, 10};
    int64_t budgets[] = {12, 12, 10, 10};
    struct ech_workers_view v = {4, 0, node_of, true};
    struct ech_workers_model m = {.layers = 4,
                                  .costs = costs,
                                  .bytes = bytes,
                                  .head_bytes = 4,
                                  .speeds = speeds,
                                  .budgets = budgets,
                                  .node_of = node_of};
    struct ech_workers w;
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_workers_fit(&v, &m, &v.per_worker, &err), ECH_OK);
    assert_int_equal(v.per_worker, 2);
    assert_int_equal(ech_workers_group(&v, &w, &err), ECH_OK);
    assert_int_equal(ech_workers_cut(&w, &m, &err), ECH_OK);
    assert_int_equal(w.count, 2);
    for (int r = 0; r < 4; r++) {
        assert_int_equal(w.member[r].stage, node_of[r]);
        assert_int_equal(w.member[r].layer_first, node_of[r] ? 2 : 0);
        assert_int_equal(w.member[r].bytes, node_of[r] ? 20 : 24);
        assert_int_equal(w.member[r].sharers, 2);
    }
    assert_true(w.speed[0] == 0.5 && ech_workers_next(&w, 0) == 2 && ech_workers_next(&w, 2) == -1);
    assert_true(ech_workers_head(&w, 3) == 1 && ech_workers_needs(&w, 3));
    ech_workers_fini(&w);
    budgets[0] = budgets[1] = 22;
    budgets[2] = budgets[3] = 22; /* the whole fits each node */
    assert_int_equal(ech_workers_fit(&v, &m, &v.per_worker, &err), ECH_OK);
    assert_int_equal(v.per_worker, 1);
    for (int r = 0; r < 4; r++)
        budgets[r] = 9;
    assert_int_equal(ech_workers_fit(&v, &m, &v.per_worker, &err), ECH_UNAVAILABLE);
    assert_non_null(strstr(err.text, "lacks"));
}

static void spare_stages_are_passed_over(void **state)
{
    (void)state;
    const int node_of[] = {0, 1, 2};
    const double costs[] = {1, 1}, speeds[] = {1, 1000, 1};
    const int64_t bytes[] = {1, 1}, budgets[] = {INT64_MAX, INT64_MAX, INT64_MAX};
    struct ech_workers_model m = {.layers = 2,
                                  .costs = costs,
                                  .bytes = bytes,
                                  .speeds = speeds,
                                  .budgets = budgets,
                                  .node_of = node_of};
    struct ech_workers w;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_str text;
    ech_str_init(&text);
    assert_int_equal(ech_workers_group(&(struct ech_workers_view){3, 3, node_of, true}, &w, &err), ECH_OK);
    assert_int_equal(ech_workers_cut(&w, &m, &err), ECH_OK);
    assert_true(w.member[0].layer_end == 0 && w.member[1].layer_end == 2 && w.member[2].layer_end == 2);
    assert_true(ech_workers_needs(&w, 0) && ech_workers_needs(&w, 1) && !ech_workers_needs(&w, 2));
    assert_true(ech_workers_next(&w, 0) == 1 && ech_workers_next(&w, 1) == -1);
    ech_workers_print(&w, &text);
    assert_non_null(strstr(text.data, "tables alone"));
    assert_non_null(strstr(text.data, "0 to 1"));
    assert_non_null(strstr(text.data, "none (spare)"));
    ech_str_fini(&text);
    ech_workers_fini(&w);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(cut_is_the_best_of_all), cmocka_unit_test(lack_is_exact),
    cmocka_unit_test(speeds_decide),          cmocka_unit_test(groups_hold_every_rank_once),
    cmocka_unit_test(nodes_share_a_stage),    cmocka_unit_test(spare_stages_are_passed_over),
};

ECH_TEST_MAIN(tests)
