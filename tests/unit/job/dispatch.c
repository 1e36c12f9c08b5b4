/* A rank's loop with a stream that fails, lags, finishes out of order or never; stops, deadlines, fences. The
 * loop always ends, with the right state and code, and what it told is in the spool. */
#include "tests/unit/job/fake_kind.h"

#include "job/dispatch.h"
#include "job/spooler.h"

#include <stdatomic.h>
#include <unistd.h>

enum { ROWS = 500, LEASE = 7 };

/* What a loop runs on. `job`, `deadline` and the stream may be changed before run(). */
struct ground {
    struct ech_stream stream;
    struct ech_job job;
    double deadline; /* seconds from now; 0: none */
    volatile sig_atomic_t stop;
    struct ech_pool *pool;
    struct ech_coord *coord;
    struct ech_dispatch d;
    _Atomic double beat_at;
    /* the end */
    int code;
    enum ech_state state;
    struct ech_err err;
    double seconds;
    int64_t spooled, distinct; /* rows in the spool's records, different ones */
};

static const struct ech_spool_head head = {
    .identity = {1, 2}, .attempt = 1, .numerics = "fake", .columns = fake_columns, .columns_count = 2};

static void init(struct ground *g)
{
    *g = (struct ground){.err = ECH_ERR_NONE};
    g->stream.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    g->stream.context = g;
    g->job = (struct ech_job){.balance = {.lease_rows = LEASE, .lease_rows_max = LEASE},
                              .limits = {.heartbeat = 30},
                              .max_errors = 1000};
}

static bool may_write(void *context)
{
    return !ech_pool_fenced(context);
}

static void open_spooler(struct ground *g)
{
    struct ech_spooler_options o = {.path = "spool",
                                    .head = head,
                                    .sync_seconds = 60, /* a loop that forgets to flush is late */
                                    .full_seconds = 1,
                                    .sync_bytes = 64 << 20,
                                    .may_write = may_write,
                                    .context = g->pool};
    assert_int_equal(ech_spooler_open(&o, &g->d.spooler, &g->err), ECH_OK);
}

static void open_coord(struct ground *g)
{
    static const int node_of[] = {0};
    struct ech_coord_options o = {.nodes = 1,
                                  .ranks = 1,
                                  .node_of = node_of,
                                  .rows = g->d.rows,
                                  .equal = g->job.balance.policy == ECH_POLICY_EQUAL,
                                  .max_errors = g->job.max_errors,
                                  .now = ech_mono_s(),
                                  .node_deadline = 60};
    assert_int_equal(ech_coord_create(&o, &g->coord, &g->err), ECH_OK);
}

static void count_spooled(struct ground *g)
{
    struct ech_spool_index index = {0};
    struct ech_rowset rows;
    ech_rowset_init(&rows);
    if (access("spool", F_OK) == 0)
        assert_int_equal(ech_spool_scan("spool", &head, 0, &index, &g->err), ECH_OK);
    assert_int_equal(index.damaged, 0);
    for (size_t i = 0; i < index.count; i++) {
        const struct ech_spool_entry *e = &index.entries[i];
        g->spooled += e->rows;
        assert_int_equal(ech_rowset_add(&rows, e->first, e->first + e->rows, NULL, NULL), ECH_OK);
    }
    g->distinct = rows.rows;
    const struct ech_rowset *told = ech_coord_done(g->coord);
    for (size_t i = 0; i < told->count; i++)
        assert_true(ech_rowset_has(&rows, told->ranges[i].first, told->ranges[i].end));
    ech_rowset_fini(&rows);
    ech_spool_index_fini(&index);
}

