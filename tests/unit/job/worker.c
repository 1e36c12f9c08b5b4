/* job: a worker of several ranks in one process, over communicators that are queues: equal bits for every
 * cut, what is late after a stop counts no more, a message that cannot be is refused, a broken worker
 * computes nothing. */
#include "tests/unit/model/fixture.h"

#include "base/clock.h"
#include "comm/internal.h"
#include "job/worker.h"

enum { ROWS = 60, STAGES_MOST = 3 };

/* --- a communicator of queues --- */

struct letter {
    int from, tag;
    void *data;
    size_t bytes;
    struct letter *after;
};
struct post {
    struct ech_comm comm;
    struct post *all;
    struct letter *first, *last;
    int64_t sent;
};

static int post_send(struct ech_comm *comm, int to, int tag, const void *data, size_t bytes,
                     struct ech_err *err)
{
    struct post *me = (struct post *)(void *)comm, *other = &me->all[to];
    struct letter *l = ech_calloc(1, sizeof *l, err);
    *l = (struct letter){comm->rank, tag, ech_calloc(bytes, 1, err), bytes, NULL};
    memcpy(l->data, data, bytes);
    if (other->last)
        other->last->after = l;
    else
        other->first = l;
    other->last = l;
    me->sent++;
    return ECH_OK;
}

static bool post_poll(struct ech_comm *comm, int *from, int *tag, void **data, size_t *bytes)
{
    struct post *me = (struct post *)(void *)comm;
    struct letter *l = me->first;
    if (!l)
        return false;
    me->first = l->after;
    me->last = l->after ? me->last : NULL;
    *from = l->from;
    *tag = l->tag;
    *data = l->data;
    *bytes = l->bytes;
    ech_free(l);
    return true;
}

static const struct ech_comm_ops post_ops = {.send = post_send, .poll = post_poll};

/* --- a worker --- */

struct team {
    int count;
    struct post posts[STAGES_MOST];
    struct ech_workers table;
    struct ech_engine *engines[STAGES_MOST];
    struct ech_worker *workers[STAGES_MOST];
    void *packed[STAGES_MOST];
};

static struct ech_engine *load(void)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_engine *engine;
    must(ech_engine_load(&(struct ech_engine_options){.model = "m", .threads = 2, .microbatch_tokens = 20},
                         &engine, &err),
         &err);
    return engine;
}

/* Stage s ends before layer ends[s]. */
static void gather(struct team *t, int count, const int *ends)
{
    struct ech_err err = ECH_ERR_NONE;
    const int node_of[STAGES_MOST] = {0};
    *t = (struct team){.count = count};
    must(ech_workers_group(&(struct ech_workers_view){count, count, node_of, true}, &t->table, &err), &err);
    for (int s = 0; s < count; s++) {
        t->table.member[s].layer_first = s ? ends[s - 1] : 0;
        t->table.member[s].layer_end = ends[s];
    }
    for (int s = 0; s < count; s++) {
        const struct ech_worker_member *m = &t->table.member[s];
        t->posts[s] = (struct post){.comm = {.ops = &post_ops, .rank = s, .size = count, .piece = 1 << 30},
                                    .all = t->posts};
        t->engines[s] = load();
        struct ech_stage stage = {m->layer_first, m->layer_end, s == 0, ech_workers_next(&t->table, s) < 0};
        must(ech_engine_narrow(t->engines[s], stage, &err), &err);
        t->packed[s] = ech_alloc_aligned(ech_engine_packed_bytes(t->engines[s]) + 64, &err);
        must(ech_engine_pack(t->engines[s], t->packed[s], 0, 1, &err), &err);
        must(ech_engine_start(t->engines[s], &err), &err);
        struct ech_worker_options o = {&t->posts[s].comm, t->engines[s], &t->table, s, 2};
        must(ech_worker_open(&o, &t->workers[s], &err), &err);
        ech_worker_begin(t->workers[s]);
    }
}

static void dismiss(struct team *t)
{
    int from, tag;
    void *data;
    size_t bytes;
    for (int s = 0; s < t->count; s++) {
        while (post_poll(&t->posts[s].comm, &from, &tag, &data, &bytes))
            ech_free(data);
        ech_worker_close(t->workers[s]);
        ech_engine_close(t->engines[s]);
        ech_free(t->packed[s]);
    }
    ech_workers_fini(&t->table);
}

