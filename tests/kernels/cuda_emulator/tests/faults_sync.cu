/* Barriers, warp operations and races. */
#include "cases.h"

__global__ static void barrier_guarded(int *out, int n)
{
    int t = static_cast<int>(threadIdx.x);
    if (t >= n)
        return;
    __syncthreads(); /* fault: barrier_returned */
    out[t] = t;
}

static void guarded(int n)
{
    int *out = device_empty<int>(64);
    ECH_LAUNCH(barrier_guarded, 1, 64, 0, nullptr, out, n);
    finish();
    cudaFree(out);
}

void barrier_returned_bad()
{
    guarded(60);
}

void barrier_returned_good()
{
    guarded(64);
}

__global__ static void barrier_branch(int *out, unsigned split)
{
    if (threadIdx.x < split) {
        out[threadIdx.x] = 1;
        __syncthreads(); /* fault: barrier_branch */
    } else {
        out[threadIdx.x] = 2;
        __syncthreads();
    }
}

static void branch(unsigned split)
{
    int *out = device_empty<int>(64);
    ECH_LAUNCH(barrier_branch, 1, 64, 0, nullptr, out, split);
    finish();
    cudaFree(out);
}

void barrier_branch_bad()
{
    branch(32);
}

void barrier_branch_good()
{
    branch(64);
}

__global__ static void shuffle_some(int *out, unsigned lanes)
{
    int v = static_cast<int>(threadIdx.x);
    if (threadIdx.x < lanes)
        v = __shfl_xor_sync(0xffffffffU, v, 1); /* fault: warp_missing */
    __syncthreads();
    out[threadIdx.x] = v;
}

static void some(unsigned lanes)
{
    int *out = device_empty<int>(32);
    ECH_LAUNCH(shuffle_some, 1, 32, 0, nullptr, out, lanes);
    finish();
    cudaFree(out);
}

void warp_missing_bad()
{
    some(16);
}

void warp_missing_good()
{
    some(32);
}

__global__ static void shuffle_branch(int *out, unsigned split)
{
    int v = static_cast<int>(threadIdx.x);
    if (threadIdx.x < split)
        v = __shfl_up_sync(0xffffffffU, v, 1);
    else
        v = __shfl_up_sync(0xffffffffU, v, 1); /* fault: warp_out_of_step */
    out[threadIdx.x] = v;
}

static void out_of_step(unsigned split)
{
    int *out = device_empty<int>(32);
    ECH_LAUNCH(shuffle_branch, 1, 32, 0, nullptr, out, split);
    finish();
    cudaFree(out);
}

void warp_out_of_step_bad()
{
    out_of_step(16);
}

void warp_out_of_step_good()
{
    out_of_step(32);
}

__global__ static void shuffle_mask(int *out, unsigned high)
{
    unsigned mask = threadIdx.x < 16 ? 0xffffU : high;
    out[threadIdx.x] = __any_sync(mask, threadIdx.x == 3); /* fault: warp_mask */
}

static void masks(unsigned high)
{
    int *out = device_empty<int>(32);
    ECH_LAUNCH(shuffle_mask, 1, 32, 0, nullptr, out, high);
    finish();
    cudaFree(out);
}

void warp_mask_bad()
{
    masks(0x7fff0000U); /* lane 31 calls, and is not in its mask */
}

void warp_mask_good()
{
    masks(0xffff0000U);
}

__global__ static void shuffle_lost(int *out, unsigned alive)
{
    if (threadIdx.x >= alive)
        return;
    out[threadIdx.x] = __shfl_down_sync(0xffffffffU, 1, 16); /* fault: warp_lost_lane */
}

static void lost(unsigned alive)
{
    int *out = device_empty<int>(32);
    ECH_LAUNCH(shuffle_lost, 1, 32, 0, nullptr, out, alive);
    finish();
    cudaFree(out);
}

void warp_lost_lane_bad()
{
    lost(16);
}

void warp_lost_lane_good()
{
    lost(32);
}

__global__ static void rotate(int *out, bool ordered)
{
    ECH_SHARED(int, all, [64]);
    unsigned t = threadIdx.x;
    all[t] = static_cast<int>(t);
    __syncthreads();
    int v = all[(t + 1) % 64];
    if (ordered)
        __syncthreads();
    all[t] = v; /* fault: race_shared */
    out[t] = all[t];
}

