/* The cuBLASLt stand-in: against a plain loop, in every type, transpose and epilogue; which algorithms it
 * offers; and what it catches. */
#include <cublasLt.h>

#include "cases.h"

/* A column-major product of small whole numbers: exact in every type, whatever the order of the sum. */
struct Case {
    cudaDataType in, out, scale;
    cublasComputeType_t compute;
    bool ta, tb;
    int m, n, k, pad; /* pad: added to each leading dimension */
    cublasLtEpilogue_t epilogue;
    float alpha, beta;
};

static size_t bytes_of(cudaDataType t)
{
    return t == CUDA_R_32F || t == CUDA_R_32I ? 4 : t == CUDA_R_8I ? 1 : 2;
}

static void put(std::vector<char> &to, cudaDataType type, size_t i, float v)
{
    if (type == CUDA_R_32F)
        reinterpret_cast<float *>(to.data())[i] = v;
    else if (type == CUDA_R_32I)
        reinterpret_cast<int *>(to.data())[i] = static_cast<int>(v);
    else if (type == CUDA_R_8I)
        to[i] = static_cast<char>(v);
    else if (type == CUDA_R_16F)
        reinterpret_cast<__half *>(to.data())[i] = __float2half(v);
    else
        reinterpret_cast<__nv_bfloat16 *>(to.data())[i] = __float2bfloat16(v);
}

static float take(const std::vector<char> &from, cudaDataType type, size_t i)
{
    if (type == CUDA_R_32F)
        return reinterpret_cast<const float *>(from.data())[i];
    if (type == CUDA_R_32I)
        return static_cast<float>(reinterpret_cast<const int *>(from.data())[i]);
    if (type == CUDA_R_8I)
        return static_cast<float>(static_cast<signed char>(from[i]));
    if (type == CUDA_R_16F)
        return __half2float(reinterpret_cast<const __half *>(from.data())[i]);
    return __bfloat162float(reinterpret_cast<const __nv_bfloat16 *>(from.data())[i]);
}

static float a_at(int i, int k)
{
    return static_cast<float>((i * 3 + k * 5) % 7 - 3);
}

static float b_at(int k, int j)
{
    return static_cast<float>((k * 2 + j) % 5 - 2);
}

/* rows x cols with `pad` rows below, written with what `value` says. */
template <class F> static char *matrix(cudaDataType type, int rows, int cols, int pad, F value)
{
    std::vector<char> host(static_cast<size_t>(rows + pad) * static_cast<size_t>(cols) * bytes_of(type));
    for (int j = 0; j < cols; j++)
        for (int i = 0; i < rows; i++)
            put(host, type, static_cast<size_t>(i + j * (rows + pad)), value(i, j));
    return device_copy(host);
}

struct Objects {
    cublasLtHandle_t handle;
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t a, b, c;
    cublasLtMatmulPreference_t preference;
};

static Objects describe(const Case &t)
{
    Objects o = {};
    cublasOperation_t yes = CUBLAS_OP_T;
    bool good =
        cublasLtCreate(&o.handle) == CUBLAS_STATUS_SUCCESS &&
        cublasLtMatmulDescCreate(&o.desc, t.compute, t.scale) == CUBLAS_STATUS_SUCCESS &&
        cublasLtMatrixLayoutCreate(&o.a, t.in, static_cast<uint64_t>(t.ta ? t.k : t.m),
                                   static_cast<uint64_t>(t.ta ? t.m : t.k),
                                   (t.ta ? t.k : t.m) + t.pad) == CUBLAS_STATUS_SUCCESS &&
        cublasLtMatrixLayoutCreate(&o.b, t.in, static_cast<uint64_t>(t.tb ? t.n : t.k),
                                   static_cast<uint64_t>(t.tb ? t.k : t.n),
                                   (t.tb ? t.n : t.k) + t.pad) == CUBLAS_STATUS_SUCCESS &&
        cublasLtMatrixLayoutCreate(&o.c, t.out, static_cast<uint64_t>(t.m), static_cast<uint64_t>(t.n),
                                   t.m + t.pad) == CUBLAS_STATUS_SUCCESS &&
        cublasLtMatmulPreferenceCreate(&o.preference) == CUBLAS_STATUS_SUCCESS;
    expect(good, "objects");
    if (t.ta)
        cublasLtMatmulDescSetAttribute(o.desc, CUBLASLT_MATMUL_DESC_TRANSA, &yes, sizeof yes);
    if (t.tb)
        cublasLtMatmulDescSetAttribute(o.desc, CUBLASLT_MATMUL_DESC_TRANSB, &yes, sizeof yes);
    expect(cublasLtMatmulDescSetAttribute(o.desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &t.epilogue,
                                          sizeof t.epilogue) == CUBLAS_STATUS_SUCCESS,
           "epilogue");
    return o;
}

