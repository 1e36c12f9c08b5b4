/* What the built-ins compute. */
#include "cases.h"

template <class F> __global__ static void each(int *out, F function)
{
    out[threadIdx.x] = function(static_cast<int>(threadIdx.x));
}

/* function(thread) on one block; the values it gave. */
template <class F> static std::vector<int> run(unsigned threads, F function)
{
    int *out = device_empty<int>(threads);
    ECH_LAUNCH(each<F>, 1, threads, 0, nullptr, out, function);
    expect(finish(), "launch");
    std::vector<int> got = host_copy(out, threads);
    cudaFree(out);
    return got;
}

static void same(const std::vector<int> &got, int (*want)(int), const char *what)
{
    for (int i = 0; i < static_cast<int>(got.size()); i++)
        expect(got[static_cast<size_t>(i)] == want(i), "%s: thread %d has %d, expected %d", what, i,
               got[static_cast<size_t>(i)], want(i));
}

static const unsigned ALL = 0xffffffffU;

void feature_shuffles()
{
    same(
        run(64, [](int t) { return __shfl_sync(ALL, t, 5); }), [](int t) { return t / 32 * 32 + 5; }, "idx");
    same(
        run(64, [](int t) { return __shfl_sync(ALL, t, 11, 8); }), [](int t) { return t / 8 * 8 + 3; },
        "idx 8");
    same(
        run(32, [](int t) { return __shfl_up_sync(ALL, t, 3); }), [](int t) { return t < 3 ? t : t - 3; },
        "up");
    same(
        run(32, [](int t) { return __shfl_up_sync(ALL, t, 3, 16); }),
        [](int t) { return t % 16 < 3 ? t : t - 3; }, "up 16");
    same(
        run(32, [](int t) { return __shfl_down_sync(ALL, t, 4); }), [](int t) { return t > 27 ? t : t + 4; },
        "down");
    same(
        run(32, [](int t) { return __shfl_down_sync(ALL, t, 4, 8); }),
        [](int t) { return t % 8 > 3 ? t : t + 4; }, "down 8");
    same(
        run(32, [](int t) { return __shfl_xor_sync(ALL, t, 16); }), [](int t) { return t ^ 16; }, "xor");
    /* As PTX: a lane mask that leaves the segment upwards gives the own value, downwards it does not. */
    same(
        run(32, [](int t) { return __shfl_xor_sync(ALL, t, 8, 8); }), [](int t) { return t & 8 ? t ^ 8 : t; },
        "xor 8");
    same(
        run(32, [](int t) { return static_cast<int>(__shfl_xor_sync(ALL, 1.5 * t, 1) * 2); }),
        [](int t) { return 3 * (t ^ 1); }, "double");
    same(
        run(32,
            [](int t) { return static_cast<int>(__half2float(__shfl_xor_sync(ALL, __int2half_rn(t), 2))); }),
        [](int t) { return t ^ 2; }, "half");
    same(
        run(48, [](int t) { return __shfl_xor_sync(t < 32 ? ALL : 0xffffU, t, 1); }),
        [](int t) { return t ^ 1; }, "a warp of 16 lanes");
}

void feature_votes()
{
    same(
        run(32, [](int t) { return static_cast<int>(__ballot_sync(ALL, t % 3 == 0)); }),
        [](int) { return 0x49249249; }, "ballot");
    same(
        run(64, [](int t) { return __any_sync(ALL, t == 40); }), [](int t) { return t >= 32 ? 1 : 0; },
        "any");
    same(
        run(64, [](int t) { return __all_sync(ALL, t != 40); }), [](int t) { return t < 32 ? 1 : 0; }, "all");
    same(
        run(32, [](int t) { return static_cast<int>(__match_any_sync(ALL, t % 2)); }),
        [](int t) { return t % 2 ? static_cast<int>(0xaaaaaaaa) : 0x55555555; }, "match");
    same(
        run(32, [](int t) { return t < 8 ? __any_sync(0xffU, t == 9) : __any_sync(0xffffff00U, t == 9); }),
        [](int t) { return t < 8 ? 0 : 1; }, "two groups");
}

