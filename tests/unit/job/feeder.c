/* The reading thread: order, a full queue, errors with their rows, cancelling, closing with work left. */
#include "tests/unit/job/fake_kind.h"

#include "job/feeder.h"

#include <unistd.h>

static struct ech_stream stream;
static struct ech_list texts;
static struct ech_source *source;

static struct ech_feeder *open_feeder(int rows)
{
    struct ech_feeder *f;
    struct ech_err err = ECH_ERR_NONE;
    stream.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    source = fake_source(&texts, rows);
    assert_int_equal(ech_feeder_open(&fake_kind, &stream, source, &f, &err), ECH_OK);
    alarm(20);
    return f;
}

static void close_feeder(struct ech_feeder *f)
{
    ech_feeder_close(f);
    ech_source_close(source);
    ech_free(texts.items);
}

static void await_idle(struct ech_feeder *f)
{
    while (!ech_feeder_idle(f))
        ech_sleep_us(200);
}

static void rows_are_submitted_in_order(void **state)
{
    (void)state;
    struct ech_feeder *f = open_feeder(100);
    struct ech_err err = ECH_ERR_NONE;
    assert_true(ech_feeder_idle(f));
    for (int64_t first = 0; first < 100; first += 10)
        assert_int_equal(ech_feeder_put(f, (struct ech_range){first, first + 10}, &err), ECH_OK);
    await_idle(f);
    assert_int_equal(stream.count, 10);
    for (int i = 0; i < 10; i++)
        assert_true(stream.queue[i].first == 10 * i && stream.queue[i].rows == 10);
    assert_int_equal(ech_feeder_failed(f, &err), ECH_OK);
    close_feeder(f);
}

static void a_full_queue_says_so_and_a_cancel_empties_it(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    stream.submit_seconds = 0.1;
    struct ech_feeder *f = open_feeder(1000);
    int64_t put = 0;
    while (ech_feeder_put(f, (struct ech_range){put, put + 1}, &err) == ECH_OK)
        put++;
    assert_true(put >= ECH_FEEDER_QUEUE && put <= ECH_FEEDER_QUEUE + 1);
    assert_int_equal(err.code, ECH_BUG);
    ech_feeder_cancel(f);
    await_idle(f);
    assert_true(stream.submits <= 2 && stream.count == stream.submits);
    close_feeder(f);
}

static void an_error_names_its_rows_and_ends_the_thread(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    stream.fail_submit = 3;
    struct ech_feeder *f = open_feeder(100);
    for (int64_t first = 0; first < 100; first += 10)
        ech_feeder_put(f, (struct ech_range){first, first + 10}, &err);
    while (!ech_feeder_failed(f, &err))
        ech_sleep_us(200);
    assert_int_equal(err.code, ECH_DATA);
    assert_string_equal(err.text, "rows 20 to 29: a submission that fails");
    assert_int_equal(stream.submits, 3);
    assert_int_equal(ech_feeder_put(f, (struct ech_range){0, 1}, NULL), ECH_OK); /* waits for ever */
    ech_feeder_cancel(f);
    assert_true(ech_feeder_idle(f));
    close_feeder(f);
}

static void closing_leaves_what_waits(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    stream.submit_seconds = 0.05;
    struct ech_feeder *f = open_feeder(100);
    for (int64_t first = 0; first < 50; first++)
        assert_int_equal(ech_feeder_put(f, (struct ech_range){first, first + 1}, &err), ECH_OK);
    double start = ech_mono_s();
    close_feeder(f);
    assert_true(ech_mono_s() - start < 2 && stream.submits <= 2);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(rows_are_submitted_in_order),
    cmocka_unit_test(a_full_queue_says_so_and_a_cancel_empties_it),
    cmocka_unit_test(an_error_names_its_rows_and_ends_the_thread),
    cmocka_unit_test(closing_leaves_what_waits),
};

ECH_TEST_MAIN(tests)
