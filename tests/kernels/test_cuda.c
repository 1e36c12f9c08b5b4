/* The tests of the CUDA backend, on a device or on the emulator (ECH_CUDA_LIBRARY names the shared object):
 * `test_cuda` runs all, `test_cuda NAME` one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_support.h"

const struct ech_ops *cuda;
struct ech_queue *queue;

static const struct {
    const char *name;
    void (*run)(void);
} TESTS[] = {
#define TEST(name)                                                                                           \
    {                                                                                                        \
#name, test_##name                                                                                   \
    }
    TEST(linear_formats),
    TEST(linear_types),
    TEST(linear_moved),
    TEST(linear_blocks),
    TEST(linear_shapes),
    TEST(linear_special),
    TEST(algorithms_refused),
    TEST(convert),
    TEST(norm),
    TEST(norm_also),
    TEST(embed),
    TEST(embed_fault),
    TEST(pool),
    TEST(softmax),
    TEST(elements),
    TEST(rotary),
    TEST(attention),
    TEST(attention_masks),
    TEST(attention_halves),
    TEST(attention_moved),
    TEST(attention_special),
    TEST(blocks),
    TEST(blocks_embed),
    TEST(combine),
    TEST(ssru),
    TEST(relative),
    TEST(norm_parts),
    TEST(attention_cache),
    TEST(staging),
    TEST(memory),
    TEST(refusals),
    TEST(failures),
    TEST(order),
    TEST(threads),
};
enum { COUNT = sizeof TESTS / sizeof TESTS[0], SCRATCH = 8 << 20 };

static bool start(void)
{
    char why[256] = "";
    struct ech_queue_options options = {.size = sizeof options, .workspace_bytes = SCRATCH};
    cuda = ech_ops_find("cuda", why);
    if (cuda)
        queue = ech_queue_open(cuda, &options, why);
    if (!queue)
        fprintf(stderr, "%s\n", why);
    return queue != NULL;
}

int main(int argc, char **argv)
{
    int ran = 0;
    if (!start())
        return 69;
    for (int i = 0; i < COUNT; i++) {
        if (argc > 1 && strcmp(argv[1], TESTS[i].name) != 0)
            continue;
        int before = failures();
        random_seed((uint32_t)i + 1);
        TESTS[i].run();
        printf("%s %s\n", failures() == before ? "ok  " : "FAIL", TESTS[i].name);
        ran++;
    }
    ech_queue_close(queue);
    if (!ran)
        fprintf(stderr, "no test named %s\n", argv[1]);
    return !ran ? 2 : failures() ? 1 : 0;
}