static void rotated(bool ordered)
{
    int *out = device_empty<int>(64);
    ECH_LAUNCH(rotate, 1, 64, 0, nullptr, out, ordered);
    finish();
    cudaFree(out);
}

void race_shared_bad()
{
    rotated(false);
}

void race_shared_good()
{
    rotated(true);
}

/* A store behind a load of the same place is an access of its own. */
__global__ static void prefix(float *out, unsigned step)
{
    ECH_SHARED(float, all, [32]);
    unsigned t = threadIdx.x;
    all[t] = 1.0F;
    __syncthreads();
    if (t % step == 0 && t + 1 < 32)
        all[t] += all[t + 1]; /* fault: race_update */
    __syncthreads();
    out[t] = all[t];
}

static void prefixes(unsigned step)
{
    float *out = device_empty<float>(32);
    ECH_LAUNCH(prefix, 1, 32, 0, nullptr, out, step);
    finish();
    cudaFree(out);
}

void race_update_bad()
{
    prefixes(1);
}

void race_update_good()
{
    prefixes(2);
}

__global__ static void warp_exchange(int *out, bool ordered)
{
    ECH_SHARED(int, all, [32]);
    unsigned t = threadIdx.x;
    all[t] = static_cast<int>(t);
    if (ordered)
        __syncwarp();
    out[t] = all[t ? t - 1 : 0]; /* fault: race_warp */
}

static void exchanged(bool ordered)
{
    int *out = device_empty<int>(32);
    ECH_LAUNCH(warp_exchange, 1, 32, 0, nullptr, out, ordered);
    finish();
    cudaFree(out);
}

void race_warp_bad()
{
    exchanged(false);
}

void race_warp_good()
{
    exchanged(true);
}

/* Half a warp meets; the other half may not rely on it. */
__global__ static void half_warp(int *out, unsigned from)
{
    ECH_SHARED(int, all, [16]);
    unsigned t = threadIdx.x;
    if (t < 16)
        all[t] = static_cast<int>(t);
    if (t < 16)
        __syncwarp(0xffffU);
    if (t < 16)
        out[t] = all[15 - t];
    if (t == from)
        out[t] = all[3]; /* fault: race_half_warp */
}

static void halves_meet(unsigned from)
{
    int *out = device_empty<int>(32);
    ECH_LAUNCH(half_warp, 1, 32, 0, nullptr, out, from);
    finish();
    cudaFree(out);
}

void race_half_warp_bad()
{
    halves_meet(31);
}

void race_half_warp_good()
{
    halves_meet(3);
}

__global__ static void store_same(int *out, bool one)
{
    if (!one || threadIdx.x == 0)
        *out = 1; /* fault: race_same_place */
}

static void stored(bool one)
{
    int *out = device_empty<int>(1);
    ECH_LAUNCH(store_same, 1, 32, 0, nullptr, out, one);
    finish();
    cudaFree(out);
}

void race_same_place_bad()
{
    stored(false);
}

void race_same_place_good()
{
    stored(true);
}

/* All read what one wrote, and it writes again: the second barrier of a reduction that is used twice. */
__global__ static void broadcast(float *out, bool ordered)
{
    ECH_SHARED(float, total, );
    for (int round = 0; round < 2; round++) {
        if (threadIdx.x == 0)
            total = static_cast<float>(round); /* fault: race_broadcast */
        __syncthreads();
        out[threadIdx.x] = total;
        if (ordered)
            __syncthreads();
    }
}

static void broadcasts(bool ordered)
{
    float *out = device_empty<float>(64);
    ECH_LAUNCH(broadcast, 1, 64, 0, nullptr, out, ordered);
    ech_emu_set_order(1); /* thread 0 comes last: the others have read */
    finish();
    ech_emu_set_order(0);
    cudaFree(out);
}

void race_broadcast_bad()
{
    broadcasts(false);
}

void race_broadcast_good()
{
    broadcasts(true);
}

__global__ static void global_rotate(int *all, bool ordered)
{
    unsigned t = threadIdx.x;
    int v = all[(t + 1) % 64];
    if (ordered)
        __syncthreads();
    all[t] = v; /* fault: race_global */
}

static void global_rotated(bool ordered)
{
    int *all = device_copy(std::vector<int>(64, 5));
    ECH_LAUNCH(global_rotate, 1, 64, 0, nullptr, all, ordered);
    finish();
    cudaFree(all);
}

