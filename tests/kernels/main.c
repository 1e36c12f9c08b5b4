/* The kernel tests: `test_kernels` runs all, `test_kernels NAME` one, `test_kernels --list` names them;
 * `test_kernels cases.BACKEND` all cases on one backend. Exit: 0 passed, 1 failed, 2 no such test, 77 the
 * backend is not here. */
#include <stdio.h>
#include <string.h>

#include "support.h"

static const struct {
    const char *name;
    void (*run)(void);
} TESTS[] = {
#define TEST(name)                                                                                           \
    {                                                                                                        \
#name, test_##name                                                                                   \
    }
    TEST(math),
    TEST(table),
    TEST(shapes),
    TEST(special),
    TEST(pack),
    TEST(linear),
    TEST(moved),
    TEST(threads),
    TEST(team),
    TEST(hostile),
    TEST(int_values),
    TEST(int_hostile),
    TEST(int_quality),
    TEST(int_pack),
    TEST(int_moved),
    TEST(int_stored),
    TEST(int_stored_refused),
    TEST(blocks),
    TEST(blocks_moved),
    TEST(blocks_hostile),
    TEST(blocks_refused),
    TEST(blocks_golden),
    TEST(blocks_decode),
    TEST(convert),
    TEST(convert_edges),
    TEST(norm),
    TEST(norm_special),
    TEST(narrow),
    TEST(softmax),
    TEST(log_softmax),
    TEST(activate),
    TEST(gate),
    TEST(topk),
    TEST(rotary),
    TEST(embed),
    TEST(pool),
    TEST(attention),
    TEST(attention_special),
    TEST(attention_hostile),
    TEST(attention_moved),
    TEST(attention_team),
    TEST(combine),
    TEST(ssru),
    TEST(relative),
    TEST(norm_parts),
    TEST(attention_cache),
    TEST(faults),
};
enum { COUNT = sizeof TESTS / sizeof TESTS[0] };

static int run_backend(const char *backend)
{
    int before = failures(), skipped = test_cases(backend);
    if (!skipped)
        printf("%s cases.%s\n", failures() == before ? "ok  " : "FAIL", backend);
    return skipped;
}

/* The cases of every backend that is built in. */
static void all_cases(bool list)
{
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++)
        if (list)
            printf("cases.%s\n", (*o)->name);
        else
            run_backend((*o)->name);
}

/* A test's numbers follow from its name, whatever stands before it in the table. */
static uint32_t seed_of(const char *name)
{
    uint32_t seed = 1;
    for (; *name; name++)
        seed = 31 * seed + (unsigned char)*name;
    return seed;
}

static int run_tests(const char *name, bool list)
{
    int ran = 0;
    for (int i = 0; i < COUNT; i++) {
        if (list) {
            puts(TESTS[i].name);
        } else if (!name || strcmp(name, TESTS[i].name) == 0) {
            int before = failures();
            random_seed(seed_of(TESTS[i].name));
            TESTS[i].run();
            printf("%s %s\n", failures() == before ? "ok  " : "FAIL", TESTS[i].name);
            ran++;
        }
    }
    if (list || !name)
        all_cases(list);
    return list ? 1 : ran;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    bool list = name && strcmp(name, "--list") == 0;
    if (name && strncmp(name, "cases.", 6) == 0) {
        int skipped = run_backend(name + 6);
        return skipped ? skipped : failures() ? 1 : 0;
    }
    if (!run_tests(name, list)) {
        fprintf(stderr, "no test named %s\n", name);
        return 2;
    }
    return failures() ? 1 : 0;
}
