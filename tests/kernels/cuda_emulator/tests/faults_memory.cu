/* Accesses outside of allocations, of memory never written, and misaligned ones. */
#include "cases.h"

__global__ static void store_at(float *x, int i)
{
    x[i] = 1.0F; /* fault: past_end before_start parameter_store */
}

static void store(int count, int i)
{
    float *x = device_empty<float>(static_cast<size_t>(count));
    ECH_LAUNCH(store_at, 1, 1, 0, nullptr, x, i);
    finish();
    cudaFree(x);
}

void past_end_bad()
{
    store(100, 100);
}

void past_end_good()
{
    store(100, 99);
}

void before_start_bad()
{
    store(100, -1);
}

void before_start_good()
{
    store(100, 0);
}

/* By value a structure lies in parameter memory, which kernels may read only. */
static float *parameter_address;
struct Sizes {
    int rows[16];
};

__global__ static void read_parameter(Sizes s, int *out)
{
    out[threadIdx.x] = s.rows[threadIdx.x];
}

void parameter_store_bad()
{
    static float table = 0.0F; /* of the module: kernels may write their module's variables, not the heap */
    parameter_address = new float(table);
    ECH_LAUNCH(store_at, 1, 1, 0, nullptr, parameter_address, 0);
    finish();
    delete parameter_address;
}

void parameter_store_good()
{
    Sizes s = {};
    for (int i = 0; i < 16; i++)
        s.rows[i] = i * i;
    int *out = device_empty<int>(16);
    ECH_LAUNCH(read_parameter, 1, 16, 0, nullptr, s, out);
    s.rows[3] = -1; /* the launch has its own copy */
    expect(finish(), "launch");
    expect(host_copy(out, 16)[3] == 9, "a parameter keeps the value it had when it was queued");
    cudaFree(out);
}

__global__ static void scale(float *x, int n, bool guard)
{
    int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (!guard || i < n)
        x[i] *= 2.0F; /* fault: other_grid */
}

static void scale_all(bool guard)
{
    float *x = device_copy(std::vector<float>(60, 1.0F));
    ECH_LAUNCH(scale, 2, 32, 0, nullptr, x, 60, guard);
    finish();
    cudaFree(x);
}

void other_grid_bad()
{
    scale_all(false);
}

void other_grid_good()
{
    scale_all(true);
}

__global__ static void load_one(const int *from, int *to)
{
    *to = *from; /* fault: freed host_pointer pinned_pointer null_pointer */
}

static void load(const int *from)
{
    int *to = device_empty<int>(1);
    ECH_LAUNCH(load_one, 1, 1, 0, nullptr, from, to);
    finish();
    cudaFree(to);
}

void freed_bad()
{
    int *from = device_copy(std::vector<int>{7});
    cudaFree(from);
    load(from);
}

void freed_good()
{
    int *from = device_copy(std::vector<int>{7});
    load(from);
    cudaFree(from);
}

void host_pointer_bad()
{
    int *from = new int(7);
    load(from);
    delete from;
}

__constant__ static const int TABLE[] = {7, 8};

void host_pointer_good()
{
    load(TABLE);
}

void pinned_pointer_bad()
{
    void *p = nullptr;
    cudaMallocHost(&p, sizeof(int));
    *static_cast<int *>(p) = 1;
    load(static_cast<int *>(p));
    cudaFreeHost(p);
}

void pinned_pointer_good()
{
    freed_good();
}

void null_pointer_bad()
{
    load(nullptr);
}

void null_pointer_good()
{
    freed_good();
}

__global__ static void shared_span(int *out, int shift)
{
    ECH_SHARED(int, first, [32]);
    ECH_SHARED(int, second, [32]);
    int t = static_cast<int>(threadIdx.x);
    int *flat = first;   /* a plain pointer: the array's bounds are no longer the compiler's */
    flat[t + shift] = t; /* fault: shared_past_end */
    second[t] = t;
    out[t] = flat[t + shift] + second[t];
}