void feature_reductions()
{
    same(
        run(32, [](int t) { return __reduce_add_sync(ALL, t); }), [](int) { return 496; }, "add");
    same(
        run(32, [](int t) { return __reduce_min_sync(ALL, 3 - t); }), [](int) { return -28; }, "min");
    same(
        run(32,
            [](int t) { return static_cast<int>(__reduce_max_sync(ALL, 3U - static_cast<unsigned>(t))); }),
        [](int) { return -1; }, "max of unsigned");
    same(
        run(32, [](int t) { return static_cast<int>(__reduce_or_sync(ALL, 1U << (t & 3))); }),
        [](int) { return 15; }, "or");
}

__global__ static void atomic_all(int *i, unsigned *u, unsigned long long *l, float *f)
{
    int t = static_cast<int>(threadIdx.x);
    atomicAdd(&i[0], t);
    atomicMax(&i[1], t);
    atomicMin(&i[2], -t);
    atomicSub(&i[3], 1);
    atomicOr(&u[0], 1U << (t % 32));
    atomicAnd(&u[1], ~(1U << (t % 32)));
    atomicInc(&u[2], 5);
    atomicAdd(l, 1ULL << 33);
    atomicAdd(f, 0.5F);
    unsigned old = 0, seen;
    while ((seen = atomicCAS(&u[3], old, old + 2)) != old)
        old = seen;
}

__global__ static void atomic_swap(int *place, int *seen)
{
    seen[threadIdx.x] = atomicExch(place, static_cast<int>(threadIdx.x));
}

void feature_atomics()
{
    int *i = device_copy(std::vector<int>{0, 0, 0, 0});
    unsigned *u = device_copy(std::vector<unsigned>{0, ~0U, 0, 0});
    unsigned long long *l = device_copy(std::vector<unsigned long long>{0});
    float *f = device_copy(std::vector<float>{0.0F});
    ECH_LAUNCH(atomic_all, 1, 64, 0, nullptr, i, u, l, f);
    expect(finish(), "launch");
    std::vector<int> got = host_copy(i, 4);
    expect(got[0] == 2016 && got[1] == 63 && got[2] == -63 && got[3] == -64, "int: %d %d %d %d", got[0],
           got[1], got[2], got[3]);
    std::vector<unsigned> bits = host_copy(u, 4);
    expect(bits[0] == ~0U && bits[1] == 0 && bits[2] == 64 % 6 && bits[3] == 128, "unsigned: %x %x %u %u",
           bits[0], bits[1], bits[2], bits[3]);
    expect(host_copy(l, 1)[0] == 64ULL << 33, "unsigned long long");
    expect(host_copy(f, 1)[0] == 32.0F, "float");
    int *place = device_copy(std::vector<int>{-1}), *seen = device_empty<int>(4);
    ECH_LAUNCH(atomic_swap, 1, 4, 0, nullptr, place, seen);
    expect(finish(), "swap");
    expect(host_copy(seen, 4)[0] == -1 && host_copy(place, 1)[0] == 3, "exchange");
    for (void *p : {(void *)i, (void *)u, (void *)l, (void *)f, (void *)place, (void *)seen})
        cudaFree(p);
}

