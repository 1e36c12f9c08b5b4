/* The product itself: D = act(alpha op(A) op(B) + beta C + bias), column-major. Operands are packed into
 * floats (or int32), summed as the algorithm says, and stored in D's type. An element of D that depends on
 * something never written is itself "never written". */
#include <cmath>
#include <cstring>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "blas.h"

namespace ech_emu
{

size_t element_bytes(uint32_t type)
{
    switch (type) {
    case CUDA_R_32F:
    case CUDA_R_32I:
        return 4;
    case CUDA_R_16F:
    case CUDA_R_16BF:
        return 2;
    case CUDA_R_8I:
        return 1;
    default:
        return 0;
    }
}

static float load(const void *p, uint32_t type, size_t i)
{
    switch (type) {
    case CUDA_R_32F:
        return static_cast<const float *>(p)[i];
    case CUDA_R_16F:
        return __half2float(static_cast<const __half *>(p)[i]);
    case CUDA_R_16BF:
        return __bfloat162float(static_cast<const __nv_bfloat16 *>(p)[i]);
    case CUDA_R_8I:
        return static_cast<float>(static_cast<const int8_t *>(p)[i]);
    default:
        return static_cast<float>(static_cast<const int32_t *>(p)[i]);
    }
}

static void store(void *p, uint32_t type, size_t i, float v)
{
    switch (type) {
    case CUDA_R_16F:
        static_cast<__half *>(p)[i] = __float2half_rn(v);
        break;
    case CUDA_R_16BF:
        static_cast<__nv_bfloat16 *>(p)[i] = __float2bfloat16_rn(v);
        break;
    case CUDA_R_8I:
        v = std::nearbyint(v < -128.0F ? -128.0F : v > 127.0F ? 127.0F : v);
        static_cast<int8_t *>(p)[i] = static_cast<int8_t>(v);
        break;
    default:
        static_cast<float *>(p)[i] = v;
    }
}

/* ---- what is allowed ---- */

static bool is_float_compute(int32_t compute)
{
    return compute == CUBLAS_COMPUTE_32F || compute == CUBLAS_COMPUTE_32F_PEDANTIC ||
           compute == CUBLAS_COMPUTE_32F_FAST_TF32;
}

static bool types_good(const Matmul &m)
{
    uint32_t in = m.a.type, out = m.d.type;
    if (m.b.type != in || m.c.type != out)
        return false;
    if (m.p.compute == CUBLAS_COMPUTE_32I || m.p.compute == CUBLAS_COMPUTE_32I_PEDANTIC)
        return in == CUDA_R_8I && ((m.p.scale_type == CUDA_R_32I && out == CUDA_R_32I &&
                                    m.p.epilogue == CUBLASLT_EPILOGUE_DEFAULT) ||
                                   (m.p.scale_type == CUDA_R_32F && out == CUDA_R_8I));
    if (!is_float_compute(m.p.compute) || m.p.scale_type != CUDA_R_32F)
        return false;
    bool half = in == CUDA_R_16F || in == CUDA_R_16BF;
    return in == CUDA_R_32F || in == CUDA_R_8I ? out == CUDA_R_32F : half && (out == in || out == CUDA_R_32F);
}

static bool epilogue_good(uint32_t e)
{
    return e == CUBLASLT_EPILOGUE_DEFAULT || e == CUBLASLT_EPILOGUE_BIAS || e == CUBLASLT_EPILOGUE_RELU ||
           e == CUBLASLT_EPILOGUE_GELU || e == CUBLASLT_EPILOGUE_RELU_BIAS ||
           e == CUBLASLT_EPILOGUE_GELU_BIAS;
}

static bool layout_good(const Layout &l)
{
    return l.order == CUBLASLT_ORDER_COL && l.batch == 1 && l.rows && l.cols && l.ld >= 0 &&
           static_cast<uint64_t>(l.ld) >= l.rows;
}

cublasStatus_t matmul_shape(Matmul *m)
{
    const Product &p = m->p;
    bool ta = p.transa == CUBLAS_OP_T, tb = p.transb == CUBLAS_OP_T;
    m->m = ta ? m->a.cols : m->a.rows;
    m->k = ta ? m->a.rows : m->a.cols;
    m->n = tb ? m->b.rows : m->b.cols;
    uint64_t k = tb ? m->b.cols : m->b.rows;
    if (k != m->k || m->c.rows != m->m || m->d.rows != m->m || m->c.cols != m->n || m->d.cols != m->n)
        return CUBLAS_STATUS_INVALID_VALUE;
    bool transposes =
        (ta || p.transa == CUBLAS_OP_N) && (tb || p.transb == CUBLAS_OP_N) && p.transc == CUBLAS_OP_N;
    bool layouts = layout_good(m->a) && layout_good(m->b) && layout_good(m->c) && layout_good(m->d);
    if (!layouts || !transposes)
        return CUBLAS_STATUS_INVALID_VALUE;
    return types_good(*m) && epilogue_good(p.epilogue) && p.pointer_mode == CUBLASLT_POINTER_MODE_HOST
               ? CUBLAS_STATUS_SUCCESS
               : CUBLAS_STATUS_NOT_SUPPORTED;
}

/* ---- operands ---- */

/* op(X) with k outermost: element (k, i) at k * count + i; `whole[i]`: every element of line i was written.
 */
template <class T> struct Packed {
    std::vector<T> values;
    std::vector<uint8_t> whole;
};

static bool element_written(const void *p, size_t bytes)
{
    const uint8_t *state = arena.state + (reinterpret_cast<uintptr_t>(p) - arena.base);
    for (size_t i = 0; i < bytes; i++)
        if (state[i] != WRITTEN)
            return false;
    return true;
}

/* tf32 keeps ten bits of the fraction. */
static float to_tf32(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits = (bits + 0x1000U) & ~0x1fffU;
    memcpy(&x, &bits, sizeof x);
    return x;
}

template <class T>
static Packed<T> pack(const Layout &l, const void *p, bool k_in_rows, uint64_t count, uint64_t k, bool tf32)
{
    Packed<T> out;
    out.values.resize(count * k);
    out.whole.assign(count, 1);
    size_t bytes = element_bytes(l.type);
    for (uint64_t i = 0; i < count; i++)
        for (uint64_t j = 0; j < k; j++) {
            uint64_t at =
                k_in_rows ? j + i * static_cast<uint64_t>(l.ld) : i + j * static_cast<uint64_t>(l.ld);
            float v = load(p, l.type, at);
            out.values[j * count + i] = static_cast<T>(tf32 ? to_tf32(v) : v);
            if (!element_written(static_cast<const char *>(p) + at * bytes, bytes))
                out.whole[i] = 0;
        }
    return out;
}

/* ---- sums ---- */

/* sum[i] += a[i] * b: the compiler's vectors, one chain an element. */
__attribute__((target_clones("avx2", "default"), optimize("O3"))) static void
add_products(float *__restrict__ sum, const float *__restrict__ a, float b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum[i] += a[i] * b;
}

__attribute__((target_clones("avx2", "default"), optimize("O3"))) static void
add_products(int32_t *__restrict__ sum, const int32_t *__restrict__ a, int32_t b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum[i] += a[i] * b;
}

/* Into which of `parts` accumulators the j-th product goes. */
static uint64_t part_of(uint64_t j, uint64_t k, uint64_t parts, bool stretches)
{
    return stretches ? j * parts / k : j % parts;
}

/* Column `column` of op(A) op(B), in sums[0 .. m). */
template <class T>
static void sum_column(const Matmul &m, const Packed<T> &a, const Packed<T> &b, uint64_t column,
                       std::vector<T> &sums)
{
    const Algorithm &how = m.algorithm;
    uint64_t parts = how.split_k > 1 ? static_cast<uint64_t>(how.split_k) : how.chains;
    bool stretches = how.split_k > 1;
    if (how.by_tiles) {
        parts = 1 + (column / 128 + m.n / 128) % 3;
        stretches = true;
    }
    if (how.variant)
        parts += column % 2;
    sums.assign(m.m * parts, T(0));
    for (uint64_t j = 0; j < m.k; j++)
        add_products(&sums[part_of(j, m.k, parts, stretches) * m.m], &a.values[j * m.m],
                     b.values[j * m.n + column], m.m);
    for (uint64_t p = 1; p < parts; p++)
        for (uint64_t i = 0; i < m.m; i++)
            sums[i] += sums[p * m.m + i];
}

/* ---- what becomes of a sum ---- */

static float activate(float v, uint32_t epilogue)
{
    if (epilogue & CUBLASLT_EPILOGUE_RELU)
        return v > 0.0F ? v : 0.0F;
    if (epilogue & CUBLASLT_EPILOGUE_GELU)
        return 0.5F * v * (1.0F + std::tanh(0.7978845608F * (v + 0.044715F * v * v * v)));
    return v;
}

static uint32_t bias_type(const Matmul &m)
{
    if (m.p.bias_type >= 0)
        return static_cast<uint32_t>(m.p.bias_type);
    return m.d.type == CUDA_R_8I ? static_cast<uint32_t>(CUDA_R_32F) : m.d.type;
}

static bool has_bias(const Matmul &m)
{
    return m.p.epilogue & CUBLASLT_EPILOGUE_BIAS;
}

static void mark_element(void *p, uint32_t type, uint64_t at, bool whole)
{
    size_t bytes = element_bytes(type);
    arena_mark(reinterpret_cast<uintptr_t>(p) + at * bytes, bytes, whole ? WRITTEN : UNWRITTEN);
}

static bool source_whole(const Matmul &m, uint64_t c_at, uint64_t row, bool uses_c)
{
    size_t c_bytes = element_bytes(m.c.type), b_bytes = element_bytes(bias_type(m));
    return (!uses_c || element_written(static_cast<const char *>(m.c_at) + c_at * c_bytes, c_bytes)) &&
           (!has_bias(m) ||
            element_written(reinterpret_cast<const char *>(m.p.bias) + row * b_bytes, b_bytes));
}

static void finish(const Matmul &m, uint64_t row, uint64_t column, float sum, bool whole)
{
    uint64_t at = row + column * static_cast<uint64_t>(m.d.ld),
             c_at = row + column * static_cast<uint64_t>(m.c.ld);
    bool uses_c = m.beta != 0.0F;
    whole = whole && source_whole(m, c_at, row, uses_c);
    float v = m.alpha * sum;
    if (uses_c)
        v += m.beta * load(m.c_at, m.c.type, c_at);
    if (has_bias(m))
        v += load(reinterpret_cast<const void *>(m.p.bias), bias_type(m), row);
    store(m.d_at, m.d.type, at, activate(v, m.p.epilogue));
    mark_element(m.d_at, m.d.type, at, whole);
}

static void finish(const Matmul &m, uint64_t row, uint64_t column, int32_t sum, bool whole)
{
    if (m.p.scale_type == CUDA_R_32F) {
        finish(m, row, column, static_cast<float>(sum), whole);
        return;
    }
    uint64_t at = row + column * static_cast<uint64_t>(m.d.ld),
             c_at = row + column * static_cast<uint64_t>(m.c.ld);
    whole = whole && source_whole(m, c_at, row, m.beta_i != 0);
    int32_t before = m.beta_i ? m.beta_i * static_cast<const int32_t *>(m.c_at)[c_at] : 0;
    static_cast<int32_t *>(m.d_at)[at] = m.alpha_i * sum + before;
    mark_element(m.d_at, m.d.type, at, whole);
}

template <class T> static void multiply(const Matmul &m)
{
    bool tf32 = m.p.compute == CUBLAS_COMPUTE_32F_FAST_TF32 && m.a.type == CUDA_R_32F;
    Packed<T> a = pack<T>(m.a, m.a_at, m.p.transa == CUBLAS_OP_T, m.m, m.k, tf32);
    Packed<T> b = pack<T>(m.b, m.b_at, m.p.transb != CUBLAS_OP_T, m.n, m.k, tf32);
    std::vector<T> sums;
    for (uint64_t column = 0; column < m.n; column++) {
        sum_column(m, a, b, column, sums);
        for (uint64_t row = 0; row < m.m; row++)
            finish(m, row, column, sums[row], a.whole[row] && b.whole[column]);
    }
}

/* ---- the call ---- */

static bool inside(const Matmul &m, const Layout &l, const void *p, const char *what)
{
    size_t bytes = element_bytes(l.type), ld = static_cast<size_t>(l.ld);
    for (uint64_t column = 0; column < l.cols; column++) {
        const char *at = static_cast<const char *>(p) + column * ld * bytes;
        if (arena_live(at, l.rows * bytes))
            continue;
        Fault f;
        f.kind = ECH_EMU_OUTSIDE;
        f.pc = m.pc;
        f.address = reinterpret_cast<uintptr_t>(at);
        f.bytes = l.rows * bytes;
        f.what = format(
            "cublasLtMatmul: column %llu of %s (%llu x %llu, leading dimension %lld) is not all inside one "
            "live allocation",
            (unsigned long long)column, what, (unsigned long long)l.rows, (unsigned long long)l.cols,
            (long long)l.ld);
        f.hint = "rows padded to a tile must exist; compare with the layout's rows, columns and stride";
        report(std::move(f));
        return false;
    }
    return true;
}

cudaError_t matmul_run(const Matmul &m)
{
    Layout vector = {m.m, 1, static_cast<int64_t>(m.m), 0, bias_type(m), CUBLASLT_ORDER_COL, 1};
    bool uses_c = m.p.scale_type == CUDA_R_32I ? m.beta_i != 0 : m.beta != 0.0F;
    if (!inside(m, m.a, m.a_at, "A") || !inside(m, m.b, m.b_at, "B") || !inside(m, m.d, m.d_at, "D") ||
        (uses_c && !inside(m, m.c, m.c_at, "C")) ||
        (has_bias(m) && !inside(m, vector, reinterpret_cast<const void *>(m.p.bias), "the bias")))
        return cudaErrorIllegalAddress;
    size_t scratch = algorithm_workspace(m.algorithm, m);
    if (scratch) { /* used and left undefined */
        Layout bytes = {scratch, 1, static_cast<int64_t>(scratch), 0, CUDA_R_8I, CUBLASLT_ORDER_COL, 1};
        if (!inside(m, bytes, m.workspace, "the workspace"))
            return cudaErrorIllegalAddress;
        memset(m.workspace, 0xff, scratch);
        arena_mark(reinterpret_cast<uintptr_t>(m.workspace), scratch, UNWRITTEN);
    }
    if (m.p.compute == CUBLAS_COMPUTE_32I || m.p.compute == CUBLAS_COMPUTE_32I_PEDANTIC)
        multiply<int32_t>(m);
    else
        multiply<float>(m);
    return cudaSuccess;
}

static bool aligned(const Matmul &m)
{
    const void *at[4] = {m.a_at, m.b_at, m.c_at, m.d_at};
    uint32_t alignment[4];
    for (int i = 0; i < 4; i++) {
        uintptr_t a = reinterpret_cast<uintptr_t>(at[i]);
        alignment[i] = a % 256 == 0 ? 256U : static_cast<uint32_t>(a & (~a + 1));
    }
    return algorithm_fits(m.algorithm, m, alignment);
}

} // namespace ech_emu

