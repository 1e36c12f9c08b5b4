/* pool: claims, done rings, deaths, under threads that claim at once. */
#include "tests/harness.h"

#include "base/clock.h"
#include "base/mem.h"
#include "job/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PLACES = 4 };

static struct ech_pool *pools[PLACES];
static void *memory;

static void open_pools(void)
{
    size_t bytes = ech_pool_bytes(PLACES, PLACES);
    memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    for (int p = 0; p < PLACES; p++)
        assert_int_equal(ech_pool_open(memory, PLACES, PLACES, p, &pools[p], NULL), 0);
}

static void close_pools(void)
{
    for (int p = 0; p < PLACES; p++)
        ech_pool_close(pools[p]);
    munmap(memory, ech_pool_bytes(PLACES, PLACES));
}

static void tell(struct ech_pool *pool, struct ech_range r)
{
    struct ech_spooled s = {r.first, r.end - r.first, 0, r.end - r.first};
    assert_true(ech_pool_done(pool, &s));
}

static void rows_are_claimed_once(void **state)
{
    (void)state;
    open_pools();
    assert_true(ech_pool_add(pools[0], (struct ech_range){0, 100}, -1));
    assert_true(ech_pool_add(pools[0], (struct ech_range){200, 210}, -1));
    struct ech_rowset got;
    struct ech_range r;
    ech_rowset_init(&got);
    for (int p = 0; ech_pool_claim(pools[p], 7, &r); p = (p + 1) % PLACES) {
        int64_t added;
        assert_int_equal(ech_rowset_add(&got, r.first, r.end, &added, NULL), 0);
        assert_int_equal(added, r.end - r.first);
        tell(pools[p], r);
    }
    assert_int_equal(got.rows, 110);
    assert_int_equal(ech_pool_unclaimed(pools[0]), 0);
    for (int p = 0; p < PLACES; p++)
        assert_int_equal(ech_pool_claims(pools[p]), 0);
    ech_rowset_fini(&got);
    close_pools();
}

static void a_slot_of_a_place_is_its_own(void **state)
{
    (void)state;
    open_pools();
    struct ech_range r;
    assert_true(ech_pool_add(pools[0], (struct ech_range){0, 10}, 2));
    assert_false(ech_pool_claim(pools[1], 5, &r));
    assert_int_equal(ech_pool_unclaimed(pools[1]), 0);
    assert_true(ech_pool_claim(pools[2], 5, &r));
    close_pools();
}

static void the_claims_of_the_dead_come_back(void **state)
{
    (void)state;
    open_pools();
    struct ech_range a, b;
    struct ech_spooled s;
    struct ech_rowset back;
    ech_rowset_init(&back);
    ech_pool_add(pools[0], (struct ech_range){0, 100}, -1);
    assert_true(ech_pool_claim(pools[1], 30, &a));
    assert_true(ech_pool_claim(pools[1], 30, &b));
    tell(pools[1], a);
    assert_true(ech_pool_take_done(pools[0], 1, &s));
    assert_int_equal(s.rows, 30);
    assert_false(ech_pool_take_done(pools[0], 1, &s));
    ech_pool_kill(pools[0], 1);
    assert_true(ech_pool_fenced(pools[1]));
    assert_int_equal(ech_pool_claimed(pools[0], 1, true, &back, NULL), 0);
    assert_int_equal(back.rows, 30);
    assert_int_equal(back.ranges[0].first, b.first);
    ech_rowset_fini(&back);
    ech_rowset_init(&back);
    assert_int_equal(ech_pool_claimed(pools[0], 1, true, &back, NULL), 0);
    assert_int_equal(back.rows, 0);
    ech_rowset_fini(&back);
    close_pools();
}

/* Later grants may lie in earlier slots: an idle node copies the last rows, so they must come last. */
static void rows_are_claimed_in_rising_order(void **state)
{
    (void)state;
    open_pools();
    struct ech_range r;
    int64_t last = -1;
    ech_pool_add(pools[0], (struct ech_range){500, 600}, -1);
    ech_pool_add(pools[0], (struct ech_range){100, 200}, -1);
    ech_pool_add(pools[0], (struct ech_range){0, 50}, 3); /* another's own */
    ech_pool_add(pools[0], (struct ech_range){300, 400}, -1);
    for (int p = 0; ech_pool_claim(pools[p], 30, &r); p = (p + 1) % 3) {
        assert_true(r.first > last);
        last = r.first;
    }
    assert_int_equal(last, 590);
    close_pools();
}

