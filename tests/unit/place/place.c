/* Placement on made-up machines: whole cores, none twice, of one domain, within what may be used. */
#include "tests/harness.h"

#include "base/place.h"

#include <string.h>

static hwloc_topology_t made(const char *description)
{
    hwloc_topology_t t;
    assert_int_equal(hwloc_topology_init(&t), 0);
    assert_int_equal(hwloc_topology_set_synthetic(t, description), 0);
    assert_int_equal(hwloc_topology_load(t), 0);
    return t;
}

/* Places all ranks and checks what holds for each machine. Returns the first rank's placement. */
static struct ech_placement place_all(const char *description, const char *allowed, int size, int threads,
                                      bool one_domain)
{
    hwloc_topology_t t = made(description);
    hwloc_bitmap_t mask = hwloc_bitmap_alloc(), seen = hwloc_bitmap_alloc(), set = hwloc_bitmap_alloc();
    struct ech_placement first = {0}, p;
    if (allowed)
        hwloc_bitmap_list_sscanf(mask, allowed);
    else
        hwloc_bitmap_copy(mask, hwloc_topology_get_topology_cpuset(t));
    for (int r = 0; r < size; r++) {
        ech_place(t, mask, r, size, threads, set, &p);
        assert_true(hwloc_bitmap_isincluded(set, mask));
        assert_false(hwloc_bitmap_iszero(set));
        assert_true(p.cores >= 1);
        if (p.bound) {
            assert_false(hwloc_bitmap_intersects(set, seen));
            assert_true(hwloc_bitmap_weight(set) >= (threads ? threads : 1));
        } else
            assert_true(hwloc_bitmap_isequal(set, mask));
        if (one_domain)
            assert_true(p.numa >= 0);
        hwloc_bitmap_or(seen, seen, set);
        first = r ? first : p;
    }
    assert_true(hwloc_bitmap_isequal(seen, mask)); /* no core is left idle */
    hwloc_bitmap_free(mask);
    hwloc_bitmap_free(seen);
    hwloc_bitmap_free(set);
    hwloc_topology_destroy(t);
    return first;
}

static void machines(void **state)
{
    (void)state;
    static const char two[] = "pack:2 numa:1 core:16 pu:2", nps4[] = "pack:2 numa:4 core:8 pu:1";
    struct ech_placement p = place_all(two, NULL, 2, 0, true);
    assert_true(p.bound && p.cores == 16 && p.numa == 0);
    assert_string_equal(p.text, "0-31");
    p = place_all(two, NULL, 4, 8, true);
    assert_true(p.bound && p.cores == 8);
    p = place_all(two, NULL, 3, 4, true); /* 2 and 1 ranks a domain */
    assert_true(p.bound && p.cores == 16);
    p = place_all(two, NULL, 32, 1, true);
    assert_true(p.bound && p.cores == 1);
    assert_string_equal(p.text, "0-1"); /* both processors of a core */
    p = place_all(nps4, NULL, 8, 8, true);
    assert_true(p.bound && p.cores == 8);
    p = place_all(nps4, NULL, 2, 32, false);
    assert_true(p.bound && p.cores == 32 && p.numa == -1);
    p = place_all("core:2 pu:1", NULL, 2, 1, true);
    assert_true(p.bound && p.cores == 1);
    assert_string_equal(p.text, "0");
}

/* Nodes of other memory, of the same cores or of all. */
static void more_memory(void **state)
{
    (void)state;
    static const char hbm[] = "pack:2 [numa] [numa] core:4 pu:1", far[] = "[numa] pack:2 [numa] core:4 pu:1";
    for (int size = 2; size <= 8; size++) {
        place_all(hbm, NULL, size, 1, true);
        place_all(far, NULL, size, 1, true);
    }
    struct ech_placement p = place_all(hbm, NULL, 2, 4, true);
    assert_true(p.bound && p.cores == 4);
    p = place_all(far, NULL, 2, 4, true);
    assert_true(p.bound && p.cores == 4 && p.numa == 0);
}

static void not_bound(void **state)
{
    (void)state;
    assert_false(place_all("core:2 pu:1", NULL, 1, 2, true).bound);
    assert_false(place_all("core:2 pu:1", NULL, 4, 1, true).bound);
    assert_false(place_all("core:2 pu:1", NULL, 2, 2, true).bound);
    assert_false(place_all("core:2 pu:1", "1", 2, 1, true).bound); /* a mask of one core */
    assert_true(place_all("core:4 pu:2", NULL, 4, 2, true).bound);
}

static void cpuset(void **state)
{
    (void)state;
    static const char two[] = "pack:2 numa:1 core:16 pu:2";
    struct ech_placement p = place_all(two, "28-35", 2, 0, true); /* two cores of each domain */
    assert_true(p.bound && p.cores == 2 && p.numa == 0);
    assert_string_equal(p.text, "28-31");
    p = place_all(two, "26-35", 2, 0, true); /* three and two */
    assert_true(p.bound && p.cores == 3);
    p = place_all(two, "0,2,4,6", 4, 1, true); /* one processor of each core */
    assert_string_equal(p.text, "0");
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(machines), cmocka_unit_test(more_memory),
                                          cmocka_unit_test(not_bound), cmocka_unit_test(cpuset)};
ECH_TEST_MAIN(tests)
