/* Attention over packed sequences: one block a head and 32 queries of one sequence; keys and values pass
 * through shared memory in blocks counted from the sequence's first key, the softmax runs along (largest
 * score so far, sums scaled where it grows). Plain FMAs in f32: bf16 and f16 round what is multiplied, and
 * the exponentials, as the contract says. A query's chain depends on its keys alone: masked keys are passed
 * over, not multiplied by zero, and a block that is masked for all changes nothing. 128 threads: thread t has
 * the queries 4 (t / 16) .. + 3; of a score block the keys t % 16 + 16 i, of the result W neighbouring
 * columns of each 16 W. So the 16 threads of a half-warp share four queries. */
#include <math.h>

#include "kernels/cuda/arguments.h"
#include "kernels/cuda/lanes.h"
#include "kernels/cuda/ranges.h"

enum { QUERIES = 32, ATTENTION_THREADS = 128, EACH = 4, PAIR = 16, GAP = 4, DIM_MAX = 256 };

/* A score that a mask took away; exponentials are never negative. */
#define MASKED (-1.0f)

struct sequences {
    struct ranges queries;
    struct key_ranges keys;
    int32_t tile[RANGES + 1]; /* blocks of queries before each sequence */
};

struct call {
    int64_t heads, kv_heads, ldq, ldk, ldv, ldo, bias_span, window;
    const void *q, *k, *v;
    void *out;
    const float *bias, *slopes;
    int head_dim, count; /* count: of sequences */
    float scale, softcap;
    bool causal, wide_q, wide_k, wide_v, wide_out;
    enum ech_format compute;
    enum ech_atype q_type, kv_type, out_type;
};

static_assert(sizeof(struct sequences) + sizeof(struct call) <= 4096, "what a launch may carry by value");

__device__ static inline float rounded(float v, enum ech_format compute)
{
    return compute == ECH_FMT_BF16 ? from_bf16(to_bf16(v)) : compute == ECH_FMT_F16 ? from_f16(to_f16(v)) : v;
}

