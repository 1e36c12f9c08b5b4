/* bench_kernels [BACKEND]: throughput of the product, attention, GELU and norm at the shapes of MiniLM-L6 in
 * one thread, each beside a register-only FMA peak measured around it. Not a test: run it on a calm machine.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/ops.h"
#include "peak.h"

enum { REPEATS = 9 };

static const struct ech_ops *ops;
static struct ech_queue *queue;
static int bits;

static float *randoms(size_t n)
{
    float *x = aligned_alloc(64, (n * sizeof *x + 63) / 64 * 64);
    if (!x)
        exit(70);
    uint32_t state = 12345;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(state >> 8) * 0x1p-23f - 1.0f;
    }
    return x;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median seconds of a call, over REPEATS rounds of about 10 ms. */
static double seconds_of(int (*call)(const void *), const void *args)
{
    double t0 = ech_seconds(), taken[REPEATS];
    if (call(args) != ECH_OP_OK)
        exit(70);
    double once = ech_seconds() - t0;
    int turns = once > 0.01 ? 1 : (int)(0.01 / once) + 1;
    for (int r = 0; r < REPEATS; r++) {
        t0 = ech_seconds();
        for (int i = 0; i < turns; i++)
            call(args);
        taken[r] = (ech_seconds() - t0) / turns;
    }
    qsort(taken, REPEATS, sizeof taken[0], by_value);
    return taken[REPEATS / 2];
}

static int call_linear(const void *args)
{
    return ops->linear(queue, args);
}

static int call_attention(const void *args)
{
    return ops->attention(queue, args);
}

static int call_norm(const void *args)
{
    return ops->norm(queue, args);
}

struct activate_call {
    float *x;
    int64_t count;
};

static int call_gelu(const void *args)
{
    const struct activate_call *a = args;
    return ops->activate(queue, ECH_ACT_GELU, a->x, a->count);
}

static void bench_linear(int64_t m, int64_t n, int64_t k, enum ech_act act)
{
    float *w = randoms((size_t)(n * k)), *x = randoms((size_t)(m * k)), *y = randoms((size_t)(m * n));
    float *bias = randoms((size_t)n);
    void *packed = aligned_alloc(64, (ops->linear_packed_bytes(ECH_FMT_F32, n, k) + 63) / 64 * 64);
    ops->linear_pack(ECH_FMT_F32, w, ECH_W_F32, n, k, packed, 0, 1);
    struct ech_linear_args a = {.size = sizeof a,
                                .m = m,
                                .n = n,
                                .k = k,
                                .x = x,
                                .ldx = k,
                                .packed = packed,
                                .bias = bias,
                                .act = act,
                                .y = y,
                                .ldy = n};
    double peak = ech_peak_gflops(bits), rate = 2e-9 * (double)(m * n * k) / seconds_of(call_linear, &a);
    printf("linear m %4ld n %4ld k %4ld %s  %7.1f GFLOP/s  %5.1f %% of %.1f\n", (long)m, (long)n, (long)k,
           act ? "gelu" : "    ", rate, 100 * rate / peak, peak);
    free(w), free(x), free(y), free(bias), free(packed);
}

static void bench_attention(int64_t length, int64_t sequences)
{
    int64_t tokens = length * sequences, *starts = calloc((size_t)sequences + 1, sizeof *starts);
    for (int64_t s = 0; s <= sequences; s++)
        starts[s] = s * length;
    float *qkv = randoms((size_t)(tokens * 1152)), *out = randoms((size_t)(tokens * 384));
    struct ech_attention_args a = {.size = sizeof a,
                                   .sequences = sequences,
                                   .heads = 12,
                                   .kv_heads = 12,
                                   .head_dim = 32,
                                   .starts = starts,
                                   .q = qkv,
                                   .k = qkv + 384,
                                   .v = qkv + 768,
                                   .ldq = 1152,
                                   .ldk = 1152,
                                   .ldv = 1152,
                                   .scale = 0.1767767f,
                                   .out = out,
                                   .ldo = 384};
    double peak = ech_peak_gflops(bits), s = seconds_of(call_attention, &a);
    double rate = 4e-9 * (double)(tokens * length * 384) / s;
    printf("attention %3ld x length %3ld, 12 x 32    %7.1f GFLOP/s  %5.1f %% of %.1f  %.1f us a token\n",
           (long)sequences, (long)length, rate, 100 * rate / peak, peak, 1e6 * s / (double)tokens);
    free(qkv), free(out), free(starts);
}

static void bench_rows(void)
{
    int64_t rows = 240, cols = 1536;
    float *x = randoms((size_t)(rows * cols)), *gain = randoms((size_t)cols),
          *y = randoms((size_t)(rows * cols));
    struct activate_call g = {x, rows * cols};
    double s = seconds_of(call_gelu, &g);
    printf("gelu %.2f G/s\n", 1e-9 * (double)g.count / s);
    struct ech_norm_args n = {.size = sizeof n,
                              .rows = rows,
                              .cols = 384,
                              .x = x,
                              .ldx = 384,
                              .gain = gain,
                              .shift = gain,
                              .eps = 1e-12f,
                              .y = y,
                              .ldy = 384};
    s = seconds_of(call_norm, &n);
    printf("layer norm %.2f G/s\n", 1e-9 * (double)(rows * 384) / s);
    free(x), free(gain), free(y);
}

int main(int argc, char **argv)
{
    static const int64_t M[] = {1, 6, 16, 64, 240, 2048};
    static const int64_t NK[][2] = {{1536, 384}, {384, 1536}, {1152, 384}};
    char why[256];
    ops = ech_ops_find(argc > 1 ? argv[1] : "auto", why);
    if (!ops) {
        fprintf(stderr, "bench_kernels: %s\n", why);
        return 69;
    }
    if (!ech_ops_find("avx2", why)) {
        fprintf(stderr, "bench_kernels: the peak is probed with AVX2: %s\n", why);
        return 69;
    }
    size_t need = ops->linear_workspace(ECH_FMT_F32, 2048, 1536, 1536, 1),
           attend = ops->attention_workspace(ECH_FMT_F32, 512, 32, 1);
    struct ech_queue_options options = {.size = sizeof options,
                                        .workspace_bytes = need > attend ? need : attend};
    queue = ech_queue_open(ops, &options, NULL);
    bits = strcmp(ops->name, "avx2") && ech_ops_find("avx512", why) ? 512 : 256;
    printf("%s, numerics %s; peak of %d-bit FMA on registers\n", ops->name, ops->numerics[ECH_FMT_F32], bits);
    for (size_t i = 0; i < sizeof M / sizeof M[0]; i++)
        for (size_t j = 0; j < 3; j++)
            bench_linear(M[i], NK[j][0], NK[j][1], ECH_ACT_NONE);
    bench_linear(240, 1536, 384, ECH_ACT_GELU);
    bench_attention(240, 1);
    bench_attention(240, 4);
    bench_attention(16, 15);
    bench_attention(64, 4);
    bench_rows();
    ech_queue_close(queue);
    return 0;
}
