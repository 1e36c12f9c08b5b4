/* Operations on rows: norms, conversions, softmax, gather, pooling, gates, rotary positions. One warp a row
 * (softmax and pooling: one block), so that a row's sums never see its neighbours. Lane l of the warp owns
 * the columns 4 l to 4 l + 3 of each 128. Memory-bound: 16 bytes a lane and access where rows are aligned. */
#include "kernels/cuda/arguments.h"
#include "kernels/cuda/lanes.h"
#include "kernels/cuda/ranges.h"

static const int QUAD = 4, STEP = WARP * QUAD, ROW_THREADS = (int)ROW_WARPS * (int)WARP;

__device__ static inline int64_t warp_row(void)
{
    return (int64_t)blockIdx.x * ROW_WARPS + threadIdx.x / WARP;
}

static dim3 row_grid(int64_t rows)
{
    return dim3((unsigned)cuda_blocks(rows, ROW_WARPS));
}

/* --- convert --- */

__device__ static uint32_t row_most(const char *x, enum ech_atype type, float scale, int64_t cols, int lane,
                                    bool wide)
{
    uint32_t most = 0;
    for (int64_t c = lane * QUAD; c < cols; c += STEP) {
        float v[QUAD];
        load4(v, x, type, scale, c, cols, wide);
        for (int j = 0; j < QUAD; j++)
            most = size_of(v[j]) > most ? size_of(v[j]) : most;
    }
    return warp_most(most);
}

__global__ void convert_rows(struct ech_convert_args a, bool wide_x, bool wide_y)
{
    int64_t r = warp_row();
    int lane = threadIdx.x % WARP;
    if (r >= a.rows)
        return;
    const char *x = row_of(a.x, a.x_type, r, a.ldx);
    char *y = (char *)row_of(a.y, a.y_type, r, a.ldy);
    float scale = a.x_type == ECH_A_Q8 ? a.x_scale[r] : 0.0f;
    struct q8 q = {0.0f, 0.0f};
    if (a.y_type == ECH_A_Q8) {
        q = q8_of(row_most(x, a.x_type, scale, a.cols, lane, wide_x));
        pad_q8(y, a.cols, lane);
        if (lane == 0)
            a.y_scale[r] = q.scale;
    }
    for (int64_t c = lane * QUAD; c < a.cols; c += STEP) {
        float v[QUAD];
        load4(v, x, a.x_type, scale, c, a.cols, wide_x);
        store4(y, a.y_type, q, c, a.cols, wide_y, v);
    }
}

int cuda_convert(struct ech_queue *queue, const struct ech_convert_args *a)
{
    struct cuda_queue *q;
    int rc = cuda_check_convert(a);
    if (rc || a->rows == 0 || a->cols == 0 || (rc = cuda_enter(queue, &q)))
        return rc;
    ECH_LAUNCH(convert_rows, row_grid(a->rows), dim3(ROW_THREADS), 0, q->stream, *a,
               is_wide(a->x, a->x_type, a->ldx), is_wide(a->y, a->y_type, a->ldy));
    return cuda_launched(q, "convert");
}

/* --- norm --- */

/* HELD quads of a row in each lane's registers; 0: read again in each pass. */
template <int HELD> struct norm_row {
    const char *x;
    int64_t cols;
    int lane;
    bool wide;
    float held[HELD > 0 ? HELD : 1][QUAD];

    __device__ int64_t quads(void) const
    {
        return HELD > 0 ? HELD : (cols + STEP - 1) / STEP;
    }
    __device__ int64_t column(int64_t i) const
    {
        return i * STEP + lane * QUAD;
    }
    __device__ void get(float v[QUAD], int64_t i) const
    {
        if (HELD > 0)
            for (int j = 0; j < QUAD; j++)
                v[j] = held[HELD > 0 ? i : 0][j];
        else
            load4(v, x, ECH_A_F32, 0.0f, column(i), cols, wide);
    }
};

struct norm_flags {
    bool x, y, gain, shift, also;
};

template <int HELD> __device__ static float norm_mean(const struct norm_row<HELD> &row)
{
    float sum = 0.0f;
    UNROLL
    for (int64_t i = 0; i < row.quads(); i++) {
        float v[QUAD];
        row.get(v, i);
        for (int j = 0; j < QUAD; j++)
            sum += v[j]; /* zeros past the columns */
    }
    return warp_sum(sum) / (float)row.cols;
}