using namespace ech_emu;

extern "C" cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                         const void *alpha, const void *a, cublasLtMatrixLayout_t a_layout,
                                         const void *b, cublasLtMatrixLayout_t b_layout, const void *beta,
                                         const void *c, cublasLtMatrixLayout_t c_layout, void *d,
                                         cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algo,
                                         void *workspace, size_t workspace_bytes, cudaStream_t stream)
{
    ECH_EMU_BLAS_ENTER;
    demand_checked("cublasLtMatmul");
    if (!handle || !desc || !a_layout || !b_layout || !c_layout || !d_layout || !alpha || !beta || !a || !b ||
        !d)
        return CUBLAS_STATUS_INVALID_VALUE;
    Matmul m = {};
    m.p = *own<Product>(desc);
    m.a = *own<Layout>(a_layout), m.b = *own<Layout>(b_layout);
    m.c = *own<Layout>(c_layout), m.d = *own<Layout>(d_layout);
    cublasStatus_t status = matmul_shape(&m);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    m.a_at = a, m.b_at = b, m.c_at = c ? c : d, m.d_at = d;
    m.workspace = workspace, m.workspace_bytes = workspace_bytes;
    m.pc = __builtin_return_address(0);
    bool whole = m.p.scale_type == CUDA_R_32I;
    memcpy(whole ? static_cast<void *>(&m.alpha_i) : &m.alpha, alpha, 4);
    memcpy(whole ? static_cast<void *>(&m.beta_i) : &m.beta, beta, 4);
    if (algo)
        m.algorithm = *own<Algorithm>(algo);
    else if ((status = algorithm_default(m, &m.algorithm)) != CUBLAS_STATUS_SUCCESS)
        return status;
    bool bias_good = !has_bias(m) || (m.p.bias && m.p.bias % element_bytes(bias_type(m)) == 0);
    if (!aligned(m) || !bias_good || algorithm_workspace(m.algorithm, m) > workspace_bytes)
        return CUBLAS_STATUS_INVALID_VALUE;
    return enqueue(stream, [m] { return matmul_run(m); }) ? CUBLAS_STATUS_SUCCESS
                                                          : CUBLAS_STATUS_EXECUTION_FAILED;
}
