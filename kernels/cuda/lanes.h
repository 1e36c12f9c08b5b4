/* What kernels share on the device: elements of each type, four at a time where they are aligned, and
 * reductions over a warp or a block in a fixed order. The element a lane gets depends on the column alone,
 * never on alignment: a row gives the same bits wherever it lies. */
#ifndef ECH_KERNELS_CUDA_LANES_H
#define ECH_KERNELS_CUDA_LANES_H

#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <stdint.h>

#include "kernels/cuda/inside.h"

#define ALL_LANES 0xffffffffu

#ifdef ECH_CUDA_EMULATED
#define UNROLL
#define UNROLL_4
#else
#define UNROLL   _Pragma("unroll")
#define UNROLL_4 _Pragma("unroll 4")
#endif

__device__ static inline float from_bf16(uint16_t h)
{
    return __uint_as_float((uint32_t)h << 16);
}

/* Round to even; denormals to zero of their sign. */
__device__ static inline uint16_t to_bf16(float x)
{
    uint32_t u = __float_as_uint(x), size = u & 0x7fffffffu;
    if (size > 0x7f800000u)
        return (uint16_t)(u >> 16 | 0x40u);
    if (size < 0x00800000u)
        return (uint16_t)(u >> 16 & 0x8000u);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

__device__ static inline float from_f16(uint16_t h)
{
    return __half2float(__ushort_as_half(h));
}

__device__ static inline uint16_t to_f16(float x)
{
    return __half_as_ushort(__float2half_rn(x));
}

/* |x| as an integer: in the order of the values, a NaN above infinity. */
__device__ static inline uint32_t size_of(float x)
{
    return __float_as_uint(x) & 0x7fffffffu;
}

/* Q8 of a row whose largest |x| has the bits `most` (ops.h). */
struct q8 {
    float scale, inverse;
};

__device__ static inline struct q8 q8_of(uint32_t most)
{
    float size = __uint_as_float(most);
    struct q8 q = {0.0f, 0.0f};
    if (size < 7.8886091e-31f) /* 2^-100 */
        return q;
    q.scale = size / 127.0f;
    q.inverse = 127.0f / size;
    return q;
}

__device__ static inline int q8_value(float x, struct q8 q)
{
    if (q.scale == 0.0f)
        return 0;
    return (int)fminf(fmaxf(rintf(x * q.inverse), -127.0f), 127.0f);
}

__host__ __device__ static inline int64_t type_bytes(enum ech_atype type)
{
    return type == ECH_A_F32 ? 4 : type == ECH_A_Q8 ? 1 : 2;
}

/* Row r of a matrix of `type` with stride ld elements. */
__host__ __device__ static inline const char *row_of(const void *x, enum ech_atype type, int64_t r,
                                                     int64_t ld)
{
    return (const char *)x + r * ld * type_bytes(type);
}

/* Can rows be read and written four elements at a time? */
static inline bool is_wide(const void *x, enum ech_atype type, int64_t ld)
{
    return (uintptr_t)x % (size_t)(4 * type_bytes(type)) == 0 && ld % 4 == 0;
}

__device__ static inline float load1(const char *row, enum ech_atype type, float scale, int64_t c)
{
    switch (type) {
    case ECH_A_BF16:
        return from_bf16(((const uint16_t *)row)[c]);
    case ECH_A_F16:
        return from_f16(((const uint16_t *)row)[c]);
    case ECH_A_Q8:
        return (float)((int)((const uint8_t *)row)[c] - 128) * scale;
    default:
        return ((const float *)row)[c];
    }
}

__device__ static inline void load_wide(float out[4], const char *row, enum ech_atype type, float scale,
                                        int64_t c)
{
    if (type == ECH_A_F32) {
        float4 v = *(const float4 *)(row + 4 * c);
        out[0] = v.x, out[1] = v.y, out[2] = v.z, out[3] = v.w;
    } else if (type == ECH_A_Q8) {
        uchar4 v = *(const uchar4 *)(row + c);
        out[0] = (float)((int)v.x - 128) * scale, out[1] = (float)((int)v.y - 128) * scale;
        out[2] = (float)((int)v.z - 128) * scale, out[3] = (float)((int)v.w - 128) * scale;
    } else {
        ushort4 v = *(const ushort4 *)(row + 2 * c);
        bool b = type == ECH_A_BF16;
        out[0] = b ? from_bf16(v.x) : from_f16(v.x), out[1] = b ? from_bf16(v.y) : from_f16(v.y);
        out[2] = b ? from_bf16(v.z) : from_f16(v.z), out[3] = b ? from_bf16(v.w) : from_f16(v.w);
    }
}

/* Elements c to c + 3 of a row, zeros from `cols` on. */
__device__ static inline void load4(float out[4], const char *row, enum ech_atype type, float scale,
                                    int64_t c, int64_t cols, bool wide)
{
    if (wide && c + 4 <= cols) {
        load_wide(out, row, type, scale, c);
        return;
    }
    for (int j = 0; j < 4; j++)
        out[j] = c + j < cols ? load1(row, type, scale, c + j) : 0.0f;
}

__device__ static inline void store1(char *row, enum ech_atype type, struct q8 q, int64_t c, float v)
{
    switch (type) {
    case ECH_A_BF16:
        ((uint16_t *)row)[c] = to_bf16(v);
        break;
    case ECH_A_F16:
        ((uint16_t *)row)[c] = to_f16(v);
        break;
    case ECH_A_Q8:
        ((uint8_t *)row)[c] = (uint8_t)(q8_value(v, q) + 128);
        break;
    default:
        ((float *)row)[c] = v;
    }
}

__device__ static inline void store_wide(char *row, enum ech_atype type, struct q8 q, int64_t c,
                                         const float v[4])
{
    if (type == ECH_A_F32) {
        *(float4 *)(row + 4 * c) = make_float4(v[0], v[1], v[2], v[3]);
    } else if (type == ECH_A_Q8) {
        *(uchar4 *)(row + c) =
            make_uchar4((unsigned char)(q8_value(v[0], q) + 128), (unsigned char)(q8_value(v[1], q) + 128),
                        (unsigned char)(q8_value(v[2], q) + 128), (unsigned char)(q8_value(v[3], q) + 128));
    } else {
        bool b = type == ECH_A_BF16;
        *(ushort4 *)(row + 2 * c) =
            make_ushort4(b ? to_bf16(v[0]) : to_f16(v[0]), b ? to_bf16(v[1]) : to_f16(v[1]),
                         b ? to_bf16(v[2]) : to_f16(v[2]), b ? to_bf16(v[3]) : to_f16(v[3]));
    }
}

__device__ static inline void store4(char *row, enum ech_atype type, struct q8 q, int64_t c, int64_t cols,
                                     bool wide, const float v[4])
{
    if (wide && c + 4 <= cols) {
        store_wide(row, type, q, c, v);
        return;
    }
    for (int j = 0; j < 4; j++)
        if (c + j < cols)
            store1(row, type, q, c + j, v[j]);
}

/* The bytes of a Q8 row past its columns. */
__device__ static inline void pad_q8(char *row, int64_t cols, int lane)
{
    for (int64_t c = cols + lane; c < (cols + 63) / 64 * 64; c += WARP)
        row[c] = (char)128;
}

/* The same bits in every lane: each step adds the same pair in both of its lanes. */
__device__ static inline float warp_sum(float v)
{
    for (int d = WARP / 2; d > 0; d /= 2)
        v += __shfl_xor_sync(ALL_LANES, v, d);
    return v;
}

__device__ static inline float warp_max(float v)
{
    for (int d = WARP / 2; d > 0; d /= 2)
        v = fmaxf(v, __shfl_xor_sync(ALL_LANES, v, d));
    return v;
}

__device__ static inline uint32_t warp_most(uint32_t v)
{
    for (int d = WARP / 2; d > 0; d /= 2) {
        uint32_t o = __shfl_xor_sync(ALL_LANES, v, d);
        v = o > v ? o : v;
    }
    return v;
}

__device__ static inline float act_of(enum ech_act act, float x)
{
    switch (act) {
    case ECH_ACT_GELU: {
        float h = 0.5f * x;
        return fmaf(h, erff(x * 0.707106781f), h);
    }
    case ECH_ACT_GELU_TANH: {
        float h = 0.5f * x;
        return fmaf(h, tanhf(x * fmaf(0.0356774081f, x * x, 0.797884561f)), h);
    }
    case ECH_ACT_RELU:
        return x < 0.0f ? 0.0f : x;
    case ECH_ACT_SILU:
        return x / (1.0f + expf(-x));
    case ECH_ACT_TANH:
        return tanhf(x);
    case ECH_ACT_QUICK_GELU:
        return x / (1.0f + expf(-1.702f * x));
    case ECH_ACT_RELU2:
        return x < 0.0f ? 0.0f : x * x;
    case ECH_ACT_SIGMOID:
        return 1.0f / (1.0f + expf(-x));
    default:
        return x;
    }
}

#endif