template <int HELD> __device__ static float norm_square(const struct norm_row<HELD> &row, float mean)
{
    float sum = 0.0f;
    UNROLL
    for (int64_t i = 0; i < row.quads(); i++) {
        float v[QUAD];
        row.get(v, i);
        for (int j = 0; j < QUAD; j++)
            if (row.column(i) + j < row.cols)
                sum = fmaf(v[j] - mean, v[j] - mean, sum);
    }
    return warp_sum(sum) / (float)row.cols;
}

/* y of four columns, and the largest |y| so far. */
__device__ static void norm_quad(const struct ech_norm_args &a, const struct norm_flags &wide, int64_t c,
                                 float mean, float inverse, float v[QUAD], uint32_t *most)
{
    float gain[QUAD], shift[QUAD] = {0.0f, 0.0f, 0.0f, 0.0f};
    load4(gain, (const char *)a.gain, ECH_A_F32, 0.0f, c, a.cols, wide.gain);
    if (a.shift)
        load4(shift, (const char *)a.shift, ECH_A_F32, 0.0f, c, a.cols, wide.shift);
    for (int j = 0; j < QUAD; j++) {
        if (a.kind == ECH_NORM_RMS)
            v[j] = v[j] * inverse * (gain[j] + a.gain_offset);
        else
            v[j] = fmaf((v[j] - mean) * inverse, gain[j], shift[j]);
        if (c + j < a.cols)
            *most = size_of(v[j]) > *most ? size_of(v[j]) : *most;
    }
}

template <int HELD> __global__ void norm_rows(struct ech_norm_args a, struct norm_flags wide)
{
    int64_t r = warp_row();
    struct norm_row<HELD> row;
    row.lane = threadIdx.x % WARP;
    row.cols = a.cols;
    row.wide = wide.x;
    if (r >= a.rows * a.parts)
        return;
    const int64_t part = r % a.parts * a.cols * (int64_t)sizeof(float); /* bytes from the row's first */
    row.x = row_of(a.x, ECH_A_F32, r / a.parts, a.ldx) + part;
    UNROLL
    for (int i = 0; i < HELD; i++)
        load4(row.held[i], row.x, ECH_A_F32, 0.0f, row.column(i), a.cols, wide.x);
    float mean = a.kind == ECH_NORM_LAYER ? norm_mean<HELD>(row) : 0.0f;
    float inverse = 1.0f / sqrtf(norm_square<HELD>(row, mean) + a.eps);
    char *y = (char *)row_of(a.y, ECH_A_F32, r / a.parts, a.ldy) + part;
    uint32_t most = 0;
    struct q8 q = {0.0f, 0.0f};
    UNROLL
    for (int64_t i = 0; i < row.quads(); i++) {
        float v[QUAD];
        if (row.column(i) >= a.cols)
            break;
        row.get(v, i);
        norm_quad(a, wide, row.column(i), mean, inverse, v, &most);
        store4(y, ECH_A_F32, q, row.column(i), a.cols, wide.y, v);
        if (HELD > 0)
            for (int j = 0; j < QUAD; j++)
                row.held[HELD > 0 ? i : 0][j] = v[j];
    }
    if (!a.also)
        return;
    char *also = (char *)row_of(a.also, a.also_type, r, a.ld_also);
    if (a.also_type == ECH_A_Q8) {
        q = q8_of(warp_most(most));
        pad_q8(also, a.cols, row.lane);
        if (row.lane == 0)
            a.also_scale[r] = q.scale;
    }
    row.x = y; /* a lane reads again what it wrote itself */
    row.wide = wide.y;
    UNROLL
    for (int64_t i = 0; i < row.quads(); i++) {
        float v[QUAD];
        if (row.column(i) >= a.cols)
            break;
        row.get(v, i);
        store4(also, a.also_type, q, row.column(i), a.cols, wide.also, v);
    }
}

