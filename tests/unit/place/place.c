/* Placement on made-up machines: whole cores, none twice, of one domain, within what may be used. */
#include "tests/harness.h"

#include "base/machine.h"
#include "base/place.h"
#include "base/str.h"

#include <string.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

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
        struct ech_place_ask ask = {.rank = r, .size = size, .threads = threads};
        ech_place(t, mask, &ask, set, &p);
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

/* --- GPUs --- */

/* An hwloc file of two packages x two domains x four cores. `gpus`: "2:81 0:11" a GPU at domain 2 with PCI
 * bus 81, ...; a domain from 4 on is a package's, 6 the machine's. Other devices stand beside them. */
static void put_devices(const char *gpus, int place, struct ech_str *out)
{
    for (const char *p = gpus; *p; p += strcspn(p, " "), p += *p == ' ') {
        int at;
        unsigned bus;
        assert_int_equal(sscanf(p, "%d:%x", &at, &bus), 2);
        if (at != place)
            continue;
        ech_str_addf(
            out,
            "<object type='Bridge' gp_index='%d' bridge_type='0-1' depth='0' bridge_pci='0000:[%02x-%02x]'>",
            1000 + (int)bus, bus, bus);
        ech_str_addf(
            out,
            "<object type='PCIDev' gp_index='%d' pci_busid='0000:%02x:00.0' pci_type='0302 [10de:2330] "
            "[10de:1626] a1' pci_link_speed='0.0'/>",
            2000 + (int)bus, bus);
        ech_str_addf(
            out,
            "<object type='PCIDev' gp_index='%d' pci_busid='0000:%02x:01.0' pci_type='0300 [1a03:2000] "
            "[1a03:2000] 41' pci_link_speed='0.0'/></object>",
            3000 + (int)bus, bus);
    }
}

static void put_object(struct ech_str *out, const char *type, int index, unsigned cpus, unsigned nodes,
                       const char *end)
{
    static int gp = 1;
    gp++;
    ech_str_addf(out, "<object type='%s' ", type);
    if (strcmp(type, "Group") != 0)
        ech_str_addf(out, "os_index='%d' ", index);
    ech_str_addf(
        out, "cpuset='0x%x' complete_cpuset='0x%x' nodeset='0x%x' complete_nodeset='0x%x' gp_index='%d'%s",
        cpus, cpus, nodes, nodes, gp, end);
}