static void run(struct ground *g)
{
    struct ech_list texts;
    size_t bytes = ech_pool_bytes(1, 1);
    void *memory = ech_alloc_aligned(bytes, NULL);
    struct ech_comm *comm;
    memset(memory, 0, bytes);
    assert_int_equal(ech_comm_open_self(&comm, NULL), ECH_OK);
    assert_int_equal(ech_pool_open(memory, 1, 1, 0, &g->pool, NULL), ECH_OK);
    g->d = (struct ech_dispatch){.comm = comm,
                                 .pool = g->pool,
                                 .kind = &fake_kind,
                                 .stream = &g->stream,
                                 .source = fake_source(&texts, ROWS),
                                 .job = &g->job,
                                 .threads = 1,
                                 .tokens_a_row = 1,
                                 .speed = 1000,
                                 .rows = ROWS,
                                 .deadline = g->deadline ? ech_mono_s() + g->deadline : 0,
                                 .stop = &g->stop,
                                 .beat_at = &g->beat_at};
    open_coord(g);
    g->d.coord = g->coord;
    open_spooler(g);
    double start = ech_mono_s();
    alarm(20);
    assert_int_equal(ech_dispatch_open(&g->d, &g->err), ECH_OK);
    g->code = ech_dispatch_run(&g->d, &g->err);
    ech_dispatch_close(&g->d);
    alarm(0);
    g->seconds = ech_mono_s() - start;
    g->state = ech_pool_state(g->pool);
    ech_spooler_close(g->d.spooler, NULL);
    count_spooled(g);
    ech_coord_destroy(g->coord);
    ech_pool_close(g->pool);
    ech_source_close((struct ech_source *)(uintptr_t)g->d.source);
    ech_free(texts.items);
    ech_free(memory);
    ech_comm_close(comm);
}

static void expect_all_done(const struct ground *g)
{
    if (g->code || g->state != ECH_STATE_DONE || g->err.code)
        fail_msg("state %d, status %d, \"%s\"", g->state, g->code, g->err.text);
    assert_int_equal(g->spooled, ROWS);
    assert_int_equal(g->distinct, ROWS);
    assert_int_equal(g->d.done_rows, ROWS);
    assert_false(g->d.fenced);
}

static void expect_failed(const struct ground *g, int code, const char *text)
{
    assert_int_equal(g->state, ECH_STATE_FAIL);
    assert_int_equal(g->code, code);
    assert_int_equal(g->err.code, code);
    if (!strstr(g->err.text, text))
        fail_msg("\"%s\" was expected, found \"%s\"", text, g->err.text);
    assert_int_equal(g->spooled, g->distinct);
    assert_true(g->seconds < 5 && g->stream.cancels > 0);
}

static void all_rows_in_order_and_out_of_it(void **state)
{
    (void)state;
    for (int last_first = 0; last_first < 2; last_first++)
        for (int policy = 0; policy < 2; policy++) {
            struct ground g;
            init(&g);
            unlink("spool");
            g.stream.last_first = last_first;
            g.job.balance.policy = policy ? ECH_POLICY_EQUAL : ECH_POLICY_ADAPTIVE;
            run(&g);
            expect_all_done(&g);
            assert_true(g.seconds < 10);
        }
}

static void a_slow_stream(void **state)
{
    (void)state;
    struct ground g;
    init(&g);
    g.stream.seconds = 0.02;
    g.stream.last_first = true;
    run(&g);
    expect_all_done(&g);
}

/* Main goes on while the feeder's thread reads and tokenises. */
static void a_slow_submission_holds_nobody_up(void **state)
{
    (void)state;
    struct ground g;
    init(&g);
    g.job.balance.lease_rows = g.job.balance.lease_rows_max = 100;
    g.stream.submit_seconds = 0.1;
    run(&g);
    expect_all_done(&g);
    assert_true(g.stream.polls_while_submitting > 5);
}

static void fail_at(int submission, int block, int code, const char *text)
{
    struct ground g;
    init(&g);
    unlink("spool");
    g.stream.fail_submit = submission;
    g.stream.fail_poll = block;
    run(&g);
    expect_failed(&g, code, text);
    assert_true(g.spooled < ROWS);
}

static void a_submission_that_fails(void **state)
{
    (void)state;
    for (int n = 1; n <= 9; n += 4)
        fail_at(n, 0, ECH_DATA, ": a submission that fails");
}

static void a_computation_that_fails(void **state)
{
    (void)state;
    for (int n = 1; n <= 9; n += 4)
        fail_at(0, n, ECH_UNAVAILABLE, "a computation that fails");
}

/* The first failure decides, also where the other thread fails later or never ends. */
static void a_failure_while_nothing_finishes(void **state)
{
    (void)state;
    struct ground g;
    init(&g);
    g.stream.never = true;
    g.stream.fail_submit = 2;
    run(&g);
    expect_failed(&g, ECH_DATA, "rows 7 to 13: a submission that fails");
    assert_int_equal(g.spooled, 0);
}