int cuda_norm(struct ech_queue *queue, const struct ech_norm_args *a)
{
    struct cuda_queue *q;
    int rc = cuda_check_norm(a);
    if (rc || a->rows == 0 || a->cols == 0 || (rc = cuda_enter(queue, &q)))
        return rc;
    struct ech_norm_args parted = *a;
    parted.parts = a->parts ? a->parts : 1;
    const bool even = parted.parts == 1 || a->cols % QUAD == 0; /* parts begin at a boundary too */
    struct norm_flags wide = {even && is_wide(a->x, ECH_A_F32, a->ldx),
                              even && is_wide(a->y, ECH_A_F32, a->ldy), is_wide(a->gain, ECH_A_F32, 0),
                              is_wide(a->shift, ECH_A_F32, 0),
                              a->also && is_wide(a->also, a->also_type, a->ld_also)};
    dim3 grid = row_grid(a->rows * parted.parts), block(ROW_THREADS);
    if (a->cols <= 3 * STEP)
        ECH_LAUNCH(norm_rows<3>, grid, block, 0, q->stream, parted, wide);
    else if (a->cols <= 8 * STEP)
        ECH_LAUNCH(norm_rows<8>, grid, block, 0, q->stream, parted, wide);
    else
        ECH_LAUNCH(norm_rows<0>, grid, block, 0, q->stream, parted, wide);
    return cuda_launched(q, "norm");
}

/* --- embed --- */

__device__ static enum ech_atype stored_type(enum ech_wtype type)
{
    return type == ECH_W_F32 ? ECH_A_F32 : type == ECH_W_F16 ? ECH_A_F16 : ECH_A_BF16;
}

struct embed_flags {
    bool table[4], y;
};

__global__ void embed_rows(struct ech_embed_args a, struct embed_flags wide, int *fault)
{
    int64_t r = warp_row();
    int lane = threadIdx.x % WARP;
    if (r >= a.count)
        return;
    bool known = true;
    for (int t = 0; t < a.tables_count; t++)
        known = known && a.ids[t][r] >= 0 && a.ids[t][r] < a.rows[t];
    if (!known && lane == 0)
        atomicMax(fault, (int)FAULT_EMBED);
    char *y = (char *)row_of(a.y, ECH_A_F32, r, a.cols);
    for (int64_t c = lane * QUAD; c < a.cols; c += STEP) {
        float sum[QUAD] = {0.0f, 0.0f, 0.0f, 0.0f};
        for (int t = 0; known && t < a.tables_count; t++) {
            float v[QUAD];
            enum ech_atype type = stored_type(a.wtype[t]);
            load4(v, row_of(a.tables[t], type, a.ids[t][r], a.cols), type, 0.0f, c, a.cols, wide.table[t]);
            for (int j = 0; j < QUAD; j++)
                sum[j] += v[j];
        }
        struct q8 none = {0.0f, 0.0f};
        store4(y, ECH_A_F32, none, c, a.cols, wide.y, sum);
    }
}

int cuda_embed(struct ech_queue *queue, const struct ech_embed_args *a)
{
    struct cuda_queue *q;
    int rc = cuda_check_embed(a);
    if (rc || a->count == 0 || a->cols == 0 || (rc = cuda_enter(queue, &q)))
        return rc;
    for (int t = 0; t < a->tables_count; t++)
        if (a->wtype[t] > ECH_W_BF16)
            return cuda_block_embed(q, a);
    struct embed_flags wide = {};
    wide.y = is_wide(a->y, ECH_A_F32, a->cols);
    for (int t = 0; t < a->tables_count; t++)
        wide.table[t] = is_wide(a->tables[t], a->wtype[t] == ECH_W_F32 ? ECH_A_F32 : ECH_A_F16, a->cols);
    ECH_LAUNCH(embed_rows, row_grid(a->count), dim3(ROW_THREADS), 0, q->stream, *a, wide, q->fault);
    return cuda_launched(q, "embed");
}

/* --- pool: one block a sequence --- */

static const int POOL_THREADS = 128, POOL_STEP = POOL_THREADS * QUAD;

/* Four columns of the rows [first, last), added or compared in ascending order. */
__device__ static void pool_quad(const struct ech_pool_args &a, int64_t first, int64_t last, int64_t c,
                                 bool wide, float out[QUAD])
{
    load4(out, row_of(a.x, ECH_A_F32, first, a.ldx), ECH_A_F32, 0.0f, c, a.cols, wide);
    for (int64_t r = first + 1; r < last && a.kind != ECH_POOL_CLS; r++) {
        float v[QUAD];
        load4(v, row_of(a.x, ECH_A_F32, r, a.ldx), ECH_A_F32, 0.0f, c, a.cols, wide);
        for (int j = 0; j < QUAD; j++)
            if (a.kind == ECH_POOL_MEAN)
                out[j] += v[j];
            else if (!(v[j] <= out[j]) && out[j] == out[j])
                out[j] = v[j];
    }
    for (int j = 0; j < QUAD && a.kind == ECH_POOL_MEAN; j++)
        out[j] /= (float)(last - first);
}