static struct ech_batch *make_batch(struct ech_engine *engine, int rows)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_batch *batch;
    int32_t ids[ROWS * 20];
    uint64_t offsets[ROWS + 1] = {0};
    for (int i = 0, at = 0; i < rows; i++) {
        for (int n = i * 7 % 19; n > 0; n--, at++)
            ids[at] = at * 31 % VOCAB;
        offsets[i + 1] = (uint64_t)at;
    }
    must(ech_engine_prepare_ids(engine, ids, NULL, offsets, rows, &batch, &err), &err);
    return batch;
}

static void turn(struct team *t)
{
    struct ech_err err = ECH_ERR_NONE;
    for (int s = 0; s < t->count; s++) {
        must(ech_worker_turn(t->workers[s], &err), &err);
        ech_worker_step(t->workers[s], 0.001);
    }
}

static struct ech_result *wait_result(struct team *t)
{
    double until = ech_mono_s() + 30;
    struct ech_result *r = NULL;
    while (!r && ech_mono_s() < until) {
        turn(t);
        r = ech_worker_poll(t->workers[0]);
    }
    assert_non_null(r);
    return r;
}

static struct ech_result *run_whole(int rows)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_engine *engine;
    must(ech_engine_open(&(struct ech_engine_options){.model = "m", .threads = 1}, &engine, &err), &err);
    must(ech_engine_submit(engine, make_batch(engine, rows), 5, &err), &err);
    ech_engine_step(engine, 30);
    struct ech_result *r = ech_engine_poll(engine, &err);
    assert_non_null(r);
    ech_engine_close(engine);
    return r;
}

static void submit(struct team *t, int rows, int64_t tag)
{
    struct ech_err err = ECH_ERR_NONE;
    must(ech_worker_submit(t->workers[0], make_batch(t->engines[0], rows), tag, &err), &err);
}

static void same_bits(void **state)
{
    (void)state;
    static const struct {
        int count, ends[STAGES_MOST];
    } ways[] = {{1, {2}},       {2, {1, 2}},    {2, {0, 2}},   {2, {2, 2}},
                {3, {0, 1, 2}}, {3, {1, 1, 2}}, {3, {0, 2, 2}}};
    put_model("m");
    struct ech_result *truth = run_whole(ROWS);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct team t;
        bool seen[4] = {false};
        gather(&t, ways[i].count, ways[i].ends);
        for (int b = 0; b < 4; b++)
            submit(&t, b == 2 ? 0 : ROWS, b);
        for (int b = 0; b < 4; b++) {
            struct ech_result *r = wait_result(&t);
            assert_true(r->tag >= 0 && r->tag < 4 && !seen[r->tag]);
            seen[r->tag] = true;
            assert_int_equal(r->rows, r->tag == 2 ? 0 : ROWS);
            assert_memory_equal(r->values, truth->values, (size_t)(r->rows * HIDDEN) * sizeof(float));
            assert_true(r->rows == 0 || r->seconds > 0);
            ech_result_destroy(r);
        }
        assert_null(ech_worker_poll(t.workers[0]));
        dismiss(&t);
    }
    ech_result_destroy(truth);
}

/* After a stop: nothing of the old round comes back, the next one is whole. */
static void rounds_do_not_mix(void **state)
{
    (void)state;
    static const int ends[] = {0, 1, 2};
    struct team t;
    struct ech_err err = ECH_ERR_NONE;
    put_model("m");
    struct ech_result *truth = run_whole(ROWS);
    gather(&t, 3, ends);
    for (int round = 0; round < 20; round++) {
        for (int b = 0; b < 3; b++)
            submit(&t, ROWS, 100 + b);
        for (int n = 0; n < round % 7; n++)
            turn(&t);
        for (struct ech_result *early; (early = ech_worker_poll(t.workers[0]));)
            ech_result_destroy(early); /* it had ended */
        assert_true(ech_worker_serves(t.workers[1]) && !ech_worker_serves(t.workers[0]));
        for (int s = 0; s < 3; s++)
            ech_worker_cancel(t.workers[s]);
        must(ech_worker_end(t.workers[0], &err), &err);
        turn(&t);
        assert_false(ech_worker_serves(t.workers[1]) || ech_worker_serves(t.workers[2]));
        for (int s = 0; s < 3; s++)
            ech_worker_begin(t.workers[s]);
        assert_null(ech_worker_poll(t.workers[0]));
        submit(&t, ROWS, round);
        struct ech_result *r = wait_result(&t);
        assert_int_equal(r->tag, round);
        assert_memory_equal(r->values, truth->values, (size_t)(ROWS * HIDDEN) * sizeof(float));
        ech_result_destroy(r);
    }
    dismiss(&t);
    ech_result_destroy(truth);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    static const int ends[] = {1, 2};
    const int64_t notes[][6] = {{1, 1, 1, -1, 0, 0}, {1, 1, 1, 1 << 30, 0, 0}, {1, 1, 1, 0, 1LL << 62, 0},
                                {7, 1, 1, 0, 0, 0},  {1, 1, 1, 2, 0, 0},       {2, 1, 1, 0, 0, 0}};
    struct team t;
    put_model("m");
    gather(&t, 2, ends);
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) {
        struct ech_err err = ECH_ERR_NONE;
        post_send(&t.posts[0].comm, 1, 1, notes[i], sizeof notes[i], &err);
        expect(ech_worker_turn(t.workers[1], &err), ECH_BUG, &err, "between stages cannot be");
    }
    struct ech_err err = ECH_ERR_NONE;
    post_send(&t.posts[0].comm, 1, 1, notes[0], 8, &err);
    expect(ech_worker_turn(t.workers[1], &err), ECH_BUG, &err, "8 bytes");
    dismiss(&t);
}