void feature_arithmetic()
{
    std::vector<int> got = run(24, [](int t) -> int {
        float x = static_cast<float>(t);
        switch (t) {
        case 0:
            return __float2int_rn(2.5F) * 100 + __float2int_rn(3.5F);
        case 1:
            return __float2int_rz(-2.7F) * 100 + __float2int_ru(2.1F) * 10 + __float2int_rd(-2.1F);
        case 2:
            return __float2int_rn(1e20F);
        case 3:
            return __float2int_rn(nanf(""));
        case 4:
            return __float_as_int(rsqrtf(16.0F)) == __float_as_int(0.25F);
        case 5:
            return __float_as_int(__fmaf_rn(x, x, -25.0F));
        case 6:
            return fabsf(erff(0.5F) - 0.5204999F) < 1e-6F && fabsf(tanhf(0.5F) - 0.46211716F) < 1e-6F;
        case 7:
            return fabsf(__expf(1.0F) - 2.7182818F) < 1e-5F;
        case 8:
            return static_cast<int>(__byte_perm(0x33221100U, 0x77665544U, 0x7531U));
        case 9:
            return __dp4a(0x01ff0203, 0x01010102, 10);
        case 10:
            return __popc(0xf0f0U) + __clz(1) * 100 + __ffs(8) * 10000;
        case 11:
            return static_cast<int>(__brev(1U) >> 28) + static_cast<int>(__umulhi(1U << 31, 6U));
        case 12:
            return min(3, 4) + max(5, 6) * 10 + static_cast<int>(max(1.5F, nanf("")) * 200.0F);
        case 13:
            return static_cast<int>(__funnelshift_l(0x80000000U, 1U, 1U));
        default:
            return static_cast<int>(__saturatef(x) + __saturatef(-x));
        }
    });
    const int want[] = {204, -173, INT32_MAX, 0, 1, 0, 1, 1, 0x77553311, 18, 43108, 11, 363, 3, 1};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        expect(got[i] == want[i], "case %zu gives %d, expected %d", i, got[i], want[i]);
}

void feature_halves()
{
    same(
        run(32,
            [](int t) {
                return static_cast<int>(__half2float(__float2half(0.5F * static_cast<float>(t))) * 2);
            }),
        [](int t) { return t; }, "half");
    same(
        run(32,
            [](int t) {
                __nv_bfloat162 v = __floats2bfloat162_rn(static_cast<float>(t), 2.0F);
                float2 both = __bfloat1622float2(v);
                return static_cast<int>(both.x * both.y);
            }),
        [](int t) { return 2 * t; }, "bf16");
    same(
        run(32,
            [](int t) {
                __half2 v = __hadd2(__float2half2_rn(static_cast<float>(t)), __floats2half2_rn(1.0F, 2.0F));
                return static_cast<int>(__low2float(v) + 100 * __high2float(v));
            }),
        [](int t) { return t + 1 + 100 * (t + 2); }, "half2");
}

void feature_barriers()
{
    same(
        run(96, [](int t) { return __syncthreads_count(t % 2 == 0); }), [](int) { return 48; }, "count");
    same(
        run(96, [](int t) { return __syncthreads_or(t == 95) * 2 + __syncthreads_and(t < 95); }),
        [](int) { return 2; }, "or, and");
}

template <class T, int N> __global__ static void shared_tiles(T *out)
{
    ECH_SHARED(T, tile, [N][N + 1]);
    ECH_SHARED(double, first, );
    ECH_SHARED_DYNAMIC(float4, extra);
    unsigned x = threadIdx.x, y = threadIdx.y;
    tile[y][x] = static_cast<T>(y * N + x + blockIdx.x);
    if (x == 0 && y == 0) {
        first = 0.5;
        extra[0] = make_float4(1.0F, 2.0F, 3.0F, 4.0F);
    }
    __syncthreads();
    out[blockIdx.x * N * N + y * N + x] = tile[x][y] + static_cast<T>(first * 2) + static_cast<T>(extra[0].w);
}

template <class T> static void tiles()
{
    T *out = device_empty<T>(2 * 64);
    ECH_LAUNCH((shared_tiles<T, 8>), 2, dim3(8, 8), sizeof(float4), nullptr, out);
    expect(finish(), "launch");
    std::vector<T> got = host_copy(out, 2 * 64);
    for (unsigned i = 0; i < 128; i++) {
        unsigned x = i % 8, y = i / 8 % 8;
        expect(got[i] == static_cast<T>(x * 8 + y + i / 64 + 5), "element %u", i);
    }
    cudaFree(out);
}