/* The sum over a block, in every thread: the warps' sums in ascending order. */
__device__ static float block_sum(float v, float *shared)
{
    v = warp_sum(v);
    if (threadIdx.x % WARP == 0)
        shared[threadIdx.x / WARP] = v;
    __syncthreads();
    float sum = shared[0];
    for (int w = 1; w < (int)blockDim.x / WARP; w++)
        sum += shared[w];
    __syncthreads();
    return sum;
}

__global__ void pool_rows(struct ech_pool_args a, struct ranges ranges, int64_t before, bool wide,
                          bool wide_out)
{
    ECH_SHARED(float, sums, [POOL_THREADS / WARP]);
    int64_t s = blockIdx.x, first = ranges.base + ranges.start[s], last = ranges.base + ranges.start[s + 1];
    char *out = (char *)row_of(a.out, ECH_A_F32, before + s, a.cols);
    struct q8 none = {0.0f, 0.0f};
    float square = 0.0f;
    for (int64_t c = threadIdx.x * QUAD; c < a.cols; c += POOL_STEP) {
        float v[QUAD] = {0.0f, 0.0f, 0.0f, 0.0f};
        if (first < last)
            pool_quad(a, first, last, c, wide, v);
        store4(out, ECH_A_F32, none, c, a.cols, wide_out, v);
        for (int j = 0; j < QUAD; j++)
            if (c + j < a.cols)
                square = fmaf(v[j], v[j], square);
    }
    if (!a.normalize)
        return;
    float length = sqrtf(block_sum(square, sums));
    length = length < 1e-12f ? 1e-12f : length;
    for (int64_t c = threadIdx.x * QUAD; c < a.cols; c += POOL_STEP) {
        float v[QUAD];
        load4(v, out, ECH_A_F32, 0.0f, c, a.cols, wide_out);
        for (int j = 0; j < QUAD; j++)
            v[j] /= length;
        store4(out, ECH_A_F32, none, c, a.cols, wide_out, v);
    }
}

int cuda_pool(struct ech_queue *queue, const struct ech_pool_args *a)
{
    struct cuda_queue *q;
    int rc = cuda_check_pool(a);
    if (rc || a->sequences == 0 || a->cols == 0 || (rc = cuda_enter(queue, &q)))
        return rc;
    bool wide = is_wide(a->x, ECH_A_F32, a->ldx), wide_out = is_wide(a->out, ECH_A_F32, a->cols);
    for (int64_t s = 0; !rc && s < a->sequences; s += RANGES) {
        struct ranges ranges;
        int64_t count = ranges_fill(&ranges, a->starts, s, a->sequences);
        ECH_LAUNCH(pool_rows, dim3((unsigned)count), dim3(POOL_THREADS), 0, q->stream, *a, ranges, s, wide,
                   wide_out);
        rc = cuda_launched(q, "pool");
    }
    return rc;
}

/* --- softmax: one block a row --- */

static const int SOFT_THREADS = 128;

__device__ static float block_max(float v, float *shared)
{
    v = warp_max(v);
    if (threadIdx.x % WARP == 0)
        shared[threadIdx.x / WARP] = v;
    __syncthreads();
    float most = shared[0];
    for (int w = 1; w < (int)blockDim.x / WARP; w++)
        most = fmaxf(most, shared[w]);
    __syncthreads();
    return most;
}

__global__ void softmax_rows(float *x, int64_t cols, int64_t ld, bool logarithm)
{
    ECH_SHARED(float, shared, [SOFT_THREADS / WARP]);
    float *row = x + (int64_t)blockIdx.x * ld, most = -INFINITY, sum = 0.0f;
    for (int64_t c = threadIdx.x; c < cols; c += SOFT_THREADS)
        most = fmaxf(most, row[c]);
    most = block_max(most, shared);
    float top = most == -INFINITY ? 0.0f : most; /* all -inf: the exponentials are zeros */
    for (int64_t c = threadIdx.x; c < cols; c += SOFT_THREADS)
        sum += expf(row[c] - top);
    sum = block_sum(sum, shared);
    if (sum == 0.0f && logarithm)
        return;
    float last = logarithm ? logf(sum) : sum == 0.0f ? 1.0f : sum;
    for (int64_t c = threadIdx.x; c < cols; c += SOFT_THREADS)
        row[c] = logarithm ? row[c] - top - last : expf(row[c] - top) / last;
}

