/* Which algorithms the stand-in offers, in the heuristic's order: two plain ones, one that splits k, one that
 * spreads k over the device as stream-K does, and one for any alignment. */
#include <cstdlib>
#include <cstring>

#include "blas.h"

namespace ech_emu
{

static const Algorithm ALGORITHMS[] = {
    /* id split reduction stages tile swizzle custom inner cluster chains alignment by_tiles variant */
    {66, 1, CUBLASLT_REDUCTION_SCHEME_NONE, 15, 20, 0, 0, 4, 3, 8, 16, 0, 0},
    {67, 1, CUBLASLT_REDUCTION_SCHEME_NONE, 15, 20, 0, 0, 4, 3, 1, 16, 1, 0},
    {21, 1, CUBLASLT_REDUCTION_SCHEME_NONE, 14, 18, 0, 0, 4, 2, 4, 16, 0, 0},
    {31, 4, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, 14, 18, 0, 0, 4, 2, 1, 16, 0, 0},
    {0, 1, CUBLASLT_REDUCTION_SCHEME_NONE, 0, 11, 0, 0, 0, 2, 1, 1, 0, 0},
};
enum { ALGORITHM_COUNT = sizeof ALGORITHMS / sizeof ALGORITHMS[0] };

static uint32_t variants;
static bool variants_read;

static uint32_t variant_mask()
{
    const char *set = variants_read ? nullptr : getenv("ECH_EMU_VARIANT");
    if (set)
        variants = strcmp(set, "all") == 0 ? ~0U : static_cast<uint32_t>(strtoul(set, nullptr, 0));
    variants_read = true;
    return variants;
}

static Algorithm algorithm(int i)
{
    Algorithm a = ALGORITHMS[i];
    a.variant = (variant_mask() >> i) & 1U;
    return a;
}

size_t algorithm_workspace(const Algorithm &a, const Matmul &m)
{
    if (a.by_tiles)
        return size_t{1} << 20;
    return a.split_k > 1 ? static_cast<size_t>(a.split_k) * m.m * m.n * 4 : 0;
}

/* Pointers known to be aligned to `alignment` bytes, and leading dimensions, are enough for the algorithm;
 * whole numbers are multiplied by the transposed form alone. */
bool algorithm_fits(const Algorithm &a, const Matmul &m, const uint32_t alignment[4])
{
    const Layout *layouts[4] = {&m.a, &m.b, &m.c, &m.d};
    if (m.a.type == CUDA_R_8I && (m.p.transa != CUBLAS_OP_T || m.p.transb != CUBLAS_OP_N || m.m % 4 ||
                                  m.k % 4 || m.a.ld % 4 || m.b.ld % 4))
        return false;
    for (int i = 0; i < 4; i++) {
        size_t bytes = element_bytes(layouts[i]->type), wanted = a.alignment > bytes ? a.alignment : bytes;
        if (alignment[i] % wanted || static_cast<size_t>(layouts[i]->ld) * bytes % wanted)
            return false;
    }
    return true;
}

cublasStatus_t algorithm_default(const Matmul &m, Algorithm *out)
{
    for (int i = ALGORITHM_COUNT; i-- > 0;) {
        const uint32_t any[4] = {256, 256, 256, 256};
        if (algorithm_workspace(ALGORITHMS[i], m) || !algorithm_fits(ALGORITHMS[i], m, any))
            continue;
        *out = algorithm(i);
        return CUBLAS_STATUS_SUCCESS;
    }
    return CUBLAS_STATUS_NOT_SUPPORTED;
}

static bool wanted(const Algorithm &a, const Matmul &m, const Preference &p)
{
    return algorithm_workspace(a, m) <= p.workspace && (a.reduction & ~p.reductions) == 0 &&
           algorithm_fits(a, m, p.alignment);
}

} // namespace ech_emu

using namespace ech_emu;

void ech_emu_set_variant(uint32_t mask)
{
    Guard guard(lock);
    variants = mask;
    variants_read = true;
}