static void a_broken_worker_rests(void **state)
{
    (void)state;
    static const int ends[] = {1, 2};
    struct team t;
    put_model("m");
    gather(&t, 2, ends);
    submit(&t, ROWS, 1);
    turn(&t);
    for (int s = 0; s < 2; s++)
        ech_worker_break(t.workers[s]);
    submit(&t, ROWS, 2); /* the feeder may be at it still */
    int64_t sent = t.posts[0].sent;
    for (int n = 0; n < 50; n++)
        turn(&t);
    assert_null(ech_worker_poll(t.workers[0]));
    assert_true(t.posts[0].sent == sent && !ech_worker_serves(t.workers[1]));
    dismiss(&t);
}

/* Who claims, while ranks die. */
static void wholeness_follows_the_living(void **state)
{
    (void)state;
    const int node_of[] = {0, 0, 0, 0, 0};
    struct ech_workers table;
    struct ech_pool *pool;
    struct ech_err err = ECH_ERR_NONE;
    void *memory = ech_calloc(ech_pool_bytes(5, 5), 1, &err);
    must(ech_pool_open(memory, 5, 5, 0, &pool, &err), &err);
    must(ech_workers_group(&(struct ech_workers_view){5, 2, node_of, false}, &table, &err), &err);
    for (int r = 0; r < 5; r++)
        table.member[r].layer_end = r == 4 ? 0 : 1; /* the last is a spare of (2, 3, 4) */
    assert_true(ech_worker_claims(&table, 0, pool) && ech_worker_claims(&table, 2, pool));
    assert_false(ech_worker_claims(&table, 1, pool) || ech_worker_claims(&table, 4, pool));
    assert_true(ech_worker_claims(NULL, 1, pool));
    ech_pool_set_dead(pool, 4);
    assert_true(ech_worker_claims(&table, 2, pool));
    ech_pool_set_dead(pool, 1);
    assert_true(!ech_worker_claims(&table, 0, pool) && ech_workers_any_whole(&table, pool));
    ech_pool_set_dead(pool, 3);
    assert_false(ech_workers_any_whole(&table, pool));
    /* What nobody may claim leaves the slots. */
    struct ech_rowset rows;
    struct ech_range range;
    ech_rowset_init(&rows);
    assert_true(ech_pool_add(pool, (struct ech_range){10, 50}, -1) && ech_pool_claim(pool, 5, &range));
    assert_true(ech_pool_holds(pool, 0) && !ech_pool_holds(pool, 1));
    must(ech_pool_take_back(pool, &rows, &err), &err);
    assert_true(rows.rows == 35 && ech_rowset_has(&rows, 15, 50) && ech_pool_unclaimed(pool) == 0);
    assert_false(ech_pool_claim(pool, 5, &range));
    assert_true(ech_pool_add(pool, (struct ech_range){50, 60}, -1) && ech_pool_claim(pool, 99, &range));
    assert_true(range.first == 50 && range.end == 60);
    ech_rowset_fini(&rows);
    ech_workers_fini(&table);
    ech_pool_close(pool);
    ech_free(memory);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(same_bits),
    cmocka_unit_test(rounds_do_not_mix),
    cmocka_unit_test(nonsense_is_refused),
    cmocka_unit_test(a_broken_worker_rests),
    cmocka_unit_test(wholeness_follows_the_living),
};

ECH_TEST_MAIN(tests)