void race_global_bad()
{
    global_rotated(false);
}

void race_global_good()
{
    global_rotated(true);
}

__global__ static void block_sum(float *sum, bool atomic)
{
    if (atomic)
        atomicAdd(sum, 1.0F);
    else
        *sum += 1.0F; /* fault: race_blocks */
}

static void block_sums(bool atomic)
{
    float *sum = device_copy(std::vector<float>{0.0F});
    ECH_LAUNCH(block_sum, 4, 1, 0, nullptr, sum, atomic);
    expect(finish() == atomic, "launch");
    if (atomic)
        expect(host_copy(sum, 1)[0] == 4.0F, "four atomic additions");
    cudaFree(sum);
}

void race_blocks_bad()
{
    block_sums(false);
}

void race_blocks_good()
{
    block_sums(true);
}

__global__ static void block_neighbour(int *all, int *out, unsigned reach)
{
    all[blockIdx.x] = 1;
    out[blockIdx.x] = all[blockIdx.x < reach ? 0 : blockIdx.x - reach]; /* fault: race_blocks_read */
}

static void neighbours(unsigned reach)
{
    int *all = device_copy(std::vector<int>(4, 0)), *out = device_empty<int>(4);
    ECH_LAUNCH(block_neighbour, 4, 1, 0, nullptr, all, out, reach);
    finish();
    cudaFree(all);
    cudaFree(out);
}

void race_blocks_read_bad()
{
    neighbours(1);
}

void race_blocks_read_good()
{
    neighbours(0);
}

/* Neighbouring bytes are different places; the same byte is not. */
__global__ static void store_bytes(signed char *all, unsigned shrink)
{
    all[threadIdx.x >> shrink] = 1; /* fault: race_bytes */
}

static void store_each(unsigned shrink)
{
    signed char *all = device_empty<signed char>(32);
    ECH_LAUNCH(store_bytes, 1, 32, 0, nullptr, all, shrink);
    finish();
    cudaFree(all);
}

void race_bytes_bad()
{
    store_each(1);
}

void race_bytes_good()
{
    store_each(0);
}

__global__ static void atomic_mixed(int *count, int *out, bool ordered)
{
    ECH_SHARED(int, sum, );
    if (threadIdx.x == 0)
        sum = 0;
    __syncthreads();
    atomicAdd(&sum, 1);
    if (ordered)
        __syncthreads();
    if (threadIdx.x == 0)
        *out = sum; /* fault: race_atomic */
    atomicMax(count, 1);
}

static void mixed(bool ordered)
{
    int *count = device_copy(std::vector<int>{0}), *out = device_empty<int>(1);
    ECH_LAUNCH(atomic_mixed, 1, 32, 0, nullptr, count, out, ordered);
    ech_emu_set_order(1);
    bool good = finish();
    ech_emu_set_order(0);
    if (good)
        expect(host_copy(out, 1)[0] == 32, "32 atomic additions");
    cudaFree(count);
    cudaFree(out);
}

void race_atomic_bad()
{
    mixed(false);
}

void race_atomic_good()
{
    mixed(true);
}

/* The last block adds up what the others left behind. */
__global__ static void last_block(float *parts, unsigned *count, float *out, bool fenced)
{
    ECH_SHARED(bool, last, );
    if (threadIdx.x == 0) {
        parts[blockIdx.x] = static_cast<float>(blockIdx.x);
        if (fenced)
            __threadfence();
        last = atomicInc(count, gridDim.x) == gridDim.x - 1;
        __threadfence();
    }
    __syncthreads();
    if (!last || threadIdx.x != 0)
        return;
    float sum = 0.0F;
    for (unsigned i = 0; i < gridDim.x; i++)
        sum += parts[i]; /* fault: race_fence */
    *out = sum;
}

static void last_blocks(bool fenced)
{
    float *parts = device_empty<float>(4), *out = device_empty<float>(1);
    unsigned *count = device_copy(std::vector<unsigned>{0});
    ECH_LAUNCH(last_block, 4, 32, 0, nullptr, parts, count, out, fenced);
    if (finish())
        expect(host_copy(out, 1)[0] == 6.0F, "the last block's sum");
    cudaFree(parts);
    cudaFree(out);
    cudaFree(count);
}

void race_fence_bad()
{
    last_blocks(false);
}

void race_fence_good()
{
    last_blocks(true);
}