extern "C" {

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int requested,
                                              cublasLtMatmulHeuristicResult_t results[], int *returned)
{
    ECH_EMU_BLAS_ENTER;
    if (!handle || !desc || !a || !b || !c || !d || !preference || !results || !returned || requested <= 0)
        return CUBLAS_STATUS_INVALID_VALUE;
    Matmul m = {};
    m.p = *own<Product>(desc);
    m.a = *own<Layout>(a), m.b = *own<Layout>(b), m.c = *own<Layout>(c), m.d = *own<Layout>(d);
    cublasStatus_t status = matmul_shape(&m);
    *returned = 0;
    for (int i = 0; status == CUBLAS_STATUS_SUCCESS && i < ALGORITHM_COUNT && *returned < requested; i++) {
        Algorithm chosen = algorithm(i);
        if (!wanted(chosen, m, *own<Preference>(preference)))
            continue;
        cublasLtMatmulHeuristicResult_t *r = &results[(*returned)++];
        memset(r, 0, sizeof *r);
        *own<Algorithm>(&r->algo) = chosen;
        r->workspaceSize = algorithm_workspace(chosen, m);
        r->state = CUBLAS_STATUS_SUCCESS;
        r->wavesCount = 1.0F;
    }
    return status != CUBLAS_STATUS_SUCCESS ? status
           : *returned                     ? CUBLAS_STATUS_SUCCESS
                                           : CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t cublasLtMatmulAlgoGetIds(cublasLtHandle_t handle, cublasComputeType_t, cudaDataType_t,
                                        cudaDataType_t, cudaDataType_t, cudaDataType_t, cudaDataType_t,
                                        int requested, int ids[], int *returned)
{
    ECH_EMU_BLAS_ENTER;
    if (!handle || requested <= 0 || !ids || !returned)
        return CUBLAS_STATUS_INVALID_VALUE;
    *returned = requested < ALGORITHM_COUNT ? requested : ALGORITHM_COUNT;
    for (int i = 0; i < *returned; i++)
        ids[i] = ALGORITHMS[i].id;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoInit(cublasLtHandle_t handle, cublasComputeType_t, cudaDataType_t,
                                      cudaDataType_t, cudaDataType_t, cudaDataType_t, cudaDataType_t, int id,
                                      cublasLtMatmulAlgo_t *out)
{
    ECH_EMU_BLAS_ENTER;
    for (int i = 0; handle && out && i < ALGORITHM_COUNT; i++)
        if (ALGORITHMS[i].id == id) {
            memset(out, 0, sizeof *out);
            *own<Algorithm>(out) = algorithm(i);
            return CUBLAS_STATUS_SUCCESS;
        }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t *algo,
                                       cublasLtMatmulHeuristicResult_t *result)
{
    ECH_EMU_BLAS_ENTER;
    if (!handle || !desc || !a || !b || !c || !d || !algo || !result)
        return CUBLAS_STATUS_INVALID_VALUE;
    Matmul m = {};
    m.p = *own<Product>(desc);
    m.a = *own<Layout>(a), m.b = *own<Layout>(b), m.c = *own<Layout>(c), m.d = *own<Layout>(d);
    cublasStatus_t status = matmul_shape(&m);
    const uint32_t any[4] = {256, 256, 256, 256};
    const Algorithm &chosen = *own<Algorithm>(algo);
    if (status == CUBLAS_STATUS_SUCCESS && !algorithm_fits(chosen, m, any))
        status = CUBLAS_STATUS_NOT_SUPPORTED;
    memset(result, 0, sizeof *result);
    result->algo = *algo;
    result->state = status;
    result->workspaceSize = status == CUBLAS_STATUS_SUCCESS ? algorithm_workspace(chosen, m) : 0;
    return status;
}

static cublasStatus_t capability(uint32_t value, void *to, size_t bytes, size_t *written)
{
    if ((bytes == 0 && !written) || (bytes && (!to || bytes < sizeof value)))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (bytes)
        memcpy(to, &value, sizeof value);
    if (written)
        *written = sizeof value;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoCapGetAttribute(const cublasLtMatmulAlgo_t *algo,
                                                 cublasLtMatmulAlgoCapAttributes_t name, void *to,
                                                 size_t bytes, size_t *written)
{
    ECH_EMU_BLAS_ENTER;
    if (!algo)
        return CUBLAS_STATUS_INVALID_VALUE;
    const Algorithm &a = *own<Algorithm>(algo);
    switch (name) {
    case CUBLASLT_ALGO_CAP_SPLITK_SUPPORT:
        return capability(a.split_k > 1, to, bytes, written);
    case CUBLASLT_ALGO_CAP_REDUCTION_SCHEME_MASK:
        return capability(a.reduction, to, bytes, written);
    case CUBLASLT_ALGO_CAP_TILE_IDS:
        return capability(a.tile, to, bytes, written);
    case CUBLASLT_ALGO_CAP_STAGES_IDS:
        return capability(a.stages, to, bytes, written);
    case CUBLASLT_ALGO_CAP_STRIDED_BATCH_SUPPORT:
    case CUBLASLT_ALGO_CAP_CUSTOM_OPTION_MAX:
    case CUBLASLT_ALGO_CAP_CTA_SWIZZLING_SUPPORT:
        return capability(0, to, bytes, written);
    case CUBLASLT_ALGO_CAP_OUT_OF_PLACE_RESULT_SUPPORT:
        return capability(1, to, bytes, written);
    case CUBLASLT_ALGO_CAP_MIN_ALIGNMENT_A_BYTES:
    case CUBLASLT_ALGO_CAP_MIN_ALIGNMENT_B_BYTES:
    case CUBLASLT_ALGO_CAP_MIN_ALIGNMENT_C_BYTES:
    case CUBLASLT_ALGO_CAP_MIN_ALIGNMENT_D_BYTES:
        return capability(a.alignment, to, bytes, written);
    default:
        return CUBLAS_STATUS_INVALID_VALUE;
    }
}
}
