/* Our own product: a tile of 64 x 64 outputs a block, 16 of k at a time through shared memory, 4 x 4 outputs
 * a thread, each one chain of FMAs over ascending k (int8: exact). Taken where no algorithm of cuBLASLt
 * passes the self-check, so it is plain rather than fast. */
#include "kernels/cuda/lanes.h"
#include "kernels/cuda/product.h"

enum { TILE = 64, DEPTH = 16, EACH = 4, TILE_THREADS = 256, GAP = 4 };

struct half_bf16 {
    uint16_t bits;
};
struct half_f16 {
    uint16_t bits;
};

__device__ static inline float widen(float v)
{
    return v;
}
__device__ static inline float widen(struct half_bf16 v)
{
    return from_bf16(v.bits);
}
__device__ static inline float widen(struct half_f16 v)
{
    return from_f16(v.bits);
}
__device__ static inline int widen(int8_t v)
{
    return v;
}
__device__ static inline float chain(float a, float b, float sum)
{
    return fmaf(a, b, sum);
}
__device__ static inline int chain(int a, int b, int sum)
{
    return a * b + sum;
}

template <class T> struct alignas(4 * sizeof(T)) four {
    T v[4];
};

/* Four of k of one row each thread: (64 rows x 16) into shared memory, k-major; zeros outside. */
template <class T, class S>
__device__ static void fetch(S to[DEPTH][TILE + GAP], const T *x, int64_t ld, int64_t row0, int64_t rows,
                             int64_t k0, int64_t k)
{
    int r = threadIdx.x / 4, c = threadIdx.x % 4 * 4;
    const T *at = x + (row0 + r) * ld + k0 + c;
    struct four<T> f = {
    };
    if (row0 + r < rows && k0 + c + 4 <= k)
        f = *(const struct four<T> *)at;
    else
        for (int j = 0; j < 4; j++)
            if (row0 + r < rows && k0 + c + j < k)
                f.v[j] = at[j];
    for (int j = 0; j < 4; j++)
        to[c + j][r] = widen(f.v[j]);
}

template <class T, class S> __global__ void product_tile(struct operands o)
{
    ECH_SHARED(S, xs, [DEPTH][TILE + GAP]);
    ECH_SHARED(S, ws, [DEPTH][TILE + GAP]);
    int64_t row0 = (int64_t)blockIdx.x * TILE, col0 = (int64_t)blockIdx.y * TILE;
    int tr = threadIdx.x / 16 * EACH, tc = threadIdx.x % 16 * EACH;
    S sum[EACH][EACH] = {};
    for (int64_t k0 = 0; k0 < o.k; k0 += DEPTH) {
        fetch<T, S>(xs, (const T *)o.x, o.ldx, row0, o.m, k0, o.k);
        fetch<T, S>(ws, (const T *)o.w, o.ldw, col0, o.n, k0, o.k);
        __syncthreads();
        UNROLL
        for (int k = 0; k < DEPTH; k++)
            for (int i = 0; i < EACH; i++)
                for (int j = 0; j < EACH; j++)
                    if (k0 + k < o.k)
                        sum[i][j] = chain(xs[k][tr + i], ws[k][tc + j], sum[i][j]);
        __syncthreads();
    }
    for (int i = 0; i < EACH; i++)
        for (int j = 0; j < EACH; j++)
            if (row0 + tr + i < o.m && col0 + tc + j < o.n) {
                S bias = o.bias ? (S)o.bias[col0 + tc + j] : (S)0;
                ((S *)o.c)[(row0 + tr + i) * o.ldc + col0 + tc + j] = sum[i][j] + bias;
            }
}

int multiply_tiles(struct cuda_queue *q, const struct operands *o)
{
    int64_t columns = cuda_blocks(o->n, TILE);
    if (columns > 65535)
        return ECH_OP_UNSUPPORTED;
    dim3 grid((unsigned)cuda_blocks(o->m, TILE), (unsigned)columns), block(TILE_THREADS);
    switch (o->format) {
    case ECH_FMT_BF16:
        ECH_LAUNCH((product_tile<struct half_bf16, float>), grid, block, 0, q->stream, *o);
        break;
    case ECH_FMT_F16:
        ECH_LAUNCH((product_tile<struct half_f16, float>), grid, block, 0, q->stream, *o);
        break;
    case ECH_FMT_INT8:
        ECH_LAUNCH((product_tile<int8_t, int>), grid, block, 0, q->stream, *o);
        break;
    default:
        ECH_LAUNCH((product_tile<float, float>), grid, block, 0, q->stream, *o);
    }
    return cuda_launched(q, "product");
}
