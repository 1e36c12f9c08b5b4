/* runtime/model/rooms, cache: rows are given out without overlap, first gap first; keys and values stand
 * where they were put, in each type and on each backend. */
#include "tests/harness.h"

#include "model/cache.h"
#include "model/rooms.h"

#include <math.h>

enum { ROWS = 60, MOST = 8, STEPS = 20000 };

static unsigned seed_now = 1;
static int64_t below(int64_t most)
{
    seed_now = seed_now * 1664525u + 1013904223u;
    return (int64_t)(seed_now >> 8) % most;
}

/* The lowest stretch of free rows, found row by row; -1: none. */
static int64_t plain_gap(const int *owner, int64_t count)
{
    for (int64_t at = 0; at + count <= ROWS; at++) {
        int64_t i = 0;
        while (i < count && owner[at + i] < 0)
            i++;
        if (i == count)
            return at;
    }
    return -1;
}

static void rooms(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_rooms r;
    int owner[ROWS];
    int64_t first[MOST], used = 0, full = 0, crowded = 0;
    bool taken[MOST] = {false};
    for (int i = 0; i < ROWS; i++)
        owner[i] = -1;
    assert_int_equal(ech_rooms_init(ROWS, MOST, &r, &err), ECH_OK);
    for (int step = 0; step < STEPS; step++) {
        int who = (int)below(MOST + 1);
        if (who < MOST && taken[who]) {
            ech_rooms_give(&r, first[who]);
            for (int i = 0; i < ROWS; i++)
                owner[i] = owner[i] == who ? -1 : owner[i];
            taken[who] = false;
            used--;
            continue;
        }
        int64_t count = 1 + below(below(4) ? 12 : ROWS + 3), want = plain_gap(owner, count);
        if (used == MOST) {
            assert_int_equal(ech_rooms_take(&r, count), -1);
            crowded++;
            continue;
        }
        for (who = 0; taken[who]; who++)
            ;
        first[who] = ech_rooms_take(&r, count);
        assert_int_equal(first[who], want);
        full += want < 0;
        taken[who] = want >= 0;
        used += want >= 0;
        for (int64_t i = 0; want >= 0 && i < count; i++)
            owner[want + i] = who;
    }
    assert_true(full > 100 && crowded > 5); /* both refusals were met */
    assert_int_equal(ech_rooms_take(&r, 0), 0);
    assert_int_equal(r.used, used);
    ech_rooms_fini(&r);
    assert_int_equal(ech_rooms_init(0, 1, &r, &err), ECH_OK);
    assert_int_equal(ech_rooms_take(&r, 1), -1);
    ech_rooms_fini(&r);
}

enum { LAYERS = 3, WIDTH = 10, PLACES = 7, LD = 25 };

static float value_at(int64_t layer, bool value, int64_t row, int64_t col)
{
    return (float)((layer * 1000 + row * 100 + col) * (value ? -1 : 1)) + 0.125f;
}

static float stored(const struct ech_cache *c, int64_t layer, bool value, int64_t row, int64_t col)
{
    const char *at = ech_cache_at(c, layer, value, row);
    float out;
    if (c->type == ECH_A_F32) {
        memcpy(&out, at + col * 4, sizeof out);
        return out;
    }
    uint32_t bits = 0;
    memcpy((char *)&bits + 2, at + col * 2, 2);
    memcpy(&out, &bits, sizeof out);
    return out;
}

static void store_rows(const struct ech_cache *c, struct ech_queue *queue, int64_t layer, int64_t row,
                       int64_t count)
{
    float both[PLACES * LD];
    for (int i = 0; i < PLACES * LD; i++)
        both[i] = NAN; /* between the rows: never read */
    for (int64_t i = 0; i < count; i++)
        for (int64_t col = 0; col < WIDTH; col++) {
            both[i * LD + col] = value_at(layer, false, row + i, col);
            both[i * LD + WIDTH + col] = value_at(layer, true, row + i, col);
        }
    assert_int_equal(ech_cache_store(c, queue, layer, row, count, both, both + WIDTH, LD), ECH_OP_OK);
    assert_int_equal(ech_queue_sync(queue), ECH_OP_OK);
}

static void fill_and_compare(const struct ech_ops *ops, enum ech_atype type)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_queue_options o = {.size = sizeof o, .workspace_bytes = 1 << 16, .threads = 1};
    struct ech_queue *queue = ech_queue_open(ops, &o, NULL);
    struct ech_cache c;
    assert_non_null(queue);
    assert_int_equal(ech_cache_init(ops, 0, type, LAYERS, WIDTH, PLACES, &c, &err), ECH_OK);
    size_t row_bytes = ech_cache_row_bytes(type, LAYERS, WIDTH);
    assert_int_equal(row_bytes, 2 * LAYERS * WIDTH * (type == ECH_A_F32 ? 4 : 2));
    assert_true(c.mem.bytes >= row_bytes * PLACES);
    memset(c.mem.at, 0, row_bytes * PLACES);
    store_rows(&c, queue, 2, 4, 3);
    store_rows(&c, queue, 0, 0, 1);
    store_rows(&c, queue, 1, 2, 4);
    store_rows(&c, queue, 0, 1, 2);
    store_rows(&c, queue, 1, 3, 0);
    for (int64_t layer = 0; layer < LAYERS; layer++)
        for (int64_t row = 0; row < PLACES; row++)
            for (int64_t i = 0; i < 2 * WIDTH; i++) {
                bool put = layer == 0 ? row < 3 : layer == 1 ? row >= 2 && row < 6 : row >= 4;
                float want = put ? value_at(layer, i >= WIDTH, row, i % WIDTH) : 0;
                float got = stored(&c, layer, i >= WIDTH, row, i % WIDTH);
                double room = type == ECH_A_F32 ? 0 : fabs((double)want) / 256;
                if (!(fabs((double)got - (double)want) <= room))
                    fail_msg("%s: layer %lld row %lld: %g, %g was expected", ops->name, (long long)layer,
                             (long long)row, (double)got, (double)want);
            }
    ech_cache_fini(&c);
    ech_cache_fini(&c); /* twice is no harm */
    ech_queue_close(queue);
}

static void cache(void **state)
{
    (void)state;
    int count = 0;
    for (const struct ech_ops *const *ops = ech_ops_all(); *ops; ops++)
        if (!(*ops)->device && !((*ops)->available && (*ops)->available())) {
            fill_and_compare(*ops, ECH_A_F32);
            if (strcmp((*ops)->name, "ref") != 0)
                fill_and_compare(*ops, ECH_A_BF16);
            count++;
        }
    assert_true(count >= 2);
}

/* The sanitizer must answer as the system does. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void too_much(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_cache c;
    const struct ech_ops *ops = ech_ops_find("auto", (char[256]){0});
    assert_int_equal(ech_cache_init(ops, 0, ECH_A_F32, 100, 1000, (int64_t)1 << 60, &c, &err),
                     ECH_UNAVAILABLE);
    assert_non_null(strstr(err.text, "for 1152921504606846976 tokens: more bytes"));
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(rooms), cmocka_unit_test(cache),
                                          cmocka_unit_test(too_much)};
ECH_TEST_MAIN(tests)
