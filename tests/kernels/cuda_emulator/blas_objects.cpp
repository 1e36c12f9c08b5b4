/* cuBLASLt's objects: created, set, read, destroyed. Attributes are data: a place and a size each. */
#include <cstddef>
#include <cstring>

#include "blas.h"

struct cublasLtContext {
    int created;
};

using namespace ech_emu;

namespace
{

struct Field {
    int name;
    size_t place, bytes;
};

#define FIELD(name, structure, member)                                                                       \
    {                                                                                                        \
        name, offsetof(structure, member), sizeof(structure::member)                                         \
    }

const Field LAYOUT[] = {
    FIELD(CUBLASLT_MATRIX_LAYOUT_TYPE, Layout, type),
    FIELD(CUBLASLT_MATRIX_LAYOUT_ORDER, Layout, order),
    FIELD(CUBLASLT_MATRIX_LAYOUT_ROWS, Layout, rows),
    FIELD(CUBLASLT_MATRIX_LAYOUT_COLS, Layout, cols),
    FIELD(CUBLASLT_MATRIX_LAYOUT_LD, Layout, ld),
    FIELD(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, Layout, batch),
    FIELD(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, Layout, batch_stride),
};

const Field PRODUCT[] = {
    FIELD(CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, Product, compute),
    FIELD(CUBLASLT_MATMUL_DESC_SCALE_TYPE, Product, scale_type),
    FIELD(CUBLASLT_MATMUL_DESC_POINTER_MODE, Product, pointer_mode),
    FIELD(CUBLASLT_MATMUL_DESC_TRANSA, Product, transa),
    FIELD(CUBLASLT_MATMUL_DESC_TRANSB, Product, transb),
    FIELD(CUBLASLT_MATMUL_DESC_TRANSC, Product, transc),
    FIELD(CUBLASLT_MATMUL_DESC_EPILOGUE, Product, epilogue),
    FIELD(CUBLASLT_MATMUL_DESC_BIAS_POINTER, Product, bias),
    FIELD(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, Product, bias_type),
    FIELD(CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET, Product, sm_count),
    FIELD(CUBLASLT_MATMUL_DESC_FAST_ACCUM, Product, fast_accumulation),
};

const Field PREFERENCE[] = {
    FIELD(CUBLASLT_MATMUL_PREF_SEARCH_MODE, Preference, mode),
    FIELD(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, Preference, workspace),
    FIELD(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, Preference, reductions),
    FIELD(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, Preference, alignment[0]),
    FIELD(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, Preference, alignment[1]),
    FIELD(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, Preference, alignment[2]),
    FIELD(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, Preference, alignment[3]),
    FIELD(CUBLASLT_MATMUL_PREF_MAX_WAVES_COUNT, Preference, waves),
    FIELD(CUBLASLT_MATMUL_PREF_IMPL_MASK, Preference, impl_mask),
};

const Field CONFIG[] = {
    FIELD(CUBLASLT_ALGO_CONFIG_ID, Algorithm, id),
    FIELD(CUBLASLT_ALGO_CONFIG_TILE_ID, Algorithm, tile),
    FIELD(CUBLASLT_ALGO_CONFIG_SPLITK_NUM, Algorithm, split_k),
    FIELD(CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, Algorithm, reduction),
    FIELD(CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING, Algorithm, swizzle),
    FIELD(CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION, Algorithm, custom),
    FIELD(CUBLASLT_ALGO_CONFIG_STAGES_ID, Algorithm, stages),
    FIELD(CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID, Algorithm, inner),
    FIELD(CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, Algorithm, cluster),
};

template <size_t N> const Field *find(const Field (&fields)[N], int name)
{
    for (const Field &f : fields)
        if (f.name == name)
            return &f;
    return nullptr;
}

cublasStatus_t set(void *object, const Field *f, const void *from, size_t bytes)
{
    if (!object || !from || !f || bytes != f->bytes)
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(static_cast<char *>(object) + f->place, from, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t get(const void *object, const Field *f, void *to, size_t bytes, size_t *written)
{
    if (!object || !f || (bytes == 0 && !written) || (bytes && (!to || bytes != f->bytes)))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (bytes)
        memcpy(to, static_cast<const char *>(object) + f->place, bytes);
    if (written)
        *written = f->bytes;
    return CUBLAS_STATUS_SUCCESS;
}

template <class Opaque> cublasStatus_t destroy(Opaque *p)
{
    delete p;
    return CUBLAS_STATUS_SUCCESS;
}

} // namespace

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    ECH_EMU_BLAS_ENTER;
    if (!handle)
        return CUBLAS_STATUS_INVALID_VALUE;
    *handle = new cublasLtContext{1};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    if (!handle)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

size_t cublasLtGetVersion(void)
{
    return CUBLAS_VERSION;
}

size_t cublasLtGetCudartVersion(void)
{
    return CUDART_VERSION;
}

static const struct {
    cublasStatus_t status;
    const char *name, *text;
} STATES[] = {
    {CUBLAS_STATUS_SUCCESS, "CUBLAS_STATUS_SUCCESS", "success"},
    {CUBLAS_STATUS_NOT_INITIALIZED, "CUBLAS_STATUS_NOT_INITIALIZED", "the library was not initialized"},
    {CUBLAS_STATUS_ALLOC_FAILED, "CUBLAS_STATUS_ALLOC_FAILED", "the resource allocation failed"},
    {CUBLAS_STATUS_INVALID_VALUE, "CUBLAS_STATUS_INVALID_VALUE", "an invalid value was used as an argument"},
    {CUBLAS_STATUS_EXECUTION_FAILED, "CUBLAS_STATUS_EXECUTION_FAILED", "the GPU program failed to execute"},
    {CUBLAS_STATUS_INTERNAL_ERROR, "CUBLAS_STATUS_INTERNAL_ERROR", "an internal operation failed"},
    {CUBLAS_STATUS_NOT_SUPPORTED, "CUBLAS_STATUS_NOT_SUPPORTED", "the functionality is not supported"},
};

const char *cublasLtGetStatusName(cublasStatus_t status)
{
    for (const auto &s : STATES)
        if (s.status == status)
            return s.name;
    return "CUBLAS_STATUS_UNKNOWN";
}

const char *cublasLtGetStatusString(cublasStatus_t status)
{
    for (const auto &s : STATES)
        if (s.status == status)
            return s.text;
    return "unknown status";
}

cublasStatus_t cublasLtMatrixLayoutInit_internal(cublasLtMatrixLayout_t layout, size_t size,
                                                 cudaDataType type, uint64_t rows, uint64_t cols, int64_t ld)
{
    if (!layout || size < sizeof(Layout) || !element_bytes(type))
        return CUBLAS_STATUS_INVALID_VALUE;
    Layout *l = own<Layout>(layout);
    *l = Layout{rows, cols, ld, 0, static_cast<uint32_t>(type), CUBLASLT_ORDER_COL, 1};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type, uint64_t rows,
                                          uint64_t cols, int64_t ld)
{
    ECH_EMU_BLAS_ENTER;
    if (!layout || !element_bytes(type))
        return CUBLAS_STATUS_INVALID_VALUE;
    *layout = new cublasLtMatrixLayoutOpaque_t{};
    return cublasLtMatrixLayoutInit_internal(*layout, sizeof **layout, type, rows, cols, ld);
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
    return destroy(layout);
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t name, const void *from,
                                                size_t bytes)
{
    ECH_EMU_BLAS_ENTER;
    return set(layout, find(LAYOUT, name), from, bytes);
}

cublasStatus_t cublasLtMatrixLayoutGetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t name, void *to, size_t bytes,
                                                size_t *written)
{
    ECH_EMU_BLAS_ENTER;
    return get(layout, find(LAYOUT, name), to, bytes, written);
}

cublasStatus_t cublasLtMatmulDescInit_internal(cublasLtMatmulDesc_t desc, size_t size,
                                               cublasComputeType_t compute, cudaDataType_t scale)
{
    if (!desc || size < sizeof(Product))
        return CUBLAS_STATUS_INVALID_VALUE;
    Product *p = own<Product>(desc);
    *p = Product{};
    p->compute = compute;
    p->scale_type = scale;
    p->bias_type = -1;
    p->epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *desc, cublasComputeType_t compute,
                                        cudaDataType_t scale)
{
    ECH_EMU_BLAS_ENTER;
    if (!desc)
        return CUBLAS_STATUS_INVALID_VALUE;
    *desc = new cublasLtMatmulDescOpaque_t{};
    return cublasLtMatmulDescInit_internal(*desc, sizeof **desc, compute, scale);
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc)
{
    return destroy(desc);
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t name,
                                              const void *from, size_t bytes)
{
    ECH_EMU_BLAS_ENTER;
    return set(desc, find(PRODUCT, name), from, bytes);
}

cublasStatus_t cublasLtMatmulDescGetAttribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t name,
                                              void *to, size_t bytes, size_t *written)
{
    ECH_EMU_BLAS_ENTER;
    return get(desc, find(PRODUCT, name), to, bytes, written);
}