/* The sequence of a block of queries: the last one whose first block is not after it. */
__device__ static int sequence_of(const struct sequences &s, int count, int tile)
{
    int low = 0, high = count - 1;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (s.tile[middle] <= tile)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* `rows` rows of DIM columns into shared memory, zeros past `have` rows and past the head's columns. */
template <int DIM, int STRIDE>
__device__ static void fetch(float *to, const void *from, enum ech_atype type, int64_t row0, int64_t ld,
                             int64_t column, int rows, int have, int head_dim, bool wide,
                             enum ech_format compute)
{
    UNROLL_4
    for (int i = threadIdx.x; i < rows * (DIM / 4); i += ATTENTION_THREADS) {
        int r = i / (DIM / 4), c = i % (DIM / 4) * 4;
        float v[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        if (r < have)
            load4(v, row_of(from, type, row0 + r, ld) + column * type_bytes(type), type, 0.0f, c, head_dim,
                  wide);
        *(float4 *)(to + r * STRIDE + c) = make_float4(rounded(v[0], compute), rounded(v[1], compute),
                                                       rounded(v[2], compute), rounded(v[3], compute));
    }
}

/* What a query keeps between blocks of keys: its largest score, and this thread's share of the total. */
struct running {
    float most[EACH], total[EACH];
};

/* Scores of four queries and KEYS / 16 keys: one chain over the columns each. */
template <int DIM, int KEYS>
__device__ static void score_block(const float *qs, const float *ks, int query, int key,
                                   float s[EACH][KEYS / PAIR])
{
    UNROLL
    for (int i = 0; i < EACH; i++)
        UNROLL
    for (int j = 0; j < KEYS / PAIR; j++)
        s[i][j] = 0.0f;
    UNROLL_4
    for (int d = 0; d < DIM; d += 4) {
        float4 a[EACH];
        UNROLL
        for (int i = 0; i < EACH; i++)
            a[i] = *(const float4 *)(qs + (query + i) * DIM + d);
        UNROLL
        for (int j = 0; j < KEYS / PAIR; j++) {
            float4 b = *(const float4 *)(ks + (key + PAIR * j) * (DIM + GAP) + d);
            UNROLL
            for (int i = 0; i < EACH; i++) {
                s[i][j] = fmaf(a[i].x, b.x, s[i][j]);
                s[i][j] = fmaf(a[i].y, b.y, s[i][j]);
                s[i][j] = fmaf(a[i].z, b.z, s[i][j]);
                s[i][j] = fmaf(a[i].w, b.w, s[i][j]);
            }
        }
    }
}

struct place {
    int64_t head;
    int64_t query, queries; /* this block's first, and how many its sequence has */
    int64_t keys, shift;    /* of the sequence; query i stands at position i + shift */
};

__device__ static bool visible(const struct call &c, int64_t position, int64_t key, int64_t keys)
{
    if (key >= keys || (c.causal && key > position))
        return false;
    int64_t away = position > key ? position - key : key - position;
    return c.window == 0 || away < c.window;
}

/* scale, softcap, bias, ALiBi: in the order of the contract. */
__device__ static float weigh(const struct call &c, const struct place &p, float s, int64_t position,
                              int64_t key)
{
    s *= c.scale;
    if (c.softcap > 0.0f)
        s = c.softcap * tanhf(s / c.softcap);
    if (c.bias)
        s += c.bias[(p.head * c.bias_span + position) * c.bias_span + key];
    if (c.slopes)
        s = fmaf(c.slopes[p.head], -fabsf((float)(position - key)), s);
    return s;
}

/* The largest score of a query in this block, over the 16 threads that share it; masked ones become MASKED in
 * `gone` (a bit a key). */
template <int KEYS>
__device__ static float mask_row(const struct call &c, const struct place &p, int query, int64_t key0,
                                 int key, float s[KEYS / PAIR], unsigned *gone)
{
    float most = -INFINITY;
    int64_t position = p.query + query + p.shift;
    *gone = 0;
    UNROLL
    for (int j = 0; j < KEYS / PAIR; j++) {
        int64_t at = key0 + key + PAIR * j;
        if (p.query + query < p.queries && visible(c, position, at, p.keys)) {
            s[j] = weigh(c, p, s[j], position, at);
            most = fmaxf(most, s[j]);
        } else {
            *gone |= 1u << j;
        }
    }
    for (int d = PAIR / 2; d > 0; d /= 2)
        most = fmaxf(most, __shfl_xor_sync(ALL_LANES, most, d));
    return most;
}

/* The exponentials of a block into shared memory; returns by how much older sums shrink. */
template <int KEYS>
__device__ static float soften_row(const struct call &c, struct running *run, int i, float most,
                                   const float s[KEYS / PAIR], unsigned gone, float *row, int key)
{
    float top = fmaxf(run->most[i], most);
    float from = top == -INFINITY ? 0.0f : top; /* nothing seen yet: exp(-inf) below, never inf - inf */
    float shrink = run->most[i] == top ? 1.0f : expf(run->most[i] - from);
    run->most[i] = top;
    run->total[i] *= shrink;
    UNROLL
    for (int j = 0; j < KEYS / PAIR; j++) {
        float e = MASKED;
        if (!(gone >> j & 1u)) {
            e = expf(s[j] - from);
            run->total[i] += e;
            e = rounded(e, c.compute);
        }
        row[key + PAIR * j] = e;
    }
    return shrink;
}

/* One key's value added to four queries; `masked`: some exponentials are MASKED. */
template <int KEYS, int DIM, int W>
__device__ static void add_values(const float *es, const float *vs, int query, int column, bool masked,
                                  int keys, float out[EACH][DIM / PAIR])
{
    for (int k = 0; k < keys; k++) {
        float v[DIM / PAIR];
        UNROLL
        for (int g = 0; g < DIM / (PAIR * W); g++)
            UNROLL
        for (int j = 0; j < W; j++)
            v[g * W + j] = vs[k * DIM + g * PAIR * W + column * W + j];
        UNROLL
        for (int i = 0; i < EACH; i++) {
            float e = es[(query + i) * (KEYS + GAP) + k];
            if (masked && e < 0.0f)
                continue;
            UNROLL
            for (int j = 0; j < DIM / PAIR; j++)
                out[i][j] = fmaf(e, v[j], out[i][j]);
        }
    }
}

template <int DIM, int W>
__device__ static void write_rows(const struct call &c, const struct ranges &queries, const struct place &p,
                                  int s, int query, int column, struct running *run,
                                  float out[EACH][DIM / PAIR])
{
    struct q8 none = {0.0f, 0.0f};
    UNROLL
    for (int i = 0; i < EACH; i++) {
        float total = run->total[i];
        for (int d = PAIR / 2; d > 0; d /= 2)
            total += __shfl_xor_sync(ALL_LANES, total, d);
        if (p.query + query + i >= p.queries)
            continue;
        total = total == 0.0f ? 1.0f : total;
        int64_t r = queries.base + queries.start[s] + p.query + query + i;
        char *to = (char *)row_of(c.out, c.out_type, r, c.ldo) + p.head * c.head_dim * type_bytes(c.out_type);
        UNROLL
        for (int g = 0; g < DIM / (PAIR * W); g++) {
            float v[4];
            UNROLL
            for (int j = 0; j < W; j++)
                v[j] = out[i][g * W + j] / total;
            int d = g * PAIR * W + column * W;
            if (W == 4)
                store4(to, c.out_type, none, d, c.head_dim, c.wide_out, v);
            else
                UNROLL
            for (int j = 0; j < W; j++)
                if (d + j < c.head_dim)
                    store1(to, c.out_type, none, d + j, v[j]);
        }
    }
}

template <int DIM, int W, int KEYS>
__global__ void __launch_bounds__(ATTENTION_THREADS) attend(struct call c, struct sequences all)
{
    ECH_SHARED_DYNAMIC(float, shared);
    float *qs = shared, *ks = qs + QUERIES * DIM, *vs = ks + KEYS * (DIM + GAP), *es = vs + KEYS * DIM;
    int s = sequence_of(all, c.count, blockIdx.x), query = threadIdx.x / PAIR * EACH,
        own = threadIdx.x % PAIR;
    int64_t queries = all.queries.start[s + 1] - all.queries.start[s];
    struct place p;
    p.head = blockIdx.y;
    p.query = (int64_t)(blockIdx.x - all.tile[s]) * QUERIES;
    p.queries = queries;
    p.keys = all.keys.count[s];
    p.shift = p.keys - queries;
    int64_t first_key = all.keys.base + all.keys.start[s], kv = p.head / (c.heads / c.kv_heads);
    int have = (int)smaller(queries - p.query, QUERIES);
    fetch<DIM, DIM>(qs, c.q, c.q_type, all.queries.base + all.queries.start[s] + p.query, c.ldq,
                    p.head * c.head_dim, QUERIES, have, c.head_dim, c.wide_q, c.compute);

    /* Keys that some query of this block sees, from a whole block on. */
    int64_t low = 0, high = p.keys, last = p.query + p.shift + have - 1;
    if (c.causal && high > last + 1)
        high = last + 1;
    if (c.window && !c.causal && high > last + c.window)
        high = last + c.window;
    if (c.window && p.query + p.shift - c.window + 1 > 0)
        low = (p.query + p.shift - c.window + 1) / KEYS * KEYS;

    struct running run;
    float out[EACH][DIM / PAIR];
    UNROLL
    for (int i = 0; i < EACH; i++) {
        run.most[i] = -INFINITY;
        run.total[i] = 0.0f;
        UNROLL
        for (int j = 0; j < DIM / PAIR; j++)
            out[i][j] = 0.0f;
    }
    for (int64_t k0 = low; k0 < high; k0 += KEYS) {
        int keys = (int)(high - k0 < KEYS ? high - k0 : KEYS);
        __syncthreads(); /* the last block's keys, values and exponentials have been used */
        fetch<DIM, DIM + GAP>(ks, c.k, c.kv_type, first_key + k0, c.ldk, kv * c.head_dim, KEYS, keys,
                              c.head_dim, c.wide_k, c.compute);
        fetch<DIM, DIM>(vs, c.v, c.kv_type, first_key + k0, c.ldv, kv * c.head_dim, KEYS, keys, c.head_dim,
                        c.wide_v, c.compute);
        __syncthreads();
        float sc[EACH][KEYS / PAIR];
        score_block<DIM, KEYS>(qs, ks, query, own, sc);
        UNROLL
        for (int i = 0; i < EACH; i++) {
            unsigned gone;
            float most = mask_row<KEYS>(c, p, query + i, k0, own, sc[i], &gone);
            float shrink =
                soften_row<KEYS>(c, &run, i, most, sc[i], gone, es + (query + i) * (KEYS + GAP), own);
            UNROLL
            for (int j = 0; j < DIM / PAIR; j++)
                out[i][j] *= shrink;
        }
        __syncthreads();
        bool masked = c.window || have < QUERIES || (c.causal && k0 + keys > p.query + p.shift + 1);
        add_values<KEYS, DIM, W>(es, vs, query, own, masked, keys, out);
    }
    write_rows<DIM, W>(c, all.queries, p, s, query, own, &run, out);
}

/* --- on the host --- */

template <int DIM, int W, int KEYS>
static int launch(struct cuda_queue *q, const struct call *c, const struct sequences *all)
{
    size_t bytes =
        (size_t)(QUERIES * DIM + KEYS * (DIM + GAP) + KEYS * DIM + QUERIES * (KEYS + GAP)) * sizeof(float);
    cudaError_t e = cudaFuncSetAttribute((const void *)attend<DIM, W, KEYS>,
                                         cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes);
    int rc = cuda_result(q, e, "attention's shared memory");
    if (rc || all->tile[c->count] == 0)
        return rc;
    dim3 grid((unsigned)all->tile[c->count], (unsigned)c->heads);
    ECH_LAUNCH((attend<DIM, W, KEYS>), grid, dim3(ATTENTION_THREADS), bytes, q->stream, *c, *all);
    return cuda_launched(q, "attention");
}

static int launch_dim(struct cuda_queue *q, const struct call *c, const struct sequences *all)
{
    if (c->head_dim <= 32)
        return launch<32, 2, 64>(q, c, all);
    if (c->head_dim <= 64)
        return launch<64, 4, 64>(q, c, all);
    if (c->head_dim <= 128)
        return launch<128, 4, 64>(q, c, all);
    return launch<256, 4, 16>(q, c, all); /* 68 KiB of shared memory; some devices allow no more than 99 */
}

static struct call make_call(const struct ech_attention_args *a)
{
    struct call c = {};
    c.heads = a->heads, c.kv_heads = a->kv_heads, c.head_dim = (int)a->head_dim;
    c.q = a->q, c.k = a->k, c.v = a->v, c.out = a->out;
    c.ldq = a->ldq, c.ldk = a->ldk, c.ldv = a->ldv, c.ldo = a->ldo;
    c.bias = a->bias, c.bias_span = a->bias_span, c.slopes = a->slopes;
    c.window = a->window, c.causal = a->causal;
    c.scale = a->scale, c.softcap = a->softcap;
    c.compute = a->compute;
    c.q_type = a->q_type, c.kv_type = a->kv_type, c.out_type = a->out_type;
    bool whole = a->head_dim % 4 == 0; /* heads begin at a boundary too */
    c.wide_q = whole && is_wide(a->q, a->q_type, a->ldq);
    c.wide_k = whole && is_wide(a->k, a->kv_type, a->ldk);
    c.wide_v = whole && is_wide(a->v, a->kv_type, a->ldv);
    c.wide_out = whole && is_wide(a->out, a->out_type, a->ldo);
    return c;
}

static bool here(const struct ech_attention_args *a)
{
    bool types = a->q_type != ECH_A_Q8 && a->kv_type != ECH_A_Q8 && a->out_type != ECH_A_Q8;
    bool compute = a->compute == ECH_FMT_F32 || a->compute == ECH_FMT_BF16 || a->compute == ECH_FMT_F16;
    return types && compute && a->head_dim <= DIM_MAX && a->heads <= 65535;
}

size_t cuda_attention_workspace(enum ech_format compute, int64_t longest, int64_t head_dim, int threads)
{
    (void)compute, (void)longest, (void)head_dim, (void)threads;
    return 0;
}

/* The keys of sequences [first, first + count). */
static void keys_fill(struct key_ranges *r, const struct ech_attention_args *a, int64_t first, int count)
{
    int64_t start;
    r->base = INT64_MAX;
    for (int i = 0; i < count; i++) {
        ech_attention_keys(a, first + i, &start);
        r->base = smaller(r->base, start);
    }
    for (int i = 0; i < count; i++) {
        r->count[i] = (int32_t)ech_attention_keys(a, first + i, &start);
        r->start[i] = (int32_t)(start - r->base);
    }
}

int cuda_attention(struct ech_queue *queue, const struct ech_attention_args *a)
{
    struct cuda_queue *q;
    int rc = cuda_check_attention(a);
    if (rc)
        return rc;
    if (!here(a))
        return ECH_OP_UNSUPPORTED;
    if (a->sequences == 0 || (rc = cuda_enter(queue, &q)))
        return rc;
    struct call c = make_call(a);
    for (int64_t s = 0; !rc && s < a->sequences; s += RANGES) {
        struct sequences all;
        c.count = (int)ranges_fill(&all.queries, a->starts, s, a->sequences);
        keys_fill(&all.keys, a, s, c.count);
        all.tile[0] = 0;
        for (int i = 0; i < RANGES; i++) {
            int32_t queries = all.queries.start[i + 1] - all.queries.start[i];
            all.tile[i + 1] = all.tile[i] + (queries + QUERIES - 1) / QUERIES;
        }
        rc = launch_dim(q, &c, &all);
    }
    return rc;
}