static int soften(struct ech_queue *queue, float *x, int64_t rows, int64_t cols, int64_t ld, bool logarithm)
{
    struct cuda_queue *q;
    int rc = cuda_check_softmax(x, rows, cols, ld);
    if (rc || rows == 0 || cols == 0 || (rc = cuda_enter(queue, &q)))
        return rc;
    ECH_LAUNCH(softmax_rows, dim3((unsigned)rows), dim3(SOFT_THREADS), 0, q->stream, x, cols, ld, logarithm);
    return cuda_launched(q, logarithm ? "log_softmax" : "softmax");
}

int cuda_softmax(struct ech_queue *queue, float *x, int64_t rows, int64_t cols, int64_t ld)
{
    return soften(queue, x, rows, cols, ld, false);
}

int cuda_log_softmax(struct ech_queue *queue, float *x, int64_t rows, int64_t cols, int64_t ld)
{
    return soften(queue, x, rows, cols, ld, true);
}

/* --- element by element --- */

__global__ void activate_all(enum ech_act act, float *x, int64_t count, bool wide)
{
    int64_t c = ((int64_t)blockIdx.x * ROW_THREADS + threadIdx.x) * QUAD;
    if (c >= count)
        return;
    float v[QUAD];
    struct q8 none = {0.0f, 0.0f};
    load4(v, (const char *)x, ECH_A_F32, 0.0f, c, count, wide);
    for (int j = 0; j < QUAD; j++)
        v[j] = act_of(act, v[j]);
    store4((char *)x, ECH_A_F32, none, c, count, wide, v);
}

int cuda_activate(struct ech_queue *queue, enum ech_act act, float *x, int64_t count)
{
    struct cuda_queue *q;
    int rc = cuda_check_activate(act, x, count);
    if (rc || count == 0 || (rc = cuda_enter(queue, &q)))
        return rc;
    dim3 grid((unsigned)cuda_blocks(count, ROW_THREADS * QUAD));
    ECH_LAUNCH(activate_all, grid, dim3(ROW_THREADS), 0, q->stream, act, x, count, is_wide(x, ECH_A_F32, 0));
    return cuda_launched(q, "activate");
}

__global__ void gate_rows(struct ech_gate_args a, bool wide)
{
    int64_t r = warp_row();
    int lane = threadIdx.x % WARP;
    if (r >= a.rows)
        return;
    struct q8 none = {0.0f, 0.0f};
    for (int64_t c = lane * QUAD; c < a.cols; c += STEP) {
        float g[QUAD], u[QUAD];
        load4(g, row_of(a.gate, ECH_A_F32, r, a.ldg), ECH_A_F32, 0.0f, c, a.cols, wide);
        load4(u, row_of(a.up, ECH_A_F32, r, a.ldu), ECH_A_F32, 0.0f, c, a.cols, wide);
        for (int j = 0; j < QUAD; j++)
            g[j] = act_of(a.act, g[j]) * u[j];
        store4((char *)row_of(a.y, ECH_A_F32, r, a.ldy), ECH_A_F32, none, c, a.cols, wide, g);
    }
}

int cuda_gate(struct ech_queue *queue, const struct ech_gate_args *a)
{
    struct cuda_queue *q;
    int rc = cuda_check_gate(a);
    if (rc || a->rows == 0 || a->cols == 0 || (rc = cuda_enter(queue, &q)))
        return rc;
    bool wide = is_wide(a->gate, ECH_A_F32, a->ldg) && is_wide(a->up, ECH_A_F32, a->ldu) &&
                is_wide(a->y, ECH_A_F32, a->ldy);
    ECH_LAUNCH(gate_rows, row_grid(a->rows), dim3(ROW_THREADS), 0, q->stream, *a, wide);
    return cuda_launched(q, "gate");
}

/* A warp a row; lanes share its pairs. */
__global__ void rotary_rows(struct ech_rotary_args a, int *fault)
{
    int64_t r = warp_row(), pairs = a.rotary / 2;
    int lane = threadIdx.x % WARP;
    if (r >= a.rows)
        return;
    int64_t position = a.positions[r];
    if (position < 0 || position >= a.table_rows) {
        if (lane == 0)
            atomicMax(fault, (int)FAULT_ROTARY);
        return;
    }
    for (int64_t p = lane; p < a.heads * pairs; p += WARP) {
        int64_t head = p / pairs, i = p % pairs;
        float *x = a.x + r * a.ldx + head * a.head_dim + (a.interleaved ? 2 * i : i);
        float *y = x + (a.interleaved ? 1 : pairs);
        float c = a.cos[position * pairs + i], s = a.sin[position * pairs + i], u = *x, v = *y;
        *x = fmaf(u, c, -(v * s));
        *y = fmaf(v, c, u * s);
    }
}

