/* The cuBLASLt stand-in's own view of its semi-opaque structures, and its algorithms. */
#ifndef ECH_EMU_BLAS_H
#define ECH_EMU_BLAS_H

#include <cublasLt.h>

#include "runtime.h"

namespace ech_emu
{

struct Layout {
    uint64_t rows, cols;
    int64_t ld, batch_stride;
    uint32_t type;
    int32_t order, batch;
};

struct Product {
    uint64_t bias; /* device address */
    int32_t compute, scale_type, pointer_mode, transa, transb, transc, bias_type, sm_count;
    uint32_t epilogue;
    int8_t fast_accumulation;
};

struct Preference {
    uint64_t workspace, impl_mask;
    uint32_t mode, reductions, alignment[4]; /* A, B, C, D */
    float waves;
};

static_assert(sizeof(Layout) <= sizeof(cublasLtMatrixLayoutOpaque_t), "fits");
static_assert(sizeof(Product) <= sizeof(cublasLtMatmulDescOpaque_t), "fits");
static_assert(sizeof(Preference) <= sizeof(cublasLtMatmulPreferenceOpaque_t), "fits");

/* What a cublasLtMatmulAlgo_t holds. Each sums over k in its own way, so that no two agree in their bits:
 * `chains` accumulators, the k-th product into chain k mod chains; split_k stretches of k instead where it is
 * above 1. `by_tiles`: as stream-K, the stretches depend on how many rows there are. */
struct Algorithm {
    int32_t id, split_k;
    uint32_t reduction, stages, tile, swizzle, custom;
    uint16_t inner, cluster;
    uint16_t chains, alignment; /* alignment: bytes, of pointers and leading dimensions; 1: of an element */
    uint16_t by_tiles, variant; /* variant: its bits depend on the column of D (ech_emu_set_variant) */
};
static_assert(sizeof(Algorithm) <= sizeof(cublasLtMatmulAlgo_t), "fits");

template <class Own, class Opaque> Own *own(Opaque *p)
{
    return reinterpret_cast<Own *>(p);
}
template <class Own, class Opaque> const Own *own(const Opaque *p)
{
    return reinterpret_cast<const Own *>(p);
}

/* One product as cublasLtMatmul takes it; m, n, k and the transposes are worked out. */
struct Matmul {
    Product p;
    Layout a, b, c, d;
    uint64_t m, n, k;
    const void *a_at, *b_at, *c_at;
    void *d_at, *workspace;
    size_t workspace_bytes;
    float alpha, beta;
    int32_t alpha_i, beta_i;
    Algorithm algorithm;
    const void *pc;
};

size_t element_bytes(uint32_t type); /* 0: none of ours */
/* Shapes, orders and types; fills m, n, k. */
cublasStatus_t matmul_shape(Matmul *m);
bool algorithm_fits(const Algorithm &a, const Matmul &m, const uint32_t alignment[4]);
size_t algorithm_workspace(const Algorithm &a, const Matmul &m);
cublasStatus_t algorithm_default(const Matmul &m, Algorithm *out);
cudaError_t matmul_run(const Matmul &m);

#define ECH_EMU_BLAS_ENTER                                                                                   \
    Guard guard(lock);                                                                                       \
    arena_open();                                                                                            \
    if (fails_now())                                                                                         \
        return CUBLAS_STATUS_INTERNAL_ERROR;                                                                 \
    if (!device_here())                                                                                      \
    return CUBLAS_STATUS_NOT_INITIALIZED

} // namespace ech_emu

#endif
