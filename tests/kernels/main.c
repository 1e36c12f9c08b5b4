/* The kernel tests: `test_kernels` runs all, `test_kernels NAME` one, `test_kernels --list` names them. */
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
};
enum { COUNT = sizeof TESTS / sizeof TESTS[0] };

int main(int argc, char **argv)
{
    int ran = 0;
    for (int i = 0; i < COUNT; i++) {
        if (argc > 1 && strcmp(argv[1], "--list") == 0) {
            puts(TESTS[i].name);
            ran++;
        } else if (argc < 2 || strcmp(argv[1], TESTS[i].name) == 0) {
            int before = failures();
            random_seed((uint32_t)i + 1);
            TESTS[i].run();
            printf("%s %s\n", failures() == before ? "ok  " : "FAIL", TESTS[i].name);
            ran++;
        }
    }
    if (!ran)
        fprintf(stderr, "no test named %s\n", argv[1]);
    return !ran ? 2 : failures() ? 1 : 0;
}
