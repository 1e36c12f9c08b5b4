/* The device itself: copies, memory that runs out, refusals, failures of each call in turn, order, threads.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

#include "cuda_support.h"
#include "kernels/plugin.h"

/* More than the staging memory in one copy, odd sizes, and gets that wait for their slot. */
void test_staging(void)
{
    static const size_t sizes[] = {1, 3, 4096, (2 << 20) - 1, 2 << 20, (2 << 20) + 1, 19 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t n = sizes[i];
        unsigned char *out = malloc(n), *in = malloc(n + 1);
        for (size_t b = 0; b < n; b++)
            out[b] = (unsigned char)random_below(256);
        memset(in, 0x55, n + 1);
        struct ech_mem mem = upload(out, n);
        CHECK(mem.bytes == n && mem.ops && mem.ops->mem_free == cuda->mem_free,
              "a handle that does not say whose it is");
        for (int turn = 0; turn < 2; turn++)
            CHECK(cuda->get(queue, in, mem.at, n) == ECH_OP_OK, "get: %s", ech_queue_error(queue));
        sync_ok("get");
        CHECK(memcmp(in, out, n) == 0 && in[n] == 0x55, "%zu bytes came back changed", n);
        cuda->mem_free(&mem);
        CHECK(!mem.at && !mem.bytes, "a freed handle still points");
        free(out), free(in);
    }
    CHECK(cuda->put(queue, NULL, sizes, 8) == ECH_OP_SHAPE &&
              cuda->get(queue, NULL, sizes, 8) == ECH_OP_SHAPE,
          "a copy to nowhere");
    CHECK(cuda->put(queue, NULL, NULL, 0) == ECH_OP_OK, "a copy of nothing");
}

/* Too much: the numbers asked and there, and the device's name. */
void test_memory(void)
{
    char why[256] = "";
    size_t asked = (size_t)1 << 50;
    struct ech_mem mem = {0};
    int rc = cuda->mem_alloc(0, asked, &mem, why);
    CHECK(rc == ECH_OP_MEMORY && !mem.at, "an allocation of 1 PiB gave %d", rc);
    CHECK(strstr(why, "1125899906842624") && strstr(why, "free of") && strstr(why, "device 0 ("),
          "told as: %s", why);
    struct ech_queue_options o = {.size = sizeof o, .workspace_bytes = asked};
    why[0] = 0;
    CHECK(!ech_queue_open(cuda, &o, why) && strstr(why, "1125899906842624") && strstr(why, "scratch"),
          "a queue of 1 PiB: %s", why);
    o.workspace_bytes = 0, o.device = 99;
    CHECK(!ech_queue_open(cuda, &o, why) && strstr(why, "no CUDA device 99"), "told as: %s", why);
    CHECK(cuda->mem_alloc(99, 4, &mem, why) == ECH_OP_SHAPE && strstr(why, "99"), "told as: %s", why);
    CHECK(cuda->mem_alloc(0, 4, &mem, NULL) == ECH_OP_OK, "4 bytes after that");
    cuda->mem_free(&mem);
    cuda->mem_free(&mem);
}

/* The table: what a device says of itself and what it does not do. */
void test_refusals(void)
{
    char why[256] = "", line[512] = "";
    CHECK(ech_ops_find("cuda", why) == cuda, "found twice");
    bool listed = false;
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++)
        listed = listed || *o == cuda;
    CHECK(listed && cuda->device && !cuda->available(), "the table is not listed as a device's");
    CHECK(ech_ops_find("auto", why) != cuda, "auto chose a device");
    for (int f = 0; f < ECH_FORMATS; f++) {
        bool own = ech_format_in_place((enum ech_format)f), here = f != ECH_FMT_INT4 && f != ECH_FMT_BF16_F32;
        const char *class = cuda->numerics[f];
        CHECK(here ? class && strncmp(class, "cuda-", 5) == 0 && strstr(class, "-1-sm") &&
                         (strstr(class, "cublaslt") != NULL) == !own
                   : !class,
              "format %d has the class %s", f, class ? class : "none");
    }
    struct ech_topk_args topk = {.size = sizeof topk};
    CHECK(cuda->topk(queue, &topk) == ECH_OP_UNSUPPORTED, "topk");
    CHECK(ech_cuda_describe(line, sizeof line) && strstr(line, "cuBLASLt") && strstr(line, "device 0: "),
          "described as: %s", line);
    char tiny[16];
    CHECK(strlen(ech_cuda_describe(tiny, sizeof tiny)) < sizeof tiny, "describe overran 16 bytes");
    CHECK(cuda->devices() >= 1, "no devices");
}