int cuda_rotary(struct ech_queue *queue, const struct ech_rotary_args *a)
{
    struct cuda_queue *q;
    int rc = cuda_check_rotary(a);
    if (rc || a->rows == 0 || a->rotary == 0 || (rc = cuda_enter(queue, &q)))
        return rc;
    ECH_LAUNCH(rotary_rows, row_grid(a->rows), dim3(ROW_THREADS), 0, q->stream, *a, q->fault);
    return cuda_launched(q, "rotary");
}

/* --- rows brought together, the recurrence, scores of distances: a warp a row --- */

__global__ void combine_rows(struct ech_combine_args a, int *fault)
{
    int64_t r = warp_row();
    int lane = threadIdx.x % WARP;
    if (r >= a.rows)
        return;
    const int32_t *index = a.index + r * a.take;
    bool known = true;
    for (int64_t j = 0; j < a.take; j++)
        known = known && index[j] >= 0 && index[j] < a.x_rows;
    if (!known) {
        if (lane == 0)
            atomicMax(fault, (int)FAULT_COMBINE);
        return;
    }
    for (int64_t c = lane; c < a.cols; c += WARP) {
        float y = a.add ? a.y[r * a.ldy + c] : 0.0f;
        for (int64_t j = 0; j < a.take; j++) {
            float x = a.x[index[j] * a.ldx + c];
            if (a.weight)
                y = fmaf(a.weight[r * a.take + j], x, y);
            else
                y = a.take == 1 && !a.add ? x : y + x;
        }
        a.y[r * a.ldy + c] = y;
    }
}

int cuda_combine(struct ech_queue *queue, const struct ech_combine_args *a)
{
    struct cuda_queue *q;
    int rc = cuda_check_combine(a);
    if (rc || a->rows == 0 || a->cols == 0 || (rc = cuda_enter(queue, &q)))
        return rc;
    ECH_LAUNCH(combine_rows, row_grid(a->rows), dim3(ROW_THREADS), 0, q->stream, *a, q->fault);
    return cuda_launched(q, "combine");
}

__global__ void ssru_rows(struct ech_ssru_args a)
{
    int64_t r = warp_row();
    if (r >= a.rows)
        return;
    for (int64_t c = threadIdx.x % WARP; c < a.cols; c += WARP) {
        float f = act_of(ECH_ACT_SIGMOID, a.forget[r * a.ldf + c]), *cell = a.cell + r * a.ldc + c;
        float next = fmaf(f, *cell, (1.0f - f) * a.x[r * a.ldx + c]);
        *cell = next;
        a.y[r * a.ldy + c] = act_of(ECH_ACT_RELU, next);
    }
}

int cuda_ssru(struct ech_queue *queue, const struct ech_ssru_args *a)
{
    struct cuda_queue *q;
    int rc = cuda_check_ssru(a);
    if (rc || a->rows == 0 || a->cols == 0 || (rc = cuda_enter(queue, &q)))
        return rc;
    ECH_LAUNCH(ssru_rows, row_grid(a->rows), dim3(ROW_THREADS), 0, q->stream, *a);
    return cuda_launched(q, "ssru");
}

__global__ void relative_rows(struct ech_relative_args a, int *fault)
{
    int64_t i = warp_row();
    if (i >= a.rows)
        return;
    for (int64_t j = threadIdx.x % WARP; j < a.rows; j += WARP) {
        int64_t d = a.index[a.centre + i - j];
        if (d < 0 || d >= a.cols) {
            atomicMax(fault, (int)FAULT_RELATIVE);
            return;
        }
        float v = a.content ? a.content[i * a.ldc + d] : a.position[j * a.ldp + d];
        if (a.content && a.position)
            v += a.position[j * a.ldp + d];
        a.y[i * a.ldy + j] = v * a.scale;
    }
}

int cuda_relative(struct ech_queue *queue, const struct ech_relative_args *a)
{
    struct cuda_queue *q;
    int rc = cuda_check_relative(a);
    if (rc || a->rows == 0 || (rc = cuda_enter(queue, &q)))
        return rc;
    ECH_LAUNCH(relative_rows, row_grid(a->rows), dim3(ROW_THREADS), 0, q->stream, *a, q->fault);
    return cuda_launched(q, "relative");
}