static void destroy(Objects &o)
{
    cublasLtMatmulPreferenceDestroy(o.preference);
    cublasLtMatrixLayoutDestroy(o.a);
    cublasLtMatrixLayoutDestroy(o.b);
    cublasLtMatrixLayoutDestroy(o.c);
    cublasLtMatmulDescDestroy(o.desc);
    cublasLtDestroy(o.handle);
}

static cublasStatus_t multiply(const Objects &o, const Case &t, const void *a, const void *b, void *c,
                               const cublasLtMatmulAlgo_t *algo)
{
    int alpha_i = static_cast<int>(t.alpha), beta_i = static_cast<int>(t.beta);
    bool whole = t.scale == CUDA_R_32I;
    const void *alpha = whole ? static_cast<const void *>(&alpha_i) : &t.alpha;
    const void *beta = whole ? static_cast<const void *>(&beta_i) : &t.beta;
    return cublasLtMatmul(o.handle, o.desc, alpha, a, o.a, b, o.b, beta, c, o.c, c,
                          o.c, /* fault: product_past_end */
                          algo, nullptr, 0, nullptr);
}

static float expected(const Case &t, int i, int j)
{
    float v = 0.0F;
    for (int k = 0; k < t.k; k++)
        v += a_at(i, k) * b_at(k, j);
    v = t.alpha * v + t.beta * static_cast<float>(i % 4 - j % 3);
    if (t.epilogue & CUBLASLT_EPILOGUE_BIAS)
        v += static_cast<float>(i % 6);
    if (t.epilogue & CUBLASLT_EPILOGUE_RELU)
        v = v > 0.0F ? v : 0.0F;
    if (t.epilogue & CUBLASLT_EPILOGUE_GELU)
        v = 0.5F * v * (1.0F + tanhf(0.7978845608F * (v + 0.044715F * v * v * v)));
    return v;
}

static void compare(const Case &t, const char *c)
{
    std::vector<char> got =
        host_copy(c, static_cast<size_t>(t.m + t.pad) * static_cast<size_t>(t.n) * bytes_of(t.out));
    float bound = t.out == CUDA_R_16BF ? 4e-3F : t.out == CUDA_R_16F ? 5e-4F : 1e-6F;
    for (int j = 0; j < t.n; j++)
        for (int i = 0; i < t.m; i++) {
            float v = take(got, t.out, static_cast<size_t>(i + j * (t.m + t.pad))), want = expected(t, i, j);
            expect(fabsf(v - want) <= bound * (1.0F + fabsf(want)), "types %d %d, (%d, %d): %g, expected %g",
                   t.in, t.out, i, j, static_cast<double>(v), static_cast<double>(want));
        }
}

static void check(const Case &t)
{
    Objects o = describe(t);
    char *a = t.ta ? matrix(t.in, t.k, t.m, t.pad, [](int k, int i) { return a_at(i, k); })
                   : matrix(t.in, t.m, t.k, t.pad, a_at);
    char *b = t.tb ? matrix(t.in, t.n, t.k, t.pad, [](int j, int k) { return b_at(k, j); })
                   : matrix(t.in, t.k, t.n, t.pad, b_at);
    char *c = matrix(t.out, t.m, t.n, t.pad, [](int i, int j) { return static_cast<float>(i % 4 - j % 3); });
    char *bias = matrix(t.out, t.m, 1, 0, [](int i, int) { return static_cast<float>(i % 6); });
    cublasLtMatmulDescSetAttribute(o.desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias);
    cublasStatus_t status = multiply(o, t, a, b, c, nullptr);
    expect(status == CUBLAS_STATUS_SUCCESS, "product: %s", cublasLtGetStatusString(status));
    expect(finish(), "run");
    compare(t, c);
    for (char *p : {a, b, c, bias})
        cudaFree(p);
    destroy(o);
}