static void span(int shift)
{
    int *out = device_empty<int>(32);
    ECH_LAUNCH(shared_span, 1, 32, 0, nullptr, out, shift);
    finish();
    cudaFree(out);
}

void shared_past_end_bad()
{
    span(1);
}

void shared_past_end_good()
{
    span(0);
}

__global__ static void dynamic_span(int *out)
{
    ECH_SHARED_DYNAMIC(int, all);
    all[threadIdx.x] = 1; /* fault: dynamic_past_end */
    out[threadIdx.x] = all[threadIdx.x];
}

static void dynamic(size_t bytes)
{
    int *out = device_empty<int>(32);
    ECH_LAUNCH(dynamic_span, 1, 32, bytes, nullptr, out);
    finish();
    cudaFree(out);
}

void dynamic_past_end_bad()
{
    dynamic(31 * sizeof(int));
}

void dynamic_past_end_good()
{
    dynamic(32 * sizeof(int));
}

__global__ static void lend_local(int *out, bool lend)
{
    ECH_SHARED(int *, lent, );
    int own[4] = {1, 2, 3, static_cast<int>(threadIdx.x)};
    if (threadIdx.x == 0)
        lent = own;
    __syncthreads();
    const int *from = lend ? lent : own;
    out[threadIdx.x] = from[threadIdx.x % 4]; /* fault: other_stack */
}

static void lend(bool other)
{
    int *out = device_empty<int>(4);
    ECH_LAUNCH(lend_local, 1, 4, 0, nullptr, out, other);
    finish();
    cudaFree(out);
}

void other_stack_bad()
{
    lend(true);
}

void other_stack_good()
{
    lend(false);
}

struct Wide {
    float x[12];
};

__global__ static void copy_wide(Wide *to, const Wide *from)
{
    to[threadIdx.x] = from[threadIdx.x]; /* fault: copy_struct_past_end */
}

static void wide(size_t floats)
{
    float *from = device_copy(std::vector<float>(24, 1.0F)), *to = device_empty<float>(floats);
    ECH_LAUNCH(copy_wide, 1, 2, 0, nullptr, reinterpret_cast<Wide *>(to), reinterpret_cast<Wide *>(from));
    finish();
    cudaFree(from);
    cudaFree(to);
}

void copy_struct_past_end_bad()
{
    wide(23);
}

void copy_struct_past_end_good()
{
    wide(24);
}

__global__ static void copy_bytes(char *to, const char *from, int each)
{
    memcpy(to + threadIdx.x * 10, from + threadIdx.x * 10,
           static_cast<size_t>(each)); /* fault: memcpy_past_end */
}

static void bytes(size_t room)
{
    char *from = device_copy(std::vector<char>(room, 'x')), *to = device_empty<char>(40);
    ECH_LAUNCH(copy_bytes, 1, 4, 0, nullptr, to, from, 10);
    finish();
    cudaFree(from);
    cudaFree(to);
}

void memcpy_past_end_bad()
{
    bytes(39);
}

void memcpy_past_end_good()
{
    bytes(40);
}

__global__ static void sum_all(const float *x, int n, float *out)
{
    float sum = 0.0F;
    for (int i = 0; i < n; i++)
        sum += x[i]; /* fault: unwritten */
    *out = sum;
}

static void sum(size_t written)
{
    float *x = device_empty<float>(10), *out = device_empty<float>(1);
    cudaMemset(x, 0, written * sizeof(float));
    ECH_LAUNCH(sum_all, 1, 1, 0, nullptr, x, 10, out);
    finish();
    cudaFree(x);
    cudaFree(out);
}

void unwritten_bad()
{
    sum(9);
}

void unwritten_good()
{
    sum(10);
}

__global__ static void copy_vectors(float4 *to, const float4 *from)
{
    float4 v = from[threadIdx.x]; /* fault: unwritten_tail misaligned16 */
    v.x += 1.0F;
    to[threadIdx.x] = v;
}