static void too_many_bad_rows(void **state)
{
    (void)state;
    struct ground g;
    init(&g);
    g.stream.bad_every = 10;
    g.job.max_errors = 2;
    run(&g);
    expect_failed(&g, ECH_DATA, "bad (more bad rows than max_errors: 2)");
    assert_true(g.spooled < ROWS);
    init(&g);
    unlink("spool");
    g.stream.bad_every = 10;
    g.job.max_errors = ROWS / 10;
    run(&g);
    expect_all_done(&g);
    assert_int_equal(g.d.done_errors, ROWS / 10);
}

static void stop_after_three(struct ech_stream *s)
{
    struct ground *g = s->context;
    if (s->blocks == 3)
        g->stop = 1;
}

/* What has begun is spooled still, nothing new begins. */
static void a_signal_stops(void **state)
{
    (void)state;
    struct ground g;
    init(&g);
    g.stream.seconds = 0.005;
    g.stream.at_block = stop_after_three;
    run(&g);
    assert_true(g.code == ECH_OK && g.state == ECH_STATE_STOP);
    assert_in_range(g.spooled, 3 * LEASE, ROWS - 1);
    assert_true(g.spooled == g.distinct && g.spooled == g.d.done_rows);
    assert_int_equal(g.d.done_rows, g.stream.blocks * LEASE);
    assert_int_equal(g.d.leases, g.stream.submits);
    assert_true(g.seconds < 4);
}

static void a_stop_does_not_wait_for_ever(void **state)
{
    (void)state;
    struct ground g;
    init(&g);
    g.stream.never = true;
    g.deadline = 0.05;
    run(&g);
    assert_true(g.code == ECH_OK && g.state == ECH_STATE_STOP);
    assert_int_equal(g.spooled, 0);
    assert_true(g.seconds < 8 && g.stream.cancels > 0);
}

static void the_walltime_stops(void **state)
{
    (void)state;
    struct ground g;
    init(&g);
    g.stream.seconds = 0.03;
    g.deadline = 0.15;
    g.job.balance.lease_rows = g.job.balance.lease_rows_max = 1;
    run(&g);
    assert_true(g.code == ECH_OK && g.state == ECH_STATE_STOP);
    assert_true(g.spooled > 0 && g.spooled < ROWS && g.spooled == g.distinct);
    assert_true(g.seconds < 4);
}

static void die_after_three(struct ech_stream *s)
{
    struct ground *g = s->context;
    if (s->blocks == 3)
        ech_pool_kill(g->pool, 0);
}

/* Declared dead: it leaves at once, and nothing that finished since is written. */
static void a_fenced_rank_leaves(void **state)
{
    (void)state;
    struct ground g;
    init(&g);
    g.stream.seconds = 0.005;
    g.stream.at_block = die_after_three;
    run(&g);
    assert_true(g.d.fenced && g.code == ECH_OK);
    assert_true(g.spooled <= 2 * LEASE);
    assert_true(g.seconds < 2);
}

/* A computation of an earlier round that could not be cancelled any more ends in this one. */
static void a_late_block_of_an_earlier_round(void **state)
{
    (void)state;
    struct ground g;
    init(&g);
    g.stream.queue[0].first = 100;
    g.stream.queue[0].rows = 10;
    g.stream.count = 1;
    run(&g);
    assert_true(g.code == ECH_OK && g.state == ECH_STATE_DONE);
    assert_true(g.spooled == ROWS + 10 && g.distinct == ROWS);
    assert_true(g.seconds < 10);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(all_rows_in_order_and_out_of_it),
    cmocka_unit_test(a_slow_stream),
    cmocka_unit_test(a_slow_submission_holds_nobody_up),
    cmocka_unit_test(a_submission_that_fails),
    cmocka_unit_test(a_computation_that_fails),
    cmocka_unit_test(a_failure_while_nothing_finishes),
    cmocka_unit_test(too_many_bad_rows),
    cmocka_unit_test(a_signal_stops),
    cmocka_unit_test(a_stop_does_not_wait_for_ever),
    cmocka_unit_test(the_walltime_stops),
    cmocka_unit_test(a_fenced_rank_leaves),
    cmocka_unit_test(a_late_block_of_an_earlier_round),
};

ECH_TEST_MAIN(tests)