static const Case F32 = {CUDA_R_32F, CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F,        false, false, 12,
                         20,         16,         0,          CUBLASLT_EPILOGUE_DEFAULT, 1.0F,  0.0F};

void feature_products()
{
    for (int i = 0; i < 8; i++) {
        Case t = F32;
        t.ta = i & 1;
        t.tb = i & 2;
        t.pad = i & 4;
        t.m = 12 + i, t.n = 9, t.k = 5 + 3 * i;
        t.alpha = i % 3 ? 1.0F : 2.0F;
        t.beta = i % 2 ? 1.0F : 0.0F;
        check(t);
    }
}

void feature_epilogues()
{
    const cublasLtEpilogue_t all[] = {CUBLASLT_EPILOGUE_BIAS,      CUBLASLT_EPILOGUE_RELU,
                                      CUBLASLT_EPILOGUE_GELU,      CUBLASLT_EPILOGUE_RELU_BIAS,
                                      CUBLASLT_EPILOGUE_GELU_BIAS, CUBLASLT_EPILOGUE_DEFAULT};
    for (cublasLtEpilogue_t e : all) {
        Case t = F32;
        t.epilogue = e;
        t.alpha = 0.125F;
        check(t);
        t.in = t.out = CUDA_R_16BF;
        check(t);
    }
}

void feature_typed_products()
{
    const cudaDataType halves[] = {CUDA_R_16F, CUDA_R_16BF};
    for (cudaDataType in : halves) {
        Case t = F32;
        t.ta = true;
        t.in = in;
        check(t);
        t.out = in;
        check(t);
    }
    Case t = F32;
    t.in = CUDA_R_8I;
    t.ta = true;
    check(t);
    t.out = t.scale = CUDA_R_32I;
    t.compute = CUBLAS_COMPUTE_32I;
    t.beta = 2.0F;
    check(t);
    Objects o = describe(t);
    cublasLtMatmulHeuristicResult_t found[8];
    int count = 0;
    cublasOperation_t no = CUBLAS_OP_N;
    cublasLtMatmulDescSetAttribute(o.desc, CUBLASLT_MATMUL_DESC_TRANSA, &no, sizeof no);
    cublasLtMatrixLayoutDestroy(o.a);
    cublasLtMatrixLayoutCreate(&o.a, CUDA_R_8I, static_cast<uint64_t>(t.m), static_cast<uint64_t>(t.k), t.m);
    expect(cublasLtMatmulAlgoGetHeuristic(o.handle, o.desc, o.a, o.b, o.c, o.c, o.preference, 8, found,
                                          &count) == CUBLAS_STATUS_NOT_SUPPORTED,
           "int8 wants A transposed");
    destroy(o);
}

static int heuristic(const Objects &o, cublasLtMatmulHeuristicResult_t found[8])
{
    int count = 0;
    cublasStatus_t s =
        cublasLtMatmulAlgoGetHeuristic(o.handle, o.desc, o.a, o.b, o.c, o.c, o.preference, 8, found, &count);
    expect(s == CUBLAS_STATUS_SUCCESS, "heuristic: %s", cublasLtGetStatusName(s));
    return count;
}