static void a_full_ring_says_so(void **state)
{
    (void)state;
    open_pools();
    struct ech_spooled s = {0, 1, 0, 1}, out;
    int pushed = 0;
    while (ech_pool_done(pools[1], &s))
        pushed++;
    assert_true(pushed > 100);
    assert_true(ech_pool_take_done(pools[0], 1, &out));
    assert_true(ech_pool_done(pools[1], &s));
    close_pools();
}

/* A rank that was declared dead and wakes in the middle of its turn. */
static void the_dead_may_claim_and_add_nothing_for_good(void **state)
{
    (void)state;
    open_pools();
    struct ech_range r;
    struct ech_spooled s;
    struct ech_rowset back;
    ech_rowset_init(&back);
    ech_pool_add(pools[0], (struct ech_range){0, 100}, -1);
    ech_pool_kill(pools[0], 2);
    assert_int_equal(ech_pool_claimed(pools[0], 2, true, &back, NULL), 0);
    assert_int_equal(back.rows, 0);
    assert_true(ech_pool_claim(pools[2], 30, &r));
    assert_int_equal(ech_pool_claimed(pools[0], 2, true, &back, NULL), 0);
    assert_int_equal(back.rows, 30);
    assert_false(ech_pool_add(pools[2], (struct ech_range){200, 300}, -1));
    assert_true(ech_pool_claim(pools[1], 10, &r));
    tell(pools[1], r);
    assert_false(ech_pool_take_done(pools[2], 1, &s));
    assert_true(ech_pool_take_done(pools[0], 1, &s));
    ech_rowset_fini(&back);
    close_pools();
}

static void silence_counts_from_listening(void **state)
{
    (void)state;
    open_pools();
    ech_sleep_us(60000);
    assert_true(ech_pool_silence(pools[0], 1) > 0.05);
    ech_pool_listen(pools[0]);
    assert_true(ech_pool_silence(pools[0], 1) < 0.05);
    close_pools();
}

static void slots_run_out_and_come_back(void **state)
{
    (void)state;
    open_pools();
    int64_t added = 0;
    while (ech_pool_add(pools[0], (struct ech_range){added * 10, added * 10 + 5}, -1))
        added++;
    assert_true(added >= 32);
    assert_int_equal(ech_pool_free_slots(pools[0]), 0);
    struct ech_range r;
    assert_true(ech_pool_claim(pools[0], 5, &r));
    assert_int_equal(ech_pool_free_slots(pools[0]), 1);
    assert_true(ech_pool_add(pools[0], (struct ech_range){100000, 100001}, -1));
    close_pools();
}

static void an_idle_rank_copies_from_the_slowest_once(void **state)
{
    (void)state;
    open_pools();
    struct ech_range r, copy;
    ech_pool_add(pools[0], (struct ech_range){0, 100}, -1);
    assert_true(ech_pool_claim(pools[1], 60, &r));
    assert_true(ech_pool_claim(pools[1], 40, &r));
    ech_pool_set_speed(pools[1], 10, 10);
    assert_false(ech_pool_copy(pools[2], 1, &copy)); /* slower than the owner: not worth it */
    assert_true(ech_pool_copy(pools[2], 100, &copy));
    assert_true(copy.first == r.first && copy.end == r.end);
    assert_true(ech_pool_copy(pools[3], 100, &copy)); /* then the one before it */
    assert_true(copy.first == 0 && copy.end == 60);
    assert_false(ech_pool_copy(pools[3], 100, &copy));
    close_pools();
}

static void what_is_computed_is_not_copied(void **state)
{
    (void)state;
    open_pools();
    struct ech_range a, b, copy;
    ech_pool_add(pools[0], (struct ech_range){0, 100}, -1);
    assert_true(ech_pool_claim(pools[1], 60, &a));
    assert_true(ech_pool_claim(pools[1], 40, &b));
    ech_pool_set_speed(pools[1], 10, 10);
    ech_pool_computed(pools[1], b.first, b.end - b.first);
    assert_true(ech_pool_copy(pools[2], 100, &copy));
    assert_true(copy.first == a.first && copy.end == a.end);
    assert_false(ech_pool_copy(pools[2], 100, &copy));
    close_pools();
}

/* Its speed says that it is done at once; it shows nothing. */
static void a_rank_that_stands_still_is_copied(void **state)
{
    (void)state;
    open_pools();
    struct ech_range r, copy;
    ech_pool_add(pools[0], (struct ech_range){0, 100}, -1);
    assert_true(ech_pool_claim(pools[1], 100, &r));
    ech_pool_set_speed(pools[1], 10000, 10000);
    assert_false(ech_pool_copy(pools[2], 10000, &copy));
    ech_sleep_us(200000);
    assert_true(ech_pool_copy(pools[2], 10000, &copy));
    close_pools();
}