static hwloc_topology_t made_with(const char *gpus)
{
    struct ech_str xml;
    hwloc_topology_t t;
    ech_str_init(&xml);
    ech_str_adds(&xml, "<?xml version='1.0' encoding='UTF-8'?>\n<!DOCTYPE topology SYSTEM 'hwloc2.dtd'>\n"
                       "<topology version='2.0'>");
    put_object(&xml, "Machine", 0, 0xffff, 0xf, " allowed_cpuset='0xffff' allowed_nodeset='0xf'>");
    for (int package = 0; package < 2; package++) {
        put_object(&xml, "Package", package, 0xffu << 8 * package, 3u << 2 * package, ">");
        for (int d = 2 * package; d < 2 * package + 2; d++) {
            put_object(&xml, "Group", 0, 0xfu << 4 * d, 1u << d, " kind='1001' subkind='0'>");
            put_object(&xml, "NUMANode", d, 0xfu << 4 * d, 1u << d, " local_memory='1073741824'/>");
            for (int core = 4 * d; core < 4 * d + 4; core++) {
                put_object(&xml, "Core", core, 1u << core, 1u << d, ">");
                put_object(&xml, "PU", core, 1u << core, 1u << d, "/></object>");
            }
            put_devices(gpus, d, &xml);
            ech_str_adds(&xml, "</object>");
        }
        put_devices(gpus, 4 + package, &xml);
        ech_str_adds(&xml, "</object>");
    }
    put_devices(gpus, 6, &xml);
    ech_str_adds(&xml, "</object></topology>");
    assert_false(xml.failed);
    for (char *p = xml.data; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    assert_int_equal(hwloc_topology_init(&t), 0);
    assert_int_equal(hwloc_topology_set_io_types_filter(t, HWLOC_TYPE_FILTER_KEEP_IMPORTANT), 0);
    assert_int_equal(hwloc_topology_set_xmlbuffer(t, xml.data, (int)xml.length + 1), 0);
    assert_int_equal(hwloc_topology_load(t), 0);
    ech_str_fini(&xml);
    return t;
}

/* All ranks of such a node: "0-3 8-11" and the GPUs "0 1" they were placed near. No core is given twice. */
static void near_gpus(const char *gpus, const char *visible, const char *allowed, int size, int threads,
                      const char *cores, const char *devices)
{
    hwloc_topology_t t = made_with(gpus);
    hwloc_bitmap_t mask = hwloc_bitmap_alloc(), seen = hwloc_bitmap_alloc(), set = hwloc_bitmap_alloc();
    struct ech_str got, which;
    ech_str_init(&got);
    ech_str_init(&which);
    hwloc_bitmap_list_sscanf(mask, allowed ? allowed : "0-15");
    for (int r = 0; r < size; r++) {
        struct ech_place_ask ask = {
            .rank = r, .size = size, .threads = threads, .devices = true, .visible = visible};
        struct ech_placement p;
        ech_place(t, mask, &ask, set, &p);
        assert_true(hwloc_bitmap_isincluded(set, mask));
        if (p.bound)
            assert_false(hwloc_bitmap_intersects(set, seen));
        hwloc_bitmap_or(seen, seen, set);
        ech_str_addf(&got, "%s%s", r ? " " : "", p.bound ? p.text : "free");
        ech_str_addf(&which, "%s%d", r ? " " : "", p.device);
    }
    assert_string_equal(got.data, cores);
    assert_string_equal(which.data, devices);
    ech_str_fini(&got);
    ech_str_fini(&which);
    hwloc_bitmap_free(mask);
    hwloc_bitmap_free(seen);
    hwloc_bitmap_free(set);
    hwloc_topology_destroy(t);
}

static void ranks_near_their_gpus(void **state)
{
    (void)state;
    near_gpus("1:41 3:c1", NULL, NULL, 2, 0, "4-7 12-15", "0 1");
    near_gpus("3:11 1:81", NULL, NULL, 2, 0, "12-15 4-7", "0 1"); /* by PCI address, not by domain */
    near_gpus("1:41 3:c1", NULL, NULL, 1, 0, "4-7", "0");
    near_gpus("1:41 3:c1", NULL, NULL, 4, 2, "4-5 12-13 6-7 14-15", "0 1 0 1"); /* two ranks a GPU */
    near_gpus("0:11 0:12 2:81 2:82", NULL, NULL, 4, 2, "0-1 2-3 8-9 10-11", "0 1 2 3");
    near_gpus("4:41 5:c1", NULL, NULL, 2, 8, "0-7 8-15", "0 1");     /* at packages */
    near_gpus("1:41 4:42", NULL, NULL, 2, 0, "4-7 0-3", "0 1");      /* the more particular one first */
    near_gpus("6:41", NULL, NULL, 1, 0, "free", "0");                /* near all of them */
    near_gpus("1:41 3:c1", NULL, "2-6,8-12", 2, 0, "4-6 12", "0 1"); /* within a cpuset */
    near_gpus("1:41 3:c1", NULL, "0-3", 2, 0, "0-1 2-3", "0 1");     /* which has no core near them */
}

static void ranks_of_gpus_that_are_seen(void **state)
{
    (void)state;
    near_gpus("1:41 3:c1", "1", NULL, 1, 0, "12-15", "1");
    near_gpus("1:41 3:c1", "1,0", NULL, 2, 0, "12-15 4-7", "1 0");
    near_gpus("1:41 3:c1", "GPU-8932f937,GPU-0a1b2c3d", NULL, 2, 0, "0-7 8-15",
              "-1 -1"); /* which one is not known */
    /* No GPU, or too few cores near it: as without. */
    near_gpus("", NULL, NULL, 2, 0, "0-7 8-15", "-1 -1");
    near_gpus("1:41 3:c1", "", NULL, 2, 0, "0-7 8-15", "-1 -1");
    near_gpus("1:41 3:c1", NULL, NULL, 2, 8, "0-7 8-15", "-1 -1");
    near_gpus("1:41", NULL, NULL, 8, 1, "0-1 2-3 4-5 6-7 8-9 10-11 12-13 14-15", "-1 -1 -1 -1 -1 -1 -1 -1");
}

static void counts(const char *gpus, const char *visible, const char *allowed, int domains, int devices)
{
    hwloc_topology_t t = made_with(gpus);
    hwloc_bitmap_t mask = hwloc_bitmap_alloc();
    struct ech_machine m;
    hwloc_bitmap_list_sscanf(mask, allowed);
    ech_machine_count(t, mask, visible, &m);
    assert_int_equal(m.domains, domains);
    assert_int_equal(m.devices, devices);
    hwloc_bitmap_free(mask);
    hwloc_topology_destroy(t);
}

static void what_a_machine_has(void **state)
{
    (void)state;
    counts("1:41 3:c1", NULL, "0-15", 4, 2);
    counts("1:41 3:c1", "1", "2-5", 2, 1);
    counts("", NULL, "15", 1, 0);
    counts("1:41 3:c1", "0,7,1", "0-15", 4, 1); /* as CUDA reads it */
    counts("1:41 3:c1", "-1", "0-15", 4, 0);
    counts("1:41 3:c1", "NoDevFiles", "0-15", 4, 0);
    counts("1:41 3:c1", "MIG-1,GPU-2,GPU-3", "0-15", 4, 2); /* not more than there are */
}

/* The process itself: what it is bound to, and where its memory comes from. */
/* hwloc's plugins for PCI and GPUs keep memory of their libraries and are unloaded: no leak of ours. */
static void foreign_memory(bool begins)
{
#ifdef __SANITIZE_ADDRESS__
    if (begins)
        __lsan_disable();
    else
        __lsan_enable();
#else
    (void)begins;
#endif
}

static void applied(void **state)
{
    (void)state;
    hwloc_topology_t t;
    hwloc_bitmap_t before, now = hwloc_bitmap_alloc(), nodes = hwloc_bitmap_alloc();
    hwloc_membind_policy_t policy;
    setenv("OMPI_COMM_WORLD_LOCAL_RANK", "1", 1);
    setenv("OMPI_COMM_WORLD_LOCAL_SIZE", "2", 1);
    foreign_memory(true);
    assert_true(ech_machine_load(&t, &before));
    ech_place_apply(0);
    foreign_memory(false);
    int domains = ech_place_domains(t, before);
    const struct ech_placement *p = ech_place_get();
    assert_non_null(p);
    assert_int_equal(hwloc_get_cpubind(t, now, HWLOC_CPUBIND_PROCESS), 0);
    if (p->bound) {
        char text[128];
        hwloc_bitmap_list_snprintf(text, sizeof text, now);
        assert_string_equal(text, p->text);
        assert_true(hwloc_bitmap_weight(now) < hwloc_bitmap_weight(before));
    }
    if (p->memory) {
        assert_int_equal(hwloc_get_membind(t, nodes, &policy, HWLOC_MEMBIND_THREAD | HWLOC_MEMBIND_BYNODESET),
                         0);
        assert_int_equal(hwloc_bitmap_weight(nodes), 1);
        assert_true(p->numa >= 0 && p->numa < domains);
    }
    ech_machine_unload(t, before);
    hwloc_bitmap_free(now);
    hwloc_bitmap_free(nodes);
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(machines),
                                          cmocka_unit_test(more_memory),
                                          cmocka_unit_test(not_bound),
                                          cmocka_unit_test(cpuset),
                                          cmocka_unit_test(ranks_near_their_gpus),
                                          cmocka_unit_test(ranks_of_gpus_that_are_seen),
                                          cmocka_unit_test(what_a_machine_has),
                                          cmocka_unit_test(applied)};
ECH_TEST_MAIN(tests)