void feature_algorithms()
{
    Objects o = describe(F32);
    cublasLtMatmulHeuristicResult_t found[8];
    expect(heuristic(o, found) == 3, "three without a workspace: stream-K and split-K need one");
    size_t workspace = 1 << 21;
    cublasLtMatmulPreferenceSetAttribute(o.preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace,
                                         sizeof workspace);
    expect(heuristic(o, found) == 5, "five with a workspace");
    int split = 0, splitting = 0;
    size_t written = 0;
    for (int i = 0; i < 5; i++) {
        expect(cublasLtMatmulAlgoConfigGetAttribute(&found[i].algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &split,
                                                    sizeof split, &written) == CUBLAS_STATUS_SUCCESS &&
                   written == sizeof split,
               "split");
        splitting += split > 1;
    }
    expect(splitting == 1, "one splits k");
    expect(cublasLtMatmulAlgoConfigGetAttribute(&found[0].algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &split, 1,
                                                &written) == CUBLAS_STATUS_INVALID_VALUE,
           "a wrong size");
    uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_NONE, alignment = 4;
    cublasLtMatmulPreferenceSetAttribute(o.preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                         &reductions, sizeof reductions);
    expect(heuristic(o, found) == 4, "without reductions");
    cublasLtMatmulPreferenceSetAttribute(o.preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &alignment,
                                         sizeof alignment);
    expect(heuristic(o, found) == 1, "at any alignment");
    char *a = matrix(CUDA_R_32F, 13, 16, 0, a_at);
    expect(multiply(o, F32, a + 2, a, a, nullptr) == CUBLAS_STATUS_INVALID_VALUE, "an unaligned operand");
    cudaFree(a);
    destroy(o);
}

/* 48 random columns of B, of which column `from` is copied to `to`: the same sums wherever they lie? */
static bool moved_row_is_equal(const cublasLtMatmulAlgo_t *algo, const Objects &o, int from, int to)
{
    std::vector<float> a(32 * 64), b(64 * 48);
    unsigned seed = 1;
    for (std::vector<float> *v : {&a, &b})
        for (float &x : *v)
            x = static_cast<float>((seed = seed * 1664525U + 1013904223U) >> 8) * 0x1p-23F - 1.0F;
    std::copy_n(b.begin() + from * 64, 64, b.begin() + to * 64);
    float *da = device_copy(a), *db = device_copy(b), *dc = device_empty<float>(32 * 48);
    expect(multiply(o, F32, da, db, dc, algo) == CUBLAS_STATUS_SUCCESS, "product");
    std::vector<float> c = host_copy(dc, 32 * 48);
    for (float *p : {da, db, dc})
        cudaFree(p);
    return memcmp(&c[static_cast<size_t>(from) * 32], &c[static_cast<size_t>(to) * 32], 32 * sizeof(float)) ==
           0;
}

void feature_variant()
{
    Case t = F32;
    t.m = 32, t.n = 48, t.k = 64;
    for (unsigned mask = 0; mask < 4; mask++) {
        ech_emu_set_variant(mask);
        Objects o = describe(t);
        cublasLtMatmulHeuristicResult_t found[8];
        expect(heuristic(o, found) == 3, "algorithms");
        expect(moved_row_is_equal(&found[0].algo, o, 3, 10) == !(mask & 1U), "mask %u", mask);
        expect(moved_row_is_equal(&found[2].algo, o, 3, 10), "mask %u leaves the others alone", mask);
        destroy(o);
    }
    ech_emu_set_variant(0);
}

static void short_operand(size_t columns)
{
    Case t = F32;
    Objects o = describe(t);
    char *a = matrix(t.in, t.m, t.k, 0, a_at), *c = matrix(t.out, t.m, t.n, 0, a_at);
    float *b = device_empty<float>(16 * columns);
    cudaMemset(b, 0, 16 * columns * sizeof(float));
    multiply(o, t, a, b, c, nullptr);
    finish();
    cudaFree(a);
    cudaFree(b);
    cudaFree(c);
    destroy(o);
}

void product_past_end_bad()
{
    short_operand(19);
}

void product_past_end_good()
{
    short_operand(20);
}

/* A padded row may be garbage: it spoils its own row of the result and no other. */
static void padded(int rows_read)
{
    Case t = F32;
    Objects o = describe(t);
    char *a = matrix(t.in, t.m, t.k, 0, a_at);
    float *b = device_empty<float>(16 * 20), *c = device_empty<float>(12 * 20);
    cudaMemset(b, 0, 16 * 19 * sizeof(float));
    multiply(o, t, a, b, c, nullptr);
    std::vector<float> host(12 * 20);
    cudaMemcpy(host.data(), c, static_cast<size_t>(rows_read) * 12 * sizeof(float),
               cudaMemcpyDeviceToHost); /* fault: product_unwritten */
    cudaFree(a);
    cudaFree(b);
    cudaFree(c);
    destroy(o);
}

void product_unwritten_bad()
{
    padded(20);
}

void product_unwritten_good()
{
    padded(19);
}