/* A little of everything on a queue of its own; the first status that is not ECH_OP_OK. */
static int scenario(char *text, float *result)
{
    enum { M = 3, N = 16, K = 16 };
    char why[256] = "";
    struct ech_queue_options o = {.size = sizeof o};
    o.workspace_bytes = cuda->linear_workspace(ECH_FMT_F32, M, N, K, 1);
    struct ech_queue *q = ech_queue_open(cuda, &o, why);
    struct ech_mem mem = {0};
    float host[M * K + N * K];
    for (int i = 0; i < M * K + N * K; i++)
        host[i] = (float)(i % 7) - 3;
    int rc = q ? cuda->mem_alloc(0, sizeof host + M * N * 4, &mem, why) : ECH_OP_DEVICE;
    snprintf(text, 256, "%s", why);
    if (!rc) {
        float *at = mem.at;
        struct ech_linear_args a = {.size = sizeof a,
                                    .m = M,
                                    .n = N,
                                    .k = K,
                                    .x = at,
                                    .ldx = K,
                                    .packed = at + M * K,
                                    .act = ECH_ACT_RELU,
                                    .y = at + M * K + N * K,
                                    .ldy = N};
        rc = cuda->put(q, mem.at, host, sizeof host);
        rc = rc ? rc : cuda->linear(q, &a);
        rc = rc ? rc : cuda->softmax(q, a.y, M, N, N);
        rc = rc ? rc : cuda->get(q, result, a.y, M * N * 4);
        int end = ech_queue_sync(q);
        rc = rc ? rc : end;
        snprintf(text, 256, "%s", ech_queue_error(q));
    }
    cuda->mem_free(&mem);
    ech_queue_close(q);
    return rc;
}

/* Each call of the runtime and of cuBLASLt fails in turn: a status and words, nothing left behind, and after
 * that the right numbers again. A failure that an operation can do without (one algorithm of several) may go
 * unseen. */
void test_failures(void)
{
    void (*fail_call)(int64_t) = NULL;
    int64_t (*calls)(void) = NULL;
    size_t (*live)(void) = NULL;
    *(void **)&fail_call = emulator("ech_emu_fail_call");
    *(void **)&calls = emulator("ech_emu_calls");
    *(void **)&live = emulator("ech_emu_live_allocations");
    if (!fail_call || !calls || !live)
        return;
    float want[48] = {0}, got[48];
    char text[256];
    int64_t first = calls(), told = 0;
    CHECK(scenario(text, want) == ECH_OP_OK, "untouched: %s", text);
    int64_t count = calls() - first;
    for (int64_t n = 1; n <= count; n++) {
        size_t before = live(), left;
        fail_call(n);
        int rc = scenario(text, got);
        fail_call(0);
        told += rc != ECH_OP_OK;
        CHECK(rc == ECH_OP_OK || text[0], "call %d failed without a word", (int)n);
        CHECK(rc != ECH_OP_OK || memcmp(got, want, sizeof want) == 0, "call %d failed unseen: other numbers",
              (int)n);
        left = live() - before; /* a cudaFree that failed leaves its own */
        CHECK(left <= (rc == ECH_OP_OK ? 1 : 0), "call %d, status %d, left %zu allocations", (int)n, rc,
              left);
    }
    CHECK(told > 10, "%d of %d failures were told", (int)told, (int)count);
    CHECK(scenario(text, got) == ECH_OP_OK && memcmp(got, want, sizeof want) == 0, "after the failures: %s",
          text);
}

/* Blocks and threads in the other order: the same bits. */
void test_order(void)
{
    void (*set_order)(int) = NULL;
    *(void **)&set_order = emulator("ech_emu_set_order");
    float want[48] = {0}, got[48] = {0};
    char text[256];
    CHECK(scenario(text, want) == ECH_OP_OK, "%s", text);
    if (set_order)
        set_order(1);
    CHECK(scenario(text, got) == ECH_OP_OK, "%s", text);
    if (set_order)
        set_order(0);
    CHECK(memcmp(got, want, sizeof want) == 0, "another order of blocks gave other bits");
}

static int thread_run(void *out)
{
    char text[256];
    int rc = ECH_OP_OK;
    for (int turn = 0; turn < 3 && !rc; turn++)
        rc = scenario(text, out);
    return rc;
}

/* Two threads with a queue each, one of them the first to use the product: the bits of one alone. */
void test_threads(void)
{
    enum { THREADS = 2 };
    float want[48] = {0}, got[THREADS][48];
    char text[256];
    thrd_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        if (thrd_create(&threads[i], thread_run, got[i]) != thrd_success)
            abort();
    for (int i = 0; i < THREADS; i++) {
        int rc = ECH_OP_DEVICE;
        thrd_join(threads[i], &rc);
        CHECK(rc == ECH_OP_OK, "thread %d got status %d", i, rc);
    }
    CHECK(scenario(text, want) == ECH_OP_OK, "%s", text);
    for (int i = 0; i < THREADS; i++)
        CHECK(memcmp(got[i], want, sizeof want) == 0, "thread %d got other bits", i);
}