void feature_shared_shapes()
{
    tiles<int>();
    tiles<float>();
}

/* A kernel as they are written for a device: one row a block, float4, shuffles, shared sums. */
__global__ static void norm_rows(float4 *out, const float4 *x, int vectors, float eps)
{
    ECH_SHARED(float, sums, [32]);
    const float4 *row = x + blockIdx.x * static_cast<unsigned>(vectors);
    float sum = 0.0F;
    for (int i = static_cast<int>(threadIdx.x); i < vectors; i += static_cast<int>(blockDim.x)) {
        float4 v = __ldg(row + i);
        sum += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
    }
    for (int step = 16; step; step /= 2)
        sum += __shfl_xor_sync(ALL, sum, step);
    if (threadIdx.x % 32 == 0)
        sums[threadIdx.x / 32] = sum;
    __syncthreads();
    sum = threadIdx.x % 32 < blockDim.x / 32 ? sums[threadIdx.x % 32] : 0.0F;
    for (int step = 16; step; step /= 2)
        sum += __shfl_xor_sync(ALL, sum, step);
    float scale = rsqrtf(sum / static_cast<float>(4 * vectors) + eps);
    for (int i = static_cast<int>(threadIdx.x); i < vectors; i += static_cast<int>(blockDim.x)) {
        float4 v = row[i];
        out[blockIdx.x * static_cast<unsigned>(vectors) + static_cast<unsigned>(i)] =
            make_float4(v.x * scale, v.y * scale, v.z * scale, v.w * scale);
    }
}

void feature_row_norm()
{
    enum { ROWS = 64, VECTORS = 300 };
    std::vector<float> host(ROWS * VECTORS * 4);
    for (size_t i = 0; i < host.size(); i++)
        host[i] = static_cast<float>(i % 97) - 48.0F;
    float *x = device_copy(host), *out = device_empty<float>(host.size());
    ECH_LAUNCH(norm_rows, ROWS, 256, 0, nullptr, reinterpret_cast<float4 *>(out),
               reinterpret_cast<const float4 *>(x), VECTORS, 1e-5F);
    expect(finish(), "launch");
    std::vector<float> got = host_copy(out, host.size());
    for (size_t r = 0; r < ROWS; r++) {
        double sum = 0.0;
        for (size_t i = 0; i < VECTORS * 4; i++)
            sum += static_cast<double>(host[r * VECTORS * 4 + i]) * host[r * VECTORS * 4 + i];
        double scale = 1.0 / sqrt(sum / (VECTORS * 4) + 1e-5);
        for (size_t i = r * VECTORS * 4; i < (r + 1) * VECTORS * 4; i++)
            expect(fabs(got[i] - host[i] * scale) <= 1e-5, "element %zu: %g", i, static_cast<double>(got[i]));
    }
    cudaFree(x);
    cudaFree(out);
}

__global__ static void add_in_turn(float *sum, const float *x)
{
    atomicAdd(sum, x[blockIdx.x]);
}

void feature_order()
{
    float *x = device_copy(std::vector<float>{1e8F, 1.0F, -1e8F}),
          *sum = device_copy(std::vector<float>{0, 0});
    for (int order = 0; order < 2; order++) {
        ech_emu_set_order(order);
        ECH_LAUNCH(add_in_turn, 3, 1, 0, nullptr, sum + order, order ? x : x);
        expect(finish(), "launch");
    }
    ech_emu_set_order(0);
    std::vector<float> got = host_copy(sum, 2);
    expect(got[0] == 0.0F && got[1] == 0.0F, "both orders lose the 1 here: %g %g",
           static_cast<double>(got[0]), static_cast<double>(got[1]));
    cudaFree(x);
    cudaFree(sum);
}