cublasStatus_t cublasLtMatmulPreferenceInit_internal(cublasLtMatmulPreference_t preference, size_t size)
{
    if (!preference || size < sizeof(Preference))
        return CUBLAS_STATUS_INVALID_VALUE;
    Preference *p = own<Preference>(preference);
    *p = Preference{0, ~uint64_t{0}, 0, CUBLASLT_REDUCTION_SCHEME_MASK, {256, 256, 256, 256}, 0.0F};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference)
{
    ECH_EMU_BLAS_ENTER;
    if (!preference)
        return CUBLAS_STATUS_INVALID_VALUE;
    *preference = new cublasLtMatmulPreferenceOpaque_t{};
    return cublasLtMatmulPreferenceInit_internal(*preference, sizeof **preference);
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference)
{
    return destroy(preference);
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t name,
                                                    const void *from, size_t bytes)
{
    ECH_EMU_BLAS_ENTER;
    return set(preference, find(PREFERENCE, name), from, bytes);
}

cublasStatus_t cublasLtMatmulPreferenceGetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t name, void *to,
                                                    size_t bytes, size_t *written)
{
    ECH_EMU_BLAS_ENTER;
    return get(preference, find(PREFERENCE, name), to, bytes, written);
}

cublasStatus_t cublasLtMatmulAlgoConfigSetAttribute(cublasLtMatmulAlgo_t *algo,
                                                    cublasLtMatmulAlgoConfigAttributes_t name,
                                                    const void *from, size_t bytes)
{
    ECH_EMU_BLAS_ENTER;
    if (name == CUBLASLT_ALGO_CONFIG_ID)
        return CUBLAS_STATUS_INVALID_VALUE;
    return set(algo, find(CONFIG, name), from, bytes);
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t *algo,
                                                    cublasLtMatmulAlgoConfigAttributes_t name, void *to,
                                                    size_t bytes, size_t *written)
{
    ECH_EMU_BLAS_ENTER;
    return get(algo, find(CONFIG, name), to, bytes, written);
}
}