static void an_ended_process_is_seen_at_once(void **state)
{
    (void)state;
    open_pools();
    pid_t child = fork();
    if (child == 0) { /* a rank of its own: place 3 */
        struct ech_pool *mine;
        ech_pool_open(memory, PLACES, PLACES, 3, &mine, NULL);
        pause();
    }
    for (int i = 0; i < 1000 && ech_pool_pid(pools[0], 3) != child; i++)
        ech_sleep_us(1000);
    if (ech_pool_gone(pools[0], 3)) /* alive */
        fail();
    kill(child, SIGKILL);
    bool gone = false;
    for (int i = 0; i < 1000 && !gone; i++) {
        gone = ech_pool_gone(pools[0], 3);
        ech_sleep_us(1000);
    }
    assert_true(gone); /* and nobody has reaped it */
    waitpid(child, NULL, 0);
    assert_true(ech_pool_gone(pools[0], 3));
    assert_true(ech_pool_gone(pools[2], 3)); /* looked for too late to watch it */
    assert_false(ech_pool_gone(pools[2], 0));
    close_pools();
}

static void shares_follow_living_speed(void **state)
{
    (void)state;
    open_pools();
    assert_true(ech_pool_share(pools[0]) == 0.25);
    ech_pool_set_speed(pools[0], 300, 3);
    ech_pool_set_speed(pools[1], 100, 1);
    assert_true(ech_pool_share(pools[0]) == 0.75);
    ech_pool_kill(pools[0], 1);
    assert_true(ech_pool_share(pools[0]) == 1);
    ech_pool_fail(pools[2], 65);
    ech_pool_fail(pools[1], 74);
    ech_pool_fail(pools[3], 66);
    assert_int_equal(ech_pool_failed(pools[0]), 74);
    close_pools();
}

/* Threads that claim while the leader refills: every row exactly once. */
enum { ROWS = 200000 };
static _Atomic unsigned char seen[ROWS];

static void *claimer(void *argument)
{
    struct ech_pool *pool = argument;
    struct ech_range r;
    while (ech_pool_state(pool) != ECH_STATE_DONE)
        while (ech_pool_claim(pool, 1 + ROWS % 13, &r)) {
            for (int64_t i = r.first; i < r.end; i++)
                atomic_fetch_add(&seen[i], 1);
            struct ech_spooled s = {r.first, r.end - r.first, 0, 0};
            while (!ech_pool_done(pool, &s))
                ;
        }
    return NULL;
}

static void threads_claim_each_row_once(void **state)
{
    (void)state;
    open_pools();
    pthread_t threads[PLACES];
    for (int p = 0; p < PLACES; p++)
        pthread_create(&threads[p], NULL, claimer, pools[p]);
    int64_t added = 0, done = 0;
    while (done < ROWS) {
        struct ech_range next = {added, added + 100};
        if (added < ROWS && ech_pool_add(pools[0], next, -1))
            added += 100;
        struct ech_spooled s;
        for (int p = 0; p < PLACES; p++)
            while (ech_pool_take_done(pools[0], p, &s))
                done += s.rows;
    }
    ech_pool_set_state(pools[0], ECH_STATE_DONE, 0);
    for (int p = 0; p < PLACES; p++)
        pthread_join(threads[p], NULL);
    for (int i = 0; i < ROWS; i++)
        assert_int_equal(seen[i], 1);
    close_pools();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(rows_are_claimed_once),
    cmocka_unit_test(a_slot_of_a_place_is_its_own),
    cmocka_unit_test(the_claims_of_the_dead_come_back),
    cmocka_unit_test(rows_are_claimed_in_rising_order),
    cmocka_unit_test(a_full_ring_says_so),
    cmocka_unit_test(silence_counts_from_listening),
    cmocka_unit_test(the_dead_may_claim_and_add_nothing_for_good),
    cmocka_unit_test(slots_run_out_and_come_back),
    cmocka_unit_test(an_idle_rank_copies_from_the_slowest_once),
    cmocka_unit_test(what_is_computed_is_not_copied),
    cmocka_unit_test(a_rank_that_stands_still_is_copied),
    cmocka_unit_test(an_ended_process_is_seen_at_once),
    cmocka_unit_test(shares_follow_living_speed),
    cmocka_unit_test(threads_claim_each_row_once),
};

ECH_TEST_MAIN(tests)