static void vectors(size_t written, size_t shift)
{
    float *from = device_empty<float>(16), *to = device_empty<float>(16);
    cudaMemset(from, 0, written * sizeof(float));
    ECH_LAUNCH(copy_vectors, 1, 3, 0, nullptr, reinterpret_cast<float4 *>(to),
               reinterpret_cast<const float4 *>(from + shift));
    finish();
    cudaFree(from);
    cudaFree(to);
}

void unwritten_tail_bad()
{
    vectors(11, 0);
}

void unwritten_tail_good()
{
    vectors(12, 0);
}

void misaligned16_bad()
{
    vectors(16, 2);
}

void misaligned16_good()
{
    vectors(16, 4);
}

__global__ static void load_pairs(float2 *to, const float *from)
{
    to[threadIdx.x] = *reinterpret_cast<const float2 *>(from + 2 * threadIdx.x); /* fault: misaligned8 */
}

static void pairs(size_t shift)
{
    float *from = device_copy(std::vector<float>(16, 1.0F)), *to = device_empty<float>(16);
    ECH_LAUNCH(load_pairs, 1, 4, 0, nullptr, reinterpret_cast<float2 *>(to), from + shift);
    finish();
    cudaFree(from);
    cudaFree(to);
}

void misaligned8_bad()
{
    pairs(1);
}

void misaligned8_good()
{
    pairs(2);
}

__global__ static void load_halves(float *to, const __half *from)
{
    __half2 v = *reinterpret_cast<const __half2 *>(from + 2 * threadIdx.x); /* fault: misaligned_half2 */
    to[threadIdx.x] = __low2float(v) + __high2float(v);
}

static void halves(size_t shift)
{
    __half *from = device_copy(std::vector<__half>(16, __float2half(0.5F)));
    float *to = device_empty<float>(4);
    ECH_LAUNCH(load_halves, 1, 4, 0, nullptr, to, from + shift);
    finish();
    cudaFree(from);
    cudaFree(to);
}

void misaligned_half2_bad()
{
    halves(1);
}

void misaligned_half2_good()
{
    halves(2);
}

__global__ static void shared_half(float *out, int filled)
{
    ECH_SHARED(float, part, [8]);
    int t = static_cast<int>(threadIdx.x);
    if (t < filled)
        part[t] = 1.0F;
    __syncthreads();
    out[t] = part[7 - t]; /* fault: unwritten_shared */
}

static void half_filled(int filled)
{
    float *out = device_empty<float>(8);
    ECH_LAUNCH(shared_half, 1, 8, 0, nullptr, out, filled);
    finish();
    cudaFree(out);
}

void unwritten_shared_bad()
{
    half_filled(7);
}

void unwritten_shared_good()
{
    half_filled(8);
}

__global__ static void shared_kept(float *out, bool always)
{
    ECH_SHARED(float, kept, );
    if (always || blockIdx.x == 0)
        kept = 3.0F;
    out[blockIdx.x] = kept; /* fault: unwritten_next_block */
}

static void kept(bool always)
{
    float *out = device_empty<float>(2);
    ECH_LAUNCH(shared_kept, 2, 1, 0, nullptr, out, always);
    finish();
    cudaFree(out);
}

void unwritten_next_block_bad()
{
    kept(false);
}

void unwritten_next_block_good()
{
    kept(true);
}

__global__ static void column(int *out, int limit)
{
    ECH_SHARED(int, square, [4][4]);
    int t = static_cast<int>(threadIdx.x);
    if (t < limit)
        square[0][t] = t; /* fault: bounds */
    out[t] = t;
}

static void columns(int limit)
{
    int *out = device_empty<int>(8);
    ECH_LAUNCH(column, 1, 8, 0, nullptr, out, limit);
    finish();
    cudaFree(out);
}

void bounds_bad()
{
    columns(8);
}

void bounds_good()
{
    columns(4);
}
